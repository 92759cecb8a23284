"""One look for every figure of the book: colours, markers, fonts."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.projections import register_projection

from ..experiments.methods import METHODS

# Okabe and Ito's colours, distinguishable with any colour vision. Main is blue and the auxiliary orange wherever both
# appear.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "grey": "#6B6B6B",
    "black": "#000000",
}
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY, BLACK = PALETTE.values()

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

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


def _styled(name: str) -> Callable:
    original = getattr(Axes, name)

    def method(self: Axes, *args: object, **options: object) -> object:
        with matplotlib.rc_context(STYLE):
            return original(self, *args, **options)

    method.__name__ = name
    return method


class BookAxes(Axes):
    """Axes that keep the style of the book whenever something is added to them.

    Matplotlib reads some of its settings when a figure is made and others when a line, a title or a legend is added.
    Changing the settings for good would restyle the reader's own figures, so these axes bring them along.
    """

    name = "dmws_lite"

    for _name in ("annotate", "axhline", "axvline", "errorbar", "grid", "hist", "legend", "plot", "set_title",
                  "set_xlabel", "set_xticks", "set_ylabel", "set_yticks", "step", "text"):  # fmt: skip
        locals()[_name] = _styled(_name)
    del _name


register_projection(BookAxes)


def new_figure(rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 3.2, **options: object):
    """Return ``(figure, axes)`` in the style of the book; sizes in inches, for the whole figure.

    Example:
        >>> from dmws_lite.figures import new_figure
        >>> figure, ax = new_figure(width=4, height=3)
        >>> figure.get_size_inches().tolist()
        [4.0, 3.0]
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width, height), subplot_kw={"projection": BookAxes.name}, **options
        )
    plt.close(figure)  # a returned figure is shown by the notebook once; left open it would be shown twice
    return figure, axes


def method_style(method: str) -> tuple[str, str, str]:
    """Return label, colour and marker of a method; unknown names get grey and their own name."""
    known = METHODS.get(method)
    return (method, GREY, "o") if known is None else (known.label, PALETTE[known.colour], known.marker)
