"""The notebooks: their rules, and how each is run.

* `make book` executes each of them; here a small book shows that a broken one cannot pass.
* tests/classroom/test_checks.py executes each once more, in an empty folder where only the built wheel is installed, as
  on Colab, together with the answers to its exercises.
* nbval and papermill, with which others run notebooks, are tried on one each.
"""

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from packaging.requirements import Requirement
from wheel_environment import run, succeeded

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.name for path in NOTEBOOKS]


def script(name: str) -> ModuleType:
    """Import a file of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WORDS = "word " * 300  # beside 30 lines of code


def sound_notebook() -> nbformat.NotebookNode:
    """Return a small notebook that keeps every rule."""
    return new_notebook(
        cells=[
            new_markdown_cell(f"# Title\n\nTime: 1 min on a CPU, 1 min on a T4.\n\n## What you will learn\n{WORDS}"),
            new_code_cell("import math", metadata={"tags": ["setup"]}),
            new_code_cell('PROFILE = "fast"', metadata={"tags": ["parameters"]}),
            new_code_cell("math.pi"),
            new_markdown_cell("## Summary\n\n## Exercises\n\n## References"),
        ]
    )


# --- rules ---------------------------------------------------------------------------------------------------------


def test_the_notebooks_are_there() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebook_keeps_the_rules(path: Path) -> None:
    assert script("check_notebooks").problems(nbformat.read(path, as_version=4), path.name) == []


def test_notebooks_carry_the_address_of_pyproject() -> None:
    assert succeeded(run([sys.executable, "scripts/stamp_notebooks.py", "--check"], ROOT))


def test_a_sound_notebook_passes_the_check() -> None:
    assert script("check_notebooks").problems(sound_notebook(), "x.ipynb") == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("try:\n    x = 1\nexcept:\n    pass", "x.ipynb, cell 4: catches every error"),
        ("try:\n    x = 1\nexcept (OSError, Exception):\n    pass", "x.ipynb, cell 4: catches every error"),
        ("\n".join(f"a{n} = {n}" for n in range(26)), "x.ipynb, cell 4: has 26 lines, more than 25"),
        ("open('/ho" + "me/me/x.png')", "x.ipynb, cell 4: names an absolute path"),
        ("figures.weights(model)", "x.ipynb, cell 4: draws a figure without a text alternative"),
        ("plt.plot([1]);", "x.ipynb, cell 4: draws a figure without a text alternative"),
        ("def f(:", "x.ipynb, cell 4: is not valid Python"),
        ("", "x.ipynb, cell 4: is empty"),
    ],
)
def test_a_faulty_cell_is_named(source: str, message: str) -> None:
    notebook = sound_notebook()
    notebook.cells[3].source = source
    (problem,) = script("check_notebooks").problems(notebook, "x.ipynb")
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("cell", "source", "message"),
    [
        (0, "Text\n\nT4 and CPU\n\n## What you will learn", "x.ipynb: does not begin with a Markdown cell '# Title'"),
        (0, "# Title\n\n## What you will learn", "x.ipynb: does not say how long it takes"),
        (0, "# Title\n\nTime: 1 min on CPU and T4", "x.ipynb: has no section for what the reader will learn"),
        (4, "## Summary\n\n## References", "x.ipynb: has no section for exercises"),
        (2, 'PROFILE = "paper"', 'x.ipynb: has a parameters cell without the line PROFILE = "fast"'),
    ],
)
def test_a_missing_part_is_named(cell: int, source: str, message: str) -> None:
    notebook = sound_notebook()
    notebook.cells[cell].source = source
    assert any(line.startswith(message) for line in script("check_notebooks").problems(notebook, "x.ipynb"))


def test_code_that_runs_over_the_page_is_named_where_it_is_seen() -> None:
    notebook, check = sound_notebook(), script("check_notebooks")
    notebook.cells[3].source = f"total = {' + '.join('1' * 20)}"
    assert len(notebook.cells[3].source) == 85
    (problem,) = check.problems(notebook, "x.ipynb")
    assert problem == "x.ipynb: cell 4 has a line of 85 characters, more than the 79 that fit the page"
    notebook.cells[3].metadata["tags"] = ["hide-input"]
    assert check.problems(notebook, "x.ipynb") == []


def test_code_without_text_beside_it_is_named() -> None:
    notebook, check = sound_notebook(), script("check_notebooks")
    notebook.cells[0].source = notebook.cells[0].source.replace(WORDS, "")
    notebook.cells[3].source = "\n".join(f"a{n} = {n}" for n in range(20))
    (problem,) = check.problems(notebook, "x.ipynb")
    assert re.match(r"x.ipynb: has 0\.\d words beside each of its 21 lines of shown code, fewer than 9; ", problem)
    notebook.cells[3].metadata["tags"] = ["hide-input"]
    assert check.problems(notebook, "x.ipynb") == []


HINTS = [f'<details class="hint"><summary>Hint {n}</summary>\n\nLook.\n\n</details>' for n in (1, 2)]


@pytest.mark.parametrize(
    ("hints", "count"),
    [(HINTS, None), ([], 0), (HINTS[:1], 1), (HINTS[::-1], 2), ([HINTS[0], HINTS[1].replace("Look.", " ")], 2)],
)
def test_an_exercise_without_two_hints_is_named(hints: list[str], count: int | None) -> None:
    notebook = sound_notebook()
    text = "\n\n".join(["### Exercise 1 · Predict", *hints])
    notebook.cells.append(new_markdown_cell(text, metadata={"tags": ["exercise"]}))
    found = script("check_notebooks").problems(notebook, "x.ipynb")
    message = f"x.ipynb: cell 6 is an exercise with {count} hints; it needs two, Hint 1 and Hint 2"
    assert found == ([] if count is None else [message])


def test_outputs_and_skipped_cells_are_named() -> None:
    notebook = sound_notebook()
    notebook.cells[3].execution_count = 1
    notebook.cells[3].metadata["tags"] = ["skip-execution"]
    found = script("check_notebooks").problems(notebook, "x.ipynb")
    assert [line.split(": ")[1].split(";")[0] for line in found] == [
        "has outputs or an execution count",
        "is tagged 'skip-execution'",
    ]


def test_stamping_twice_changes_nothing_and_keeps_cell_ids() -> None:
    stamp = script("stamp_notebooks")
    notebook = sound_notebook()
    ids = [cell.id for cell in notebook.cells]
    once = nbformat.writes(stamp.stamped(notebook, "x.ipynb", "https://github.com/a/b"))
    again = stamp.stamped(nbformat.reads(once, as_version=4), "x.ipynb", "https://github.com/a/b")
    assert nbformat.writes(again) == once
    assert [cell.id for cell in again.cells] == ids
    assert "git+https://github.com/a/b" in again.cells[1].source
    moved = stamp.stamped(nbformat.reads(once, as_version=4), "x.ipynb", "https://github.com/c/d")
    assert "github.com/a/b" not in nbformat.writes(moved) and moved.cells[0].source.count("Open in Colab") == 1


def test_readme_block_is_stamped_between_its_marks() -> None:
    stamp = script("stamp_notebooks")
    block = stamp.readme_block("https://github.com/a/b", ["x.ipynb"])
    text = "before\n<!-- stamp:start -->\nold\n<!-- stamp:end -->\nafter\n"
    new = stamp.README_BLOCK.sub(lambda match: match[1] + block + match[2], text)
    assert new.startswith("before\n<!-- stamp:start -->\n") and new.endswith("<!-- stamp:end -->\nafter\n")
    assert "git clone https://github.com/a/b\n" in new and "/github/a/b/blob/main/notebooks/x.ipynb" in new


# --- nbval -----------------------------------------------------------------------------------------------------------


def nbval(notebook: Path, kernel: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run nbval, lax, on a copy of a notebook, so that nothing is written into notebooks/.

    Args:
        notebook: the copy.
        kernel: name of a kernel; without it the notebook runs in this environment.
        environment: more variables.
    """
    where = f"--nbval-kernel-name={kernel}" if kernel else "--nbval-current-env"
    options = ["--nbval-lax", where, "--nbval-cell-timeout=900", "-q", "-p", "no:cacheprovider"]
    return run([sys.executable, "-m", "pytest", *options, notebook.name], notebook.parent, **environment)


# --- the lone file and the wheel, as on Colab ------------------------------------------------------------


def test_wheel_holds_the_teacher_and_the_results(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("teachers", "results", "paper", "quizzes"):
        for path in (ROOT / "data" / folder).rglob("*"):
            if path.is_file():
                assert f"dmws_lite/_bundled/{path.relative_to(ROOT / 'data').as_posix()}" in names
    assert "dmws_lite/_bundled/teachers/convnext_pocket_tin64.safetensors" in names
    assert any(name.startswith("dmws_lite/_bundled/results/") for name in names)
    assert not any(name.startswith(("tests/", "notebooks/", "book/")) for name in names)


def test_wheel_pins_nothing(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    for line in metadata.get_all("Requires-Dist"):
        assert not set("=<~") & set(line.split(";")[0].replace(">=", "")), f"{line} is more than a lower bound"


def test_the_wheel_is_what_is_imported(wheel_python: Path, tmp_path: Path) -> None:
    code = (
        "import dmws_lite, torch\n"
        "from dmws_lite._system import data_path\n"
        "print(dmws_lite.__file__, torch.__file__, data_path('teachers'), sep='\\n')"
    )
    answer = run([wheel_python, "-c", code], tmp_path)
    assert succeeded(answer)
    package, torch_file, teachers = map(Path, answer.stdout.split("\n")[:3])
    environment = wheel_python.parents[1].resolve()
    assert environment in package.resolve().parents and environment in teachers.resolve().parents
    assert environment not in torch_file.resolve().parents, "torch was meant to be borrowed"


def requirements_of(wheel: Path) -> list[Requirement]:
    """Return what the wheel needs with its extra for widgets."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    found = map(Requirement, metadata.get_all("Requires-Dist"))
    return [each for each in found if each.marker is None or each.marker.evaluate({"extra": "widgets"})]


def preinstalled(folder: Path) -> Path:
    """Make an environment like a Colab runtime, with this one's packages but without the project; return its Python.

    The packages are links in a folder that a .pth file names. pip counts them as installed and, as they lie outside of
    the environment, could not remove one.
    """
    assert succeeded(run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent))
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    stack = folder / "stack"
    stack.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "dmws_lite" not in path.name:
            (stack / path.name).symlink_to(path)
    where = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder.parent).stdout.strip()
    Path(where, "stack.pth").write_text(f"{stack}\n")
    return python


VERSIONS = "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions()))"


@pytest.mark.notebooks
def test_the_setup_cell_installs_the_package_and_changes_nothing_else(wheel: Path, tmp_path: Path) -> None:
    python = preinstalled(tmp_path / "colab")
    before = ast.literal_eval(run([python, "-c", VERSIONS], tmp_path).stdout)
    assert {"torch", "numpy", "matplotlib", "ipywidgets"} <= {name for name, _ in before}
    assert "dmws_lite" not in {name for name, _ in before}
    stamp = script("stamp_notebooks")
    source = stamp.setup_source(stamp.repository_url())
    from_git = f"git+{stamp.repository_url()}"
    assert source.count(from_git) == 1
    cell = source.replace(from_git, wheel.as_uri())  # the same cell, with the wheel in the place of the repository
    answer = run([python, "-c", cell], tmp_path, PIP_NO_INDEX="1")
    assert succeeded(answer) and " on " in answer.stdout and "torch " in answer.stdout
    after = ast.literal_eval(run([python, "-c", VERSIONS], tmp_path).stdout)
    assert [entry for entry in after if entry[0] != "dmws_lite"] == before
    code = "import dmws_lite, dmws_lite.classroom.widgets; print(dmws_lite.__file__)"
    answer = run([python, "-c", code], tmp_path)
    assert succeeded(answer) and str(tmp_path / "colab") in answer.stdout
    # Once more, as every notebook has this cell: with nowhere to install from it can only pass if it does not try.
    assert succeeded(run([python, "-c", source.replace(from_git, (tmp_path / "nowhere").as_uri())], tmp_path))


def test_the_oldest_versions_that_are_accepted_are_left_alone(wheel: Path, tmp_path: Path) -> None:
    """An environment in which every requirement is there at its lower bound, as far as pip can see."""
    assert succeeded(run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "old"], tmp_path))
    python = tmp_path / "old" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    where = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], tmp_path).stdout.strip()
    names = set()
    for each in requirements_of(wheel):
        (bound,) = each.specifier
        folder = Path(where, f"{each.name.replace('-', '_')}-{bound.version}.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {each.name}\nVersion: {bound.version}\n")
        (folder / "INSTALLER").write_text("pip\n")
        names.add(each.name)
    assert {"torch", "numpy", "matplotlib", "anywidget", "ipywidgets"} <= names
    options = [
        "--dry-run",
        "--quiet",
        "--no-index",
        "--report",
        tmp_path / "report.json",
        f"dmws_lite[widgets] @ {wheel.as_uri()}",
    ]
    assert succeeded(run([sys.executable, "-m", "pip", "--python", python, "install", *options], tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    assert [each["metadata"]["name"] for each in report["install"]] == ["dmws_lite"]


@pytest.mark.notebooks
def test_nbval_runs_a_lone_notebook_with_only_the_wheel(wheel_python: Path, tmp_path: Path) -> None:
    kernels = wheel_python.parents[1] / "share" / "jupyter"
    path = ROOT / "notebooks" / "02_element_selection.ipynb"
    assert succeeded(nbval(Path(shutil.copy(path, tmp_path)), "wheel", JUPYTER_PATH=str(kernels)))


@pytest.mark.notebooks
def test_papermill_sets_the_profile(wheel_python: Path, tmp_path: Path) -> None:
    cells = sound_notebook().cells[1:3] + [new_code_cell('assert PROFILE == "classroom"')]
    python = {"language_info": {"name": "python"}}  # papermill asks in which language it is to write the parameters
    nbformat.write(new_notebook(cells=cells, metadata=python), tmp_path / "in.ipynb")
    kernels = wheel_python.parents[1] / "share" / "jupyter"
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-p", "PROFILE", "classroom", "-k", "wheel"]
    assert succeeded(run([*command, "--no-progress-bar"], tmp_path, JUPYTER_PATH=str(kernels)))


# --- the book: what is broken does not pass -------------------------------------------------------------------------


def small_book(folder: Path, page: str, *cells: nbformat.NotebookNode) -> None:
    """Write a book of one page and one notebook, with this project's own configuration."""
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "_config.yml", folder)
    for name in ("_static", "figures"):  # the configuration names a style sheet and the logo
        shutil.copytree(ROOT / "book" / name, folder / "book" / name)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/intro\nchapters:\n  - file: notebooks/one\n")
    (folder / "book" / "intro.md").write_text(f"# Intro\n\n{page}\n")
    (folder / "book" / "references.bib").write_text("")
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = new_notebook(cells=[new_markdown_cell("# One"), *cells], metadata=kernel)
    nbformat.write(notebook, folder / "notebooks" / "one.ipynb")


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, ROOT / "scripts" / "build_book.py", "--root", folder], folder)


@pytest.mark.notebooks
def test_a_sound_book_is_built_and_executed_anew_each_time(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"  # stands for a changed package or record, of which no cache knows
    outside.write_text("first")
    small_book(tmp_path, "A formula: $a^2$.", new_code_cell(f"print('from a cell: ' + open({str(outside)!r}).read())"))
    page = tmp_path / "_build" / "html" / "notebooks" / "one.html"
    answer = build(tmp_path)
    assert succeeded(answer) and "from a cell: first" in page.read_text()
    assert answer.stdout.rstrip().endswith(str(tmp_path / "_build" / "html" / "index.html"))
    assert len(re.findall(r"^ +[\d.]+ s  notebooks/one\.ipynb$", answer.stdout, re.MULTILINE)) == 1, "executed once"
    outside.write_text("second")
    assert succeeded(build(tmp_path)) and "from a cell: second" in page.read_text()


@pytest.mark.notebooks
def test_a_book_with_a_cell_that_fails_is_not_built(tmp_path: Path) -> None:
    small_book(tmp_path, "Text.", new_code_cell("raise ValueError('on purpose')"))
    answer = build(tmp_path)
    assert answer.returncode == 1 and "The book was not built" in answer.stderr
    assert "ValueError: on purpose" in answer.stdout + answer.stderr


@pytest.mark.notebooks
def test_every_fault_of_a_book_is_named(tmp_path: Path) -> None:
    page = "See {doc}`nowhere`.\n\n![Far](https://example.org/far.png)"
    small_book(tmp_path, page, new_code_cell("print(1)", metadata={"tags": ["skip-execution"]}))
    answer = build(tmp_path)
    assert answer.returncode == 1 and "nowhere" in answer.stdout + answer.stderr
    faults = answer.stderr.split("The book was not built:\n")[1]
    assert "Jupyter Book ended with code 1; its warnings and errors are above" in faults  # the dead reference
    assert "notebooks/one.ipynb: these cells did not run: 2" in faults
    assert "fetches from outside: https://example.org/far.png" in faults
