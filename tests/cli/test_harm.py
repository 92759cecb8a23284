"""After training nothing keeps the result from being written; a run that goes on is the run that was begun."""

import json

import numpy as np
import pytest
from PIL import Image

from dmws_lite.cli import main
from dmws_lite.experiments.locks import at_work


@pytest.fixture
def images(tmp_path):
    base = tmp_path / "images"
    for label, name in enumerate(("a", "b")):
        (base / name).mkdir(parents=True)
        for i in range(4):
            picture = np.full((32, 32), 30 * i + 100 * label, np.uint8)
            Image.fromarray(picture).save(base / name / f"{i}.png")
    return base


def line(images, out, *more):
    return [
        "train",
        str(images),
        "--out",
        str(out),
        "--size",
        "32",
        "--epochs",
        "1",
        "--quiet",
        "--device",
        "cpu",
        *more,
    ]


def fails(*_, **__):
    raise OSError(28, "No space left on device")


def mistake(*_, **__):
    raise KeyError("a mistake of ours")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("write_model_card", "MODEL_CARD.md"),
        ("predictions_csv", "test_files.csv"),
        ("save_typical", "doubt.safetensors"),
    ],
)
@pytest.mark.parametrize("how", [fails, mistake])
def test_what_fails_after_training_is_a_warning_and_is_made_up_for(
    what, name, how, images, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "run"
    with monkeypatch.context() as context:
        context.setattr(f"dmws_lite.cli.train.{what}", how)
        assert main(line(images, out)) == 0
    answer = capsys.readouterr()
    assert f"warning: {name} is not written" in answer.err and "accuracy" in answer.out
    first = json.loads((out / "record.json").read_text())
    assert (out / "model.safetensors").is_file() and not (out / name).exists()
    assert main(line(images, out)) == 0  # the same command makes up for it, and trains nothing
    assert (out / name).is_file() and not (out / "checkpoint.pt").exists()
    again = json.loads((out / "record.json").read_text())
    assert again["metrics"] == first["metrics"] and again["history"] == first["history"]


def test_the_record_is_there_before_the_network_is_written(images, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as context:
        context.setattr("dmws_lite.cli.train.save", fails)
        assert main(line(images, out)) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: No space left on device")
    assert (out / "record.json").is_file() and not (out / "model.json").exists()
    assert main(line(images, out)) == 0 and (out / "model.json").is_file()
    assert main(line(images, out)) == 0
    assert "has finished" in capsys.readouterr().out


def test_pair_auto_goes_on_with_the_pair_it_got(images, tmp_path, capsys, monkeypatch):
    from dmws_lite.teachers.load import load_teacher

    asked = []

    def first_available(name, **options):
        asked.append(name)
        return load_teacher("convnext_pocket" if name == "auto" else name, **options)

    monkeypatch.setattr("dmws_lite.cli.train.load_teacher", first_available)
    out = tmp_path / "run"
    for _ in range(2):
        assert main(line(images, out, "--pair", "auto")) == 0
    assert asked == ["auto", "convnext_pocket"]
    assert json.loads((out / "settings.json").read_text())["pair"] == "convnext_pocket"


def test_two_trainings_in_one_folder_are_refused(images, tmp_path, capsys):
    out = tmp_path / "run"
    with at_work(out, "training"):
        assert main(line(images, out)) == 2
    assert "is in use by process" in capsys.readouterr().err
    assert main(line(images, out)) == 0


def test_a_training_leaves_no_trace_of_what_was_killed_before(images, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for name in (".checkpoint.pt.abcd1234", ".record.json.zzzz0000"):
        (out / name).write_bytes(b"half")
    assert main(line(images, out, "--strategy", "tfkd_self")) == 0
    assert not [path.name for path in out.iterdir() if path.name.startswith(".") or path.suffix == ".pt"]


def test_weights_with_nan_are_refused_by_select(tmp_path, capsys):
    import safetensors.torch
    import timm

    teacher = timm.create_model("convnext_atto", num_classes=2)
    weights = {name: value.clone() for name, value in teacher.state_dict().items()}
    weights["stem.0.bias"][0] = float("nan")
    safetensors.torch.save_file(weights, tmp_path / "teacher.safetensors")
    out = tmp_path / "student.safetensors"
    command = ["select", "convnext_atto", "convnext_atto", "--teacher-weights", str(tmp_path / "teacher.safetensors")]
    assert main([*command, "-o", str(out)]) == 2
    assert "error: stem.0.bias of the teacher has 1 values that are NaN or infinite" in capsys.readouterr().err
    assert not out.exists()
