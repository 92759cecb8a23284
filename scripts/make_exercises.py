"""Write the student notebooks: every notebook again, with the solutions of its exercises replaced by cells to fill in.

    python scripts/make_exercises.py            # write notebooks/exercises/, what differs
    python scripts/make_exercises.py --check    # change nothing, exit 1 where something differs

An exercise is three cells, one behind the other, that share the tag ``exercise-N``: a text (tag ``exercise``), its
solution (tag ``solution``) and its check (tag ``check``). The text holds exactly one fenced block of Python, the stub:
on the book's page it says what is handed in, and in the student notebook it is the code cell to fill in. Hints may
follow it, folded (check_notebooks.py shows their form); in the student notebook they stand below the cell to fill in.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from stamp_notebooks import EXERCISES_LINK, colab_link, repository_url, with_link

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "exercises"
LEVELS = {1: "Predict", 2: "Change", 3: "Build"}
STUB = re.compile(r"\n*^```python\n(.*?)^```$\n*", re.DOTALL | re.MULTILINE)
HINT = re.compile(
    r'^<details class="hint"><summary>Hint (\d)</summary>\n\n(.*?)\n\n</details>$', re.DOTALL | re.MULTILINE
)
NOTE = (
    "Student notebook, made from `{name}` by `make exercises`: the same page, with the answers at its end left to you. "
    "The checks behind them are folded: run them, and open one only after a try of your own."
)


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook.

    Attributes:
        number: from 1, its level too: predict, change, build.
        place: where its text stands among the notebook's cells; solution and check follow it.
        text: Markdown without stub and hints.
        stub: Python code to fill in.
        hints: Markdown, each one folded; empty where there is none.
        solution: Python code.
        check: Python code that raises ``NotYet`` unless the answer is right.
    """

    number: int
    place: int
    text: str
    stub: str
    hints: str
    solution: str
    check: str


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def exercises(notebook: NotebookNode, name: str) -> list[Exercise]:
    """Return the exercises of a notebook, in order.

    Args:
        notebook: with its cells.
        name: for messages.

    Raises:
        ValueError: there are not three in order, or one is not made as the head of this file says.
    """
    places = [n for n, cell in enumerate(notebook.cells) if "exercise" in tags(cell)]
    if len(places) != len(LEVELS):
        raise ValueError(
            f"{name}: {len(places)} cells are tagged 'exercise', it needs {len(LEVELS)}, one for each level"
        )
    found = []
    for number, place in enumerate(places, 1):
        here = f"{name}, exercise {number}"
        cells = notebook.cells[place : place + 3]
        kinds = [(cell.cell_type, kind) for cell, kind in zip(cells, ("exercise", "solution", "check"))]
        if kinds != [("markdown", "exercise"), ("code", "solution"), ("code", "check")] or not all(
            {kind, f"exercise-{number}"} <= set(tags(cell)) for cell, (_, kind) in zip(cells, kinds)
        ):
            raise ValueError(
                f"{here}: behind its text come the solution and the check, tagged 'solution' and 'check', all three "
                f"with the tag 'exercise-{number}'"
            )
        title = f"### Exercise {number} · {LEVELS[number]}"
        if not cells[0].source.startswith(f"{title}\n"):
            raise ValueError(f"{here}: its text does not begin with the line {title!r}")
        stubs = STUB.findall(cells[0].source)
        if len(stubs) != 1:
            raise ValueError(f"{here}: its text holds {len(stubs)} blocks of Python, it needs one, the cell to fill in")
        text, hints = HINT.sub("", cells[0].source), [match[0] for match in HINT.finditer(cells[0].source)]
        text, stub = STUB.sub("\n\n", text).strip(), stubs[0].rstrip("\n")
        found.append(Exercise(number, place, text, stub, "\n\n".join(hints), cells[1].source, cells[2].source))
    return found


def student_notebook(notebook: NotebookNode, name: str, url: str) -> NotebookNode:
    """Return the student's version of a notebook; the given one is left as it is.

    Args:
        notebook: stamped, without outputs.
        name: its file name.
        url: address of the repository.

    Raises:
        ValueError: see :func:`exercises`.
    """
    made = nbformat.from_dict(notebook)
    made.cells = [nbformat.from_dict(cell) for cell in notebook.cells]
    first = made.cells[0]
    lines = with_link(first.source, colab_link(url, f"{FOLDER}/{name}")).split("\n")
    first.source = "\n".join([*lines[:2], NOTE.format(name=name), "", *lines[2:]])
    for exercise in reversed(exercises(notebook, name)):  # from the end, as hints move what is behind them
        text, answer, check = made.cells[exercise.place : exercise.place + 3]
        text.source = exercise.text
        answer.source = exercise.stub
        answer.id = f"answer-{exercise.number}"
        answer.metadata = nbformat.from_dict({"tags": ["answer", f"exercise-{exercise.number}"]})
        # Folded, in Jupyter and on Colab: who reads the check before a try of their own reads the answer.
        folded = {"jupyter": {"source_hidden": True}, "cellView": "form"}
        check.metadata = nbformat.from_dict({**folded, "tags": ["check", f"exercise-{exercise.number}"]})
        if exercise.hints:
            hints = nbformat.v4.new_markdown_cell(exercise.hints, id=f"hints-{exercise.number}")
            hints.metadata["tags"] = ["hints", f"exercise-{exercise.number}"]
            made.cells.insert(exercise.place + 2, hints)
    for cell in made.cells:  # the way to this notebook is of no use inside it
        if cell.cell_type == "markdown" and EXERCISES_LINK in cell.source:
            parts = cell.source.split("\n\n")
            cell.source = "\n\n".join(part for part in parts if not part.startswith(EXERCISES_LINK))
    return made


def wanted_files(root: Path = ROOT) -> dict[Path, str]:
    """Return for each student notebook the text it should have.

    Raises:
        ValueError: see :func:`exercises`.
    """
    url = repository_url(root)
    wanted = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        made = student_notebook(nbformat.read(path, as_version=4), path.name, url)
        wanted[path.parent / FOLDER / path.name] = nbformat.writes(made).rstrip("\n") + "\n"
    return wanted


def differences(root: Path = ROOT) -> dict[Path, str | None]:
    """Return what is out of step: for each file the text it should have, or ``None`` where it should not be there."""
    wanted: dict[Path, str | None] = dict(wanted_files(root))
    for path in sorted((root / "notebooks" / FOLDER).glob("*.ipynb")):
        wanted.setdefault(path, None)
    return {p: text for p, text in wanted.items() if (p.read_text(encoding="utf-8") if p.exists() else None) != text}


def write(path: Path, text: str | None) -> None:
    """Bring one file into step: write it whole, or remove it."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file differs")
    check = parser.parse_args(arguments).check
    try:
        differing = differences()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in differing.items():
        name = path.relative_to(ROOT).as_posix()
        if check:
            what = "has no notebook that it is made from" if text is None else "is not in step with its notebook"
            print(f"{name} {what}; run `make exercises`")
        else:
            write(path, text)
            print(f"{name}: {'removed' if text is None else 'written'}")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
