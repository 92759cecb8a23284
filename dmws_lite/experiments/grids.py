"""Grids of runs: a few lines of YAML that stand for many runs, and the loop that does what is missing.

A grid is a mapping (a YAML file, or the same as a Python dict)::

    name: my_grid
    defaults: {pair: convnext_pocket, size: 64, steps: 800, batch_size: 16}
    blocks:
      - {dataset: mri, fraction: [0.01, 0.05], seed: [0, 1, 2], method: [ours, cm1]}
      - {dataset: mri, fraction: 0.05, seed: [0, 1, 2], method: ours, tau: [1, 3, 9]}

Every key of a block is a field of :class:`dmws_lite.experiments.run.Run`; a list means one run per entry, and a block
is all combinations of its lists. Options of a strategy are swept in the same way::

      - {dataset: mri, method: cm1, strategy: label_smoothing, strategy_options: {smoothing: [0.05, 0.1, 0.2]}}

A learning rate may be chosen on a part of the training images, see :mod:`dmws_lite.experiments.tuning`::

      - {dataset: mri, method: [cm1, ours], tune: {learning_rate: [0.001, 0.002, 0.004]}, folds: 3}

Runs are sorted so that equal data come together. With ``order: blocks`` the blocks keep their order, so that a grid
that is stopped early has whole blocks; a run that two blocks name belongs to the first.

The grids of the book are in ``data/grids``.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from tqdm.auto import tqdm

from .._sealed import Damaged, read_file
from .._system import data_path, remove_temporaries, write_atomic
from ..distillation.loss import skd_loss
from ..distillation.moving_average import update_auxiliary
from ..distillation.strategies import STRATEGIES
from ..teachers.pairs import make_student
from ..training.evaluate import predict_logits
from .check import check_record
from .execute import Shelf, execute
from .locks import at_work, owner_text
from .methods import METHODS
from .plain_yaml import LARGEST, PlainYamlError, read_plain_yaml
from .records import write_record
from .run import Run
from .stacked import execute_stack, stackable, stacks

MOST_RUNS = 50_000  # of a grid; a slip of the pen in a list of seeds should not keep a machine busy for hours


class GridError(ValueError):
    """A grid cannot be read; the message names the entry and the remedy."""


@dataclass(frozen=True)
class Grid:
    """A named list of runs.

    Attributes:
        name: of the grid, and of its folder of records.
        runs: the runs, each once, in an order that keeps those with equal data together.
        title: what it is for, one line.
        blocks: the same runs, one entry per block where blocks keep their order, else all in one.
    """

    name: str
    runs: tuple[Run, ...]
    title: str = ""
    blocks: tuple[tuple[Run, ...], ...] = ()


def known_grids() -> list[str]:
    """Return the names of the grids that come with the project."""
    return sorted(path.stem for path in data_path("grids").glob("*.yaml"))


def read_grid(source: str | Path | Mapping) -> Grid:
    """Read a grid.

    Args:
        source: the name of one of :func:`known_grids`, the path of a YAML file, or the grid as a mapping.

    Raises:
        GridError: there is no such grid, it is not YAML, a key is unknown, or a value is out of range.

    Example:
        >>> from dmws_lite.experiments.grids import read_grid
        >>> task = {"dataset": "phantom-mri", "pair": "convnext_pocket", "size": 64, "steps": 100, "fraction": 0.1}
        >>> grid = read_grid({"name": "small", "blocks": [{**task, "seed": [0, 1], "method": ["ours", "cm1"]}]})
        >>> [(run.seed, run.method) for run in grid.runs]
        [(0, 'ours'), (0, 'cm1'), (1, 'ours'), (1, 'cm1')]
    """
    if isinstance(source, Mapping):
        return _expand(source, str(source.get("name", "grid")))
    path = Path(source)
    if not path.suffix and not path.is_file():
        if str(source) not in known_grids():
            raise GridError(
                f"grid {str(source)!r} is unknown; choose one of {', '.join(known_grids())}, or give a file"
            )
        path = data_path(f"grids/{source}.yaml")
    try:
        content = read_plain_yaml(read_file(path, LARGEST).decode("utf-8"))
    except FileNotFoundError:
        raise GridError(f"{path} does not exist; give a YAML file, or one of {', '.join(known_grids())}") from None
    except PlainYamlError as error:
        raise GridError(f"{path} is not YAML that can be read: {error}") from error
    except UnicodeDecodeError as error:
        raise GridError(f"{path} is not YAML that can be read: it is no text in UTF-8 ({error})") from error
    except Damaged as error:
        raise GridError(f"{error}; give a YAML file, or one of {', '.join(known_grids())}") from error
    return _expand(content, path.stem)


def _expand(content: object, name: str) -> Grid:
    if not isinstance(content, Mapping) or not isinstance(content.get("blocks"), (list, tuple)):
        raise GridError(
            f"grid {name!r} has no list of blocks; see the head of dmws_lite/experiments/grids.py for an example"
        )
    if strangers := set(content) - {"name", "title", "defaults", "blocks", "order"}:
        raise GridError(
            f"grid {name!r} has the unknown entry {min(strangers, key=str)!r}; it may have name, title, order, "
            "defaults, blocks"
        )
    for entry in ("name", "title"):
        if not isinstance(content.get(entry, ""), str):
            raise GridError(f"grid {name!r} has the {entry} {content[entry]!r}, which is no text; quote it")
    defaults = content.get("defaults") or {}
    if not isinstance(defaults, Mapping):
        raise GridError(f"grid {name!r} has the defaults {defaults!r}; they are a mapping such as {{size: 64}}")
    order = content.get("order", "data")
    if order not in ("data", "blocks"):
        raise GridError(f"grid {name!r} has order {order!r}; choose data (equal data together) or blocks")
    known = [f.name for f in fields(Run)]
    runs: dict[Run, int] = {}  # and the number of its block
    asked = 0
    for number, block in enumerate(content["blocks"], start=1):
        if not isinstance(block, Mapping):
            raise GridError(
                f"block {number} of grid {name!r} is {block!r}; a block is a mapping such as {{seed: [0, 1]}}"
            )
        settings = {**defaults, **block}
        if strangers := set(settings) - set(known):
            raise GridError(
                f"block {number} of grid {name!r} has no field {min(strangers, key=str)!r}; fields: {', '.join(known)}"
            )
        asked += math.prod(_count(value) for key, value in settings.items() if key != "tune")
        if asked > MOST_RUNS:
            raise GridError(
                f"grid {name!r} has {asked:,} runs by block {number}; at most {MOST_RUNS:,} are read: shorten a list, "
                "or make several grids"
            )
        lists = [_choices(value) if key != "tune" else [value] for key, value in settings.items()]
        for values in itertools.product(*lists):
            try:
                runs.setdefault(Run(**dict(zip(settings, values))), number)
            except (TypeError, ValueError) as error:
                reason = str(error).replace("Run.__init__() ", "")
                raise GridError(f"block {number} of grid {name!r}: {reason}") from error

    # Seeds outside methods: a grid that is stopped early has whole comparisons, not one finished method. Equal data,
    # equal splits and equal frozen teachers come one after the other, so that they are made once.
    def rank(r: Run) -> tuple:
        needs = STRATEGIES[r.strategy_name].needs
        return (r.dataset, r.size, r.pair, r.seed, r.fraction, r.split_rule, needs)

    numbers = sorted(set(runs.values())) if order == "blocks" else [0]
    blocks = tuple(
        tuple(sorted((run for run, own in runs.items() if own == number or not number), key=rank)) for number in numbers
    )
    everything = tuple(run for block in blocks for run in block)
    return Grid(str(content.get("name", name)), everything, str(content.get("title", "")), blocks)


def _count(value: object) -> int:
    """Return the number of :func:`_choices` without making them."""
    if isinstance(value, Mapping):
        return math.prod(map(_count, value.values()))
    return len(value) if isinstance(value, list) else 1


def _choices(value: object) -> list:
    """Return what a value stands for: a list's entries, all combinations of a mapping's lists, or itself."""
    if isinstance(value, Mapping):
        return [dict(zip(value, chosen)) for chosen in itertools.product(*map(_choices, value.values()))]
    return value if isinstance(value, list) else [value]


# -- doing what is missing --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """What a call of :func:`run_grid` did: numbers of runs of the share made, there without it, and failed.

    ``elsewhere`` counts the runs that were left because another process is at them.
    """

    made: int
    there: int
    failed: int
    elsewhere: int = 0


def missing(grid: Grid, folder: str | Path) -> list[Run]:
    """Return the runs of a grid that have no record in the folder, or a damaged one."""
    records, damaged = records_of(grid, folder)
    return [run for run in grid.runs if run not in records or records[run] in damaged]


def records_of(grid: Grid, folder: str | Path) -> tuple[dict[Run, Path], dict[Path, str]]:
    """Find the records of a grid.

    Args:
        grid: the runs.
        folder: where their records are.

    Returns:
        The file of each run that has one, under its name or one that it had before; and those of the files that are
        damaged, with what is wrong.
    """
    folder = Path(folder)
    names = {path.stem for path in folder.glob("*.json")} if folder.is_dir() else set()
    found, damaged = {}, {}
    for run in grid.runs if names else ():
        name = run.name if run.name in names else next((name for name in run.names if name in names), None)
        if name is not None:
            path = found[run] = folder / f"{name}.json"
            if problems := check_record(path):
                damaged[path] = problems[0]
    return found, damaged


def _is_there(run: Run, folder: Path) -> bool:
    path = next((path for name in run.names if (path := folder / f"{name}.json").is_file()), None)
    return path is not None and not check_record(path)


def run_grid(
    grid: Grid,
    folder: str | Path,
    root: str | Path | None = None,
    command: str = "",
    progress: bool = True,
    share: tuple[int, int] = (1, 1),
    say: Callable[[str], None] = tqdm.write,
    device: str = "auto",
    stack: int = 1,
    until: float = math.inf,
    shelf: Shelf | None = None,
) -> Progress:
    """Carry out the runs that have no record yet.

    A kill at any moment loses at most the run in progress; the same call afterwards goes on. A run that fails is
    recorded with its error in a ``.failed.json`` file, which the same run removes when it succeeds later. A record that
    is damaged is named, put aside under another name, and made again. Several processes may work on one grid: each
    leaves a run that another one is at.

    Args:
        grid: the runs.
        folder: where the records are and go.
        root: folder of the data sets.
        command: the command line, for the records.
        progress: show a bar over the runs, with the time left.
        share: ``(i, n)``: do what is missing of every n-th run (or stack), beginning with the i-th; for several
            processes at once.
        say: called with one line per finished run.
        device: see :class:`dmws_lite.training.config.TrainConfig`.
        stack: train up to this many runs at once, where they differ in seed and learning rate only, see
            :mod:`dmws_lite.experiments.stacked`; 1 for one after the other.
        until: begin no run after this reading of ``time.monotonic()``, nor one that would, by the shortest so far, end
            after it.
        shelf: what the runs share, made with ``root`` where left out.
    """
    own = list(stacks(grid.runs, grid.blocks, stack))[share[0] - 1 :: share[1]]
    folder = Path(folder)
    records, damaged = records_of(grid, folder)
    lacking = {run for run in grid.runs if run not in records or records[run] in damaged}
    todo = [[run for run in runs if run in lacking] for runs in own]
    aside = {run: (path, damaged[path]) for run, path in records.items() if path in damaged}
    shelf, made, failed, elsewhere = shelf or Shelf(root, keep=folder), 0, 0, 0
    with tqdm(total=sum(map(len, todo)), unit="run", disable=not progress, smoothing=0) as bar:
        shortest = math.inf
        for runs in filter(None, todo):
            began = time.monotonic()
            if began + (0 if shortest == math.inf else shortest) > until:
                break
            with contextlib.ExitStack() as locks:
                free = [run for run in runs if locks.enter_context(at_work(folder, run.name))]
                for run in set(runs) - set(free):
                    say(f"left to {owner_text(folder, run.name)}: {run.name}")
                    elsewhere += 1
                free = [run for run in free if not _is_there(run, folder)]  # others may be faster
                for run in free:
                    remove_temporaries(folder / f"{run.name}.json")
                    if run in aside:
                        say(_put_aside(*aside[run]))
                for run, found in _carried_out(free, shelf, command, device, stack, bar):
                    if _written(folder, run, found, command, say):
                        made += 1
                    else:
                        failed += 1
            if free:
                shortest = min(shortest, time.monotonic() - began)
            bar.n = made + failed
            bar.refresh()
    left = set(missing(grid, folder))
    if not left:
        shelf.forget()
    there = sum(run not in left for runs in own for run in runs) - made
    return Progress(made, there, failed, elsewhere)


def _put_aside(path: Path, problem: str) -> str:
    """Rename a damaged record, so that nothing of it is lost, and return the line that says so."""
    kept = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(FileNotFoundError):
        path.replace(kept)
    return f"damaged: {path.name}: {problem}; it is kept as {kept.name}, and the run is made again"


def _written(folder: Path, run: Run, found: dict | Exception, command: str, say: Callable[[str], None]) -> bool:
    """Write the record of a run, or its failure; return whether it succeeded."""
    failure = folder / f"{run.name}.failed.json"
    if isinstance(found, Exception):
        write_atomic(failure, _failure(run, found, command))
        say(f"failed: {run.name}: {found}")
        return False
    write_record(folder, run, found)
    failure.unlink(missing_ok=True)
    say(f"{run.name}: accuracy {found['metrics']['accuracy']:.3f}, {found['seconds']:.0f} s")
    return True


def _carried_out(
    runs: Sequence[Run], shelf: Shelf, command: str, device: str, stack: int, bar: tqdm
) -> Iterator[tuple[Run, dict | Exception]]:
    """Give each run with its record, or with the error that it ended in."""
    # MemoryError and KeyboardInterrupt end the grid: the next run would fare no better.
    errors = (ValueError, OSError, RuntimeError, ArithmeticError, ImportError, TypeError, LookupError, AttributeError)
    if len(runs) > 1 or (stack > 1 and runs and runs[0].tune and stackable(runs[0])):
        try:
            yield from execute_stack(runs, shelf, command=command, device=device, limit=stack)
        except torch.cuda.OutOfMemoryError as error:
            if stack < 2:
                yield from ((run, error) for run in runs)
                return
            torch.cuda.empty_cache()
            for half in (runs[::2], runs[1::2]):
                yield from _carried_out(half, shelf, command, device, stack // 2, bar)
        except errors as error:
            yield from ((run, error) for run in runs)
        return
    for run in runs:
        try:
            record = execute(run, shelf, command=command, device=device, on_epoch=_ticker(bar, run))
        except errors as error:
            yield run, error
        else:
            yield run, record


def _ticker(bar: tqdm, run: Run) -> Callable[[dict], None]:
    """Move the bar by whole runs, and by the part of the run in progress."""
    done, total = bar.n, None

    def tick(row: dict) -> None:
        nonlocal total
        if total is None:
            total = run.epochs or max(1, round(run.steps / row["step"] * row["epoch"]))
        bar.n = round(done + min(1.0, row["epoch"] / total), 2)
        bar.refresh()

    return tick


def _failure(run: Run, error: Exception, command: str) -> str:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    content = {"run": run.name, "error": f"{type(error).__name__}: {error}", "date": now, "command": command}
    return json.dumps(content, indent=1) + "\n"


# -- how long it will take --------------------------------------------------------------------------------------------


def estimate_seconds(runs: Sequence[Run], root: str | Path | None = None) -> dict[Run, float]:
    """Estimate how long runs take on this machine, from a few timed steps of each kind.

    The images are read (their number decides), a student is made and four training steps on random inputs are timed for
    each pair, size and batch size; no teacher is loaded. Frozen networks that some strategies train first count too.

    Args:
        runs: what to estimate.
        root: folder of the data sets.

    Raises:
        ValueError, FileNotFoundError: a data set cannot be read.
    """
    shelf, speeds, found = Shelf(root), {}, {}
    for run in runs:
        data = shelf.split(run)
        key = (run.pair, run.size, run.batch_size)
        if key not in speeds:
            speeds[key] = _timed(run, len(data.train.classes))
        step, extra, image = speeds[key]
        with_aux = METHODS[run.method].has_auxiliary
        batches = -(-len(data.train) // run.batch_size)
        steps = run.epochs_for(len(data.train)) * batches
        tests = (min(run.measurements, run.epochs_for(len(data.train))) or 1) * len(data.test) * (1 + with_aux)
        needs = STRATEGIES[run.strategy_name].needs
        factor = {"": 1.0, "self": 2.0, "teacher": 5.0}[needs]  # the network trained first is as long, or larger
        tried = math.prod(len(values) for _, values in run.tune) * run.folds if run.tune else 0
        training = factor * steps * (step + (extra if with_aux or needs else 0))
        found[run] = (1 + tried) * training + tests * image
    return found


def _timed(run: Run, classes: int) -> tuple[float, float, float]:
    """Time, in seconds: a step of main alone, what an auxiliary adds, and a test image."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    main, aux = (
        make_student(run.pair, classes, run.size).to(device, memory_format=torch.channels_last) for _ in range(2)
    )
    pixels = torch.randint(0, 255, (run.batch_size, run.size, run.size), dtype=torch.uint8, device=device)
    images = torch.randn(run.batch_size, 3, run.size, run.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.zeros(run.batch_size, dtype=torch.int64, device=device)
    optimizer = torch.optim.AdamW(main.parameters())
    aux.eval().requires_grad_(False)
    main.train()

    def step(with_aux: bool) -> float:
        started = time.perf_counter()
        with torch.no_grad():
            other = aux(images) if with_aux else targets.new_zeros(run.batch_size, classes).float()
        skd_loss(main(images), other, targets)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        if with_aux:
            update_auxiliary(aux, main, 0.9)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    step(True)
    alone, both = (min(step(which) for _ in range(3)) for which in (False, True))
    started = time.perf_counter()
    predict_logits(aux, pixels)
    return alone, max(0.0, both - alone), (time.perf_counter() - started) / run.batch_size
