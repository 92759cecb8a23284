"""Explore alpha, beta, tau, rule and method: the result at every point that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import traitlets
from scipy import stats

from ...distillation.strategies import STRATEGIES
from ...experiments.compare import Difference, Group, Record, Variant, group_records
from ...experiments.methods import METHODS
from ...experiments.records import read_records
from ...experiments.statistics import Summary, paired_difference, summarise
from ...experiments.tables import task_label
from ...figures import style
from ...images.sets import set_label
from ...teachers.pairs import PAIRS
from .base import Widget, script, stylesheet

# A run that is in two grids is taken from the first of them.
GRIDS = ("ablations", "tables", "long", "pairs", "critical", "first_numbers", "phantom_ablations")

GRIDS += ("lessons", "lessons_long", "memory")

NUMBERS = ("alpha", "beta", "tau")

TAUGHT = {
    "label_smoothing": "label smoothing",
    "cskd": "CS-KD",
    "tfkd_self": "TF-KD, self",
    "tfkd_reg": "TF-KD, regularised",
    "pskd": "PS-KD",
    "ols": "online label smoothing",
    "hybrid": "distilled from the whole teacher",
}


def read_grids(folder: str | None = None) -> dict[str, list[dict]]:
    """Read the records of :data:`GRIDS`; a grid without records is an empty list.

    Args:
        folder: with one sub-folder per grid; ``None`` for the project's own ``data/results``.

    Returns:
        Name of the grid -> its records.
    """
    return {grid: read_records(folder, grid=grid) for grid in GRIDS}


def usual_strategy(method: str) -> str:
    """Return the default training strategy of a method."""
    return METHODS[method].strategy


def way_of(method: str, strategy: str, options: Sequence[tuple[str, float]] = ()) -> str:
    """Name a method with its strategy, such as ``"ours"`` or ``"cm1 label_smoothing smoothing=0.2"``."""
    words = [method] if strategy == usual_strategy(method) else [method, strategy]
    return " ".join([*words, *(f"{name}={value:g}" for name, value in options)])


def describe_way(method: str, strategy: str) -> dict[str, object]:
    """Return how a method is labelled and drawn, and which settings affect it.

    Returns:
        ``label``, ``colour`` and ``marker`` from :func:`dmws_lite.figures.style.method_style`, and ``uses``: those of
        alpha, beta, tau and rule that affect its runs.
    """
    label, colour, marker = style.method_style(method)
    if way_of(method, strategy) != method:
        label = f"{label.split(':')[0]} + {TAUGHT.get(strategy, strategy)}"
    # Variant.of() drops the settings that have no effect.
    all_settings = {"method": method, "strategy": strategy, "rule": "", "alpha": 0.0, "beta": 0.0, "tau": 0.0}
    variant = Variant.of(all_settings)
    uses = [name for name in NUMBERS if getattr(variant, name) is not None]
    return {
        "label": label,
        "colour": colour,
        "marker": marker,
        "uses": uses + ["rule"] * (variant.rule == all_settings["rule"]),
    }


def _span(numbers: Sequence[int]) -> list[int]:
    return [min(numbers), max(numbers)]


def _entry(groups: Sequence[Group], grids: Sequence[str], label: str) -> dict[str, object]:
    """Return one task with its variants and their recorded accuracies, one per seed."""
    task = groups[0].task
    records = [record for group in groups for record in group.by_seed.values()]
    splits: dict[int, set[str]] = {}
    for record in records:
        splits.setdefault(record["seed"], set()).add(record["split"]["digest"])
    if unlike := sorted(seed for seed, digests in splits.items() if len(digests) > 1):
        raise ValueError(
            f"seed {unlike[0]} of {label} has two splits and cannot be paired; keep the records of one split"
        )
    return {
        "label": label,
        "data": set_label(str(task["dataset"]), task["classes"]),
        **task,
        "grids": sorted(grids),
        "classes": len(records[0]["classes"]),
        "train": _span([record["split"]["train"] for record in records]),
        "test": _span([record["split"]["test"] for record in records]),
        "runs": len(records),
        "paper": {"way": "ours", "rule": "uniform", "alpha": 0.6, "beta": 0.9, "tau": PAIRS[task["pair"]].tau},
        "variants": [
            {
                "key": group.key,
                "way": way_of(group.variant.method, group.variant.strategy, group.variant.options),
                "rule": group.variant.rule,
                **{name: getattr(group.variant, name) for name in NUMBERS},
                "values": {str(s): group.by_seed[s]["metrics"]["accuracy"] for s in sorted(group.by_seed)},
            }
            for group in groups
        ],
    }


def measured_tasks(grids: Mapping[str, Sequence[Record]]) -> list[dict[str, object]]:
    """Sort records into tasks and variants, for the trait ``tasks`` of the widget.

    Args:
        grids: name of a grid -> its records.

    Returns:
        One entry per task: ``label``, the settings that its runs share, ``grids``, ``classes`` (number),
        ``train`` and ``test`` (smallest and largest number of images over the seeds), ``runs`` (number),
        ``paper`` (the paper's choice of settings), and ``variants``. Each variant has
        ``key``, ``way``, ``rule``, ``alpha``, ``beta``, ``tau`` (``None`` if without
        effect) and ``values``: seed -> test accuracy in [0, 1].

    Raises:
        ValueError: a grid contains a run twice, or a task has two splits for one seed.
    """
    of_task: dict[str, dict[Variant, Group]] = {}
    source: dict[str, set[str]] = {}
    for grid, records in grids.items():
        for group in group_records(records):
            kept = of_task.setdefault(repr(group.task), {}).setdefault(group.variant, Group(group.task, group.variant))
            for seed, record in group.by_seed.items():
                kept.by_seed.setdefault(seed, record)
            source.setdefault(repr(group.task), set()).add(grid)
    # Sort all records together, so that tasks and variants have the same order as in the tables of the book.
    together = group_records([r for own in of_task.values() for g in own.values() for r in g.by_seed.values()])
    by_task: dict[str, list[Group]] = {}
    for group in together:
        by_task.setdefault(repr(group.task), []).append(group)
    tasks = [groups[0].task for groups in by_task.values()]
    labels = [task_label(task, tasks) for task in tasks]
    twice = {label for label in labels if labels.count(label) > 1}
    for place, (task, label) in enumerate(zip(tasks, labels)):
        if label in twice:
            labels[place] += f", batches of {task['batch_size']}, learning rate {task['learning_rate']:g}"
    return [_entry(groups, source[key], label) for (key, groups), label in zip(by_task.items(), labels)]


def fraction_series(tasks: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    """Find series of tasks that differ only in the labelled share.

    The tasks of a series agree in data set, pair, size, split rule, batch size, learning rate and epochs, and they have
    the same number of steps or come from the same grid. If several tasks with one share qualify, the one with the same
    number of steps is preferred.

    Returns:
        Label of a task -> labels of its series, including itself, ordered by share; only for series of two or more.
    """
    alike = ("dataset", "pair", "size", "split_rule", "batch_size", "learning_rate", "epochs")
    series = {}
    for task in tasks:
        others: dict[float, Mapping[str, object]] = {}
        for other in sorted(tasks, key=lambda o: o["steps"] != task["steps"]):
            same = all(task[name] == other[name] for name in alike)
            if same and (task["steps"] == other["steps"] or set(task["grids"]) & set(other["grids"])):
                others.setdefault(other["fraction"], other)
        others[task["fraction"]] = task
        if len(others) > 1:
            series[task["label"]] = [others[fraction]["label"] for fraction in sorted(others)]
    return series


def verdict_words() -> dict[str, str]:
    """Return the words of :attr:`dmws_lite.experiments.compare.Difference.verdict`, so that the page uses the same."""

    def word(n: int, low: float, high: float) -> str:
        return Difference("", "", Summary(n, (low + high) / 2, 1.0, low, high, ()), 0.5).verdict

    return {"higher": word(2, 1, 2), "lower": word(2, -2, -1), "open": word(2, -1, 1), "one": word(1, 0, 0)}


class AblationExplorer(Widget):
    """The result at one point of method, rule, alpha, beta and tau, compared with CM1 and the paper's choice.

    Attributes:
        tasks: from :func:`measured_tasks`.
        series: from :func:`fraction_series`.
        ways: name -> :func:`describe_way`, for every measured method and strategy.
        quantiles: 97.5% quantiles of Student's t for 1, 2, ... degrees of freedom.
        verdicts: the words for each kind of interval.
        task: label of the chosen task.
        way: chosen method and strategy.
        rule: chosen selection rule.
        alpha: chosen value.
        beta: chosen value.
        tau: chosen value.
    """

    name = "ablation-explorer"
    _esm = script("ablation")
    _css = stylesheet("ablation")
    tasks = traitlets.List().tag(sync=True)
    series = traitlets.Dict().tag(sync=True)
    ways = traitlets.Dict().tag(sync=True)
    quantiles = traitlets.List().tag(sync=True)
    verdicts = traitlets.Dict().tag(sync=True)
    task = traitlets.Unicode("").tag(sync=True)
    way = traitlets.Unicode("ours").tag(sync=True)
    rule = traitlets.Unicode("uniform").tag(sync=True)
    alpha = traitlets.Float(0.6).tag(sync=True)
    beta = traitlets.Float(0.9).tag(sync=True)
    tau = traitlets.Float(3.0).tag(sync=True)

    def _chosen_task(self) -> dict[str, object] | None:
        return next((task for task in self.tasks if task["label"] == self.task), None)

    def figure(self) -> plt.Figure:
        """Draw accuracy over alpha, beta and tau around the paper's choice, for the chosen task."""
        figure, axes = style.new_figure(1, 3, 9.4, 3.4, sharey=True)
        task = self._chosen_task()
        if task is None:
            figure.suptitle("Not measured: there are no records", x=0.01, ha="left")
            return figure
        paper = task["paper"]
        cm1 = _variant(task, way="cm1", rule="uniform")
        _, colour, marker = style.method_style("ours")
        for ax, name in zip(axes, NUMBERS):
            fixed = {key: value for key, value in paper.items() if key != name}
            line = sorted((v for v in task["variants"] if _fits(v, fixed)), key=lambda v: v[name])
            for place, variant in enumerate(line):
                s = summarise(list(variant["values"].values()))
                ax.plot([place + 0.12] * s.n, s.values, marker, color=colour, alpha=0.5, markersize=4)
                ax.plot([place], [s.mean], marker, color=colour, markersize=8)
                if s.n > 1:
                    ax.plot([place, place], [s.low, s.high], color=colour)
            means = [np.mean(list(v["values"].values())) for v in line]
            ax.plot(range(len(line)), means, ":", color=colour, linewidth=1, label="guide to the eye")
            if cm1:
                s = summarise(list(cm1["values"].values()))
                ax.axhline(s.mean, color=style.GREEN, linestyle="--", label="CM1, mean and 95% interval")
                if s.n > 1:
                    ax.axhspan(s.low, s.high, color=style.GREEN, alpha=0.12)
            at = [place for place, v in enumerate(line) if v[name] == paper[name]]
            for place in at:
                ax.axvline(place, color=style.GREY, linestyle="--", linewidth=1, label="the paper's choice")
            ax.set_xticks(range(len(line)), [f"{v[name]:g}" for v in line])
            ax.set(title=name, xlabel="measured values")
        axes[0].set(ylabel="test accuracy")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=3)
        figure.suptitle(f"{task['label']}: every seed, mean and 95% interval", x=0.01, ha="left", fontsize=10)
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows, with the numbers of the records."""
        task = self._chosen_task()
        if task is None:
            return "Not measured: there is no record."
        summary = (
            f"Test accuracy over alpha, beta and tau around the paper's choice on {task['label']}, every seed shown. "
        )
        ours, cm1 = _variant(task, **task["paper"]), _variant(task, way="cm1", rule="uniform")
        if ours is None or cm1 is None:
            return summary + "The paper's choice or CM1 was not measured."
        seeds = sorted(ours["values"].keys() & cm1["values"].keys())
        means = [np.mean(list(v["values"].values())) for v in (ours, cm1)]
        summary += f"The paper's choice has mean {means[0]:.3f} and CM1 {means[1]:.3f}"
        if not seeds:
            return summary + "; they have no seed in common."
        pair = paired_difference(*([v["values"][seed] for seed in seeds] for v in (ours, cm1)))
        return summary + f"; paired over {pair.n} seeds: {Difference('ours', 'cm1', pair, 0.5).verdict}."


def _fits(variant: Mapping[str, object], settings: Mapping[str, object]) -> bool:
    """Return whether a variant has these settings."""
    return all(variant[name] == value for name, value in settings.items())


def _variant(task: Mapping[str, object], **settings: object) -> dict[str, object] | None:
    """Return the first variant of a task with these settings, or ``None``."""
    return next((variant for variant in task["variants"] if _fits(variant, settings)), None)


def ablation_explorer(grids: Mapping[str, Sequence[Record]] | None = None) -> AblationExplorer:
    """Return the widget with the project's records or with your own; it starts at the paper's choice.

    Args:
        grids: as for :func:`measured_tasks`; ``None`` for :func:`read_grids`.

    Raises:
        ValueError: as :func:`measured_tasks`.
    """
    tasks = measured_tasks(read_grids() if grids is None else grids)
    first = max(tasks, key=lambda task: task["runs"], default=None)
    # Ours and CM1 are what the page compares with, so it needs their names even where no run was made with them.
    offered = {"ours", "cm1"} | {variant["way"] for task in tasks for variant in task["variants"]}
    # The methods with their own strategies, then with the others.
    known = [(method, usual_strategy(method)) for method in METHODS]
    known += [(method, strategy) for method in METHODS for strategy in STRATEGIES]
    ways = {way_of(*pair): describe_way(*pair) for pair in known if way_of(*pair) in offered}
    for way in sorted(offered - ways.keys()):  # strategies with options other than the defaults
        method, *words = way.split()
        strategy = words.pop(0) if words[0] in STRATEGIES else usual_strategy(method)
        style_of = describe_way(method, strategy)
        ways[way] = {**style_of, "label": f"{style_of['label']}, {', '.join(words)}"}
    most = max((len(v["values"]) for task in tasks for v in task["variants"]), default=1)
    start = {**first["paper"], "task": first["label"]} if first else {}
    return AblationExplorer(
        title="What was measured at alpha, beta, tau?",
        tasks=tasks,
        series=fraction_series(tasks),
        ways=ways,
        quantiles=[float(stats.t.ppf(0.975, df)) for df in range(1, max(31, most))],
        verdicts=verdict_words(),
        **start,
    )
