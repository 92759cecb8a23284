"""Is a value what an argument asks for? Checks that all rooms share.

Python takes much for something else: ``True`` for 1, ``"no"`` for true, ``nan`` for a number. These checks do not.
Scalars of NumPy count as the numbers that they are.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy; booleans are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number of Python or NumPy; booleans are not."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer with more than 308 digits
        return False


def is_flag(value: object) -> bool:
    """Return whether a value is a boolean of Python or NumPy; 0, 1 and words are not."""
    return isinstance(value, bool | np.bool_)


def plain(value: object) -> object:
    """Return a scalar of NumPy as Python's own, which JSON and YAML can hold; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def check_integer(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise ``ValueError`` unless a value is an integer from ``low`` to ``high``; ``None`` sets no upper bound."""
    if not is_integer(value) or value < low or (high is not None and value > high):
        span = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}={value!r} is out of range; choose an integer {span}")


def check_number(name: str, value: object, low: float, high: float, open_low: bool = False) -> None:
    """Raise ``ValueError`` unless a value is a number from ``low`` (left out where ``open_low``) to ``high``."""
    if not is_number(value) or not low <= value <= high or (open_low and value == low):
        span = f"{'(' if open_low else '['}{low:g}, {high:g}]"
        raise ValueError(f"{name}={value!r} is out of range; choose a number in {span}")


def check_flag(name: str, value: object) -> None:
    """Raise ``ValueError`` unless a value is true or false."""
    if not is_flag(value):
        raise ValueError(f"{name}={value!r} is neither true nor false; give one of them, not a word or a number")


def check_weights(tensors: Mapping[str, Tensor], where: str, remedy: str) -> None:
    """Raise ``ValueError`` for a tensor without values or with values that are not finite, and name it.

    Args:
        tensors: such as a network's ``state_dict``.
        where: whose they are, such as ``"the teacher"``.
        remedy: what to do about it.
    """
    for name, value in tensors.items():
        if value.is_meta:
            raise ValueError(f"{name} of {where} is on the device meta, which holds no values; make it on the CPU")
        if (value.is_floating_point() or value.is_complex()) and not bool(value.isfinite().all()):
            count = int((~value.isfinite()).sum())
            raise ValueError(f"{name} of {where} has {count:,} values that are NaN or infinite; {remedy}")
