"""The ablation explorer: what the page shows is what results.py computes, and what has no record is never drawn."""

import json
import math

import pytest
from browser import number, open_page, overflow, put, widget_page

from dmws_lite.classroom.widgets import ablation_explorer
from dmws_lite.classroom.widgets.ablation import (
    GRIDS,
    describe_way,
    fraction_series,
    measured_tasks,
    verdict_words,
)
from dmws_lite.experiments.compare import difference, find, group_records
from dmws_lite.experiments.methods import METHODS
from dmws_lite.experiments.records import read_records
from dmws_lite.figures.style import method_style

NAME = "ablation-explorer"


def record(method: str = "ours", seed: int = 0, accuracy: float = 0.7, **other: object) -> dict:
    """A record with what the widget reads."""
    settings = {"alpha": 0.6, "beta": 0.9, "tau": 3.0, "rule": "uniform", "strategy": ""}
    task = {"dataset": "mri", "pair": "convnext_pocket", "fraction": 0.05, "size": 64, "epochs": 0, "steps": 48,
            "batch_size": 16, "learning_rate": 0.001, "split_rule": "grouped"}  # fmt: skip
    split = {"digest": f"split {seed}", "train": 20 + seed, "test": 100}
    rest = {"seed": seed, "split": split, "classes": ["a", "b"], "metrics": {"accuracy": accuracy}}
    return {**task, **settings, "method": method, **rest, **other}


# Four seeds of ours, of which CM1 has three; alpha 0.2 is always 0.05 better than CM1 (no spread); points with one seed
# and with no seed in common; a longer task and another share.
GRID = [
    *(record("ours", seed, a) for seed, a in enumerate((0.71, 0.76, 0.69, 0.9))),
    *(record("ours", seed, a, alpha=0.2) for seed, a in enumerate((0.8, 0.86, 0.77))),
    *(record("ours", seed, a, alpha=0.35) for seed, a in ((1, 0.74),)),
    *(record("ours", seed, 0.5, beta=0.0, rule="random") for seed in (0, 1)),
    *(record("ours", seed, 0.6, tau=8.0) for seed in (7, 8)),
    *(record("cm1", seed, a) for seed, a in enumerate((0.75, 0.81, 0.72))),
    *(record("cm1", seed, a, strategy="hybrid") for seed, a in enumerate((0.7, 0.8, 0.6))),
    *(record("cm2", seed, a) for seed, a in enumerate((0.3, 0.4, 0.35))),
    *(record("cm1", seed, a, fraction=0.5) for seed, a in enumerate((0.85, 0.84, 0.87))),
    record("cm1", 0, 0.91, steps=96),
]
ROWS = ("ours", "cm1", "cm2", "cm1 hybrid")


@pytest.fixture(scope="module")
def own():
    return ablation_explorer({"tables": GRID})


# -- the data ----------------------------------------------------------------------------------------------------------


def test_tasks_hold_every_accuracy_once_and_nothing_else() -> None:
    tasks = measured_tasks({"tables": GRID})
    assert sum(task["runs"] for task in tasks) == len(GRID)
    held = [
        (t["fraction"], t["steps"], v["key"], int(s), a)
        for t in tasks
        for v in t["variants"]
        for s, a in v["values"].items()
    ]
    wanted = [
        (g.task["fraction"], g.task["steps"], g.key, seed, r["metrics"]["accuracy"])
        for g in group_records(GRID)
        for seed, r in g.by_seed.items()
    ]
    assert sorted(held) == sorted(wanted)
    assert len({task["label"] for task in tasks}) == len(tasks) == 3
    assert tasks[0]["train"] == [20, 28] and tasks[0]["test"] == [100, 100] and tasks[0]["classes"] == 2
    json.dumps(tasks)


def test_a_setting_that_does_not_count_is_none() -> None:
    variants = {v["key"]: v for v in measured_tasks({"": GRID})[0]["variants"]}
    assert [variants["cm1"][name] for name in ("alpha", "beta", "tau")] == [None, None, None]
    assert [variants["cm1 hybrid"][name] for name in ("alpha", "beta", "tau")] == [0.6, None, 3.0]
    assert describe_way("ours", "skd")["uses"] == ["alpha", "beta", "tau", "rule"]
    assert describe_way("cm1", "labels")["uses"] == ["rule"] and describe_way("cm2", "labels")["uses"] == []
    assert describe_way("cm1", "hybrid")["uses"] == ["alpha", "tau", "rule"]


def test_grids_meet_in_one_task_and_a_run_in_two_grids_counts_once() -> None:
    again = [dict(r) for r in GRID[:1]] + [record("cm3", 0, 0.4)]
    tasks = measured_tasks({"tables": GRID, "long": again, "critical": []})
    assert tasks[0]["runs"] == measured_tasks({"tables": GRID})[0]["runs"] + 1
    assert tasks[0]["grids"] == ["long", "tables"]


def test_two_splits_of_one_seed_are_refused() -> None:
    odd = record("cm2", 0, 0.3, split={"digest": "another", "train": 20, "test": 100})
    with pytest.raises(ValueError, match="seed 0 .* two splits"):
        measured_tasks({"tables": [GRID[0], odd]})


def test_tasks_that_differ_in_the_learning_rate_alone_have_labels_of_their_own() -> None:
    labels = [t["label"] for t in measured_tasks({"": [record(), record(learning_rate=0.01)]})]
    assert len(set(labels)) == 2 and "0.001" in labels[0] + labels[1]


def test_shares_belong_together_only_with_equal_steps_or_one_grid() -> None:
    tasks = measured_tasks(
        {"tables": [record(steps=24, fraction=0.1), record(), record(fraction=0.01)], "long": [record(steps=96)]}
    )
    found = fraction_series(tasks)
    named = {(t["fraction"], t["steps"]): t["label"] for t in tasks}
    assert found[named[0.05, 48]] == [named[0.01, 48], named[0.05, 48], named[0.1, 24]]
    assert named[0.05, 96] not in found


def test_verdicts_are_those_of_results() -> None:
    assert verdict_words() == {
        "higher": "higher",
        "lower": "lower",
        "open": "inconclusive",
        "one": "one seed: no conclusion",
    }


def test_methods_look_as_in_every_figure(own) -> None:
    for way, one in own.ways.items():
        _, colour, marker = method_style(way.split()[0])
        assert (one["colour"], one["marker"]) == (colour, marker)


def test_every_marker_of_the_figures_has_a_shape() -> None:
    source = ablation_explorer({})._esm
    for marker in (method.marker for method in METHODS.values()):
        assert f"\n  {marker}: (x" in source or f'\n  "{marker}": (x' in source


def test_the_projects_records_fill_it() -> None:
    widget = ablation_explorer()
    runs = sum(len(read_records(grid=grid)) for grid in GRIDS)
    assert sum(task["runs"] for task in widget.tasks) == runs > 0
    assert len(json.dumps(widget.tasks)) < 200_000
    assert "mri" in next(t["dataset"] for t in widget.tasks if t["label"] == widget.task)
    groups = group_records(read_records(grid="ablations"))
    assert f"{find(groups, 'cm1').summary().mean:.3f}" in widget.alt()
    assert difference(find(groups, "ours"), find(groups, "cm1")).verdict in widget.alt()
    assert "data:image/png" in widget.fallback()


def test_no_record_is_said() -> None:
    widget = ablation_explorer({"tables": []})
    assert "no record" in widget.alt() and "data:image/png" in widget.fallback()


# -- the page ----------------------------------------------------------------------------------------------------------


def text(page, name: str) -> str:
    return page.locator(f'[data-widget="{NAME}"] [data-name="{name}"]').inner_text()


def check_point(page, groups, key: str, **task: object) -> None:
    """Compare all numbers of the chosen point with results.py."""
    group, cm1, paper = (find(groups, name, **task) for name in (key, "cm1", "ours"))
    s = group.summary()
    assert number(page, NAME, "n") == s.n
    for name in ("mean", "sd", "low", "high"):
        shown = number(page, NAME, name)
        assert math.isnan(shown) if math.isnan(getattr(s, name)) else shown == pytest.approx(getattr(s, name), abs=1e-9)
    for who, other in (("cm1", cm1), ("paper", paper)):
        d = difference(group, other) if other is not None and other is not group else None
        if d is None:
            assert text(page, f"{who}-why") and not text(page, f"{who}-verdict")
            continue
        assert text(page, f"{who}-verdict") == d.verdict
        assert number(page, NAME, f"{who}-n") == d.summary.n
        assert number(page, NAME, f"{who}-mean") == pytest.approx(d.summary.mean, abs=1e-9)
        if d.summary.n > 1:
            assert number(page, NAME, f"{who}-low") == pytest.approx(d.summary.low, abs=1e-9)
            assert number(page, NAME, f"{who}-high") == pytest.approx(d.summary.high, abs=1e-9)
        assert f"{d.verdict}, {d.summary.n} seed" in text(page, "summary")


def drawn(page, what: str) -> dict[str, float]:
    """Return what is marked ``data-WHAT`` -> its number."""
    script = f"nodes => nodes.map((n) => [n.dataset.{what}, Number(n.dataset.number)])"
    return dict(page.eval_on_selector_all(f'[data-widget="{NAME}"] [data-{what}]', script))


def check_curve(page, part: str, chart: int, points: dict[float, float]) -> None:
    """Compare the points that a chart draws with means of results.py: all of them, and no other."""
    points_drawn = page.eval_on_selector_all(
        f'[data-widget="{NAME}"] .abl-charts .dmws-frame:nth-child({chart}) [data-point]',
        "nodes => nodes.map((n) => [Number(n.dataset.point), Number(n.dataset.number)])",
    )
    assert dict(points_drawn) == pytest.approx(points, abs=1e-9), part


def curve_of(groups, part: str, **settings: object) -> dict[float, float]:
    """Means over one number, the others as given."""
    fits = [g for g in groups if all(getattr(g.variant, k) == v for k, v in settings.items() if k != part)]
    return {getattr(g.variant, part): g.summary().mean for g in fits}


@pytest.mark.filterwarnings("ignore:Precision loss")  # of SciPy's p value, for the differences without spread
def test_the_page_shows_what_results_computes(chromium, tmp_path, own) -> None:
    groups = group_records(GRID)
    page = open_page(chromium, widget_page(tmp_path, [own]), width=360, wait=f'[data-widget="{NAME}"] [data-point]')
    try:
        task = {"fraction": 0.05, "steps": 48}
        mine = [g for g in groups if all(g.task[k] == v for k, v in task.items())]
        point = {"method": "ours", "strategy": "skd", "rule": "uniform", "alpha": 0.6, "beta": 0.9, "tau": 3.0}
        check_point(page, groups, "ours", **task)
        for chart, part in enumerate(("alpha", "beta", "tau"), 1):
            check_curve(page, part, chart, curve_of(mine, part, **point))
        for name, value, key in (("alpha", "0.2", "ours alpha=0.2"), ("alpha", "0.35", "ours alpha=0.35")):
            put(page, NAME, name, value)
            check_point(page, groups, key, **task)
        check_curve(page, "beta", 2, curve_of(mine, "beta", **{**point, "alpha": 0.35}))
        put(page, NAME, "alpha", "0.6")
        put(page, NAME, "tau", "8")
        check_point(page, groups, "ours tau=8", **task)
        assert text(page, "cm1-why") == "no seed in common"
        put(page, NAME, "way", "cm1 hybrid")  # which was run at tau 3 only
        assert text(page, "moved") == "No run was made with the other settings as they were; now τ 3."
        check_point(page, groups, "cm1 hybrid", **task)
        assert (
            page.locator('[data-name="beta"]').is_disabled() and not page.locator('[data-name="alpha"]').is_disabled()
        )
        put(page, NAME, "way", "cm2")
        check_point(page, groups, "cm2", **task)
        assert page.locator("[data-point]").count() == 0
        # One row for each method, at the paper's settings where they are measured; shares of CM1 and of ours.
        assert drawn(page, "row") == pytest.approx({g.key: g.summary().mean for g in mine if g.key in ROWS}, abs=1e-9)
        cm1, paper = ([g for g in groups if g.key == key and g.task["steps"] == 48] for key in ("cm1", "ours"))
        shares = sorted(g.summary().mean for g in [*cm1, *paper, find(groups, "cm2")])
        seen = page.eval_on_selector_all("[data-share]", "nodes => nodes.map((n) => Number(n.dataset.number))")
        assert sorted(seen) == pytest.approx(shares, abs=1e-9)
        for label, one in (("50%", {"fraction": 0.5}), ("96 steps", {"steps": 96})):
            put(page, NAME, "task", next(t["label"] for t in own.tasks if label in t["label"]))
            assert number(page, NAME, "mean") == pytest.approx(find(groups, "cm1", **one).summary().mean, abs=1e-9)
            assert (text(page, "cm1-why"), text(page, "paper-why")) == (
                "this is CM1",
                "the paper’s choice: no run in this task",
            )
            assert not page.locator('[data-name="to-paper"]').is_visible()
        assert page.locator(".dmws-fallback").is_hidden()
        assert overflow(page) <= 0
        assert page.faults == []
    finally:
        page.close()


def options(page, name: str) -> list[str]:
    found = page.eval_on_selector_all(f'[data-name="{name}"] option', "nodes => nodes.map((n) => n.value)")
    return [] if page.locator(f'[data-name="{name}"]').is_disabled() else found


def test_only_measured_points_are_offered(chromium, tmp_path, own) -> None:
    """Every entry of every list leads to a point with runs, from wherever it is chosen."""
    page = open_page(chromium, widget_page(tmp_path, [own]), width=1000, wait=f'[data-widget="{NAME}"] [data-point]')
    try:
        assert options(page, "alpha") == ["0.2", "0.35", "0.6"] and options(page, "way") == [*ROWS[:3], "cm1 hybrid"]
        held = {v["key"]: len(v["values"]) for task in own.tasks for v in task["variants"]}
        visited = 0
        for way in options(page, "way"):
            for name in ("rule", "alpha", "beta", "tau"):
                put(page, NAME, "way", way)
                for value in options(page, name):
                    put(page, NAME, name, value)
                    assert number(page, NAME, "n") in held.values() and number(page, NAME, "mean") > 0
                    assert page.locator(f'[data-name="{name}"]').input_value() == value
                    visited += 1
        assert visited > 12
        put(page, NAME, "way", "ours")
        page.locator('[data-name="to-paper"]').press("Enter")
        put(page, NAME, "rule", "random")  # run at beta 0 only
        assert number(page, NAME, "mean") == pytest.approx(0.5) and "now β 0" in text(page, "moved")
        page.locator('[data-name="to-paper"]').press("Enter")
        assert number(page, NAME, "mean") == pytest.approx((0.71 + 0.76 + 0.69 + 0.9) / 4, abs=1e-9)
        assert text(page, "paper-why") == "this is the paper’s choice"
        assert page.evaluate("document.activeElement.className") == "abl-headline"
        assert not page.locator('[data-name="moved"]').is_visible()
        assert page.faults == []
    finally:
        page.close()


def test_the_table_has_every_variant_of_the_projects_largest_task(chromium, tmp_path) -> None:
    widget = ablation_explorer()
    start = next(t for t in widget.tasks if t["label"] == widget.task)
    shared = ("dataset", "pair", "fraction", "size", "epochs", "steps", "batch_size", "learning_rate", "split_rule")
    groups = group_records([r for g in start["grids"] for r in read_records(grid=g)])
    groups = [g for g in groups if all(g.task[name] == start[name] for name in shared)]
    page = open_page(
        chromium, widget_page(tmp_path, [widget], "dark"), width=360, wait=f'[data-widget="{NAME}"] [data-point]'
    )
    try:
        page.locator("details summary").press("Enter")
        assert page.locator("tr[data-key]").count() == len(groups)
        for group in groups:
            for what in ("mean", "low", "high"):
                shown = number(page, NAME, f"{what} of {group.key}")
                assert shown == pytest.approx(getattr(group.summary(), what), abs=1e-9)
        rows = page.eval_on_selector_all("[data-row]", "nodes => nodes.map((n) => n.dataset.row)")
        assert len(set(rows)) == len(rows) and {g.key for g in groups if g.key in METHODS} <= set(rows)
        assert overflow(page) <= 0
        page.locator('tr[data-key="ours beta=0"] button').press("Enter")
        check_point(page, groups, "ours beta=0")
        assert page.faults == []
    finally:
        page.close()
