"""What the check cells of the notebooks' exercises share: each test passes in silence or says what to look at again.

::

    from dmws_lite.classroom.checks import answered, close, require, right

    answered(shared=shared)
    close("shared", shared, 2 * 6 - 10, "Two sets of 6 out of 10: how many are in both at the least?", tolerance=0)
    right(1)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch


class NotYet(AssertionError):
    """An answer that is not right yet. A notebook shows its message alone, because a traceback would tell nothing."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback."""
        return [f"Not yet: {self}"]


def is_open(value: object) -> bool:
    """Tell whether a value is what a stub leaves, ``...`` or ``None``, or a collection with such an entry."""
    if value is ... or value is None:
        return True
    if isinstance(value, Mapping):
        return any(is_open(each) for each in value.values())
    return isinstance(value, (list, tuple, set)) and any(is_open(each) for each in value)


def answered(**given: object) -> None:
    """Check that nothing is left open.

    Args:
        given: the answers, each under the name that the student gave it a value by.

    Raises:
        NotYet: one is still ``...`` or ``None``, or holds such an entry.
    """
    for name, value in given.items():
        if is_open(value):
            raise NotYet(f"{name} is not filled in yet: put your answer where the three dots are, and run both cells")


def require(condition: object, message: str) -> None:
    """Check a condition.

    Args:
        condition: true where the answer is right.
        message: what is wrong and what to look at, without the solution.

    Raises:
        NotYet: the condition is false.
    """
    if not bool(condition):
        raise NotYet(message)


def as_array(name: str, value: object) -> np.ndarray:
    """Return numbers in any usual form as an array of floats.

    Raises:
        NotYet: these are no numbers.
    """
    plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    try:
        return np.asarray(plain, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{name} should hold numbers, but it is of the type {type(value).__name__}") from None


def close(name: str, value: object, expected: object, hint: str, tolerance: float = 1e-3) -> None:
    """Check numbers against the expected ones.

    Args:
        name: of the answer.
        value: a number, or a list, array or tensor of numbers.
        expected: the same for the right answer; it is never shown.
        hint: what to look at where they differ.
        tolerance: largest difference that passes.

    Raises:
        NotYet: the answer is open, is not made of numbers, has another shape, or differs.

    Example:
        >>> from dmws_lite.classroom.checks import close
        >>> close("shared", 2, 2 * 6 - 10, "Two sets of 6 out of 10: how many are in both at least?", tolerance=0)
        >>> close("shared", 3, 2 * 6 - 10, "Two sets of 6 out of 10: how many are in both at least?", tolerance=0)
        Traceback (most recent call last):
        dmws_lite.classroom.checks.NotYet: shared = 3 is too large. Two sets of 6 out of 10: how many are in both at
        least?
    """
    answered(**{name: value})
    given, wanted = as_array(name, value), as_array(name, expected)
    if given.shape != wanted.shape:
        raise NotYet(f"{name} has {shape_of(given)}, but {shape_of(wanted)} belongs there. {hint}")
    wrong = ~(np.abs(given - wanted) <= tolerance)  # a NaN is wrong too
    if not wrong.any():
        return
    if given.ndim == 0:
        way = "no number" if np.isnan(given) else "too large" if given > wanted else "too small"
        raise NotYet(f"{name} = {given:.6g} is {way}. {hint}")
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = ", ".join(map(str, first))
    raise NotYet(f"{name}: {wrong.sum()} of {wrong.size} numbers are wrong, the first is number [{place}]. {hint}")


def shape_of(values: np.ndarray) -> str:
    """Return in words how many numbers there are, ``"one number"`` or ``"the shape (3, 4)"``."""
    return "one number" if values.ndim == 0 else f"the shape {values.shape}"


def right(number: int) -> None:
    """Say that an exercise is done; the last line of each check."""
    print(f"Exercise {number}: right.")
