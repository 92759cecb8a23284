"""The notebooks' set-up cell, in places with and without the package, and the repository's address that is stamped.

The cell runs among stand-ins: a Python without installed packages, modules that hold nothing but a version, and a pip
that writes down what it is asked for.
"""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from browser import ROOT  # also makes the files of scripts/ importable
from nbformat.v4 import new_markdown_cell, new_notebook
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from stamp_notebooks import SETUP, github_address, main, origin_address, repository_url, setup_source

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

URL = "https://github.com/a/b"
# Writes down its arguments, and installs by writing the module; fails where it cannot reach what is asked for.
PIP = """\
import os, pathlib, sys
pathlib.Path(os.environ["ASKED"]).write_text("\\n".join(sys.argv[1:]))
if any(os.environ["UNREACHABLE"] in word for word in sys.argv):
    sys.exit("ERROR: Could not find a version that satisfies the requirement")
here = pathlib.Path(__file__).parents[1]
for word in sys.argv[3:]:
    name = {"scikit-learn": "sklearn"}.get(word, word.partition("[")[0])
    (here / f"{name}.py").write_text("__version__ = 'from pip'")
"""
TORCH = "__version__ = '2.1'\nclass cuda:\n    is_available = staticmethod(lambda: False)\n"


class Place:
    """A folder with a notebook's set-up cell in it, and a Python that knows only stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.modules = folder / "modules"
        self.notebooks = folder / "my clone" / "notebooks"
        self.asked = folder / "asked"
        self.notebooks.mkdir(parents=True)
        (self.modules / "pip").mkdir(parents=True)
        (self.modules / "pip" / "__init__.py").touch()
        (self.modules / "pip" / "__main__.py").write_text(PIP)
        (self.modules / "torch.py").write_text(TORCH)
        for name in ("timm", "sklearn", "matplotlib", "anywidget", "lazy_loader", "pandas", "tabulate"):
            self.install(name)

    def install(self, name: str) -> None:
        (self.modules / f"{name}.py").write_text("__version__ = 'installed'")

    def clone(self) -> None:
        package = self.notebooks.parent / "dmws_lite"
        (package / "cli").mkdir(parents=True)
        (package / "__init__.py").write_text("__version__ = 'of the clone'")

    def run(self, unreachable: str = "nothing") -> subprocess.CompletedProcess[str]:
        """Run the cell; ``unreachable`` is part of what pip cannot install."""
        self.asked.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(self.modules), "ASKED": str(self.asked)}
        return subprocess.run(
            [sys.executable, "-S", "-c", setup_source(URL)],
            cwd=self.notebooks,
            env={**environment, "UNREACHABLE": unreachable},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        """What pip was asked to install, or an empty list where it was not started."""
        return self.asked.read_text().split("\n")[2:] if self.asked.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_installed_package_is_used_whatever_lies_around(place: Place) -> None:
    place.install("dmws_lite")
    place.clone()
    (place.notebooks / "dmws_lite-0.1.0-py3-none-any.whl").touch()
    answer = place.run()
    assert answer.stdout == "dmws_lite installed\ntorch 2.1 on the CPU\n", answer.stderr
    assert not place.installed


@pytest.mark.parametrize("depth", [0, 1])
def test_the_clone_around_is_used_without_installing_it(place: Place, depth: int) -> None:
    place.clone()
    if depth:
        place.notebooks = place.notebooks / "exercises"
        place.notebooks.mkdir()
    (place.notebooks / "dmws_lite-0.1.0-py3-none-any.whl").touch()
    assert place.run().stdout.startswith("dmws_lite of the clone\n")
    assert not place.installed


def test_what_the_clone_needs_is_installed_where_it_is_missing(place: Place) -> None:
    place.clone()
    for name in ("timm", "sklearn"):
        (place.modules / f"{name}.py").unlink()
    answer = place.run()
    assert answer.stdout.startswith("dmws_lite of the clone\n"), answer.stderr
    assert sorted(place.installed) == ["scikit-learn", "timm"]


def test_a_folder_of_the_packages_name_is_no_clone(place: Place) -> None:
    (place.notebooks.parent / "dmws_lite").mkdir()
    place.run()
    assert place.installed == [f"dmws_lite[widgets] @ git+{URL}"]


def test_a_wheel_beside_the_notebook_is_installed(place: Place) -> None:
    for version in ("0.1.0", "0.2.0"):
        wheel = place.notebooks / f"dmws_lite-{version}-py3-none-any.whl"
        wheel.touch()
    answer = place.run(unreachable="git+")
    assert answer.stdout.startswith("dmws_lite from pip\n"), answer.stderr
    assert place.installed == [f"dmws_lite[widgets] @ {wheel.as_uri()}"]
    assert Requirement(place.installed[0]).url == wheel.as_uri()


def test_otherwise_it_comes_from_the_repository(place: Place) -> None:
    answer = place.run()
    assert answer.stdout.startswith("dmws_lite from pip\n"), answer.stderr
    assert place.installed == [f"dmws_lite[widgets] @ git+{URL}"]


def test_where_it_is_nowhere_one_sentence_says_what_to_do(place: Place) -> None:
    answer = place.run(unreachable="git+")
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == (
        "ImportError: dmws_lite could not be installed: put its wheel beside this notebook, or run "
        "python make.py lab in a clone"
    )
    assert "Could not find a version" in answer.stderr, "what pip says is not hidden"


def test_the_cell_is_small() -> None:
    lines = setup_source(repository_url()).split("\n")
    assert len(lines) < 25 and max(map(len, lines)) <= 88


def test_what_the_cell_looks_for_brings_everything_that_the_package_needs() -> None:
    """A clone is used without pip, so its requirements have to come with those few that the cell installs."""
    found: set[str] = set()
    names = ["timm", "scikit-learn", "matplotlib", "anywidget", "lazy_loader", "pandas", "tabulate"]
    assert all(name in SETUP for name in names)
    while names:
        name = canonicalize_name(names.pop())
        if name not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or [])
            names += [each.name for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = map(Requirement, project["dependencies"] + project["optional-dependencies"]["widgets"])
    assert {canonicalize_name(each.name) for each in wanted} <= found


# --- the address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/a/b", URL),
        ("https://github.com/a/b.git\n", URL),
        ("https://github.com/a/b/", URL),
        ("git@github.com:a/b.git", URL),
        ("ssh://git@github.com/a/b.git", URL),
        ("https://name:secret@github.com/a/b.git", URL),
        ("https://github.com/a.c/b-d_e.f.git", "https://github.com/a.c/b-d_e.f"),
        ("https://gitlab.com/a/b.git", None),
        ("https://example.org/github.com/a/b", None),
        ("https://notgithub.com/a/b", None),
        ("../b", None),
        ("", None),
    ],
)
def test_the_address_of_an_origin(origin: str, address: str | None) -> None:
    assert github_address(origin) == address


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git repository with an address in pyproject.toml and one notebook that carries it."""
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n[project.urls]\n# Why.\nRepository = "{URL}"\n')
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Title")]), tmp_path / "notebooks" / "one.ipynb")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert main([], tmp_path) == 0
    return tmp_path


def set_origin(clone: Path, origin: str) -> None:
    subprocess.run(["git", "-C", str(clone), "config", "remote.origin.url", origin], check=True)


def test_stamping_offers_the_origin_of_the_clone_and_takes_it_on_demand(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_origin(clone, "git@github.com:c/d.git")
    capsys.readouterr()
    assert main([], clone) == 0
    offer = capsys.readouterr().out
    assert f"Stamped with {URL}" in offer and "comes from https://github.com/c/d." in offer
    assert "make stamp-origin" in offer and repository_url(clone) == URL
    assert main(["--origin"], clone) == 0
    assert "stamp-origin" not in capsys.readouterr().out
    text = (clone / "pyproject.toml").read_text()
    assert text == '[project]\nname = "x"\n[project.urls]\n# Why.\nRepository = "https://github.com/c/d"\n'
    notebook = (clone / "notebooks" / "one.ipynb").read_text()
    assert URL not in notebook and "git+https://github.com/c/d" in notebook
    assert main(["--check"], clone) == 0 and capsys.readouterr().out == ""


@pytest.mark.parametrize("origin", ["", URL, f"{URL}.git", "https://gitlab.com/c/d"])
def test_nothing_is_offered_where_there_is_nothing_to_take(
    clone: Path, origin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if origin:
        set_origin(clone, origin)
    capsys.readouterr()
    assert main([], clone) == 0
    assert capsys.readouterr().out == ""


def test_a_clone_without_an_origin_on_github_is_told_where_to_write_the_address(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (clone / "pyproject.toml").read_text()
    assert main(["--origin"], clone) == 1
    assert "write its address into pyproject.toml" in capsys.readouterr().err
    assert (clone / "pyproject.toml").read_text() == before


def test_a_folder_inside_another_repository_has_no_origin(clone: Path) -> None:
    set_origin(clone, "https://github.com/c/d")
    assert origin_address(clone) == "https://github.com/c/d"
    assert origin_address(clone / "notebooks") is None
