"""A run, fully described: its settings, checked, and a name that is a hash over all of them.

:func:`dmws_lite.experiments.execute.execute` carries a run out and returns its record, which is kept as one JSON file
under the run's name. :mod:`dmws_lite.experiments.grids` describes many runs in a few lines.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from .._values import check_integer, is_number, plain
from ..distillation.strategies import STRATEGIES, check_strategy_options, strategy_options
from ..selection.rules import check_rule
from ..teachers.pairs import PAIRS
from ..training.config import TrainConfig
from .methods import METHODS

# Settings that came after the first records: at these values they are left out of the hash, so old names stay valid.
LATER_SETTINGS = {
    "steps": 0,
    "strategy": "",
    "measurements": 10,
    "strategy_options": {},
    "schedule": "cosine",
    "augmentation": "standard",
    "label_noise": 0.0,
    "precision": "auto",
    "tune": {},
    "folds": 3,
}

AUGMENTATIONS: dict[str, dict[str, object]] = {"standard": {}, "none": {"shift": 0.0, "flip": False}}

# Settings that a run may choose for itself by training on a part of its training images.
TUNABLE = ("learning_rate", "alpha", "beta", "tau")

# Settings that are real numbers, however they are written.
_REAL = ("fraction", "learning_rate", "alpha", "beta", "tau", "label_noise")

Options = tuple[tuple[str, float], ...]
Choices = tuple[tuple[str, tuple[float, ...]], ...]


def _sorted_options(given: Mapping[str, float] | Options) -> Options:
    if not isinstance(given, (Mapping, tuple, list)):
        raise ValueError(
            f"strategy_options={given!r} is no mapping; give names with numbers such as {{smoothing: 0.2}}"
        )
    return tuple(sorted((name, plain(value)) for name, value in dict(given).items()))


def _sorted_choices(given: Mapping[str, Sequence[float]] | Choices) -> Choices:
    pairs = dict(given) if isinstance(given, (Mapping, tuple, list)) else None
    if pairs is None or not all(isinstance(values, (list, tuple)) for values in pairs.values()):
        raise ValueError(
            f"tune={given!r} is no mapping of lists; give values such as {{learning_rate: [0.001, 0.004]}}"
        )
    return tuple(sorted((name, tuple(map(plain, values))) for name, values in pairs.items()))


def _whole(given: Mapping[str, object]) -> dict[str, object]:
    """Return the whole numbers in a mapping, or in its lists, as integers."""

    def of(value: object) -> object:
        if isinstance(value, Mapping):
            return _whole(value)
        if isinstance(value, (tuple, list)):
            return [of(each) for each in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return {name: of(value) for name, value in given.items()}


@dataclass(frozen=True)
class Run:
    """One training run, fully described; two equal descriptions give the same record file.

    Attributes:
        dataset: source for :func:`dmws_lite.images.load.load_images`, such as ``"mri"`` or ``"phantom-mri"``.
        pair: teacher and student, a name in ``dmws_lite.teachers.pairs.PAIRS``.
        method: how the students start, one of ``dmws_lite.experiments.methods.METHODS``.
        fraction: share of the training part that is used, in (0, 1].
        seed: of split, initialisation, order and augmentation.
        size: image side in pixels.
        epochs: passes over the training images; 0 where ``steps`` sets the length.
        batch_size: images per step, at least 2.
        learning_rate: peak learning rate of AdamW, > 0.
        alpha: weight of the cross-entropy, in [0, 1] (equation 5).
        beta: share that the auxiliary keeps per step, in [0, 1] (equation 7).
        tau: temperature, in (0, 100] (equations 1 and 2).
        rule: rule of element selection.
        split_rule: ``"grouped"`` keeps identical files on one side, ``"random"`` is the paper's split.
        steps: at least this many optimiser steps, rounded up to whole epochs; 0 where ``epochs`` sets the length.
        strategy: one of ``dmws_lite.distillation.strategies.STRATEGIES``; "" for equation 5 if the method has an
            auxiliary, and labels only if it has none.
        measurements: how often the test images are measured during the run, for the curve.
        strategy_options: options of the strategy other than the paper's alpha and tau, such as ``{"smoothing": 0.2}``;
            a mapping is turned into sorted pairs, so that equal runs are equal.
        schedule: ``"cosine"`` or ``"constant"``, see :class:`dmws_lite.training.config.TrainConfig`.
        augmentation: ``"standard"`` (small shifts, mirroring) or ``"none"``.
        label_noise: share of the training labels that are replaced by another class, in [0, 1).
        precision: ``"auto"``, ``"fp32"`` or ``"bf16"``, see :class:`dmws_lite.training.config.TrainConfig`.
        tune: values to choose from by training on a part of the training images, such as
            ``{"learning_rate": [0.001, 0.004]}``; the run's own value of these settings is then not used. See
            :mod:`dmws_lite.experiments.tuning`.
        folds: of the cross-validation that chooses, at least 2; or 1 to hold out a quarter of the training images once.

    Raises:
        ValueError: a value is unknown or out of range; the message names it, the range and a remedy.

    Example:
        >>> from dmws_lite.experiments.run import Run
        >>> run = Run("phantom-mri", "convnext_pocket", "cm1", fraction=0.1, seed=0, size=64, steps=100)
        >>> run.name, run.epochs_for(images=80)  # 3 batches an epoch
        ('phantom-mri-convnext_pocket-cm1-0.1-s0-ab9b932cd1', 34)
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
    strategy_options: Options = ()
    schedule: str = "cosine"
    augmentation: str = "standard"
    label_noise: float = 0.0
    precision: str = "auto"
    tune: Choices = ()
    folds: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategy_options", _sorted_options(self.strategy_options))
        object.__setattr__(self, "tune", _sorted_choices(self.tune))
        for each in fields(self):  # a scalar of NumPy is the number that it is
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))
        choices = {
            "method": METHODS,
            "pair": tuple(PAIRS),
            "strategy": ("", *STRATEGIES),
            "augmentation": AUGMENTATIONS,
        }
        for name, known in choices.items():
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in known:
                names = ", ".join(k for k in known if k)
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {names}")
        check_rule(self.rule)
        for name in ("seed", "size", "epochs", "steps", "measurements"):
            check_integer(name, getattr(self, name), 0)
        if bool(self.epochs) == bool(self.steps):
            raise ValueError(f"epochs={self.epochs} and steps={self.steps}: give exactly one of them, above 0")
        if not is_number(self.fraction) or not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction!r} is out of range; choose a share in (0, 1], such as 0.05")
        if self.split_rule not in ("grouped", "random"):
            raise ValueError(f"split_rule={self.split_rule!r} is unknown; choose grouped or random")
        strategy = STRATEGIES[self.strategy_name]
        if strategy.uses_auxiliary != METHODS[self.method].has_auxiliary:
            fitting = ", ".join(name for name, method in METHODS.items() if method.has_auxiliary)
            remedy = f"needs one of {fitting}" if strategy.uses_auxiliary else "goes without"
            raise ValueError(
                f"method={self.method!r} with strategy={self.strategy!r}: the strategy {remedy} an auxiliary"
            )
        for name in dict(self.strategy_options):
            if name in self._paper_options:
                raise ValueError(f"strategy_options has {name!r}, which is a setting of the run itself: set {name}=")
        check_strategy_options(self.strategy_name, dict(self.strategy_options))
        if not is_number(self.label_noise) or not 0 <= self.label_noise < 1:
            raise ValueError(f"label_noise={self.label_noise!r} is out of range; choose a share in [0, 1), such as 0.2")
        check_integer("folds", self.folds, 1)
        if self.dataset is None:  # no name, so it fails as an unknown data set does: alone, when its turn comes
            object.__setattr__(self, "dataset", "")
        if not isinstance(self.dataset, str):
            raise ValueError(f"dataset={self.dataset!r} is no name; give one such as phantom-mri")
        self.config(1)  # the numbers that training checks
        for name, values in self.tune:
            if name not in TUNABLE:
                raise ValueError(f"tune has {name!r}, which cannot be tuned; choose from {', '.join(TUNABLE)}")
            if any(isinstance(value, bool) for value in values):
                raise ValueError(f"tune has {name}={list(values)}; give numbers, not true or false")
            if len(set(values)) < 2:
                raise ValueError(f"tune has {len(set(values))} value of {name}; give at least two")
            for value in values:
                replace(self, tune=(), **{name: value})  # each value is checked as the run's own would be
        # Last, so that errors show what was given: 3 and 3.0 are one temperature, and equal runs have one name.
        for name in _REAL:
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "strategy_options", tuple((k, float(v)) for k, v in self.strategy_options))
        object.__setattr__(self, "tune", tuple((k, tuple(map(float, values))) for k, values in self.tune))

    @property
    def strategy_name(self) -> str:
        """The strategy that is used, spelled out."""
        return self.strategy or METHODS[self.method].strategy

    @property
    def options(self) -> dict[str, float]:
        """What the strategy is made with, which is the run's alpha and tau where it reads them, and its own options."""
        return {**{name: getattr(self, name) for name in self._paper_options}, **dict(self.strategy_options)}

    @property
    def _paper_options(self) -> list[str]:
        return [name for name, option in strategy_options(self.strategy_name).items() if option.paper]

    def settings(self) -> dict[str, object]:
        """Return every setting as plain numbers, text and mappings, as a record holds them."""
        tune = {name: list(values) for name, values in self.tune}
        return {**asdict(self), "strategy_options": dict(self.strategy_options), "tune": tune}

    @property
    def name(self) -> str:
        """The record's file name, readable and with a hash over every setting; equal runs have equal names."""
        return self._named(self.settings())

    @property
    def names(self) -> tuple[str, ...]:
        """The name, and those that the same run had while ``tau: 3`` and ``tau: 3.0`` were told from each other."""
        settings = self.settings()
        whole = _whole({name: settings[name] for name in (*_REAL, "strategy_options", "tune")})
        other = [name for name, value in whole.items() if repr(value) != repr(settings[name])]
        found = [self.name]
        for count in range(1, len(other) + 1):
            for some in itertools.combinations(other, count):
                found.append(self._named({**settings, **{name: whole[name] for name in some}}))
        return tuple(dict.fromkeys(found))

    def _named(self, settings: Mapping[str, object]) -> str:
        settings = {k: v for k, v in settings.items() if k not in LATER_SETTINGS or v != LATER_SETTINGS[k]}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]
        method = f"{self.method}-{self.strategy}" if self.strategy else self.method
        return f"{self.dataset}-{self.pair}-{method}-{self.fraction:g}-s{self.seed}-{digest}"

    def epochs_for(self, images: int) -> int:
        """Return the number of epochs on that many training images."""
        return self.epochs or math.ceil(self.steps / math.ceil(images / self.batch_size))

    def config(self, images: int, progress: bool = False) -> TrainConfig:
        """Return the settings for :func:`dmws_lite.training.fit.fit` on that many training images."""
        shared = {f.name for f in fields(TrainConfig)} & asdict(self).keys() - {"epochs"}
        epochs = self.epochs_for(images)
        return TrainConfig(
            **{name: getattr(self, name) for name in shared},
            **AUGMENTATIONS[self.augmentation],
            epochs=epochs,
            evaluate_every=math.ceil(epochs / max(1, self.measurements)),
            progress=progress,
        )
