"""How the main student is taught: one file per strategy, one line here.

A strategy is a small object over pure losses that :func:`dmws_lite.training.fit.fit` asks once per step. To add one,
write a file like ``pskd.py``, declare the numbers it reads as options, and add its line to :data:`STRATEGIES`.

>>> make_strategy("label_smoothing").settings()
{'strategy': 'LabelSmoothing', 'smoothing': 0.1}
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..options import Option
from .base import Batch, Strategy
from .cskd import ClassWise
from .hybrid import Hybrid
from .labels import Average, Labels, LabelSmoothing
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
    "average": Average,
}


def check_strategy(name: str) -> None:
    """Raise ``ValueError`` unless the name is one of :data:`STRATEGIES`."""
    if name not in STRATEGIES:
        raise ValueError(f"strategy={name!r} is unknown; choose one of {', '.join(STRATEGIES)}")


def strategy_options(name: str) -> dict[str, Option]:
    """Return the options that a strategy reads: name, default, range and description.

    Args:
        name: one of :data:`STRATEGIES`.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> {option: about.default for option, about in strategy_options("cskd").items()}
        {'tau': 4.0, 'weight': 1.0}
    """
    check_strategy(name)
    return STRATEGIES[name].options()


def check_strategy_options(name: str, options: Mapping[str, float]) -> None:
    """Check options without making the strategy.

    Args:
        name: one of :data:`STRATEGIES`.
        options: values by name.

    Raises:
        ValueError: the strategy or an option is unknown, or a value is out of range.
    """
    known = strategy_options(name)
    for option, value in options.items():
        if option not in known:
            choices = ", ".join(f"{other} in {about.range}" for other, about in known.items())
            remedy = f"it reads {choices}" if known else "it reads none"
            raise ValueError(f"{option}={value!r} is not an option of strategy {name!r}; {remedy}")
        known[option].check(option, value)


def make_strategy(name: str, frozen: nn.Module | None = None, **options: float) -> Strategy:
    """Make a strategy by name.

    Args:
        name: one of :data:`STRATEGIES`.
        frozen: the trained network of the strategies that need one (``needs`` says which), else ``None``.
        options: values of its options, see :func:`strategy_options`; the defaults are those of its authors.

    Raises:
        ValueError: the strategy or an option is unknown, a value is out of range, or a frozen network is missing or
            given in vain.

    Example:
        >>> make_strategy("skd", tau=4.0).settings()
        {'strategy': 'SelfDistillation', 'alpha': 0.6, 'tau': 4.0, 'power': 2.0, 'until': 0.0}
    """
    check_strategy_options(name, options)
    kind = STRATEGIES[name]
    if kind.needs and frozen is None:
        network = {"self": "the same student, trained with labels only", "teacher": "the fine-tuned teacher"}
        raise ValueError(f"strategy {name!r} needs a frozen network ({network[kind.needs]}); give frozen=")
    if frozen is not None and not kind.needs:
        raise ValueError(f"strategy {name!r} takes no frozen network; leave out frozen=")
    return kind(frozen, **options) if kind.needs else kind(**options)


__all__ = [
    "STRATEGIES",
    "Batch",
    "Option",
    "Strategy",
    "check_strategy",
    "check_strategy_options",
    "make_strategy",
    "strategy_options",
]
