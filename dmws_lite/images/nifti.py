"""NIfTI volumes as slices of a named axis. Needs the package ``nibabel``."""

from __future__ import annotations

import functools
import gzip
import zlib
from pathlib import Path

import numpy as np

from .deep import NotRead
from .dicom import Slice

PIP = "pip install 'dmws_lite[nifti]'"

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}


def is_nifti(name: str) -> bool:
    """Whether a file is NIfTI, by its name."""
    return name.lower().endswith((".nii", ".nii.gz"))


@functools.lru_cache(maxsize=2)  # all slices of a file follow one another
def _volume(path: Path) -> np.ndarray:
    """Return the first volume of a file, ``(X, Y, Z)`` from left to right, back to front, feet to head."""
    try:
        import nibabel
    except ImportError as error:
        raise NotRead(f"NIfTI, which needs: {PIP}") from error
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, ValueError, KeyError, TypeError, EOFError, OSError, gzip.BadGzipFile, zlib.error) as error:
        raise NotRead("damaged NIfTI") from error
    if values.dtype.kind not in "iuf":
        raise NotRead("NIfTI of colours or complex numbers; convert it to one grey value per voxel")
    while values.ndim > 3:
        values = values[..., 0]
    if values.ndim != 3:
        raise NotRead(f"NIfTI of {values.ndim} dimensions; a volume has three")
    return values


def slice_count(path: Path, axis: str = "axial") -> int:
    """Return the number of slices of a volume along an axis.

    Raises:
        NotRead: the file cannot be read, or the package is missing.
    """
    return _volume(path).shape[AXES[axis]]


def read_nifti(
    path: Path, frame: int | None = None, axis: str = "axial", window: tuple[float, float] | None = None
) -> Slice:
    """Return one slice, head or front up, scaled by the window or the whole volume's 0.5th and 99.5th percentile.

    Args:
        path: of a ``.nii`` or ``.nii.gz`` file; of several volumes the first is taken.
        frame: number of the slice, from 0; ``None`` for the middle one.
        axis: ``"axial"``, ``"coronal"`` or ``"sagittal"``, by the orientation in the header.
        window: centre and width.

    Raises:
        NotRead: the file cannot be read, or the package is missing.
    """
    values = _volume(path)
    number = values.shape[AXES[axis]]
    picture = np.rot90(values.take(min(number // 2 if frame is None else frame, number - 1), AXES[axis]))
    if window:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
    else:
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0, 1)
    scaled = (np.nan_to_num(picture.astype(np.float64), nan=low) - low) / (high - low if high > low else 1)
    return Slice(np.clip(scaled, 0, 1), f"NIfTI {values.dtype}", frames=number)
