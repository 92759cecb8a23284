"""What the records say: means with intervals, and paired differences between methods on the same splits.

Nothing here trains, and nothing is typed in: every number is computed from records, one per seed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from .evaluation import Summary, paired_difference, summarise
from .initialisation import METHODS, WITH_AUXILIARY
from .strategies import STRATEGIES
from .table import Cell, Table
from .teachers import PAIRS

Record = Mapping[str, object]

DATASETS = {
    "mri": "Brain MRI (4 classes)",
    "sarscov2": "SARS-CoV-2 CT (2 classes)",
    "xray": "Chest X-ray (2 of 4 classes)",
    "ct": "Lung CT",
    "phantom-mri": "Phantoms, MRI",
    "phantom-ct": "Phantoms, CT",
    "phantom-xray": "Phantoms, X-ray",
}
# What makes two runs the same task: only then may their accuracies be compared or averaged.
# The device decides seconds, not accuracies: machines may share a comparison.
_TASK = ("dataset", "pair", "fraction", "size", "epochs", "steps", "batch_size", "learning_rate", "split_rule")


@dataclass(frozen=True)
class Variant:
    """Everything that a comparison changes on purpose: how the students start and how main is taught.

    alpha, beta and tau are those of the run where they count, and ``None`` where the strategy does not look at them.
    """

    method: str
    strategy: str = "labels"
    rule: str = "uniform"
    alpha: float | None = None
    beta: float | None = None
    tau: float | None = None

    @classmethod
    def of(cls, record: Record) -> Variant:
        """Return the variant of a record."""
        method = record["method"]
        strategy = record.get("strategy") or ("skd" if method in WITH_AUXILIARY else "labels")
        weighs = strategy in ("skd", "hybrid")
        return cls(
            method,
            strategy,
            record.get("rule", "uniform") if method not in ("cm2", "cm3", "cm4", "teacher") else "uniform",
            record["alpha"] if weighs else None,
            record["beta"] if method in WITH_AUXILIARY else None,
            record["tau"] if weighs else None,
        )

    def key(self, pair: str) -> str:
        """Return a short name, unique among variants: the method, and whatever is not the paper's choice."""
        usual = {"rule": "uniform", "alpha": 0.6, "beta": 0.9, "tau": PAIRS[pair].tau}
        words = [self.method]
        if self.strategy not in ("skd", "labels"):
            words.append(self.strategy)
        for name, choice in usual.items():
            value = getattr(self, name)
            if value is not None and value != choice:
                words.append(f"{name}={value:g}" if isinstance(value, float) else str(value))
        return " ".join(words)


@dataclass
class Group:
    """The repeats of one variant on one task.

    Attributes:
        task: what the runs have in common.
        variant: how they start and are taught.
        by_seed: the records, one per seed.
    """

    task: dict[str, object]
    variant: Variant
    by_seed: dict[int, Record] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Short name of the variant."""
        return self.variant.key(self.task["pair"])

    def values(self, metric: str = "accuracy") -> list[float]:
        """Return the metric of every seed, in the order of the seeds."""
        return [self.by_seed[seed]["metrics"][metric] for seed in sorted(self.by_seed)]

    def summary(self, metric: str = "accuracy") -> Summary:
        """Return mean, sd and 95% interval over seeds."""
        return summarise(self.values(metric))


def group_records(records: Sequence[Record]) -> list[Group]:
    """Sort records into repeats of one variant on one task.

    Raises:
        ValueError: two records describe the same run.
    """
    groups: dict[tuple, Group] = {}
    for record in records:
        task = {name: record.get(name, 0) for name in _TASK}
        variant = Variant.of(record)
        group = groups.setdefault((*task.values(), variant), Group(task, variant))
        if record["seed"] in group.by_seed:
            raise ValueError(f"two records describe {group.key} on {task['dataset']}, seed {record['seed']}; keep one")
        group.by_seed[record["seed"]] = record
    order = {method: place for place, method in enumerate(METHODS)}
    strategies = {name: place for place, name in enumerate(STRATEGIES)}

    def rank(group: Group) -> tuple:
        t, v = group.task, group.variant
        numbers = [-1.0 if x is None else x for x in (v.alpha, v.beta, v.tau)]
        plain = v.strategy in ("skd", "labels") and group.key == v.method
        task = (t["dataset"], t["pair"], t["size"], t["split_rule"], t["fraction"], t["steps"], t["epochs"])
        return (*task, not plain, order[v.method], strategies[v.strategy], v.rule, *numbers)

    return sorted(groups.values(), key=rank)


def find(groups: Sequence[Group], key: str, **task: object) -> Group | None:
    """Return the group with this short name on this task, or ``None``; the task may be named in part.

    Raises:
        ValueError: several groups fit; name the task more closely.
    """
    found = [g for g in groups if g.key == key and all(g.task[name] == value for name, value in task.items())]
    if len(found) > 1:
        told = sorted({f"{n}={g.task[n]}" for g in found for n in g.task if len({str(h.task[n]) for h in found}) > 1})
        raise ValueError(f"{key!r} was run in several settings; name one of {', '.join(told)}")
    return found[0] if found else None


@dataclass(frozen=True)
class Difference:
    """First minus second variant, on the same splits.

    Attributes:
        first: short name.
        second: short name.
        summary: mean, sd and 95% interval of the differences, one per common seed.
        p: of a paired t test, NaN for fewer than two seeds or no spread.
    """

    first: str
    second: str
    summary: Summary
    p: float

    @property
    def verdict(self) -> str:
        """Say what the interval allows to say, and no more."""
        if self.summary.n < 2:
            return "one seed: nothing can be said"
        if self.summary.sd < 1e-12:  # equal differences have no spread to judge by: their interval has no width
            return "not told apart"
        if self.summary.low > 0:
            return "higher"
        return "lower" if self.summary.high < 0 else "not told apart"


def difference(first: Group, second: Group, metric: str = "accuracy") -> Difference | None:
    """Compare two variants over the seeds that both have; ``None`` where they share no seed.

    Raises:
        ValueError: a shared seed does not mean a shared split.
    """
    seeds = sorted(first.by_seed.keys() & second.by_seed.keys())
    if not seeds:
        return None
    for seed in seeds:
        if first.by_seed[seed]["split"]["digest"] != second.by_seed[seed]["split"]["digest"]:
            raise ValueError(f"seed {seed} of {first.key} and {second.key} are different splits and cannot be paired")
    pairs = [(first.by_seed[s]["metrics"][metric], second.by_seed[s]["metrics"][metric]) for s in seeds]
    a, b = zip(*pairs)
    summary = paired_difference(a, b)
    spread = summary.n > 1 and summary.sd > 0
    return Difference(first.key, second.key, summary, float(stats.ttest_rel(a, b).pvalue) if spread else math.nan)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for the number of comparisons (Holm 1979); NaN stays NaN and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted


def is_flat(group: Group, share: float = 0.2, tolerance: float = 0.05) -> bool:
    """Tell whether the cross-entropy on the training images had stopped to fall at the end of the runs.

    The mean over the last fifth of the epochs is compared with the fifth before it. Under a cosine schedule the loss
    always calms down at the end; flat here means that it fell by less than ``tolerance`` nats.

    Args:
        group: repeats of a variant.
        share: of the epochs, in (0, 0.5].
        tolerance: in nats.
    """
    falls = []
    for record in group.by_seed.values():
        ce = [row["ce"] for row in record["history"]]
        last = max(1, math.ceil(len(ce) * share))
        before = ce[-2 * last : -last] or ce[:1]
        falls.append(np.mean(before) - np.mean(ce[-last:]))
    return bool(np.mean(falls) < tolerance)


# -- tables -----------------------------------------------------------------------------------------------------------


def _columns(groups: Sequence[Group]) -> list[dict[str, object]]:
    """Return the tasks, each once, in the order of the groups."""
    tasks: list[dict[str, object]] = []
    for group in groups:
        if group.task not in tasks:
            tasks.append(group.task)
    return tasks


def task_label(task: Mapping[str, object], others: Sequence[Mapping[str, object]] = ()) -> str:
    """Name a task: data set and fraction, and whatever else tells it from the others."""
    words = [DATASETS.get(task["dataset"], str(task["dataset"])), f"{task['fraction']:.0%}"]
    differs = {name for name in task if len({str(o[name]) for o in others}) > 1}
    if "pair" in differs:
        words.append(str(task["pair"]))
    alike = [o for o in others if (o["dataset"], o["fraction"], o["pair"]) == tuple(
        task[n] for n in ("dataset", "fraction", "pair"))]  # fmt: skip
    for name, text in (("split_rule", "{} split"), ("steps", "{} steps"), ("epochs", "{} epochs"), ("size", "{} px")):
        if len({o[name] for o in alike}) > 1 and task[name]:
            words.append(text.format(task[name]))
    return ", ".join(words)


def result_table(records: Sequence[Record], title: str, metric: str = "accuracy") -> Table:
    """Return mean ± sd over seeds: one row per variant, one column per task; the best mean of a column is strong.

    Strong is the highest mean, which is not the same as a difference that is told apart: see :func:`difference_table`.
    """
    groups = group_records(records)
    tasks = _columns(groups)
    cells = {(g.key, repr(g.task)): g for g in groups}
    keys = list(dict.fromkeys(g.key for g in groups))
    best = {
        repr(task): max(g.summary(metric).mean for g in groups if g.task == task and g.variant.method != "teacher")
        for task in tasks
        if any(g.task == task and g.variant.method != "teacher" for g in groups)
    }
    rows = []
    for key in keys:
        row = [Cell(key, head=True)]
        for task in tasks:
            group = cells.get((key, repr(task)))
            if group is None:
                row.append(Cell("not measured"))
                continue
            s = group.summary(metric)
            row.append(Cell(spread_text(s), strong=s.mean == best.get(repr(task)) and len(keys) > 1))
        rows.append(tuple(row))
    header = ("Variant", *(task_label(task, tasks) for task in tasks))
    notes = (
        f"Test {metric.replace('_', ' ')}, mean ± sample sd over n seeds; bold is the highest mean of a student in its "
        "column, whether or not it can be told from the next.",
    )
    return Table(title, header, tuple(rows), notes)


def spread_text(summary: Summary) -> str:
    """Write a summary as ``mean ± sd (n)``."""
    return f"{summary.mean:.3f} (n=1)" if summary.n == 1 else f"{summary.mean:.3f} ± {summary.sd:.3f} (n={summary.n})"


def interval_text(summary: Summary) -> str:
    """Write a difference with its interval, signed."""
    if summary.n == 1:
        return f"{summary.mean:+.3f} (n=1)"
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


def difference_table(records: Sequence[Record], pairs: Sequence[tuple[str, str]] | str, title: str) -> Table:
    """Return paired differences in accuracy with 95% intervals, one row per task and pair of variants.

    Args:
        records: the runs.
        pairs: short names to compare, ``(first, second)``; or one short name that every other variant is compared with.
        title: caption.
    """
    groups = group_records(records)
    tasks = _columns(groups)
    found: list[tuple[str, Difference]] = []
    for task in tasks:
        mine = {g.key: g for g in groups if g.task == task}
        wanted = [(key, pairs) for key in mine if key != pairs] if isinstance(pairs, str) else pairs
        for first, second in wanted:
            if first in mine and second in mine and (d := difference(mine[first], mine[second])):
                found.append((task_label(task, tasks), d))
    adjusted = holm([d.p for _, d in found])
    rows = [
        (
            Cell(label),
            Cell(f"{d.first} − {d.second}", head=True),
            Cell(interval_text(d.summary)),
            Cell(str(d.summary.n)),
            Cell("" if math.isnan(p) else f"{p:.2f}" if p >= 0.01 else "< 0.01"),
            Cell(d.verdict),
        )
        for (label, d), p in zip(found, adjusted)
    ]
    tests = sum(not math.isnan(d.p) for _, d in found)
    notes = (
        "Mean difference of test accuracy on the same splits with its 95% t interval over seeds, which is not adjusted "
        f"for the number of rows. The p value is adjusted for the rows of this table (paired t test, Holm, {tests} "
        "comparisons). The last column repeats whether the interval contains 0.",
    )
    header = ("Task", "Difference", "Mean and 95% interval", "Seeds", "Adjusted p", "First is")
    return Table(title, header, tuple(rows), notes)


def all_differences(
    records: Sequence[Record], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[Difference]]:
    """Compare pairs of variants on every task where both were run, with at least two common seeds.

    Args:
        records: the runs.
        pairs: short names, ``(first, second)``.

    Returns:
        For each pair its differences, one per task.
    """
    groups = group_records(records)
    found: dict[tuple[str, str], list[Difference]] = {pair: [] for pair in pairs}
    for task in _columns(groups):
        mine = {g.key: g for g in groups if g.task == task}
        for first, second in pairs:
            if first in mine and second in mine:
                d = difference(mine[first], mine[second])
                if d is not None and d.summary.n > 1:
                    found[first, second].append(d)
    return found


def tally_table(records: Sequence[Record], questions: Mapping[str, tuple[str, str]], title: str) -> Table:
    """Count, over all tasks, what the intervals of a difference say: one row per question.

    Args:
        records: the runs.
        questions: text -> short names ``(first, second)`` whose difference answers it.
        title: caption.
    """
    found = all_differences(records, list(questions.values()))
    everything = [(pair, d) for pair, differences in found.items() for d in differences]
    adjusted = holm([d.p for _, d in everything])
    rows = []
    for text, pair in questions.items():
        mine = [(d, p) for (other, d), p in zip(everything, adjusted) if other == pair]
        counts = [sum(d.verdict == verdict for d, _ in mine) for verdict in ("higher", "lower", "not told apart")]
        means = [d.summary.mean for d, _ in mine]
        spread = f"{min(means):+.3f} to {max(means):+.3f}" if means else "not measured"
        sure = sum(p < 0.05 for _, p in mine)
        cells = [Cell(text, head=True), Cell(" − ".join(pair)), Cell(str(len(mine))), *(Cell(str(c)) for c in counts)]
        rows.append((*cells, Cell(spread), Cell(str(sure))))
    header = (
        "Question",
        "Difference",
        "Tasks",
        "Higher",
        "Lower",
        "Not told apart",
        "Mean differences",
        "Adjusted p < 0.05",
    )
    notes = (
        "A task is a data set, a pair, a labelled share and a number of steps. Higher and lower: the 95% interval over "
        f"seeds excludes 0. The last column counts what is left after Holm's adjustment for all {len(everything)} "
        "comparisons here. With so few seeds hardly any effect can pass it, so a 0 there is no evidence of no effect.",
    )
    return Table(title, header, tuple(rows), notes)


def change_table(
    before: Sequence[Record], after: Sequence[Record], pairs: Sequence[tuple[str, str]], title: str
) -> Table:
    """Return by how much differences between variants changed from one set of runs to another, paired by seed.

    Args:
        before: the first runs; seeds that are not in all four variants are left out.
        after: the same splits, data sets and labelled shares under another setting, such as more steps.
        pairs: short names, ``(first, second)``.
        title: caption.
    """
    first_groups, second_groups = group_records(before), group_records(after)
    rows = []
    for dataset, fraction in dict.fromkeys((g.task["dataset"], g.task["fraction"]) for g in second_groups):
        where = {"dataset": dataset, "fraction": fraction}
        for pair in pairs:
            found = [[find(groups, key, **where) for key in pair] for groups in (first_groups, second_groups)]
            if any(group is None for both in found for group in both):
                continue
            seeds = set.intersection(*(set(group.by_seed) for both in found for group in both))
            if len(seeds) < 2:
                continue
            old, new = (
                difference(*(replace(group, by_seed={seed: group.by_seed[seed] for seed in seeds}) for group in both))
                for both in found
            )
            change = paired_difference(new.summary.values, old.summary.values)
            d = Difference(*pair, change, math.nan)
            means = [Cell(f"{each.summary.mean:+.3f}") for each in (old, new)]
            row = [
                Cell(task_label(found[1][0].task)),
                Cell(" − ".join(pair), head=True),
                *means,
                Cell(interval_text(change)),
            ]
            rows.append((*row, Cell({"higher": "up", "lower": "down"}.get(d.verdict, "not told apart from none"))))
    header = ("Task", "Difference", "Before", "After", "Change and 95% interval", "Change")
    notes = ("Change of a paired difference, itself paired by seed, with its 95% t interval, not adjusted.",)
    return Table(title, header, tuple(rows), notes)


# -- a file for spreadsheets -------------------------------------------------------------------------------------------

_CSV = ("dataset", "pair", "fraction", "size", "steps", "epochs", "split_rule", "variant", "n", "mean", "sd", "low",
        "high", "seeds")  # fmt: skip


def to_csv(records: Sequence[Record], metric: str = "accuracy") -> str:
    """Return one line per variant and task: the settings, n, mean, sd, 95% interval and the value of every seed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV)
    for group in group_records(records):
        s = group.summary(metric)
        numbers = [f"{x:.6f}" if not math.isnan(x) else "" for x in (s.mean, s.sd, s.low, s.high)]
        seeds = " ".join(f"{seed}:{value:.6f}" for seed, value in zip(sorted(group.by_seed), s.values))
        writer.writerow([*(group.task[name] for name in _CSV[:7]), group.key, s.n, *numbers, seeds])
    return stream.getvalue()
