"""The project as a whole: its layout, the floors of the package, what is declared and what must not be committed."""

import ast
import graphlib
import json
import os
import re
import sys
from pathlib import Path

import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dmws_lite"
# What is made by tools, or kept beside the project by a person, and never committed.
NOT_OURS = {
    ".git",
    ".venv",
    "_build",
    "build",
    "dist",
    "runs",
    "__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".cache",
    ".hypothesis",
}

# Each room may import from its own floor and from those below it, never in a circle.
FLOORS = [
    {"_sealed", "_system", "_values"},
    {"images", "teachers"},
    {"selection", "distillation"},
    {"training"},
    {"experiments", "figures"},
    {"classroom"},
    {"cli"},
]
# Import name -> name in pyproject.toml, where they differ.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "IPython": "ipython"}


def project_files() -> list[Path]:
    """Return the files of the project, whether they are in git yet or not."""
    found = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [n for n in names if n not in NOT_OURS and not n.endswith((".egg-info", "_checkpoints"))]
        found += [Path(folder, name) for name in files if name not in NOT_OURS]
    return sorted(found)


def texts() -> list[tuple[str, str]]:
    """Return (name, text) of every text file of the project."""
    found = []
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            found.append((path.relative_to(ROOT).as_posix(), content.decode("utf-8", errors="replace")))
    return found


def modules() -> dict[str, list[Path]]:
    """Return the source files of each top-level module of the package; a subpackage counts as one module."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name not in {"__init__", "__main__"}:
            found.setdefault(name, []).append(path)
    return found


def imported(path: Path) -> set[str]:
    """Return the top-level modules of the package that a source file imports, wherever in the file it does so."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level == depth:
                dotted = f"dmws_lite.{node.module}" if node.module else "dmws_lite"
            else:
                dotted = (node.module or "") if node.level == 0 else ""
            names = [f"{dotted}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("dmws_lite.")}
    return found & modules().keys()


def outside_imports(path: Path) -> set[tuple[str, bool]]:
    """Return (top-level name, is it imported at once) of what a source file imports from outside the package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        found |= {(name.split(".")[0], node in tree.body) for name in names}
    return {pair for pair in found if pair[0] not in sys.stdlib_module_names | {"dmws_lite", "__future__"}}


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split("\n")
    parsed = [Requirement(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
    return {each.name.lower(): each for each in parsed}


def test_a_reader_finds_everything_where_its_name_says() -> None:
    for name in (
        "README.md make.py Makefile requirements.txt pyproject.toml LICENSE LICENSE-TEXT _config.yml _toc.yml .ci/run "
        ".gitignore dmws_lite/__init__.py book/intro.md book/references.bib notebooks tests data/teachers "
        "benchmarks/bench.py"
    ).split():
        assert (ROOT / name).exists(), f"{name} is missing"
    assert len([path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".")]) <= 16


def test_every_page_and_notebook_is_in_the_table_of_contents() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    pages = [*(ROOT / "book").rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert sorted(listed) == sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in pages)


def test_modules_import_only_from_their_own_floor_and_below() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    assert set(modules()) <= set(floor), f"put {sorted(set(modules()) - set(floor))} into FLOORS"
    for name, paths in modules().items():
        for path in paths:
            for other in imported(path) - {name}:
                assert floor[other] <= floor[name], (
                    f"{path.relative_to(ROOT)} imports {other}, which is a floor above it"
                )


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {name: set().union(*map(imported, paths)) - {name} for name, paths in modules().items()}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_everything_the_package_imports_is_declared() -> None:
    project = pyproject()["project"]
    needed = {Requirement(line).name.lower() for line in project["dependencies"]}
    extra = {Requirement(line).name.lower() for lines in project["optional-dependencies"].values() for line in lines}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, at_once in outside_imports(path):
            distribution = DISTRIBUTIONS.get(name, name).lower()
            # dmws_lite.classroom.widgets as a whole needs its extra, and nothing else of the package imports it at
            # once.
            allowed = needed if at_once and path.parent.name != "widgets" else needed | extra
            assert distribution in allowed, f"{path.relative_to(ROOT)} imports {name}, not declared in pyproject.toml"


def test_requirements_repeat_what_the_package_declares() -> None:
    project = pyproject()["project"]
    declared = list(project["dependencies"])
    for lines in project["optional-dependencies"].values():
        declared += lines
    for line in map(Requirement, declared):
        assert requirements()[line.name.lower()].specifier == line.specifier, f"{line.name} differs in requirements.txt"


def test_nothing_that_a_class_machine_has_is_held_back() -> None:
    held_back = {name for name, each in requirements().items() if re.search(r"==|<|~=", str(each.specifier))}
    assert held_back == {"jupyter-book", "sphinx-mathjax-offline"}  # tools of the book, not of the package
    assert not requirements()["jupyter-book"].specifier.contains("2.0.0")
    assert not any(re.search(r"==|<|~=", line) for line in pyproject()["project"]["dependencies"])


def test_the_repository_address_has_one_place() -> None:
    address = pyproject()["project"]["urls"]["Repository"]
    pattern = re.compile(re.escape(address.removeprefix("https://github.com/")) + r"(?![\w-])")
    holding = {name for name, text in texts() if pattern.search(text)}
    stamped = {
        name for name in holding if name == "README.md" or re.fullmatch(r"notebooks/(exercises/)?[^/]+\.ipynb", name)
    }
    assert holding - stamped == {"pyproject.toml"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    outside_the_stamp = re.sub(r"<!-- stamp:start -->.*?<!-- stamp:end -->", "", readme, flags=re.DOTALL)
    assert not pattern.search(outside_the_stamp), "in README.md the address stands only between the stamp's two marks"


def test_nothing_names_a_place_on_one_machine() -> None:
    # Put together here, so that this file does not name them itself.
    places = [f"/{name}/" for name in ("root", "home", "Users", "tmp", "work", "opt")]
    pattern = re.compile("|".join(rf"(?<![\w.*:~/-]){re.escape(place)}\w" for place in places))
    for name, text in texts():
        found = pattern.search(text)
        assert found is None, f"{name} names {found[0]!r}, a place on one machine"


def test_no_python_file_catches_every_error() -> None:
    for path in project_files():
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                names = {getattr(kind, "id", None) for kind in kinds}
                # BaseException is for cleaning up; what was caught must go on.
                goes_on = any(isinstance(each, ast.Raise) and each.exc is None for each in ast.walk(node))
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                assert node.type is not None and "Exception" not in names, f"{place} catches every error"
                assert "BaseException" not in names or goes_on, f"{place} swallows even a Ctrl-C"


def test_no_file_is_too_large_for_a_repository() -> None:
    for path in project_files():
        megabytes = path.stat().st_size / 1e6
        assert megabytes <= 20, f"{path.relative_to(ROOT)} has {megabytes:.0f} MB, more than 20"


def test_notebooks_have_no_outputs() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
            assert not cell.get("outputs"), f"{path.name}, cell {number} has outputs; run `nbstripout --keep-id` on it"
            assert cell.get("execution_count") is None, f"{path.name}, cell {number} has an execution count"
