"""The page "Your own images": every command on it, on a generated folder of the layout that stands above it."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from dmws_lite import save_student
from dmws_lite.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "book" / "your_own_images.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^###? |\Z)", PAGE.split("## What else")[0], re.M | re.S))
QUICK = ["--size", "32", "--epochs", "1", "--device", "cpu", "--quiet"]


def picture(path: Path, seed: int, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(level, 30, (40, 40))
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(path)


def classes(root: Path, *names: str, n: int = 6, stem: str = "{}.png", start: int = 0) -> None:
    for k, name in enumerate(names):
        for i in range(n):
            picture(root / name / stem.format(f"{k}{i:02}"), start + 100 * k + i, 60 + 90 * k)


def one_folder_per_class(root: Path) -> None:
    classes(root / "my_images", "benign", "malignant")


def patients(root: Path) -> None:
    for i in range(24):
        picture(
            root / "my_images" / ("normal", "tumour")[i % 3 > 0] / f"p{i // 4:02}-{i}.png", i, 60 + 90 * (i % 3 > 0)
        )


def parts(root: Path) -> None:
    for k, part in enumerate(("train", "val", "test")):
        classes(root / "my_images" / part, "normal", "pneumonia", start=1000 * k)


def level_above(root: Path) -> None:
    for k, site in enumerate(("site_a", "site_b")):
        classes(root / "my_images" / site, "benign", "malignant", start=1000 * k)


def table(root: Path) -> None:
    for i in range(24):
        picture(root / "my_images" / f"images_part_{1 + i // 12}" / f"ISIC_{i + 1:02}.jpg", i, 60 + 90 * (i // 2 % 2))
    rows = "".join(f"L{i // 2},ISIC_{i + 1:02},{('nv', 'mel')[i // 2 % 2]}\n" for i in range(24))
    (root / "my_images" / "metadata.csv").write_text("lesion_id,image_id,dx\n" + rows)


def masks(root: Path) -> None:
    classes(root / "my_images", "benign", "malignant", stem="scan{}.png")
    for path in list((root / "my_images").rglob("*.png")):
        Image.new("1", (40, 40)).save(path.with_name(f"{path.stem}_mask.png"))
    shutil.copy(path, path.with_name("x_overlay.png"))


def dicom(root: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    header = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "MR_small.dcm")
    shape = header.Rows, header.Columns
    for k, name in enumerate(("normal", "effusion")):
        for i in range(8):
            values = np.random.default_rng(100 * k + i).normal(300 + 300 * k, 50, shape)
            header.PixelData = values.astype(np.int16).tobytes()
            header.PatientID, header.PatientName = f"MRN4711{k}{i // 2}", "Doe^Jane"
            path = root / "my_images" / name / f"study{k}" / f"IM{i:04}"
            path.parent.mkdir(parents=True, exist_ok=True)
            header.save_as(path)


def other_hospital(root: Path) -> None:
    classes(root / "my_images", "benign", "malignant")
    classes(root / "other_hospital", "benign", "malignant", start=5000)


MADE = {
    "One folder per class": one_folder_per_class,
    "Patients in the file names": patients,
    "Train and test folders": parts,
    "A level above the classes": level_above,
    "Labels in a table": table,
    "Masks beside the images": masks,
    "A DICOM export": dicom,
    "Another hospital to test on": other_hospital,
}
# Training and test images of each.
EXPECTED = {
    "One folder per class": 12,
    "Patients in the file names": 24,
    "Train and test folders": 36,
    "A level above the classes": 24,
    "Labels in a table": 24,
    "Masks beside the images": 12,
    "A DICOM export": 16,
    "Another hospital to test on": 24,
}


def test_every_layout_of_the_page_is_tried():
    assert list(SECTIONS) == list(MADE)


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_the_commands_of_the_page_lead_to_a_card(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MADE[name](tmp_path)
    commands = re.findall(r"^dmws-lite (.+)$", SECTIONS[name], re.M)
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert main([*words, *(QUICK if words[0] == "train" else ["--quiet"])]) == 0, command
    (out,) = (tmp_path / "runs").iterdir()
    card = (out / "MODEL_CARD.md").read_text()
    assert card.startswith("# Model card: my\\_images, 2 classes")
    split = json.loads((out / "record.json").read_text())["split"]
    assert split["train"] + split["test"] == EXPECTED[name]
    written = "".join(path.read_text() for path in out.iterdir() if path.suffix != ".safetensors")
    answer = capsys.readouterr()
    for secret in ("MRN4711", "Doe^Jane", str(tmp_path)):
        assert secret not in written + answer.out.replace(str(tmp_path), "" if secret == str(tmp_path) else secret)


def test_look_and_options_of_the_page_exist(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for option in set(re.findall(r"(--[a-z][a-z-]+)", PAGE)):
        assert option in text or option == "--csv", option


@pytest.mark.slow
def test_the_network_is_used_outside_and_saved_from_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one_folder_per_class(tmp_path)
    assert main(["look", "my_images", "--quiet", "-o", "sheet.html"]) == 0
    assert main(["train", "my_images", "--out", "runs/mine", *QUICK]) == 0
    outside, saving = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict = {}
    exec(outside, names)
    stored = safetensors.torch.load_file("runs/mine/model.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in names["model"].state_dict().items())
    shutil.rmtree("runs")
    exec(saving, {"main": names["model"], "images": type("Set", (), {"classes": ("benign", "malignant")})})
    assert main(["predict", "runs/mine", "my_images", "--quiet", "--csv", "p.csv"]) == 0
    assert "12 images" in capsys.readouterr().out
    assert timm and save_student
