"""The base of all widgets: a shared script and style sheet, and a static figure for pages without JavaScript.

A widget's logic is JavaScript and its data are in its traits, so it works on a page without a kernel. The modules are
plain files in ``static/``. ``shared.js`` and the widget's own file are concatenated, because a saved page has no folder
to import from.
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

# Set to "1" by scripts/build_book.py: the page will be read without a kernel.
STATIC_PAGE = "DMWS_LITE_STATIC_PAGE"


def script(name: str) -> str:
    """Return the JavaScript module of a widget: ``static/shared.js`` followed by ``static/NAME.js``."""
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in ("shared.js", f"{name}.js"))


def stylesheet(name: str = "") -> str:
    """Return the style sheet of a widget: the shared one, followed by ``static/NAME.css`` if there is one."""
    own = STATIC / f"{name}.css"
    shared = (STATIC / "shared.css").read_text(encoding="utf-8")
    return shared + (own.read_text(encoding="utf-8") if own.exists() else "")


def on_static_page() -> bool:
    """Return whether the output goes to a page that is read without a kernel."""
    return os.environ.get(STATIC_PAGE, "") == "1"


def picture(figure: plt.Figure, alt: str, name: str = "") -> str:
    """Return a figure as HTML with an embedded PNG image, and close it.

    Args:
        figure: a Matplotlib figure.
        alt: alternative text for readers who cannot see it, also used as the caption.
        name: name of the widget that the image replaces; the widget's script hides the image once it has drawn.
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

    A subclass defines ``name``, ``_esm = script(...)`` and ``_css = stylesheet(...)`` with the name of its files in
    ``static/``, its data as synchronised traits, and the methods :meth:`figure` and :meth:`alt`.
    """

    name = ""
    title = traitlets.Unicode("").tag(sync=True)

    def figure(self) -> plt.Figure:
        """Draw the initial state of the widget, for readers without JavaScript."""
        raise NotImplementedError

    def alt(self) -> str:
        """Describe in one or two sentences what :meth:`figure` shows."""
        raise NotImplementedError

    def fallback(self) -> str:
        """Return the static figure as HTML; the widget's script hides it."""
        return picture(self.figure(), self.alt(), self.name)

    def _repr_mimebundle_(self, **kwargs: object) -> object:
        bundle = super()._repr_mimebundle_(**kwargs)
        # The book shows only one representation of an output, so the figure is an output of its own after the widget.
        if on_static_page():
            display(HTML(self.fallback()))
        return bundle
