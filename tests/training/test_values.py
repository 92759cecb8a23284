"""Settings, labels and weights that would be taken for something else, or lead to NaN."""

import numpy as np
import pytest
import torch
from small import config, images, network
from torch import nn

from dmws_lite import make_student, plan_selection, select_weights
from dmws_lite.distillation.loss import skd_loss
from dmws_lite.distillation.moving_average import remaining_share, update_auxiliary
from dmws_lite.selection.plan import SelectionError
from dmws_lite.selection.rules import element_indices
from dmws_lite.training.config import TrainConfig
from dmws_lite.training.evaluate import accuracy, evaluate, score
from dmws_lite.training.fit import fit
from dmws_lite.training.saved import load, predictions_csv, save_student


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip": "no"},
        {"flip": 0},
        {"progress": "yes"},
        {"seed": "x"},
        {"seed": 1.5},
        {"seed": True},
        {"seed": -1},
        {"seed": 10**20},
        {"epochs": 3.0},
        {"epochs": True},
        {"batch_size": 1},
        {"shift": True},
        {"shift": "0.1"},
        {"learning_rate": float("nan")},
        {"learning_rate": True},
        {"weight_decay": float("inf")},
        {"warmup": None},
        {"alpha": True},
        {"tau": "3"},
        {"buffers": ["lerp"]},
        {"schedule": None},
    ],
)
def test_settings_that_mean_something_else_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainConfig(**wrong)


def test_scalars_of_numpy_become_pythons() -> None:
    made = TrainConfig(epochs=np.int64(3), learning_rate=np.float64(0.01), flip=np.True_, seed=np.uint8(7))
    assert made == TrainConfig(epochs=3, learning_rate=0.01, flip=True, seed=7)
    assert [type(made.epochs), type(made.learning_rate), type(made.flip), type(made.seed)] == [int, float, bool, int]
    assert element_indices(np.int64(8), np.int32(4), part=np.int64(1)).tolist() == [1, 3, 5, 7]
    assert remaining_share(np.float64(0.5), np.int64(2)) == 0.25
    assert make_student("convnext_pocket", np.int64(3), np.int64(64)).num_classes == 3


@pytest.mark.parametrize("part", [True, "0", 0.0, 2])
def test_a_part_is_0_or_1(part) -> None:
    with pytest.raises(ValueError, match="use 0 for the main or 1 for the auxiliary student"):
        element_indices(8, 4, part=part)


@pytest.mark.parametrize("seed", ["x", 1.5, True, None])
def test_rules_take_an_integer_as_seed(seed) -> None:
    with pytest.raises(ValueError, match="seed="):
        element_indices(8, 4, "random", seed=seed)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 5]), "labels run from 0 to 5, but 2 classes allow 0 to 1"),
        (torch.tensor([-1, 0]), "labels run from -1 to 0"),
        (torch.tensor([0.0, 1.0]), "must be integers"),
        (torch.tensor([False, True]), "must be integers"),
        (torch.tensor([0]), "must be"),
    ],
)
def test_labels_are_class_numbers(labels, message) -> None:
    shares = torch.tensor([[0.9, 0.1], [0.4, 0.6]])
    for call in (accuracy, score):
        with pytest.raises(ValueError, match=message):
            call(shares, labels)


def test_nan_has_no_most_probable_class() -> None:
    shares = torch.tensor([[0.9, float("nan")]])
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        score(shares, torch.tensor([0]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        predictions_csv(["a.png"], ["a", "b"], shares)


@pytest.mark.parametrize(
    "targets", [torch.tensor([-100, 0]), torch.tensor([2, 0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2)]
)
def test_targets_are_class_numbers(targets) -> None:
    with pytest.raises(ValueError, match=r"out of bounds|targets are"):
        skd_loss(torch.zeros(2, 2), torch.zeros(2, 2), targets)


def test_pixels_in_0_to_1_are_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))
    with pytest.raises(ValueError, match=r"must be torch.uint8"):
        evaluate(model, torch.rand(2, 4, 4), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="batch_size=0"):
        evaluate(model, torch.zeros(2, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), batch_size=0)


def broken(model, value=float("nan")):
    with torch.no_grad():
        next(p for p in model.parameters() if p.ndim == 4)[0, 0, 0, 0] = value
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_with_nan_is_named_on_use_and_on_save(tmp_path, value) -> None:
    model = broken(make_student("convnext_pocket", 3, 64), value)
    with pytest.raises(FloatingPointError, match=r"stem.0.weight of the network has 1 values that are NaN or infinite"):
        evaluate(model, torch.zeros(2, 64, 64, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"stem.0.weight of the network"):
        save_student(tmp_path / "run", model, "convnext_pocket", ("a", "b", "c"), 64)
    assert not (tmp_path / "run").exists()


def test_a_file_with_nan_is_refused_on_load(tmp_path, monkeypatch) -> None:
    model = make_student("convnext_pocket", 3, 64)
    monkeypatch.setattr("dmws_lite.training.saved.check_weights", lambda *_: None)
    save_student(tmp_path, broken(model), "convnext_pocket", ("a", "b", "c"), 64)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"stem.0.weight of .*model.safetensors has 1 values"):
        load(tmp_path)


@pytest.mark.parametrize("std", [0.0, -0.1, float("nan")])
def test_a_student_without_usable_statistics_is_not_saved(tmp_path, std) -> None:
    model = make_student("convnext_pocket", 3, 64)
    model.pretrained_cfg = {**model.pretrained_cfg, "std": (std,) * 3}
    with pytest.raises(ValueError, match="std="):
        save_student(tmp_path, model, "convnext_pocket", ("a", "b", "c"), 64)
    assert not list(tmp_path.iterdir())


def test_selection_refuses_what_has_no_values() -> None:
    teacher, student = make_student("convnext_pocket", 3, 64), make_student("convnext_pocket", 3, 64)
    before = [p.clone() for p in student.parameters()]
    with pytest.raises(SelectionError, match=r"stem.0.weight of the teacher has 1 values"):
        select_weights(broken(teacher), student)
    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters()))
    with torch.device("meta"):
        empty = make_student("convnext_pocket", 3, 64)
    for models in ((student, empty), (empty, student)):
        with pytest.raises(SelectionError, match="device meta, which holds no values"):
            select_weights(*models)
    with pytest.raises(ValueError, match="device meta"):
        update_auxiliary(empty, student, 0.9)


@pytest.mark.parametrize("layers", [{"stages.0.blocks": [0.4, 1.7]}, {"stages.0.blocks": "01"}])
def test_layers_are_whole_numbers(layers) -> None:
    teacher, student = make_student("convnext_pocket", 3, 64), make_student("convnext_pocket", 3, 64)
    with pytest.raises(SelectionError, match="whole numbers"):
        plan_selection(teacher, student, layers=layers)


def test_a_run_whose_loss_is_nan_ends() -> None:
    from dmws_lite.images.splits import split

    with pytest.raises((FloatingPointError, ValueError), match=r"NaN|nan"):
        fit(broken(network()), None, split(images(), 0.5), config(epochs=1))
