"""Runs as records: what was asked, what came out, with what, when. The book's tables are made from these files.

A :class:`Run` is a full description, :func:`execute` carries it out, and the record that comes back is one JSON file
named by a hash of the description. :mod:`dmws_lite.grids` makes many.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import platform
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import timm
import torch
from torch import nn

from .data import Images, Split, load_images, split
from .indices import check_rule
from .initialisation import METHODS, WITH_AUXILIARY, start_students
from .resources import data_path, write_atomic
from .strategies import STRATEGIES, Strategy, make_strategy
from .teachers import PAIRS, load_teacher, make_student
from .training import Result, TrainConfig, fit

# Settings that came after the first records: at these values they are left out of the hash, so old names stay valid.
_LATER = {"steps": 0, "strategy": "", "measurements": 10}


@dataclass(frozen=True)
class Run:
    """One training run, fully described; two equal descriptions give the same record file.

    Attributes:
        dataset: source for :func:`dmws_lite.data.load_images`, such as ``"mri"`` or ``"phantom-mri"``.
        pair: teacher and student, a name in ``dmws_lite.teachers.PAIRS``.
        method: how the students start, one of ``dmws_lite.initialisation.METHODS``.
        fraction: share of the training part that is used, in (0, 1].
        seed: of split, initialisation, order and augmentation.
        size: image side in pixels.
        epochs: passes over the training images; 0 where ``steps`` says how long.
        batch_size: images per step.
        learning_rate: peak.
        alpha: weight of the cross-entropy.
        beta: share that the auxiliary keeps.
        tau: temperature.
        rule: rule of element selection.
        split_rule: ``"grouped"`` keeps identical files on one side, ``"random"`` is the paper's split.
        steps: at least this many optimiser steps, rounded up to whole epochs; 0 where ``epochs`` says how long.
        strategy: one of ``dmws_lite.strategies.STRATEGIES``; "" for equation 5 where the method has an auxiliary and
            labels only where it has none.
        measurements: how often the test images are measured during the run, for the curve.
    """

    dataset: str
    pair: str
    method: str
    fraction: float
    seed: int
    size: int
    epochs: int = 0
    batch_size: int = 32
    learning_rate: float = 1e-3
    alpha: float = 0.6
    beta: float = 0.9
    tau: float = 3.0
    rule: str = "uniform"
    split_rule: str = "grouped"
    steps: int = 0
    strategy: str = ""
    measurements: int = 10

    def __post_init__(self) -> None:
        choices = {"method": METHODS, "pair": tuple(PAIRS), "strategy": ("", *STRATEGIES)}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                told = ", ".join(k for k in known if k)
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {told}")
        check_rule(self.rule)
        for name in ("seed", "size", "epochs", "steps", "measurements"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}={value!r} is out of range; choose an integer of at least 0")
        if bool(self.epochs) == bool(self.steps):
            raise ValueError(f"epochs={self.epochs} and steps={self.steps}: give exactly one of them, above 0")
        if isinstance(self.fraction, bool) or not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction!r} is out of range; choose a share in (0, 1], such as 0.05")
        if self.split_rule not in ("grouped", "random"):
            raise ValueError(f"split_rule={self.split_rule!r} is unknown; choose grouped or random")
        strategy, has = STRATEGIES[self.strategy_name], self.method in WITH_AUXILIARY
        if strategy.uses_auxiliary != has:
            told = f"needs one of {', '.join(WITH_AUXILIARY)}" if strategy.uses_auxiliary else "goes without"
            raise ValueError(
                f"method={self.method!r} with strategy={self.strategy!r}: the strategy {told} an auxiliary"
            )
        self.config(1)  # the numbers that training checks

    @property
    def strategy_name(self) -> str:
        """The strategy that is used, spelled out."""
        return self.strategy or ("skd" if self.method in WITH_AUXILIARY else "labels")

    @property
    def name(self) -> str:
        """File name of the record: readable, with a hash over every setting."""
        settings = {k: v for k, v in asdict(self).items() if k not in _LATER or v != _LATER[k]}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]
        method = f"{self.method}-{self.strategy}" if self.strategy else self.method
        return f"{self.dataset}-{self.pair}-{method}-{self.fraction:g}-s{self.seed}-{digest}"

    def epochs_for(self, images: int) -> int:
        """Return the number of epochs on that many training images."""
        return self.epochs or math.ceil(self.steps / math.ceil(images / self.batch_size))

    def config(self, images: int, progress: bool = False) -> TrainConfig:
        """Return the settings for :func:`dmws_lite.training.fit` on that many training images."""
        shared = {f.name for f in fields(TrainConfig)} & asdict(self).keys() - {"epochs"}
        epochs = self.epochs_for(images)
        return TrainConfig(
            **{name: getattr(self, name) for name in shared},
            epochs=epochs,
            evaluate_every=math.ceil(epochs / max(1, self.measurements)),
            progress=progress,
        )


@dataclass
class Shelf:
    """What runs share: images, splits, teachers and trained networks, each loaded or made once.

    Only the latest of each kind is kept, so runs should come in an order that keeps equal ones together.

    Attributes:
        root: folder of the data sets, see :func:`dmws_lite.data.load_images`.
    """

    root: str | Path | None = None
    _kept: dict[str, tuple[object, object]] = field(default_factory=dict, repr=False)

    def _once(self, kind: str, key: object, make: Callable[[], object]) -> object:
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept.pop(kind, None)  # frees the old one before the new one is made
            self._kept[kind] = (key, make())
        return self._kept[kind][1]

    def images(self, run: Run) -> Images:
        """Return the run's images."""
        return self._once("images", (run.dataset, run.size), lambda: load_images(run.dataset, self.root, size=run.size))

    def split(self, run: Run) -> Split:
        """Return the run's split."""
        key = (run.dataset, run.size, run.fraction, run.seed, run.split_rule)
        return self._once("split", key, lambda: split(self.images(run), run.fraction, run.seed, rule=run.split_rule))

    def teacher(self, run: Run) -> nn.Module:
        """Return the run's teacher."""
        return self._once("teacher", run.pair, lambda: load_teacher(run.pair, quiet=True))

    def students(self, run: Run, method: str | None = None) -> tuple[nn.Module, nn.Module | None]:
        """Return fresh students of the run."""
        classes = len(self.images(run).classes)
        return start_students(
            method or run.method,
            self.teacher(run),
            lambda: make_student(run.pair, classes, run.size),
            run.seed,
            run.rule,
        )

    def strategy(self, run: Run) -> Strategy:
        """Return the run's strategy; a frozen network that it needs is trained first, with labels only."""
        kind = STRATEGIES[run.strategy_name]
        numbers = {"alpha": run.alpha, "tau": run.tau} if run.strategy_name in ("skd", "hybrid") else {}
        if not kind.needs:
            return make_strategy(run.strategy_name, **numbers)
        method = {"self": "cm1", "teacher": "teacher"}[kind.needs]
        shared = (
            "dataset",
            "pair",
            "fraction",
            "seed",
            "size",
            "epochs",
            "steps",
            "batch_size",
            "learning_rate",
            "rule",
        )
        key = (method, run.split_rule, *(getattr(run, name) for name in shared))

        def train() -> nn.Module:
            data = self.split(run)
            main, _ = self.students(run, method)
            fit(main, None, data, run.config(len(data.train)))
            return main

        return make_strategy(run.strategy_name, self._once("frozen", key, train), **numbers)


def execute(
    run: Run,
    shelf: Shelf | None = None,
    progress: bool = False,
    command: str = "",
    on_epoch: Callable[[dict], bool | None] | None = None,
) -> dict:
    """Carry out one run.

    Args:
        run: its description.
        shelf: what it shares with other runs.
        progress: show a bar.
        command: the command line, for the record.
        on_epoch: see :func:`dmws_lite.training.fit`.

    Returns:
        The record: the description, ``classes``, ``split`` (sizes, SHA-256 of its indices, number and positions of test
        images with a copy in the training part), ``history``, ``metrics`` and ``aux_metrics`` (with the confusion
        matrix), ``predicted`` and ``labels`` (one character per test image, where there are at most 36 classes),
        ``seconds``, ``peak_memory_mib``, ``device``, ``versions``, ``date``, ``command``: plain numbers and text.
    """
    shelf = shelf or Shelf()
    data = shelf.split(run)
    main, aux = shelf.students(run)
    strategy = shelf.strategy(run)
    config = run.config(len(data.train), progress)
    memory = _PeakMemory()
    result = fit(main, aux, data, config, on_epoch, strategy)
    return {**asdict(run), **outcome(result, data), "peak_memory_mib": memory.mib(), "command": command}


def outcome(result: Result, data: Split) -> dict:
    """Return what a record says of a finished training, see :func:`execute`."""
    classes = data.train.classes
    seen = set(data.train.digests)
    copies = [place for place, digest in enumerate(data.test.digests) if digest in seen]
    parts = {"train": len(data.train), "test": len(data.test), "digest": data.digest, "leaked": data.leaked}
    return {
        "classes": list(classes),
        "split": {**parts, "leaked_at": copies},
        "metrics": result.metrics,
        "aux_metrics": result.aux_metrics,
        "history": [{k: _short(v) for k, v in row.items()} for row in result.history],
        "predicted": _digits(result.predicted, len(classes)),
        "labels": _digits(data.test.labels.tolist(), len(classes)),
        "seconds": round(result.seconds, 2),
        "device": device_name(result.device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": timm.__version__},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def _short(value: object) -> object:
    return float(f"{value:.5g}") if isinstance(value, float) else value


_DIGITS = string.digits + string.ascii_lowercase


def _digits(numbers: Iterable[int], classes: int) -> str:
    """Write class numbers as one character each, so that a thousand predictions are one line of the record."""
    return "".join(_DIGITS[n] for n in numbers) if classes <= len(_DIGITS) else ""


def class_numbers(text: str) -> list[int]:
    """Read ``predicted`` or ``labels`` of a record back: the class number of every test image."""
    return [_DIGITS.index(c) for c in text]


class _PeakMemory:
    """The largest memory in use since it was made: of the GPU's tensors, or of the whole process on a Linux CPU."""

    def __init__(self) -> None:
        self._gpu = torch.cuda.is_available()
        self._reset = False
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):  # not Linux, or not allowed: then the peak is unknown
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark, see proc(5)
            self._reset = True

    def mib(self) -> int | None:
        if self._gpu:
            return round(torch.cuda.max_memory_allocated() / 2**20)
        if not self._reset:
            return None
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024)


def device_name(device: str) -> str:
    """Name a device so that a reader can judge the seconds: the GPU's product name, or the CPU's threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


# -- records on disk --------------------------------------------------------------------------------------------------


def write_record(folder: str | Path, run: Run, record: Mapping) -> Path:
    """Write a record as JSON, atomically: one line per setting and one per epoch."""
    lines = []
    for key, value in record.items():
        if key == "history":
            rows = ",\n  ".join(json.dumps(row) for row in value)
            lines.append(f' "history": [\n  {rows}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return write_atomic(Path(folder) / f"{run.name}.json", "{\n" + ",\n".join(lines) + "\n}\n")


def read_records(folder: str | Path | None = None, *, grid: str = "", **wanted: object) -> list[dict]:
    """Read records, those that come with the project by default.

    Args:
        folder: where they lie, sub-folders included; ``None`` for the project's own ``data/results``.
        grid: only those of one grid, such as ``"ablations"``: the sub-folder of that name.
        wanted: keep records with these values, such as ``method="ours"``.

    Returns:
        The records, ordered by file name; an empty list where none match. Settings that older records do not have are
        filled with the values that they stand for.

    Raises:
        ValueError: a file is not a record; its name and the remedy are said.
    """
    folder = data_path("results") if folder is None else Path(folder)
    found = []
    for path in sorted((folder / grid).rglob("*.json")):
        try:
            record = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name} is not a record ({error}); delete it and run the command again") from error
        if "metrics" not in record:
            continue
        record = {**_LATER, **record}
        if all(record.get(key) == value for key, value in wanted.items()):
            found.append(record)
    return found


def run_of(record: Mapping) -> Run:
    """Return the description that a record was made from."""
    return Run(**{f.name: record[f.name] for f in fields(Run) if f.name in record})


def accuracies(records: Iterable[Mapping]) -> dict[str, list[float]]:
    """Gather test accuracies by method, in the order of :data:`METHODS` and of the seeds."""
    ordered = sorted(records, key=lambda r: (METHODS.index(r["method"]), r["seed"]))
    values: dict[str, list[float]] = {}
    for record in ordered:
        values.setdefault(record["method"], []).append(record["metrics"]["accuracy"])
    return values
