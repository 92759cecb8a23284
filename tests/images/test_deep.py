"""Every mode and depth shows the same scene with the same contrast, or is refused with the reason."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from dmws_lite.images.deep import deep_samples
from dmws_lite.images.load import load_images

tifffile = pytest.importorskip("tifffile")


def scene(top: int) -> np.ndarray:
    """A disc and a ramp, from 0 to ``top``."""
    y, x = np.mgrid[:48, :64]
    values = np.where((x - 20) ** 2 + (y - 24) ** 2 < 120, 1.0, x / 63)
    return np.floor(values * top + 0.5)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(values: np.ndarray, filters=(0,), interlaced=False) -> bytes:
    """Write a PNG of 16 bits, which Pillow cannot, with the given filters in turn."""
    height, width, channels = values.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for x, y, dx, dy in passes:
        part = values[y::dy, x::dx].astype(">u2")
        above = [0] * (2 * channels * part.shape[1])
        for number, row in enumerate(part):
            line, kind, step = list(row.tobytes()), filters[number % len(filters)], 2 * channels
            left = [0] * step + line[:-step]
            corner = [0] * step + above[:-step]
            guess = {
                0: [0] * len(line),
                1: left,
                2: above,
                3: [(a + b) // 2 for a, b in zip(left, above)],
                4: [
                    min((a, b, c), key=lambda v, a=a, b=b, c=c: abs(a + b - c - v))
                    for a, b, c in zip(left, above, corner)
                ],
            }[kind]
            raw += bytes([kind]) + bytes((v - g) & 255 for v, g in zip(line, guess))
            above = line
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def stack(top: int, channels: int, dtype=np.uint16) -> np.ndarray:
    values = scene(top).astype(dtype)
    alpha = [np.full_like(values, np.iinfo(dtype).max)] if channels in (2, 4) else []
    return np.dstack([values] * (3 if channels > 2 else 1) + alpha)


def tiff(path, values, **options):
    tifffile.imwrite(path, values, **options)


KINDS = {
    "grey 16, 12 bits": lambda path: Image.fromarray(scene(4095).astype(np.uint16)).save(path.with_suffix(".png")),
    "grey+alpha 16, 12 bits": lambda path: path.with_suffix(".png").write_bytes(png16(stack(4095, 2))),
    "rgb 16, 12 bits": lambda path: path.with_suffix(".png").write_bytes(png16(stack(4095, 3))),
    "rgba 16, 12 bits": lambda path: path.with_suffix(".png").write_bytes(png16(stack(4095, 4))),
    "rgb 16, 8 bits": lambda path: path.with_suffix(".png").write_bytes(png16(stack(255, 3))),
    "rgb 16, all filters": lambda path: path.with_suffix(".png").write_bytes(png16(stack(65535, 3), (0, 1, 2, 3, 4))),
    "rgb 16, interlaced": lambda path: path.with_suffix(".png").write_bytes(png16(stack(65535, 3), (4, 2), True)),
    "ppm 16": lambda path: path.with_suffix(".ppm").write_bytes(
        b"P6\n# made here\n64 48\n65535\n" + stack(4095, 3).astype(">u2").tobytes()
    ),
    "tiff rgb 16": lambda path: tiff(path.with_suffix(".tif"), stack(4095, 3), photometric="rgb"),
    "tiff rgb 16, planes": lambda path: tiff(
        path.with_suffix(".tif"), np.moveaxis(stack(60000, 3), -1, 0), photometric="rgb", planarconfig="separate"
    ),
    "tiff rgb 16, planes, zlib": lambda path: tiff(
        path.with_suffix(".tif"), np.moveaxis(stack(60000, 3), -1, 0), photometric="rgb", planarconfig="separate",
        compression="zlib",
    ),
    "tiff rgb 8, planes": lambda path: tiff(
        path.with_suffix(".tif"), np.moveaxis(stack(255, 3, np.uint8), -1, 0), photometric="rgb",
        planarconfig="separate",
    ),
    "tiff rgb 16, big-endian": lambda path: tiff(
        path.with_suffix(".tif"), stack(4095, 3), photometric="rgb", byteorder=">"
    ),
    "tiff uint32": lambda path: tiff(path.with_suffix(".tif"), scene(4_000_000_000).astype(np.uint32)),
    "tiff int16": lambda path: tiff(path.with_suffix(".tif"), (scene(4000) - 2000).astype(np.int16)),
    "tiff float64": lambda path: tiff(path.with_suffix(".tif"), scene(1000) / 7),
    "tiff float16": lambda path: tiff(path.with_suffix(".tif"), (scene(2000) / 2000).astype(np.float16)),
    "tiff rgb float32": lambda path: tiff(
        path.with_suffix(".tif"), (stack(1000, 3) / 7).astype(np.float32), photometric="rgb"
    ),
    "tiff, white is zero": lambda path: tiff(
        path.with_suffix(".tif"), 65535 - scene(65535).astype(np.uint16), photometric="miniswhite"
    ),
    "bigtiff": lambda path: tiff(path.with_suffix(".tif"), stack(4095, 3), photometric="rgb", bigtiff=True),
    "tiff, a stack of slices": lambda path: tiff(
        path.with_suffix(".tif"), np.stack([scene(4095)] * 5).astype(np.uint16), photometric="minisblack"
    ),
}  # fmt: skip


def read(folder, **options):
    for name in ("b/other.png", "a/8.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(scene(255).astype(np.uint8)).save(folder / name)
    return load_images("folder", folder, size=32, progress=False, **options)


@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("name", KINDS)
def test_every_depth_shows_the_same_scene(name, colour, tmp_path):
    (tmp_path / "a").mkdir()
    KINDS[name](tmp_path / "a" / "x")
    images = read(tmp_path, colour=colour)
    assert not images.skipped and images.files[0] == "a/8.png"
    difference = (images.pixels[0].int() - images.pixels[1].int()).abs()
    assert difference.max() <= 2, f"{name}: {difference.float().mean():.1f} grey levels apart on average"


def test_alpha_is_composited_on_black(tmp_path):
    values = stack(4095, 2)
    values[:, 32:, 1] = 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(png16(values))
    picture = read(tmp_path).pixels[1]
    assert picture[:, 17:].max() == 0 and picture.max() == 255


def test_what_cannot_be_read_right_is_refused_with_the_reason(tmp_path):
    (tmp_path / "a").mkdir()
    whole = png16(stack(4095, 3))
    (tmp_path / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    tiff(tmp_path / "a" / "many.tif", np.zeros((20, 24, 7), np.uint16), photometric="minisblack", planarconfig="contig")
    with pytest.warns(UserWarning, match="skipped 2 of 4"):
        images = read(tmp_path)
    reasons = dict(images.skipped)
    assert "16-bit PNG" in reasons["a/cut.png"] and "TIFF of 7 channels" in reasons["a/many.tif"]


def test_without_tifffile_the_pip_line_is_said(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    tiff(tmp_path / "a" / "x.tif", stack(4095, 3), photometric="rgb")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.warns(UserWarning, match=r"pip install 'dmws_lite\[tiff\]'"):
        read(tmp_path)


def test_ordinary_files_are_left_to_pillow():
    assert deep_samples(b"\xff\xd8\xff rest") is None and deep_samples(b"P6\n2 2\n255\n" + bytes(12)) is None
    assert torch.equal(
        torch.from_numpy(deep_samples(png16(stack(9, 3))).astype(int)), torch.from_numpy(stack(9, 3).astype(int))
    )
