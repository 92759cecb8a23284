"""The log of a build: what is left out, and that a warning never is. The lines are from real builds."""

import subprocess
import sys
from pathlib import Path

import pytest
from browser import ROOT  # also makes the files of scripts/ importable
from build_log import error_line, run_reduced, status_line

BOOK = Path("/books/my book")
TCP = (
    "[IPKernelApp] WARNING | Kernel is running over TCP without encryption. All communication (including code and "
    "outputs) is sent in plain text and is susceptible to eavesdropping. Use IPC transport or launch with kernel "
    "manager-provisioned CurveZMQ keys to enable transport encryption."
)
BAR = "100%|██████████| 10/10 [00:10<00:00,  1.02s/it]"
BOLD, DARK, RED, OFF = "\x1b[01m", "\x1b[35m", "\x1b[91m", "\x1b[39;49;00m"


@pytest.mark.parametrize(
    "line",
    [
        "Running Jupyter-Book v1.0.4.post1",
        "Source Folder: /books/my book",
        "Output Path: /books/my book/_build/html",
        f"{BOLD}Running Sphinx v7.4.7{OFF}",
        f"{BOLD}loading translations [en]... {OFF}done",
        "[etoc] Changing master_doc to 'book/intro'",
        f"{BOLD}myst v3.0.1:{OFF} MdParserConfig(commonmark_only=False, disable_syntax=[], all_links_external=False)",
        f"{BOLD}myst-nb v1.4.0:{OFF} NbParserConfig(custom_formats={{}}, execution_mode='cache')",
        "Using jupyter-cache at: /books/my book/_build/.jupyter_cache",
        f"{BOLD}sphinx-multitoc-numbering v0.1.3:{OFF} Loaded",
        "checking bibtex cache... out of date",
        "parsing bibtex file /books/my book/book/references.bib... parsed 23 entries",
        f"{BOLD}building [mo]: {OFF}targets for 0 po files that are out of date",
        f"{BOLD}writing output... {OFF}",
        f"{BOLD}building [html]: {OFF}targets for 3 source files that are out of date",
        f"{BOLD}updating environment: {OFF}[new config] 3 added, 0 changed, 0 removed",
        f"{BOLD}reading sources... {OFF}[ 33%] {DARK}book/intro{OFF}",
        "/books/my book/notebooks/one.ipynb: Executing notebook using temporary CWD [mystnb]",
        "/books/my book/notebooks/one.ipynb: Cached executed notebook: ID=1 [mystnb]",
        f"{BOLD}looking for now-outdated files... {OFF}none found",
        f"{BOLD}pickling environment... {OFF}done",
        f"{BOLD}checking consistency... {OFF}done",
        f"{BOLD}copying assets... {OFF}",
        f"{BOLD}copying assets: {OFF}done",
        f"{BOLD}writing output... {OFF}[100%] {DARK}notebooks/two{OFF}",
        f"{BOLD}generating indices... {OFF}genindex done",
        f"{BOLD}writing additional pages... {OFF}search done",
        f"{BOLD}copying images... {OFF}[ 50%] {DARK}_build/jupyter_execute/bc47980ae5cfa90acec7.png{OFF}",
        f"{BOLD}dumping search index in English (code: en)... {OFF}done",
        "[etoc] missing index.html written as redirect to 'book/intro.html'",
        f"{BOLD}build succeeded.{OFF}",
        "The HTML pages are in _build/html.",
        "",
        "===============================================================================",
        "            Your book's HTML pages are here:",
        "                _build/html/",
        "                file:///books/my book/_build/html/index.html            ",
    ],
)
def test_what_a_sound_build_says_is_left_out(line: str) -> None:
    assert status_line(f"{line}\n", BOOK) is None


@pytest.mark.parametrize(
    "line",
    [
        f"{BOLD}build finished with problems, 5 warnings.{OFF}",
        "Building your book, returns a non-zero exit code (1). Look above for the cause.",
        "checking consistency... /books/my book/book/lost.md: WARNING: document isn't included in any toctree",
        "reading sources... [ 33%] book/intro WARNING: something new",
        "pickling environment... failed",
        "loading translations [xx]... not available for built-in messages",
        "/books/my book/notebooks/one.ipynb: Using an unknown notebook: ID=1 [mystnb]",
        "something that no one foresaw",
    ],
)
def test_everything_else_is_shown_as_it_is(line: str) -> None:
    assert status_line(f"{line}\n", BOOK) == line


def test_an_executed_notebook_is_one_line_with_its_time() -> None:
    line = "/books/my book/notebooks/one.ipynb: Executed notebook in 33.07 seconds [mystnb]\n"
    assert status_line(line, BOOK) == "    33.1 s  notebooks/one.ipynb"
    assert status_line(line, Path("/elsewhere")) == "    33.1 s  /books/my book/notebooks/one.ipynb"


@pytest.mark.parametrize(
    "line",
    [
        TCP,
        BAR,
        "  0%|          | 0/3 [00:00<?, ?it/s]",
        "phantoms:  10%|█         | 1.2k/12k [00:01<00:09, 1.0kit/s]",
        "0.00s - Debugger warning: It seems that frozen modules are being used, which may",
        "0.00s - make the debugger miss breakpoints. Please pass -Xfrozen_modules=off",
        "0.00s - to python to disable frozen modules.",
        "0.00s - Note: Debugging will proceed. Set PYDEVD_DISABLE_FILE_VALIDATION=1 to disable this validation.",
    ],
)
def test_the_noise_of_kernels_is_left_out(line: str) -> None:
    assert error_line(f"{line}\n") is None


@pytest.mark.parametrize(
    "line",
    [
        f'{RED}/books/my book/book/intro.md:3: WARNING: could not find bibtex key "nokey"{OFF}',
        f"{RED}/books/my book/notebooks/two.ipynb: WARNING: Executing notebook failed: CellExecutionError{OFF}",
        "[IPKernelApp] WARNING | Unknown error in handling startup files:",
        "[IPKernelApp] ERROR | Failed to load connection file: 'kernel.json'",
        f"OSError: {TCP}",
        "Traceback (most recent call last):",
        "    100%|wrong",
        "",
    ],
)
def test_every_other_line_of_the_error_stream_is_shown(line: str) -> None:
    assert error_line(f"{line}\n") == line


def test_a_build_is_shown_line_by_line_on_its_own_streams(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "build.py"
    script.write_text(
        "import os, sys\n"
        f"print({BOLD!r} + 'build succeeded.')\n"
        f"print({str(tmp_path / 'one.ipynb')!r} + ': Executed notebook in 2.00 seconds [mystnb]')\n"
        f"print({TCP!r}, file=sys.stderr)\n"
        f"os.write(2, '\\r{BAR}\\r{BAR}\\n'.encode())\n"
        f"print({RED!r} + 'one.md: WARNING: \\u00e9t\\u00e9', file=sys.stderr)\n"
        "print(os.getcwd(), os.environ['GIVEN'])\n"
        "sys.exit(3)\n",
        encoding="utf-8",
    )
    assert run_reduced([sys.executable, str(script)], tmp_path, {"GIVEN": "value"}) == 3
    out, err = capfd.readouterr()
    assert out == f"     2.0 s  one.ipynb\n{tmp_path} value\n"
    assert err.strip("\n") == "one.md: WARNING: été"


def test_lines_come_while_the_build_goes_on(tmp_path: Path) -> None:
    """The build waits for a file that is made when its first line has been read."""
    (tmp_path / "build.py").write_text(
        "import pathlib, time\nprint('first')\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        "from pathlib import Path; from build_log import run_reduced; import os\n"
        "run_reduced([sys.executable, 'build.py'], Path.cwd(), dict(os.environ))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "first\n"
    (tmp_path / "go").touch()
    assert process.wait(timeout=30) == 0
