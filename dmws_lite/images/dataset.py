"""Labelled images as arrays in memory, and a description of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .._values import is_integer

LARGEST_SEED = 2**63 - 1  # what PyTorch takes

MOST_LINES = 50  # classes that a description lists

_NAMED = 5  # how many skipped files a warning or a description names


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one size, in memory.

    Args:
        pixels: ``uint8`` tensor, ``(N, H, W)`` grey or ``(N, 3, H, W)`` colour.
        labels: ``int64`` tensor ``(N,)``, each in ``[0, len(classes))``.
        classes: class names; the position is the label.
        name: name of the data set, such as ``"phantom-mri"`` or ``"mri"``.
        digests: SHA-256 of each image file, or of the pixels for generated images and by default. Equal digests mean
            byte-identical copies; :func:`split` keeps them on the same side.
        files: path of each image relative to the data set's folder, ``""`` for generated images.
        skipped: ``(file, reason)`` of each image file that could not be read.
        modes: Pillow's colour mode of each file before conversion (``"L"``, ``"RGB"``, ``"I;16"`` ...).
        notes: remarks on what was read, shown by :meth:`describe`.
        parts: name of the part of each image, such as ``"train"``; ``""`` where there is no such level.
        patients: name of the patient of each image where its place or header says so, else ``""``. Kept in memory for
            the split; it is written nowhere.
        sizes: width and height of each file in pixels, ``()`` where they are not known.

    Raises:
        ValueError: a tensor has the wrong type or shape, a label is out of range, or the lengths differ.

    Example:
        >>> import torch
        >>> from dmws_lite import Images
        >>> pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)  # three equal pictures, so three copies
        >>> images = Images(pixels, torch.tensor([0, 0, 1]), ("benign", "malignant"))
        >>> len(images), images.counts(), len(set(images.digests))
        (3, {'benign': 2, 'malignant': 1}, 1)
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    name: str = "images"
    digests: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    modes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.pixels, torch.Tensor) and isinstance(self.labels, torch.Tensor)):
            raise ValueError("pixels and labels must be tensors; make them with torch.as_tensor")
        if isinstance(self.classes, str):
            raise ValueError(f"classes={self.classes!r} is one name; give a tuple with one name per class")
        shape = tuple(self.pixels.shape)
        if self.pixels.dtype != torch.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[1] == 3)):
            raise ValueError(
                f"pixels are {self.pixels.dtype} with shape {shape}, but must be torch.uint8 with shape (N, H, W) or "
                "(N, 3, H, W); convert them first"
            )
        n = shape[0]
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != (n,):
            raise ValueError(
                f"labels are {self.labels.dtype} with shape {tuple(self.labels.shape)}, but must be torch.int64 with "
                f"shape ({n},), one per image"
            )
        if n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"labels run from {int(self.labels.min())} to {int(self.labels.max())}, but {len(self.classes)} "
                f"classes allow 0 to {len(self.classes) - 1}; number them from 0, or name all classes"
            )
        # Fill missing columns now, so that all other code can rely on one entry per image.
        if not self.digests:
            object.__setattr__(self, "digests", pixel_digests(self.pixels))
        if not self.files:
            object.__setattr__(self, "files", ("",) * n)
        if not self.modes:
            object.__setattr__(self, "modes", ("L" if len(shape) == 3 else "RGB",) * n)
        for column in ("parts", "patients"):
            if not getattr(self, column):
                object.__setattr__(self, column, ("",) * n)
        for column in ("digests", "files", "modes", "parts", "patients", *["sizes"] * bool(self.sizes)):
            if len(getattr(self, column)) != n:
                raise ValueError(
                    f"{column} has {len(getattr(self, column))} entries for {n} images; give one per image"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int] | Sequence[bool] | np.ndarray | torch.Tensor) -> Images:
        """Return a copy of some images, without ``skipped`` and ``notes``.

        Args:
            indices: positions, in the order of the result; negative ones count from the end. Or a mask: one true or
                false per image.

        Raises:
            ValueError: an index is out of range or no integer, or a mask has another length than the images.
        """
        index = as_positions(indices, len(self))
        chosen = index.tolist()
        return Images(
            pixels=self.pixels[index],
            labels=self.labels[index],
            classes=self.classes,
            name=self.name,
            digests=tuple(self.digests[i] for i in chosen),
            files=tuple(self.files[i] for i in chosen),
            modes=tuple(self.modes[i] for i in chosen),
            parts=tuple(self.parts[i] for i in chosen),
            patients=tuple(self.patients[i] for i in chosen),
            sizes=tuple(self.sizes[i] for i in chosen) if self.sizes else (),
        )

    def counts(self) -> dict[str, int]:
        """Return the number of images of each class, in the order of ``classes``."""
        counted = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counted, strict=True))

    def describe(self) -> str:
        """Return a summary of a few lines: images per class, copies, colour modes, skipped files, notes."""
        height, width = self.pixels.shape[-2:]
        colour = "grey" if self.pixels.ndim == 3 else "rgb"
        lines = [f"{self.name}: {len(self):,} images, {width} x {height} {colour}, {len(self.classes)} classes"]
        pad = max((len(name) for name in self.classes), default=0)
        counts = self.counts()
        for name, count in list(counts.items())[:MOST_LINES]:
            lines.append(f"  {name:<{pad}}  {count:>7,}  ({count / max(1, len(self)):.1%})")
        lines += more_classes(counts.values())
        distinct = len(set(self.digests))
        if distinct < len(self):
            text = f"copies: {len(self) - distinct:,} images repeat another one byte for byte ({distinct:,} distinct)"
            conflicts = len(set(zip(self.digests, self.labels.tolist(), strict=True))) - distinct
            if conflicts:
                text += f"; copies disagree on the label {conflicts:,} times"
            lines.append(text)
        if len(set(self.modes)) > 1:
            lines.append("colour modes of the files (they may reveal the class; colour='grey' removes that):")
            by_class = Counter(zip(self.labels.tolist(), self.modes, strict=True))
            for label, name in enumerate(self.classes[:MOST_LINES]):
                modes = [f"{mode} {count:,}" for (owner, mode), count in sorted(by_class.items()) if owner == label]
                lines.append(f"  {name:<{pad}}  {', '.join(modes)}")
        if self.skipped:
            lines.append(f"skipped: {len(self.skipped):,} unreadable files: {name_some(self.skipped)}")
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)


def more_classes(counts: Iterable[int]) -> list[str]:
    """Return a line on the classes behind the first :data:`MOST_LINES`, which are not listed; none without them."""
    rest = list(counts)[MOST_LINES:]
    return [f"  and {len(rest):,} more classes, with {min(rest):,} to {max(rest):,} images each"] if rest else []


def check_seed(seed: int) -> None:
    """Raise ``ValueError`` unless ``seed`` is an integer from 0 to :data:`LARGEST_SEED`."""
    if not (is_integer(seed) and 0 <= seed <= LARGEST_SEED):
        raise ValueError(f"seed is {seed!r}, but must be an integer from 0 to {LARGEST_SEED}")


def as_positions(indices: Sequence[int] | Sequence[bool] | np.ndarray | torch.Tensor, n: int) -> torch.Tensor:
    """Return positions or a mask as positions, ``int64`` ``(M,)``.

    Args:
        indices: positions from ``-n`` to ``n - 1``, or ``n`` booleans, of which the true ones are taken.
        n: number of images.

    Raises:
        ValueError: they are neither, or out of range.
    """
    values = torch.as_tensor(indices)
    if values.ndim == 1 and values.dtype == torch.bool:
        if len(values) != n:
            raise ValueError(f"the mask has {len(values)} entries for {n} images; give one per image, or positions")
        return values.nonzero().flatten()
    if not values.numel():
        return torch.empty(0, dtype=torch.int64)
    if values.ndim != 1 or values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(
            f"indices are {values.dtype} with shape {tuple(values.shape)}; give a list of whole numbers, or a mask"
        )
    if not isinstance(indices, np.ndarray | torch.Tensor) and any(isinstance(each, bool) for each in indices):
        raise ValueError("indices mix numbers with true and false; give a list of whole numbers, or a mask")
    low, high = int(values.min()), int(values.max())
    if not -n <= low <= high < n:
        raise ValueError(f"indices run from {low} to {high}, but {n} images allow 0 to {n - 1}")
    return values.to(torch.int64)


def draw_per_class(labels: Sequence[int], n_classes: int, limit: int, seed: int) -> list[int]:
    """Draw at most ``limit`` entries of each class at random and return their positions in ascending order."""
    values = np.asarray(labels)
    keep: list[int] = []
    for label in range(n_classes):
        members = np.flatnonzero(values == label)
        keep += np.random.default_rng([seed, 2, label]).permutation(members)[:limit].tolist()
    return sorted(keep)


def pixel_digests(pixels: torch.Tensor) -> tuple[str, ...]:
    """Return the SHA-256 of the pixels of each image."""
    return tuple(digest_of(picture) for picture in pixels.numpy())


def digest_of(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def name_some(skipped: Sequence[tuple[str, str]]) -> str:
    """Name the first few skipped files with their reasons, and count the others."""
    named = ", ".join(f"{name} ({reason})" for name, reason in skipped[:_NAMED])
    return named if len(skipped) <= _NAMED else f"{named} and {len(skipped) - _NAMED} more"


def count_words(counter: Counter[str]) -> str:
    """Return counts as text, such as ``"1 .csv, 3 masks"``."""
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counter.items()))


def mode_counts(images: Images) -> dict[str, dict[str, int]]:
    """Count the files of each class by colour mode: class -> mode -> number of files."""
    modes, labels = np.array(images.modes), images.labels.numpy()
    names = sorted(set(images.modes))
    return {
        name: {mode: int(((labels == label) & (modes == mode)).sum()) for mode in names}
        for label, name in enumerate(images.classes)
    }


def mode_rule(counts: Mapping[str, Mapping[str, int]]) -> tuple[float, float]:
    """Return the accuracy of two baselines that never look at a pixel.

    Args:
        counts: class -> mode -> number of files, see :func:`mode_counts`.

    Returns:
        Accuracy in [0, 1] of answering with the most frequent class of the file's colour mode, and of always answering
        with the most frequent class overall.
    """
    table = np.array([list(row.values()) for row in counts.values()])
    return float(table.max(0).sum() / table.sum()), float(table.sum(1).max() / table.sum())


def half_up(value: float) -> int:
    """Round half up. Python's ``round`` rounds half to even, which makes the sizes of small parts hard to predict."""
    return int(np.floor(value + 0.5))
