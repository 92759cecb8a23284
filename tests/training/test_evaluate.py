"""Metrics against counts made by hand."""

import math

import numpy as np
import pytest
import torch

from dmws_lite.experiments.statistics import paired_difference, proportion_interval, summarise
from dmws_lite.training.evaluate import accuracy, auroc, confusion_matrix, evaluate, macro_f1, predict_probabilities

P = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
Y = torch.tensor([0, 0, 1, 2, 2, 2])


def test_metrics_by_hand():
    assert accuracy(P, Y) == pytest.approx(4 / 6)
    assert confusion_matrix(P, Y).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    f1 = [2 * 0.5 * 0.5 / 1.0, 2 * 0.5 * 1.0 / 1.5, 2 * 1.0 * (2 / 3) / (5 / 3)]
    assert macro_f1(P, Y) == pytest.approx(np.mean(f1))
    # class 0: positives .7 .4 against .1 .2 .6 .1: 7 of 8 pairs; class 1: .8 beats all 5; class 2: .5 .1 .8 against .1s
    assert auroc(P, Y) == pytest.approx(np.mean([7 / 8, 1.0, (3 + 3 + 1.5) / 9]))


def test_a_class_without_images_does_not_break_anything():
    two = torch.tensor([0, 0, 1, 1, 0, 1])
    assert confusion_matrix(P, two).shape == (3, 3)
    assert math.isfinite(auroc(P, two))
    assert math.isnan(auroc(P, torch.zeros(6, dtype=torch.long)))


def test_summary_is_student_t():
    s = summarise([0.7, 0.8, 0.9])
    assert (s.n, s.mean) == (3, pytest.approx(0.8))
    assert s.sd == pytest.approx(0.1)
    assert s.high - s.mean == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)  # t table, 2 degrees of freedom
    one = summarise([0.7])
    assert one.n == 1 and math.isnan(one.sd) and str(one) == "0.700 (n=1)"
    assert "95%" in str(s)


def test_paired_difference_removes_what_is_common():
    d = paired_difference([0.61, 0.72, 0.83], [0.60, 0.70, 0.80])
    assert d.mean == pytest.approx(0.02) and d.sd == pytest.approx(0.01)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([1.0], [1.0, 2.0])


def test_wilson_interval():
    low, high = proportion_interval(0.8, 100)
    assert (low, high) == (pytest.approx(0.7112, abs=1e-3), pytest.approx(0.8666, abs=1e-3))
    with pytest.raises(ValueError, match="is no proportion"):
        proportion_interval(1.2, 10)


@pytest.mark.parametrize(("call", "said"), [
    (lambda: summarise([]), "0 values cannot be summarised"),
    (lambda: summarise([1.0, 2.0], confidence=95), "confidence=95 is out of range"),
    (lambda: evaluate(torch.nn.Linear(1, 1), torch.zeros(0, 4, 4, dtype=torch.uint8), torch.zeros(0)), "0 images"),
])  # fmt: skip
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_evaluate_restores_the_mode_and_gives_plain_numbers():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3)).train()
    pixels = torch.randint(0, 255, (10, 4, 4), dtype=torch.uint8)
    found = evaluate(model, pixels, torch.arange(10) % 3, batch_size=4)
    assert model.training
    assert set(found) == {"accuracy", "macro_f1", "auroc", "confusion", "n"} and found["n"] == 10
    assert sum(map(sum, found["confusion"])) == 10
    assert torch.allclose(predict_probabilities(model, pixels).sum(1), torch.ones(10))
