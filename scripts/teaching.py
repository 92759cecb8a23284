"""What the slides and the instructor's pages are made from: the guide's sessions, and the cells of the notebooks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

GUIDE = Path("book", "instructors_guide.md")
SESSION = re.compile(r"^## Session (\d+) · (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| (\d+–\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
QUESTION = re.compile(r"^```\{dropdown\} (.+?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r"\{(\w[\w:-]*)\}`([^`]+)`")
FENCE = re.compile(r"^(`{3,}|:{3,})\{.*?^\1\s*?$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Session:
    """One session of the instructor's guide, in Markdown.

    Attributes:
        number: from 1.
        title: without the number.
        goals: what students can do afterwards.
        rows: for each part of the plan, such as ``"10–25"``, what happens and how.
        questions: for each question its answer.
        homework: what is given out.
    """

    number: int
    title: str
    goals: str
    rows: dict[str, tuple[str, str]]
    questions: dict[str, str]
    homework: str


def bold_part(text: str, name: str) -> str:
    """Return the paragraph that begins with ``**name.**``, without these words; nothing where there is none."""
    found = re.search(rf"^\*\*{name}\.\*\* (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def read_guide(text: str) -> list[Session]:
    """Return the sessions of the instructor's guide, in order.

    Args:
        text: of ``book/instructors_guide.md``.
    """
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    sessions = []
    for part in parts:
        head = SESSION.match(f"## {part}")
        if head:
            rows = {minutes: (what, how) for minutes, what, how in ROW.findall(part)}
            questions = {question: answer.strip() for question, answer in QUESTION.findall(part)}
            goals, homework = bold_part(part, "Goals"), bold_part(part, "Homework")
            sessions.append(Session(int(head[1]), head[2], goals, rows, questions, homework))
    return sessions


def notebook_path(folder: Path, number: str) -> Path:
    """Return the notebook whose name begins with a number such as ``"04"``.

    Raises:
        LookupError: there is none.
    """
    found = sorted(folder.glob(f"{number}_*.ipynb"))
    if not found:
        raise LookupError(f"there is no notebook {number} in {folder}")
    return found[0]


def find_cell(notebook: NotebookNode, name: str) -> NotebookNode | None:
    """Return the cell with this id, or the one whose figure has this name; ``None`` where there is neither."""
    for cell in notebook.cells:
        if name in (cell.id, cell.metadata.get("mystnb", {}).get("figure", {}).get("name")):
            return cell
    return None


class Notebooks:
    """Notebooks of a folder, each read once; a reference is ``NUMBER#NAME``: of a notebook, and of its cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, NotebookNode] = {}

    def cell(self, reference: str) -> NotebookNode:
        """Return a cell.

        Args:
            reference: such as ``"04#fig-04-memory"``, with a figure's name or a cell's id behind the ``#``.

        Raises:
            LookupError: there is no such notebook or no such cell; the message names it.
        """
        number, _, name = reference.partition("#")
        if number not in self._read:
            self._read[number] = nbformat.read(notebook_path(self.folder, number), as_version=4)
        cell = find_cell(self._read[number], name)
        if cell is None:
            raise LookupError(f"{reference}: {notebook_path(self.folder, number).name} has no cell or figure {name!r}")
        return cell


def plain_roles(text: str) -> str:
    """Replace the roles of a page by words, since what leaves the book cannot link into it: {doc}`x` and its like."""

    def words(role: re.Match) -> str:
        kind, content = role[1], role[2]
        titled = re.fullmatch(r"(.+?)\s*<.+>", content, re.DOTALL)
        if kind.startswith("cite"):
            return ""
        if titled:
            return titled[1]
        name = content.rsplit("/", 1)[-1]
        number = re.match(r"(\d\d)_", name)
        if number:
            return f"notebook {number[1]}"
        return f"*{name.replace('_', ' ')}*" if kind in ("doc", "ref", "numref") else content

    text = FENCE.sub("", text)
    return re.sub(r" +([,.;:])", r"\1", ROLE.sub(words, text))


def _math(content: str, options: dict[str, bool]) -> str:
    from markdown_it.common.utils import escapeHtml

    opening, closing = (r"\[", r"\]") if options.get("display_mode") else (r"\(", r"\)")
    return f"{opening}{escapeHtml(content.strip())}{closing}"


_MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=_math)


def to_html(markdown: str) -> str:
    """Return Markdown of a page as HTML; formulas stay TeX between the brackets that MathJax looks for."""
    return _MARKDOWN.render(plain_roles(markdown)).strip()


def inline_html(markdown: str) -> str:
    """Return one line of Markdown as HTML without a paragraph around it."""
    return _MARKDOWN.renderInline(plain_roles(markdown)).strip()
