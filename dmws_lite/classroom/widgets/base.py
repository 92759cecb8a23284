"""What all widgets share: one script and one style sheet before their own, and a figure where no script runs.

A widget's logic is JavaScript and its data lie in its traits, so that it moves on a page without a kernel. The modules
are plain files in ``static/``: ``shared.js`` and the widget's own file are put one behind the other, because a saved
page has no folder to import from.
"""

from __future__ import annotations

import base64
import html
import io
import os
from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import traitlets
from IPython.display import HTML, display

STATIC = Path(__file__).resolve().parent / "static"

# Set by scripts/build_book.py: the page will be read without a kernel.
STATIC_PAGE = "DMWS_LITE_STATIC_PAGE"


def script(name: str) -> str:
    """Return the JavaScript module of a widget, ``static/NAME.js`` behind ``static/shared.js``."""
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in ("shared.js", f"{name}.js"))


def stylesheet(name: str = "") -> str:
    """Return the style sheet of a widget: the shared one, and ``static/NAME.css`` where there is one."""
    own = STATIC / f"{name}.css"
    shared = (STATIC / "shared.css").read_text(encoding="utf-8")
    return shared + (own.read_text(encoding="utf-8") if own.exists() else "")


def on_static_page() -> bool:
    """Tell whether the output goes to a page that is read without a kernel."""
    return os.environ.get(STATIC_PAGE, "") == "1"


def picture(figure: plt.Figure, alt: str, name: str = "") -> str:
    """Return a figure as an HTML element with its picture inside, and close it.

    Args:
        figure: of Matplotlib.
        alt: what a reader who cannot see it needs to know.
        name: of the widget in whose place it stands; its script hides the picture once the widget is drawn.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    plt.close(figure)
    data = base64.b64encode(stream.getvalue()).decode()
    mark = f' data-stands-for="{html.escape(name)}"' if name else ""
    return (
        f'<figure class="dmws-fallback"{mark}><img alt="{html.escape(alt)}" src="data:image/png;base64,{data}" '
        'style="max-width:100%;height:auto;background:#fff">'
        f"<figcaption>{html.escape(alt)}</figcaption></figure>"
    )


class Widget(anywidget.AnyWidget):
    """A widget whose logic runs in the browser.

    A subclass sets ``name`` (its file in ``static/``), ``_esm = script(name)``, ``_css = stylesheet(name)``, its data
    as synchronised traits, and :meth:`figure` and :meth:`alt`.
    """

    name = ""
    title = traitlets.Unicode("").tag(sync=True)

    def figure(self) -> plt.Figure:
        """Draw what the widget shows at its start, for readers without JavaScript."""
        raise NotImplementedError

    def alt(self) -> str:
        """Say in one or two sentences what :meth:`figure` shows."""
        raise NotImplementedError

    def fallback(self) -> str:
        """Return the static figure as HTML; the widget's script hides it."""
        return picture(self.figure(), self.alt(), self.name)

    def _repr_mimebundle_(self, **kwargs: object) -> object:
        bundle = super()._repr_mimebundle_(**kwargs)
        # The book shows one representation of an output; the figure is an output of its own, behind the widget.
        if on_static_page():
            display(HTML(self.fallback()))
        return bundle
