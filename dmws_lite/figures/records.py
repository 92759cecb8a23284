"""Figures from records: nothing is trained and no number is typed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ..experiments.compare import Group, Record, find, group_records
from ..experiments.methods import METHODS
from ..images.sets import set_label
from ..teachers.pairs import PAIRS
from . import style

_CHOICE = {"alpha": 0.6, "beta": 0.9}


def fraction_curves(records: Sequence[Record], dataset: str, methods: Sequence[str] | None = None) -> Figure:
    """Show accuracy against the labelled share: means with 95% t intervals, one line per variant.

    Args:
        records: runs of one pair on this data set, several fractions.
        dataset: which data set.
        methods: short names of the variants, see :meth:`dmws_lite.experiments.compare.Variant.key`; all without changed
            numbers when left out.

    Raises:
        ValueError: there is no record of this data set.

    Example:
        >>> from dmws_lite.experiments.records import read_records
        >>> from dmws_lite.figures import fraction_curves
        >>> figure = fraction_curves(read_records(grid="tables", dataset="mri"), "mri", methods=["ours", "cm1"])
        >>> [tick.get_text().split()[0] for tick in figure.axes[0].get_xticklabels()]
        ['1%', '5%', '10%']
    """
    groups = [g for g in group_records(records) if g.task["dataset"] == dataset]
    if not groups:
        raise ValueError(f"there is no record of {dataset!r}; choose one of {sorted({r['dataset'] for r in records})}")
    methods = methods or [m for m in METHODS if any(g.key == m for g in groups)]
    fractions = sorted({g.task["fraction"] for g in groups})
    figure, ax = style.new_figure(width=7.0, height=3.8)
    for place, method in enumerate(methods):
        label, colour, marker = style.method_style(method)
        found = [(f, g) for f in fractions if (g := find(groups, method, fraction=f))]
        if not found:
            continue
        # Side by side within a fraction, so that intervals do not hide one another.
        x = [fractions.index(f) + (place - (len(methods) - 1) / 2) * 0.09 for f, _ in found]
        summaries = [g.summary() for _, g in found]
        half = [0.0 if s.n == 1 else s.high - s.mean for s in summaries]
        ax.errorbar(x, [s.mean for s in summaries], yerr=half, color=colour, marker=marker, label=label,
                    linewidth=1, elinewidth=1.4, capsize=2.5, markersize=6)  # fmt: skip
    counts = {f: next(g for g in groups if g.task["fraction"] == f) for f in fractions}
    ticks = [f"{f:.0%}\n{_sizes(g)} images" for f, g in counts.items()]
    ax.set_xticks(range(len(fractions)), ticks)
    n = sorted({len(g.by_seed) for g in groups if g.key in methods})
    seeds = f"{n[0]} seeds" if len(n) == 1 else f"{n[0]} to {n[-1]} seeds"
    ax.set(title=f"{set_label(dataset, groups[0].task['classes'])}: mean and 95% interval, {seeds}")
    ax.set(xlabel="labelled share of the training part", ylabel="test accuracy (share of images)")
    ax.legend(ncols=2, loc="best")
    return figure


def _sizes(group: Group) -> str:
    sizes = sorted({record["split"]["train"] for record in group.by_seed.values()})
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def sensitivity(records: Sequence[Record], names: Sequence[str] = ("alpha", "beta", "tau")) -> Figure:
    """Show accuracy at some values of alpha, beta and tau, the numbers of figure 6 of the paper: every seed as a dot,
    and the mean with its 95% interval. The axis begins at chance, so that a difference looks as large as it is.

    Args:
        records: runs of one task; only those of ``ours`` that change at most one number are drawn, and CM1 as a line.
        names: which numbers.

    Raises:
        ValueError: there is no run of the paper's choice to stand in the middle.
    """
    groups = group_records(records)
    centre = find(groups, "ours")
    if centre is None:
        raise ValueError("there is no record of ours with the paper's alpha, beta and tau; run it first")
    task = {name: centre.task[name] for name in centre.task}
    alone = find(groups, "cm1", **task)
    choice = {**_CHOICE, "tau": PAIRS[task["pair"]].tau}
    width = 5.0 if len(names) == 1 else 3.1 * len(names) + 0.6
    figure, axes = style.new_figure(1, len(names), width, 3.5, sharey=True, squeeze=False)
    for ax, name, colour in zip(axes[0], names, (style.BLUE, style.ORANGE, style.PURPLE)):
        found = {choice[name]: centre}
        for g in groups:
            value = getattr(g.variant, name)
            if g.task == task and value is not None and g.key == f"ours {name}={value:g}":
                found[value] = g
        x = sorted(found)
        for place, value in enumerate(x):  # evenly spaced: 0.9, 0.99 and 1.0 would lie on top of one another
            summary = found[value].summary()
            ax.plot([place] * summary.n, summary.values, ".", color=colour, markersize=7, alpha=0.6)
            half = 0.0 if summary.n == 1 else summary.high - summary.mean
            ax.errorbar([place + 0.22], [summary.mean], yerr=half, color=colour, marker="_", markersize=9, elinewidth=2)
        if alone is not None:
            ax.axhline(np.mean(alone.values()), color=style.GREEN, linestyle=":", label="CM1, mean")
        ax.set_xticks(range(len(x)), [f"{v:g}\n(paper)" if v == choice[name] else f"{v:g}" for v in x])
        ax.set(xlabel=name, xlim=(-0.5, len(x) - 0.3))
        ax.grid(axis="x", visible=False)
    chance = 1 / task["classes"] if task["classes"] else 0
    axes[0, 0].set(ylabel="test accuracy (share of images)", ylim=(chance, 1))
    if alone is not None:
        axes[0, 0].legend(loc="lower left", fontsize=8)
    seeds = len(centre.by_seed)
    where = f"{set_label(task['dataset'], task['classes'])}, {task['fraction']:.0%}, {task['pair']}"
    figure.suptitle(f"{where}: {seeds} seeds, mean, 95% interval", x=0.01, ha="left", weight="bold", size=11)
    return figure


def confusions(groups: Mapping[str, Group]) -> Figure:
    """Show confusion matrices side by side, summed over seeds, each row as shares of the labelled class.

    Args:
        groups: panel title -> runs of one variant on one task; all with the same classes.
    """
    classes = next(iter(next(iter(groups.values())).by_seed.values()))["classes"]
    side = 0.62 * len(classes) + 1.5
    figure, axes = style.new_figure(1, len(groups), side * len(groups) + 0.9, side + 0.6, squeeze=False)
    for ax, (title, group) in zip(axes[0], groups.items()):
        counts = sum(np.asarray(record["metrics"]["confusion"]) for record in group.by_seed.values())
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        picture = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
        ax.grid(False)
        for i, j in np.ndindex(counts.shape):
            colour = "white" if share[i, j] > 0.55 else "black"
            ax.text(j, i, f"{share[i, j]:.2f}", ha="center", va="center", fontsize=8, color=colour)
        ax.set_xticks(range(len(classes)), classes, rotation=35, ha="right", fontsize=8)
        ax.set_yticks(range(len(classes)), classes if ax is axes[0, 0] else [""] * len(classes), fontsize=8)
        ax.set_title(title, fontsize=9)
        ax.set(xlabel="predicted class")
    axes[0, 0].set(ylabel="labelled class")
    figure.colorbar(picture, ax=axes[0].tolist(), shrink=0.75, label="share of the labelled class")
    return figure


def losses(groups: Sequence[Group], title: str, term: str = "ce") -> Figure:
    """Show a term of the training loss over steps, mean over seeds: has it become flat?

    Args:
        groups: variants of one task.
        title: heading.
        term: column of the history: ``"ce"``, which means the same for every method, ``"kd"`` or ``"loss"``.
    """
    figure, ax = style.new_figure(height=3.4)
    for group in groups:
        label, colour, _ = style.method_style(group.key)
        histories = [record["history"] for record in group.by_seed.values()]
        steps = [row["step"] for row in histories[0]]
        mean = np.mean([[row[term] for row in history] for history in histories], axis=0)
        window = max(1, len(mean) // 25)  # epochs of seven batches are noisy; the eye needs their trend
        smooth = np.convolve(np.pad(mean, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid")
        ax.plot(steps, smooth, color=colour, label=label)
    ax.set(title=title, xlabel="optimiser step", ylabel="cross-entropy (nats)" if term == "ce" else f"{term} (nats)")
    ax.set(ylim=(0, None))
    ax.legend(fontsize=8)
    return figure


def cost_bars(records: Sequence[Record]) -> Figure:
    """Show time and peak memory of ours beside CM1, as in table 8: one pair of bars per task, every run as a dot.

    Args:
        records: runs of ``ours`` and ``cm1`` made for this purpose, on a machine that did nothing else.
    """
    groups = [g for g in group_records(records) if g.key in ("ours", "cm1")]
    tasks = list({repr(g.task): g.task for g in groups}.values())
    figure, axes = style.new_figure(1, 2, 8.0, 3.2)
    for ax, column, label in zip(axes, ("seconds", "peak_memory_mib"), ("training time (s)", "peak memory (MiB)")):
        for place, key in enumerate(("cm1", "ours")):
            name, colour, _ = style.method_style(key)
            found = [find(groups, key, **task) for task in tasks]
            values = [[r[column] for r in g.by_seed.values() if r[column] is not None] if g else [] for g in found]
            x = np.arange(len(tasks)) + (place - 0.5) * 0.38
            heights = [np.mean(v) if v else 0 for v in values]
            ax.bar(x, heights, 0.36, color=colour, label=name, hatch="" if place else "//", edgecolor="white")
            for at, v in zip(x, values):
                ax.plot([at] * len(v), v, ".", color="black", markersize=4)
        ax.set_xticks(
            range(len(tasks)), [f"{t['pair']}\n{t['size']} px, batch {t['batch_size']}" for t in tasks], fontsize=8
        )
        ax.set(title=label.split(" (")[0].capitalize(), ylabel=label)
        ax.grid(axis="x", visible=False)
    axes[0].legend(fontsize=8)
    return figure


def report_figures(records: Sequence[Record]) -> dict[str, Figure]:
    """Return every figure that the records of a grid allow, by name."""
    groups = group_records(records)
    made: dict[str, Figure] = {}
    for dataset in dict.fromkeys(g.task["dataset"] for g in groups):
        for pair in dict.fromkeys(g.task["pair"] for g in groups if g.task["dataset"] == dataset):
            of_pair = [r for r in records if (r["dataset"], r["pair"]) == (dataset, pair)]
            own = group_records(of_pair)
            if len({repr({**g.task, "fraction": 0, "steps": 0, "epochs": 0}) for g in own}) > 1:
                continue  # several settings in one grid: no single curve
            if len({g.task["fraction"] for g in own}) > 1:
                made[f"fractions-{dataset}-{pair}"] = fraction_curves(of_pair, dataset)
            swept = [
                name
                for name in ("alpha", "beta", "tau")
                if len({getattr(g.variant, name) for g in own if g.variant.method == "ours"}) > 1
            ]
            if swept and sum(g.key == "ours" for g in own) == 1:
                made[f"sensitivity-{dataset}-{pair}"] = sensitivity(of_pair, swept)
            for fraction in sorted({g.task["fraction"] for g in own}):
                shown = {
                    style.method_style(g.key)[0]: g
                    for g in own
                    if g.task["fraction"] == fraction and g.key in ("ours", "cm1", "cm2")
                }
                if shown:
                    made[f"confusion-{dataset}-{pair}-{fraction:g}"] = confusions(shown)
    return made
