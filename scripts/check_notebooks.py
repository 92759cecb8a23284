"""Check that every notebook keeps the rules of this collection; print one line per problem, exit 1 if there is any.

    python scripts/check_notebooks.py [NOTEBOOK ...]

The rules: no outputs in git; one `parameters` cell with PROFILE = "fast", one `setup` cell before any use of the
package; code cells of at most 25 lines, without bare except and without absolute paths; a title, and the sections a
reader finds in every notebook; a text alternative for each figure, in the cell's metadata:

    "mystnb": {"image": {"alt": "what a reader who cannot see the figure needs to know"}}

Code that a reader sees fits the column of the page, and enough text stands beside it: cells that only set up or draw
are tagged ``hide-input``, which folds them. Each exercise offers two hints before its solution, the first general, the
second nearly the solution; in the exercise's text, behind the stub (make_exercises.py reads them there):

    <details class="hint"><summary>Hint 1</summary>

    What to look at.

    </details>
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from make_exercises import HINT  # noqa: E402
from stamp_times import NOT_SHOWN, read_cells  # noqa: E402

MAX_LINES = 25
MAX_COLUMNS = 79  # 80 fit beside the sidebars of a page that is 1280 pixels wide
MIN_WORDS = 9  # of text beside each line of code that is shown, on average; QuantEcon's lectures have 10.7
SECTIONS = {
    "what the reader will learn": r"learn|objectives",
    "summary": r"summary",
    "exercises": r"exercises?",
    "references": r"references",
}
# Tags that let a broken cell pass unseen.
FORBIDDEN_TAGS = {"skip-execution", "nbval-skip", "nbval-ignore-output"}
# Calls on `plt` or `figures` that draw nothing.
SILENT = {"close", "ion", "ioff", "rc", "switch_backend", "method_style"}
ABSOLUTE_PATH = re.compile(
    r"""(?<![\w./:-])/(?:home|Users|root|tmp|work|mnt|media|content|usr|var|opt|srv)/|\b[A-Z]:\\"""
)
OUTSIDE_IMAGE = re.compile(r"!\[[^\]]*\]\(\s*https?:|<img[^>]+src=[\"']?https?:", re.IGNORECASE)
IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(")


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def draws(tree: ast.AST) -> bool:
    """Tell whether the code calls a function of `figures` or `plt` that makes a figure."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"figures", "plt"}
        and node.func.attr not in SILENT
        for node in ast.walk(tree)
    )


def catches_everything(node: ast.AST) -> bool:
    """Tell whether the node is `except:`, `except Exception` or `except BaseException`."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or getattr(kind, "id", "") in {"Exception", "BaseException"} for kind in kinds)


def code_problems(cell: nbformat.NotebookNode) -> Iterator[str]:
    """Yield the problems of one code cell."""
    if cell.outputs or cell.execution_count is not None:
        yield "has outputs or an execution count; run `nbstripout --keep-id` on the file"
    lines = len(cell.source.split("\n"))
    if lines > MAX_LINES:
        yield f"has {lines} lines, more than {MAX_LINES}; split it or move code into the package"
    if not cell.source.strip():
        yield "is empty; remove it"
    for tag in sorted(FORBIDDEN_TAGS & set(tags(cell))):
        yield f"is tagged {tag!r}; every cell of the book runs and is tested"
    try:
        tree = ast.parse(TransformerManager().transform_cell(cell.source))
    except SyntaxError as error:
        yield f"is not valid Python: {error.msg} (line {error.lineno})"
        return
    if any(catches_everything(node) for node in ast.walk(tree)):
        yield "catches every error; name the error that it expects"
    if draws(tree) and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip():
        yield "draws a figure without a text alternative; set the cell's metadata mystnb.image.alt"


def reading_problems(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Yield what makes a notebook hard to read on its page: wide code, little text beside it, missing hints."""
    for number, cell in enumerate(notebook.cells, 1):
        lines = cell.source.split("\n")
        if cell.cell_type == "code" and not NOT_SHOWN & set(tags(cell)):
            wide = max(map(len, lines))
            if wide > MAX_COLUMNS:
                yield f"cell {number} has a line of {wide} characters, more than the {MAX_COLUMNS} that fit the page"
        if "exercise" in tags(cell):
            found = [(name, len(text.split())) for name, text in HINT.findall(cell.source)]
            if [name for name, _ in found] != ["1", "2"] or not all(words for _, words in found):
                yield f"cell {number} is an exercise with {len(found)} hints; it needs two, Hint 1 and Hint 2"
    words, lines = read_cells(notebook)
    if words < MIN_WORDS * lines:
        yield (
            f"has {words / lines:.1f} words beside each of its {lines} lines of shown code, fewer than {MIN_WORDS}; "
            "tag cells that only set up or draw with 'hide-input', or move code into the package"
        )


def markdown_problems(cell: nbformat.NotebookNode) -> Iterator[str]:
    """Yield the problems of one Markdown cell."""
    if OUTSIDE_IMAGE.search(cell.source):
        yield "shows an image from the web; the book makes no outside request"
    if IMAGE_WITHOUT_ALT.search(cell.source):
        yield "shows an image without a text alternative"


def headings(notebook: nbformat.NotebookNode) -> list[tuple[int, str]]:
    """Return (level, text) of the Markdown headings outside code fences, in order; a line all in bold has level 7."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"^(```+|~~~+).*?^\1", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            found += [(len(marks), title) for marks, title in re.findall(r"^(#{1,6}) +(.+)$", text, re.MULTILINE)]
            found += [(7, title) for title in re.findall(r"^\*\*([^*]+)\*\*$", text, re.MULTILINE)]
    return found


def anatomy_problems(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Yield what the notebook as a whole lacks."""
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        yield "is older than notebook format 4.5, so its cells have no ids; save it with a current JupyterLab"
    cells = notebook.cells
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        yield "does not begin with a Markdown cell '# Title'"
    titles = headings(notebook)
    first_level = sum(level == 1 for level, _ in titles)
    if first_level != 1:
        yield f"has {first_level} first-level headings; it needs one, its title"
    for section, pattern in SECTIONS.items():
        if not any(level > 1 and re.search(pattern, title, re.IGNORECASE) for level, title in titles):
            yield f"has no section for {section} (a heading or bold line that matches {pattern!r})"
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    if not any(all(word in part for word in ("ime", "CPU", "T4")) for part in text.split("\n\n")):
        yield "does not say how long it takes: one paragraph with the time on a CPU and on a T4"
    for tag in ("parameters", "setup"):
        count = sum(cell.cell_type == "code" and tag in tags(cell) for cell in cells)
        if count != 1:
            yield f"has {count} code cells tagged {tag!r}; it needs exactly one"
    parameters = [cell.source for cell in cells if "parameters" in tags(cell)]
    if parameters and not re.search(r'^PROFILE = "fast"', parameters[0], re.MULTILINE):
        yield 'has a parameters cell without the line PROFILE = "fast"'
    importing = [n for n, cell in enumerate(cells) if cell.cell_type == "code" and "dmws_lite" in cell.source]
    setup = [n for n, cell in enumerate(cells) if "setup" in tags(cell)]
    if setup and importing and importing[0] < setup[0]:
        yield f"uses dmws_lite in cell {importing[0] + 1}, before its setup cell {setup[0] + 1}"


def problems(notebook: nbformat.NotebookNode, name: str) -> list[str]:
    """Return one line per problem, with the notebook and, where it is in one cell, the cell's number from 1."""
    found = [f"{name}: {problem}" for problem in anatomy_problems(notebook)]
    found += [f"{name}: {problem}" for problem in reading_problems(notebook)]
    for number, cell in enumerate(notebook.cells, 1):
        in_cell = list(code_problems(cell) if cell.cell_type == "code" else markdown_problems(cell))
        if ABSOLUTE_PATH.search(cell.source):
            in_cell.append("names an absolute path, which exists on one machine only")
        found += [f"{name}, cell {number}: {problem}" for problem in in_cell]
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/")
    paths = parser.parse_args(arguments).notebooks or sorted((ROOT / "notebooks").glob("*.ipynb"))
    found = [line for path in paths for line in problems(nbformat.read(path, as_version=4), path.name)]
    print("\n".join(found) if found else f"{len(paths)} notebooks keep the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
