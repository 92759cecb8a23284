"""The built wheel in an environment of its own, and commands run there as a new user would run them."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


INHERITED = ("PYTHON", "PYTEST", "MPL")  # settings of this shell's Python, which a new user does not have


def run(command: list[object], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a new user would: without a network for weights, and without this shell's Python settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**inherited, "HF_HUB_OFFLINE": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def succeeded(answer: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether a command ended well; if not, print what it said, for pytest's report."""
    if answer.returncode:
        print(answer.stdout[-6000:], answer.stderr[-6000:])
    return answer.returncode == 0


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from this checkout, without a network: the build backend is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-w", folder]
    assert succeeded(run([sys.executable, "-m", "pip", "wheel", *options, ROOT], folder))
    (path,) = folder.glob("dmws_lite-*.whl")
    return path


@pytest.fixture(scope="session")
def wheel_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with nothing but the wheel in it; what the wheel needs is borrowed, not copied.

    The borrowed folder is named in a .pth file. Python does not read .pth files found *there*, so the checkout that
    this environment has in editable form stays out of sight.
    """
    folder = tmp_path_factory.mktemp("colab") / "environment"
    assert succeeded(run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent))
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    assert succeeded(run(install, folder.parent))
    where = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder.parent).stdout.strip()
    Path(where, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    kernel = [python, "-m", "ipykernel", "install", "--prefix", folder, "--name", "wheel"]
    assert succeeded(run(kernel, folder.parent))
    return python


def execute(notebook: nbformat.NotebookNode, python: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute a notebook in a folder with the kernel of ``wheel_python``; its cells get their outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised that was not tagged ``raises-exception``.
        AssertionError: the callback of a widget raised.
    """
    for name in [name for name in os.environ if name.startswith(INHERITED)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("JUPYTER_PATH", str(python.parents[1] / "share" / "jupyter"))
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=900, kernel_name="wheel", resources=place)
    client.execute()
    # A callback that raises leaves its error in an output widget; the cell that shows the widget succeeds.
    outputs = [output for state in client.widget_state.values() for output in state.get("outputs", [])]
    errors = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    assert not errors, f"callbacks of widgets raised: {errors}"
