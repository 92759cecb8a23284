"""The script that repeats the pretraining of the bundled teacher, on a tree of a few generated images."""

import importlib.util
import json

import pytest
import safetensors
import safetensors.torch
import timm
import torch
from PIL import Image

from dmws_lite._system import sha256

TINY = ["--depths", "1", "1", "1", "1", "--dims", "8", "16", "32", "64", "--size", "32", "--shift", "2"]
TINY += ["--batch", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def script(root):
    path = root / "scripts" / "pretrain_teacher.py"
    spec = importlib.util.spec_from_file_location("pretrain_teacher", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two classes, red and blue, 12 images each."""
    folder = tmp_path_factory.mktemp("images")
    for name, colour in (("blue", (20, 20, 200)), ("red", (200, 20, 20))):
        (folder / name).mkdir()
        for i in range(12):
            shade = tuple(min(255, value + 3 * i) for value in colour)
            Image.new("RGB", (20 + i, 18), shade).save(folder / name / f"{i}.png")
    return folder


def test_one_epoch(script, tree, tmp_path, capsys):
    out = tmp_path / "teacher.safetensors"
    digest = script.train(script.arguments(["--images", str(tree), "--out", str(out), "--epochs", "1", *TINY]))
    said = capsys.readouterr().out
    assert digest == sha256(out) and digest in said
    assert "validation top-1" in said
    weights = safetensors.torch.load_file(out)
    assert all(tensor.dtype == torch.float16 for tensor in weights.values())
    model = timm.create_model("convnext_tiny", depths=(1, 1, 1, 1), dims=(8, 16, 32, 64), patch_size=2, num_classes=2)
    model.load_state_dict(weights, strict=True)
    assert torch.isfinite(model(torch.zeros(1, 3, 32, 32))).all()
    with safetensors.safe_open(out, "pt") as stream:
        story = json.loads(stream.metadata()["pretraining"])
    assert story["settings"]["classes"] == ["blue", "red"] and len(story["history"]) == 1


def test_interrupted_run_goes_on(script, tree, tmp_path, monkeypatch):
    """Stopped in its second epoch and resumed, a run ends with the bytes of one that was not stopped."""
    common = ["--images", str(tree), "--epochs", "3", *TINY]
    whole = script.train(script.arguments([*common, "--out", str(tmp_path / "whole.safetensors")]))
    validate, calls = script.validate, []

    def stop_in_second(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*given)

    out = tmp_path / "parts.safetensors"
    monkeypatch.setattr(script, "validate", stop_in_second)
    with pytest.raises(KeyboardInterrupt):
        script.train(script.arguments([*common, "--out", str(out)]))
    assert not out.exists()
    monkeypatch.setattr(script, "validate", validate)
    rest = [*common, "--out", str(out), "--resume", str(tmp_path / "parts.checkpoint.pt")]
    assert script.train(script.arguments(rest)) == whole
    with pytest.raises(SystemExit, match="other lr"):
        script.train(script.arguments([*rest, "--lr", "0.1"]))


def test_second_cycle_learns(script, tree, tmp_path, capsys):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    common = ["--images", str(tree), *TINY]
    script.train(script.arguments([*common, "--out", str(first), "--epochs", "4"]))
    again = ["--out", str(second), "--resume", str(first), "--epochs", "4", "--val-images", str(tree)]
    script.train(script.arguments([*common, *again]))
    said = capsys.readouterr().out
    assert "a new cycle from the weights" in said
    with safetensors.safe_open(second, "pt") as stream:
        history = json.loads(stream.metadata()["pretraining"])["history"]
    assert history[-1]["top1"] > 0.9, "red and blue can be told apart"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--epochs", "0"], "--epochs is 0"),
        (["--val-share", "1"], "--val-share is 1"),
        (["--shift", "40"], "--shift less than half"),
        (["--resume", "nothing.safetensors"], "there is no file nothing.safetensors"),
    ],
)
def test_arguments(script, wrong, said, capsys):
    with pytest.raises(SystemExit):
        script.arguments(["--images", "x", "--out", "y.safetensors", *wrong])
    assert said in capsys.readouterr().err
