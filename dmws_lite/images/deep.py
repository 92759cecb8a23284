"""Files of more than 8 bits per sample that Pillow reduces or garbles.

Pillow reads 16-bit grey as it is, but of 16-bit colour and of 16-bit grey with alpha only the upper bytes; it mixes up
16-bit planes, and large numbers of 32 bits become negative. Such files are decoded here, or refused with the reason.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # PNG colour type -> samples per pixel

# Interlaced PNG: first column and row, steps, of the seven passes.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class NotRead(ValueError):
    """A file is in a format that cannot be read right; the message says why."""


def deep_samples(content: bytes) -> np.ndarray | None:
    """Decode a file that Pillow would read wrong.

    Args:
        content: bytes of the file.

    Returns:
        Samples ``(H, W)`` or ``(H, W, channels)``; of two and four channels the last is alpha. ``None`` for every file
        that Pillow reads right.

    Raises:
        NotRead: the file is of such a kind but cannot be decoded.
    """
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and content[24] == 16 and content[25] in (2, 4, 6):
        return _png16(content)
    if content[:2] == b"P6":
        return _ppm(content)
    if content[:2] == b"\x01\xda" and content[3:4] == b"\x02" and content[10:12] > b"\0\1":
        raise NotRead("SGI image of 16 bits in colour; convert it to PNG or TIFF")
    place = content.find(b"\xff\x4f\xff\x51", 0, 512)  # JPEG 2000: the size marker
    if place >= 0 and len(content) > place + 43:
        components, depth = struct.unpack(">HB", content[place + 40 : place + 43])
        if components > 1 and (depth & 127) + 1 > 8:
            raise NotRead("JPEG 2000 of more than 8 bits in colour; convert it to PNG or TIFF")
    return None


MOST_SAMPLES = 60_000_000  # of more than 8 bits in colour: they are decoded in Python, at 8 bytes each, several times


def _check_samples(count: int) -> None:
    if count > MOST_SAMPLES:
        raise NotRead(
            f"{count:,} samples of more than 8 bits; at most {MOST_SAMPLES:,} are read: save it smaller, or with 8 bits"
        )


def _ppm(content: bytes) -> np.ndarray | None:
    head = re.match(rb"P6(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s", content)
    if not head or int(head[3]) < 256:
        return None
    width, height = int(head[1]), int(head[2])
    _check_samples(3 * width * height)
    values = np.frombuffer(content[head.end() :], ">u2")
    if len(values) < 3 * width * height:
        raise NotRead("truncated 16-bit PPM")
    return values[: 3 * width * height].reshape(height, width, 3).astype(np.uint16)


# -- PNG --------------------------------------------------------------------------------------------------------------


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG)
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length


def _png16(content: bytes) -> np.ndarray:
    """Decode a PNG of 16 bits per sample."""
    width, height, _, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    channels = _CHANNELS[colour]
    _check_samples(width * height * channels)
    most = 2 * (2 * channels * width + 1) * height + 2**16  # interlaced ones have a few bytes more than their samples
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(b"".join(data for kind, data in _chunks(content) if kind == b"IDAT"), most)
    except zlib.error as error:
        raise NotRead(f"damaged 16-bit PNG ({error})") from error
    image = np.zeros((height, width, channels), np.uint16)
    place = 0
    for x, y, step_x, step_y in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if columns <= 0 or rows <= 0:
            continue
        size = rows * (1 + 2 * channels * columns)
        if place + size > len(raw):
            raise NotRead("truncated 16-bit PNG")
        image[y::step_y, x::step_x] = _unfiltered(raw[place : place + size], rows, columns, channels)
        place += size
    return image[..., 0] if channels == 1 else image


def _unfiltered(raw: bytes, rows: int, columns: int, channels: int) -> np.ndarray:
    """Undo PNG's filters, row by row."""
    step = 2 * channels
    lines = np.frombuffer(raw, np.uint8).reshape(rows, 1 + step * columns)
    before = np.zeros((columns, step), np.uint8)
    out = np.empty((rows, columns, step), np.uint8)
    for row, line in enumerate(lines):
        kind, values = int(line[0]), line[1:].reshape(columns, step)
        if kind == 0:
            new = values
        elif kind == 1:
            new = np.cumsum(values, axis=0, dtype=np.uint8)
        elif kind == 2:
            new = values + before
        elif kind in (3, 4):
            new = _by_pixel(kind, values, before)
        else:
            raise NotRead(f"damaged 16-bit PNG (filter {kind})")
        out[row] = before = new
    return out.view(">u2").reshape(rows, columns, channels).astype(np.uint16)


def _by_pixel(kind: int, values: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Undo the filters that need the pixel to the left: average and Paeth."""
    out = []
    left = upper_left = [0] * values.shape[1]
    for now, up in zip(values.tolist(), above.tolist()):
        if kind == 3:
            left = [(v + (a + b) // 2) & 255 for v, a, b in zip(now, left, up)]
        else:
            left = [(v + _paeth(a, b, c)) & 255 for v, a, b, c in zip(now, left, up, upper_left)]
            upper_left = up
        out.append(left)
    return np.array(out, np.uint8)


def _paeth(a: int, b: int, c: int) -> int:
    near_a, near_b, near_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    if near_a <= near_b and near_a <= near_c:
        return a
    return b if near_b <= near_c else c


# -- TIFF -------------------------------------------------------------------------------------------------------------


def tiff_samples(content: bytes) -> np.ndarray:
    """Decode the first page of a TIFF with the package ``tifffile``.

    Raises:
        NotRead: the package or a codec is missing, or the file is damaged or of an unusual kind.
    """
    try:
        import tifffile
    except ImportError as error:
        raise NotRead("TIFF of more than 8 bits in colour, which needs: pip install 'dmws_lite[tiff]'") from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages[0]
            _check_samples(math.prod(page.shape))
            samples = np.asarray(page.asarray())
            axes, photometric = page.axes, int(page.photometric)
    except NotRead:
        raise
    except (ValueError, KeyError, TypeError, IndexError, struct.error, zlib.error, tifffile.TiffFileError) as error:
        if "imagecodecs" in str(error):
            raise NotRead("compressed TIFF of more than 8 bits, which needs: pip install imagecodecs") from error
        raise NotRead(f"TIFF cannot be decoded ({' '.join(str(error).split())})") from error
    samples = _channels_last(samples, axes)
    if samples.dtype.kind == "c":
        raise NotRead("TIFF of complex numbers")
    if photometric == 0:  # white is zero
        return np.iinfo(samples.dtype).max - samples if samples.dtype.kind == "u" else samples.max() - samples
    if photometric not in (1, 2):
        raise NotRead(f"TIFF of more than 8 bits in the colour space {photometric}; convert it to grey or RGB")
    return samples


def _channels_last(samples: np.ndarray, axes: str) -> np.ndarray:
    """Return ``(H, W)`` or ``(H, W, channels)``; of further axes (slices, times) the first entry is taken."""
    for place in reversed(range(len(axes))):
        if axes[place] not in "YXS":
            samples = samples.take(0, axis=place)
            axes = axes[:place] + axes[place + 1 :]
    if "S" in axes:
        samples = np.moveaxis(samples, axes.index("S"), -1)
        if samples.shape[-1] == 1:
            return samples[..., 0]
        if samples.shape[-1] > 4:
            raise NotRead(f"TIFF of {samples.shape[-1]} channels; keep one, or red, green and blue")
    return samples
