"""A thousand damaged files in a minute: the right result, or one line that names the file. Never a traceback.

What escapes from ``main`` or from a reader as anything but the one exception that is foreseen fails the test by itself.
"""

import json

import numpy as np
import pytest
import torch
from damage import variants
from PIL import Image
from safetensors.torch import save as save_tensors
from small import config, images, network

from dmws_lite import make_student, plan_selection, select_weights
from dmws_lite._sealed import with_checksum
from dmws_lite._system import data_path
from dmws_lite.cli import main
from dmws_lite.distillation.strategies import make_strategy
from dmws_lite.experiments.check import check_record
from dmws_lite.experiments.grids import Grid, GridError, read_grid
from dmws_lite.experiments.records import read_record, record_files, run_of
from dmws_lite.images.splits import split
from dmws_lite.selection.plan import Plan, SelectionError
from dmws_lite.training.checkpoint import Checkpoint
from dmws_lite.training.config import Result
from dmws_lite.training.fit import fit
from dmws_lite.training.saved import load, save_student

RECORD = sorted(path for path in record_files(data_path("results/ablations")) if "-ours-" in path.name)[0]

GRID = b"""\
name: fuzzed
title: A grid with everything in it
order: blocks
defaults: {dataset: phantom-mri, pair: convnext_pocket, size: 64, steps: 100, batch_size: 16}
blocks:
  - {fraction: [0.05, 0.1], seed: &seeds [0, 1, 2], method: [ours, cm1], tau: [1.0, 3.0]}
  - {fraction: 0.1, seed: *seeds, method: cm1, strategy: label_smoothing, strategy_options: {smoothing: [0.1, 0.2]}}
  - {fraction: 0.1, seed: 0, method: cm1, tune: {learning_rate: [0.001, 0.002]}, folds: 2, precision: fp32}
"""


def one_error_line(capsys):
    """Return the last line on stderr, which must be the only error and must begin so."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_records(tmp_path):
    path, content = tmp_path / RECORD.name, RECORD.read_bytes()
    right, refused = read_record(RECORD), 0
    for changed in variants(content, 250, seed=1, sealed=with_checksum):
        path.write_bytes(changed)
        problems = check_record(path)
        assert all(isinstance(line, str) and line for line in problems)
        if problems:
            refused += 1
        else:  # it may have lost its checksum, and a date or a device that nothing contradicts is another
            found = read_record(path)
            assert found["metrics"] == right["metrics"] and run_of(found).name == run_of(right).name
    assert refused > 150


def test_grids(tmp_path):
    path, refused = tmp_path / "grid.yaml", 0
    for changed in variants(GRID, 250, seed=3):
        path.write_bytes(changed)
        try:
            assert isinstance(read_grid(path), Grid)
        except GridError as error:
            assert "\n" not in str(error)
            refused += 1
    value = {"name": "x", "order": "data", "defaults": {"size": 64, "pair": "convnext_pocket", "epochs": 1},
             "blocks": [{"dataset": "phantom-mri", "method": ["cm1"], "seed": [0], "fraction": 0.5,
                         "tune": {"tau": [1, 2]}}]}  # fmt: skip
    for changed in variants(json.dumps(value).encode(), 100, seed=4):
        path.write_bytes(changed)
        try:
            read_grid(path)
        except GridError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 150


@pytest.fixture
def resumable(tmp_path):
    data = split(images(), 0.5)
    path = tmp_path / "run.pt"
    fit(network(1), None, data, config(epochs=1, checkpoint=path))

    def resume():
        main_student = network(2)
        made = config(epochs=1, checkpoint=path)
        adam = torch.optim.AdamW(
            [{"params": [p for p in main_student.parameters() if p.ndim >= 2]},
             {"params": [p for p in main_student.parameters() if p.ndim < 2]}]
        )  # fmt: skip
        state = Checkpoint(
            made, data, main_student, None, adam, torch.Generator(), make_strategy("labels"), Result(config=made)
        )
        return state.resume(), main_student.state_dict()

    return path, resume


def test_checkpoints(resumable):
    path, resume = resumable
    content = path.read_bytes()
    epochs, right = resume()
    assert epochs == 1
    for changed in variants(content, 150, seed=5):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"run.pt.*delete it"):
            resume()
    old = content.partition(b"\n")[2]  # from before there were checksums: PyTorch's own file, a zip
    refused = 0
    for changed in [old, *variants(old, 100, seed=6)]:
        path.write_bytes(changed)
        try:
            done, weights = resume()
        except ValueError as error:
            assert "run.pt" in str(error) and "delete it" in str(error)
            refused += 1
        else:
            assert done == 1 and all(torch.equal(weights[name], value) for name, value in right.items())
    assert refused > 70


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on a few pictures of two classes."""
    base = tmp_path_factory.mktemp("fuzz")
    for label, name in enumerate(("a", "b")):
        (base / "images" / name).mkdir(parents=True)
        for i in range(4):
            picture = np.full((32, 32), 30 * i + 100 * label, np.uint8)
            Image.fromarray(picture).save(base / "images" / name / f"{i}.png")
    line = ["train", str(base / "images"), "--out", str(base / "run"), "--size", "32", "--epochs", "1", "--quiet",
            "--device", "cpu"]  # fmt: skip
    assert main(line) == 0
    return base, line


@pytest.mark.parametrize("name", ["settings.json", "record.json"])
def test_run_folders(trained, name, capsys):
    base, line = trained
    path = base / "run" / name
    content = path.read_bytes()
    capsys.readouterr()
    assert main(line) == 0
    right = capsys.readouterr().out
    try:
        for changed in variants(content, 60, seed=7, sealed=with_checksum):
            path.write_bytes(changed)
            code = main(line)
            assert code in (0, 2)
            if code == 2:
                one_error_line(capsys)
            else:
                assert capsys.readouterr().out == right
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(("name", "n"), [("model.json", 80), ("model.safetensors", 30), ("doubt.safetensors", 30)])
def test_trained_networks(trained, name, n, capsys):
    base, _ = trained
    path, line = base / "run" / name, ["predict", str(base / "run"), str(base / "images"), "--quiet", "--device", "cpu"]
    content = path.read_bytes()
    capsys.readouterr()
    assert main(line) == 0
    right = capsys.readouterr().out
    resealed = 0
    try:
        for changed in variants(content, n, seed=8, sealed=with_checksum):
            path.write_bytes(changed)
            code = main(line)
            if code == 2:
                one_error_line(capsys)
                continue
            assert code == 0
            out = capsys.readouterr().out
            assert "nan" not in out
            if out != right:  # other class names, or another mean: a mapping that somebody changed and sealed
                resealed += 1
    finally:
        path.write_bytes(content)
    assert resealed <= n // 8


def test_networks_with_nan_and_inf_are_refused_not_answered(tmp_path):
    save_student(tmp_path, make_student("convnext_pocket", 2, 32), "convnext_pocket", ("a", "b"), 32)
    model, card = load(tmp_path)
    for value in (float("nan"), float("inf"), -float("inf")):
        weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        weights["head.fc.bias"][1] = value
        payload = save_tensors(weights)
        (tmp_path / "model.safetensors").write_bytes(payload)
        import hashlib

        about = json.loads((tmp_path / "model.json").read_text())
        about["sha256"] = hashlib.sha256(payload).hexdigest()
        (tmp_path / "model.json").write_text(json.dumps(with_checksum(about)))
        with pytest.raises(ValueError, match="head.fc.bias of .* has 1 values that are NaN or infinite"):
            load(tmp_path)


def test_plans():
    teacher, student = network(0), network(1)
    plan = plan_selection(teacher, student)
    right = plan.tensors(teacher.state_dict())
    for changed in variants(plan.to_json().encode(), 200, seed=9, sealed=with_checksum):
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        try:
            found = Plan.from_json(text)
            select_weights(teacher, network(1), found)
        except SelectionError as error:
            assert "\n" not in str(error)
        else:
            same = all(torch.equal(value, right[name]) for name, value in found.tensors(teacher.state_dict()).items())
            assert same or "checksum" not in json.loads(text) or text.count("\n") == 0  # our own variants are one line


def test_tables_of_labels(tmp_path, capsys):
    for name in "abcd":
        Image.new("L", (32, 32), 10 * ord(name) % 250).save(tmp_path / f"{name}.png")
    path = tmp_path / "labels.csv"
    content = b"image,label\na.png,benign\nb.png,malignant\nc.png,benign\nd.png,malignant\n"
    for changed in variants(content, 60, seed=10):
        path.write_bytes(changed)
        code = main(["look", str(tmp_path), "--labels", str(path), "--quiet"])
        if code:
            assert code == 2
            one_error_line(capsys)
