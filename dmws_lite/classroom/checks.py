"""Checks for the exercises of the notebooks: each one passes silently or says what to look at again.

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
    """An answer that is not right yet. A notebook shows only the message, since a traceback would not help."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback."""
        return [f"Not yet: {self}"]


def is_open(value: object) -> bool:
    """Return whether a value is a placeholder, ``...`` or ``None``, or a collection that contains one."""
    if value is ... or value is None:
        return True
    if isinstance(value, Mapping):
        return any(is_open(each) for each in value.values())
    return isinstance(value, (list, tuple, set)) and any(is_open(each) for each in value)


def answered(**answers: object) -> None:
    """Check that no answer is missing.

    Args:
        answers: the answers, under the names of the student's variables.

    Raises:
        NotYet: an answer is still ``...`` or ``None``, or contains such an entry.
    """
    for name, value in answers.items():
        if is_open(value):
            raise NotYet(f"{name} is not filled in yet: replace the three dots with your answer and run both cells")


def require(condition: object, message: str) -> None:
    """Check a condition.

    Args:
        condition: true if the answer is right.
        message: what is wrong and what to look at, without giving away the solution.

    Raises:
        NotYet: the condition is false.
    """
    if not bool(condition):
        raise NotYet(message)


def as_array(name: str, value: object) -> np.ndarray:
    """Convert numbers, lists, arrays or tensors to an array of floats.

    Args:
        name: name of the answer, for the message.
        value: the numbers.

    Raises:
        NotYet: the value does not consist of numbers.
    """
    plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    try:
        return np.asarray(plain, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{name} should hold numbers, but its type is {type(value).__name__}") from None


def close(name: str, value: object, expected: object, hint: str, tolerance: float = 1e-3) -> None:
    """Check numbers against the expected ones.

    Args:
        name: name of the answer.
        value: a number, or a list, array or tensor of numbers.
        expected: the right answer, of the same shape; it is never shown.
        hint: what to look at if they differ.
        tolerance: largest absolute difference that passes.

    Raises:
        NotYet: the answer is missing, is not numeric, or has the wrong shape or values.

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
        raise NotYet(f"{name} has {shape_of(given)}, but should have {shape_of(wanted)}. {hint}")
    wrong = ~(np.abs(given - wanted) <= tolerance)  # NaN counts as wrong
    if not wrong.any():
        return
    if given.ndim == 0:
        way = "not a number" if np.isnan(given) else "too large" if given > wanted else "too small"
        raise NotYet(f"{name} = {given:.6g} is {way}. {hint}")
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    index = ", ".join(map(str, first))
    raise NotYet(f"{name}: {wrong.sum()} of {wrong.size} numbers are wrong, the first at index [{index}]. {hint}")


def shape_of(values: np.ndarray) -> str:
    """Describe the shape of an array: ``"one number"`` or ``"the shape (3, 4)"``."""
    return "one number" if values.ndim == 0 else f"the shape {values.shape}"


def right(number: int) -> None:
    """Print that an exercise is solved; the last line of each check."""
    print(f"Exercise {number}: right.")
