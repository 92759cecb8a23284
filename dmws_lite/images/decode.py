"""From an image file of any colour mode, bit depth and size that Pillow reads to one ``uint8`` array."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from tqdm.auto import tqdm

from .._sealed import Damaged
from .._sealed import read_file as read_regular
from .._system import available_processors
from .dataset import half_up
from .deep import NotRead, deep_samples, tiff_samples
from .dicom import is_dicom, read_dicom
from .nifti import is_nifti, read_nifti

COLOURS = ("grey", "rgb")

FITS = ("stretch", "pad", "crop")

# Pillow hands these to Ghostscript, or recognises them without being able to decode them.
_NOT_READ = frozenset({"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"})

# Exceptions that Pillow's readers are known to raise on damaged files; their only common base is Exception.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_ORIENTATION = 0x0112  # EXIF tag

_BITS, _SAMPLES, _FORMAT = 258, 277, 339  # TIFF tags

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PHOTOMETRIC = 262  # TIFF tag; 0 = white is zero


@functools.cache
def readable_formats() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the file suffixes (lower case, with the dot) and the Pillow formats that are read."""
    extensions = Image.registered_extensions()  # loads all of Pillow's plugins
    formats = [name for name in Image.OPEN if name not in _NOT_READ]
    formats.sort(key=lambda name: name not in ("JPEG", "PNG"))  # try the common ones first
    return frozenset(suffix for suffix, name in extensions.items() if name in formats), tuple(formats)


@dataclass(frozen=True)
class Decoded:
    """One image as read from its file.

    Attributes:
        array: ``uint8``, ``(size, size)`` or ``(3, size, size)``.
        digest: SHA-256 of the file's bytes.
        mode: Pillow's colour mode before conversion.
        deep: the file has more than 8 bits per sample.
        frames: the file has more than one frame; the first one was read.
        patient: what stands for the patient in the file's header, ``""`` where it says nothing.
        side: width and height of the file in pixels.
        slices: number of slices or frames in a DICOM or NIfTI file.
    """

    array: np.ndarray = field(repr=False)
    digest: str
    mode: str
    deep: bool = False
    frames: bool = False
    patient: str = ""
    side: tuple[int, int] = (0, 0)
    slices: int = 1


_LARGEST_FILE = 4 * 2**30  # bytes

_GIANT = 25_000_000  # pixels; of larger pictures one is decoded at a time

_giants = threading.Lock()


@contextlib.contextmanager
def _one_giant(side: tuple[int, int]) -> Iterator[None]:
    """Wait for other threads that decode a giant picture: several at once could need more memory than there is."""
    with _giants if side[0] * side[1] > _GIANT else contextlib.nullcontext():
        yield


class _Unreadable(Exception):
    """A file cannot be read; the message says why."""


def read_file(
    path: Path,
    size: int,
    colour: str,
    fit: str,
    formats: Sequence[str],
    frame: int | None = None,
    axis: str = "axial",
    window: tuple[float, float] | None = None,
) -> Decoded:
    """Read and decode one file; see :func:`dmws_lite.images.load.load_images` for the steps.

    Args:
        path: of the file.
        size: side of the square result in pixels.
        colour: ``"grey"`` or ``"rgb"``.
        fit: ``"stretch"``, ``"pad"`` or ``"crop"``.
        formats: Pillow's names of the formats to try, in order.
        frame: of DICOM and NIfTI, the number of the slice; ``None`` for the middle one.
        axis: of NIfTI: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        window: of DICOM and NIfTI, centre and width; ``None`` for the file's own.

    Raises:
        _Unreadable: the file cannot be read; :func:`read_all` collects these.
    """
    try:
        content = read_regular(path, _LARGEST_FILE)
    except Damaged as error:
        raise _Unreadable(str(error).removeprefix(f"{path} ")) from error
    except OSError as error:
        raise _Unreadable(error.strerror or str(error)) from error
    if not content:
        raise _Unreadable("empty file")
    if is_nifti(path.name) or is_dicom(content, path.name):
        return _medical(path, content, size, colour, fit, frame, axis, window)
    try:
        with Image.open(io.BytesIO(content), formats=formats) as picture, _one_giant(picture.size):
            mode, side = picture.mode, picture.size
            samples = tiff_samples(content) if _needs_tifffile(picture) else deep_samples(content)
            if samples is not None:
                array = finish_samples(samples, size, colour, fit)
                kind = f"{mode} of {8 * samples.dtype.itemsize} bits"
                return Decoded(array, hashlib.sha256(content).hexdigest(), kind, True, side=side)
            if picture.format in ("JPEG", "MPO"):
                # "L" skips the colour planes; the scaled size stays at least three times the target (see load_images).
                picture.draft("L" if colour == "grey" else None, (3 * size, 3 * size))
            picture.load()
            deep = _is_deep(picture.mode)
            frames = picture.format not in ("JPEG", "MPO") and bool(getattr(picture, "is_animated", False))
            array = finish_picture(picture, size, colour, fit)
    except MemoryError as error:
        raise _Unreadable("needs more memory than there is; save it with fewer pixels") from error
    except Image.UnidentifiedImageError as error:
        if content.startswith(_TIFF):
            return _tiff_only(content, size, colour, fit)
        raise _Unreadable("not in an image format that Pillow recognises") from error
    except Image.DecompressionBombError as error:
        raise _Unreadable(
            f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; save it with fewer, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS in Python"
        ) from error
    except _DAMAGE as error:
        raise _Unreadable(str(error) or type(error).__name__) from error
    return Decoded(array, hashlib.sha256(content).hexdigest(), mode, deep, frames, side=side)


def _medical(
    path: Path,
    content: bytes,
    size: int,
    colour: str,
    fit: str,
    frame: int | None,
    axis: str,
    window: tuple[float, float] | None,
) -> Decoded:
    """Read one slice of a DICOM or NIfTI file."""
    try:
        if is_nifti(path.name):
            found = read_nifti(path, frame, axis, window)
        else:
            found = read_dicom(content, frame, window)
    except NotRead as error:
        raise _Unreadable(str(error)) from error
    samples = found.samples
    if samples.dtype != np.uint8:
        samples = np.floor(samples * 255 + 0.5).astype(np.uint8)
    digest = hashlib.sha256(content + (f"slice {frame}".encode() if frame is not None else b"")).hexdigest()
    array = finish_picture(Image.fromarray(np.ascontiguousarray(samples)), size, colour, fit)
    side = samples.shape[1], samples.shape[0]
    return Decoded(array, digest, found.kind, patient=found.patient, side=side, slices=found.frames)


def _needs_tifffile(picture: Image.Image) -> bool:
    """Whether Pillow reads a TIFF wrong: several samples of more than 8 bits, or unsigned ones of 32."""
    if picture.format != "TIFF":
        return False
    tags = picture.tag_v2
    bits = max(tags.get(_BITS, (1,)) or (1,))
    unsigned = 1 in (tags.get(_FORMAT) or (1,))
    return bits > 8 and (tags.get(_SAMPLES, 1) > 1 or (bits >= 32 and unsigned))


def _tiff_only(content: bytes, size: int, colour: str, fit: str) -> Decoded:
    """Read a TIFF that Pillow does not know."""
    try:
        samples = tiff_samples(content)
        array = finish_samples(samples, size, colour, fit)
    except NotRead as error:
        raise _Unreadable(str(error)) from error
    side = samples.shape[1], samples.shape[0]
    kind = f"TIFF of {8 * samples.dtype.itemsize} bits"
    return Decoded(array, hashlib.sha256(content).hexdigest(), kind, samples.dtype.itemsize > 1, side=side)


def finish_samples(samples: np.ndarray, size: int, colour: str, fit: str) -> np.ndarray:
    """Convert samples of any depth to ``uint8`` of shape ``(size, size)`` or ``(3, size, size)``.

    Args:
        samples: ``(H, W)``, or ``(H, W, 2)`` or ``(H, W, 4)`` with alpha last, or ``(H, W, 3)``. Grey or all colours
            together are scaled so that the minimum becomes 0 and the maximum 255; alpha is composited on black.
        size: side of the square result in pixels.
        colour: ``"grey"`` or ``"rgb"``.
        fit: ``"stretch"``, ``"pad"`` or ``"crop"``.
    """
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        top = np.iinfo(samples.dtype).max if samples.dtype.kind in "ui" else 1.0
        alpha = np.clip(samples[..., -1:].astype(np.float64) / top, 0, 1)
        values = samples[..., :-1].astype(np.float64)
        hidden = np.broadcast_to(alpha == 0, values.shape)
        values = np.floor(_stretch(np.where(hidden, np.nan, values)) * alpha + 0.5).astype(np.uint8)
    else:
        values = _stretch(samples) if samples.dtype != np.uint8 else samples
    picture = Image.fromarray(np.ascontiguousarray(values[..., 0] if values.shape[2:] == (1,) else values))
    return finish_picture(picture, size, colour, fit)


def finish_picture(picture: Image.Image, size: int, colour: str, fit: str) -> np.ndarray:
    """Convert a decoded image of any mode to ``uint8`` of shape ``(size, size)`` or ``(3, size, size)``."""
    mode = "L" if colour == "grey" else "RGB"
    picture = _upright(picture)
    if _is_deep(picture.mode):
        tags = getattr(picture, "tag_v2", {})  # Pillow inverts white-is-zero TIFFs of 8 bits, but not those of 16
        picture = Image.fromarray(_stretch(np.asarray(picture), inverted=tags.get(_PHOTOMETRIC) == 0))
    elif picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        if picture.mode == "La":
            picture = picture.convert("LA")
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB")
    elif picture.mode == "LAB":
        profile = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        picture = ImageCms.profileToProfile(picture, *profile, outputMode="RGB")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")  # Pillow cannot convert palettes, CMYK, YCbCr, HSV or 1 bit to every mode
    picture = _fit(picture.convert(mode), size, fit)
    array = np.asarray(picture)
    return array if mode == "L" else array.transpose(2, 0, 1)


def _is_deep(mode: str) -> bool:
    return mode in ("I", "F") or mode.startswith("I;")


def _stretch(values: np.ndarray, inverted: bool = False) -> np.ndarray:
    """Scale the range from minimum to maximum to 0..255; non-finite values become the minimum.

    It is done a million values at a time: the numbers in between take eight bytes each, several times over.

    Raises:
        NotRead: not one value is finite.
    """
    rows = np.ascontiguousarray(values).reshape(-1)
    parts = [slice(start, start + 2**20) for start in range(0, rows.size, 2**20)]
    ranges = [(part.min(), part.max()) for part in (_finite(rows[each]) for each in parts) if part.size]
    if not ranges:
        raise NotRead("has no pixel that is a finite number")
    low, high = float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))
    scaled = np.zeros(rows.shape, np.uint8)
    if high == low:
        return scaled.reshape(values.shape)
    for each in parts:
        part = rows[each].astype(np.float64)
        part = np.where(np.isfinite(part), part, low)
        # Halves, so that the range of the largest numbers is finite too.
        part = (part / 2 - low / 2) / (high / 2 - low / 2)
        scaled[each] = np.floor(part * 255 + 0.5).astype(np.uint8)
    return (255 - scaled if inverted else scaled).reshape(values.shape)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def _upright(picture: Image.Image) -> Image.Image:
    try:
        turned = picture.getexif().get(_ORIENTATION, 1) != 1
    except _DAMAGE:  # the image is readable although its metadata are damaged
        return picture
    return ImageOps.exif_transpose(picture) if turned else picture


def _fit(picture: Image.Image, size: int, fit: str) -> Image.Image:
    width, height = picture.size
    if (width, height) == (size, size):
        return picture
    bilinear = Image.Resampling.BILINEAR  # antialiased in Pillow, without overshoot at edges
    if fit == "stretch":
        return picture.resize((size, size), bilinear)
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return picture.resize((size, size), bilinear, box=(left, top, left + side, top + side))
    scale = size / max(width, height)
    inner = max(1, half_up(width * scale)), max(1, half_up(height * scale))
    framed = Image.new(picture.mode, (size, size))
    framed.paste(picture.resize(inner, bilinear), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return framed


def read_all(
    n: int, job: Callable[[int], Decoded], size: int, colour: str, workers: int | None, progress: bool, title: str
) -> tuple[torch.Tensor, list[Decoded], dict[int, str]]:
    """Run ``job`` for 0..n-1 in threads.

    Args:
        n: number of images.
        job: reads the image with a given index.
        size: side of the images in pixels.
        colour: ``"grey"`` or ``"rgb"``.
        workers: number of threads; ``None`` for one per usable core, at most 8.
        progress: show a progress bar.
        title: label of the progress bar.

    Returns:
        Pixels of the images that could be read, ``uint8`` ``(N, size, size)`` or ``(N, 3, size, size)``; what is known
        about each of them, without its array; and index -> reason for those that failed.

    Raises:
        MemoryError: the tensor would not fit in this machine's memory.
    """
    shape = (n, size, size) if colour == "grey" else (n, 3, size, size)
    _check_memory(shape)
    pixels = torch.empty(shape, dtype=torch.uint8)
    rows = pixels.numpy()
    failed: dict[int, str] = {}
    facts: dict[int, Decoded] = {}

    def store(index: int) -> tuple[int, Decoded | str]:
        try:
            read = job(index)
        except _Unreadable as error:
            return index, " ".join(str(error).split())
        rows[index] = read.array
        return index, replace(read, array=rows[:0])

    # Warning filters belong to the process, so they are set outside the threads. Pillow warns about every odd file
    # (size, metadata), which would bury the one warning that lists the unreadable files.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers or _usable_cores()) as pool:
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\b")
        try:
            for index, result in tqdm(
                pool.map(store, range(n)), total=n, desc=title, unit="image", disable=not progress, leave=False
            ):
                if isinstance(result, str):
                    failed[index] = result
                else:
                    facts[index] = result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for thousands of files
            raise
    for row, index in enumerate(sorted(facts)):  # close the gaps in place: a second tensor may not fit in memory
        if row != index:
            rows[row] = rows[index]
    return pixels[: len(facts)], [facts[i] for i in sorted(facts)], failed


def _usable_cores() -> int:
    return min(8, available_processors())


def _check_memory(shape: Sequence[int]) -> None:
    """Refuse tensors larger than the machine's memory; otherwise Linux would kill the process without a message."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = int(np.prod([int(side) for side in shape], dtype=object))
    if 0 < installed < needed:
        raise MemoryError(
            f"{shape[0]:,} images of {shape[-1]} x {shape[-2]} need {needed / 1e9:.1f} GB, but this machine has "
            f"{installed / 1e9:.1f} GB; choose a smaller size, or limit= for fewer images per class"
        )
