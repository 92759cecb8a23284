"""One look for every figure of the book: colours, markers, fonts."""

from __future__ import annotations

import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#6B6B6B",
)

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# Main is blue and the auxiliary orange wherever both appear; the methods follow the paper's order.
METHODS = {
    "ours": ("ours: dual + SKD", BLUE, "o"),
    "ours_swap": ("ours, roles swapped", SKY, "P"),
    "same_start": ("same start + SKD", PURPLE, "v"),
    "cm1": ("CM1: one selection", GREEN, "^"),
    "cm2": ("CM2: timm default", RED, "D"),
    "cm3": ("CM3: Xavier", GREY, "s"),
    "cm4": ("CM4: Kaiming", ORANGE, "X"),
    "teacher": ("whole teacher, fine-tuned", "#000000", "*"),
}

STYLE = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "font.size": 10,
}

# Once, when this module is imported: matplotlib reads half of these when a figure is made and half when a title or a
# legend is added later, so a context around the making alone would lose the second half.
plt.rcParams.update(STYLE)


def new_figure(rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 3.2, **options: object):
    """Return ``(figure, axes)`` in the style of the book; sizes in inches, for the whole figure."""
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), **options)
    plt.close(figure)  # a returned figure is shown by the notebook once; left open it would be shown twice
    return figure, axes


def method_style(method: str) -> tuple[str, str, str]:
    """Return label, colour and marker of a method; unknown names get grey and their own name."""
    return METHODS.get(method, (method, GREY, "o"))
