"""Folders as people have them: read right, or refused in one sentence that says what to pass."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dmws_lite.images.decode import readable_formats
from dmws_lite.images.layout import LayoutError, read_layout
from dmws_lite.images.load import load_images


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng([seed, *path.as_posix().encode()]).integers(0, 256, (24, 24), dtype=np.uint8)
    Image.fromarray(values).save(path)


def drawing(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = Image.new("L", (24, 24))
    ImageDraw.Draw(canvas).ellipse((5, 5, 5 + len(path.name), 18), fill=255)
    canvas.save(path)


def make(root: Path, *places: str, n: int = 3, suffix: str = ".png") -> Path:
    """Write ``n`` pictures into each of some folders; ``a/{x,y}`` is two folders."""
    for place in places:
        head, brace, rest = place.partition("{")
        inner, _, tail = rest.partition("}")
        if brace:
            make(root, *(f"{head}{each}{tail}" for each in inner.split(",")), n=n, suffix=suffix)
        else:
            for i in range(n):
                picture(root / place / f"{i:03}{suffix}")
    return root


def read(root: Path, **options):
    return read_layout(root, readable_formats()[0], **options)


def counts(layout) -> dict[str, int]:
    return {name: sum(entry.label == name for entry in layout.entries) for name in layout.classes}


READ = {
    "classes": (("{a,b}",), {}, {"a": 3, "b": 3}),
    "one wrapper": (("data/set/{a,b}",), {}, {"a": 3, "b": 3}),
    "parts, pooled": (("{Train,TEST,Val}/{a,b}",), {"parts": "pool"}, {"a": 9, "b": 9}),
    "parts, one": (("{Train,TEST,Val}/{a,b}",), {"parts": "test"}, {"a": 3, "b": 3}),
    "parts with words": (("{train_images,test_images}/{a,b}",), {"parts": "pool"}, {"a": 6, "b": 6}),
    "parts of a named set": (("{ISIC_train,ISIC_test}/{a,b}",), {"parts": "pool"}, {"a": 6, "b": 6}),
    "parts beside plots": (("{train,test}/{a,b}", "plots"), {"parts": "pool"}, {"a": 6, "b": 6}),
    "test without classes": (("train/{a,b}", "test"), {}, {"a": 3, "b": 3}),
    "parts below the classes": (("{a,b}/{train,test}",), {"parts": "pool"}, {"a": 6, "b": 6}),
    "test without labels beside the classes": (("{a,b,test}",), {}, {"a": 3, "b": 3}),
    "images in the parts": (("{train,test}/images/{a,b}",), {"parts": "pool"}, {"a": 6, "b": 6}),
    "grades": (("grade_{1,2,3}",), {}, {"grade_1": 3, "grade_2": 3, "grade_3": 3}),
    "numbers": (("{0,1,2}",), {}, {"0": 3, "1": 3, "2": 3}),
    "masks in folders": (("{a,b}/{images,masks}",), {}, {"a": 3, "b": 3}),
    "masks beside": (("{images,Ground_truth}/{a,b}",), {}, {"a": 3, "b": 3}),
    "faces with masks": (("{with_mask,without_mask}",), {}, {"with_mask": 3, "without_mask": 3}),
    "series below": (("{a,b}/Series 1",), {}, {"a": 3, "b": 3}),
    "folds": (("fold{1,2}/{a,b}",), {}, {"a": 6, "b": 6}),
    "sites": (("site_{x,y}/{a,b}",), {}, {"a": 6, "b": 6}),
    "shards of classes": (("images_00{1,2}/{a,b}",), {}, {"a": 6, "b": 6}),
    "case": (("Training/{Normal,COVID}", "Testing/{NORMAL,Covid}"), {"parts": "pool"}, {"COVID": 6, "NORMAL": 6}),
    "level": (("{lung,colon}/{good,bad}",), {"level": 2}, {"bad": 6, "good": 6}),
    "level above": (("{lung,colon}/{good,bad}",), {"level": 1}, {"colon": 6, "lung": 6}),
    "level and parts": (("{train,test}/{x,y}/{good,bad}",), {"level": 3, "parts": "pool"}, {"bad": 12, "good": 12}),
    "names": (("{a,b,c,d}",), {"classes": ["A", "c"]}, {"a": 3, "c": 3}),
    "names below": (("x/{a,b}", "y/{a,c}"), {"classes": ["a", "b"]}, {"a": 6, "b": 3}),
    "excluded": (("{a,b,old_b}",), {"exclude": ["old*"]}, {"a": 3, "b": 3}),
    "yes, at level 1": (("{train,test}",), {"level": 1}, {"test": 3, "train": 3}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_folder_is_read_as_people_mean_it(name, tmp_path):
    places, options, expected = READ[name]
    assert counts(read(make(tmp_path, *places), **options)) == expected


REFUSED = {
    "parts": (("{train,test}/{a,b}",), {}, r"pass parts='pool' .* parts='official' to test on test, or parts='test'"),
    "flat parts": (("{train,test}",), {}, r"test, train in .* are parts of a set, not classes, .* pass labels=FILE"),
    "shards": (("HAM_images_part_{1,2}",), {}, r"pieces of one set .*pass labels=FILE"),
    "shards in shards": (("images_00{1,2,3}/images",), {}, r"pieces of one set"),
    "parts in folders of their own": (("{train,test}_images/images",), {}, r"are parts of a set, not classes"),
    "bases": (("Base1{1,2,3}",), {}, r"pieces of one set"),
    "folds with parts": (("fold_{0,1}/{train,test}/{a,b}",), {}, r"parts \(test, train\) of their own, as folds do"),
    "folds with bare parts": (("fold_{0,1}/{train,test}",), {}, r"of their own, as folds do"),
    "a part and a class": (("{control,test}",), {}, r"test may be a part without labels or a class"),
    "detection": (("{train,test}/images",), {}, r"are parts of a set, not classes"),
    "folds without classes": (("fold_{1,2,3}",), {}, r"pieces of one set"),
    "patients without classes": (("p0{1,2,3}",), {}, r"patients\), not like classes"),
    "organs": (("{lung,colon}/{good,bad}",), {}, r"level=1 for the classes colon, lung, or level=2 for .* bad, good"),
    "organs, other classes": (("lung/{l_n,l_a}", "colon/{c_n,c_a}"), {}, r"level=1 .* level=2 .* c_a, c_n"),
    "organs in parts": (("{train,test}/{x,y}/{a,b}",), {"parts": "pool"}, r"level=2 .* level=3"),
    "one class": (("a",), {}, r"has 1 class|no folders"),
    "no folder": (("",), {}, r"contains 3 images but no folders; put the images in one folder per class"),
    "parts and classes": (("{train,test}/{a,b}", "{a,b}"), {"parts": "pool"}, r"parts and classes may be mixed"),
    "too deep": (("{a,b}",), {"level": 3}, r"level=3 is too deep"),
    "level 0": (("{a,b}",), {"level": 0}, r"level=0 is out of range"),
    "a name that is not there": (("{a,b}",), {"classes": ["a", "z"]}, r"no folder 'z' .* with images are a, b"),
    "one name": (("{a,b}",), {"classes": ["a"]}, r"names 1 class"),
    "names at two levels": (("{a,b}", "x/{a,b,c}"), {"classes": ["a", "b"]}, r"levels 1 and 2"),
    "nothing excluded": (("{a,b}",), {"exclude": ["zz*"]}, r"exclude='zz\*' fits no file or folder"),
    "no test part": (("{train,val}/{a,b}",), {"parts": "official"}, r"needs a test part"),
    "no parts": (("{a,b}",), {"parts": "pool"}, r"has no train/test level; leave parts out"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_in_one_sentence(name, tmp_path):
    places, options, message = REFUSED[name]
    with pytest.raises(LayoutError, match=message) as caught:
        read(make(tmp_path, *places), **options)
    assert "\n" not in str(caught.value)


def test_kaggles_second_copy_is_passed_over_and_other_files_are_not(tmp_path):
    make(tmp_path / "x", "{train,val,test}/{a,b}", "x/{train,val,test}/{a,b}")
    for path in (tmp_path / "x" / "x").rglob("*.png"):
        path.write_bytes((tmp_path / "x" / path.relative_to(tmp_path / "x" / "x")).read_bytes())
    layout = read(tmp_path / "x", parts="pool")
    assert counts(layout) == {"a": 9, "b": 9}
    assert any("x repeats the folders beside it file by file" in line for line in layout.lines)
    picture(tmp_path / "x" / "x" / "train" / "a" / "new.png")
    with pytest.raises(LayoutError, match="holds .* twice, directly and in x, with other files"):
        read(tmp_path / "x", parts="pool")


def test_patients_above_and_below_the_classes_are_patients(tmp_path):
    above = read(make(tmp_path / "above", "{10253,10254,10255}/{0,1}"))
    assert counts(above) == {"0": 9, "1": 9} and {entry.patient for entry in above.entries} == {
        "10253",
        "10254",
        "10255",
    }
    below = read(make(tmp_path / "below", "{normal,tumour}/{p1,p2,p3}"))
    assert counts(below) == {"normal": 9, "tumour": 9} and {entry.patient for entry in below.entries} == {
        "p1",
        "p2",
        "p3",
    }
    assert any(line.startswith("patients: the folders below the classes") for line in below.lines)


def test_helper_pictures_are_known_by_name_and_by_content(tmp_path):
    make(tmp_path, "{a,b}")
    for label in "ab":
        for i in range(3):
            drawing(tmp_path / label / f"{i:03}_lesion.png")  # a suffix that no list has
            drawing(tmp_path / label / f"mask_{i:03}.png")
            picture(tmp_path / label / f"{i:03}_superpixels.png")
            picture(tmp_path / label / f"{i:03}_second.png")  # a picture of its own, for all that is known
            drawing(tmp_path / label / "regions" / f"{i:03}.png")
    make(tmp_path, "a/more", "b/more")
    layout = read(tmp_path)
    names = sorted(entry.path.name for entry in layout.entries if entry.label == "a")
    assert names == sorted([f"{i:03}.png" for i in range(3)] * 2 + [f"{i:03}_second.png" for i in range(3)])
    assert layout.ignored["masks"] == 2 * (3 + 3 + 3 + 3)
    assert sum("masks and other helpers" in line for line in layout.lines) == 3


def test_drawings_as_classes_stay(tmp_path):
    for label in "ab":
        for i in range(3):
            drawing(tmp_path / label / f"{label * i}{i}.png")
    assert counts(read(tmp_path)) == {"a": 3, "b": 3}


def test_loose_files_empty_and_unreadable_folders_are_named(tmp_path):
    make(tmp_path, "{a,b}")
    picture(tmp_path / "loose.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.nrrd").write_bytes(b"x")
    text = "\n".join(read(tmp_path).lines)
    assert "1 loose image outside the class folders, passed over: loose.png" in text
    assert "empty folder, passed over: empty" in text
    assert "without a readable image, passed over: raw (1 .nrrd)" in text
    for i in range(7):
        picture(tmp_path / f"more{i}.png")
    with pytest.raises(LayoutError, match="holds 8 loose images and only 6 in folders"):
        read(tmp_path)


def test_class_names_that_differ_or_lack_are_said(tmp_path):
    text = "\n".join(read(make(tmp_path, "train/{Flu,Cold,Well}", "test/{flu,COLD}"), parts="pool").lines)
    assert "COLD, Cold differ in case only" in text and "class Well is missing in test" in text


def test_files_without_suffix_are_images_by_their_content(tmp_path):
    make(tmp_path, "{a,b}")
    for label in "ab":
        (tmp_path / label / "000.png").rename(tmp_path / label / "IM0001")
        (tmp_path / label / "001.png").rename(tmp_path / label / "1.2.840.7")
        (tmp_path / label / "README").write_text("not an image")
    images = load_images("folder", tmp_path, size=16, progress=False)
    assert images.counts() == {"a": 3, "b": 3} and images.files[1] == "a/1.2.840.7"


def test_a_reading_is_kept_in_the_images(tmp_path):
    images = load_images("folder", make(tmp_path, "{train,test}/{a,b}"), size=16, parts="official", progress=False)
    assert images.parts.count("test") == 6 and images.subset([0]).parts == (images.parts[0],)
    assert "parts above the classes: test, train" in images.describe()
