"""``make.py`` and the Makefile that calls it, in a copy of the set-up where a stand-in takes the place of Python."""

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A Python that writes down how it is called. Asked for a virtual environment it makes one with itself in it.
STAND_IN = """\
#!/bin/sh
{ printf '%s' "$OMP_NUM_THREADS"; for word in "$@"; do printf '|%s' "$word"; done; echo; } >> "$CALLS"
if test "$1 $2" = "-m venv"; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
case "$*" in *"$FAILING"*) exit 3;; *"$WAITING"*) trap "echo tidied up; exit 0" INT; sleep 30;; esac
"""
# Runs make.py with the real Python, whose base is said to be the stand-in.
RUNNER = """\
import runpy, sys
sys._base_executable = {stand_in!r}
{change}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make_py() -> ModuleType:
    """Import make.py from the top folder."""
    spec = importlib.util.spec_from_file_location("make_py", ROOT / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def makefile_targets() -> list[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    return re.search(r"^TARGETS = (.*)$", text, re.MULTILINE)[1].split()


def all_targets() -> list[str]:
    module = make_py()
    return [*module.IN_ENVIRONMENT, *module.WITHOUT_ENVIRONMENT]


class Checkout:
    """A copy of the files that make reads, in a folder with spaces in its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("make.py", "Makefile", "requirements.txt", "pyproject.toml"):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        (folder / "notebooks").mkdir()
        (folder / "notebooks" / "01 first.ipynb").write_text("{}")
        self.stamp = folder / ".venv" / ".installed"
        self.log = folder.parent / "calls"
        self.stand_in = folder.parent / "stand in"
        self.stand_in.write_text(STAND_IN)
        self.stand_in.chmod(0o755)
        self.python = self.write_python()

    def write_python(self, change: str = "") -> Path:
        """Write a program to be used as PYTHON; ``change`` is code that runs in it before make.py does."""
        runner = self.folder.parent / "runner.py"
        runner.write_text(RUNNER.format(stand_in=str(self.stand_in), change=change))
        python = self.folder.parent / "a python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{runner}" "$@"\n')
        python.chmod(0o755)
        return python

    def start(self, *words: str, way: str = "make.py", **variables: str) -> subprocess.Popen[str]:
        """Start make.py itself, or make, as the head of a process group of its own."""
        self.log.write_text("")
        if way == "make.py":
            command = [self.python, self.folder / "make.py", *words]
        else:
            command = ["make", "-C", self.folder, f"PYTHON={self.python}", *words]
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PIP_OPTIONS", "OMP_NUM_THREADS")
        }
        environment |= {"CALLS": str(self.log), "FAILING": "no such call", "WAITING": "no such call", **variables}
        return subprocess.Popen(
            list(map(str, command)),
            env=environment,
            cwd=self.folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, way: str = "make.py", **variables: str) -> subprocess.CompletedProcess[str]:
        """Call make.py itself, or make, to the end. The calls of Python that it made are in ``calls``."""
        process = self.start(*words, way=way, **variables)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call of Python, without those that only ask whether it starts."""
        lines = [line.split("|") for line in self.log.read_text().splitlines()]
        return [words[1:] for words in lines if words[1:] != ["-c", ""]]

    @property
    def done(self) -> str:
        """What happened to the environment in the last run."""
        if any(words[:2] == ["-m", "venv"] for words in self.calls):
            return "made"
        return "updated" if any(words[:3] == ["-m", "pip", "install"] for words in self.calls) else "left alone"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    folder = tmp_path / "a path with spaces"
    folder.mkdir()
    return Checkout(folder)


@pytest.fixture(params=["make.py", "make"])
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "make" and shutil.which("make") is None:
        pytest.skip("there is no make")
    return request.param


# --- what is missing is named ----------------------------------------------------------------------------------------


def test_without_venv_it_names_the_package_to_install(checkout: Checkout, way: str) -> None:
    checkout.write_python('sys.modules["ensurepip"] = None')
    answer = checkout.run("book", way=way)
    assert answer.returncode != 0
    assert "apt install python3-venv" in answer.stderr
    assert not checkout.stamp.parent.exists()


def test_an_old_python_is_refused(checkout: Checkout, way: str) -> None:
    checkout.write_python("sys.version_info = (3, 8, 1)")
    answer = checkout.run("book", way=way)
    assert answer.returncode != 0
    assert "Python 3.8.1 is too old: Python 3.10 or newer" in answer.stderr
    assert not checkout.calls


def test_a_missing_python_is_named(checkout: Checkout) -> None:
    answer = checkout.run("book", "PYTHON=no-such-python", way="make")
    assert answer.returncode != 0
    assert "no-such-python was not found" in answer.stderr


def test_any_python_can_read_make_py() -> None:
    tree = ast.parse((ROOT / "make.py").read_text(encoding="utf-8"))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.Starred, ast.Nonlocal, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        assert not isinstance(node, newer), f"line {node.lineno}: Python 2 ends in a SyntaxError here"
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs and not node.posonlyargs
            assert not any(argument.annotation for argument in node.args)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", "a statement in Python 2"
    assert (ROOT / "make.py").read_bytes().isascii()


# --- the environment -------------------------------------------------------------------------------------------------


def test_the_first_target_makes_the_environment_and_the_next_uses_it(checkout: Checkout, way: str) -> None:
    answer = checkout.run("book", way=way)
    assert answer.returncode == 0, answer.stderr
    assert "Making the environment" in answer.stdout
    environment = checkout.folder / ".venv"
    pip = ["-m", "pip", "install", "--disable-pip-version-check"]
    assert checkout.calls == [
        ["-m", "venv", str(environment)],
        [*pip, "--quiet", "--upgrade", "pip>=23.1"],
        [*pip, "--progress-bar", "off", "-r", "requirements.txt", "-e", "."],
        ["scripts/build_book.py"],
    ]
    assert checkout.stamp.read_text() == f"{checkout.folder.resolve()}\n"
    answer = checkout.run("book", way=way)
    assert answer.returncode == 0 and checkout.calls == [["scripts/build_book.py"]]


def test_an_environment_is_made_anew_when_half_made_or_moved_and_updated_when_older(checkout: Checkout) -> None:
    python = checkout.folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    shutil.copy(checkout.stand_in, python)
    checkout.run("environment")
    assert checkout.done == "made", "half-made: no stamp"
    checkout.run("environment")
    assert checkout.done == "left alone"
    checkout.stamp.write_text("/another/folder\n")
    checkout.run("environment")
    assert checkout.done == "made", "moved: another folder's stamp"
    python.unlink()
    checkout.run("environment")
    assert checkout.done == "made", "its Python has gone"
    python.write_text("#!/bin/sh\nexit 1\n")
    checkout.run("environment")
    assert checkout.done == "made", "its Python does not start"
    for name in ("requirements.txt", "pyproject.toml"):
        later = checkout.stamp.stat().st_mtime + 10
        os.utime(checkout.folder / name, (later, later))
        answer = checkout.run("environment")
        assert checkout.done == "updated" and "up to date" in answer.stdout, f"older than {name}"
        os.utime(checkout.folder / name, (later - 100, later - 100))


def test_the_environment_of_the_old_makefile_is_used_as_it_is(checkout: Checkout) -> None:
    checkout.run("environment")
    subprocess.run("pwd -P > .venv/.installed", shell=True, cwd=checkout.folder, check=True)
    checkout.run("environment")
    assert checkout.done == "left alone"


def test_after_a_failed_installation_the_next_run_tries_again(checkout: Checkout, way: str) -> None:
    answer = checkout.run("book", way=way, FAILING="-r requirements.txt")
    assert answer.returncode != 0 and not checkout.stamp.exists()
    assert ["scripts/build_book.py"] not in checkout.calls
    checkout.run("book", way=way)
    assert checkout.done == "made"
    later = checkout.stamp.stat().st_mtime + 10
    os.utime(checkout.folder / "requirements.txt", (later, later))
    checkout.run("book", way=way, FAILING="-r requirements.txt")
    assert checkout.done == "updated"
    checkout.run("book", way=way, FAILING="-r requirements.txt")
    assert checkout.done == "updated", "the stamp stays older until an update succeeds"


def test_the_environment_alone(checkout: Checkout) -> None:
    assert checkout.run(".venv/.installed", way="make").returncode == 0
    assert checkout.done == "made" and len(checkout.calls) == 3


@pytest.mark.parametrize("given", ["environment variable", "word"])
def test_pip_options_reach_every_pip(checkout: Checkout, way: str, given: str) -> None:
    options = '--extra-index-url "https://example.org/a b" --no-cache-dir'
    if given == "word":
        answer = checkout.run("wheelhouse", f"PIP_OPTIONS={options}", way=way)
    else:
        answer = checkout.run("wheelhouse", way=way, PIP_OPTIONS=options)
    assert answer.returncode == 0, answer.stderr
    calls = [words for words in checkout.calls if words[:2] == ["-m", "pip"]]
    assert [words[2] for words in calls] == ["install", "install", "wheel"]
    for words in calls:
        place = words.index("--extra-index-url")
        assert words[place : place + 3] == ["--extra-index-url", "https://example.org/a b", "--no-cache-dir"]


def test_pip_options_that_are_no_words_are_refused_before_anything_is_removed(checkout: Checkout) -> None:
    checkout.run("environment")
    checkout.stamp.unlink()
    answer = checkout.run("environment", "PIP_OPTIONS='open")
    assert answer.returncode == 1 and answer.stderr.startswith("make.py: PIP_OPTIONS='open cannot be split into words")
    assert (checkout.folder / ".venv" / "bin" / "python").exists()


def test_the_python_of_the_environment_is_where_its_system_puts_it() -> None:
    module = make_py()
    assert Path(module.venv_python("a b", "nt")) == Path("a b", "Scripts", "python.exe")
    assert Path(module.venv_python("a b", "posix")) == Path("a b", "bin", "python")


def test_options_are_split_as_the_system_writes_paths() -> None:
    split = make_py().split_options
    assert split(r'--find-links "C:\my wheels" --no-index', "nt") == ["--find-links", r"C:\my wheels", "--no-index"]
    assert split(r"--find-links C:\wheels", "nt") == ["--find-links", r"C:\wheels"]
    assert split(r"--find-links my\ wheels '--pre'", "posix") == ["--find-links", "my wheels", "--pre"]
    assert split("", "nt") == split("", "posix") == []


# --- the targets -----------------------------------------------------------------------------------------------------


def test_help_lists_every_target_and_is_what_comes_without_one(checkout: Checkout, way: str) -> None:
    answer = checkout.run("help", way=way)
    assert answer.returncode == 0 and not checkout.calls and not checkout.stamp.parent.exists()
    listed = re.findall(r"^  ([a-z-]+) +\S", answer.stdout, re.MULTILINE)
    assert listed == all_targets()
    assert "PIP_OPTIONS" in answer.stdout
    assert checkout.run(way=way).stdout == answer.stdout


def test_make_knows_the_same_targets() -> None:
    assert sorted(makefile_targets()) == sorted(all_targets())
    assert makefile_targets()[0] == "help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bok"], "there is no target bok; did you mean book? `python make.py help` lists all"),
        (["book", "everything"], "there is no target everything; `python make.py help` lists all"),
        (["book", "PIP_OPTION=x"], "there is no variable PIP_OPTION, only PIP_OPTIONS"),
        (["book", "PYTHON=python3.12"], "start another Python yourself: python3.12 make.py TARGET"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(checkout: Checkout, words: list[str], message: str) -> None:
    answer = checkout.run(*words)
    assert answer.returncode == 2 and not checkout.calls
    assert message in answer.stderr and answer.stderr.count("\n") == 1 and answer.stderr.startswith("make.py: ")


def test_every_file_that_a_target_runs_exists() -> None:
    steps = [step for _, steps in make_py().IN_ENVIRONMENT.values() for step in steps]
    for step in steps:
        if step[0] != "-m":
            assert (ROOT / step[0]).is_file(), step[0]


def test_several_targets_run_in_order_and_stop_at_a_failure(checkout: Checkout) -> None:
    checkout.run("environment")
    assert checkout.run("book", "zip").returncode == 0
    assert checkout.calls == [["scripts/build_book.py"], ["scripts/zip_book.py"]]
    assert checkout.run("book", "zip", FAILING="build_book").returncode == 3
    assert checkout.calls == [["scripts/build_book.py"]]


def test_after_ctrl_c_a_program_may_tidy_up(checkout: Checkout) -> None:
    checkout.run("environment")
    # Where the tests themselves run in the background, Ctrl-C is ignored, and programs that they start inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = checkout.start("lab", WAITING="jupyter")
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 30
    while not checkout.calls and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)  # from its first line to its trap
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("tidied up\n", "", 0)


def test_check_is_style_first_and_then_the_fast_tests_with_one_thread_each(checkout: Checkout) -> None:
    checkout.run("environment")
    checkout.run("check")
    style = checkout.calls[:-1]
    assert checkout.calls[-1] == [
        "-m",
        "pytest",
        "-m",
        "not slow and not notebooks and not browser",
        *make_py().SIDE_BY_SIDE,
    ]
    assert checkout.log.read_text().splitlines()[-1].startswith("1|-m|pytest")
    assert ["-m", "nbstripout", "--verify", "--keep-id", str(Path("notebooks", "01 first.ipynb"))] in style
    checkout.run("lint")
    assert checkout.calls == style
    assert checkout.run("check", FAILING="ruff check").returncode == 3
    assert checkout.calls == [["-m", "ruff", "check", "."]]


def test_lint_changes_nothing() -> None:
    for step in make_py().LINT:
        writes = step[0] in ("scripts/stamp_notebooks.py", "scripts/stamp_results.py", "scripts/make_exercises.py")
        assert not writes or "--check" in step, step


def test_clean_removes_what_was_built_and_distclean_the_environment_too(checkout: Checkout) -> None:
    checkout.run("environment")
    kept = checkout.folder.parent / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    (checkout.folder / "runs").symlink_to(kept)
    for name in ("_build/html", "dist", ".ruff_cache", "tests/__pycache__", ".venv/lib/__pycache__", "notebooks/keep"):
        (checkout.folder / name).mkdir(parents=True, exist_ok=True)
    assert checkout.run("clean").returncode == 0
    left = {path.name for path in checkout.folder.iterdir()}
    assert left == {"make.py", "Makefile", "requirements.txt", "pyproject.toml", "notebooks", "tests", ".venv"}
    assert not list((checkout.folder / "tests").iterdir()) and (checkout.folder / "notebooks" / "keep").exists()
    assert (checkout.folder / ".venv" / "lib" / "__pycache__").exists(), "the environment stays whole"
    assert (kept / "file").exists(), "what a link points to is not ours"
    assert checkout.run("distclean").returncode == 0
    assert not (checkout.folder / ".venv").exists()
