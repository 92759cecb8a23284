"""Every figure says what it shows: title, axes, and the numbers it was given."""

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from dmws_lite import figures
from dmws_lite.images.load import load_images
from dmws_lite.training.config import Result, TrainConfig


def result(dual=True):
    rows = [
        {"epoch": e, "step": 3 * e, "loss": 2 / e, "ce": 1 / e, "kd": 0.1 / e, "remaining": 0.9 ** (3 * e),
         "main_accuracy": 0.2 * e, "aux_accuracy": 0.1 * e if dual else None, "agreement": 0.5 if dual else None}
        for e in (1, 2, 3)
    ]  # fmt: skip
    return Result(history=rows, metrics={}, aux_metrics={} if dual else None, config=TrainConfig())


FIGURES = {
    "image_grid": lambda: figures.image_grid(load_images("phantom-mri", n=8, size=32), per_class=2),
    "feature_maps": lambda: figures.feature_maps(
        torch.zeros(8, 8, dtype=torch.uint8), [("stem", torch.rand(9, 4, 4)), ("stage", torch.rand(7, 2, 2))], title="t"
    ),
    "histograms": lambda: figures.histograms({"a": torch.randn(100), "b": torch.randn(50)}, "t", "x"),
    "histograms tails": lambda: figures.histograms({"a": torch.randn(100)}, "t", "x", tails=True),
    "layer_profile with a band": lambda: figures.layer_profile([("a", 1.0)], "t", "y", usual=(-0.1, 0.2, "fresh")),
    "layer_profile": lambda: figures.layer_profile([("a", 1.0), ("b", 2.0)], "t", "y"),
    "selection_maps": lambda: figures.selection_maps(
        {"r": figures.selection_codes((4, 4), ([0], [0]), ([1], [1]))}, "t"
    ),
    "training_curves": lambda: figures.training_curves(result(), "t"),
    "training_curves alone": lambda: figures.training_curves(result(dual=False), "t"),
    "learning_curves": lambda: figures.learning_curves(
        {"ours": [([1, 2], [0.3, 0.5]), ([1, 2], [0.4, 0.7])], "cm1": [([1, 2], [0.3, 0.6])]}, "t", chance=0.25
    ),
    "grouped_bars": lambda: figures.grouped_bars({"a": [0.1, -0.2], "b": [0.3, 0.4]}, ["x", "y"], "t", "share"),
    "decay_curves": lambda: figures.decay_curves(
        {"half": 0.5 ** np.arange(20), "slow": 0.9 ** np.arange(20)},
        "t",
        "share",
        measured={"half": ([1], [0.6])},
        mark=0.01,
    ),
    "method_comparison": lambda: figures.method_comparison({"ours": [0.7, 0.8], "mine": [0.5]}, "t", chance=0.25),
    "confusion": lambda: figures.confusion([[3, 1], [0, 4]], ["a", "b"], "t"),
    "curves": lambda: figures.curves({"ours": ([1, 2], [[0.1, 0.2], [0.3, 0.4]])}, "t", "x", mark=1),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_title_and_is_left_closed(name, tmp_path):
    before = plt.get_fignums()
    figure = FIGURES[name]()
    assert plt.get_fignums() == before  # else a notebook shows it twice
    titles = [figure.get_suptitle(), *(ax.get_title("left") or ax.get_title() for ax in figure.axes)]
    assert any(titles)
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["histograms", "layer_profile", "method_comparison", "confusion", "curves"])
def test_axes_are_labelled(name):
    ax = FIGURES[name]().axes[0]
    assert ax.get_xlabel() and (ax.get_ylabel() or name == "method_comparison")


def test_bars_stand_beside_one_another_over_their_group():
    ax = FIGURES["grouped_bars"]().axes[0]
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in ax.patches]
    assert [height for _, height in bars] == [0.1, -0.2, 0.3, 0.4]
    assert [round(x) for x, _ in bars] == [0, 1, 0, 1] and bars[0][0] < bars[2][0]


def test_a_decay_is_named_where_it_leaves_its_axes():
    ax = FIGURES["decay_curves"]().axes[0]
    assert ax.get_yscale() == "log" and ax.get_ylim()[0] == 1e-3
    half, slow = (text.xy for text in ax.texts[:2])
    assert tuple(half) == (10, 1e-3) and tuple(slow) == (19, 0.9**19)  # each line is named where it leaves the axes
    assert list(ax.lines[1].get_ydata()) == [0.6]  # what was measured
    assert [text.get_text() for text in ax.texts] == ["half", "slow", "1%"]


def test_codes_of_a_selection():
    codes = figures.selection_codes((3, 3), ([0, 1], [0]), ([1], [0, 2]))
    assert np.array_equal(codes, [[1, 0, 0], [3, 0, 2], [0, 0, 0]])


def test_a_learning_curve_ends_at_the_mean_and_says_it():
    ax = FIGURES["learning_curves"]().axes[0]
    assert [list(line.get_ydata()) for line in ax.lines[:3]] == [[0.3, 0.5], [0.4, 0.7], [0.35, 0.6]]
    names = {text.get_text(): text.get_position()[1] for text in ax.texts if "0." in text.get_text()}
    assert list(names) == ["CM1: one selection  0.60", "ours: dual + SKD  0.60"]
    first, second = names.values()
    assert abs(first - second) >= 0.06  # two lines end at one height, and neither name covers the other


def test_the_dots_are_the_numbers():
    ax = FIGURES["method_comparison"]().axes[0]
    assert list(ax.lines[0].get_xdata()) == [0.7, 0.8]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["ours: dual + SKD", "mine"]
