"""Reading of image files of every kind, and splits that keep copies together."""

import hashlib
import itertools
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmws_lite.images.dataset import Images
from dmws_lite.images.decode import FITS, _stretch
from dmws_lite.images.deep import NotRead
from dmws_lite.images.load import load_images
from dmws_lite.images.sets import SETS
from dmws_lite.images.splits import SPLIT_RULES, split

QUIET = {"progress": False}

LAYOUTS = [name for name, each in SETS.items() if each.layout]


def ramp(height=24, width=32, top=255, dtype=np.uint8):
    """A horizontal ramp from 0 to ``top``: its order survives any correct conversion."""
    return np.repeat(np.linspace(0, top, width)[None], height, axis=0).astype(dtype)


def save(path: Path, value=None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = value if isinstance(value, Image.Image) else Image.fromarray(ramp() if value is None else value)
    picture.save(path, **options)
    return path


def noise(path: Path, seed: int, **options) -> Path:
    return save(path, np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8), **options)


def tree(root: Path, counts: dict[str, int], suffix=".png", start=0) -> Path:
    """Write noise images, all different, into ``root/<class>``."""
    seed = start
    for folder, count in counts.items():
        for i in range(count):
            noise(root / folder / f"{i:03}{suffix}", seed)
            seed += 1
    return root


def read_one(tmp_path: Path, path: Path, **options) -> Images:
    """Read ``path`` (below tmp_path/set/a) beside one image of a second class; the result's first image is it."""
    if not (tmp_path / "set" / "b").exists():
        noise(tmp_path / "set" / "b" / "other.png", 0)
    return load_images("folder", tmp_path / "set", **{"size": 32, **QUIET, **options})


def fake(labels, digests, classes=None) -> Images:
    labels = torch.tensor(labels)
    classes = classes or tuple(f"c{i}" for i in range(int(labels.max()) + 1))
    return Images(torch.zeros(len(labels), 8, 8, dtype=torch.uint8), labels, classes, "fake", tuple(digests))


# ------------------------------------------------------------------------------------------ modes, depths, file types

GREY = Image.fromarray(ramp())
RGB = GREY.convert("RGB")
DEEP = ramp(top=4095, dtype=np.uint16)  # 12 bits in 16, as scanners write it
LAYER = Image.merge("RGBA", [*RGB.split(), Image.new("L", RGB.size, 255)])

KINDS = {
    "1.png": (GREY.convert("1"), {}),
    "L.png": (GREY, {}),
    "LA.png": (GREY.convert("LA"), {}),
    "P.png": (GREY.convert("P"), {}),
    "RGB.png": (RGB, {}),
    "RGBA.png": (LAYER, {}),
    "L.jpg": (GREY, {"quality": 95}),
    "RGB.JPG": (RGB, {"quality": 95}),
    "CMYK.jpg": (RGB.convert("CMYK"), {"quality": 95}),
    "16bit.png": (Image.fromarray(DEEP), {}),
    "16bit.tif": (Image.fromarray(DEEP), {}),
    "32bit.tif": (Image.fromarray(ramp(top=70000, dtype=np.int32)), {}),
    "float.tiff": (Image.fromarray(ramp(top=1, dtype=np.float32) - 0.5), {}),
    "lab.tif": (None, {}),
    "L.gif": (GREY, {}),
    "RGB.bmp": (RGB, {}),
    "RGB.webp": (RGB, {"lossless": True}),
    "RGBA.webp": (LAYER, {"lossless": True}),
    "deep.pgm": (Image.fromarray(DEEP), {}),
    "RGB.tga": (RGB, {}),
    "RGB.jp2": (RGB, {}),
}


@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_shows_the_same_ramp(tmp_path, name, colour):
    picture, options = KINDS[name]
    if picture is None:
        neutral = Image.new("L", GREY.size, 128)
        picture = Image.merge("LAB", [GREY, neutral, neutral])
    path = save(tmp_path / "set" / "a" / name, picture, **options)
    images = read_one(tmp_path, path, colour=colour)
    assert images.pixels.dtype == torch.uint8
    assert images.pixels.shape == ((2, 32, 32) if colour == "grey" else (2, 3, 32, 32))
    picture = images.pixels[0].float()
    columns = picture.reshape(-1, 32, 32).mean((0, 1))
    if name == "1.png":
        assert columns[:8].mean() < 60 < 190 < columns[-8:].mean()
        return
    tolerance = {"lab.tif": 25, "CMYK.jpg": 6}.get(name, 3)
    assert torch.allclose(columns, torch.linspace(0, 255, 32), atol=tolerance)
    assert images.files[0] == f"a/{name}"
    assert images.digests[0] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_twelve_bit_data_are_not_black_and_this_is_said(tmp_path):
    images = read_one(tmp_path, save(tmp_path / "set" / "a" / "x.png", DEEP))
    assert images.pixels[0].max() == 255
    assert images.modes[0].startswith("I")
    assert any("more than 8 bits" in note for note in images.notes)


def test_deep_images_constant_not_finite_and_white_is_zero(tmp_path):
    assert _stretch(np.full((2, 2), 7.0)).max() == 0
    with pytest.raises(NotRead, match="no pixel that is a finite number"):
        _stretch(np.array([[np.nan, np.nan]]))
    assert _stretch(np.array([[np.nan, -1.0, np.inf, 1.0]])).tolist() == [[0, 0, 0, 255]]
    assert _stretch(np.array([[2**31 - 256, 2**31 - 1]], dtype=np.int64)).tolist() == [[0, 255]]
    path = save(tmp_path / "set" / "a" / "x.tif", Image.fromarray(DEEP), tiffinfo={262: 0})
    with Image.open(path) as picture:
        assert picture.tag_v2[262] == 0
    columns = read_one(tmp_path, path).pixels[0].float().mean(0)
    assert columns[0] > 250 and columns[-1] < 5


def test_transparency_is_black(tmp_path):
    white = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    save(tmp_path / "set" / "a" / "1.png", white)
    save(tmp_path / "set" / "a" / "2.png", white.convert("LA"))
    save(tmp_path / "set" / "a" / "3.png", palette, transparency=1)
    save(tmp_path / "set" / "a" / "4.gif", palette, transparency=1)
    save(tmp_path / "set" / "a" / "5.png", Image.new("L", (16, 16), 200), transparency=200)
    save(tmp_path / "set" / "a" / "6.png", Image.new("RGBA", (16, 16), (255, 255, 255, 128)))
    images = read_one(tmp_path, tmp_path)
    assert images.pixels[:5].max() == 0
    assert 126 <= int(images.pixels[5].float().mean()) <= 130


def test_exif_orientation_is_applied_and_damaged_exif_is_harmless(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the ramp runs the other way
    images = read_one(tmp_path, save(tmp_path / "set" / "a" / "x.jpg", GREY, exif=exif, quality=95))
    assert images.pixels[0, :, 0].min() > 240 and images.pixels[0, :, -1].max() < 15
    path = save(tmp_path / "set" / "a" / "x.jpg", GREY, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95)
    assert read_one(tmp_path, path).pixels[0, :, 0].max() < 15


def test_several_frames_first_is_read_and_noted(tmp_path):
    frames = [Image.new("L", (16, 16), level) for level in (10, 200)]
    save(tmp_path / "set" / "a" / "x.tif", frames[0], save_all=True, append_images=frames[1:])
    save(tmp_path / "set" / "a" / "y.gif", frames[0], save_all=True, append_images=frames[1:])
    images = read_one(tmp_path, tmp_path)
    assert images.pixels[:2].unique().tolist() == [10]
    assert any(note.startswith("2 files have several frames") for note in images.notes)


def test_grey_removes_the_colour_mode_of_the_file(tmp_path):
    save(tmp_path / "set" / "a" / "1.png", GREY)
    save(tmp_path / "set" / "a" / "2.png", RGB)
    images = read_one(tmp_path, tmp_path)
    assert torch.equal(images.pixels[0], images.pixels[1])
    assert images.modes[:2] == ("L", "RGB")
    assert re.search(r"a +L 1, RGB 1", images.describe())


def test_large_jpeg_is_reduced_without_visible_difference(tmp_path):
    smooth = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)).resize((600, 600), 3)
    path = save(tmp_path / "set" / "a" / "x.jpg", smooth.convert("RGB"), quality=95)
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(read_one(tmp_path, path).pixels[0].numpy() - expected).max() <= 2


def test_fit(tmp_path):
    wide = np.zeros((20, 60), np.uint8)
    wide[:, :20], wide[:, 20:40], wide[:, 40:] = 50, 100, 150
    path = save(tmp_path / "set" / "a" / "x.png", wide)
    stretched = read_one(tmp_path, path, size=30).pixels[0]
    assert stretched[15, [2, 15, 27]].tolist() == [50, 100, 150]
    padded = read_one(tmp_path, path, size=30, fit="pad").pixels[0]
    assert padded[[2, 27]].max() == 0 and padded[15, [2, 15, 27]].tolist() == [50, 100, 150]
    cropped = read_one(tmp_path, path, size=30, fit="crop").pixels[0]
    assert cropped[:, 2:-2].unique().tolist() == [100]  # the outermost pixels may blend with what was cut off
    extreme = save(tmp_path / "set" / "a" / "x.png", np.full((1, 500), 90, np.uint8))
    for fit in FITS:
        assert read_one(tmp_path, extreme, size=16, fit=fit).pixels[0].max() > 0


# -------------------------------------------------------------------------------------------- damaged and other files


def test_damaged_files_are_named_counted_and_skipped(tmp_path):
    root = tree(tmp_path / "set", {"a": 3, "b": 2})
    whole = noise(tmp_path / "big.jpg", 1).read_bytes()
    (root / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "a" / "empty.png").write_bytes(b"")
    (root / "a" / "page.jpg").write_bytes(b"<html>404</html>")
    (root / "b" / "half.png").write_bytes((root / "b" / "000.png").read_bytes()[:200])
    with pytest.warns(
        UserWarning, match=r"skipped 4 of 9 files .*a/cut\.jpg .*[Tt]runcated.*a/empty\.png \(empty file\)"
    ):
        images = load_images("folder", root, size=16, **QUIET)
    assert [name for name, _ in images.skipped] == ["a/cut.jpg", "a/empty.png", "a/page.jpg", "b/half.png"]
    assert images.files == ("a/000.png", "a/001.png", "a/002.png", "b/000.png", "b/001.png")
    assert images.labels.tolist() == [0, 0, 0, 1, 1]
    assert len(images) == len(images.pixels) == len(images.digests) == 5
    whole_set = load_images("folder", tree(tmp_path / "whole", {"a": 3, "b": 2}), size=16, **QUIET)
    assert torch.equal(images.pixels, whole_set.pixels)  # the gaps were closed with the right rows
    assert "skipped: 4 unreadable files: a/cut.jpg" in images.describe()


def test_a_warning_names_five_files_and_skipped_has_all(tmp_path):
    root = tree(tmp_path, {"a": 1, "b": 1})
    for i in range(8):
        (root / "a" / f"x{i}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"a/x4\.png \(empty file\) and 3 more; Images.skipped lists all of them"):
        images = load_images("folder", root, size=16, **QUIET)
    assert len(images.skipped) == 8


def test_decompression_bomb_is_skipped_and_large_images_do_not_flood(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # 20 x 20 = 400: Pillow warns; above 600 it refuses
    root = tree(tmp_path, {"a": 3, "b": 2})
    save(root / "a" / "bomb.png", np.zeros((30, 30), np.uint8))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = load_images("folder", root, size=16, **QUIET)
    assert len(images) == 5 and len(caught) == 1
    assert images.skipped[0][0] == "a/bomb.png" and "more than 600 pixels" in images.skipped[0][1]


def test_broken_link_is_skipped_and_copies_by_link_are_read(tmp_path):
    root = tree(tmp_path, {"a": 1, "b": 1})
    (root / "a" / "again.png").symlink_to(root / "a" / "000.png")
    (root / "a" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "b" / "up").symlink_to(root / "b", target_is_directory=True)
    with pytest.warns(UserWarning, match=r"skipped 1 of 4 files .*a/gone\.png"):
        images = load_images("folder", root, size=16, **QUIET)
    assert images.files == ("a/000.png", "a/again.png", "b/000.png")
    assert images.digests[0] == images.digests[1]


def test_other_files_are_passed_over_and_counted(tmp_path):
    root = tree(tmp_path, {"a": 2, "b": 1})
    for name in ("meta.csv", "notes.txt", "Thumbs.db", ".DS_Store", "._000.png", "LICENSE", "scan.pdf", "scan.eps"):
        (root / "a" / name).write_bytes(b"x")
    noise(root / "a" / "000_mask.png", 90)
    noise(root / "a" / "000_mask_1.png", 91)
    noise(root / "b" / "with_mask_1.png", 92)  # no partner "with.png": a picture of its own
    noise(root / "a" / "masks" / "000.png", 93)
    noise(root / "a" / ".hidden" / "000.png", 94)
    noise(root / "__MACOSX" / "000.png", 95)
    noise(root / "loose.png", 96)
    noise(root / "a" / "deeper" / "c.png", 97)
    images = load_images("folder", root, size=16, **QUIET)
    assert images.files == ("a/000.png", "a/001.png", "a/deeper/c.png", "b/000.png", "b/with_mask_1.png")
    assert images.classes == ("a", "b") and not images.skipped
    assert images.notes == (
        "masks and other helpers, 1 by the folder's name: masks",
        "masks and other helpers, 2 by the file's name: 000_mask.png",
        "1 loose image outside the class folders, passed over: loose.png",
        "ignored 11 files: 1 .csv, 1 .eps, 1 .pdf, 1 .txt, 1 files without a suffix, 3 hidden or system files, 3 masks",
    )
    assert images.notes[-1] in images.describe()


def test_names_that_are_not_ascii(tmp_path):
    root = tree(tmp_path / "Größe 大", {"опухоль": 2, "健康": 1, "a\u0301": 1})
    noise(root / "健康" / "é ö.png", 50)
    images = load_images("folder", root, size=16, **QUIET)
    assert images.classes == ("\u00e1", "опухоль", "健康")  # composed, whatever the file system stored
    assert "健康/é ö.png" in images.files
    assert images.name == "folder:Größe 大"
    images.describe().encode()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX file names may be no valid Unicode")
def test_names_that_are_not_unicode(tmp_path):
    root = tree(tmp_path, {"a": 1, "b": 1})
    source = root / "a" / "000.png"
    try:
        shutil.copy(source, os.path.join(os.fsencode(root), b"a", b"\xff.png"))
    except OSError:
        pytest.skip("this file system refuses names that are not Unicode")
    images = load_images("folder", root, size=16, **QUIET)
    assert len(images) == 3
    "".join(images.files).encode()


# --------------------------------------------------------------------------------------------------- folders, errors


def test_empty_class_no_images_single_class(tmp_path):
    root = tree(tmp_path / "one", {"a": 2})
    with pytest.raises(ValueError, match=r"has 1 class \(a\), but classification needs at least 2"):
        load_images("folder", root, **QUIET)
    tree(root, {"b": 1})
    above = load_images("folder", tmp_path, **QUIET)
    assert above.classes == ("a", "b") and "looked for in one, the only folder with images" in above.notes[0]
    (root / "c").mkdir()
    (root / "c" / "x.csv").write_text("1")
    notes = load_images("folder", root, **QUIET).notes
    assert any(re.search(r"without a readable image, passed over: c \(1 \.csv\)", note) for note in notes)
    (root / "c" / "x.csv").rename(root / "c" / "x.png")
    with pytest.raises(ValueError, match=r"class 'c' has no readable image, all 1 files are damaged: c/x\.png"):
        load_images("folder", root, **QUIET)
    (tmp_path / "flat").mkdir()
    noise(tmp_path / "flat" / "x.png", 1)
    with pytest.raises(ValueError, match="one folder per class"):
        load_images("folder", tmp_path / "flat", **QUIET)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_images("folder", tmp_path / "nowhere", **QUIET)
    with pytest.raises(FileNotFoundError, match="is a file"):
        load_images("folder", tmp_path / "flat" / "x.png", **QUIET)
    with pytest.raises(ValueError, match="needs root="):
        load_images("folder", **QUIET)


def test_folder_of_one_class_with_masks_is_refused(tmp_path):
    root = tree(tmp_path, {"COVID/images": 1, "COVID/masks": 1})
    with pytest.raises(ValueError, match="pass the folder above"):
        load_images("folder", root / "COVID", **QUIET)


def test_train_test_level_of_a_folder(tmp_path):
    root = tree(tmp_path, {f"{part}/{name}": 2 for part in ("train", "Test", "val") for name in ("x", "y")})
    with pytest.raises(ValueError, match=r"has the parts Test, train, val above its classes; pass parts='pool'"):
        load_images("folder", root, **QUIET)
    pooled = load_images("folder", root, size=16, parts="pool", **QUIET)
    assert pooled.counts() == {"x": 6, "y": 6}
    assert pooled.files[0] == "Test/x/000.png"
    assert pooled.notes[-1] == "parts read: Test, train, val"
    assert load_images("folder", root, size=16, parts="test", **QUIET).counts() == {"x": 2, "y": 2}
    assert len(load_images("folder", root, size=16, parts=("train", "val"), **QUIET)) == 8
    with pytest.raises(ValueError, match="parts='valid' does not fit"):
        load_images("folder", root, parts="valid", **QUIET)
    with pytest.raises(ValueError, match="has no train/test level"):
        load_images("folder", root / "train", parts="pool", **QUIET)


def test_order_does_not_depend_on_file_system_or_threads(tmp_path, monkeypatch):
    root = tree(tmp_path, {"b": 5, "a": 5, "c": 5})
    (root / "a" / "001.png").write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = load_images("folder", root, size=16, workers=1, **QUIET)
        real = os.scandir

        class Backwards:
            def __init__(self, path):
                with real(path) as entries:
                    self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

            def __enter__(self):
                return iter(self.entries)

            def __exit__(self, *_):
                return None

        monkeypatch.setattr(os, "scandir", Backwards)
        other = load_images("folder", root, size=16, workers=7, **QUIET)
    assert one.classes == other.classes == ("a", "b", "c")
    assert one.files == other.files and one.digests == other.digests and one.skipped == other.skipped
    assert torch.equal(one.pixels, other.pixels) and torch.equal(one.labels, other.labels)


def test_limit_per_class(tmp_path):
    root = tree(tmp_path, {"a": 9, "b": 2})
    images = load_images("folder", root, size=16, limit=3, seed=4, **QUIET)
    assert images.counts() == {"a": 3, "b": 2}
    assert images.files == load_images("folder", root, size=16, limit=3, seed=4, **QUIET).files
    assert images.files != load_images("folder", root, size=16, limit=3, seed=5, **QUIET).files
    assert any("at most 3 images" in note for note in images.notes)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 4}, "size is 4, but must be an integer from 8 to 2048"),
        ({"size": 32.0}, r"size is 32\.0"),
        ({"colour": "gray"}, "colour is 'gray', but must be one of 'grey', 'rgb'"),
        ({"fit": "squash"}, "fit is 'squash'"),
        ({"limit": 0}, "limit is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"n": 0}, "n is 0"),
    ],
)
def test_options_out_of_range(tmp_path, options, text):
    with pytest.raises(ValueError, match=text):
        load_images("folder", tmp_path, **options)


def test_unknown_source_and_too_little_memory(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"source './scans' is unknown; use one of folder.*phantom-xray.*'folder', root="
    ):
        load_images("./scans")
    if hasattr(os, "sysconf"):
        real = os.sysconf
        monkeypatch.setattr(os, "sysconf", lambda name: 1 if name == "SC_PHYS_PAGES" else real(name))
        with pytest.raises(MemoryError, match="choose a smaller size, or limit="):
            load_images("folder", tree(tmp_path, {"a": 1, "b": 1}), size=512, **QUIET)


# -------------------------------------------------------------------------------------------------- the Kaggle layouts


def kaggle(source: str, folder: Path) -> Path:
    """Write a tiny tree as the download of ``source`` unpacks; return the folder given to ``--unzip -p``."""
    if source == "xray":
        base = folder / "COVID-19_Radiography_Dataset"
        for i, title in enumerate(("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")):
            tree(base, {f"{title}/images": 2, f"{title}/masks": 2}, start=10 * i)
            (base / f"{title}.metadata.xlsx").write_bytes(b"x")
    elif source == "ct":
        tree(folder / "curated_data" / "curated_data", {"1NonCOVID": 2, "2COVID": 3, "3CAP": 1})
        (folder / "meta_data_covid.csv").write_text("patient")
    elif source == "mri":
        names = ("glioma", "meningioma", "notumor", "pituitary")
        tree(folder, {f"{part}/{name}": 2 for part in ("Training", "Testing") for name in names}, suffix=".jpg")
    else:
        tree(folder, {"COVID": 2, "non-COVID": 3})
    return folder


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        ("xray", {"COVID": 2, "Lung_Opacity": 2, "Normal": 2, "Viral Pneumonia": 2}),
        ("ct", {"1NonCOVID": 2, "2COVID": 3, "3CAP": 1}),
        ("mri", {"glioma": 4, "meningioma": 4, "notumor": 4, "pituitary": 4}),
        ("sarscov2", {"COVID": 2, "non-COVID": 3}),
    ],
)
def test_kaggle_layouts_at_and_above_the_folder(tmp_path, source, counts):
    root = kaggle(source, tmp_path / "downloads" / "set")
    for place in (root, root.parent, str(tmp_path)):
        images = load_images(source, place, size=16, **QUIET)
        assert images.counts() == counts
        assert images.name == source
        assert not any("mask" in name for name in images.files)
    if source == "xray":
        assert "ignored 8 files: 8 masks" in images.notes
        assert images.files[0] == "COVID/images/000.png"
    if source == "mri":
        assert images.notes == ("parts read as one set: Training, Testing",)
        assert {name.split("/")[0] for name in images.files} == {"Training", "Testing"}
        testing = load_images(source, root, size=16, parts="Testing", **QUIET)
        assert testing.counts() == dict.fromkeys(counts, 2)
        assert "not read: Training" in testing.notes
        below = load_images(source, root / "Training", size=16, **QUIET)
        assert below.counts() == dict.fromkeys(counts, 2)


def test_all_four_sets_side_by_side(tmp_path):
    for source in LAYOUTS:
        kaggle(source, tmp_path / SETS[source].layout.folder)
    for source in LAYOUTS:
        assert load_images(source, tmp_path, size=16, **QUIET).classes == SETS[source].classes


def test_missing_class_folders_are_said(tmp_path):
    root = kaggle("xray", tmp_path)
    shutil.rmtree(root / "COVID-19_Radiography_Dataset" / "Normal")
    with pytest.warns(UserWarning, match="lacks the class folders Normal; 3 classes are read"):
        images = load_images("xray", root, size=16, **QUIET)
    assert images.classes == ("COVID", "Lung_Opacity", "Viral Pneumonia")
    assert "3 of 4 classes: Normal missing on disk" in images.describe()


@pytest.mark.parametrize("source", LAYOUTS)
def test_missing_layout_names_the_remedy(tmp_path, source):
    slug = SETS[source].layout.slug
    tree(tmp_path, {"dogs": 1, "cats": 1})
    with pytest.raises(FileNotFoundError) as caught:
        load_images(source, tmp_path, **QUIET)
    text = str(caught.value)
    assert str(tmp_path) in text and SETS[source].layout.picture in text
    assert f"kaggle datasets download -d {slug} --unzip" in text and "kagglehub" in text
    assert f"https://www.kaggle.com/datasets/{slug}" in text and "\n" not in text
    with pytest.raises(FileNotFoundError, match="does not exist; get it with `kaggle"):
        load_images(source, tmp_path / "nowhere", **QUIET)
    with pytest.raises(ValueError, match=r"needs root=.*kaggle datasets download"):
        load_images(source, **QUIET)
    (tmp_path / "archive.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"there is archive\.zip: unzip it first"):
        load_images(source, tmp_path, **QUIET)


def test_two_candidates_are_not_guessed(tmp_path):
    for name in ("first", "second"):
        kaggle("sarscov2", tmp_path / name)
    with pytest.raises(ValueError, match=r"several folders with the SARS-CoV-2 CT layout .*first, .*second"):
        load_images("sarscov2", tmp_path, **QUIET)
    (tmp_path / "second").rename(tmp_path / "sarscov2-ctscan-dataset")
    assert len(load_images("sarscov2", tmp_path, size=16, **QUIET)) == 5
    with pytest.raises(ValueError, match="no train/test level"):
        load_images("sarscov2", tmp_path, parts="pool", **QUIET)


# --------------------------------------------------------------------------------------------- phantoms and MedMNIST


@pytest.mark.parametrize("kind", ["xray", "ct", "mri"])
def test_phantoms(kind):
    images = load_images(f"phantom-{kind}", n=12, size=32, seed=3, **QUIET)
    assert images.pixels.shape == (12, 32, 32) and images.files == ("",) * 12
    assert images.name == f"phantom-{kind}" and len(images.classes) >= 2
    again = load_images(f"phantom-{kind}", n=12, size=32, seed=3, colour="rgb", **QUIET)
    assert again.pixels.shape == (12, 3, 32, 32) and torch.equal(again.pixels[:, 1], images.pixels)
    assert again.digests == images.digests and len(set(images.digests)) == 12
    assert load_images(f"phantom-{kind}", n=12, size=32, seed=4, **QUIET).digests != images.digests
    assert max(load_images(f"phantom-{kind}", n=12, size=32, limit=2, **QUIET).counts().values()) == 2
    with pytest.raises(ValueError, match="leave parts out"):
        load_images(f"phantom-{kind}", parts="pool")


def medmnist_file(path: Path, shape=(28, 28), parts=(5, 3, 4), classes=2) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in zip(("train", "val", "test"), parts, strict=True):
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(n) % classes)[:, None].astype(np.uint8)
    np.savez(path, **arrays)
    return path


def test_medmnist(tmp_path):
    pytest.importorskip("medmnist")
    medmnist_file(tmp_path / "pneumoniamnist.npz")
    images = load_images("medmnist:pneumoniamnist", tmp_path, size=28, **QUIET)
    assert images.classes == ("normal", "pneumonia") and len(images) == 12
    assert images.files[0] == "train/0" and images.files[-1] == "test/3"
    stored = np.load(tmp_path / "pneumoniamnist.npz")
    assert np.array_equal(images.pixels[:5].numpy(), stored["train_images"])
    assert images.labels[5:8].tolist() == [0, 1, 0]
    assert "CC BY 4.0" in images.describe()
    only = load_images("medmnist:pneumoniamnist", tmp_path, size=28, parts="test", limit=1, **QUIET)
    assert len(only) == 2 and all(name.startswith("test/") for name in only.files)
    medmnist_file(tmp_path / "bloodmnist_64.npz", shape=(64, 64, 3), classes=8, parts=(16, 8, 8))
    blood = load_images("medmnist:bloodmnist_64", tmp_path, size=32, colour="rgb", **QUIET)
    assert blood.pixels.shape == (32, 3, 32, 32) and len(blood.classes) == 8
    grey = load_images("medmnist:bloodmnist_64", tmp_path, size=32, **QUIET)
    assert grey.pixels.shape == (32, 32, 32) and grey.digests == blood.digests


def test_medmnist_refusals(tmp_path, monkeypatch):
    pytest.importorskip("medmnist")
    with pytest.raises(ValueError, match="has no set 'nomnist'; the 2-D sets are bloodmnist"):
        load_images("medmnist:nomnist", tmp_path)
    with pytest.raises(ValueError, match="organmnist3d is three-dimensional"):
        load_images("medmnist:organmnist3d", tmp_path)
    with pytest.raises(ValueError, match="chestmnist has several labels per image"):
        load_images("medmnist:chestmnist", tmp_path)
    with pytest.raises(ValueError, match="stores images of 28, 64, 128 or 224 pixels, not '99'"):
        load_images("medmnist:pathmnist_99", tmp_path)
    with pytest.raises(ValueError, match="parts='pilot' does not fit MedMNIST pathmnist, which has train, val, test"):
        load_images("medmnist:pathmnist", tmp_path, parts="pilot")
    (tmp_path / "pathmnist.npz").write_bytes(b"PK half a download")
    with pytest.raises(RuntimeError, match=r"pathmnist\.npz is damaged or not a MedMNIST file .*delete it"):
        load_images("medmnist:pathmnist", tmp_path)

    def no_network(url, root, filename, md5):
        (Path(root) / filename).write_bytes(b"half")
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", no_network)
    with pytest.raises(RuntimeError, match=r"could not be downloaded.*zenodo\.org.*place it at .*pathmnist_64\.npz"):
        load_images("medmnist:pathmnist_64", tmp_path / "new")
    assert not (tmp_path / "new" / "pathmnist_64.npz").exists()
    monkeypatch.setitem(__import__("sys").modules, "medmnist", None)
    with pytest.raises(ImportError, match="pip install medmnist"):
        load_images("medmnist:pathmnist", tmp_path)


# ------------------------------------------------------------------------------------------------- Images and Split


def test_images_check_themselves():
    pixels, labels = torch.zeros(2, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
    images = Images(pixels, labels, ("a", "b"))
    assert images.digests[0] == images.digests[1] and images.files == ("", "")
    for wrong, text in (
        ({"pixels": pixels.float()}, "must be torch.uint8"),
        ({"pixels": pixels[:, None]}, r"\(N, 3, H, W\)"),
        ({"labels": labels[:1]}, "one per image"),
        ({"labels": labels.int()}, "torch.int64"),
        ({"labels": labels + 1}, "labels run from 1 to 2, but 2 classes allow 0 to 1"),
        ({"digests": ("x",)}, "digests has 1 entries for 2 images"),
    ):
        with pytest.raises(ValueError, match=text):
            Images(**{"pixels": pixels, "labels": labels, "classes": ("a", "b"), **wrong})


def test_subset_counts_and_describe():
    images = fake([0, 0, 1, 1, 2], "aabbb")
    part = images.subset(torch.tensor([4, 0]))
    assert part.labels.tolist() == [2, 0] and part.digests == ("b", "a")
    assert part.counts() == {"c0": 1, "c1": 0, "c2": 1}
    assert len(images.subset([])) == 0
    text = images.describe()
    assert "fake: 5 images, 8 x 8 grey, 3 classes" in text
    assert (
        "copies: 3 images repeat another one byte for byte (2 distinct); copies disagree on the label 1 times" in text
    )
    with pytest.raises(ValueError, match="indices run from 0 to 5"):
        images.subset([0, 5])


def many(n=120, classes=3, seed=0) -> Images:
    """Images with copies: about a third of the digests occur more than once, few of them with two labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    labels[: 2 * classes] = np.repeat(np.arange(classes), 2)
    digests = [
        f"{label}-{rng.integers(0, n // 3)}" if i >= 2 * classes else f"own{i}" for i, label in enumerate(labels)
    ]
    for i in rng.integers(2 * classes, n, 3):
        digests[i] = "shared by classes"
    return fake(labels.tolist(), digests)


def test_copies_stay_on_one_side_for_200_seeds():
    for seed in range(200):
        images = many(60, seed=seed)
        result = split(images, fraction=0.3, seed=seed)
        test = {images.digests[i] for i in result.test_index}
        rest = {images.digests[i] for i in range(len(images)) if i not in set(result.test_index.tolist())}
        assert not test & rest
        assert result.leaked == result.leaked_pool == 0
        assert not set(result.train_index.tolist()) & set(result.test_index.tolist())
        assert min(result.train.counts().values()) >= 1 and min(result.test.counts().values()) >= 1
        assert result.pool_size + len(result.test) == len(images)


def test_grouped_split_is_stratified():
    images = fake([0] * 500 + [1] * 100 + [2] * 20, map(str, range(620)))
    result = split(images, fraction=0.10, seed=1)
    assert result.test.counts() == {"c0": 100, "c1": 20, "c2": 4}
    assert result.train.counts() == {"c0": 40, "c1": 8, "c2": 2}
    assert split(images, fraction=1.0).train.counts() == {"c0": 400, "c1": 80, "c2": 16}
    assert split(images, fraction=1e-6).train.counts() == {"c0": 1, "c1": 1, "c2": 1}
    assert split(images, test_share=0.999).pool_size >= 3
    assert min(split(images, test_share=1e-6).test.counts().values()) == 1


def test_a_class_of_two_large_groups_can_be_split():
    images = fake([0] * 20 + [1] * 4, ["x"] * 15 + ["y"] * 5 + list("abcd"))
    for seed in range(10):
        assert split(images, seed=seed).leaked_pool == 0


def test_random_rule_counts_its_leaks():
    images = fake([0, 0, 1, 1] * 25, [str(i // 2) for i in range(100)])  # every image has one copy
    total = 0
    for seed in range(20):
        result = split(images, fraction=0.5, seed=seed, rule="random")
        train = {images.digests[i] for i in result.train_index.tolist()}
        expected = sum(images.digests[i] in train for i in result.test_index.tolist())
        assert result.leaked == expected <= result.leaked_pool
        assert len(result.test) == 20 and len(result.train) == 40
        assert f"copies: {expected} test images" in result.describe()
        total += result.leaked
    assert total > 0
    with pytest.warns(UserWarning, match="the training part has no image of"):
        split(images, fraction=0.01, rule="random")


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_smaller_training_parts_are_contained_in_larger_ones(rule):
    images = many(400)
    parts = [split(images, fraction, seed=7, rule=rule) for fraction in (0.02, 0.05, 0.1, 0.5, 1.0)]
    for small, large in itertools.pairwise(parts):
        assert set(small.train_index.tolist()) < set(large.train_index.tolist())
        assert torch.equal(small.test_index, large.test_index)
    assert len(parts[-1].train) == parts[-1].pool_size


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_split_depends_on_the_seed_alone(rule):
    images = many()
    np.random.seed(1)  # noqa: NPY002 - the global state must play no part
    torch.manual_seed(1)
    first = split(images, 0.2, seed=3, rule=rule)
    np.random.seed(2)  # noqa: NPY002
    state = torch.random.get_rng_state()
    second = split(images, 0.2, seed=3, rule=rule)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.digest == second.digest and torch.equal(first.train_index, second.train_index)
    assert first.digest != split(images, 0.2, seed=4, rule=rule).digest
    assert first.train_index.tolist() == sorted(first.train_index.tolist())
    assert torch.equal(first.train.labels, images.labels[first.train_index])


def test_split_is_the_same_in_every_version():
    """Golden values: published results name a seed, so the meaning of a seed must not change."""
    images = fake([0, 1] * 20, map(str, range(40)))
    result = split(images, fraction=0.1, seed=0)
    assert result.test_index.tolist() == [3, 4, 8, 12, 19, 25, 38, 39]
    assert result.train_index.tolist() == [1, 20, 32, 37]
    assert result.digest.startswith("75feb2e17f056566")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fraction": 0}, "fraction is 0, but must be above 0 and at most 1"),
        ({"fraction": 5}, r"at most 1 \(5% is 0\.05\)"),
        ({"fraction": float("nan")}, "fraction is nan"),
        ({"test_share": 0}, "test_share is 0, but must be between 0 and 1"),
        ({"test_share": 1.0}, r"test_share is 1\.0"),
        ({"seed": -1}, "seed is -1, but must be an integer from 0 to"),
        ({"seed": 0.5}, r"seed is 0\.5"),
        ({"rule": "stratified"}, "rule is 'stratified', but must be one of 'grouped', 'random'"),
    ],
)
def test_split_parameters_out_of_range(options, text):
    with pytest.raises(ValueError, match=text):
        split(many(), **options)


def test_split_needs_two_distinct_images_per_class():
    with pytest.raises(ValueError, match=r"class 'c1' has 1 distinct image\(s\) .*, but a split needs at least 2"):
        split(fake([0, 0, 1, 1], ["a", "b", "c", "c"]))
    with pytest.raises(ValueError, match="1 images cannot be split"):
        split(fake([0], ["a"]), rule="random")


# ------------------------------------------------------------------------------------------------------- real images


@pytest.fixture(scope="module")
def mri(shared_data) -> Images:
    folder = shared_data / "brain-tumor-mri-dataset"
    if not folder.is_dir():
        pytest.skip("the brain MRI set is not in shared/data")
    return load_images("mri", shared_data, size=32, **QUIET)


def test_mri_counts_and_colour_modes(mri):
    assert mri.counts() == {"glioma": 1621, "meningioma": 1645, "notumor": 1996, "pituitary": 1757}
    assert mri.pixels.shape == (7019, 32, 32) and not mri.skipped
    glioma, notumor = ([m for m, y in zip(mri.modes, mri.labels.tolist(), strict=True) if y == k] for k in (0, 2))
    assert glioma.count("L") / len(glioma) > 0.85 and notumor.count("RGB") / len(notumor) > 0.95


def test_mri_copies_across_the_official_parts_leak_only_at_random(mri):
    parts = {}
    for name, digest in zip(mri.files, mri.digests, strict=True):
        parts.setdefault(digest, set()).add(name.split("/")[0])
    assert sum(len(found) == 2 for found in parts.values()) >= 189
    grouped, random = (split(mri, 0.05, seed=0, rule=rule) for rule in SPLIT_RULES)
    assert grouped.leaked == grouped.leaked_pool == 0
    assert 0 < random.leaked < random.leaked_pool
    assert abs(len(grouped.test) - 0.2 * 7019) < 3 and abs(len(grouped.train) - 281) <= 2


def test_other_real_sets(shared_data):
    with pytest.warns(UserWarning, match="Lung_Opacity, Viral Pneumonia"):
        xray = load_images("xray", shared_data, size=32, limit=50, **QUIET)
    assert xray.classes == ("COVID", "Normal") and len(xray) == 100
    ct = load_images("sarscov2", shared_data, size=32, limit=50, **QUIET)
    assert ct.classes == ("COVID", "non-COVID") and not ct.skipped
