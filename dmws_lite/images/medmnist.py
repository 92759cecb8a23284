"""The MedMNIST data sets, read from their ``.npz`` files."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .._system import at_home
from .class_folders import wanted_parts
from .dataset import Images, digest_of, draw_per_class
from .decode import Decoded, finish_picture, read_all
from .sets import ReadOptions


def load_medmnist(source: str, root: str | os.PathLike[str] | None, options: ReadOptions) -> Images:
    """Read train, val and test from one MedMNIST file; ``files`` names the part of each image (``"train/17"``).

    Args:
        source: ``"medmnist:<flag>"``, with ``_64``, ``_128`` or ``_224`` for larger images.
        root: folder of the ``.npz`` file; ``None`` for the folder that the package itself uses.
        options: how to read it.

    Raises:
        ImportError: the package ``medmnist`` is not installed.
        ValueError: there is no such two-dimensional set with one label per image, or no such size or part.
        RuntimeError: the download failed, or the file is damaged.
    """
    flag, stored, info = _checked(source)
    suffix = "" if stored in ("", "28") else f"_{stored}"
    wanted = wanted_parts(("train", "val", "test"), options.parts, f"MedMNIST {flag}")
    images, labels, files = _arrays(_file(root, flag, stored, suffix, info), wanted, info[f"url{suffix}"])
    if options.limit is not None:
        keep = draw_per_class(labels, len(info["label"]), options.limit, options.seed)
        images, labels, files = ([column[i] for i in keep] for column in (images, labels, files))

    def job(index: int) -> Decoded:
        picture = Image.fromarray(images[index])
        array = finish_picture(picture, options.size, options.colour, options.fit)
        return Decoded(array, digest_of(images[index]), picture.mode)

    pixels, reads, _ = read_all(
        len(images), job, options.size, options.colour, options.workers, options.progress, f"reading {flag}"
    )
    return Images(
        pixels,
        torch.tensor(labels, dtype=torch.int64),
        tuple(info["label"][str(i)] for i in range(len(info["label"]))),
        source,
        tuple(read.digest for read in reads),
        tuple(files),
        modes=tuple(read.mode for read in reads),
        notes=(f"MedMNIST {flag}{suffix}, parts pooled: {', '.join(wanted)}; licence {info['license']}",),
    )


def _checked(source: str) -> tuple[str, str, dict]:
    """Return the flag, the stored size as text, and the package's entry for the data set."""
    try:
        import medmnist
    except ImportError as error:
        raise ImportError(f"source {source!r} needs the medmnist package: pip install medmnist") from error

    flag, _, stored = source.removeprefix("medmnist:").lower().partition("_")
    flat = sorted(name for name, entry in medmnist.INFO.items() if not entry["python_class"].endswith("3D"))
    if flag not in medmnist.INFO:
        raise ValueError(f"MedMNIST has no set {flag!r}; the 2-D sets are {', '.join(flat)}")
    info = medmnist.INFO[flag]
    if flag not in flat:
        raise ValueError(
            f"{flag} is three-dimensional, but only 2-D images can be read; the 2-D sets are {', '.join(flat)}"
        )
    if "multi-label" in info["task"]:
        raise ValueError(f"{flag} has several labels per image, but one class per image is needed; choose another set")
    if stored not in ("", "28", "64", "128", "224"):
        raise ValueError(
            f"MedMNIST stores images of 28, 64, 128 or 224 pixels, not {stored!r}; write 'medmnist:{flag}' (28) or "
            f"'medmnist:{flag}_64'"
        )
    return flag, stored, info


def _file(root: str | os.PathLike[str] | None, flag: str, stored: str, suffix: str, info: dict) -> Path:
    """Return the path of the data set's file; the package downloads it if it is missing."""
    import medmnist

    folder = at_home(root if root is not None else (medmnist.info.DEFAULT_ROOT or "medmnist"))
    path = folder / f"{flag}{suffix}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            getattr(medmnist, info["python_class"])(
                split="train", download=True, root=str(folder), size=int(stored or 28)
            )
        except RuntimeError as error:
            path.unlink(missing_ok=True)  # next time, a partial file would be mistaken for the whole
            raise RuntimeError(
                f"{path.name} could not be downloaded; on a computer with internet access get {info[f'url{suffix}']} "
                f"and place it at {path}"
            ) from error
    return path


def _arrays(path: Path, wanted: Sequence[str], url: str) -> tuple[list[np.ndarray], list[int], list[str]]:
    """Return images, labels and names of the requested parts."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    files: list[str] = []
    try:
        with np.load(path, allow_pickle=False) as archive:
            for part in wanted:
                pictures = archive[f"{part}_images"]
                images.extend(pictures)
                labels.extend(int(label) for label in archive[f"{part}_labels"].reshape(len(pictures)))
                files.extend(f"{part}/{i}" for i in range(len(pictures)))
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise RuntimeError(
            f"{path} is damaged or not a MedMNIST file ({error}); delete it and load again, or get {url}"
        ) from error
    return images, labels, files
