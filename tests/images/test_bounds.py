"""Nothing among the images makes a command wait for ever, or takes all memory."""

import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from dmws_lite.cli import main
from dmws_lite.cli.common import confusion_lines
from dmws_lite.images.dataset import Images
from dmws_lite.images.decode import readable_formats
from dmws_lite.images.load import load_images
from dmws_lite.images.splits import split
from dmws_lite.images.survey import survey

SUFFIXES = readable_formats()[0]


@pytest.fixture
def two_classes(tmp_path):
    base = tmp_path / "images"
    for label, name in enumerate(("a", "b")):
        (base / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((40, 40), 40 * i + 10 * label, np.uint8)).save(base / name / f"{i}.png")
    return base


def read(base):
    return load_images("folder", base, size=32, progress=False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_and_devices_are_passed_over_and_counted(two_classes):
    os.mkfifo(two_classes / "a" / "pipe.png")
    os.mkfifo(two_classes / "a" / "without_a_suffix")
    (two_classes / "a" / "zero.png").symlink_to("/dev/zero")
    (two_classes / "b" / "itself.png").symlink_to("itself.png")
    started = time.monotonic()
    with pytest.warns(UserWarning, match="skipped 1 of 7"):
        images = read(two_classes)
    assert len(images) == 6 and time.monotonic() - started < 20
    assert any("3 pipes, devices and other special files" in note for note in images.notes)
    assert [name for name, _ in images.skipped] == ["b/itself.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_as_table_grid_or_record_is_one_line(two_classes, tmp_path, capsys):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for line in (["run", str(pipe)], ["look", str(two_classes), "--labels", str(pipe)]):
        assert main([*line]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: ")
    assert main(["records", "check", str(pipe)]) == 1
    assert "no regular file but a pipe" in capsys.readouterr().out


def test_links_that_branch_are_listed_once(tmp_path):
    deep = 18
    for level in range(deep):
        (tmp_path / f"d{level}").mkdir()
    for level in range(deep - 1):
        for name in ("left", "right"):
            (tmp_path / f"d{level}" / name).symlink_to(tmp_path / f"d{level + 1}")
    Image.new("L", (8, 8)).save(tmp_path / f"d{deep - 1}" / "x.png")
    started = time.monotonic()
    tree = survey(tmp_path / "d0", SUFFIXES)
    assert tree.total == 1 and time.monotonic() - started < 5
    assert tree.all_others()["links to a folder that was listed before"] == deep - 1


def test_a_link_to_a_class_elsewhere_is_followed(two_classes, tmp_path):
    (two_classes / "b").rename(tmp_path / "elsewhere")
    (two_classes / "b").symlink_to(tmp_path / "elsewhere")
    (two_classes / "a" / "up").symlink_to(two_classes)
    assert read(two_classes).counts() == {"a": 3, "b": 3}


def test_a_giant_16_bit_png_takes_little_memory(tmp_path):
    if sys.platform == "darwin":
        pytest.skip("counts memory in other units")
    side = 6000  # 36 million pixels: 72 MB as they are, 1.5 GB as it was done before
    code = (
        "import numpy as np, resource, sys; from pathlib import Path; from PIL import Image\n"
        "from dmws_lite.images.decode import read_file, readable_formats\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = read_file(Path(sys.argv[1]), 64, 'grey', 'stretch', readable_formats()[1])\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print((after - before) // 1024, found.array.max(), found.side)\n"
    )
    rows = np.linspace(0, 60000, side).astype(np.uint16)
    Image.fromarray(np.tile(rows, (side, 1))).save(tmp_path / "giant.png", compress_level=1)
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "giant.png")], capture_output=True, text=True, check=True
    )
    took, brightest, *_ = answer.stdout.split()
    assert int(brightest) > 250 and int(took) < 700, answer.stdout
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the unit is the same here


@pytest.mark.parametrize("colour", [2, 6])
def test_too_many_samples_in_colour_are_refused_before_they_are_unpacked(tmp_path, colour):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 9000, 9000, 16, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100)))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (40, 40)).save(tmp_path / name / "good.png")
    (tmp_path / "a" / "big.png").write_bytes(content + chunk(b"IEND", b""))
    with pytest.warns(UserWarning, match="samples of more than 8 bits; at most 60,000,000 are read"):
        images = read(tmp_path)
    assert len(images) == 2


def test_an_image_without_a_finite_pixel_is_not_read(two_classes):
    Image.fromarray(np.full((40, 40), np.nan, np.float32)).save(two_classes / "a" / "nan.tif")
    with pytest.warns(UserWarning, match="has no pixel that is a finite number"):
        images = read(two_classes)
    assert len(images) == 6


def test_thousands_of_classes_are_a_page_not_a_library():
    n, k = 4000, 2000
    pixels = torch.arange(n).view(n, 1, 1).expand(n, 8, 8).to(torch.uint8)
    names = tuple(f"class number {i}" for i in range(k))
    images = Images(pixels, torch.arange(n) % k, names, digests=tuple(map(str, range(n))))
    text = images.describe() + split(images, 1.0, test_share=0.5).describe()
    assert len(text) < 20_000 and "and 1,950 more classes, with 2 to 2 images each" in text
    matrix = np.zeros((k, k), int)
    matrix[3, 7] = 12
    shown = confusion_lines(names, matrix.tolist())
    assert len(shown) < 2000 and "class number 3" in shown and "12" in shown
    few = confusion_lines(["a", "b"], [[1, 2], [3, 4]])
    assert few.splitlines()[0].split() == ["truth", "\\", "predicted", "a", "b"]
