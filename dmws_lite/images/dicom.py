"""DICOM files as grey or colour samples: rescaled, windowed, the right way round. Needs the package ``pydicom``.

Of the header, only what the picture needs is used, and the patient's and series' number to keep a patient on one side
of a split. These numbers leave this module as a hash; no field of the header is written anywhere.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .deep import NotRead

if TYPE_CHECKING:
    from pydicom import Dataset

PIP = "pip install 'dmws_lite[dicom]'"

FROM_HEADER = "header:"  # begins what stands for a patient

_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OSError, RuntimeError)


@dataclass(frozen=True)
class Slice:
    """One slice or frame of a file.

    Attributes:
        samples: ``(H, W)`` float in 0 .. 1, or ``(H, W, 3)`` ``uint8``.
        kind: what the file holds, such as ``"DICOM MONOCHROME2 16"``.
        patient: hash of the patient's number, ``""`` where the header has none.
        frames: number of frames or slices in the file.
    """

    samples: np.ndarray
    kind: str
    patient: str = ""
    frames: int = 1


def is_dicom(start: bytes, name: str = "") -> bool:
    """Whether a file is DICOM, by its first bytes or by its name."""
    return start[128:132] == b"DICM" or name.lower().endswith((".dcm", ".dicom", ".ima"))


def _opened(content: bytes, pixels: bool = True) -> Dataset:
    try:
        import pydicom
    except ImportError as error:
        raise NotRead(f"DICOM, which needs: {PIP}") from error
    from pydicom.errors import InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers that bend the standard
            header = pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=not pixels)
            if "TransferSyntaxUID" not in header.file_meta:
                header.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    except (*_DAMAGE, InvalidDicomError, NotImplementedError) as error:
        raise NotRead("damaged DICOM") from error
    if "Rows" not in header or (pixels and "PixelData" not in header):
        raise NotRead("DICOM without an image")
    return header


def frame_count(content: bytes) -> int:
    """Return the number of frames of a DICOM file, 1 where it does not say.

    Raises:
        NotRead: it is no DICOM image, or the package is missing.
    """
    return int(_number(_opened(content, pixels=False), "NumberOfFrames") or 1)


def read_dicom(content: bytes, frame: int | None = None, window: tuple[float, float] | None = None) -> Slice:
    """Decode one frame.

    Grey values are multiplied by the rescale slope, moved by its intercept, and put through a window: the one given,
    else the header's first, else from the 0.5th to the 99.5th percentile. MONOCHROME1 is inverted, so that bright is
    much signal in every file.

    Args:
        content: bytes of the file.
        frame: number of the frame, from 0; ``None`` for the middle one.
        window: centre and width, in rescaled values such as Hounsfield units.

    Raises:
        NotRead: the package or a decoder is missing, the file is damaged, or of an unusual kind.
    """
    header = _opened(content)
    frames = int(_number(header, "NumberOfFrames") or 1)
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    values = _pixels(header)
    if frames > 1 and values.ndim >= 3:
        values = values[min(frames // 2 if frame is None else frame, len(values) - 1)]
    kind = f"DICOM {photometric} {int(_number(header, 'BitsStored') or 8)}"
    patient = _patient(header)
    if values.ndim == 3 or photometric == "PALETTE COLOR":
        return Slice(_colour(header, values, photometric), kind, patient, frames)
    if not photometric.startswith("MONOCHROME"):
        raise NotRead(f"DICOM in the colour space {photometric}; convert it to PNG")
    grey = _windowed(header, values.astype(np.float64), window)
    return Slice(1 - grey if photometric == "MONOCHROME1" else grey, kind, patient, frames)


def _pixels(header: Dataset) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(header.pixel_array)
    except (*_DAMAGE, NotImplementedError, ImportError) as error:
        syntax = header.file_meta.TransferSyntaxUID
        if syntax.is_compressed and not _can_decode(syntax):
            raise NotRead(f"DICOM, compressed as {syntax.name}, which needs: {PIP}") from error
        raise NotRead("damaged DICOM: its pixels cannot be decoded") from error


def _can_decode(syntax: str) -> bool:
    from pydicom.pixels import get_decoder

    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _colour(header: Dataset, values: np.ndarray, photometric: str) -> np.ndarray:
    """Return colour as RGB, 8 bits each; ``pixel_array`` has turned YBR into RGB already."""
    from pydicom.pixels import apply_color_lut

    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, header)
    if values.dtype == np.uint8:
        return values
    return (values.astype(np.float64) / max(1, np.iinfo(values.dtype).max) * 255 + 0.5).astype(np.uint8)


def _windowed(header: Dataset, values: np.ndarray, window: tuple[float, float] | None) -> np.ndarray:
    padding = _number(header, "PixelPaddingValue")
    empty = values == padding if padding is not None else np.zeros(values.shape, bool)
    values = values * (_number(header, "RescaleSlope") or 1) + (_number(header, "RescaleIntercept") or 0)
    centre, width = window or (_number(header, "WindowCenter"), _number(header, "WindowWidth"))
    if centre is not None and width is not None and width >= 1:
        low, high = centre - width / 2, centre + width / 2
    else:
        inside = values[~empty] if not empty.all() else values
        low, high = np.percentile(inside, (0.5, 99.5))
    if high <= low:
        high = low + 1
    return np.where(empty, 0.0, np.clip((values - low) / (high - low), 0, 1))


def _number(header: Dataset, name: str) -> float | None:
    """Return a number of the header, the first of several; ``None`` where there is none."""
    try:
        value = header.get(name)
        return float(value if isinstance(value, (int, float, str)) else value[0])
    except (TypeError, ValueError, IndexError):
        return None


def _patient(header: Dataset) -> str:
    """Return a hash of the patient's number, or else of the study's or series'."""
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
        value = str(header.get(name) or "").strip()
        if value:
            return FROM_HEADER + hashlib.sha256(f"{name} {value}".encode()).hexdigest()[:16]
    return ""
