"""Generated phantoms: the default images of the project. No picture made here comes from a patient.

Three kinds, each with its own module that states the physics: simulated chest X-rays (:mod:`.xray`), simulated lung CT
slices (:mod:`.ct`) and simulated brain MRI slices (:mod:`.mri`). The class names end in "-like" because a phantom shows
a drawn pattern that resembles a disease, not a disease. All classes share the same anatomy, positioning, noise and
harmless extras; lesions run from obvious to hardly visible.

Every image has its own random generator, seeded with (seed, kind, number of the image). So the same seed gives the
same bytes, and a longer request starts with the images of a shorter one.
"""

from __future__ import annotations

import numbers

import numpy as np
import torch
from tqdm.auto import tqdm

from . import ct, mri, xray
from ._field import PixelGrid

PHANTOM_CLASSES: dict[str, tuple[str, ...]] = {"xray": xray.CLASSES, "ct": ct.CLASSES, "mri": mri.CLASSES}

_DRAW = {"xray": xray.xray, "ct": ct.ct, "mri": mri.mri}
_KIND_NUMBER = {"xray": 1, "ct": 2, "mri": 3}  # part of the seed: never renumber, or all pictures change
_SMALLEST, _LARGEST = 32, 512


def _whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _check(kind: str, n: int, size: int, seed: int) -> None:
    if not isinstance(kind, str) or kind not in PHANTOM_CLASSES:
        raise ValueError(f"unknown phantom kind {kind!r}; choose one of 'xray', 'ct' or 'mri'")
    classes = len(PHANTOM_CLASSES[kind])
    if not _whole(n) or n < classes:
        raise ValueError(
            f"n={n!r} phantoms of kind {kind!r} cannot be made; "
            f"ask for a whole number of at least {classes}, one for each class"
        )
    if not _whole(size) or not _SMALLEST <= size <= _LARGEST:
        raise ValueError(
            f"phantom size={size!r} is outside the allowed range; "
            f"give a whole number of pixels from {_SMALLEST} to {_LARGEST}, for example 112"
        )
    if not _whole(seed) or seed < 0:
        raise ValueError(f"seed={seed!r} is not usable; give a whole number of 0 or more, for example 0")


def _labels(kind: str, n: int, seed: int) -> np.ndarray:
    """Class numbers (n,): one shuffled round of all classes after another, so every prefix is balanced."""
    classes = len(PHANTOM_CLASSES[kind])
    rounds = []
    for number in range(-(-n // classes)):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, _KIND_NUMBER[kind], 0, number))))
        rounds.append(rng.permutation(classes))
    return np.concatenate(rounds)[:n]


def make_phantoms(
    kind: str, n: int, size: int = 112, seed: int = 0, progress: bool = False
) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Make ``n`` phantom images with labels.

    Args:
        kind: "xray" (simulated chest X-rays, 4 classes), "ct" (simulated lung CT slices, 3 classes) or
            "mri" (simulated brain MRI slices, 4 classes); names in ``PHANTOM_CLASSES``.
        n: number of images, at least one for each class.
        size: pixels along a side, 32 to 512. One seed shows the same anatomy at every size.
        seed: whole number >= 0; the same seed gives the same bytes.
        progress: show a progress bar.

    Returns:
        pixels uint8 (n, size, size), labels int64 (n,), class names. Class counts differ by at most one, in every
        prefix; image i depends on (kind, seed, i, size) only. Memory is that of the result plus one image.

    Raises:
        ValueError: an argument is outside the ranges above.

    Example:
        >>> from dmws_lite.images.phantoms import make_phantoms
        >>> pixels, labels, classes = make_phantoms("ct", 3, size=32)
        >>> pixels.shape, sorted(labels.tolist()), classes
        (torch.Size([3, 32, 32]), [0, 1, 2], ('cap-like', 'covid-like', 'normal'))
    """
    _check(kind, n, size, seed)
    draw, grid = _DRAW[kind], PixelGrid(int(size))
    labels = _labels(kind, int(n), int(seed))
    pixels = np.empty((n, size, size), np.uint8)
    for i in tqdm(range(int(n)), desc=f"{kind} phantoms", unit="image", disable=not progress):
        source = np.random.SeedSequence((int(seed), _KIND_NUMBER[kind], 1, i))
        image = draw(grid, int(labels[i]), np.random.Generator(np.random.PCG64(source)))
        pixels[i] = np.rint(np.clip(image, 0, 1) * 255)
    return torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)), PHANTOM_CLASSES[kind]
