"""Figures of differences between methods: forests of intervals, and the map of rates and methods."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..experiments.compare import Group
from ..experiments.statistics import Summary
from . import style

# Light for low accuracy, dark for high: the ends are far enough apart for the numbers on them to be read.
_MAP_COLOURS = "Blues"


def forest(
    sections: Mapping[str, Mapping[str, Mapping[str, Summary]]],
    title: str,
    effect: float = 0.0,
    colours: Mapping[str, str] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Show differences in accuracy with their intervals, from top to bottom, narrow enough for a telephone.

    Args:
        sections: heading -> {label: {series: difference}}.
        title: heading of the figure.
        effect: differences up to this size do not matter: a grey band around 0; none where 0.
        colours: of the series; the palette's own order where left out. Each series has a marker of its own too.
        limits: of the horizontal axis; an interval that reaches beyond ends in an arrow.

    Raises:
        ValueError: there is no difference to show.

    Example:
        >>> from dmws_lite.experiments.statistics import summarise
        >>> from dmws_lite.figures import forest
        >>> gain = summarise([0.01, 0.02, 0.0])
        >>> figure = forest({"Brain MRI": {"1%": {"our runs": gain}, "5%": {"our runs": gain}}}, "ours − CM1")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['1%', '5%']
    """
    names = list(dict.fromkeys(name for rows in sections.values() for row in rows.values() for name in row))
    if not names:
        raise ValueError("there is no difference to show; give at least one row with one")
    colours = colours or dict(zip(names, style.COLOURS))
    heads, ticks, points, y = [], [], [], 0.0
    for head, rows in sections.items():
        heads.append((y + 0.2, head))
        y += 1.0
        for label, row in rows.items():
            points += [(y + 0.34 * k, name, row[name]) for k, name in enumerate(row)]
            ticks.append((y + 0.17 * (len(row) - 1), label))
            y += 0.34 * (len(row) - 1) + 0.78
    figure, ax = style.new_figure(width=4.2, height=1.25 + 0.27 * y)
    if effect:
        ax.axvspan(-effect, effect, color=style.GREY, alpha=0.13, linewidth=0)
    ax.axvline(0, color=style.BLACK, linewidth=0.9)
    for place, name, summary in points:
        marker = style.MARKERS[names.index(name) % len(style.MARKERS)]
        _interval(ax, place, summary, colours[name], marker, limits)
    for name in names if len(names) > 1 else ():
        marker = style.MARKERS[names.index(name) % len(style.MARKERS)]
        ax.plot([], [], marker, color=colours[name], linestyle="none", label=name)
    for place, head in heads:
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(0, place, head, transform=ax.get_yaxis_transform(), weight="bold", fontsize=9, va="center", bbox=white)
    ax.set_yticks(*zip(*ticks))
    ax.set(ylim=(y - 0.3, -0.4), xlabel="difference in test accuracy", title=title)
    if limits:
        ax.set(xlim=limits)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    if len(names) > 1:
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(names)),
                      frameon=False, fontsize=9)  # fmt: skip
    return figure


def _interval(
    ax: Axes, place: float, summary: Summary, colour: str, marker: str, limits: tuple[float, float] | None
) -> None:
    """Draw one interval; where it leaves the axis, an arrow says so."""
    low, high = (summary.mean if math.isnan(x) else x for x in (summary.low, summary.high))
    ax.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    ax.plot([summary.mean], [place], marker, color=colour, markersize=5.5)
    if limits and low < limits[0]:
        ax.plot([limits[0]], [place], "<", color=colour, markersize=5, clip_on=False)
    if limits and high > limits[1]:
        ax.plot([limits[1]], [place], ">", color=colour, markersize=5, clip_on=False)


def rate_curves(
    lines: Mapping[str, Mapping[float, Summary]], title: str, effect: float = 0.0, ylabel: str = "ours − CM1"
) -> Figure:
    """Show a difference over learning rates, with its intervals; one line per condition.

    Args:
        lines: label -> {learning rate: difference}.
        title: heading.
        effect: half width of the band of differences that do not matter.
        ylabel: which difference.
    """
    figure, ax = style.new_figure(width=4.2, height=3.1)
    rates = sorted({rate for line in lines.values() for rate in line})
    if effect:
        ax.axhspan(-effect, effect, color=style.GREY, alpha=0.13, linewidth=0)
    ax.axhline(0, color=style.BLACK, linewidth=0.9)
    for number, (label, line) in enumerate(lines.items()):
        known = sorted(line)
        x = [rates.index(rate) + (number - (len(lines) - 1) / 2) * 0.16 for rate in known]
        half = [0.0 if line[rate].n == 1 else line[rate].high - line[rate].mean for rate in known]
        ax.errorbar(x, [line[rate].mean for rate in known], yerr=half, label=label, color=style.COLOURS[number],
                    marker=style.MARKERS[number], linewidth=1, elinewidth=1.5, capsize=2.5, markersize=5.5)  # fmt: skip
    ax.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    ax.set(title=title, xlabel="peak learning rate", ylabel=ylabel)
    ax.legend(loc="best")
    return figure


def rate_map(panels: Mapping[str, Mapping[str, Mapping[float, Group]]], title: str) -> Figure:
    """Show mean accuracy by method and learning rate, one panel per condition: the map.

    Args:
        panels: heading -> {method: {learning rate: runs}}; what was not run stays empty.
        title: heading of the figure.

    Raises:
        ValueError: there is no run to show.
    """
    groups = [group for rows in panels.values() for row in rows.values() for group in row.values()]
    if not groups:
        raise ValueError("there is no run to show; give at least one group")
    rates = sorted({rate for rows in panels.values() for row in rows.values() for rate in row})
    means = [group.summary().mean for group in groups]
    heights = [len(rows) for rows in panels.values()]
    figure, axes = style.new_figure(len(panels), 1, 4.4, 0.9 + 0.62 * len(panels) + 0.3 * sum(heights),
                                    height_ratios=heights, squeeze=False)  # fmt: skip
    for ax, (heading, rows) in zip(axes[:, 0], panels.items()):
        values = np.array([[row[r].summary().mean if r in row else math.nan for r in rates] for row in rows.values()])
        ax.imshow(values, cmap=_MAP_COLOURS, vmin=min(means), vmax=max(means), aspect="auto")
        for i, j in np.argwhere(~np.isnan(values)):
            dark = (values[i, j] - min(means)) / max(1e-9, max(means) - min(means)) > 0.55
            text = f"{values[i, j]:.3f}".lstrip("0")
            ax.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
        ax.grid(False)
        ax.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set(title=heading)
        ax.tick_params(length=0)
    axes[-1, 0].set(xlabel="peak learning rate")
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
    return figure
