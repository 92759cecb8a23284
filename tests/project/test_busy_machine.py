"""How the threads of torch wait: set early enough, everywhere, and never against the user's own choice."""

import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import ROOT  # also makes the files of scripts/ importable

from dmws_lite._system import available_processors, wait_politely

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
# Ends the process with the value of the variable as soon as anything imports torch.
TRAP = """
import os, sys
class Trap:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("spins:", os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Trap())
"""


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that it is restored afterwards
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("nothing_set")
def test_one_variable_is_set_once_and_nothing_else() -> None:
    before = dict(os.environ)
    wait_politely()
    assert dict(os.environ) == before | {"GOMP_SPINCOUNT": "1000"}
    wait_politely()
    assert dict(os.environ) == before | {"GOMP_SPINCOUNT": "1000"}


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "ACTIVE")])
def test_what_the_user_has_set_stays(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    before = dict(os.environ)
    wait_politely()
    assert dict(os.environ) == before


def test_it_needs_no_torch() -> None:
    path = inspect.getsourcefile(wait_politely)
    code = f"import runpy, sys; runpy.run_path({path!r})['wait_politely'](); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def setup_cell() -> str:
    spec = importlib.util.spec_from_file_location("stamp_notebooks", ROOT / "scripts" / "stamp_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.setup_source(module.repository_url())


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import dmws_lite, torch",
        "from dmws_lite.training.fit import fit",
        "import runpy; sys.argv[1:] = ['--version']; runpy.run_module('dmws_lite', run_name='__main__')",
        "from dmws_lite.cli import main; main(['--version'])",
        "sys.path.insert(0, 'scripts'); import build_book; import torch",
        "sys.path.insert(0, 'tests'); import conftest; import torch",
        setup_cell(),
    ],
    ids=["package", "module", "python -m", "command", "build", "tests", "set-up cell"],
)
def test_it_is_set_before_torch_is_imported(code: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in NAMES}
    answer = subprocess.run(
        [sys.executable, "-c", TRAP + code],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.splitlines()[-1:] == ["spins: 1000"], answer.stdout + answer.stderr


@pytest.mark.usefixtures("nothing_set")
def test_the_kernels_of_the_book_inherit_it() -> None:
    import build_book

    assert build_book.environment_of_the_build(build_book.ROOT)["GOMP_SPINCOUNT"] == "1000"


def test_more_threads_than_processors_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dmws_lite.cli import main

    processors = available_processors()
    assert main(["run", "phantom_ablations", "--threads", str(processors + 1), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: --threads {processors + 1} is out of range; give 1 to {processors}, the processors of this machine\n"
    )
