"""What shapes a run, what it leaves behind, and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from .._values import check_flag, check_integer, check_number, plain
from ..distillation.loss import check_alpha, check_tau
from ..distillation.moving_average import BUFFER_CHOICES, check_beta
from ..images.dataset import LARGEST_SEED

if TYPE_CHECKING:
    from .evaluate import Measurement

SCHEDULES = ("cosine", "constant")
PRECISIONS = ("auto", "fp32", "bf16")
BALANCES = ("none", "sampling")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run; checked when it is made, before anything is loaded or trained.

    Attributes:
        epochs: passes over the training images, at least 1 (the paper: 300).
        batch_size: images per step, at least 2 (batch norm needs two).
        learning_rate: peak of AdamW's learning rate, in (0, 10].
        weight_decay: of AdamW, in [0, 10].
        warmup: share of all steps with a rising learning rate, in [0, 0.99].
        schedule: what follows the rise: ``"cosine"`` to zero, or ``"constant"``.
        alpha: weight of the cross-entropy, in [0, 1] (equation 5).
        beta: share of itself that the auxiliary keeps per step, in [0, 1] (equation 7).
        tau: temperature, in (0, 100] (equations 1 and 2).
        buffers: ``"lerp"``, ``"copy"`` or ``"keep"``: what happens to the auxiliary's batch-norm buffers, see
            :func:`dmws_lite.distillation.moving_average.update_auxiliary`.
        shift: largest random shift as a share of the image side, in [0, 0.49].
        flip: flip half of the images left to right.
        balance: ``"none"``, or ``"sampling"``: in each epoch as many images are drawn as there are, with replacement,
            every class equally often.
        most_steps: the run ends after this many steps, in the middle of an epoch if need be; 0 for whole epochs.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: ``"auto"`` (bf16 autocast on GPUs that compute in it, else fp32), ``"fp32"`` or ``"bf16"``. The
            weights stay fp32 either way. On the CPUs measured bf16 gained nothing, see ``benchmarks/README.md``.
        seed: of the order, the augmentation and drop path.
        evaluate_every: epochs between two measurements on the test images, at least 0; 0 measures about ten times. They
            are for the curve only: nothing is chosen by them, and the result is always the last epoch's.
        checkpoint: file to resume from and to write to after every epoch; ``None`` for none.
        progress: show a progress bar.

    Raises:
        ValueError: a value is out of range or unknown; the message names it and the range.

    Example:
        >>> TrainConfig(epochs=20, tau=4.0).beta
        0.9
        >>> TrainConfig(epochs=0)
        Traceback (most recent call last):
        ValueError: epochs=0 is out of range; choose an integer of at least 1
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    schedule: str = "cosine"
    alpha: float = 0.6
    beta: float = 0.9
    tau: float = 3.0
    buffers: str = "lerp"
    shift: float = 0.08
    flip: bool = True
    balance: str = "none"
    most_steps: int = 0
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    evaluate_every: int = 0
    checkpoint: str | Path | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for each in fields(self):  # a scalar of NumPy is the number that it is, in records and checkpoints too
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))
        check_alpha(self.alpha)
        check_beta(self.beta)
        check_tau(self.tau)
        for name, least in {"epochs": 1, "batch_size": 2, "evaluate_every": 0, "most_steps": 0}.items():
            check_integer(name, getattr(self, name), least)
        check_integer("seed", self.seed, 0, LARGEST_SEED)
        for name in ("flip", "progress"):
            check_flag(name, getattr(self, name))
        ranges = {"learning_rate": (0, 10), "weight_decay": (0, 10), "warmup": (0, 0.99), "shift": (0, 0.49)}
        for name, (low, high) in ranges.items():
            check_number(name, getattr(self, name), low, high)
        if self.learning_rate == 0:
            raise ValueError("learning_rate=0 trains nothing; choose a positive number such as 0.001")
        known = {"buffers": BUFFER_CHOICES, "precision": PRECISIONS, "schedule": SCHEDULES, "balance": BALANCES}
        for name, choices in known.items():
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(choices)}")

    @property
    def augments(self) -> bool:
        """Whether training images are changed at random; without, nothing is drawn for it."""
        return self.shift > 0 or self.flip


@dataclass
class Result:
    """What a run leaves behind.

    Attributes:
        history: one row per epoch. Always: ``epoch`` and ``step`` (how many are done), ``learning_rate`` (of the last
            step), ``loss``, ``ce``, ``kd`` and any further term of the strategy (means over the training images, in
            nats), ``remaining`` (``beta ** step``; ``None`` without an auxiliary) and ``seconds``. In the epochs that
            were measured, else ``None``: ``test_loss`` and ``aux_test_loss`` (cross-entropy of main and auxiliary on
            the test images, in nats), ``main_accuracy`` and ``aux_accuracy`` (on the test images, in [0, 1]) and
            ``agreement`` (share of test images for which both predict the same class). A test loss that rises while
            ``ce`` falls shows overfitting. Records from before the two test losses lack them: read with ``row.get``.
        metrics: main's on the test images after the last epoch, see :func:`dmws_lite.training.evaluate.score`.
        aux_metrics: the auxiliary's, or ``None`` without one.
        config: the settings.
        device: where it ran.
        seconds: training time, the measurements of the history included.
        predicted: main's class for every test image after the last epoch.
        aux_predicted: the auxiliary's; empty without one.
    """

    history: list[dict] = field(default_factory=list)
    metrics: dict = field(default_factory=dict)
    aux_metrics: dict | None = None
    config: TrainConfig | None = None
    device: str = "cpu"
    seconds: float = 0.0
    predicted: list[int] = field(default_factory=list)
    aux_predicted: list[int] = field(default_factory=list)

    def append(self, row: dict, seconds: float) -> None:
        """Add an epoch's row to the history, and the seconds that the epoch took."""
        row["seconds"] = seconds
        self.history.append(row)
        self.seconds += seconds

    def finish(self, measured: Measurement) -> None:
        """Take the last measurement: metrics, predictions, and the columns of the last row of the history."""
        if self.history:
            self.history[-1].update(measured.columns())
        self.metrics, self.aux_metrics = measured.scores()
        self.predicted = measured.main.argmax(1).tolist()
        self.aux_predicted = [] if measured.aux is None else measured.aux.argmax(1).tolist()

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """Return the epochs and the values of one column of the history, where it was measured.

        Example:
            >>> Result(history=[{"epoch": 1, "test_loss": None}, {"epoch": 2, "test_loss": 0.7}]).column("test_loss")
            ([2], [0.7])
        """
        rows = [row for row in self.history if row.get(name) is not None]
        return [row["epoch"] for row in rows], [row[name] for row in rows]


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    r"""Return the learning rate of a step: a line up to the peak, then half a cosine down to zero, or the peak.

    With r rising steps of n in all: peak times :math:`(t + 1) / r` for :math:`t < r`, then peak times
    :math:`\frac{1}{2} (1 + \cos(\pi (t - r) / (n - r)))`.

    Args:
        step: counted from 0.
        steps: of the whole run.
        config: its ``learning_rate`` is the peak, its ``warmup`` the share of rising steps (at least one rises), and
            its ``schedule`` says what follows.

    Example:
        >>> config = TrainConfig(learning_rate=0.001, warmup=0.1)
        >>> [round(learning_rate_at(step, 100, config), 6) for step in (0, 9, 10, 55, 99)]
        [0.0001, 0.001, 0.001, 0.0005, 0.0]
    """
    rising = max(1, round(config.warmup * steps))
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
