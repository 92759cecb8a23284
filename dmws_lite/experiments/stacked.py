"""Carry out several runs at once, see :mod:`dmws_lite.training.stack`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from torch import nn

from ..distillation.strategies import STRATEGIES, make_strategy
from ..distillation.strategies.base import Strategy
from ..images.splits import Split
from ..teachers.pairs import make_student
from ..training.config import Result
from ..training.device import PeakMemory
from ..training.stack import Member, can_stack, fit_stack
from .execute import Shelf
from .methods import METHODS
from .records import outcome
from .run import Run
from .tuning import choose, trials

Found = dict | FloatingPointError


@cache
def _network_stacks(pair: str, size: int) -> bool:
    return can_stack(make_student(pair, 2, size))


def stackable(run: Run) -> bool:
    """Return whether a run can be carried out together with others."""
    kind = STRATEGIES[run.strategy_name]
    return kind.stacks and kind.needs in ("", "teacher") and _network_stacks(run.pair, run.size)


def stacks(runs: Sequence[Run], blocks: Iterable[Sequence[Run]] = (), limit: int = 1) -> Iterator[list[Run]]:
    """Sort runs into stacks, block by block.

    Args:
        runs: what to carry out.
        blocks: groups of runs that are carried out one after the other; all at once where left out.
        limit: runs in a stack; 1 gives every run alone, in the given order.
    """
    if limit == 1:
        yield from ([run] for run in runs)
        return
    wanted = set(runs)
    for block in blocks or (runs,):
        alike: dict[object, list[Run]] = {}
        for run in block:
            if run in wanted:
                key = replace(run, seed=0, learning_rate=1.0) if stackable(run) else run
                alike.setdefault(key, []).append(run)
        for group in alike.values():
            yield from (group[start : start + limit] for start in range(0, len(group), limit))


def execute_stack(
    runs: Sequence[Run], shelf: Shelf, command: str = "", device: str = "auto", limit: int = 0
) -> Iterator[tuple[Run, Found]]:
    """Carry out runs that differ in seed and learning rate only.

    Args:
        runs: the runs, each of which :func:`stackable` accepts.
        shelf: what they share.
        command: the command line, for the records.
        device: see :class:`dmws_lite.training.config.TrainConfig`.
        limit: train at most this many at once; 0 for as many as there are runs. The trials of tuned runs are as many
            at once.

    Yields:
        Each run with its record (see :func:`dmws_lite.experiments.execute.execute`; ``stacked`` is the number of runs
        that were trained at once), or with the error of a run whose loss was no longer finite.
    """
    limit = limit or len(runs)
    splits = {run: shelf.split(run) for run in runs}
    chosen, kept = dict(zip(runs, runs)), {}
    if runs[0].tune:
        tried = {run: trials(run, splits[run]) for run in runs}
        every = [trial for each in tried.values() for trial in each]
        found = _trained([(trial.run, trial.data) for trial in every], shelf, device, limit)
        results = {
            id(trial): None if isinstance(each, FloatingPointError) else each[0] for trial, each in zip(every, found)
        }
        for run, own in tried.items():
            chosen[run], tuning = choose(run, own, [results[id(trial)] for trial in own])
            kept[run] = {"tuning": tuning}
    found = _trained([(chosen[run], splits[run]) for run in runs], shelf, device, limit)
    for run, each in zip(runs, found):
        if isinstance(each, FloatingPointError):
            yield run, each
            continue
        result, size, memory = each
        tested = outcome(result, splits[run], METHODS[run.method].tested)
        more = {"stacked": size, "peak_memory_mib": memory, "command": command}
        yield run, {**run.settings(), **tested, **kept.get(run, {}), **more}


def _trained(
    jobs: Sequence[tuple[Run, Split]], shelf: Shelf, device: str, limit: int
) -> list[tuple[Result, int, int | None] | FloatingPointError]:
    """Train runs, at most ``limit`` at once; give their results, how many were trained at once, and the peak memory."""
    alike: dict[int, list[int]] = {}
    for place, (_, data) in enumerate(jobs):
        alike.setdefault(len(data.train), []).append(place)
    found: dict[int, tuple[Result, int, int | None] | FloatingPointError] = {}
    for places in alike.values():
        for start in range(0, len(places), limit):
            part = places[start : start + limit]
            memory = PeakMemory()
            results = fit_stack(_members([jobs[place] for place in part], shelf, device))
            for place, result in zip(part, results):
                failed = isinstance(result, FloatingPointError)
                found[place] = result if failed else (result, len(part), memory.mib())
    return [found[place] for place in range(len(jobs))]


def _members(jobs: Sequence[tuple[Run, Split]], shelf: Shelf, device: str) -> list[Member]:
    needs = STRATEGIES[jobs[0][0].strategy_name].needs
    networks = _fine_tuned(jobs, shelf, device) if needs else [None] * len(jobs)
    strategies = [make_strategy(run.strategy_name, each, **run.options) for (run, _), each in zip(jobs, networks)]
    return _started(jobs, strategies, shelf, device)


def _started(
    jobs: Sequence[tuple[Run, Split]],
    strategies: Sequence[Strategy | None],
    shelf: Shelf,
    device: str,
    method: str | None = None,
) -> list[Member]:
    """Make the students; those of one seed start alike, so that the teacher's weights are selected once for them."""
    starts: dict[int, tuple[nn.Module, nn.Module | None]] = {}
    members = []
    for (run, data), strategy in zip(jobs, strategies):
        if run.seed not in starts:
            starts[run.seed] = Shelf(shelf.root, data=data, loaded=shelf.teacher(run)).students(run, method)
        main, auxiliary = copy.deepcopy(starts[run.seed])
        members.append(Member(main, auxiliary, data, replace(run.config(len(data.train)), device=device), strategy))
    return members


def _fine_tuned(jobs: Sequence[tuple[Run, Split]], shelf: Shelf, device: str) -> list[nn.Module]:
    """Fine-tune the whole teacher for each run, on the run's images and with its settings."""
    once = [(replace(run, measurements=1), data) for run, data in jobs]
    members = _started(once, [None] * len(jobs), shelf, device, "teacher")
    for result in fit_stack(members):
        if isinstance(result, FloatingPointError):
            raise result
    return [member.main for member in members]
