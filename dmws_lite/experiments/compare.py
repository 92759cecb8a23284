"""Means with intervals, and paired differences between methods on the same splits, computed from records.

Nothing here trains: every number comes from records, one per seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from ..distillation.strategies import STRATEGIES, strategy_options
from ..teachers.pairs import PAIRS
from .methods import METHODS
from .run import LATER_SETTINGS
from .statistics import Summary, paired_difference, summarise

Record = Mapping[str, object]

NO_MATTER = "no difference that matters"
INCONCLUSIVE = "inconclusive"  # the interval contains 0, which does not mean that the two are equal

# What makes two runs the same task: only then may their accuracies be compared or averaged.
# The device decides seconds, not accuracies: machines may share a comparison.
_TASK = ("dataset", "pair", "fraction", "size", "epochs", "steps", "batch_size", "learning_rate", "split_rule",
         "schedule", "augmentation", "label_noise", "precision", "tune")  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """Everything that a comparison changes on purpose: how the students start and how main is taught.

    alpha, beta and tau are those of the run where they count, and ``None`` where the strategy does not read them;
    options are those of the strategy that are not its authors' choice.
    """

    method: str
    strategy: str = "labels"
    rule: str = "uniform"
    alpha: float | None = None
    beta: float | None = None
    tau: float | None = None
    options: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, record: Record) -> Variant:
        """Return the variant of a record."""
        method = METHODS[record["method"]]
        strategy = record.get("strategy") or method.strategy
        known = strategy_options(strategy)
        options = dict(record.get("strategy_options") or {})
        return cls(
            method.name,
            strategy,
            record.get("rule", "uniform") if method.selects else "uniform",
            record["alpha"] if "alpha" in known and known["alpha"].paper else None,
            record["beta"] if method.has_auxiliary else None,
            record["tau"] if "tau" in known and known["tau"].paper else None,
            tuple(sorted((name, value) for name, value in options.items() if value != known[name].default)),
        )

    def key(self, pair: str) -> str:
        """Return a short name, unique among variants: the method, and whatever is not the paper's choice."""
        usual = {"rule": "uniform", "alpha": 0.6, "beta": 0.9, "tau": PAIRS[pair].tau}
        words = [self.method]
        if self.strategy != METHODS[self.method].strategy:
            words.append(self.strategy)
        for name, choice in usual.items():
            value = getattr(self, name)
            if value is not None and value != choice:
                words.append(f"{name}={value:g}" if isinstance(value, float) else str(value))
        words += [f"{name}={value:g}" for name, value in self.options]
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
        task = {name: record.get(name, LATER_SETTINGS.get(name, 0)) for name in _TASK}
        task["tune"] = json.dumps(task["tune"], sort_keys=True) if task["tune"] else ""
        task["classes"] = len(record.get("classes", ())) or None
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
        plain = group.key == v.method
        first = ("dataset", "pair", "size", "split_rule", "fraction", "steps", "epochs")
        task = [t[name] for name in (*first, *(name for name in _TASK if name not in first))]
        return (*task, not plain, order[v.method], strategies[v.strategy], v.rule, *numbers, v.options)

    return sorted(groups.values(), key=rank)


def find(groups: Sequence[Group], key: str, **task: object) -> Group | None:
    """Return the group with this short name on this task, or ``None``; the task may be named in part.

    Raises:
        ValueError: several groups fit; name the task more closely.
    """
    found = [g for g in groups if g.key == key and all(g.task[name] == value for name, value in task.items())]
    if len(found) > 1:
        settings = {f"{n}={g.task[n]}" for g in found for n in g.task if len({str(h.task[n]) for h in found}) > 1}
        raise ValueError(f"{key!r} was run in several settings; name one of {', '.join(sorted(settings))}")
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
        """Higher, lower or inconclusive, as the interval allows."""
        if self.summary.n < 2:
            return "one seed: no conclusion"
        if self.summary.sd < 1e-12:  # equal differences have no spread to judge by: their interval has no width
            return INCONCLUSIVE
        if self.summary.low > 0:
            return "higher"
        return "lower" if self.summary.high < 0 else INCONCLUSIVE


def difference(first: Group, second: Group, metric: str = "accuracy") -> Difference | None:
    """Compare two variants over the seeds that both have; ``None`` where they share no seed.

    Raises:
        ValueError: the two were run on different splits under one seed.

    Example:
        >>> from dmws_lite.experiments.compare import difference, find, group_records
        >>> from dmws_lite.experiments.records import read_records
        >>> groups = group_records(read_records(grid="tables", dataset="mri", fraction=0.05, steps=400))
        >>> ours_minus_cm1 = difference(find(groups, "ours"), find(groups, "cm1"))
        >>> print(ours_minus_cm1.summary, ours_minus_cm1.verdict, sep="; ")
        -0.036 ± 0.020 (n=5, 95% -0.061 to -0.011); lower
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


def change(before: Sequence[Group], after: Sequence[Group]) -> tuple[Summary, Summary, Summary] | None:
    """Compare a difference on two tasks, paired by the seeds that all four groups share.

    Args:
        before: the two variants on the first task.
        after: the same two on the second task.

    Returns:
        The difference before, the one after, and after minus before; ``None`` where the four share fewer than two
        seeds.
    """
    seeds = set.intersection(*(set(group.by_seed) for group in (*before, *after)))
    if len(seeds) < 2:
        return None
    old, new = (
        difference(*(replace(group, by_seed={seed: group.by_seed[seed] for seed in seeds}) for group in both)).summary
        for both in (before, after)
    )
    return old, new, paired_difference(new.values, old.values)


def matters(summary: Summary, effect: float) -> str:
    """Judge differences by the smallest effect of interest: two one-sided tests at 5%, and the 95% interval.

    Args:
        summary: paired differences.
        effect: the smallest difference that would matter, > 0, in the units of the differences.

    Returns:
        ``"no difference that matters"`` where the 90% interval lies within plus and minus the effect, else
        ``"higher"``, ``"lower"`` or ``"inconclusive"`` as the 95% interval allows.

    Raises:
        ValueError: the effect is not positive.

    Example:
        >>> from dmws_lite.experiments.compare import matters
        >>> from dmws_lite.experiments.statistics import summarise
        >>> [matters(summarise(values), 0.02) for values in ([0.001, -0.002, 0.003], [0.04, 0.05, 0.045], [0.1, -0.1])]
        ['no difference that matters', 'higher', 'inconclusive']
    """
    if effect <= 0:
        raise ValueError(f"effect={effect!r} is no effect of interest; give a positive number, such as 0.02")
    if summary.n > 1:
        narrow = summarise(summary.values, 0.90)
        if -effect < narrow.low and narrow.high < effect:
            return NO_MATTER
        if summary.low > 0:
            return "higher"
        if summary.high < 0:
            return "lower"
    return INCONCLUSIVE


def is_flat(group: Group, share: float = 0.2, tolerance: float = 0.05) -> bool:
    """Tell whether the cross-entropy on the training images had stopped falling by the end of the runs.

    The mean over the last fifth of the epochs is compared with the fifth before it. Under a cosine schedule the loss
    always levels off at the end; flat here means that it fell by less than ``tolerance`` nats.

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
