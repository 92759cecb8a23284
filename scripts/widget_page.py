"""Write a page with one widget, without a kernel, as the book would show it: for looking at it, and for tests.

    python scripts/widget_page.py auxiliary_memory page.html [--theme dark]

The page and its scripts (``vendor/`` beside it) need no network.
"""

from __future__ import annotations

import argparse
import html
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from vendor import FOLDER, PAGES, fetch  # noqa: E402

WHERE = """// Where the widget scripts find anywidget and their fonts: beside this file, at any depth, also from file://.
(function () {
  var here = document.currentScript.src.replace(/[^/]*$/, "");
  if (!window.require || !window.require.config) return;
  // The manager's modules take the folder of their fonts from these addresses; they themselves are in its bundle.
  var paths = { anywidget: here + "anywidget", "@jupyter-widgets": here + "fonts" };
  paths["@jupyter-widgets/html-manager/dist"] = here + "fonts";
  window.require.config({ paths: paths });
})();
"""
SCRIPTS = ("require.js", "where.js", "embed-amd.js")


def place_scripts(folder: Path, cache: Path = FOLDER) -> None:
    """Put the widget scripts into a folder.

    Args:
        folder: beside the pages.
        cache: where fetched scripts are kept.

    Raises:
        vendor.FetchError: one could not be fetched.
    """
    import anywidget

    found = {one.name: fetch(one, cache) for one in PAGES}
    (folder / "fonts").mkdir(parents=True, exist_ok=True)
    for name, path in found.items():
        shutil.copy(path, folder / name)
    shutil.copy(Path(anywidget.__file__).parent / "nbextension" / "index.js", folder / "anywidget.js")
    (folder / "where.js").write_text(WHERE, encoding="utf-8")


def page(widgets: list, theme: str = "light", before: str = "") -> str:
    """Return the text of a page that shows widgets, each with its static figure behind it."""
    from ipywidgets.embed import embed_data

    data = embed_data(views=widgets, drop_defaults=False)
    shown = "\n".join(
        f'<div><script type="application/vnd.jupyter.widget-view+json">{json.dumps(spec)}</script></div>{w.fallback()}'
        for spec, w in zip(data["view_specs"], widgets)
    )
    state = json.dumps(data["manager_state"]).replace("</", "<\\/")
    scripts = "\n".join(f'<script src="vendor/{name}" data-jupyter-widgets-cdn=""></script>' for name in SCRIPTS)
    background = "#fff" if theme == "light" else "#121212"
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="{html.escape(theme)}"><head><meta charset="utf-8"><title>Widget</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body style="margin:8px;background:{background}">
<main><h1 style="font-size:16px;color:#666">Widget</h1>{before}{shown}</main>
<script type="application/vnd.jupyter.widget-state+json">{state}</script>
{scripts}</body></html>
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "widget", help="a function of dmws_lite.classroom.widgets that makes one, such as auxiliary_memory"
    )
    parser.add_argument("page", type=Path, help="file to write")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    given = parser.parse_args(arguments)
    import dmws_lite.classroom.widgets

    place_scripts(given.page.parent / "vendor")
    given.page.write_text(page([getattr(dmws_lite.classroom.widgets, given.widget)()], given.theme), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
