"""Images in memory, and splits of them that do not leak."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .reading import half_up

RULES = ("grouped", "random")
_NAMED = 5  # how many skipped files a warning or a description names


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one size, in memory.

    Args:
        pixels: ``uint8`` tensor, ``(N, H, W)`` grey or ``(N, 3, H, W)`` colour.
        labels: ``int64`` tensor ``(N,)``, each in ``[0, len(classes))``.
        classes: class names; the position is the label.
        name: what the images are, such as ``"phantom-mri"`` or ``"mri"``.
        digests: one SHA-256 per image, of the bytes of its file (of its pixels for generated images and when
            left out). Equal digests are byte-identical copies; :func:`split` keeps them together.
        files: path of each image relative to the data set's folder, ``""`` for generated images.
        skipped: ``(file, reason)`` of each file that looked like an image and could not be read.
        modes: Pillow's colour mode of each file before conversion (``"L"``, ``"RGB"``, ``"I;16"`` ...).
        notes: sentences on what was read, shown by :meth:`describe`.

    Raises:
        ValueError: the parts do not fit together.
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

    def __post_init__(self) -> None:
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
                f"classes allow 0 to {len(self.classes) - 1}"
            )
        # Left-out columns get their neutral value here, so that every other place may rely on one entry per image.
        if not self.digests:
            object.__setattr__(self, "digests", pixel_digests(self.pixels))
        if not self.files:
            object.__setattr__(self, "files", ("",) * n)
        if not self.modes:
            object.__setattr__(self, "modes", ("L" if len(shape) == 3 else "RGB",) * n)
        for column in ("digests", "files", "modes"):
            if len(getattr(self, column)) != n:
                raise ValueError(
                    f"{column} has {len(getattr(self, column))} entries for {n} images; give one per image"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int] | torch.Tensor) -> Images:
        """Return the images at ``indices`` (in that order) as a copy; ``skipped`` and ``notes`` stay behind."""
        index = torch.as_tensor(indices, dtype=torch.int64).reshape(-1)
        chosen = index.tolist()
        if chosen and not -len(self) <= min(chosen) <= max(chosen) < len(self):
            raise ValueError(
                f"indices run from {min(chosen)} to {max(chosen)}, but {len(self)} images allow 0 to {len(self) - 1}"
            )
        return Images(
            pixels=self.pixels[index],
            labels=self.labels[index],
            classes=self.classes,
            name=self.name,
            digests=tuple(self.digests[i] for i in chosen),
            files=tuple(self.files[i] for i in chosen),
            modes=tuple(self.modes[i] for i in chosen),
        )

    def counts(self) -> dict[str, int]:
        """Return the number of images of each class, in the order of ``classes``."""
        counted = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counted, strict=True))

    def describe(self) -> str:
        """Return a few lines on what was read: classes, copies, colour modes, skipped files, notes."""
        height, width = self.pixels.shape[-2:]
        colour = "grey" if self.pixels.ndim == 3 else "rgb"
        lines = [f"{self.name}: {len(self):,} images, {width} x {height} {colour}, {len(self.classes)} classes"]
        pad = max((len(name) for name in self.classes), default=0)
        for name, count in self.counts().items():
            lines.append(f"  {name:<{pad}}  {count:>7,}  ({count / max(1, len(self)):.1%})")
        distinct = len(set(self.digests))
        if distinct < len(self):
            text = f"copies: {len(self) - distinct:,} images repeat another one byte for byte ({distinct:,} distinct)"
            conflicts = len(set(zip(self.digests, self.labels.tolist(), strict=True))) - distinct
            if conflicts:
                text += f"; {conflicts:,} times a copy carries another label"
            lines.append(text)
        if len(set(self.modes)) > 1:
            lines.append("colour modes of the files (a class could be told by them; colour='grey' removes that):")
            by_class = Counter(zip(self.labels.tolist(), self.modes, strict=True))
            for label, name in enumerate(self.classes):
                found = [f"{mode} {count:,}" for (owner, mode), count in sorted(by_class.items()) if owner == label]
                lines.append(f"  {name:<{pad}}  {', '.join(found)}")
        if self.skipped:
            lines.append(f"skipped: {len(self.skipped):,} unreadable files: {name_some(self.skipped)}")
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Split:
    """A training part and a test part of one :class:`Images`, and how they came about.

    Args:
        train, test: the chosen training images and all test images.
        train_index, test_index: ``int64`` tensors, ascending positions in the original images.
        fraction: share of the training pool that was chosen, in (0, 1].
        seed: what the choice was made from.
        rule: ``"grouped"`` or ``"random"``.
        digest: SHA-256 of the sorted indices; equal digests are the same split.
        leaked: test images of which a byte-identical copy is among the chosen training images.
        leaked_pool: the same, but against the whole training pool (all images outside the test part).
        pool_size: number of images in the training pool.
        test_share: share asked for the test part.
    """

    train: Images
    test: Images
    train_index: torch.Tensor
    test_index: torch.Tensor
    fraction: float
    seed: int
    rule: str
    digest: str
    leaked: int
    leaked_pool: int = 0
    pool_size: int = 0
    test_share: float = 0.2

    def describe(self) -> str:
        """Return the sizes per class, the count of copies and the digest as text."""
        title = f"{self.train.name}, rule={self.rule!r}, seed={self.seed}"
        taken, asked = f"{len(self.train) / max(1, self.pool_size):.1%}", f"{self.fraction:.1%}"
        share = f"{taken} of a pool of {self.pool_size:,}" + ("" if taken == asked else f"; {asked} asked for")
        lines = [f"{title}: {len(self.train):,} training images ({share}), {len(self.test):,} test images"]
        pad = max(len(name) for name in self.train.classes)
        test_counts = self.test.counts()
        for name, count in self.train.counts().items():
            lines.append(f"  {name:<{pad}}  train {count:>6,}  test {test_counts[name]:>6,}")
        lines.append(
            f"copies: {self.leaked:,} test images have a byte-identical copy in the training part "
            f"({self.leaked_pool:,} in the whole pool); near-copies are not counted"
        )
        lines.append(f"digest: {self.digest[:16]}")
        return "\n".join(lines)


def split(
    images: Images, fraction: float = 0.05, seed: int = 0, rule: str = "grouped", test_share: float = 0.2
) -> Split:
    """Split into a test part and a training pool, then choose a small training part from the pool.

    ``rule="grouped"`` (default) splits each class by itself and keeps byte-identical copies on one side, so that no
    test image was seen in training; a group of copies with several labels counts to the class of its first image.
    ``fraction`` of the pool is drawn per class, at least one image of each class.

    ``rule="random"`` is the paper's procedure (section 4.1: 80% at random, then a random share of it): no strata, no
    groups. Copies then lie on both sides; ``leaked`` counts them. A class may be missing, which is warned about.

    The same seed gives the same test part and the same order of the pool whatever the fraction, so the 1% training
    part is contained in the 5% part, and that in the 10% part. The global random state is neither read nor changed.

    Args:
        images: what to split.
        fraction: share of the training pool to train on, in (0, 1]; the paper has 0.01, 0.05 and 0.10.
        seed: 0 or larger.
        rule: ``"grouped"`` or ``"random"``.
        test_share: share of the images in the test part, in (0, 1); the paper has 0.2.

    Raises:
        ValueError: a value is out of range, or a class has too few distinct images to lie on both sides.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}, but must be above 0 and at most 1 (5% is 0.05)")
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}, but must be between 0 and 1, such as 0.2")
    check_seed(seed)
    if rule == "grouped":
        test, pool, order = _split_grouped(images, seed, test_share)
        labels = images.labels.numpy()
        train = [
            index
            for label in range(len(images.classes))
            for index in _first_share([i for i in order if labels[i] == label], fraction)
        ]
    elif rule == "random":
        n = len(images)
        if n < 2:
            raise ValueError(f"{n} images cannot be split; at least 2 are needed")
        order = np.random.default_rng([seed, 0]).permutation(n).tolist()
        held_out = min(n - 1, max(1, half_up(test_share * n)))
        test, pool = order[:held_out], order[held_out:]
        train = _first_share(pool, fraction)
    else:
        raise ValueError(f"rule is {rule!r}, but must be one of {', '.join(map(repr, RULES))}")

    train_index = torch.tensor(sorted(train), dtype=torch.int64)
    test_index = torch.tensor(sorted(test), dtype=torch.int64)
    seen, seen_pool = ({images.digests[i] for i in part} for part in (train, pool))
    text = "train " + " ".join(map(str, train_index.tolist())) + " test " + " ".join(map(str, test_index.tolist()))
    result = Split(
        train=images.subset(train_index),
        test=images.subset(test_index),
        train_index=train_index,
        test_index=test_index,
        fraction=float(fraction),
        seed=int(seed),
        rule=rule,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        leaked=sum(images.digests[i] in seen for i in test),
        leaked_pool=sum(images.digests[i] in seen_pool for i in test),
        pool_size=len(pool),
        test_share=float(test_share),
    )
    for part, counts in (("training", result.train.counts()), ("test", result.test.counts())):
        missing = [name for name, count in counts.items() if count == 0]
        if missing:
            warnings.warn(
                f"the {part} part has no image of {', '.join(missing)}; rule='grouped' or a larger fraction helps",
                stacklevel=2,
            )
    return result


def _split_grouped(images: Images, seed: int, test_share: float) -> tuple[list[int], list[int], list[int]]:
    """Return (test, pool, pool in drawing order); each group of equal digests lies on one side."""
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(images.digests):
        groups.setdefault(digest, []).append(index)
    labels = images.labels.tolist()
    strata: list[list[list[int]]] = [[] for _ in images.classes]
    for members in groups.values():  # in order of the first member, so the result does not depend on hashing
        strata[labels[members[0]]].append(members)

    test: list[int] = []
    for label, stratum in enumerate(strata):
        if len(stratum) < 2:
            raise ValueError(
                f"class {images.classes[label]!r} has {len(stratum)} distinct image(s), but a split needs at least 2 "
                "in each class; add images or leave the class out"
            )
        # One generator per class: adding a class does not move the split of the others.
        drawn = [stratum[i] for i in np.random.default_rng([seed, 0, label]).permutation(len(stratum))]
        target = max(1, half_up(test_share * sum(map(len, stratum))))
        candidates = drawn[:-1]  # the last one always stays in the training pool
        held_out: list[int] = []
        for members in candidates:
            if len(held_out) + len(members) <= target:
                held_out += members
        test += held_out or min(candidates, key=len)  # only large groups: the smallest, though above the target

    kept = set(test)
    pool = [i for i in range(len(labels)) if i not in kept]
    order = [pool[i] for i in np.random.default_rng([seed, 1]).permutation(len(pool))]
    return test, pool, order


def _first_share(order: list[int], fraction: float) -> list[int]:
    """Return the first ``fraction`` of ``order``, at least one: shares of one order are nested."""
    return order[: max(1, half_up(fraction * len(order)))]


def check_seed(seed: int) -> None:
    if not (is_integer(seed) and seed >= 0):
        raise ValueError(f"seed is {seed!r}, but must be an integer of at least 0")


def is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def draw_per_class(labels: Sequence[int], n_classes: int, limit: int, seed: int) -> list[int]:
    """Return the ascending positions of at most ``limit`` entries of each class, drawn at random."""
    values = np.asarray(labels)
    keep: list[int] = []
    for label in range(n_classes):
        members = np.flatnonzero(values == label)
        keep += np.random.default_rng([seed, 2, label]).permutation(members)[:limit].tolist()
    return sorted(keep)


def pixel_digests(pixels: torch.Tensor) -> tuple[str, ...]:
    return tuple(digest_of(picture) for picture in pixels.numpy())


def digest_of(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def name_some(skipped: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{name} ({reason})" for name, reason in skipped[:_NAMED])
    return named if len(skipped) <= _NAMED else f"{named} and {len(skipped) - _NAMED} more"


def count_words(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counter.items()))
