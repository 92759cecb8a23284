"""From records to tables and figures: every number can be recomputed by hand."""

import csv
import io
import math
import sys
from dataclasses import replace
from pathlib import Path

import paper_tables
import pytest
from matplotlib.figure import Figure
from scipy import stats

from dmws_lite import figures
from dmws_lite._system import data_path
from dmws_lite.cli.report import write_report
from dmws_lite.experiments.compare import (
    Variant,
    change,
    difference,
    find,
    group_records,
    is_flat,
    matters,
)
from dmws_lite.experiments.grids import Grid, known_grids, read_grid
from dmws_lite.experiments.records import read_records
from dmws_lite.experiments.run import Run
from dmws_lite.experiments.statistics import holm, summarise
from dmws_lite.experiments.tables import (
    change_table,
    difference_table,
    result_table,
    tally_table,
    task_label,
    to_csv,
)

ROOT = Path(__file__).resolve().parents[2]


def record(accuracy=0.7, seed=0, **changed):
    """A record as execute() makes it, with an accuracy of our choice."""
    settings = {"dataset": "mri", "pair": "efficientnet_lite0", "method": "ours", "fraction": 0.05, "seed": seed,
                "size": 96, "steps": 8, "batch_size": 8, **changed}  # fmt: skip
    run = Run(**settings)
    right = round(accuracy * 100)
    history = [
        {"epoch": e, "step": 2 * e, "ce": 1 / e, "kd": 0.1, "loss": 1 / e, "main_accuracy": accuracy}
        for e in (1, 2, 3, 4)
    ]
    return {
        **{name: getattr(run, name) for name in Run.__dataclass_fields__},
        "metrics": {"accuracy": accuracy, "confusion": [[right, 100 - right], [0, 100]]},
        "classes": ["a", "b"],
        "split": {"train": 16, "test": 200, "digest": f"split {seed}", "leaked": 0},
        "history": history,
        "seconds": 10.0 + seed,
        "peak_memory_mib": 100,
        "device": "cpu, 1 threads",
    }


@pytest.fixture
def some():
    accuracies = {"ours": (0.70, 0.72, 0.77), "cm1": (0.69, 0.70, 0.74), "cm2": (0.50, 0.55, 0.51)}
    return [record(a, seed, method=m) for m, values in accuracies.items() for seed, a in enumerate(values)]


def test_a_variant_is_named_by_what_is_not_the_papers_choice():
    def key(**changed):
        one = record(**changed)
        return Variant.of(one).key(one["pair"])

    assert key() == "ours" and key(method="cm1") == "cm1"
    assert key(beta=1.0) == "ours beta=1" and key(alpha=0.2, tau=9.0) == "ours alpha=0.2 tau=9"
    assert key(rule="random") == "ours random" and key(method="cm1", strategy="cskd") == "cm1 cskd"
    assert key(method="cm1", strategy="hybrid", tau=9.0) == "cm1 hybrid tau=9"
    # numbers that a method does not look at make no difference, and the choice of tau belongs to the pair
    assert key(method="cm1", beta=0.0, tau=9.0, alpha=0.1) == "cm1" and key(method="cm2", rule="random") == "cm2"
    assert key(pair="vit_s14", tau=4.0) == "ours" and key(pair="vit_s14", tau=3.0) == "ours tau=3"


def test_groups_hold_one_record_per_seed_and_never_mix_tasks(some):
    groups = group_records([*some, record(0.9, 0, steps=80), record(0.9, 0, fraction=0.1)])
    assert [(g.key, len(g.by_seed)) for g in groups] == [
        ("ours", 3), ("cm1", 3), ("cm2", 3), ("ours", 1), ("ours", 1),
    ]  # fmt: skip
    assert find(groups, "ours", fraction=0.05, steps=8).values() == [0.70, 0.72, 0.77]
    assert find(groups, "cm3") is None
    with pytest.raises(ValueError, match="several settings; name one of .*steps=8"):
        find(groups, "ours")
    with pytest.raises(ValueError, match="two records describe ours"):
        group_records([*some, record(0.1, 0)])


def test_a_difference_is_paired_by_seed(some):
    ours, cm1 = (find(group_records(some), key) for key in ("ours", "cm1"))
    d = difference(ours, cm1)
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert d.summary.mean == pytest.approx(0.02) and d.summary.high == pytest.approx(0.02 + half)
    assert d.p == pytest.approx(stats.ttest_1samp([0.01, 0.02, 0.03], 0).pvalue)
    assert d.verdict == "inconclusive"
    assert difference(cm1, find(group_records(some), "cm2")).verdict == "higher"
    one = group_records([record(0.6, 0, method="cm3")])[0]
    assert difference(ours, one).verdict == "one seed: no conclusion"
    assert difference(ours, group_records([record(0.6, 7, method="cm3")])[0]) is None
    equal = [record(r["metrics"]["accuracy"] - 0.1, s, method="cm4") for s, r in sorted(ours.by_seed.items())]
    assert difference(ours, group_records(equal)[0]).verdict == "inconclusive"  # no spread: nothing to judge by
    other = record(0.6, 0, method="cm3")
    other["split"] = {**other["split"], "digest": "another"}
    with pytest.raises(ValueError, match="different splits"):
        difference(ours, group_records([other])[0])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, math.nan, 0.9])[::2] == pytest.approx([1.0, 1.0])
    assert math.isnan(holm([math.nan])[0]) and holm([]) == []


def test_the_tables_hold_the_numbers_of_the_records(some):
    text = str(result_table(some, "T"))
    assert "| ours | **0.730 ± 0.036 (n=3)** |" in text and "| cm2 | 0.520 ± 0.026 (n=3) |" in text
    text = str(difference_table(some, "cm1", "D"))
    assert "ours − cm1 | +0.020 [-0.005, +0.045] | 3 |" in text and "cm2 − cm1" in text and "2 comparisons" in text
    assert "cm2 − ours" not in text
    rows = list(csv.DictReader(io.StringIO(to_csv(some))))
    assert [r["variant"] for r in rows] == ["ours", "cm1", "cm2"]
    assert rows[0]["seeds"] == "0:0.700000 1:0.720000 2:0.770000" and float(rows[0]["mean"]) == pytest.approx(0.73)


def test_the_tally_counts_tasks_by_what_their_intervals_say(some):
    more = [record(a, s, method=m, fraction=0.1) for m, a in (("ours", 0.9), ("cm1", 0.8)) for s in (0, 1)]
    lonely = [record(0.9, 0, method=m, fraction=0.01) for m in ("ours", "cm1")]  # one seed: no interval
    for i, r in enumerate(more):
        r["metrics"]["accuracy"] += 0.001 * i * i
    table = tally_table([*some, *more, *lonely], {"Better?": ("ours", "cm1"), "Unknown?": ("ours", "cm3")}, "T")
    assert [c.text for c in table.rows[0]][2:7] == ["2", "1", "0", "1", "+0.020 to +0.094"]
    assert table.rows[1][6].text == "not measured" and "adjustment for 2 comparisons" in table.notes[0]


def test_a_change_of_differences_is_paired_by_seed(some):
    more = [{**r, "steps": 999, "metrics": {"accuracy": r["metrics"]["accuracy"]}} for r in some]
    for i, r in enumerate(x for x in more if x["method"] == "ours"):
        r["metrics"]["accuracy"] += 0.1 + 0.01 * i
    lonely = [record(0.1, 7, method="ours"), record(0.9, 7, method="cm1")]  # a seed without longer runs
    (row,) = change_table([*some, *lonely], more, [("ours", "cm1"), ("ours", "cm3")], "T").rows
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert [c.text for c in row][1:] == [
        "ours − cm1", "+0.020", "+0.130", f"+0.110 [{0.11 - half:+.3f}, {0.11 + half:+.3f}]", "up",
    ]  # fmt: skip


def test_a_missing_cell_is_said_to_be_missing(some):
    text = str(result_table([*some, record(0.8, 0, fraction=0.1)], "T"))
    assert text.count("not measured") == 2 and "Brain MRI (2 of 4 classes), 10%" in text


def test_the_whole_teacher_never_takes_the_mark_of_the_best_student(some):
    assert "**0.990" not in str(result_table([*some, record(0.99, 0, method="teacher")], "T"))


def test_tasks_that_differ_in_one_setting_are_told_apart():
    tasks = [g.task for g in group_records([record(), record(steps=80), record(split_rule="random")])]
    labels = [task_label(task, tasks) for task in tasks]
    assert len(set(labels)) == 3 and any("80 steps" in x for x in labels) and any("random split" in x for x in labels)


def test_flat_means_that_the_loss_no_longer_falls(some):
    group = group_records(some)[0]
    assert not is_flat(group)  # 1/3 - 1/4 is more than 0.05
    assert is_flat(group, tolerance=0.1)


def test_a_report_is_files_from_records_only(some, tmp_path):
    runs = tuple(Run(**{n: r[n] for n in Run.__dataclass_fields__}) for r in some)
    stranger = record(0.1, 0, alpha=0.1)
    files = write_report(Grid("g", runs, "My title"), [*some, stranger], tmp_path / "new")
    assert {f.name for f in files} >= {"g.md", "g.csv", "g-confusion-mri-efficientnet_lite0-0.05.png"}
    assert all(f.stat().st_size > 0 for f in files)
    text = (tmp_path / "new" / "g.md").read_text()
    assert "My title" in text and "Differences from CM1" in text and "alpha=0.1" not in text
    with pytest.raises(ValueError, match="no record of the grid 'g' yet; make some with: dmws-lite run g"):
        write_report(Grid("g", runs), [], tmp_path)


def test_figures_show_what_they_are_given(some):
    more = [record(0.75, s, fraction=0.1) for s in (0, 1)]
    figure = figures.fraction_curves([*some, *more], "mri")
    assert isinstance(figure, Figure) and "2 to 3 seeds" in figure.axes[0].get_title(loc="left")
    with pytest.raises(ValueError, match="there is no record of 'ct'"):
        figures.fraction_curves(some, "ct")
    swept = [record(0.6 + b / 10, s, beta=b) for b in (0.0, 1.0) for s in (0, 1, 2)]
    figure = figures.sensitivity([*some, *swept], ("beta",))
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0", "0.9\n(paper)", "1"]
    with pytest.raises(ValueError, match="no record of ours"):
        figures.sensitivity(swept, ("beta",))
    groups = group_records(some)
    assert len(figures.confusions({"a": groups[0], "b": groups[1]}).axes) == 3  # two panels and the colour bar
    assert len(figures.losses(groups, "L").axes[0].lines) == 3
    assert len(figures.cost_bars(some).axes) == 2


def test_beside_the_paper(some):
    text = str(paper_tables.level_table(4, some))
    assert "| 5% | ours | 0.774 ± 0.019 | 0.852 ± 0.012 | 0.730 ± 0.036 (n=3) |" in text
    assert "not measured" in text
    with pytest.raises(ValueError, match="choose 2, 3 or 4"):
        paper_tables.level_table(8, some)
    table = paper_tables.gain_table(
        4, some, {("ours", "cm1"): ("ours", "cm1")}, "G", datasets=("mri",), fractions=(0.05,)
    )
    assert len(table.rows) == 1
    # Welch's interval by another way: SciPy from the same means and standard deviations.
    test = stats.ttest_ind_from_stats(0.852, 0.012, 5, 0.766, 0.017, 5, equal_var=False)
    half = stats.t.ppf(0.975, (0.012**2 + 0.017**2) ** 2 / ((0.012**4 + 0.017**4) / 4)) * 0.086 / test.statistic
    assert [c.text for c in table.rows[0]][3:] == [
        f"+0.086 [{0.086 - half:+.3f}, {0.086 + half:+.3f}]", "+0.020 [-0.005, +0.045]", "3", "inconclusive",
    ]  # fmt: skip
    gains = paper_tables.paper_gains()
    assert len(gains) == 18 and all(low < mean < high for mean, low, high in gains)
    cost = str(paper_tables.cost_table(some))
    assert "1,031 s | 1,328 s | +29%" in cost and "11 s | 11 s | +0%" in cost


@pytest.mark.parametrize("name", known_grids())
def test_committed_records_give_a_report(name):
    folder = data_path("results") / name
    if not folder.exists():
        pytest.skip(f"no records of the grid {name} are committed")
    wanted = set(read_grid(name).runs)
    records = read_records(folder)
    assert records and {Run(**{n: r[n] for n in Run.__dataclass_fields__}) for r in records} <= wanted
    for group in group_records(records):  # means of the tables are means of what the confusion matrices say
        again = []
        for seed in sorted(group.by_seed):
            matrix = group.by_seed[seed]["metrics"]["confusion"]
            again.append(sum(matrix[i][i] for i in range(len(matrix))) / sum(map(sum, matrix)))
        assert group.summary().mean == pytest.approx(sum(again) / len(again))
    assert str(result_table(records, name))


def test_the_table_in_the_readme_is_what_the_records_say():
    sys.path.insert(0, str(ROOT / "scripts"))
    import stamp_results

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert stamp_results.stamped(text) == text, "run make stamp"


def test_a_change_is_paired_by_the_seeds_that_all_share():
    rows = {"cm1": (0.6, 0.7, 0.8), "ours": (0.62, 0.70, 0.83)}
    before = [group_records([record(v, s, method=m) for s, v in enumerate(values)])[0] for m, values in rows.items()]
    after = [group_records([record(v + (m == "ours") / 10, s, method=m, steps=9) for s, v in enumerate(values[:2])])[0]
             for m, values in rows.items()]  # fmt: skip
    old, new, by = change(before[::-1], after[::-1])
    assert (old.n, new.n, by.n) == (2, 2, 2) and by.mean == pytest.approx(0.1) and old.mean == pytest.approx(0.01)
    assert change(before, [replace(group, by_seed={0: group.by_seed[0]}) for group in after]) is None


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ((0.01, 0.012, 0.011), "no difference that matters"),  # small, even though its interval excludes 0
        ((0.04, 0.05, 0.06), "higher"),
        ((-0.04, -0.05, -0.06), "lower"),
        ((-0.04, 0.05), "inconclusive"),
        ((0.001,), "inconclusive"),
    ],
)
def test_what_matters_is_judged_by_the_smallest_effect_of_interest(values, word):
    assert matters(summarise(values), 0.02) == word
    with pytest.raises(ValueError, match="effect=0 is no effect of interest"):
        matters(summarise(values), 0)
