"""Folders on the command line: look, train with tables and test folders, evaluate, doubt."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from dmws_lite.cli import main

QUICK = ("--size", "32", "--epochs", "2", "--device", "cpu", "--quiet")


def pictures(folder, n=6, level=60, start=0, stem="p"):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + n):
        values = np.random.default_rng([i, level]).normal(level, 30, (40, 40))
        Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(folder / f"{stem}{i:02}.png")


def error(capsys, *line) -> str:
    assert main(list(map(str, line))) == 2
    lines = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error")]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("in") / "scans"
    pictures(root / "benign", 12, 60)
    pictures(root / "malignant", 8, 160)
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "run"
    assert main(["train", str(folder), "--out", str(out), *QUICK]) == 0
    return out


def test_look_says_what_is_there_and_draws_a_sheet(folder, tmp_path, capsys):
    twice = tmp_path / "set"
    pictures(twice / "a", 4, 60)
    pictures(twice / "b", 4, 160)
    (twice / "b" / "again.png").write_bytes((twice / "a" / "p00.png").read_bytes())
    picture = Image.open(twice / "a" / "p01.png")
    picture.point(lambda value: min(255, value + 9)).save(twice / "b" / "brighter.png")
    assert main(["look", str(twice), "--quiet", "-o", str(tmp_path / "sheet.html")]) == 0
    said = capsys.readouterr().out
    assert "1 picture under two labels: a/p00.png = b/again.png" in said
    assert "near-copies across classes: a/p01.png ~ b/brighter.png" in said
    assert "sizes: all files are 40 x 40" in said and "patients: not known" in said
    page = (tmp_path / "sheet.html").read_text()
    assert "data:image/png;base64," in page and "b/again.png" in page and str(tmp_path) not in page
    assert main(["look", str(twice), "--quiet", "-o", str(tmp_path / "sheet.png"), "--patient", r"p(\d+)|a|b"]) == 0
    assert Image.open(tmp_path / "sheet.png").size == (12 * 66, 2 * 66)
    assert "patients: " in capsys.readouterr().out
    assert "does not end in .png or .html" in error(capsys, "look", twice, "-o", tmp_path / "sheet.pdf")


def test_messages_speak_the_command_lines_language(tmp_path, capsys):
    for part in ("train", "test"):
        pictures(tmp_path / "my set" / part / "a", 2)
        pictures(tmp_path / "my set" / part / "b", 2, 160)
    said = error(capsys, "train", tmp_path / "my set", "--out", tmp_path / "out")
    assert "pass --parts pool to read" in said and "--parts official to test on test" in said and "=" not in said
    pictures(tmp_path / "organs" / "x" / "lung a", 2)
    pictures(tmp_path / "organs" / "y" / "lung a", 2)
    pictures(tmp_path / "organs" / "x" / "b", 2)
    pictures(tmp_path / "organs" / "y" / "b", 2)
    assert "--level 1 for the classes x, y, or --level 2 for" in error(capsys, "look", tmp_path / "organs")
    (tmp_path / "organs" / "t.csv").write_text("image,age\nx/b/p00,5\nx/b/p01,6\ny/b/p00,7\n")
    said = error(capsys, "look", tmp_path / "organs", "--labels", "t.csv")
    assert "pass --label-column with one of age" in said
    assert "pass the table with --labels" in error(capsys, "look", tmp_path, "--label-column", "x")


def test_the_official_test_part_is_tested_on(tmp_path, capsys):
    for part, n in (("train", 5), ("Test", 3)):
        pictures(tmp_path / "set" / part / "a", n, 60, start=10 * n)
        pictures(tmp_path / "set" / part / "b", n, 160, start=10 * n)
    out = tmp_path / "out"
    assert main(["train", str(tmp_path / "set"), "--out", str(out), "--parts", "official", *QUICK]) == 0
    record = json.loads((out / "record.json").read_text())
    assert record["split"]["train"] == 10 and record["split"]["test"] == 6
    assert "tested on the official test part" in (out / "MODEL_CARD.md").read_text()


def test_another_hospital_is_tested_on_and_no_path_is_kept(folder, tmp_path, capsys):
    pictures(tmp_path / "other hospital" / "Benign", 3, 60, start=40)
    pictures(tmp_path / "other hospital" / "malignant", 3, 160, start=40)
    out = tmp_path / "out"
    line = ["train", str(folder), "--out", str(out), "--test-folder", str(tmp_path / "other hospital"), *QUICK]
    assert main(line) == 0
    record = json.loads((out / "record.json").read_text())
    assert record["split"]["train"] == 20 and record["split"]["test"] == 6
    card = (out / "MODEL_CARD.md").read_text()
    assert "# Model card: scans, 2 classes" in card and "20 benign" not in card
    for path in out.iterdir():
        if path.suffix != ".safetensors":
            assert str(tmp_path) not in path.read_text() and str(folder.parent) not in path.read_text(), path.name
    pictures(tmp_path / "other hospital" / "unsure", 2, 200)
    assert "has the class 'unsure', which the training images lack" in error(capsys, *line)


def test_a_table_names_labels_and_patients(tmp_path, capsys):
    pictures(tmp_path / "set" / "images_001", 12, 60)
    pictures(tmp_path / "set" / "images_002", 12, 160, start=12)
    rows = "".join(f"p{i:02},{'nv' if i < 12 else 'mel'},L{i // 2}\n" for i in range(24))
    (tmp_path / "set" / "meta.csv").write_text("image_id,dx,lesion_id\n" + rows)
    assert "pass --labels" in error(capsys, "train", tmp_path / "set", "--out", tmp_path / "out")
    line = ["train", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--labels", "meta.csv", *QUICK]
    assert main(line) == 0
    answer = capsys.readouterr()
    assert "labels from meta.csv: images 'image_id', labels 'dx', patients 'lesion_id'" in answer.out
    assert "patients: 12 in 24 images, 2 images of each" in answer.out
    assert "patients: each on one side, as the data say" in answer.out
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["table"] == "meta.csv" and record["data"]["counts"] == {"mel": 12, "nv": 12}


def test_patients_are_counted_and_odd_patterns_are_warned_of(tmp_path, capsys):
    pictures(tmp_path / "set" / "a", 6, 60)
    pictures(tmp_path / "set" / "b", 6, 160, start=6)
    line = ["train", str(tmp_path / "set"), "--out", str(tmp_path / "out"), *QUICK, "--patient"]
    assert "finds no patient in 'a/p00.png'" in error(capsys, *line, r"x\d+")
    assert "is not a valid regular expression" in error(capsys, *line, "p(")
    assert main([*line, r"p\d+"]) == 0
    assert "every image has a patient of its own" in capsys.readouterr().err


def test_conflicts_near_copies_and_balance_are_said_and_kept(tmp_path, capsys):
    pictures(tmp_path / "set" / "a", 16, 60)
    pictures(tmp_path / "set" / "b", 4, 160, start=6)
    (tmp_path / "set" / "b" / "again.png").write_bytes((tmp_path / "set" / "a" / "p00.png").read_bytes())
    line = ["train", str(tmp_path / "set"), *QUICK, "--near-copies", "together", "--balance", "sampling"]
    assert main([*line, "--out", str(tmp_path / "keep")]) == 0
    answer = capsys.readouterr()
    assert "1 picture under two labels: a/p00.png = b/again.png; see --conflicts" in answer.err
    assert "rarest class b" in answer.out and "always answering a" in answer.out
    card = (tmp_path / "keep" / "MODEL_CARD.md").read_text()
    assert "a/p00.png = b/again.png" in card and "drawn equally often" in card and "pairs of near-copies" in card
    assert main([*line, "--out", str(tmp_path / "drop"), "--conflicts", "drop"]) == 0
    record = json.loads((tmp_path / "drop" / "record.json").read_text())
    assert record["data"]["images"] == 19 and "two_labels" not in record["data"]


def test_evaluate_counts_images_classes_and_patients(trained, tmp_path, capsys):
    pictures(tmp_path / "set" / "Benign", 6, 60, start=50)
    pictures(tmp_path / "set" / "MALIGNANT", 4, 160, start=50)
    line = ["evaluate", str(trained), str(tmp_path / "set"), "--quiet"]
    assert main([*line, "--csv", str(tmp_path / "answers.csv")]) == 0
    said = capsys.readouterr().out
    right = sum(row["label"] == row["predicted"] for row in csv.DictReader((tmp_path / "answers.csv").open()))
    assert all(float(row["doubt"]) >= 0 for row in csv.DictReader((tmp_path / "answers.csv").open()))
    assert f"{right} of 10 right" in said and "always answering benign: 0.600" in said
    assert "macro F1" in said and "truth \\ predicted" in said and "patients: not known" in said
    assert main([*line, "--patient", r"p\d"]) == 0
    said = capsys.readouterr().out
    assert "1 patients, each answered with the mean" in said and "1 have images of several classes" in said
    pictures(tmp_path / "set" / "third", 2)
    assert "has the class 'third', which the network does not know (benign, malignant)" in error(capsys, *line)


def test_images_unlike_the_training_images_are_doubted(trained, folder, tmp_path, capsys):
    for i in range(4):
        stripes = np.tile(np.array([[0, 255]], np.uint8), (40, 20))
        Image.fromarray(np.roll(stripes, i, 1)).save(tmp_path / f"stripes{i}.png")
    assert main(["predict", str(trained), str(tmp_path), "--quiet"]) == 0
    answer = capsys.readouterr()
    assert all(float(row["doubt"]) > 1 for row in csv.DictReader(answer.out.splitlines()))
    assert "4 of 4 images look unlike the training images" in answer.err
    assert main(["predict", str(trained), str(folder), "--quiet"]) == 0
    usual = [float(row["doubt"]) for row in csv.DictReader(capsys.readouterr().out.splitlines())]
    assert np.mean(np.array(usual) > 1) < 0.3


def test_numbers_that_the_method_does_not_read_are_refused(folder, tmp_path, capsys):
    line = ("train", folder, "--out", tmp_path / "run")
    for name in ("alpha", "beta", "tau"):
        said = error(capsys, *line, f"--{name}", "0.5")
        assert f"--{name} 0.5 has no effect with --method cm1" in said and "pass --method ours" in said
    assert "beta=7" in error(capsys, *line, "--method", "ours", "--beta", "7").replace("--beta 7", "beta=7")
    assert not (tmp_path / "run").exists()


def test_a_run_takes_as_many_steps_as_asked(folder, tmp_path, capsys):
    line = ["train", str(folder), "--size", "32", "--batch-size", "2", "--device", "cpu", "--quiet"]
    for steps in (3, 11):  # 16 training images are 8 batches
        out = tmp_path / f"run{steps}"
        assert main([*line, "--out", str(out), "--steps", str(steps)]) == 0
        assert json.loads((out / "record.json").read_text())["history"][-1]["step"] == steps
    capsys.readouterr()


def test_dicom_without_the_package_is_one_sentence_also_in_predict(trained, tmp_path, capsys, monkeypatch):
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(40))
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    said = error(capsys, "predict", trained, tmp_path / "IM0001")
    assert "1 DICOM file can be read with pydicom: pip install 'dmws_lite[dicom]'" in said
