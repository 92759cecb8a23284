"""Put right in the built pages what Jupyter Book's theme gets wrong for readers who use a screen reader or a keyboard.

    python scripts/polish.py [FOLDER]

Each rule changes one thing that an accessibility checker finds on every page and that no setting of the theme reaches.
The rules look at the theme's own markup only, never at the text of a page, and running them twice changes nothing more.
A rule whose markup has gone (a newer theme) changes nothing; tests of the built book tell whether it is still needed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dmws_lite._system import write_atomic  # noqa: E402

Rule = Callable[[str], str]


def speaking_summaries(page: str) -> str:
    """Let a folded cell be named by what it says ("Show code cell output"), not by a hidden "Toggle hidden content"."""
    return page.replace('<summary aria-label="Toggle hidden content">', "<summary>")


def search_buttons_by_their_text(page: str) -> str:
    """Drop the label "Search" of buttons that show "Search Ctrl+K": the name has to contain what is seen."""
    button = r'(<button class="[^"]*search-button-field[^"]*"[^>]*?) aria-label="Search"'
    return re.sub(button, r"\1", page)


def silent_icons(page: str) -> str:
    """Drop the titles inside the colour-mode button: its label says what it does, and they contradict it."""
    return re.sub(r'(<i class="theme-switch [^>]*?)\s+title="[^"]*"', r"\1", page)


def plain_bibliography(page: str) -> str:
    """Drop the roles in the list of references: "list" wants other children, "doc-biblioentry" is deprecated."""
    page = page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    return re.sub(r'(<div class="citation"[^>]*?) role="doc-biblioentry"', r"\1", page)


def sidebar_as_landmark(page: str) -> str:
    """Make the left sidebar, logo and search included, one landmark."""
    plain = '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar">'
    return page.replace(plain, f'{plain[:-1]} role="navigation" aria-label="Book">')


def empty_corners(page: str) -> str:
    """Make the empty corner of a table a data cell: an empty header heads nothing."""
    return re.sub(r'<th class="(head[^"]*)">\s*(?:<p>\s*</p>)?\s*</th>', r'<td class="\1"></td>', page)


def icons_from_the_font(page: str) -> str:
    """Drop the script of 1.5 MB that draws the icons a second time: their font, a tenth of that, is loaded anyway."""
    return re.sub(r"<script[^>]*/scripts/fontawesome\.js[^>]*></script>\n?", "", page)


def parameters_as_lines(page: str) -> str:
    """Write the parameters of a long signature as lines of the term, where Sphinx nests a list without terms."""
    return re.sub(
        r"<dl>\n((?:<dd>(?:(?!</?d[ld]>).)*</dd>\n)+)</dl>(?=\s*<span class=\"sig-paren\">\))",
        lambda found: found[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>"),
        page,
        flags=re.DOTALL,
    )


RULES: tuple[Rule, ...] = (
    speaking_summaries,
    search_buttons_by_their_text,
    silent_icons,
    plain_bibliography,
    sidebar_as_landmark,
    empty_corners,
    icons_from_the_font,
    parameters_as_lines,
)


def polished(page: str) -> str:
    """Return the text of a page after every rule."""
    for rule in RULES:
        page = rule(page)
    return page


def polish(html_folder: Path) -> None:
    """Apply every rule to every page of a built book, in place.

    Args:
        html_folder: folder of the pages, ``_build/html``.

    Raises:
        FileNotFoundError: there is no page in the folder.
    """
    pages = [path for path in sorted(html_folder.rglob("*.html")) if "_static" not in path.parts]
    if not pages:
        raise FileNotFoundError(f"{html_folder} holds no page of a book; build it first with `make book`")
    for path in pages:
        before = path.read_text(encoding="utf-8")
        after = polished(before)
        if after != before:
            write_atomic(path, after.encode("utf-8"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "_build" / "html", help="folder of the pages")
    try:
        polish(parser.parse_args(arguments).folder)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
