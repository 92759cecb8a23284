"""Print the built book: one PDF a page, and all of them in one with an outline and with links that lead inside it.

    python scripts/make_pdf.py [--html FOLDER] [--to FOLDER]

Needs the built book (``make book``) and Chromium, whose own printing is used; the style sheet of the book says what a
printed page looks like (``book/_static/book.css``). Solutions of exercises stay folded, everything else is unfolded.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlparse

import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NullObject, TextStringObject

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from execute_notebooks import pages_in_order  # noqa: E402

from dmws_lite._system import write_atomic  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
BOOK = "dmws-lite-book.pdf"
# Small grey line at the foot of each sheet. The browser fills in the two class names.
FOOT = (
    '<div style="font: 8px sans-serif; color: #555; width: 100%; padding: 0 16mm; display: flex; '
    'justify-content: space-between"><span class="title"></span><span class="pageNumber"></span></div>'
)
READY = """async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
  const folds = [...document.querySelectorAll("details")];
  folds.filter(fold => !fold.closest(".tag_solution, .hint")).forEach(fold => { fold.open = true; });
}"""


class PrintError(RuntimeError):
    """The book cannot be printed; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Chapter:
    """One printed page of the book.

    Attributes:
        name: its place in the book without suffix, such as ``book/intro``.
        title: first heading.
        content: the PDF.
    """

    name: str
    title: str
    content: bytes


def find_browser() -> str:
    """Return the path of Chromium, from the variable CHROMIUM or the PATH.

    Raises:
        PrintError: there is none.
    """
    path = os.environ.get("CHROMIUM") or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise PrintError(
            "no Chromium was found: install it (Debian, Ubuntu: sudo apt install chromium; "
            "others: Chromium or Chrome), or give its path in the variable CHROMIUM"
        )
    return path


def print_pages(html: Path, names: list[str]) -> Iterator[Chapter]:
    """Print built pages one after the other.

    Args:
        html: folder of the built book.
        names: from :func:`pages_in_order`.

    Raises:
        PrintError: a page is not built, or there is no Chromium.
    """
    missing = [name for name in names if not (html / f"{name}.html").exists()]
    if missing:
        raise PrintError(f"{html} has no page {missing[0]}.html: build the book first with `make book`")
    browser_path = find_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        # Light, whatever the reader chose on the page: ink on paper.
        page = browser.new_context(viewport={"width": 1000, "height": 1400}, color_scheme="light").new_page()
        page.add_init_script(
            "try { localStorage.setItem('mode', 'light'); localStorage.setItem('theme', 'light') } catch {}"
        )
        page.set_default_timeout(120_000)
        for name in names:
            page.goto((html / f"{name}.html").resolve().as_uri(), wait_until="load")
            page.emulate_media(media="print", color_scheme="light")
            page.evaluate(READY)
            title = page.locator("h1").first.evaluate("node => node.firstChild.textContent.trim()")
            content = page.pdf(
                format="A4", prefer_css_page_size=True, print_background=True, tagged=True, outline=True,
                display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
            )  # fmt: skip
            yield Chapter(name, title, content)
        browser.close()


def neighbour(uri: str, html: Path) -> str | None:
    """Return which page of the book an address on this disk names, as in ``Chapter.name``; None for any other address.

    Args:
        uri: address of a link.
        html: folder of the built book.
    """
    parts = urlparse(uri)
    if parts.scheme != "file":
        return None
    try:
        place = Path(unquote(parts.path)).relative_to(html.resolve())
    except ValueError:
        return None
    return place.with_suffix("").as_posix() if place.suffix == ".html" else None


def links(writer: PdfWriter) -> Iterator[tuple[ArrayObject, DictionaryObject]]:
    """Yield (the list that holds it, the link) for each link of a document that leads to an address."""
    for page in writer.pages:
        notes = page.get("/Annots")
        for note in list(notes.get_object()) if notes is not None else []:
            action = note.get_object().get("/A")
            if action is not None and action.get_object().get("/S") == "/URI":
                yield notes.get_object(), note.get_object()


def drop(notes: ArrayObject, link: DictionaryObject) -> None:
    """Take a link out of its page; its text stays."""
    notes[:] = [note for note in notes if note.get_object() is not link]


def file_name(name: str) -> str:
    """Return the name of the PDF of one page: ``book/intro`` becomes ``book-intro.pdf``."""
    return name.replace("/", "-") + ".pdf"


def single(chapter: Chapter, html: Path) -> bytes:
    """Return a page's PDF with links to the other PDFs beside it instead of to pages on this disk."""
    writer = PdfWriter(clone_from=BytesIO(chapter.content))
    for notes, link in links(writer):
        uri = str(link["/A"].get_object()["/URI"])
        if name := neighbour(uri, html):
            link["/A"].get_object()[NameObject("/URI")] = TextStringObject(file_name(name))
        elif uri.startswith("file:"):
            drop(notes, link)
    return content_of(writer)


def pinned(chapter: Chapter) -> bytes:
    """Return a page's PDF whose links within the page name sheet and height instead of a heading's name.

    Names such as ``summary`` exist in every chapter and would meet in the joined book.
    """
    reader = PdfReader(BytesIO(chapter.content))
    places = reader.named_destinations
    writer = PdfWriter(clone_from=reader)
    for page in writer.pages:
        notes = page.get("/Annots")
        for note in list(notes.get_object()) if notes is not None else []:
            link = note.get_object()
            place = places.get(str(link["/Dest"])) if "/Dest" in link and not isinstance(link["/Dest"], list) else None
            if place is not None:
                sheet = writer.pages[reader.get_destination_page_number(place)]
                top = place.top if place.top is not None else NullObject()
                link[NameObject("/Dest")] = ArrayObject(
                    [sheet.indirect_reference, NameObject("/XYZ"), NullObject(), top, NullObject()]
                )
    for name in ("/Dests", "/Names"):
        if name in writer.root_object:
            del writer.root_object[name]
    return content_of(writer)


def joined(chapters: list[Chapter], html: Path, title: str, author: str) -> bytes:
    """Return all chapters as one PDF with an outline; links between chapters lead inside it.

    Args:
        chapters: in the order of the book.
        html: folder of the built book.
        title: of the document.
        author: of the document.
    """
    writer = PdfWriter()
    first: dict[str, int] = {}
    for chapter in chapters:
        first[chapter.name] = len(writer.pages)
        writer.append(BytesIO(pinned(chapter)), outline_item=chapter.title, import_outline=False)
    for notes, link in links(writer):
        uri = str(link["/A"].get_object()["/URI"])
        name = neighbour(uri, html)
        if name in first:
            sheet = writer.pages[first[name]]
            del link["/A"]
            link[NameObject("/Dest")] = ArrayObject([sheet.indirect_reference, NameObject("/Fit")])
        elif uri.startswith("file:"):
            drop(notes, link)
    writer.add_metadata({"/Title": title, "/Author": author})
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    writer.page_mode = "/UseOutlines"
    writer.compress_identical_objects()
    return content_of(writer)


def content_of(writer: PdfWriter) -> bytes:
    stream = BytesIO()
    writer.write(stream)
    return stream.getvalue()


def print_book(root: Path, html: Path, to: Path) -> Path:
    """Print the whole book and return the path of the joined PDF.

    Args:
        root: folder with ``_config.yml`` and ``_toc.yml``.
        html: folder of the built book.
        to: folder to write into; the single PDFs go into its folder ``pdf``.

    Raises:
        PrintError: the book is not built, or there is no Chromium.
    """
    names = pages_in_order(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    chapters = []
    for chapter in print_pages(html, names):
        chapters.append(chapter)
        write_atomic(to / "pdf" / file_name(chapter.name), single(chapter, html))
        print(f"{chapter.name}: {len(PdfReader(BytesIO(chapter.content)).pages)} sheets", flush=True)
    return write_atomic(to / BOOK, joined(chapters, html, config["title"], config["author"]))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="folder of the built book")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="folder to write into")
    given = parser.parse_args(arguments)
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of a count in Chromium's files that nobody reads
    try:
        print(f"The book: {print_book(ROOT, given.html, given.to)}")
    except PrintError as error:
        print(f"The book was not printed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
