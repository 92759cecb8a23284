r"""A folder of generated images with the traps of real data sets, to practise on.

:func:`dmws_lite.images.load.load_images` reads it like any folder with one folder per class. It cannot know which
images show the same patient. If the file names say so, :func:`dmws_lite.images.splits.split_by_patient` keeps each
patient on one side of the split::

    images = load_images("folder", practice_folder("practice"), size=64)
    data = split_by_patient(images, r"p\d+", fraction=0.5)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..images.phantoms import make_phantoms

PRACTICE_PATTERN = r"p\d+"  # finds the patient in the file names of the practice folder

_PATIENTS = {"normal": 60, "covid-like": 45, "cap-like": 30}

_COPIES = 6


def practice_folder(where: str | os.PathLike[str], seed: int = 0, size: int = 64) -> Path:
    """Write generated lung CT slices into one folder per class, with traps that are common in public data sets.

    The traps: classes of unequal size; several nearly identical slices of most patients; files copied under another
    patient's number, one of them into another class; a class that is stored in colour more often than the others; a
    damaged file; and a file that is not an image.

    Args:
        where: a folder that is empty or does not exist yet.
        seed: 0 or larger; the same seed gives the same images.
        size: side of the images in pixels, 32 to 512.

    Returns:
        The folder, with files such as ``normal/p017-2.png``: patient 17, slice 2.

    Raises:
        FileExistsError: the folder is not empty.
        ValueError: the seed or the size is out of range.
    """
    where = Path(where)
    if where.exists() and any(where.iterdir()):
        raise FileExistsError(f"{where} is not empty; give a new folder, so that it contains no other files")
    random = np.random.default_rng([seed, 7])
    pixels, labels, classes = make_phantoms("ct", 3 * max(_PATIENTS.values()), size=size, seed=seed)
    numbers = iter(random.permutation(np.arange(1, 200)).tolist())  # a patient's number does not reveal the class
    written: list[Path] = []
    for name, patients in _PATIENTS.items():
        (where / name).mkdir(parents=True)
        for picture in pixels[labels == classes.index(name)][:patients].numpy():
            patient = next(numbers)
            for part in range(1, 1 + int(random.integers(1, 4))):
                path = where / name / f"p{patient:03}-{part}.png"
                in_colour = random.random() < (0.8 if name == "covid-like" else 0.1)
                slice_ = Image.fromarray(_neighbour(picture, random))
                (slice_.convert("RGB") if in_colour else slice_).save(path)
                written.append(path)
    _add_traps(where, written, [next(numbers) for _ in range(_COPIES)], random)
    return where


def _neighbour(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return nearly the same image: shifted by up to 1/64 of its side, slightly brighter or darker, with new noise."""
    largest = max(1, round(len(picture) / 64))
    moved = np.roll(picture, random.integers(-largest, largest + 1, size=2), axis=(0, 1)).astype(np.float64)
    noise = random.normal(0, 3, picture.shape)
    return np.clip(moved * random.uniform(0.96, 1.04) + noise, 0, 255).astype(np.uint8)


def _add_traps(where: Path, written: Sequence[Path], numbers: Sequence[int], random: np.random.Generator) -> None:
    originals = random.choice(len(written), size=len(numbers), replace=False)
    for count, (number, original) in enumerate(zip(numbers, originals)):
        source = written[original]
        others = [name for name in _PATIENTS if name != source.parent.name]
        folder = where / others[0] if count == 0 else source.parent  # one copy gets another label
        (folder / f"p{number:03}-1.png").write_bytes(source.read_bytes())
    (where / "normal" / "damaged.png").write_bytes(written[0].read_bytes()[:60])
    (where / "normal" / "notes.txt").write_text("not an image\n", encoding="utf-8")
