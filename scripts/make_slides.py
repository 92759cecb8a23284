"""Make the slides of the four sessions, and of the same material in eight shorter ones, from the built book.

    python scripts/make_slides.py [--root FOLDER] [--to FOLDER] [--no-pdf]

``data/teaching/sessions.yml`` says which cells of the notebooks are shown; the speaker notes are the plan, the
questions and the answers of ``book/instructors_guide.md``. Needs the built book (``make book``), whose figures are
shown, and once the npm registry for reveal.js (``vendor.py``). The folder holds everything: the slides ask no host for
anything, from disk or from a server. Keys: ``S`` opens the speaker's window, ``?`` lists all. With Chromium, each
session is printed twice, alone and with its notes.
"""

from __future__ import annotations

import argparse
import base64
import html
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from nbformat import NotebookNode
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from build_book import BookError, outside_requests, place_mathjax  # noqa: E402
from make_pdf import FLAGS, PrintError, find_browser  # noqa: E402
from teaching import GUIDE, Notebooks, Session, inline_html, read_guide, to_html  # noqa: E402
from vendor import FOLDER, SLIDES, FetchError, fetch  # noqa: E402

PLAN = Path("data", "teaching", "sessions.yml")
WIDTH, HEIGHT = 1280, 720  # of a slide, in CSS pixels; the browser scales it to the screen
KINDS = ("", "code", "math", "list")
BESIDE_PICTURE = 4  # printed lines
WIDE = 1.9  # a picture that is wider than high by this factor stands below the points, others beside them
FIGURE = re.compile(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]+)"')
CODE = HtmlFormatter(style="a11y-high-contrast-light", noclasses=True, nowrap=True)
STYLE = Path(__file__).with_name("slides.css")
PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="reveal/reset.css"><link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="slides.css"></head>
<body><div class="reveal"><div class="slides">
{slides}
</div></div>
<script src="reveal/reveal.js"></script><script src="reveal/notes.js"></script>
<script>
// Formulas first, since they change how much room a slide takes. ?print-pdf prints, &with-notes adds the notes.
window.MathJax = {{
  options: {{ enableMenu: false }}, svg: {{ fontCache: "none" }},
  startup: {{ pageReady: () => MathJax.startup.defaultPageReady().then(() => Reveal.initialize({{
    width: {width}, height: {height}, margin: 0.03, minScale: 0.1, center: false, hash: true, slideNumber: "c/t",
    transition: "none", pdfSeparateFragments: false, plugins: [RevealNotes],
    showNotes: new URLSearchParams(location.search).has("with-notes") ? "separate-page" : false,
  }})) }},
}};
</script>
<script src="_static/mathjax/tex-svg-full.js"></script>
</body></html>
"""
INDEX = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Slides</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="slides.css"></head>
<body class="index"><main><h1>Slides</h1>
<p>Arrow keys move, <kbd>S</kbd> opens the speaker's window with the notes, <kbd>?</kbd> lists all keys.</p>
{lists}
</main></body></html>
"""


class SlidesError(RuntimeError):
    """The slides cannot be made; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Deck:
    """One file of slides.

    Attributes:
        name: of the file, without suffix.
        title: as listed.
        slides: entries of the plan.
        session: of the guide.
        first, last: whether it opens and closes its session.
    """

    name: str
    title: str
    slides: list[dict]
    session: Session
    first: bool = True
    last: bool = True


@dataclass
class Media:
    """Writes pictures beside the slides, each once."""

    folder: Path
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> str:
        """Write a picture and return its address."""
        address = f"media/{name}"
        path = self.folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if path.suffix == ".png":
            with Image.open(path) as picture:
                self.sizes[address] = picture.size
        return address


def read_plan(root: Path) -> list[dict]:
    """Return the sessions of the plan, in order."""
    return yaml.safe_load((root / PLAN).read_text(encoding="utf-8"))["sessions"]


def answer_to(session: Session, beginning: str) -> tuple[str, str]:
    """Return a question of the guide and its answer.

    Raises:
        SlidesError: no question, or more than one, begins like this.
    """
    found = [entry for entry in session.questions.items() if entry[0].startswith(beginning)]
    if len(found) != 1:
        raise SlidesError(
            f"{len(found)} questions of session {session.number} in {GUIDE} begin with {beginning!r}; name one"
        )
    return found[0]


def check_plan(plan: list[dict], sessions: list[Session], notebooks: Notebooks, root: Path) -> list[str]:
    """Return one line for each thing in the plan that does not fit the guide or the notebooks.

    Args:
        plan: from :func:`read_plan`.
        sessions: of the guide.
        notebooks: as they are in the repository.
        root: of the repository, where pictures are looked for.
    """
    if len(plan) != len(sessions):
        return [f"{PLAN} has {len(plan)} sessions, {GUIDE} has {len(sessions)}"]
    faults = []
    for planned, session in zip(plan, sessions):
        where = f"session {session.number}"
        rows = [slide["row"] for slide in planned["slides"]]
        if list(dict.fromkeys(rows)) != list(session.rows):
            faults.append(f"{where}: its rows are {list(dict.fromkeys(rows))}, the guide's {list(session.rows)}")
        if planned["cut"] not in list(session.rows)[1:]:
            faults.append(f"{where}: cut is {planned['cut']!r}, not a later row of the guide")
        for slide in planned["slides"]:
            if ("ask" in slide) == ("title" in slide):
                faults.append(f"{where}, {slide}: it needs a title, or a question instead")
            try:
                if "ask" in slide:
                    answer_to(session, slide["ask"])
                for entry in slide.get("show", []):
                    reference, _, kind = entry.partition(" ")
                    if kind not in KINDS:
                        faults.append(f"{where}, {entry}: {kind!r} is unknown; one of {', '.join(KINDS[1:])}")
                    elif "#" in reference:
                        notebooks.cell(reference)
                    elif not (root / reference).is_file():
                        faults.append(f"{where}, {entry}: there is no such file")
            except (LookupError, SlidesError) as error:
                faults.append(f"{where}: {error}")
        asked = [slide["ask"] for slide in planned["slides"] if "ask" in slide]
        for question in session.questions:
            if not any(question.startswith(beginning) for beginning in asked):
                faults.append(f"{where}: no slide asks {question!r}")
    return faults


def decks(plan: list[dict], sessions: list[Session]) -> tuple[list[Deck], list[Deck]]:
    """Return the whole sessions, and the same slides cut into two shorter ones each."""
    whole, short = [], []
    for planned, session in zip(plan, sessions):
        slides = planned["slides"]
        cut = next(n for n, slide in enumerate(slides) if slide["row"] == planned["cut"])
        whole.append(Deck(f"session-{session.number}", f"{session.number} · {session.title}", slides, session))
        for half, part in enumerate((slides[:cut], slides[cut:])):
            number = 2 * session.number - 1 + half
            title = f"{number} · {session.title}, part {half + 1}"
            short.append(Deck(f"short-{number}", title, part, session, first=half == 0, last=half == 1))
    return whole, short


def outputs_html(cell: NotebookNode, name: str, media: Media) -> list[str]:
    """Return what a cell put out as HTML: its pictures with their text alternatives, tables, printed text.

    A widget is shown by the figure that stands in for it.
    """
    shown = []
    has_picture = any("image/png" in output.get("data", {}) for output in cell.outputs)
    merged = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")
    # Beside a picture only a few lines have room; more of them mostly spell the picture out.
    if merged.strip() and not (has_picture and merged.strip().count("\n") >= BESIDE_PICTURE):
        shown.append(printed(merged))
    for number, output in enumerate(cell.outputs):
        data = output.get("data", {})
        if "image/png" in data:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            address = media.add(f"{name}-{number}.png", base64.b64decode(data["image/png"]))
            shown.append(picture(address, alt))
        elif stand_in := FIGURE.search(data.get("text/html", "")):
            address = media.add(f"{name}-{number}.png", base64.b64decode(stand_in[2]))
            shown.append(picture(address, html.unescape(stand_in[1])))
        elif "<table" in data.get("text/html", ""):
            shown.append(f'<div class="table">{data["text/html"]}</div>')
        elif "text/plain" in data and not any(kind.startswith("application/") for kind in data):
            shown.append(printed(data["text/plain"]))
    return shown


def printed(text: str) -> str:
    """Return printed lines as HTML, in letters small enough for the longest of them and for their number."""
    lines = text.rstrip("\n").split("\n")
    return f'<pre style="font-size: {letters(lines)}px">{html.escape(chr(10).join(lines))}</pre>'


def letters(lines: list[str], height: int = 480) -> int:
    """Return the height of letters, in pixels, with which lines fit a slide."""
    return int(max(9, min(24, 1.6 * (WIDTH - 140) / max(map(len, lines)), height / (1.35 * len(lines)))))


def picture(address: str, alt: str) -> str:
    return f'<img src="{html.escape(address)}" alt="{html.escape(alt)}">'


def shown_html(entry: str, notebooks: Notebooks, media: Media, root: Path) -> list[str]:
    """Return what an entry under ``show`` puts onto a slide.

    Raises:
        SlidesError: the cell has nothing of the kind that is asked for.
    """
    reference, _, kind = entry.partition(" ")
    if "#" not in reference:
        path = root / reference
        return [picture(media.add(path.name, path.read_bytes()), figure_alt(root, path))]
    cell = notebooks.cell(reference)
    if kind == "code":
        code = highlight(cell.source, PythonLexer(), CODE).rstrip()
        found = [f'<pre class="code" style="font-size: {letters(cell.source.split(chr(10)))}px">{code}</pre>']
    elif kind == "math":
        found = [to_html(formula) for formula in re.findall(r"^\$\$.+?\$\$", cell.source, re.DOTALL | re.MULTILINE)]
    elif kind == "list":
        found = [to_html(text) for text in re.findall(r"(?:^- .+\n?(?:^ +\S.*\n?)*)+", cell.source, re.MULTILINE)][:1]
    else:
        found = outputs_html(cell, reference.replace("#", "-"), media)
    if not found:
        raise SlidesError(f"{entry}: the cell has nothing to show; does it still put out what {PLAN} expects?")
    return found


def figure_alt(root: Path, path: Path) -> str:
    """Return the text alternative that a page of the book gives to a picture of ``book/figures``.

    Raises:
        SlidesError: no page shows it.
    """
    for page in sorted((root / "book").glob("*.md")):
        found = re.search(
            rf"\{{figure\}} \S*{re.escape(path.name)}\n(?::.*\n)*?:alt: (.+)", page.read_text(encoding="utf-8")
        )
        if found:
            return found[1]
    raise SlidesError(f"{path.name}: no page of {root / 'book'} shows it with a text alternative")


def slide_html(slide: dict, session: Session, notebooks: Notebooks, media: Media, root: Path, again: bool) -> str:
    """Return one slide with its notes.

    Args:
        slide: entry of the plan.
        session: of the guide.
        notebooks: executed.
        media: where pictures go.
        root: of the repository.
        again: whether the slide before belongs to the same row.
    """
    what, how = session.rows[slide["row"]]
    notes = [f"<p><strong>{slide['row']} min</strong>{' (continued)' if again else ''} · {inline_html(what)}</p>"]
    notes.append(f"<p><em>{inline_html(how)}</em></p>")
    if "ask" in slide:
        question, answer = answer_to(session, slide["ask"])
        notes.append(f"<p><strong>Answer.</strong></p>{to_html(answer)}")
        body, kind = f"<h2>{inline_html(question)}</h2>", "question"
    else:
        shown = [part for entry in slide.get("show", []) for part in shown_html(entry, notebooks, media, root)]
        points = "".join(f"<li>{inline_html(point)}</li>" for point in slide.get("points", []))
        listed = f'<ul class="points">{points}</ul>' if points else ""
        body = f'<h2>{inline_html(slide["title"])}</h2>{listed}<div class="shown">{"".join(shown)}</div>'
        sizes = [media.sizes[a] for a in re.findall(r'<img src="([^"]+)"', "".join(shown)) if a in media.sizes]
        beside = points and len(shown) == 1 and sizes and sizes[0][0] / sizes[0][1] < WIDE
        kind = "beside" if beside else ""
    return section(body, "".join(notes), kind)


def section(body: str, notes: str, kind: str = "") -> str:
    """Return a slide; the inner element is laid out, since reveal.js itself sets how the outer one is displayed."""
    return f'<section><div class="slide {kind}">{body}</div><aside class="notes">{notes}</aside></section>'


def deck_html(deck: Deck, notebooks: Notebooks, media: Media, root: Path) -> str:
    """Return the page of a deck: a title with the goals, the slides of the plan, the homework."""
    session = deck.session
    goals = f'<p class="goals">{inline_html(session.goals)}</p>' if deck.first else ""
    notes = f"<p><strong>Goals.</strong> {inline_html(session.goals)}</p>"
    slides = [section(f"<h1>{html.escape(deck.title)}</h1>{goals}", notes, "title")]
    row = ""
    for slide in deck.slides:
        slides.append(slide_html(slide, session, notebooks, media, root, again=slide["row"] == row))
        row = slide["row"]
    if deck.last:
        slides.append(section(f"<h2>Homework</h2><p>{inline_html(session.homework)}</p>", ""))
    return PAGE.format(title=html.escape(deck.title), slides="\n".join(slides), width=WIDTH, height=HEIGHT)


def changed_cells(plan: list[dict], stored: Notebooks, executed: Notebooks) -> list[str]:
    """Return the references of the plan whose cell is another one in the book than in the repository."""
    references = [e.partition(" ")[0] for each in plan for slide in each["slides"] for e in slide.get("show", [])]
    changed = []
    for reference in dict.fromkeys(r for r in references if "#" in r):
        try:
            same = executed.cell(reference).source == stored.cell(reference).source
        except LookupError:
            same = False
        if not same:
            changed.append(reference)
    return changed


def make_slides(root: Path, to: Path, cache: Path = FOLDER) -> list[Deck]:
    """Make all slides in a folder, which is emptied first, and return the decks.

    Args:
        root: of the repository, with the built book in ``_build``.
        to: folder to write.
        cache: folder of fetched scripts.

    Raises:
        SlidesError: something is missing or does not fit; the message says what to do.
    """
    plan, sessions = read_plan(root), read_guide((root / GUIDE).read_text(encoding="utf-8"))
    stored, executed = (Notebooks(root / part / "notebooks") for part in (".", "_build/jupyter_execute"))
    if faults := check_plan(plan, sessions, stored, root):
        raise SlidesError("\n".join(faults))
    if not executed.folder.is_dir():
        raise SlidesError("the slides show the outputs of the built book, and there is none: run `make book` first")
    if changed := changed_cells(plan, stored, executed):
        raise SlidesError(
            f"these cells have changed since the book was built: {', '.join(changed)}; run `make book` again"
        )
    try:
        scripts = [(script, fetch(script, cache)) for script in SLIDES]
    except FetchError as error:
        raise SlidesError(str(error)) from error
    shutil.rmtree(to, ignore_errors=True)
    (to / "reveal").mkdir(parents=True)
    for script, path in scripts:
        shutil.copy(path, to / script.name)
    place_mathjax(to)
    shutil.copy(STYLE, to / "slides.css")
    media = Media(to)
    whole, short = decks(plan, sessions)
    for deck in whole + short:
        (to / f"{deck.name}.html").write_text(deck_html(deck, executed, media, root), encoding="utf-8")
    lists = "".join(
        f"<h2>{title}</h2><ul>" + "".join(f'<li><a href="{d.name}.html">{html.escape(d.title)}</a></li>' for d in part)
        + "</ul>"
        for title, part in (("Four sessions of 90 minutes", whole), ("Eight shorter sessions", short))
    )  # fmt: skip
    (to / "index.html").write_text(INDEX.format(lists=lists), encoding="utf-8")
    if outside := outside_requests(to):
        raise SlidesError(f"slides fetch from outside: {outside}")
    return whole + short


def print_slides(to: Path, names: list[str]) -> list[Path]:
    """Print decks into PDFs beside them, each alone and with its notes, and return the paths.

    Args:
        to: folder of the slides.
        names: of the decks.

    Raises:
        PrintError: there is no Chromium.
    """
    browser_path = find_browser()
    from playwright.sync_api import sync_playwright

    made = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light").new_page()
        page.set_default_timeout(120_000)
        for name in names:
            for query, suffix in (("?print-pdf", ""), ("?print-pdf&with-notes", "-notes")):
                page.goto((to / f"{name}.html").resolve().as_uri() + query, wait_until="load")
                page.wait_for_function("window.Reveal && Reveal.isReady() && document.querySelector('.pdf-page')")
                made.append(to / f"{name}{suffix}.pdf")
                page.pdf(path=str(made[-1]), prefer_css_page_size=True, print_background=True, tagged=True)
        browser.close()
    return made


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository, with the built book in _build")
    parser.add_argument("--to", type=Path, help="folder to write (default: dist/slides)")
    parser.add_argument("--no-pdf", action="store_true", help="do not print the slides")
    given = parser.parse_args(arguments)
    to = given.to or given.root / "dist" / "slides"
    try:
        made = make_slides(given.root.resolve(), to)
    except (SlidesError, BookError) as error:
        print(f"The slides were not made:\n{error}", file=sys.stderr)
        return 1
    print(f"The slides: {to / 'index.html'}")
    if not given.no_pdf:
        try:
            pdfs = print_slides(to, [deck.name for deck in made if deck.name.startswith("session")])
        except PrintError as error:
            print(f"They were not printed: {error}", file=sys.stderr)
        else:
            print("Printed: " + ", ".join(path.name for path in pdfs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
