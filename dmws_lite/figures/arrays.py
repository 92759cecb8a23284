"""Figures that look as if they belong in one book. Every function returns a figure and shows nothing.

Colours are Okabe and Ito's, told apart with any colour vision; each method keeps its colour and its marker through the
whole book, so that a reader learns the legend once. Backgrounds are white on purpose: in dark mode the page puts the
picture on a light card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..experiments.statistics import Summary, summarise
from ..images.dataset import Images
from ..training.config import Result
from .style import BLUE, COLOURS, GREEN, GREY, MARKERS, ORANGE, PURPLE, method_style, new_figure

# -- images -----------------------------------------------------------------------------------------------------------


def image_grid(images: Images, per_class: int = 4, title: str = "", seed: int = 0) -> Figure:
    """Show some images of each class, one row a class.

    Args:
        images: grey or colour images.
        per_class: images in a row.
        title: heading of the figure.
        seed: which ones.

    Example:
        >>> from dmws_lite import load_images
        >>> from dmws_lite.figures import image_grid
        >>> figure = image_grid(load_images("phantom-ct", n=12, size=32, progress=False), per_class=2)
        >>> [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
        ['cap-like', 'covid-like', 'normal']
    """
    classes = images.classes
    figure, axes = new_figure(len(classes), per_class, 1.45 * per_class + 0.4, 1.55 * len(classes) + 0.4, squeeze=False)
    generator = torch.Generator().manual_seed(seed)
    for row, name in enumerate(classes):
        members = (images.labels == row).nonzero().flatten()
        chosen = members[torch.randperm(len(members), generator=generator)[:per_class]].tolist()
        for column in range(per_class):
            ax = axes[row, column]
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if column < len(chosen):
                _show(ax, images.pixels[chosen[column]])
        axes[row, 0].set_ylabel(name, fontsize=9)
    figure.suptitle(title or f"{images.name}, {images.pixels.shape[-1]} px", x=0.01, ha="left", weight="bold", size=11)
    return figure


def _show(ax: plt.Axes, pixels: Tensor) -> None:
    if pixels.ndim == 3:
        ax.imshow(pixels.permute(1, 2, 0).numpy(), interpolation="nearest")
    else:
        ax.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def feature_maps(image: Tensor, maps: Sequence[tuple[str, Tensor]], columns: int = 6, title: str = "") -> Figure:
    """Show an image and what some channels of some layers answer to it.

    Args:
        image: ``uint8`` ``(H, W)`` or ``(3, H, W)``.
        maps: pairs of a layer's name and its maps ``(C, h, w)``; the most varying channels are shown, one layer a row.
        columns: channels in a row.
        title: heading of the figure.
    """
    cell = 8.0 / (columns + 1)  # as wide as the column of a page
    size = (8.0, (cell + 0.25) * len(maps) + 0.4)
    figure, axes = new_figure(len(maps), columns + 1, *size, squeeze=False)
    for row, (name, activation) in enumerate(maps):
        order = activation.flatten(1).std(1).argsort(descending=True)[:columns].sort().values
        for ax in axes[row]:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        if row == 0:
            _show(axes[row, 0], image)
        else:
            axes[row, 0].set_visible(False)
        for column, channel in enumerate(order.tolist(), start=1):
            axes[row, column].imshow(activation[channel].float().numpy(), cmap="cividis")
            axes[row, column].set_title(f"ch {channel}", fontsize=7, weight="normal", loc="center", pad=2)
        axes[row, 1].set_ylabel(f"{name}\n{activation.shape[-2]}x{activation.shape[-1]}", fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
    return figure


# -- weights and selections -------------------------------------------------------------------------------------------


def histograms(
    values: Mapping[str, Tensor],
    title: str,
    xlabel: str,
    bins: int = 80,
    limit: float | None = None,
    tails: bool = False,
) -> Figure:
    """Compare the distributions of several sets of numbers, as outlines over one another.

    Args:
        values: label -> numbers of any shape.
        title: heading.
        xlabel: what is counted, with its unit.
        bins: number of bins.
        limit: show only values in ``[-limit, limit]``; default: the 99.5% quantile of all.
        tails: logarithmic density, on which rare values are seen, and the bell curve of standard deviation 1.
    """
    figure, ax = new_figure(height=3.6)
    flat = {name: v.detach().float().flatten().numpy() for name, v in values.items()}
    limit = limit or max(float(np.quantile(np.abs(v), 0.995)) for v in flat.values()) or 1.0
    edges = np.linspace(-limit, limit, bins + 1)
    for (name, v), colour, line in zip(flat.items(), COLOURS, ("-", "--", "-.", ":", "-", "--", "-.")):
        ax.hist(v, edges, histtype="step", density=True, label=name, color=colour, linestyle=line, linewidth=1.6)
    if tails:
        lowest = min(1 / (len(v) * (edges[1] - edges[0])) for v in flat.values())  # one number in a bin
        ax.set(yscale="log", ylim=(lowest / 2, 1))
        bell = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
        ax.plot(edges[bell > lowest / 2], bell[bell > lowest / 2], ":", color=GREY, linewidth=1.4, label="bell curve")
    ax.set(title=title, xlabel=xlabel, ylabel="density, logarithmic" if tails else "density", xlim=(-limit, limit))
    figure.legend(loc="outside lower center", ncols=len(flat) + 1)
    return figure


def layer_profile(
    rows: Sequence[tuple[str, float]], title: str, ylabel: str, usual: tuple[float, float, str] | None = None
) -> Figure:
    """Show one number per layer as a bar, in the order of the network.

    Args:
        rows: layer -> number; of up to eight, the numbers stand on the bars.
        title: heading.
        ylabel: what is shown, with its unit.
        usual: a range to compare with, drawn as a band: lower end, upper end, what it is.
    """
    figure, ax = new_figure(width=7.5)
    names, numbers = zip(*rows)
    bars = ax.bar(range(len(names)), numbers, 0.7, color=BLUE)
    if len(rows) <= 8:
        ax.bar_label(bars, [f"{number:.2f}" for number in numbers], fontsize=9, padding=2)
    if usual:
        low, high, name = usual
        ax.axhspan(low, high, color=ORANGE, alpha=0.35, linewidth=0, zorder=0, label=name)
        ax.axhline(0, color="black", linewidth=0.8)
        figure.legend(loc="outside lower right")
    step = max(1, len(names) // 18)
    ax.set_xticks(range(0, len(names), step), names[::step])
    ax.set(title=title, ylabel=ylabel, xlabel="from input to output")
    ax.grid(axis="x", visible=False)
    return figure


SELECTION_COLOURS = ListedColormap(["#ECECEC", BLUE, ORANGE, PURPLE])


def selection_codes(
    shape: tuple[int, int], main: tuple[Sequence, Sequence], aux: tuple[Sequence, Sequence]
) -> np.ndarray:
    """Mark every entry of a teacher matrix: 0 unused, 1 main, 2 auxiliary, 3 both.

    Args:
        shape: rows and columns of the teacher matrix.
        main: row and column indices of the main student.
        aux: row and column indices of the auxiliary student.

    Example:
        >>> from dmws_lite.figures import selection_codes
        >>> selection_codes((2, 4), main=([0], [0, 2]), aux=([1], [1, 3])).tolist()
        [[1, 0, 1, 0], [0, 2, 0, 2]]
    """
    codes = np.zeros(shape, dtype=int)
    for code, (rows, columns) in ((1, main), (2, aux)):
        codes[np.ix_(np.asarray(rows), np.asarray(columns))] += code
    return codes


def selection_maps(maps: Mapping[str, np.ndarray], title: str, xlabel: str = "teacher input channel",
                   ylabel: str = "teacher output channel") -> Figure:  # fmt: skip
    """Show which entries of a teacher matrix each student takes, one panel per rule.

    Args:
        maps: panel title -> codes from :func:`selection_codes`.
        title: heading.
        xlabel: meaning of the columns.
        ylabel: meaning of the rows.
    """
    figure, axes = new_figure(1, len(maps), 2.7 * len(maps) + 0.3, 3.5, squeeze=False)
    for ax, (name, codes) in zip(axes[0], maps.items()):
        ax.imshow(codes, cmap=SELECTION_COLOURS, vmin=0, vmax=3, interpolation="nearest", aspect="equal")
        ax.grid(False)
        if max(codes.shape) <= 16:  # cells that can be counted
            for x in range(1, codes.shape[1]):
                ax.axvline(x - 0.5, color="white", linewidth=1.5)
            for y in range(1, codes.shape[0]):
                ax.axhline(y - 0.5, color="white", linewidth=1.5)
            ax.set(xticks=range(codes.shape[1]), yticks=range(codes.shape[0]))
        ax.set_title(name, fontsize=9)
        ax.set(xlabel=xlabel)
    axes[0, 0].set(ylabel=ylabel)
    names = ("neither", "main", "auxiliary", "both")[: 4 if any((codes == 3).any() for codes in maps.values()) else 3]
    handles = [plt.Rectangle((0, 0), 1, 1, color=SELECTION_COLOURS(i)) for i in range(len(names))]
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
    return figure


# -- runs -------------------------------------------------------------------------------------------------------------


def training_curves(result: Result, title: str = "") -> Figure:
    """Show a run: the terms of the loss while training, and the accuracy of both students on the test images."""
    dual = result.aux_metrics is not None
    figure, (loss, score) = new_figure(1, 2, 9.0, 3.2)
    for name, label, colour, line in (
        ("loss", "total", BLUE, "-"),
        ("ce", "cross-entropy", GREEN, "--"),
        ("kd", "KL to auxiliary", ORANGE, ":"),
    ):
        if name != "kd" or dual:
            loss.plot(*result.column(name), color=colour, linestyle=line, label=label)
    loss.set(title="loss on the training images", xlabel="epoch", ylabel="loss (nats)", ylim=(0, None))
    score.plot(*result.column("main_accuracy"), color=BLUE, marker="o", markersize=4, label="main")
    if dual:
        score.plot(*result.column("aux_accuracy"), color=ORANGE, marker="s", markersize=4, label="auxiliary")
    score.set(title="accuracy on the test images", xlabel="epoch", ylabel="share of images", ylim=(0, 1.02))
    for ax in (loss, score):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)  # below: it covers no line there
    if title:
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
    return figure


def learning_curves(
    runs: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]], title: str, chance: float | None = None
) -> Figure:
    """Show how the accuracy of several methods grows: a thin line for each run, a thick one for their mean.

    Args:
        runs: method -> for each run its steps and its accuracies; the runs of a method share their steps.
        title: heading; say data, length and number of seeds.
        chance: where to draw the line of a guess, or ``None``.
    """
    figure, ax = new_figure(width=7.5, height=3.6)
    ends = []
    for method, each in runs.items():
        label, colour, marker = method_style(method)
        steps, mean = each[0][0], np.mean([accuracies for _, accuracies in each], axis=0)
        if len(each) > 1:
            for x, accuracies in each:
                ax.plot(x, accuracies, color=colour, linewidth=0.7, alpha=0.4)
        ax.plot(steps, mean, color=colour, marker=marker, markersize=5, linewidth=2.2)
        ends.append((mean[-1], steps[-1], label, colour))
    # Each line is named at its end, moved up where two names would lie on one another.
    place = -1.0
    for height, last, label, colour in sorted(ends):
        place = max(height, place + 0.065)
        ax.annotate(
            f"{label}  {height:.2f}", (last, height), xytext=(1.02, place), textcoords=("axes fraction", "data"),
            color=colour, va="center", fontsize=9, annotation_clip=False,
        )  # fmt: skip
    if chance is not None:
        ax.axhline(chance, color=GREY, linestyle=":", linewidth=1.2)
        ax.annotate("chance", (0, chance), fontsize=8, color=GREY, xytext=(3, 3), textcoords="offset points")
    ax.set(title=title, xlabel="training steps", ylabel="accuracy on the test images", ylim=(0, 1), xlim=(0, None))
    return figure


def grouped_bars(
    series: Mapping[str, Sequence[float]], groups: Sequence[str], title: str, ylabel: str,
    ylim: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """Show a few numbers for each of a few groups as bars side by side, with the legend below the axes.

    Args:
        series: label -> one number per group.
        groups: names below the bars.
        title: heading.
        ylabel: what is measured, with its unit.
        ylim: limits of the vertical axis; ``None`` to fit the bars.

    Example:
        >>> from dmws_lite.figures import grouped_bars
        >>> figure = grouped_bars({"before": [1, 2], "after": [3, 1]}, ["a", "b"], "Two groups", "count")
        >>> [text.get_text() for text in figure.axes[0].get_xticklabels()]
        ['a', 'b']
    """
    figure, ax = new_figure(height=3.2)
    width = 0.8 / len(series)
    for place, ((label, heights), colour) in enumerate(zip(series.items(), COLOURS)):
        x = np.arange(len(groups)) + (place - (len(series) - 1) / 2) * width
        ax.bar(x, heights, 0.9 * width, color=colour, label=label)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(range(len(groups)), groups)
    ax.set(title=title, ylabel=ylabel)
    if ylim is not None:
        ax.set(ylim=ylim)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(series))
    return figure


def decay_curves(
    curves: Mapping[str, Sequence[float]], title: str, ylabel: str, least: float = 1e-3,
    measured: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None, mark: float | None = None,
) -> Figure:  # fmt: skip
    """Show shares that fall from 1, one value per training step; on the logarithmic axis exponentials are straight.

    Args:
        curves: label -> the share after 0, 1, 2, ... steps, drawn as a line that is named at its end.
        title: heading.
        ylabel: of what the share is.
        least: lower end of the axis, in (0, 1).
        measured: label of a curve -> steps and shares, drawn as dots of its colour.
        mark: share at which a dotted line is drawn, or ``None``.

    Example:
        >>> from dmws_lite.figures import decay_curves
        >>> decay_curves({"a half": [1, 0.5, 0.25]}, "Halved twice", "share").axes[0].get_yscale()
        'log'
    """
    figure, ax = new_figure(width=7.5, height=3.4)
    last = 0
    for (label, shares), colour, marker in zip(curves.items(), COLOURS, MARKERS):
        shares = np.asarray(shares, dtype=float)
        last = max(last, len(shares) - 1)
        ax.plot(np.arange(len(shares)), np.maximum(shares, 1e-12), color=colour)
        below = np.flatnonzero(shares < least)
        end, place = ((below[0], least), (4, 9)) if len(below) else ((len(shares) - 1, shares[-1]), (4, 0))
        ax.annotate(label, end, xytext=place, textcoords="offset points", color=colour, fontsize=9, va="center",
                    annotation_clip=False)  # fmt: skip
        if measured and label in measured:
            steps, values = measured[label]
            ax.plot(steps, values, marker, color=colour, markersize=5, linestyle="")
    if mark is not None:
        ax.axhline(mark, color=GREY, linestyle=":", linewidth=1.2)
        ax.annotate(f"{mark:.0%}", (last, mark), xytext=(0, 3), textcoords="offset points", color=GREY, fontsize=8,
                    ha="right")  # fmt: skip
    ax.set(title=title, xlabel="training steps", ylabel=ylabel, yscale="log", ylim=(least, 1.4), xlim=(0, last))
    return figure


def method_comparison(
    values: Mapping[str, Sequence[float]], title: str, xlabel: str = "test accuracy (share of images)",
    chance: float | None = None,
) -> Figure:  # fmt: skip
    """Show every seed of every method as a dot; of several, mean and 95% interval stand below the dots.

    Args:
        values: method -> one number per seed.
        title: heading; say data set, fraction and number of seeds.
        xlabel: what is measured.
        chance: where to draw the line of a guess, or ``None``.

    Example:
        >>> from dmws_lite.figures import method_comparison
        >>> figure = method_comparison({"ours": [0.75, 0.77], "cm1": [0.79, 0.80]}, "Two seeds")
        >>> figure.axes[0].get_xlabel()
        'test accuracy (share of images)'
    """
    figure, ax = new_figure(height=0.55 * len(values) + 1.3)
    for row, (method, numbers) in enumerate(values.items()):
        label, colour, marker = method_style(method)
        summary = summarise(list(numbers))
        ax.plot(numbers, [row] * len(numbers), marker, color=colour, alpha=0.55, markersize=6, linestyle="")
        if summary.n > 1:
            ax.plot([summary.mean], [row + 0.25], "|", color=colour, markersize=13, markeredgewidth=2.5)
            ax.plot([summary.low, summary.high], [row + 0.25] * 2, color=colour, linewidth=2)
    ax.set_yticks(range(len(values)), [method_style(m)[0] for m in values])
    ax.set(title=title, xlabel=xlabel, ylim=(len(values) - 0.4, -0.6))
    ax.grid(axis="y", visible=False)
    if chance is not None:
        ax.axvline(chance, color=GREY, linestyle=":", linewidth=1.2)
        ax.annotate("chance", (chance, -0.5), fontsize=8, color=GREY, xytext=(3, -3), textcoords="offset points")
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> Figure:
    """Show a confusion matrix: counts as text, the share of the labelled class as colour.

    Args:
        matrix: rows are labelled classes, columns predicted classes.
        classes: names, in order.
        title: heading; say method and data.
    """
    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 0.85 * len(classes) + 2.2
    figure, ax = new_figure(width=side + 0.7, height=side)
    picture = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.grid(False)
    for i, j in np.ndindex(counts.shape):
        ax.text(j, i, counts[i, j], ha="center", va="center", color="white" if share[i, j] > 0.55 else "black")
    ax.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    ax.set_yticks(range(len(classes)), classes)
    ax.set(title=title, xlabel="predicted class", ylabel="labelled class")
    figure.colorbar(picture, ax=ax, shrink=0.8, label="share of the labelled class")
    return figure


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[Sequence[float]]]], title: str, xlabel: str,
    ylabel: str = "test accuracy (share of images)", log: bool = False, mark: float | None = None,
) -> Figure:  # fmt: skip
    """Show means over repeats with the range from worst to best as a band (figure 6 of the paper draws this band).

    Args:
        series: label -> (positions, repeats at each position).
        title: heading.
        xlabel: what varies, with its unit.
        ylabel: what is measured.
        log: logarithmic positions.
        mark: position of the paper's choice, or ``None``.
    """
    figure, ax = new_figure()
    for (label, (x, repeats)), colour, marker in zip(series.items(), COLOURS, MARKERS):
        ax.plot(x, [np.mean(r) for r in repeats], marker=marker, color=colour, label=label)
        ax.fill_between(x, [min(r) for r in repeats], [max(r) for r in repeats], color=colour, alpha=0.18, linewidth=0)
    if mark is not None:
        ax.axvline(mark, color=GREY, linestyle="--", linewidth=1.2, label="the paper's choice")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale="log" if log else "linear")
    ax.legend()
    return figure


def differences(rows: Mapping[str, Summary], title: str, xlabel: str = "difference of test accuracies") -> Figure:
    """Show differences with their 95% intervals, one a row; filled where the interval leaves out zero.

    Args:
        rows: label -> difference, with its single values where they are known.
        title: heading; say data set and number of seeds.
        xlabel: what is subtracted from what.
    """
    figure, ax = new_figure(height=0.33 * max(len(rows), 1) + 1.4)
    for row, one in enumerate(rows.values()):
        apart = one.low > 0 or one.high < 0
        colour = BLUE if apart else GREY
        ax.plot(one.values, [row] * len(one.values), "|", color=colour, alpha=0.6, markersize=7)
        ax.plot([one.low, one.high], [row, row], color=colour, linewidth=2)
        ax.plot(one.mean, row, "o", color=colour, markerfacecolor=colour if apart else "white", markersize=6)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(title=title, xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
    ax.grid(axis="y", visible=False)
    return figure
