"""How the main student is taught: one file per strategy, one line here.

A strategy is a small object over pure losses that :func:`dmws_lite.training.fit.fit` asks once per step. To add one,
write a file like ``pskd.py`` and add its line to :data:`STRATEGIES`.

>>> make_strategy("label_smoothing").settings()
{'strategy': 'LabelSmoothing', 'smoothing': 0.1}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import nn

from .base import Batch, Strategy
from .cskd import ClassWise
from .hybrid import Hybrid
from .labels import Labels, LabelSmoothing
from .ols import OnlineSmoothing
from .pskd import ProgressiveSelf
from .skd import SelfDistillation
from .tfkd import TeacherFreeRegularised, TeacherFreeSelf

STRATEGIES: dict[str, type[Strategy]] = {
    "labels": Labels,
    "skd": SelfDistillation,
    "label_smoothing": LabelSmoothing,
    "cskd": ClassWise,
    "tfkd_self": TeacherFreeSelf,
    "tfkd_reg": TeacherFreeRegularised,
    "pskd": ProgressiveSelf,
    "ols": OnlineSmoothing,
    "hybrid": Hybrid,
}


def check_strategy(name: str) -> None:
    """Raise ``ValueError`` unless the name is one of :data:`STRATEGIES`."""
    if name not in STRATEGIES:
        raise ValueError(f"strategy={name!r} is unknown; choose one of {', '.join(STRATEGIES)}")


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Raise ``ValueError`` unless the strategy has all these options."""
    known = {field.name for field in dataclasses.fields(STRATEGIES[name])} - {"frozen"}
    if strangers := set(options) - known:
        raise ValueError(
            f"strategy {name!r} has no {sorted(strangers)[0]!r}; it has {', '.join(sorted(known)) or 'none'}"
        )


def make_strategy(name: str, frozen: nn.Module | None = None, **numbers: float) -> Strategy:
    """Make a strategy by name.

    Args:
        name: one of :data:`STRATEGIES`.
        frozen: the trained network of the strategies that need one (``needs`` says which), else ``None``.
        numbers: its numbers, such as ``alpha`` and ``tau``; its authors' values where left out.

    Raises:
        ValueError: the name is unknown, a number is unknown or out of range, or the frozen network is missing.
    """
    check_strategy(name)
    kind = STRATEGIES[name]
    check_options(name, numbers)
    if bool(kind.needs) != (frozen is not None):
        what = {"self": "the same student, trained with labels only", "teacher": "the fine-tuned teacher"}
        told = f"needs a frozen network ({what[kind.needs]})" if kind.needs else "takes no frozen network"
        raise ValueError(f"strategy {name!r} {told}; {'give' if kind.needs else 'leave out'} frozen=")
    return kind(frozen, **numbers) if kind.needs else kind(**numbers)


__all__ = ["STRATEGIES", "Batch", "Strategy", "check_options", "check_strategy", "make_strategy"]
