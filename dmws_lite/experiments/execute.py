"""Carry out one run: load what it needs, train, and return its record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from .._system import write_atomic
from .._values import check_weights
from ..distillation.strategies import STRATEGIES, make_strategy
from ..distillation.strategies.base import Strategy
from ..images.dataset import Images
from ..images.load import load_images
from ..images.packed import packed_path, unpack_images
from ..images.splits import Split, split, with_label_noise
from ..teachers.load import load_teacher
from ..teachers.pairs import make_student
from ..training.checkpoint import pack_tensors, unpack_tensors
from ..training.config import Result
from ..training.device import PeakMemory, pick_device
from ..training.fit import fit
from .methods import METHODS, start_students
from .records import outcome
from .run import Run
from .tuning import choose, trials

_FROZEN = ".frozen-"  # how the files of networks that strategies train first begin


def _digest(key: object) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]


def _taken_back(model: nn.Module, path: Path) -> bool:
    """Fill a network from a file that was kept; a damaged one is as good as none."""
    if not path.is_file():
        return False
    try:
        weights = unpack_tensors(path, "network")
        check_weights(weights, str(path), "it is trained again")
        model.load_state_dict(weights)
    except (ValueError, RuntimeError) as error:
        print(f"{path.name} is not used ({' '.join(str(error).split())[:200]}); it is trained again", flush=True)
        return False
    return True


@dataclass
class Shelf:
    """What runs share: images, splits, teachers and trained networks, each loaded or made once.

    Only the latest of each kind is kept, so runs should come in an order that keeps equal ones together.

    Attributes:
        root: folder of the data sets, see :func:`dmws_lite.images.load.load_images`.
        data: a split that the caller made; runs are trained and tested on it, and nothing is read.
        loaded: a teacher that the caller loaded, in place of the pair's.
        keep: folder in which the networks that strategies train first survive a kill; ``None`` for none.
    """

    root: str | Path | None = None
    data: Split | None = None
    loaded: nn.Module | None = None
    keep: Path | None = None
    _kept: dict[str, tuple[object, object]] = field(default_factory=dict, repr=False)
    _files: list[Path] = field(default_factory=list, repr=False)

    def _once(self, kind: str, key: object, make: Callable[[], object]) -> object:
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept.pop(kind, None)  # frees the old one before the new one is made
            self._kept[kind] = (key, make())
        return self._kept[kind][1]

    def images(self, run: Run) -> Images:
        """Return the run's images: from a packed file in the root folder if there is one, else from the data set."""

        def read() -> Images:
            packed = None if self.root is None else packed_path(self.root, run.dataset, run.size)
            if packed is not None and packed.is_file():
                return unpack_images(packed)
            return load_images(run.dataset, self.root, size=run.size)

        return self._once("images", (run.dataset, run.size), read)

    def split(self, run: Run) -> Split:
        """Return the run's split, or the caller's."""
        if self.data is not None:
            return self.data
        key = (run.dataset, run.size, run.fraction, run.seed, run.split_rule, run.label_noise)

        def make() -> Split:
            data = split(self.images(run), run.fraction, run.seed, rule=run.split_rule)
            return with_label_noise(data, run.label_noise, run.seed) if run.label_noise else data

        return self._once("split", key, make)

    def teacher(self, run: Run) -> nn.Module:
        """Return the run's teacher, or the caller's."""
        if self.loaded is not None:
            return self.loaded
        return self._once("teacher", run.pair, lambda: load_teacher(run.pair, quiet=True))

    def students(self, run: Run, method: str | None = None) -> tuple[nn.Module, nn.Module | None]:
        """Return fresh students of the run."""
        classes = len(self.split(run).train.classes)
        return start_students(
            method or run.method,
            self.teacher(run),
            lambda: make_student(run.pair, classes, run.size),
            run.seed,
            run.rule,
        )

    def forget(self) -> None:
        """Remove the networks that strategies trained first from the folder :attr:`keep`."""
        for path in self.keep.glob(f".*{_FROZEN.strip('.')}*.pt*") if self.keep is not None else ():
            path.unlink(missing_ok=True)

    def strategy(self, run: Run, device: str = "auto", resume_from: str | Path | None = None) -> Strategy:
        """Return the run's strategy; a frozen network that it needs is trained first, with labels only.

        Args:
            run: the run.
            device: where the frozen network is trained.
            resume_from: checkpoint of its training; ``None`` for none.
        """
        kind = STRATEGIES[run.strategy_name]
        if not kind.needs:
            return make_strategy(run.strategy_name, **run.options)
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
            "schedule",
            "augmentation",
            "label_noise",
            "precision",
        )
        key = (method, run.split_rule, self.split(run).digest, *(getattr(run, name) for name in shared))

        def train() -> nn.Module:
            data = self.split(run)
            main, _ = self.students(run, method)
            config = replace(run.config(len(data.train)), device=device, checkpoint=resume_from)
            if self.keep is None:
                fit(main, None, data, config)
                return main
            stored = self.keep / f"{_FROZEN}{_digest((*key, data.train.digests, device))}.pt"
            if not _taken_back(main, stored):
                fit(main, None, data, config)
                write_atomic(stored, pack_tensors(main.state_dict()))
            for before in self._files:
                before.unlink(missing_ok=True)
            self._files[:] = [stored]
            return main.to(pick_device(device)).eval()

        return make_strategy(run.strategy_name, self._once("frozen", key, train), **run.options)


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind.

    Attributes:
        record: what is kept of it, see :func:`execute`.
        main: the trained main student, in eval mode; where the method says that the auxiliary is tested, that one.
        auxiliary: the other student, or ``None``.
        data: what it was trained and tested on.
        result: the history and the metrics.
    """

    record: dict
    main: nn.Module
    auxiliary: nn.Module | None
    data: Split
    result: Result


def carry_out(
    run: Run,
    shelf: Shelf | None = None,
    *,
    data: Split | None = None,
    progress: bool = False,
    command: str = "",
    device: str = "auto",
    checkpoint: str | Path | None = None,
    on_start: Callable[[], object] | None = None,
    on_epoch: Callable[[dict], bool | None] | None = None,
    balance: str = "none",
    most_steps: int = 0,
) -> Outcome:
    """Carry out one run and keep the trained networks.

    Args:
        run: its description.
        shelf: what it shares with other runs.
        data: a split that the caller made, such as one by patient; the run's data set, fraction, seed and split rule
            then only describe it.
        progress: show a bar.
        command: the command line, for the record.
        device: see :class:`dmws_lite.training.config.TrainConfig`.
        checkpoint: file to resume from and to write to after every epoch.
        on_start: called when everything is loaded, selected and checked, before the first step.
        on_epoch: see :func:`dmws_lite.training.fit.fit`.
        balance: see :class:`dmws_lite.training.config.TrainConfig`.
        most_steps: see :class:`dmws_lite.training.config.TrainConfig`.

    Raises:
        ValueError: see :func:`dmws_lite.training.fit.fit`.
    """
    shelf = shelf or Shelf()
    if data is not None:
        shelf = replace(shelf, data=data, _kept={})
    described, data = run, shelf.split(run)
    if on_start is not None and run.tune:
        raise ValueError("a run that is tuned cannot be resumed in its middle; leave out tune, or on_start")
    memory = PeakMemory()
    run, tuning = _tuned(run, shelf, device)
    main, auxiliary = shelf.students(run)
    first = None if checkpoint is None or shelf.keep is None else shelf.keep / f"{_FROZEN}in-training.pt"
    strategy = shelf.strategy(run, device, first)
    config = replace(
        run.config(len(data.train), progress),
        device=device,
        checkpoint=checkpoint,
        balance=balance,
        most_steps=most_steps,
    )
    if on_start is not None:
        on_start()
    result = fit(main, auxiliary, data, config, on_epoch, strategy)
    more = {**tuning, "peak_memory_mib": memory.mib(), "command": command}
    record = {**described.settings(), **outcome(result, data, METHODS[run.method].tested), **more}
    if METHODS[run.method].tested == "auxiliary":
        main, auxiliary = auxiliary, main
    return Outcome(record, main, auxiliary, data, result)


def _tuned(run: Run, shelf: Shelf, device: str) -> tuple[Run, dict]:
    """Return the run with the values that its training images choose, and what the record says of the choice."""
    if not run.tune:
        return run, {}
    tried, results = trials(run, shelf.split(run)), []
    for trial in tried:
        inner = Shelf(shelf.root, data=trial.data, loaded=shelf.teacher(run))
        try:
            results.append(carry_out(trial.run, inner, device=device).result)
        except FloatingPointError:  # a learning rate that is too high loses; it does not end the run
            results.append(None)
    run, kept = choose(run, tried, results)
    return run, {"tuning": kept}


def execute(run: Run, shelf: Shelf | None = None, **options: object) -> dict:
    """Carry out one run and return its record.

    Args:
        run: its description.
        shelf: what it shares with other runs.
        options: those of :func:`carry_out`, such as ``data=`` for a split of your own.

    Returns:
        The record: the description, ``classes``, ``split`` (sizes, SHA-256 of its indices, number and positions of test
        images with a copy in the training part), ``history``, ``metrics`` and ``aux_metrics`` (with the confusion
        matrix; where a method's auxiliary is tested, ``metrics`` are the auxiliary's and ``aux_metrics`` main's),
        ``tuning`` (of a run that chose a setting, see :func:`dmws_lite.experiments.tuning.choose`), ``predicted`` and
        ``labels`` (one character per test image, where there are at most 36 classes), ``seconds``,
        ``peak_memory_mib``, ``device``, ``versions``, ``date``, ``command``: plain numbers and text. A history of more
        than 100 epochs is thinned to those that were measured and some twenty others.
    """
    return carry_out(run, shelf, **options).record
