"""Forests and the map show what they were given."""

import matplotlib
import pytest

matplotlib.use("Agg")

from dmws_lite import figures
from dmws_lite.experiments.compare import group_records
from dmws_lite.experiments.statistics import summarise


def record(method, rate, seed, accuracy):
    return {
        "dataset": "mri", "pair": "convnext_pocket", "method": method, "fraction": 0.01, "size": 64, "epochs": 0,
        "steps": 600, "batch_size": 16, "learning_rate": rate, "split_rule": "grouped", "alpha": 0.6, "beta": 0.9,
        "tau": 3.0, "rule": "uniform", "strategy": "", "seed": seed, "classes": list("abcd"),
        "split": {"digest": str(seed)}, "metrics": {"accuracy": accuracy},
    }  # fmt: skip


def test_a_forest_draws_each_interval_at_its_ends():
    gain = summarise([0.01, 0.03, 0.05])
    rows = {"Brain": {"first": {"paper": gain, "here": summarise([0.0, 0.01])}, "second": {"here": gain}}}
    figure = figures.forest(rows, "t", effect=0.02)
    ax = figure.axes[0]
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2 and set(line.get_ydata()) != {0, 1}]
    assert [line.get_xdata()[0] for line in lines] == pytest.approx([gain.low, summarise([0.0, 0.01]).low, gain.low])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert "Brain" in [text.get_text() for text in ax.texts]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["paper", "here"]


def test_an_interval_beyond_the_axis_ends_in_an_arrow():
    wide = {"": {"first": {"here": summarise([-0.5, 0.5])}}}
    arrows = [line.get_marker() for line in figures.forest(wide, "t", limits=(-0.1, 0.1)).axes[0].lines]
    assert "<" in arrows and ">" in arrows
    narrow = {"": {"first": {"here": summarise([0.01, 0.011])}}}
    arrows = [line.get_marker() for line in figures.forest(narrow, "t", limits=(-0.1, 0.1)).axes[0].lines]
    assert "<" not in arrows and ">" not in arrows


def test_one_seed_is_a_point():
    figure = figures.forest({"": {"first": {"here": summarise([0.01])}}}, "t")
    assert figure.axes[0].lines[1].get_xdata().tolist() == [0.01, 0.01]


def test_nothing_to_show_is_refused():
    with pytest.raises(ValueError, match="no difference to show"):
        figures.forest({"Brain": {}}, "t")
    with pytest.raises(ValueError, match="no run to show"):
        figures.rate_map({"a": {}}, "t")


def test_rate_curves_have_an_interval_for_each_rate():
    line = {0.001: summarise([0.0, 0.01]), 0.004: summarise([0.02, 0.04])}
    ax = figures.rate_curves({"none": line, "standard": {0.004: summarise([0.0, 0.01])}}, "t").axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.001", "0.004"]
    assert [len(bars.lines[0].get_xdata()) for bars in ax.containers] == [2, 1]


def test_the_map_writes_means_and_leaves_the_rest_empty():
    runs = [record("cm1", r, s, a + s / 50) for r, a in ((0.001, 0.7), (0.004, 0.6)) for s in (0, 1)]
    runs += [record("ours", 0.004, s, 0.5) for s in (0, 1)]
    cells = {"CM1": {}, "ours": {}}
    for group in group_records(runs):
        cells[{"cm1": "CM1", "ours": "ours"}[group.key]][group.task["learning_rate"]] = group
    figure = figures.rate_map({"none": cells, "standard": {"CM1": cells["CM1"]}}, "t")
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == [".710", ".610", ".500"]
    assert [text.get_text() for text in second.texts] == [".710", ".610"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["CM1", "ours"]
