"""The house: its rooms, what may be imported across them, and functions that fit on a screen."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dmws_lite"
ROOMS = {
    "images", "teachers", "selection", "distillation", "training", "experiments", "figures", "classroom", "cli",
}  # fmt: skip
LONGEST = 60  # lines of a function's body, its docstring left out
# Longer, and why.
LONG = {
    "images/phantoms/ct.py": "one picture, drawn from back to front",
    "images/phantoms/mri.py": "one picture, drawn from back to front",
    "images/phantoms/xray.py": "one picture, drawn from back to front",
    "cli/train.py": "the options of one command, one after the other",
    "cli/select.py": "the options of one command, one after the other",
    "cli/grid.py": "the options of three commands, one after the other",
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def python(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_the_top_shows_the_rooms_and_nothing_else() -> None:
    names = {path.name for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "_bundled")}
    assert names == ROOMS | {"__init__.py", "__main__.py", "_sealed.py", "_system.py", "_values.py"}
    for room in ROOMS:
        assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))), room


def test_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == ROOMS | {"book", "project"}


def test_no_private_name_is_imported_across_modules() -> None:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            ours = isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("dmws_lite"))
            private = [alias.name for alias in node.names if alias.name.startswith("_")] if ours else []
            private = [name for name in private if name not in ("_sealed", "_system", "_values")]
            assert not private, f"{path.relative_to(ROOT)} imports {private[0]} from another module"


def body_lines(function: ast.FunctionDef) -> int:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = function.body[documented:]
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_functions_fit_on_a_screen() -> None:
    for path in sources():
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and name not in LONG:
                assert body_lines(node) <= LONGEST, f"{name}: {node.name} has {body_lines(node)} lines"


@pytest.mark.slow
def test_importing_the_package_loads_nothing_and_changes_nothing() -> None:
    heavy = ("torch", "timm", "numpy", "matplotlib", "pandas", "sklearn")
    loaded = python(f"import sys, dmws_lite; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded == "[]"
    same = "import matplotlib as m; before = dict(m.rcParams); from dmws_lite.figures import new_figure, histograms; "
    same += "figure, ax = new_figure(); ax.set(title='t'); print(dict(m.rcParams) == before)"
    assert python(same) == "True", "using our figures must not restyle the user's own"


def test_names_of_the_package_are_there() -> None:
    import dmws_lite

    for name in dmws_lite.__all__:
        assert getattr(dmws_lite, name) is not None
    with pytest.raises(AttributeError):
        dmws_lite.no_such_name  # noqa: B018
