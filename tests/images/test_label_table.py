"""Labels in a table: columns guessed and said, ids of every spelling, several labels refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dmws_lite.images.decode import readable_formats
from dmws_lite.images.label_table import LabelTable, read_labelled
from dmws_lite.images.layout import read_layout
from dmws_lite.images.layout_text import LayoutError
from dmws_lite.images.load import load_images


def pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        values = np.random.default_rng([i, *name.encode()]).integers(0, 256, (20, 20), dtype=np.uint8)
        Image.fromarray(values).save(folder / name)


def read(root: Path, table: str = "labels.csv", **options):
    columns = {name: options.pop(name) for name in ("image", "label", "patient", "part") if name in options}
    return read_labelled(root, readable_formats()[0], LabelTable(table, **columns), **options)


def counts(layout) -> Counter:
    return Counter(entry.label for entry in layout.entries)


def ham(root: Path) -> Path:
    """HAM10000: two shards, ids without suffix, lesions with several images."""
    pictures(root / "images_part_1", *(f"ISIC_{i}.jpg" for i in range(6)))
    pictures(root / "images_part_2", *(f"ISIC_{i}.jpg" for i in range(6, 12)))
    rows = "".join(f"HAM_{i // 2},ISIC_{i},{('nv', 'mel', 'bkl')[i % 3]},histo,{40 + i}\n" for i in range(12))
    (root / "labels.csv").write_text("lesion_id,image_id,dx,dx_type,age\n" + rows)
    return root


def test_ham10000(tmp_path):
    layout = read(ham(tmp_path))
    assert counts(layout) == {"nv": 4, "mel": 4, "bkl": 4}
    assert len({entry.patient for entry in layout.entries}) == 6
    assert "labels from labels.csv: images 'image_id', labels 'dx', patients 'lesion_id'" in layout.lines
    assert {entry.patient for entry in read(tmp_path, patient="none").entries} == {""}
    images = load_images("folder", tmp_path, labels=tmp_path / "labels.csv", size=16, progress=False)
    assert images.counts() == {"bkl": 4, "mel": 4, "nv": 4} and images.patients[0].startswith("HAM_")


def test_the_label_belongs_to_its_file(tmp_path):
    layout = read(ham(tmp_path))
    assert {entry.path.stem: entry.label for entry in layout.entries}["ISIC_7"] == "mel"


@pytest.mark.parametrize(
    "spelling", ["{}", "{}.png", "train/{}.png", "data/old/train/{}.png", "train\\{}", "./train/{}.PNG"]
)
def test_ids_with_and_without_suffix_and_folder(tmp_path, spelling):
    pictures(tmp_path / "train", *(f"a.{i}.png" for i in range(6)))
    text = "".join(f"{spelling.format(f'a.{i}')},{i % 2}\n" for i in range(6))
    (tmp_path / "labels.csv").write_text("id,label\n" + text)
    assert counts(read(tmp_path)) == {"0": 3, "1": 3}


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolon", "latin", "xlsx", "bom"])
def test_tables_of_every_kind(tmp_path, kind):
    pictures(tmp_path, *(f"{i}.png" for i in range(6)))
    frame = pd.DataFrame({"Bild": [f"{i}" for i in range(6)], "Diagnosis": ["Läsion", "gesund"] * 3})
    path = tmp_path / f"labels.{'xlsx' if kind == 'xlsx' else 'tsv' if kind == 'tsv' else 'csv'}"
    if kind == "xlsx":
        pytest.importorskip("openpyxl")
        frame.to_excel(path, index=False)
    else:
        sep = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        frame.to_csv(path, sep=sep, index=False, encoding={"latin": "latin-1", "bom": "utf-8-sig"}.get(kind, "utf-8"))
    assert counts(read(tmp_path, path.name)) == {"Läsion": 3, "gesund": 3}


def test_numbers_written_as_decimals_and_rows_that_repeat(tmp_path):
    pictures(tmp_path, *(f"{i}.png" for i in range(4)))
    (tmp_path / "labels.csv").write_text("patientId,x,Target\n0,1.5,1.0\n0,2.5,1\n1,,0\n2,,0\n3,7,1\n")  # as in RSNA
    layout = read(tmp_path)
    assert counts(layout) == {"0": 2, "1": 2} and {entry.patient for entry in layout.entries} == {""}


def test_columns_of_zero_and_one(tmp_path):
    pictures(tmp_path, *(f"{i}.png" for i in range(6)))
    rows = ["1,0,0", "0,1,0", "0,0,1"] * 2
    (tmp_path / "labels.csv").write_text("image,MEL,NV,BKL\n" + "".join(f"{i},{row}\n" for i, row in enumerate(rows)))
    assert counts(read(tmp_path)) == {"MEL": 2, "NV": 2, "BKL": 2}
    rows[0] = "1,1,0"
    (tmp_path / "labels.csv").write_text("image,MEL,NV,BKL\n" + "".join(f"{i},{row}\n" for i, row in enumerate(rows)))
    with pytest.raises(LayoutError, match=r"up to 2 labels for an image, but one .*pass label_column='MEL'"):
        read(tmp_path)
    assert counts(read(tmp_path, label="MEL")) == {"0": 4, "1": 2}


def test_several_labels_in_one_cell_are_refused(tmp_path):
    pictures(tmp_path, *(f"{i}.png" for i in range(4)))
    (tmp_path / "labels.csv").write_text("Image Index,Finding Labels\n0.png,A|B\n1.png,A\n2.png,B\n3.png,A\n")
    with pytest.raises(LayoutError, match=r"column 'Finding Labels' .* several labels for an image \('A\|B', 1 rows\)"):
        read(tmp_path)
    (tmp_path / "labels.csv").write_text("image,class_name\n0,A\n0,B\n1,A\n2,B\n3,A\n")  # long, as in VinDr
    with pytest.raises(LayoutError, match=r"gives '0.png' two labels"):
        read(tmp_path)


def test_columns_that_may_be_labels_are_listed_and_corrected(tmp_path):
    pictures(tmp_path, *(f"{i}.png" for i in range(8)))
    rows = "".join(f"{i},{'mel' if i % 4 else 'nv'},{'ab'[i % 2]},{i % 3}\n" for i in range(8))
    (tmp_path / "labels.csv").write_text("image,diagnosis,target,sex\n" + rows)
    with pytest.raises(
        LayoutError, match=r"several columns: diagnosis \(mel, nv\); target \(a, b\); pass label_column="
    ):
        read(tmp_path)
    assert counts(read(tmp_path, label="Diagnosis")) == {"mel": 6, "nv": 2}
    with pytest.raises(LayoutError, match=r"label_column='grade' is no column of labels.csv, which has image, diag"):
        read(tmp_path, label="grade")
    (tmp_path / "labels.csv").write_text(
        "image,class_id,class_name\n" + "".join(f"{i},{i % 2},{'ab'[i % 2]}\n" for i in range(8))
    )
    assert counts(read(tmp_path)) == {"a": 4, "b": 4}  # the same classes twice: the words are taken


def test_what_does_not_fit_is_counted(tmp_path):
    pictures(tmp_path, *(f"{i}.png" for i in range(6)))
    (tmp_path / "labels.csv").write_text("image,label\n0,a\n1,b\n2,A\n3,b\n4,\n77,a\n")
    layout = read(tmp_path)
    text = "\n".join(layout.lines)
    assert counts(layout) in ({"a": 2, "b": 2}, {"A": 2, "b": 2})
    assert "1 images have no row in the table, passed over: 5.png" in text
    assert "1 rows of the table have no image" in text and "1 images have an empty label" in text
    assert "A, a differ in case only" in text
    assert counts(read(tmp_path, classes=["a", "b"])) == counts(layout)
    with pytest.raises(LayoutError, match="no image has the label 'z'"):
        read(tmp_path, classes=["a", "z"])


def test_tables_that_do_not_fit_are_refused(tmp_path):
    pictures(tmp_path / "x", *(f"{i}.png" for i in range(6)))
    pictures(tmp_path / "y", "0.png")
    for text, message in {
        "image,label\nq,a\nr,b\n": r"no column of labels.csv names the images \(the files are like '0.png'",
        "image,label\n0,a\n1,b\n": r"image '0' fits 2 files",
        "image,age\n1,33\n2,44\n3,55\n4,66\n5,77\n": r"no column that looks like labels",
        "image,label\n1,a\n2,a\n": r"gives 1 class \(a\)|no column that looks",
        "": r"cannot be read as a table",
        "image,label\n": r"has no rows",
    }.items():
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(LayoutError, match=message):
            read(tmp_path)
    with pytest.raises(LayoutError, match="labels='no.csv' is no file"):
        read(tmp_path, "no.csv")


def test_parts_by_column_by_folder_and_by_the_tables_name(tmp_path):
    pictures(tmp_path / "train", "0.png", "1.png", "2.png", "3.png")
    pictures(tmp_path / "test", "4.png", "5.png")
    (tmp_path / "labels.csv").write_text("image,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(6)))
    with pytest.raises(LayoutError, match="have the parts test, train; pass parts='pool'"):
        read(tmp_path)
    assert counts(read(tmp_path, parts="train")) == {"a": 2, "b": 2}
    assert read(tmp_path, parts="official").parts == ("test", "train")
    rows = "".join(f"{i},{'ab'[i % 2]},{'test' if i < 2 else 'train'}\n" for i in range(6))
    (tmp_path / "labels.csv").write_text("image,label,split\n" + rows)
    layout = read(tmp_path, parts="test")
    assert sorted(entry.path.name for entry in layout.entries) == ["0.png", "1.png"]
    pictures(tmp_path / "test", "0.png")
    (tmp_path / "train_labels.csv").write_text("id,label\n0,a\n1,b\n2,a\n3,b\n")
    layout = read(tmp_path, "train_labels.csv")
    assert {entry.path.parent.name for entry in layout.entries} == {"train"}


def test_a_table_that_contradicts_the_folders_is_not_overlooked(tmp_path):
    pictures(tmp_path / "north", *(f"n{i}.png" for i in range(4)))
    pictures(tmp_path / "south", *(f"s{i}.png" for i in range(4)))
    rows = [f"{place}{i},{'well' if i % 2 else 'ill'},{50 + i}\n" for place in "ns" for i in range(4)]
    (tmp_path / "meta.csv").write_text("image,diagnosis,age\n" + "".join(rows))
    with pytest.raises(LayoutError, match=r"folders \(north, south\) or column 'diagnosis' of meta.csv \(ill, well\)"):
        read_layout(tmp_path, readable_formats()[0])
    assert read_layout(tmp_path, readable_formats()[0], level=1).classes == ("north", "south")
    (tmp_path / "meta.csv").write_text("image,diagnosis\n" + "".join(f"{p}{i},{p}\n" for p in "ns" for i in range(4)))
    assert read_layout(tmp_path, readable_formats()[0]).classes == ("north", "south")
