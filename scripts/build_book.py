"""Build the book: execute every notebook, then hold the result to what a reader relies on.

    python scripts/build_book.py [--root FOLDER]

The build fails, with exit code 1, where a cell raises, a reference leads nowhere, any other warning appears, a cell was
not executed, or a page asks an outside host for a script, style, font or image. The scripts that move the widgets come
from the npm registry (``vendor.py``). Where they cannot be fetched the book is built all the same, its widgets are
static figures, and the last lines say so.

Every build executes every notebook and makes every page anew. Jupyter Book's cache is keyed on code cells only: it
knows nothing of a changed package, record or library, and would show the outputs of yesterday. Here it is emptied first
and serves to hand over what ``execute_notebooks.py`` has executed, and as the note of how long each notebook took.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from build_log import run_reduced
from execute_notebooks import EXECUTED, notebooks_in_toc
from jupyter_cache import get_cache
from polish import polish
from vendor import FOLDER, FetchError
from widget_page import SCRIPTS, place_scripts

from dmws_lite._system import wait_politely
from dmws_lite.classroom.widgets.base import STATIC_PAGE

ROOT = Path(__file__).resolve().parents[1]
MATHJAX = "tex-svg-full.js"  # MathJax 3.2.2 with all TeX extensions, glyphs inside: one file, no fonts
MATHJAX_SHA256 = "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6"
# Elements whose address the browser fetches by itself when it shows a page.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
STYLE_URL = re.compile(r"""(?:url\(|@import\s+)\s*["']?((?:https?:)?//[^"')\s]+)""")


class BookError(RuntimeError):
    """The book was not built, or is not what it should be."""


def start_afresh(build: Path) -> None:
    """Remove what an earlier build left, its executed notebooks included."""
    for name in (".jupyter_cache", "html", ".doctrees", "jupyter_execute", EXECUTED):
        shutil.rmtree(build / name, ignore_errors=True)
    build.mkdir(exist_ok=True)


def place_mathjax(html: Path) -> None:
    """Copy MathJax beside the pages, so that formulas need no network.

    Raises:
        BookError: the installed file is not the one that this project was tested with.
    """
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise BookError("sphinx-mathjax-offline is not installed; `make book` installs it from requirements.txt")
    source = Path(spec.origin).parent / "static" / "mathjax" / MATHJAX
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != MATHJAX_SHA256:
        raise BookError(f"{MATHJAX} of sphinx-mathjax-offline is not MathJax 3.2.2 as published; reinstall 0.0.2")
    target = html / "_static" / "mathjax" / MATHJAX
    target.parent.mkdir(parents=True)
    target.write_bytes(content)


def place_widget_scripts(html: Path, cache: Path) -> str:
    """Put the scripts that move the widgets beside the pages; return what is missing, or nothing."""
    folder = html / "vendor"
    try:
        place_scripts(folder, cache)
    except FetchError as error:
        # Empty files instead of dead links: the pages then show the static figures.
        folder.mkdir(parents=True, exist_ok=True)
        for name in SCRIPTS:
            (folder / name).write_text("// not fetched when this book was built\n", encoding="utf-8")
        return str(error)
    return ""


def environment_of_the_build(root: Path) -> dict[str, str]:
    """Return the environment variables of Jupyter Book and of the kernels that it starts."""
    wait_politely()
    environment = dict(os.environ)
    # Figures go onto the page, whatever display the user's shell chose.
    environment.pop("MPLBACKEND", None)
    # The same book with and without a network: pages use only what is installed or in data/.
    environment.setdefault("HF_HUB_OFFLINE", "1")
    # Widgets whose logic needs a kernel show a figure instead; the others add the figure for readers without scripts.
    environment[STATIC_PAGE] = "1"
    # What only pages need lies beside them, and what the build adds to Sphinx beside this file; not in the package.
    places = [str(root / "book"), str(Path(__file__).resolve().parent), os.environ.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    return environment


def place_outputs(build: Path) -> None:
    """Put executed notebooks where MyST-NB has left copies without outputs, as it does with those from the cache."""
    for path in (build / EXECUTED).rglob("*.ipynb"):
        copy = build / "jupyter_execute" / path.relative_to(build / EXECUTED)
        if copy.exists():
            shutil.copy(path, copy)


def place_exercises(root: Path, html: Path) -> None:
    """Copy the student notebooks beside the pages of the notebooks, which link to them."""
    for path in sorted((root / "notebooks" / "exercises").glob("*.ipynb")):
        target = html / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def run_jupyter_book(root: Path) -> int:
    """Run Jupyter Book with every warning as an error and return its exit code."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", ".", "-W", "-n", "--keep-going"]
    return run_reduced(command, root, environment_of_the_build(root))


def execute_side_by_side(root: Path) -> None:
    """Execute the notebooks several at a time; Jupyter Book then finds their outputs in its cache."""
    print(f"Executing {len(notebooks_in_toc(root))} notebooks; each gets a line with its time:", flush=True)
    command = [sys.executable, str(Path(__file__).with_name("execute_notebooks.py")), str(root)]
    run_reduced(command, root, environment_of_the_build(root))


def unexecuted_cells(path: Path) -> list[int]:
    """Return the numbers (from 1) of the code cells of an executed notebook that did not run or ended in an error."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        number
        for number, cell in enumerate(cells, 1)
        if cell.cell_type == "code" and cell.source.strip() and (cell.execution_count is None or failed(cell))
    ]


def failed(cell: nbformat.NotebookNode) -> bool:
    """Tell whether a cell shows an error that it was not tagged to raise."""
    expected = "raises-exception" in cell.metadata.get("tags", [])
    return not expected and any(output.output_type == "error" for output in cell.outputs)


def crowded_figures(path: Path) -> list[int]:
    """Return the numbers of the cells whose metadata name a figure, but which show none or more than one thing.

    MyST-NB puts the caption under each output, the text ``[<Line2D>]`` of an unfinished line among them.
    """
    cells = nbformat.read(path, as_version=4).cells
    return [
        number
        for number, cell in enumerate(cells, 1)
        if cell.cell_type == "code"
        and "figure" in cell.metadata.get("mystnb", {})
        and sum(output.output_type != "stream" for output in cell.outputs) != 1
    ]


def check_executed(root: Path, build: Path) -> list[str]:
    """Return one line per notebook whose executed copy in the book has a fault."""
    found = []
    for name in notebooks_in_toc(root):
        executed = build / "jupyter_execute" / f"{name}.ipynb"
        if not executed.exists():
            found.append(f"{name}.ipynb: was not executed")
        elif numbers := unexecuted_cells(executed):
            found.append(f"{name}.ipynb: these cells did not run: {', '.join(map(str, numbers))}")
        elif numbers := crowded_figures(executed):
            where = ", ".join(map(str, numbers))
            found.append(f"{name}.ipynb: cells with a caption must show exactly one figure and nothing else: {where}")
    return found


class Fetches(HTMLParser):
    """Collects the outside addresses that a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        address = values.get(FETCHED.get(tag, ""), None) or ""
        names_only = tag == "link" and values.get("rel") in {"canonical", "license", "author", "next", "prev"}
        if re.match(r"(https?:)?//", address) and not names_only:
            self.outside.add(address)
        self.outside.update(STYLE_URL.findall(values.get("style") or ""))


def outside_requests(html: Path) -> dict[str, list[str]]:
    """Return for each page or style sheet that fetches something from another host what it fetches."""
    found = {}
    for path in sorted(html.rglob("*.html")):
        parser = Fetches()
        text = path.read_text(encoding="utf-8")
        parser.feed(text)
        for style in re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL):
            parser.outside.update(STYLE_URL.findall(style))
        if parser.outside:
            found[str(path.relative_to(html))] = sorted(parser.outside)
    for path in sorted(html.rglob("*.css")):
        if addresses := STYLE_URL.findall(path.read_text(encoding="utf-8")):
            found[str(path.relative_to(html))] = sorted(set(addresses))
    return found


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, to see that the build wrote nothing there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    }


def execution_times(root: Path, build: Path) -> dict[str, float]:
    """Return for each notebook of the book the seconds that its execution took, in this build."""
    seconds = {}
    for record in get_cache(build / ".jupyter_cache").list_cache_records():
        seconds[Path(record.uri).stem] = (record.created, record.data.get("execution_seconds", float("nan")))
    return {name: seconds[Path(name).name][1] for name in notebooks_in_toc(root) if Path(name).name in seconds}


def build_book(root: Path, cache: Path = FOLDER) -> tuple[Path, str]:
    """Build the book of ``root``; return its first page and what is missing of the widget scripts (mostly nothing).

    Args:
        root: folder with ``_config.yml`` and ``_toc.yml``.
        cache: folder of fetched scripts.

    Raises:
        BookError: the book has at least one fault; each was printed.
    """
    build = root / "_build"
    html = build / "html"
    start_afresh(build)
    place_mathjax(html)
    missing = place_widget_scripts(html, cache)
    before = digests(root / "notebooks")
    execute_side_by_side(root)
    code = run_jupyter_book(root)
    if not (html / "index.html").exists():
        raise BookError(
            f"Jupyter Book stopped with code {code}; the first error is above, other pages were not reached"
        )
    place_outputs(build)
    place_exercises(root, html)
    polish(html)
    faults = check_executed(root, build)
    if code:
        faults.insert(0, f"Jupyter Book ended with code {code}; its warnings and errors are above")
    if digests(root / "notebooks") != before:
        faults.append("a notebook wrote into notebooks/; it should write to a temporary folder")
    for page, addresses in outside_requests(html).items():
        faults.append(f"{page} fetches from outside: {', '.join(addresses)}")
    if faults:
        raise BookError("\n".join(faults))
    return html / "index.html", missing


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with _config.yml and _toc.yml")
    parser.add_argument(
        "--scripts", type=Path, default=FOLDER, help="folder of fetched scripts (default: .cache/vendor)"
    )
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    try:
        index, missing = build_book(root, given.scripts.resolve())
    except BookError as error:
        print(f"\nThe book was not built:\n{error}", file=sys.stderr)
        return 1
    print("\nSeconds per notebook:")
    for name, seconds in execution_times(root, root / "_build").items():
        print(f"  {seconds:6.1f}  {name}.ipynb")
    print(f"\nThe book: {index}")
    if missing:
        print(f"Its widgets do not move, static figures stand in their place: {missing}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
