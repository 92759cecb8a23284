"""Build the pages that only instructors get: answers and rubrics of the homework, the exam bank, all solutions.

    python scripts/make_instructor.py [--to FOLDER]

They are a small book of their own, built by ``build_book.py`` like the other one, and none of it is on the pages of the
students' book. Sources: ``data/teaching`` and the exercises of the notebooks. ``<<name>>`` in a source is a number of
``teaching_facts.py``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from build_book import BookError, build_book  # noqa: E402
from make_exercises import LEVELS, exercises  # noqa: E402
from teaching import plain_roles  # noqa: E402
from teaching_facts import facts  # noqa: E402

TEACHING = Path("data", "teaching")
COPIED = ("book/_static", "book/figures", "book/references.bib")  # what the configuration names
FACT = re.compile(r"<<(\w+)>>")
EXECUTED = "---\nfile_format: mystnb\nkernelspec: {display_name: Python 3, language: python, name: python3}\n---\n\n"
FIRST = """\
# For instructors

Answers, rubrics and solutions to *Dual-model weight selection, by doing it*. **Do not hand these pages to students.**
The repository is public, so a determined student can find them: change the numbers of a question before you grade it.

- {doc}`homework`: the answers to the four sheets, and what earns points; {doc}`homework_tasks` has the sheets.
- {doc}`exam`: 40 questions with answers and rubrics, each with its learning outcome and the section of the book that it
  can be answered from.
- {doc}`exam_questions`: the same questions without answers, to copy from.
- The exercises of each notebook with their solutions and checks.

The plan of the sessions, with questions for the class, is the instructor's guide in the students' book; `make slides`
makes the slides.
"""


def fill(text: str, known: Mapping[str, str]) -> str:
    """Replace each ``<<name>>`` by its number.

    Raises:
        KeyError: a name is unknown; the message names it.
    """

    def number(found: re.Match) -> str:
        if found[1] not in known:
            raise KeyError(f"<<{found[1]}>> is unknown; scripts/teaching_facts.py computes {', '.join(sorted(known))}")
        return known[found[1]]

    return FACT.sub(number, text)


def read_exam(root: Path = ROOT) -> list[dict]:
    """Return the questions of the exam bank, in order."""
    return yaml.safe_load((root / TEACHING / "exam_bank.yml").read_text(encoding="utf-8"))["questions"]


def points(question: Mapping) -> int:
    """Return the points of a question, the sum of its rubric."""
    return sum(question["rubric"].values())


def exam_page(questions: list[dict], answers: bool) -> str:
    """Return the exam bank as a page.

    Args:
        questions: from :func:`read_exam`.
        answers: with answers, rubrics and sources, or the bare questions.
    """
    title = "Exam bank" if answers else "Exam bank: questions only"
    total = sum(map(points, questions))
    lines = [
        f"# {title}",
        "",
        f"{len(questions)} questions, {total} points. Plan two minutes for a point; nobody has timed them yet.",
        "",
    ]
    for number, question in enumerate(questions, 1):
        lines += [f"## Question {number} ({points(question)} points)", "", question["question"].strip(), ""]
        if answers:
            page, _, heading = question["source"].partition("#")
            page = f"notebook {page}" if page.isdigit() else page.replace("_", " ")
            lines += [f"**Answer.** {question['answer'].strip()}", "", "| Points | For |", "| ---: | --- |"]
            lines += [f"| {worth} | {what} |" for what, worth in question["rubric"].items()]
            lines += ["", f"*Outcome {question['outcome']}; {page}, section “{heading}”.*", ""]
    return "\n".join(lines)


def solutions_page(path: Path) -> str:
    """Return the exercises of a notebook with stubs, solutions and checks as a page."""
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0].source.split("\n")[0].removeprefix("# ")
    lines = [f"# Solutions · {title}", ""]
    for exercise in exercises(notebook, path.name):
        text = exercise.text.split("\n", 1)[1].strip()
        lines += [f"## Exercise {exercise.number} · {LEVELS[exercise.number]}", "", plain_roles(text), ""]
        lines += [exercise.hints, ""]
        for name, code in (("To fill in", exercise.stub), ("Solution", exercise.solution), ("Check", exercise.check)):
            lines += [f"**{name}**", "", "```python", code, "```", ""]
    return "\n".join(lines)


def write_pages(root: Path, to: Path) -> None:
    """Write the sources of the instructor's book into a folder, with its configuration.

    Args:
        root: of the repository.
        to: folder to write; what is in it goes.

    Raises:
        KeyError: a source asks for a number that nobody computes.
    """
    shutil.rmtree(to, ignore_errors=True)
    (to / "notebooks").mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        copy(root / name, to / name)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["title"] = config["sphinx"]["config"]["html_theme_options"]["logo"]["text"] = "For instructors"
    (to / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    known, questions = facts(), read_exam(root)
    answers = (root / TEACHING / "homework_answers.md").read_text(encoding="utf-8")
    tasks = (root / "book" / "homework.md").read_text(encoding="utf-8")
    pages = {
        "index": FIRST,
        "homework": EXECUTED + fill(answers, known),
        "homework_tasks": plain_roles(re.sub(r"^\(homework-\d\)=\n", "", tasks, flags=re.MULTILINE)),
        "exam": fill(exam_page(questions, answers=True), known),
        "exam_questions": fill(exam_page(questions, answers=False), known),
    }
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        pages[f"solutions_{path.stem}"] = solutions_page(path)
    for name, text in pages.items():
        (to / f"{name}.md").write_text(text, encoding="utf-8")
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": name} for name in list(pages)[1:]]}
    (to / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, default=ROOT / "dist" / "instructor", help="folder to write")
    to = parser.parse_args(arguments).to
    sources = ROOT / "_build" / "instructor"
    try:
        write_pages(ROOT, sources)
        index, _ = build_book(sources)
    except (BookError, KeyError) as error:
        print(f"The instructor's pages were not built:\n{error.args[0]}", file=sys.stderr)
        return 1
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(index.parent, to)
    print(f"\nFor instructors: {to / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
