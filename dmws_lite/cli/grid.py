"""``grids``, ``run`` and ``report``: many runs, and reports on them."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from tqdm.auto import tqdm

from .._system import available_processors, data_path
from ..experiments.grids import Grid, GridError, estimate_seconds, known_grids, missing, read_grid, records_of, run_grid
from ..experiments.records import read_record
from ..experiments.run import Run
from .common import DONE, FAILED, STOPPED, add_command, columns, duration

_GRID = "name of a grid (`dmws-lite grids` lists them), or a YAML file of your own"


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the three commands to the parser."""
    add_command(commands, "grids", list_grids, "List the experiments that come with the project.", "dmws-lite grids")

    run = add_command(
        commands,
        "run",
        run_command,
        """
        Run every experiment of a grid that has no record yet.

        Each finished run is one record (a JSON file), and is not run again. So the same command resumes after an
        interruption, which loses the run in progress at most. A run that fails leaves its error in a .failed.json file,
        does not stop the others, and is tried again next time.
        """,
        """
        dmws-lite run phantom_ablations --dry-run
        dmws-lite run tables --data ~/datasets
        dmws-lite run tables --data ~/datasets --share 1/2    (and 2/2 in another terminal)
        dmws-lite run my_grid.yaml --out runs/my_grid
        """,
    )
    run.add_argument("grid", metavar="GRID", help=_GRID)
    run.add_argument("--data", metavar="FOLDER", help="folder that holds the data sets; not needed for phantoms")
    run.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="folder of the records (default: data/results/NAME for a grid of the project in a clone, else runs/NAME)",
    )
    run.add_argument("--dry-run", action="store_true", help="show what would run and for how long; write nothing")
    run.add_argument(
        "--share",
        metavar="I/N",
        type=_share,
        default=(1, 1),
        help="run only every N-th, beginning with the I-th, to use several processes side by side",
    )
    run.add_argument("--threads", metavar="N", type=int, help="CPU threads of this process (default: PyTorch's own)")
    run.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    run.add_argument(
        "--stack",
        metavar="N",
        type=int,
        default=1,
        help="train up to N runs at once where they differ in seed and learning rate only (for a GPU; default: 1)",
    )
    run.add_argument("--minutes", metavar="M", type=float, default=math.inf, help="begin no run after this time")
    run.add_argument("--quiet", action="store_true", help="no progress bar and no line per run")

    report = add_command(
        commands,
        "report",
        report_command,
        """
        Make the tables and figures of a grid from its records.

        Nothing is trained. The table (mean, standard deviation, number of runs, 95% interval, best one marked) is
        printed and written as Markdown and CSV; the figures are written as PNG and SVG.
        """,
        """
        dmws-lite report phantom_ablations
        dmws-lite report my_grid.yaml --records runs/my_grid --out runs/my_report
        """,
    )
    report.add_argument("grid", metavar="GRID", help=_GRID)
    report.add_argument(
        "--records", metavar="FOLDER", type=Path, help="folder of the records (default: where `run` puts them)"
    )
    report.add_argument(
        "--out", metavar="FOLDER", type=Path, help="folder of the tables and figures (default: runs/NAME/report)"
    )


def list_grids(given: argparse.Namespace) -> int:
    """Print the project's grids: name, number of runs, purpose."""
    rows = [("grid", "runs", "purpose")]
    for name in known_grids():
        grid = read_grid(name)
        rows.append((name, str(len(grid.runs)), grid.title))
    print(columns(rows))
    return DONE


def run_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite run``."""
    grid = read_grid(given.grid)
    out = given.out or records_folder(given.grid, grid)
    if given.threads is not None:
        processors = available_processors()
        if not 1 <= given.threads <= processors:
            raise ValueError(
                f"--threads {given.threads} is out of range; give 1 to {processors}, the processors of this machine"
            )
        torch.set_num_threads(given.threads)
    if given.stack < 1:
        raise ValueError(f"--stack {given.stack} is out of range; give at least 1")
    if given.dry_run:
        return _dry_run(grid, out, given.data, given.share)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is a file; give --out a folder")

    def say(line: str) -> None:
        failed = line.startswith(("failed", "damaged"))
        if failed or not given.quiet:
            tqdm.write(_for_command_line(line), file=sys.stderr if failed else sys.stdout)

    command = f"dmws-lite run {Path(given.grid).name}" + (" --data FOLDER" if given.data else "")
    try:
        limits = {"stack": given.stack, "until": time.monotonic() + 60 * given.minutes, "device": given.device}
        done = run_grid(grid, out, given.data, command, not given.quiet, given.share, say, **limits)
    except KeyboardInterrupt:
        left = len(missing(grid, out))
        print(
            f"stopped: {len(grid.runs) - left} of {len(grid.runs)} records are kept in {out}; "
            "run the same command to resume",
            file=sys.stderr,
        )
        return STOPPED
    left = len(missing(grid, out))
    finished = f"{done.made} run{'s' * (done.made != 1)} finished"
    text = f"{grid.name}: {finished}, {len(grid.runs) - left} of {len(grid.runs)} records are in {out}"
    if done.failed:
        text += f"; {done.failed} failed, see the .failed.json files there"
    elif done.elsewhere and left:
        text += f"; {left} are not there yet, another process was at {done.elsewhere} of them"
    elif left:
        text += f"; {left} are left for {'later' if math.isfinite(given.minutes) else 'the other shares'}"
    print(text)
    return FAILED if done.failed else DONE


def _dry_run(grid: Grid, out: Path, data: str | None, share: tuple[int, int]) -> int:
    """Print the numbers of finished and missing runs by group, with an estimate of the time."""
    runs = grid.runs[share[0] - 1 :: share[1]]
    lacking = set(missing(grid, out))
    todo = [run for run in runs if run in lacking]
    seconds, unread = _estimate(todo, data)
    rows = [("data set", "pair", "method", "fraction", "done", "missing", "time")]
    done, absent = Counter(_group(r) for r in runs if r not in lacking), Counter(map(_group, todo))
    for group in dict.fromkeys(map(_group, runs)):
        times = [seconds[run] for run in todo if _group(run) == group and run in seconds]
        time = "" if not absent[group] else duration(sum(times)) if times else "?"
        rows.append((*group, str(done[group]), str(absent[group]), time))
    unknown = f", and {len(todo) - len(seconds)} on data that cannot be read" if unread else ""
    total = duration(sum(seconds.values()))
    print(columns(rows, right=4))
    print(
        f"\n{grid.name}: {len(runs) - len(todo)} runs done, {len(todo)} missing; about {total} on this machine{unknown}"
    )
    print(f"records: {out}; nothing was written")
    for dataset, reason in unread.items():
        print(f"warning: data set {dataset!r} cannot be read: {reason}", file=sys.stderr)
    return FAILED if unread else DONE


def _estimate(runs: list[Run], data: str | None) -> tuple[dict[Run, float], dict[str, str]]:
    """Return the seconds of each run, and the data sets that cannot be read with the reason."""
    seconds: dict[Run, float] = {}
    unread: dict[str, str] = {}
    for dataset in dict.fromkeys(run.dataset for run in runs):
        try:
            seconds |= estimate_seconds([run for run in runs if run.dataset == dataset], data)
        except (ValueError, OSError, RuntimeError, ImportError) as error:
            unread[dataset] = _for_command_line(str(error))
    return seconds, unread


def _for_command_line(text: str) -> str:
    """Return the error of a data set as one line, in the terms of the command line."""
    return " ".join(text.split()).replace("needs root=,", "needs --data,").replace("as root", "as --data")


def _group(run: Run) -> tuple[str, str, str, str]:
    method = f"{run.method} + {run.strategy}" if run.strategy else run.method
    return run.dataset, run.pair, method, f"{run.fraction:.0%}" if run.fraction >= 0.01 else f"{run.fraction:.2%}"


def report_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite report``."""
    import matplotlib

    from .report import write_report

    matplotlib.use("Agg")  # figures go to files: no window system is asked for
    grid = read_grid(given.grid)
    folder = given.records or records_folder(given.grid, grid)
    found, damaged = records_of(grid, folder)
    for path, problem in damaged.items():
        print(f"damaged: {path.name}: {problem}; it is left out", file=sys.stderr)
    records = [read_record(path) for path in sorted(found.values()) if path not in damaged]
    if not records:
        raise ValueError(
            f"{folder} has no {'undamaged ' if damaged else ''}record of {grid.name}; make some with "
            f"`dmws-lite run {given.grid}`"
        )
    written = write_report(grid, records, given.out or Path("runs") / grid.name / "report")
    for path in written:
        if path.suffix == ".md":
            print(path.read_text(encoding="utf-8"))
    print("written: " + ", ".join(str(path) for path in written), file=sys.stderr)
    if left := len(grid.runs) - len(found):
        print(f"warning: {left} of {len(grid.runs)} runs are missing in {folder}", file=sys.stderr)
    if damaged:
        print(
            f"warning: {len(damaged)} records are damaged; `dmws-lite run {given.grid}` makes them again",
            file=sys.stderr,
        )
    return FAILED if damaged else DONE


def records_folder(source: str, grid: Grid) -> Path:
    """Return the default folder of a grid's records.

    In a clone, the records of the project's own grids are part of the project. Those of other grids, and of an
    installed package, go to ``runs`` in the current folder.
    """
    if Path(grid.name).name != grid.name or grid.name in ("", ".", ".."):
        raise GridError(f"grid name {grid.name!r} cannot be a folder's name; use letters, digits and underscores")
    results = data_path("results")
    if source in known_grids() and "_bundled" not in results.parts and os.access(results, os.W_OK):
        folder = results / grid.name
        return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return Path("runs") / grid.name


def _share(text: str) -> tuple[int, int]:
    part, _, whole = text.partition("/")
    if not (part.isdecimal() and whole.isdecimal() and 1 <= int(part) <= int(whole)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 1 to N, such as 1/2")
    return int(part), int(whole)
