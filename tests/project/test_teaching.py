"""Homework, exam bank and instructor's pages: complete, true to the records, and not in the students' book."""

import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import make_instructor
import nbformat
import pytest
import yaml
from build_book import build_book
from check_notebooks import headings
from execute_notebooks import pages_in_order
from make_instructor import TEACHING, fill, points, read_exam
from make_slides import read_plan
from scipy.stats import t
from teaching import GUIDE, notebook_path, plain_roles, read_guide
from teaching_facts import facts

from dmws_lite import element_indices
from dmws_lite.selection.rules import overlap

ROOT = Path(__file__).resolve().parents[2]
TASK = re.compile(r"^(\d)\. \*\((\d) points\)\*", re.MULTILINE)
RUBRIC = re.compile(r"^\| (\d) \((\d)\) \|", re.MULTILINE)


def text(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def sections(page: str, title: str = r"Homework \d · .+") -> dict[str, str]:
    """Return the sections of a page whose headings match."""
    found = re.split(rf"^## ({title})$", page, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2]))


def headings_of(page: str) -> set[str]:
    """Return the headings of a page of the book: a notebook by its number, another page by its name."""
    if page.isdigit():
        return {title for _, title in headings(nbformat.read(notebook_path(ROOT / "notebooks", page), as_version=4))}
    return set(re.findall(r"^#+ (.+)$", text("book", f"{page}.md"), re.MULTILINE))


def test_forty_questions_each_with_answer_rubric_and_a_place_in_the_book() -> None:
    questions = read_exam(ROOT)
    assert len(questions) == 40 and len({q["question"] for q in questions}) == 40
    for question in questions:
        assert set(question) == {"outcome", "source", "question", "answer", "rubric"}
        assert 2 <= points(question) <= 4 and all(worth > 0 for worth in question["rubric"].values())
        page, _, heading = question["source"].partition("#")
        assert heading in headings_of(page), f"{question['source']}: the page has no such heading"
    assert {page for page, _, _ in (q["source"].partition("#") for q in questions)} >= {f"0{n}" for n in range(1, 8)}


def test_every_learning_outcome_is_asked_and_no_other() -> None:
    outcomes = re.findall(r"\*\*([P\d]\.\d)\*\* ", text(str(GUIDE)))
    assert len(outcomes) == len(set(outcomes)) >= 20
    assert set(Counter(q["outcome"] for q in read_exam(ROOT))) == set(outcomes)


def test_every_number_is_known_and_used() -> None:
    known = facts()
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / TEACHING).glob("*")))
    used = set(make_instructor.FACT.findall(sources)) - {"name"}
    assert used <= set(known)
    assert set(known) - used == set(), "numbers that no question and no answer speaks of"
    assert fill("a <<half_life_90>> b", known) == "a 6.6 b"
    with pytest.raises(KeyError, match="<<nothing>> is unknown"):
        fill("<<nothing>>", known)


def test_arithmetic_of_the_answers() -> None:
    answers = " ".join(q["answer"] for q in read_exam(ROOT))
    e, ln = math.exp, math.log
    for shown, value in {
        "36,864": 384 * 96,
        "$7.39/8.39 = 0.88$": 1 / (1 + e(-2)),
        "$1.65/2.65 = 0.62$": 1 / (1 + e(-0.5)),
        "= 0.223$": 0.5 * ln(0.5 / 0.8) + 0.5 * ln(0.5 / 0.2),
        "4.30 \\cdot 0.02/\\sqrt 3 = 0.050": round(t.ppf(0.975, 2), 2) * 0.02 / 3**0.5,
        "2.78 \\cdot 0.02/\\sqrt 5 = 0.025": round(t.ppf(0.975, 4), 2) * 0.02 / 5**0.5,
        "2.45 \\cdot 0.02/\\sqrt 7 = 0.019": round(t.ppf(0.975, 6), 2) * 0.02 / 7**0.5,
    }.items():
        assert shown in answers
        number = re.findall(r"[\d.,]+", shown)[-1]
        decimals = len(number.partition(".")[2])
        assert f"{value:,.{decimals}f}" == number
    assert element_indices(12, 4, part=0).tolist() == [0, 3, 6, 9]
    assert element_indices(12, 4, part=1).tolist() == [1, 4, 7, 10]
    assert overlap(*(element_indices(96, 60, part=part) for part in (0, 1))) == 24


def test_rubrics_fit_the_homework() -> None:
    tasks, answers = sections(text("book", "homework.md")), sections(text(str(TEACHING), "homework_answers.md"))
    assert list(tasks) == list(answers) and len(tasks) == 4
    for title, section in tasks.items():
        worth = TASK.findall(section)
        assert worth == RUBRIC.findall(answers[title]), title
        assert f"{sum(int(n) for _, n in worth)} points" in section.split("\n\n")[1], title
    sessions = read_guide(text(str(GUIDE)))
    assert all(f"<homework-{s.number}>" in s.homework for s in sessions)


def test_the_answers_of_the_homework_run() -> None:
    page = text(str(TEACHING), "homework_answers.md")
    cells = re.findall(r"^```\{code-cell\} python3\n(?::[^\n]*\n)*(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(cells) > 4
    code = "\n".join(cells)
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_the_students_book_has_no_answer_of_homework_or_exam() -> None:
    names = pages_in_order(yaml.safe_load(text("_toc.yml")))
    assert "book/homework" in names and not any("teaching" in name or "instructor/" in name for name in names)
    assert "{dropdown}" not in text("book", "homework.md") and "{toggle}" not in text("book", "homework.md")
    pages = " ".join(
        " ".join(path.read_text(encoding="utf-8").split())
        for name in names
        for path in (ROOT / f"{name}.md", ROOT / f"{name}.ipynb")
        if path.exists()
    )
    for question in read_exam(ROOT):
        beginning = " ".join(question["answer"].split())[:70]
        assert beginning not in pages, beginning


def test_the_guide_cuts_sessions_where_the_slides_do() -> None:
    told = re.findall(r"session (\d)\s+before\s+minute (\d+)", text(str(GUIDE)))
    assert told == [(str(n), each["cut"].split("–")[0]) for n, each in enumerate(read_plan(ROOT), 1)]


def test_solutions_are_those_of_the_notebooks() -> None:
    path = ROOT / "notebooks" / "02_element_selection.ipynb"
    page = make_instructor.solutions_page(path)
    solutions = [c.source for c in nbformat.read(path, as_version=4).cells if "solution" in c.metadata.get("tags", [])]
    assert len(solutions) == 3 and all(f"```python\n{code}\n```" in page for code in solutions)
    assert page.count("## Exercise") == 3 and plain_roles(page).count("{doc}") == 0


@pytest.mark.notebooks
def test_the_instructors_book_is_built(tmp_path: Path) -> None:
    make_instructor.write_pages(ROOT, tmp_path)
    toc = yaml.safe_load((tmp_path / "_toc.yml").read_text(encoding="utf-8"))
    assert len(toc["chapters"]) == 4 + 7
    # Without the page whose code runs: another test runs it, and starting PyTorch takes longer than all the rest.
    (tmp_path / "homework.md").write_text("# Homework: answers and rubrics\n", encoding="utf-8")
    index, _ = build_book(tmp_path)
    page = (index.parent / "exam.html").read_text(encoding="utf-8")
    assert page.count("<strong>Answer.</strong>") == 40 and "&lt;&lt;" not in page
    assert "<strong>Answer.</strong>" not in (index.parent / "exam_questions.html").read_text(encoding="utf-8")
