"""Write how long a page takes to read, and a notebook to run, into its first lines.

    python scripts/stamp_times.py            # rewrite what differs
    python scripts/stamp_times.py --check    # change nothing, exit 1 where a time is off by more than 30%
    python scripts/stamp_times.py --measure  # first run each notebook alone, and note its seconds (minutes)

Reading: 200 words and 20 lines of shown code a minute, without exercises, folded code and references. Running: seconds
of a whole notebook with the profile ``fast``, from ``data/teaching/times.json``, which ``--measure`` writes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
import sys
import textwrap
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from dmws_lite._system import available_processors, write_atomic  # noqa: E402

TIMES = Path("data", "teaching", "times.json")
WORDS, LINES = 200, 20  # read in a minute
TOLERANCE = 0.3
PARTS = ("Start", "Results", "Teaching")  # of the table of contents: pages that are read from beginning to end
# Sheets, what one plays with, and a plan that stays as it was: their length says nothing, or they are not to change.
LEFT_OUT = {"book/handout", "book/homework", "book/lab", "book/plan_of_the_map"}
NOT_SHOWN = {"setup", "hide-cell", "hide-input", "remove-cell", "remove-input"}
FENCE = re.compile(r"^(`{3,}|~{3,})(.*?)\n(.*?)^\1\s*?$", re.DOTALL | re.MULTILINE)
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
MADE_TEXT = re.compile(r'Markdown\(\s*f?"""(.*?)"""', re.DOTALL)  # text that a page computes
PAGE_LINE = re.compile(r"^\*Reading time: about (\d+) minutes?\.\*$", re.MULTILINE)
NOTEBOOK_LINE = re.compile(
    r"\*\*Time:\*\* about (?P<read>\d+) minutes? to read, (?P<run>\d+) seconds to run on two CPU cores with the profile"
    r" `fast`"
)
# What stands in a notebook that was never stamped.
UNSTAMPED = re.compile(r"\*\*Time:\*\* .+? with the profile `fast`", re.DOTALL)


def count_words(markdown: str) -> int:
    """Return the number of words of a text, without directives, formulas and the names of roles."""
    text = FORMULA.sub(" x ", FENCE.sub(lambda fence: fence[3] if fence[2].startswith("{") else "", markdown))
    text = re.sub(r"\{[\w:-]+\}`([^`<]*)[^`]*`|\]\([^)]*\)", r" \1 ", text)
    return len(re.findall(r"\w[\w'’.-]*", text))


def read_cells(notebook: NotebookNode) -> tuple[int, int]:
    """Return how many words of text and lines of shown code a notebook has, up to its exercises."""
    words = lines = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if re.match(r"## (Exercises|References)", cell.source):
                break
            words += count_words(cell.source)
        elif not NOT_SHOWN & set(cell.metadata.get("tags", [])):
            lines += sum(bool(line.strip()) for line in cell.source.split("\n"))
    return words, lines


def notebook_minutes(notebook: NotebookNode) -> float:
    """Return how long a notebook takes to read, up to its exercises."""
    words, lines = read_cells(notebook)
    return words / WORDS + lines / LINES


def page_minutes(text: str) -> float:
    """Return how long a page in Markdown takes to read; of its cells, only text that they put onto the page counts."""
    prose = re.sub(r"\A---\n.*?^---\n", "", text, flags=re.DOTALL | re.MULTILINE)
    made = " ".join(MADE_TEXT.findall(prose))
    shown = re.sub(r"^```\{code-cell\}.*?^```\s*?$", "", prose, flags=re.DOTALL | re.MULTILINE)
    return (count_words(shown) + count_words(made)) / WORDS


def rounded(value: float) -> int:
    """Return a number as one says it: whole below 12, else a multiple of 5, never 0."""
    return max(1, round(value)) if value < 12 else 5 * round(value / 5)


def amount(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def stamped_notebook(source: str, minutes: float, seconds: float) -> str:
    """Return a notebook's first cell with both times.

    Raises:
        ValueError: it has no paragraph ``**Time:** ... with the profile `fast```.
    """
    times = (
        f"**Time:** about {amount(rounded(minutes), 'minute')} to read, {amount(rounded(seconds), 'second')} to run on"
    )
    line = f"{times} two CPU cores with the profile `fast`"
    found, number = UNSTAMPED.subn(lambda _: line, source, count=1)
    if not number:
        raise ValueError("the first cell has no paragraph '**Time:** ... with the profile `fast`'")
    paragraphs = [
        "\n".join(textwrap.wrap(" ".join(part.split()), 120)) if part.startswith("**Time:**") else part
        for part in found.split("\n\n")
    ]
    return "\n\n".join(paragraphs)


def stamped_page(text: str, minutes: float) -> str:
    """Return a page with its time below the title."""
    line = f"*Reading time: about {amount(rounded(minutes), 'minute')}.*"
    if PAGE_LINE.search(text):
        return PAGE_LINE.sub(line, text, count=1)
    return re.sub(r"^(# .+)$", rf"\1\n\n{line}", text, count=1, flags=re.MULTILINE)


def pages(root: Path) -> list[Path]:
    """Return the pages in Markdown that carry a time."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [each["file"] for part in toc["parts"] if part["caption"] in PARTS for each in part["chapters"]]
    paths = [root / f"{name}.md" for name in chapters if name not in LEFT_OUT]
    return [path for path in paths if path.exists()]


def read_times(root: Path) -> dict[str, float]:
    """Return the measured seconds of each notebook, by its name without suffix."""
    return json.loads((root / TIMES).read_text(encoding="utf-8"))["seconds"]


def faults(root: Path) -> list[str]:
    """Return one line for each time on a page that is missing or off by more than 30%."""

    def off(stated: str | None, true: float) -> bool:
        return stated is None or abs(int(stated) - true) > max(TOLERANCE * true, 0.5)

    found, seconds = [], read_times(root)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        line = NOTEBOOK_LINE.search(" ".join(notebook.cells[0].source.split()))
        true = {"read": notebook_minutes(notebook), "run": seconds.get(path.stem, float("nan"))}
        for kind, value in true.items():
            if not value == value:
                found.append(f"{path.name}: its running time was not measured; run stamp_times.py --measure")
            elif off(line and line[kind], value):
                found.append(
                    f"{path.name}: time to {kind} is {line[kind] if line else 'not stated'}, it is {value:.1f}"
                )
    for path in pages(root):
        text = path.read_text(encoding="utf-8")
        line, value = PAGE_LINE.search(text), page_minutes(text)
        if off(line and line[1], value):
            found.append(f"{path.name}: time to read is {line[1] if line else 'not stated'}, it is {value:.1f} minutes")
    return found


def measure(root: Path) -> None:
    """Run each notebook alone and write its seconds, with date and machine."""
    import torch
    from execute_notebooks import execute

    seconds = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        result = execute(path, timeout=900)
        if result.err is not None:
            raise ValueError(f"{path.name} did not run: {result.err}")
        seconds[path.stem] = round(result.time, 1)
        print(f"  {result.time:6.1f} s  {path.name}", flush=True)
    noted = {
        "date": datetime.date.today().isoformat(),
        "profile": "fast",
        "processors": available_processors(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seconds": seconds,
    }
    write_atomic(root / TIMES, json.dumps(noted, indent=1) + "\n")


def stamp(root: Path) -> list[Path]:
    """Write the times and return the files that changed.

    Raises:
        ValueError: a notebook has no line for them, or was not measured.
    """
    wanted, seconds = {}, read_times(root)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if path.stem not in seconds:
            raise ValueError(f"{path.name} was not measured; run stamp_times.py --measure")
        first = notebook.cells[0]
        try:
            first.source = stamped_notebook(first.source, notebook_minutes(notebook), seconds[path.stem])
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error
        wanted[path] = nbformat.writes(notebook).rstrip("\n") + "\n"
    for path in pages(root):
        text = path.read_text(encoding="utf-8")
        wanted[path] = stamped_page(text, page_minutes(text))
    changed = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        write_atomic(path, wanted[path])
    return changed


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a time is off")
    parser.add_argument("--measure", action="store_true", help="first run each notebook and note its seconds")
    given = parser.parse_args(arguments)
    if given.check:
        found = faults(root)
        print("\n".join([*found, "run `make times`"] if found else []), end="\n" if found else "")
        return 1 if found else 0
    try:
        if given.measure:
            measure(root)
        for path in stamp(root):
            print(f"{path.relative_to(root)}: stamped")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
