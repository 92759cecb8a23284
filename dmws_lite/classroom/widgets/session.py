"""What the training playground does, without anything that is shown: settings in, rows while it trains, then a run.

Kept apart from :mod:`dmws_lite.classroom.widgets.training` so that it can be read, tested and used without a notebook.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...distillation.loss import check_alpha, check_tau
from ...distillation.moving_average import check_beta
from ...experiments import run as experiments
from ...experiments.execute import Shelf, carry_out
from ...experiments.methods import METHODS
from ...images.dataset import check_seed
from ...images.load import load_images
from ...images.splits import Split, split
from ...selection.rules import check_rule
from ...teachers.load import load_teacher

# The methods that differ in one thing each: ours; no complementary start; no auxiliary at all.
COMPARED = ("ours", "same_start", "cm1")

MAX_PINS = 4

PIN_NAMES = "ABCD"

MEASUREMENTS = 12  # of both students on the test images, about, in a run


@dataclass(frozen=True)
class Settings:
    """What a student chooses; checked when it is made.

    Attributes:
        method: one of :data:`COMPARED`.
        alpha: weight of the cross-entropy, in [0, 1].
        beta: share that the auxiliary keeps per step, in [0, 1].
        tau: temperature, in (0, 100].
        rule: rule of element selection.
        fraction: share of the training pool, in (0, 1].
        steps: optimiser steps, at least 1; the run ends with the epoch that reaches them.
        seed: of the selection, the split, the order and the augmentation, 0 or larger.

    Raises:
        ValueError: a value is out of range; the message names it, the range and a remedy.
    """

    method: str = "ours"
    alpha: float = 0.6
    beta: float = 0.9
    tau: float = 3.0
    rule: str = "uniform"
    fraction: float = 1.0
    steps: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in COMPARED:
            raise ValueError(f"method={self.method!r} is not in the playground; choose one of {', '.join(COMPARED)}")
        check_alpha(self.alpha)
        check_beta(self.beta)
        check_tau(self.tau)
        check_rule(self.rule)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction!r} is out of range; choose a share in (0, 1], 5% is 0.05")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps={self.steps!r} is out of range; choose an integer of at least 1")
        check_seed(self.seed)

    @property
    def dual(self) -> bool:
        """Whether the method has an auxiliary; without one alpha, beta and tau change nothing."""
        return METHODS[self.method].has_auxiliary

    def words(self) -> str:
        """Return the settings as one line, without those that change nothing."""
        found = [self.method]
        if self.dual:
            found += [f"alpha {self.alpha:g}", f"beta {self.beta:g}", f"tau {self.tau:g}"]
        return ", ".join([*found, self.rule, f"{self.fraction:.0%} of the pool", f"seed {self.seed}"])


@dataclass
class LiveRun:
    """A run that has ended, or the part of it that was trained before it was stopped.

    Attributes:
        settings: what was chosen.
        rows: one per epoch: ``epoch``, ``step``, ``loss`` (of main on the training images, equation 5), ``ce``, ``kd``,
            ``remaining`` (``beta ** step``, ``None`` without auxiliary), ``seconds`` since the start; and where the
            students were measured on the test images ``test_loss``, ``aux_test_loss`` (cross-entropy in nats),
            ``main_accuracy``, ``aux_accuracy``, else ``None``.
        steps: optimiser steps that a whole run has.
        n_train, n_test: numbers of images.
        stopped: whether the run was ended before its last step.
        seconds: from cutting the students to the last measurement.
        device: where it ran.
        stored: whether it comes from a record, so that its seconds are those of another machine.
    """

    settings: Settings
    rows: list[dict] = field(default_factory=list)
    steps: int = 0
    n_train: int = 0
    n_test: int = 0
    stopped: bool = False
    seconds: float = 0.0
    device: str = ""
    stored: bool = False

    def last(self, name: str) -> float | None:
        """Return the last measured value of a column, or ``None`` where there is none."""
        return next((row[name] for row in reversed(self.rows) if row[name] is not None), None)

    def words(self) -> str:
        """Say in one sentence how the run ended."""
        done = self.rows[-1]["step"] if self.rows else 0
        end = f"Stopped after {done} of {self.steps} steps" if self.stopped else f"Finished {self.steps} steps"
        return f"{end} in {self.seconds:.1f} s on {self.device}: {self.settings.words()}; {accuracy_words(self)}"


def run_of_record(record: Mapping[str, object]) -> LiveRun:
    """Return a stored run as if it had been trained just now.

    Args:
        record: of one of the methods in :data:`COMPARED`, from :func:`dmws_lite.experiments.records.read_records`.

    Raises:
        ValueError: the playground does not have the record's method.
    """
    names = ("method", "alpha", "beta", "tau", "rule", "fraction", "seed")
    rows, sizes = list(record["history"]), record["split"]
    return LiveRun(
        Settings(**{name: record[name] for name in names}, steps=rows[-1]["step"]),
        rows=rows,
        steps=rows[-1]["step"],
        n_train=sizes["train"],
        n_test=sizes["test"],
        seconds=record["seconds"],
        device=record["device"],
        stored=True,
    )


def accuracy_words(run: LiveRun) -> str:
    """Say the last measured accuracies of a run in words."""
    main, aux = run.last("main_accuracy"), run.last("aux_accuracy")
    if main is None:
        return "not measured yet"
    other = "no auxiliary" if aux is None else f"auxiliary {aux:.3f}"
    return f"accuracy of main {main:.3f}, {other}, on {run.n_test} test images"


class Session:
    """Images and teacher, loaded once, and the runs that are made with them.

    A run seeds PyTorch's global generator, as :func:`dmws_lite.training.fit.fit` does: cells that draw random numbers
    while one is training change its numbers.

    Args:
        source: of the images, see :func:`dmws_lite.images.load.load_images`.
        n: images to generate; a fifth of them is the test part.
        size: image side in pixels.
        pair: teacher and student.
        batch_size: images per step.
        learning_rate: peak of AdamW's learning rate.
        device: where to train.

    Raises:
        ValueError: in :meth:`run`, where one of these is out of range.
    """

    def __init__(
        self,
        source: str = "phantom-mri",
        n: int = 1000,
        size: int = 48,
        pair: str = "convnext_pocket",
        batch_size: int = 16,
        learning_rate: float = 2e-3,
        device: str = "auto",
    ) -> None:
        self.source, self.n, self.size, self.pair = source, n, size, pair
        self.batch_size, self.learning_rate, self.device = batch_size, learning_rate, device
        self._images = self._teacher = None

    def prepare(self) -> None:
        """Load images and teacher, unless they are there."""
        if self._teacher is None:
            self._images = load_images(self.source, n=self.n, size=self.size, progress=False)
            self._teacher = load_teacher(self.pair, quiet=True)

    def data(self, settings: Settings) -> Split:
        """Return the training and test images of some settings."""
        self.prepare()
        return split(self._images, fraction=settings.fraction, seed=settings.seed)

    def described(self, settings: Settings) -> experiments.Run:
        """Return the run that some settings ask for."""
        return experiments.Run(
            dataset=self.source,
            pair=self.pair,
            method=settings.method,
            fraction=settings.fraction,
            seed=settings.seed,
            size=self.size,
            steps=settings.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            alpha=settings.alpha,
            beta=settings.beta,
            tau=settings.tau,
            rule=settings.rule,
            measurements=MEASUREMENTS,
        )

    def run(
        self,
        settings: Settings,
        on_row: Callable[[LiveRun], None] | None = None,
        stop: threading.Event | None = None,
    ) -> LiveRun:
        """Train once.

        Args:
            settings: what was chosen.
            on_row: called after every epoch with the run so far; what it raises ends the run and is raised here.
            stop: ends the run after the epoch in which it is set.

        Returns:
            The run; where it was stopped, the part that was trained.
        """
        started = time.perf_counter()
        data, described = self.data(settings), self.described(settings)
        epochs, batches = described.epochs_for(len(data.train)), math.ceil(len(data.train) / self.batch_size)
        run = LiveRun(settings, steps=epochs * batches, n_train=len(data.train), n_test=len(data.test))

        def watch(row: dict) -> bool:
            asked = stop is not None and stop.is_set()
            run.seconds = time.perf_counter() - started
            run.rows.append({**row, "seconds": run.seconds})
            run.stopped = asked and row["epoch"] < epochs
            if on_row is not None:
                on_row(run)
            return not asked

        trained = carry_out(described, Shelf(loaded=self._teacher), data=data, device=self.device, on_epoch=watch)
        last = trained.result.history[-1]  # measured now, also where the run was stopped between two measurements
        run.seconds = time.perf_counter() - started
        run.rows[-1] = {**last, "seconds": run.seconds}
        run.device = trained.result.device
        return run


class PinError(ValueError):
    """A run cannot be pinned or unpinned; the message says why and what to do."""


class Pins:
    """Up to :data:`MAX_PINS` runs, each under a letter that it keeps until it is removed."""

    def __init__(self) -> None:
        self._runs: dict[str, LiveRun] = {}

    def add(self, run: LiveRun) -> str:
        """Keep a run and return its letter.

        Raises:
            PinError: all letters are taken, the run is kept already, or it has no measurement.
        """
        if any(kept is run for kept in self._runs.values()):
            raise PinError("this run is pinned already; train again before you pin again")
        if run.last("main_accuracy") is None:
            raise PinError("this run has no measurement yet; train, then pin")
        free = [name for name in PIN_NAMES if name not in self._runs]
        if not free:
            raise PinError(f"{MAX_PINS} runs are pinned, which is the most; unpin one, then pin this run")
        self._runs[free[0]] = run
        return free[0]

    def remove(self, name: str) -> None:
        """Forget a run.

        Raises:
            PinError: nothing is pinned under this letter.
        """
        if name not in self._runs:
            raise PinError(f"no run is pinned as {name!r}; pinned are {', '.join(self.names()) or 'none'}")
        del self._runs[name]

    def names(self) -> list[str]:
        """Return the letters in use, in order."""
        return sorted(self._runs)

    def items(self) -> list[tuple[str, LiveRun]]:
        """Return letters and runs, in order of the letters."""
        return sorted(self._runs.items())


def curve(run: LiveRun, columns: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Return for each column its points (step, value), where it was measured."""
    return {name: [(row["step"], row[name]) for row in run.rows if row[name] is not None] for name in columns}
