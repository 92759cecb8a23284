"""The exercises: student notebooks in step, every solution passes its own check, every stub fails it in words."""

import ast
import copy
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import make_exercises as make
import nbformat
import numpy as np
import pytest
import stamp_notebooks as stamp
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from wheel_environment import execute

from dmws_lite.classroom.checks import (
    NotYet,
    answered,
    close,
    is_open,
    require,
    right,
)

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.name for path in NOTEBOOKS]
URL = "https://github.com/a/b"

# Typical wrong answers: (exercise, code, part of the message). The solution runs once, before the first of them; what
# one answer spoils, the next has to mend.
WRONG = {
    "01_teacher_inspection": [
        (
            1,
            'touched = touched | {"stages.0.blocks.0.mlp.fc1": True}',
            "the answer for stages.0.blocks.0.mlp.fc1 is wrong",
        ),
        (1, "touched = dict.fromkeys(touched, 'yes')", "answer True or False"),
        (2, "carried_by = 'small'", "carried_by does not follow from likeness"),
        (2, "likeness = {name: value - 0.1 for name, value in likeness.items()}", "One correlation per channel"),
        (2, "likeness = {}", "likeness needs the keys"),
        (3, 'shuffled_score = scores["teacher\'s channels"]', "did you score the shuffled copy"),
        (3, "shuffled = copy.deepcopy", "is still in the teacher's order"),
        (
            3,
            "shuffled = lambda model: make_student(teacher.pair, 200, p.size)",
            "holds other numbers than the teacher's",
        ),
    ],
    "02_element_selection": [
        (1, "n_shared = 4", "n_shared = 4 is too large"),
        (1, "n_shared, shared_elements = 2, [0, 1]", "Which element is the first of the auxiliary's six"),
        (1, "shared_elements = [4]", "has 1 entries, but n_shared is 2"),
        (2, "mean_agreement = {2: 0.5, 4: 0.25, 8: 0.125}", "printed for the rule uniform"),
        (3, "strongest = lambda n: fc1.weight.norm(dim=1).argsort()[-n:].sort().values", "looks at fc1 only"),
        (3, "strongest = lambda n: torch.arange(n).flip(0)", "is not ascending"),
        (3, "strongest = lambda n: torch.arange(n + 1)", r"has the shape (11,), not (10,)"),
    ],
    "03_single_vs_dual_init": [
        (1, "place = next(each for each in places if each != place)", "The probe says otherwise"),
        (1, "place = 'above'", "place should be one of"),
        (2, "loss_after_training = -loss_after_training", "has the wrong sign"),
        (
            2,
            "loss_after_training, damage_shows_in = -loss_after_training, 'head'",
            "damage_shows_in should be one of",
        ),
        (2, "damage_shows_in = 'probe'", "Where is the inconsistent student further behind"),
        (2, "inconsistent_probe = inconsistent_probe - 0.1", "the main student of ours, seed 0"),
        (3, "frozen = lambda model: model.requires_grad_(False)", "belongs to the classifier"),
        (3, "frozen = lambda model: model", "can still learn"),
    ],
    "04_ema_skd_training": [
        (1, "steps_to_thousandth = {0.9: 44, 0.999: 4603}", "How many halvings make a thousandth"),
        (1, "steps_to_thousandth, beta_for_half = {0.9: 66, 0.999: 6904}, 0.9997", "should be 2,700 steps"),
        (2, "equal_runs = {'above', 'alpha_one'}", "equal_runs is not right"),
        (2, "no_auxiliary = usual", "ran with auxiliary"),
        (2, "no_auxiliary = fit(main, None, few, replace(short, alpha=0.6))", "fresh students"),
        (2, "no_auxiliary = replace(no_auxiliary, config=replace(short, tau=2.0))", "tau changed as well"),
        (3, "reversed_kl = lambda z, o, tau: reversed_right(o, z, tau)", "swap the two roles"),
        (3, "reversed_kl = lambda z, o, tau: reversed_right(z, o, tau) / tau**2", "lacks the factor tau squared"),
        (3, "reversed_kl = lambda z, o, tau: soften(z, tau)", "returns several numbers"),
    ],
    "05_ablations": [
        (1, "kd_at_beta_zero = 'about the same'", "The records say otherwise"),
        (2, "gap = {name: -value for name, value in gap.items()}", "has the wrong sign"),
        (
            2,
            "gap, right_apart = {name: -value for name, value in gap.items()}, apart; "
            "apart = {name: not value for name, value in apart.items()}",
            "does low to high contain 0",
        ),
        (2, "apart, spread = right_apart, spread / 2", "Largest minus smallest of the eight"),
        (3, "seeds_for_two_percent = 5", "Use the standard deviation"),
        (3, "seeds_needed = lambda sd, size: max(2, int((1.96 * sd / size) ** 2) + 1)", "Is the quantile Student's"),
    ],
    "06_critical_reading": [
        (1, "valley_in_half_lives = 1", "how often must one halve"),
        (1, "steps_to_midpoint = {0.5: 1, 0.9: 44, 0.99: 69, 0.999: 693}", "steps_to_midpoint[0.9] = 44 is too large"),
        (2, "paired_gain = {part: -gain for part, gain in paired_gain.items()}", "not the other way"),
        (2, "paired_gain = {part: -gain for part, gain in paired_gain.items()}; pairing_loses_at = []", "should list"),
        (3, "sign_test = lambda d: sign_right(d) / 2", "is one-sided"),
        (3, "sign_test, smallest_p = sign_right, 0.05", "how many of the 32 choices"),
    ],
}
# What the solution handed in, kept under another name for the wrong answers made from it.
KEPT = {
    ("04_ema_skd_training", 3): "reversed_right = reversed_kl",
    ("06_critical_reading", 3): "sign_right = sign_test",
}


def exercise_cells(number: int, level: str = "Predict", text: str | None = None) -> list[nbformat.NotebookNode]:
    """The three cells of one small exercise."""
    tag = f"exercise-{number}"
    stub = f"```python\nanswer_{number} = ...\n```"
    source = f"### Exercise {number} · {level}\n\nHow many?\n\nHand in:\n\n{stub}\n" if text is None else text
    return [
        new_markdown_cell(source, metadata={"tags": ["exercise", tag]}),
        new_code_cell(f"answer_{number} = 4", metadata={"tags": ["solution", "hide-cell", tag]}),
        new_code_cell(f"assert answer_{number} == 4", metadata={"tags": ["check", tag]}),
    ]


def small_notebook() -> nbformat.NotebookNode:
    cells = [new_markdown_cell("# 1 · Small\n\nText."), new_code_cell("x = 1", metadata={"tags": ["setup"]})]
    link = f"## Exercises\n\nWords.\n\n{make.EXERCISES_LINK}nowhere) or here."
    cells.append(new_markdown_cell(link))
    for number, level in make.LEVELS.items():
        cells += exercise_cells(number, level)
    return new_notebook(cells=cells)


# --- helpers of the check cells -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [..., None, [1, ...], (..., 2), {"a": ...}, {...}, [[...]]], ids=repr)
def test_what_a_stub_leaves_is_open(value: object) -> None:
    assert is_open(value)
    with pytest.raises(NotYet, match="share is not filled in yet"):
        answered(done=1, share=value)


@pytest.mark.parametrize("value", [0, False, "", [], {}, 0.0, torch.zeros(3), np.zeros(2)], ids=repr)
def test_what_a_student_may_answer_is_not_open(value: object) -> None:
    assert not is_open(value)
    answered(share=value)


def test_numbers_in_any_form_pass_within_the_tolerance() -> None:
    for value in (0.5, [0.5], np.array([0.5]), torch.tensor([0.5], requires_grad=True), 0.5004):
        close("x", value, np.full(np.shape(value.detach() if torch.is_tensor(value) else value), 0.5), "hint")


@pytest.mark.parametrize(
    ("value", "expected", "message"),
    [
        (2.0, 1.0, "x = 2 is too large. Look"),
        (0.0, 1.0, "x = 0 is too small. Look"),
        (float("nan"), 1.0, "x = nan is not a number. Look"),
        (float("inf"), 1.0, "too large"),
        ([1.0, 2.0], 1.0, r"x has the shape \(2,\), but should have one number. Look"),
        ([1.0, 5.0, 6.0], [1.0, 2.0, 3.0], r"2 of 3 numbers are wrong, the first at index \[1\]. Look"),
        ("four", 4, "x should hold numbers, but its type is str"),
        ([[1, 2], [3]], 4, "x should hold numbers, but its type is list"),
        (..., 4, "x is not filled in yet"),
        ([1, ...], [1, 2], "x is not filled in yet"),
    ],
)
def test_wrong_numbers_are_told_in_words(value: object, expected: object, message: str) -> None:
    with pytest.raises(NotYet, match=message):
        close("x", value, expected, "Look again.")


def test_a_condition_and_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    require(np.bool_(True), "no")
    with pytest.raises(NotYet, match="look at the axis"):
        require(np.bool_(False), "look at the axis")
    assert issubclass(NotYet, AssertionError)
    right(2)
    assert capsys.readouterr().out == "Exercise 2: right.\n"


# --- making the student notebooks -----------------------------------------------------------------------------------


def test_student_notebooks_are_in_step(capsys: pytest.CaptureFixture[str]) -> None:
    code = make.main(["--check"])
    assert code == 0, capsys.readouterr().out


def test_a_student_notebook_has_stubs_for_solutions_and_all_else_unchanged() -> None:
    notebook = small_notebook()
    before = copy.deepcopy(notebook)
    made = make.student_notebook(notebook, "x.ipynb", URL)
    assert notebook == before, "the notebook with the solutions was changed"
    assert (
        "blob/main/notebooks/exercises/x.ipynb" in made.cells[0].source and "Student notebook" in made.cells[0].source
    )
    assert made.cells[0].source.startswith("# 1 · Small\n")
    assert made.cells[1] == notebook.cells[1]
    assert made.cells[2].source == "## Exercises\n\nWords."
    for number in make.LEVELS:
        text, answer, check = made.cells[3 * number : 3 * number + 3]
        assert "```" not in text.source and text.source.endswith("Hand in:")
        assert answer.source == f"answer_{number} = ..." and answer.id == f"answer-{number}"
        assert "hide-cell" not in answer.metadata.tags
        assert check.source == notebook.cells[3 * number + 2].source
    assert "= 4" not in "".join(c.source for c in made.cells if "check" not in c.metadata.get("tags", []))
    nbformat.validate(made)


def test_hints_follow_the_cell_to_fill_in() -> None:
    notebook = small_notebook()
    hint = '<details class="hint"><summary>Hint {}</summary>\n\nThink of `x`.\n\n</details>'
    notebook.cells[6].source += "\n\n" + "\n\n".join(hint.format(n) for n in (1, 2)) + "\n"
    made = make.student_notebook(notebook, "x.ipynb", URL)
    assert [cell.id for cell in made.cells[7:9]] == ["answer-2", "hints-2"]
    assert made.cells[6].source.endswith("Hand in:")
    assert made.cells[8].source == "\n\n".join(hint.format(n) for n in (1, 2))
    assert made.cells[9].source == notebook.cells[8].source, "the check follows"
    assert made.cells[10].source.startswith("### Exercise 3") and len(made.cells) == len(notebook.cells) + 1
    first, second, _ = make.exercises(notebook, "x.ipynb")
    assert first.hints == "" and "details" not in second.text and second.stub == "answer_2 = ..."


def test_the_link_to_the_student_notebook_is_stamped() -> None:
    once = stamp.stamped(small_notebook(), "x.ipynb", URL)
    address = "https://colab.research.google.com/github/a/b/blob/main/notebooks/exercises/x.ipynb"
    assert f"{make.EXERCISES_LINK}{address}) or here." in once.cells[2].source
    again = stamp.stamped(copy.deepcopy(once), "x.ipynb", URL)
    assert again == once


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda cells: cells.pop(), "'solution' and 'check', all three with the tag 'exercise-3'"),
        (lambda cells: cells.pop(4), "exercise 1: behind its text come the solution and the check"),
        (lambda cells: cells.pop(3), "2 cells are tagged 'exercise', it needs 3"),
        (lambda cells: cells.__setitem__(3, exercise_cells(1, "Change")[0]), "'### Exercise 1 · Predict'"),
        (
            lambda cells: cells.__setitem__(3, exercise_cells(1, text="### Exercise 1 · Predict\n\nNo stub.")[0]),
            "holds 0 blocks of Python",
        ),
        (lambda cells: cells.__setitem__(4, exercise_cells(2)[1]), "the tag 'exercise-1'"),
    ],
)
def test_what_is_not_an_exercise_is_refused(spoil: object, message: str) -> None:
    notebook = small_notebook()
    spoil(notebook.cells)
    with pytest.raises(ValueError, match="x.ipynb") as error:
        make.exercises(notebook, "x.ipynb")
    assert message in str(error.value)


def test_drift_is_found_mended_and_leftovers_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    project = f'[project.urls]\nRepository = "{URL}"\n'
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n{project}')
    nbformat.write(small_notebook(), folder / "one.ipynb")
    monkeypatch.setattr(make, "ROOT", tmp_path)
    monkeypatch.setattr(make.differences, "__defaults__", (tmp_path,))
    assert make.main(["--check"]) == 1
    assert "exercises/one.ipynb is not in step with its notebook; run `make exercises`" in capsys.readouterr().out
    assert make.main([]) == 0 and make.main(["--check"]) == 0
    student = folder / "exercises" / "one.ipynb"
    first = student.read_bytes()
    assert make.main([]) == 0 and student.read_bytes() == first
    student.write_bytes(first.replace(b"How many?", b"How much?"))
    (folder / "exercises" / "old.ipynb").write_text("{}")
    capsys.readouterr()
    assert make.main(["--check"]) == 1
    printed = capsys.readouterr().out
    assert (
        "exercises/one.ipynb is not in step" in printed and "old.ipynb has no notebook that it is made from" in printed
    )
    assert make.main([]) == 0 and student.read_bytes() == first
    assert [path.name for path in (folder / "exercises").iterdir()] == ["one.ipynb"]


# --- the exercises of the book --------------------------------------------------------------------------------------


def bound_names(source: str) -> set[str]:
    """Return the names that top-level statements of a cell give a value to."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        else:
            names = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            found |= {name.id for name in names}
            imports = (n for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom)))
            found |= {alias.asname or alias.name for each in imports for alias in each.names}
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_each_exercise_says_what_to_hand_in(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    found = make.exercises(notebook, path.name)
    above = set()
    for cell in notebook.cells[: found[0].place]:
        if cell.cell_type == "code":
            above |= bound_names(cell.source)
    for exercise in found:
        names = bound_names(exercise.stub)
        here = f"{path.name}, exercise {exercise.number}"
        assert names, f"{here}: the stub names nothing to hand in"
        assert not names & above, f"{here}: the notebook uses {names & above} already; the stub would overwrite it"
        assert names <= bound_names(exercise.solution), f"{here}: the solution does not hand in what the stub names"
        assert "..." in exercise.stub and "hand in" in exercise.text.lower(), here
        assert all(name in exercise.check for name in names), f"{here}: not everything that is handed in is checked"
        assert exercise.check.rstrip().endswith(f"right({exercise.number})"), here
    link = f"{make.EXERCISES_LINK}https://colab.research.google.com/github/"
    assert any(link in c.source and f"/exercises/{path.name})" in c.source for c in notebook.cells)


@dataclass(frozen=True)
class Try:
    """One answer to an exercise, run in the notebook's own kernel, and the check behind it."""

    exercise: object
    answer: str
    message: str | None  # part of what the check must say; None where it must pass
    check: nbformat.NotebookNode


def tries(stem: str, found: list) -> list[Try]:
    """The stub, the solution and the typical wrong answers of each exercise, in this order."""
    planned = []
    for exercise in found:
        kept = KEPT.get((stem, exercise.number), "")
        answers = [(exercise.stub, "is not filled in yet"), (f"{exercise.solution}\n{kept}", None)]
        answers += [(code, message) for number, code, message in WRONG.get(stem, []) if number == exercise.number]
        for answer, message in answers:
            expected = {"tags": ["raises-exception"]} if message else {}
            planned.append(Try(exercise, answer, message, new_code_cell(exercise.check, metadata=expected)))
    return planned


@pytest.mark.notebooks
@pytest.mark.parametrize(("body", "passes"), [("return x", True), ("raise ValueError('from a callback')", False)])
def test_a_callback_that_raises_fails_its_notebook(
    body: str, passes: bool, wheel_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [new_code_cell("from ipywidgets import interact"), new_code_cell(f"@interact(x=3)\ndef f(x):\n    {body}")]
    with nullcontext() if passes else pytest.raises(AssertionError, match="from a callback"):
        execute(new_notebook(cells=cells), wheel_python, tmp_path, monkeypatch)


@pytest.mark.notebooks
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_with_only_the_wheel_a_lone_notebook_runs_solutions_pass_and_wrong_answers_fail_in_words(
    path: Path, wheel_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(path, as_version=4)
    found = make.exercises(notebook, path.name)
    cells = [new_code_cell(c.source) for c in notebook.cells[: found[0].place] if c.cell_type == "code"]
    planned = tries(path.stem, found)
    for each in planned:
        cells += [new_code_cell(each.answer), each.check]
    execute(new_notebook(cells=cells), wheel_python, tmp_path, monkeypatch)
    for each in planned:
        here = f"{path.name}, exercise {each.exercise.number}, answer: {each.answer[:80]}"
        errors = [output for output in each.check.outputs if output.output_type == "error"]
        said = "".join(output.text for output in each.check.outputs if output.output_type == "stream")
        if each.message is None:
            assert not errors and f"Exercise {each.exercise.number}: right." in said, here
            continue
        assert len(errors) == 1, f"{here}: the check passed"
        assert errors[0].ename == "NotYet" and each.message in errors[0].evalue, f"{here}: {errors[0].evalue}"
        assert errors[0].traceback == [f"Not yet: {errors[0].evalue}"], f"{here}: shows a traceback"
        if each.answer == each.exercise.stub:
            assert any(name in errors[0].evalue for name in bound_names(each.answer)), f"{here}: {errors[0].evalue}"
