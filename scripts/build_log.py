"""The log of a build, reduced to what a person wants to see: a line a notebook, and every warning and error."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

COLOUR = re.compile(r"\x1b\[[\d;]*m")
EXECUTED = re.compile(r"(?P<path>.+\.(?:ipynb|md)): Executed notebook in (?P<seconds>[\d.]+) seconds \[mystnb\]")
_PAGE = r"\[ *\d+%\] \S+(?: \.\. \S+)?"  # the progress of a list: "[ 33%] book/intro"
# What Jupyter Book and Sphinx say when all is well. A line is left out only if one of these matches it from its first
# character to its last: what no one foresaw is shown.
ROUTINE = [
    r"",
    r"=+",
    r"Running Jupyter-Book v\S+",
    r"(Source Folder|Config Path|Output Path): .*",
    r"Running Sphinx v\S+",
    r"loading translations \[\w+\]\.\.\. done",
    r"making output directory\.\.\. done",
    r"\[etoc\] Excluded \d+ extra file\(s\) not in toc",
    r"\[etoc\] Changing master_doc to '.*'",
    r"\[etoc\] missing index\.html written as redirect to '.*'",
    r"myst v\S+: MdParserConfig\(.*\)",
    r"myst-nb v\S+: NbParserConfig\(.*\)",
    r"Using jupyter-cache at: .*",
    r"sphinx-multitoc-numbering v\S+: Loaded",
    r"checking bibtex cache\.\.\. (out of date|up to date)",
    r"parsing bibtex file .*\.\.\. parsed \d+ entries",
    r"building \[\w+\]: targets for \d+ (po|source) files that are out of date",
    r"updating environment: \[new config\] \d+ added, \d+ changed, \d+ removed",
    rf"(reading sources|writing output|copying images|highlighting module code)\.\.\.(?: {_PAGE})?",
    r"looking for now-outdated files\.\.\. none found",
    r"(pickling environment|checking consistency|preparing documents)\.\.\. done",
    r"copying (assets|static files|extra files|downloadable files)(\.\.\.|:)( done)?",
    r"generating indices\.\.\. (genindex |py-modindex |modindex )*done",
    r"writing additional pages\.\.\. (search )?done",
    r"dumping (search index in English \(code: en\)|object inventory)\.\.\. done",
    r"build succeeded\.",
    r"The HTML pages are in .+\.",
    r".+\.(ipynb|md): Executing notebook using \w+ CWD \[mystnb\]",
    r".+\.(ipynb|md): Using cached notebook: ID=\d+ \[mystnb\]",
    r".+\.(ipynb|md): Cached executed notebook: ID=\d+ \[mystnb\]",
    r"Finished generating HTML for book\.",
    r"Your book's HTML pages are here:",
    r"You can look at your book by opening this file in a browser:",
    r"Or paste this line directly into your browser bar:",
    r"(file://.*)?_build[/\\]html[/\\](index\.html)?",
]
# What the kernels of the notebooks say to the terminal behind the page's back.
KERNEL_NOISE = [
    r"\[IPKernelApp\] WARNING \| Kernel is running over TCP without encryption\..*",
    r"\d+\.\d+s - (Debugger warning: It seems that frozen modules|make the debugger miss breakpoints).*",
    r"\d+\.\d+s - (to python to disable frozen modules\.|Note: Debugging will proceed\.).*",
    r".*\d+%\|.*\| *[\d.]+\w?/[\d.]+\w? \[.*\]",  # a progress bar of tqdm
]
_ROUTINE = re.compile("|".join(f"(?:{pattern})" for pattern in ROUTINE))
_KERNEL_NOISE = re.compile("|".join(f"(?:{pattern})" for pattern in KERNEL_NOISE))


def plain(line: str) -> str:
    """Return a line without colours and without its end."""
    return COLOUR.sub("", line).rstrip("\r\n")


def status_line(line: str, root: Path) -> str | None:
    """Return what is shown of a line of standard output: the line itself, a shorter one, or nothing.

    Args:
        line: as Jupyter Book wrote it.
        root: folder of the book; notebooks are named from here.
    """
    text = plain(line)
    if done := EXECUTED.fullmatch(text):
        path = Path(done["path"])
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        return f"  {float(done['seconds']):6.1f} s  {name}"
    return None if _ROUTINE.fullmatch(text.strip()) else line.rstrip("\r\n")


def error_line(line: str) -> str | None:
    """Return a line of standard error, or nothing where it is one of the few known to mean nothing."""
    return None if _KERNEL_NOISE.fullmatch(plain(line)) else line.rstrip("\r\n")


def run_reduced(command: list[str], root: Path, environment: dict[str, str]) -> int:
    """Run a build in ``root``, show its log reduced and line by line as it comes, and return its exit code."""
    # Lines arrive when they are written, and whole whatever the system's own encoding is.
    environment = {**environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )

    def pass_on(source: TextIO, target: TextIO, reduce: Callable[[str], str | None]) -> None:
        for line in source:
            shown = reduce(line)
            if shown is not None:
                print(shown if target.isatty() else plain(shown), file=target, flush=True)

    errors = threading.Thread(target=pass_on, args=(process.stderr, sys.stderr, error_line))
    errors.start()
    pass_on(process.stdout, sys.stdout, lambda line: status_line(line, root))
    errors.join()
    return process.wait()
