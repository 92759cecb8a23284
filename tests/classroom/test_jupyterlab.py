"""JupyterLab, started for real: the training playground is trained by clicking, and a widget of the book moves."""

import importlib.util
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import chromium, number, open_page, put  # noqa: F401
from nbformat.v4 import new_code_cell, new_notebook

from dmws_lite.distillation.moving_average import remaining_share

PLAYGROUND, MEMORY = '[data-widget="training-playground"]', '[data-widget="auxiliary-memory"]'
# anywidget says this where a widget took more than two seconds to appear; that it appeared is tested.
SLOW = "[anywidget] Failed to initialize model"
PATIENCE = 180_000  # milliseconds, for a machine that does other work beside
CELLS = (
    "from dmws_lite.classroom.widgets import TrainingPlayground, auxiliary_memory\n"
    "from dmws_lite.classroom.widgets.session import Session, Settings",
    # Few and small images; so many steps that only Stop ends the first run.
    'tiny = Session(n=40, size=32, batch_size=8, device="cpu")\n'
    "TrainingPlayground(tiny, Settings(steps=20_000, fraction=0.5))",
    "auxiliary_memory()",
)
# Lab's news would be fetched from outside.
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


def started(runtime: Path, server: subprocess.Popen, log: Path) -> dict:
    """Wait until the server has written where it listens, and return that."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            text = path.read_text(encoding="utf-8")
            if text.endswith("}") or text.endswith("}\n"):  # not half written
                return json.loads(text)
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')[-4000:]}")


def end(server: subprocess.Popen, address: str, token: str) -> None:
    """Ask the server to shut down with its kernels; what does not listen is ended."""
    if address and server.poll() is None:
        request = urllib.request.Request(f"{address}api/shutdown?token={token}", data=b"", method="POST")
        try:
            urllib.request.urlopen(request, timeout=30).close()
            server.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address, token included, of a notebook in a JupyterLab of this environment, with settings of its own."""
    if importlib.util.find_spec("jupyterlab") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no JupyterLab: pip install -r requirements.txt")
    folders = {name: tmp_path / name for name in ("config", "data", "runtime", "notebooks")}
    for folder in folders.values():
        folder.mkdir()
    (folders["config"] / "labconfig").mkdir()
    (folders["config"] / "labconfig" / "page_config.json").write_text(json.dumps(NO_NEWS))
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, folders["notebooks"] / "playground.ipynb")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTEST"))}
    environment |= {f"JUPYTER_{name.upper()}_DIR": str(folders[name]) for name in ("config", "data", "runtime")}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "HF_HUB_OFFLINE": "1"}
    token, log, address = secrets.token_hex(16), tmp_path / "log", ""
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", f"--IdentityProvider.token={token}"]
    options += ["--LabApp.extension_manager=readonly", f"--ServerApp.root_dir={folders['notebooks']}"]
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            found = started(folders["runtime"], server, log)
            address = found["url"]
            yield f"{address}lab/tree/playground.ipynb?token={token}"
        finally:
            end(server, address, token)
            print(log.read_text(encoding="utf-8")[-4000:])  # pytest shows this where the test fails


def wait_for_words(page, start: str) -> None:
    """Wait until the playground's sentence begins with some words."""
    page.locator(f'{PLAYGROUND} [data-name="status"]').filter(has_text=start).wait_for(timeout=PATIENCE)


def button(page, name: str):
    """Return a button that can be pressed."""
    found = page.get_by_role("button", name=name, exact=True)
    found.wait_for(timeout=PATIENCE)
    return found


@pytest.mark.notebooks
def test_the_playground_is_trained_by_clicking(chromium, lab) -> None:  # noqa: F811
    page = open_page(chromium, lab, width=1300, height=2400, wait=".jp-Notebook")
    page.set_default_timeout(PATIENCE)
    try:
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # before that Lab asks which kernel is meant
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_selector(PLAYGROUND)
        page.wait_for_selector(MEMORY)

        alpha = page.locator(".widget-hslider", has_text="alpha").get_by_role("slider")
        alpha.focus()
        alpha.press("ArrowRight")
        page.locator(".widget-hslider", has_text="alpha").get_by_text("0.65").wait_for()

        button(page, "Train").click()
        page.wait_for_selector(f'{PLAYGROUND} [data-curve="loss"]', state="attached")
        button(page, "Stop").click()
        wait_for_words(page, "Stopped after")
        button(page, "Pin this run").click()
        first = page.locator('tr[data-row="A"]')
        assert "stopped" in first.inner_text() and "0.65" in first.inner_text()
        accuracy = f"{number(page, 'training-playground', 'main-accuracy'):.3f}"
        assert accuracy in first.inner_text()

        page.get_by_label("steps", exact=True).select_option("100")
        page.get_by_label("method", exact=True).select_option("CM1: one selection")
        page.locator(".widget-hslider", has_text="alpha").locator("[disabled]").first.wait_for()  # without effect now
        button(page, "Train").click()
        wait_for_words(page, "Finished 100 steps")
        button(page, "Pin this run").click()
        second = page.locator('tr[data-row="B"]')
        assert "CM1" in second.inner_text() and "0.65" not in second.inner_text()
        assert number(page, "training-playground", "step") == 100
        button(page, "Unpin A").click()
        first.wait_for(state="detached")
        assert second.is_visible() and page.locator('[role="alert"][data-name="error"]').count() == 0

        for beta, step in ((0.5, 3), (0.99, 100)):
            put(page, "auxiliary-memory", "beta", f"{beta}")
            put(page, "auxiliary-memory", "step", f"{step}")
            assert number(page, "auxiliary-memory", "share") == pytest.approx(remaining_share(beta, step), abs=1e-12)
        # Lab itself writes errors to the console; what counts is what was thrown or asked for outside.
        faults = [fault for fault in page.faults if fault.startswith(("outside", "exception")) and SLOW not in fault]
        assert faults == []
    finally:
        # pytest shows this where the test fails.
        print(*page.locator(f"{PLAYGROUND}, [data-name=error]").all_inner_texts(), *page.faults, sep="\n")
        page.close()
