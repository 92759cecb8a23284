"""Which elements of an axis a student takes: step 3 of the paper, on integers only.

A student axis of size ``n_student`` is filled from a teacher axis of size ``n_teacher``. Because a rule depends on
nothing but the two sizes, the part and the seed, every tensor that touches the same axis makes the same choice: the
"consistent indices" of section 3.1. The one exception, ``random_inconsistent``, is the control of table 7.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import LongTensor

RULES = ("uniform", "consecutive", "random", "random_inconsistent")


def check_rule(rule: str) -> None:
    """Raise ``ValueError`` unless ``rule`` is one of :data:`RULES`."""
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} is unknown; choose one of {', '.join(RULES)}")


def check_part(part: int) -> None:
    """Raise ``ValueError`` unless ``part`` is 0 (main student) or 1 (auxiliary student)."""
    if isinstance(part, bool) or part not in (0, 1):
        raise ValueError(f"part={part!r} is not a student; use 0 for the main or 1 for the auxiliary student")


def element_indices(
    n_teacher: int, n_student: int, rule: str = "uniform", part: int = 0, seed: int = 0, key: str = ""
) -> LongTensor:
    """Choose which of ``n_teacher`` elements fill an axis of ``n_student`` elements.

    With ``r = n_teacher / n_student`` and ``i = 0 .. n_student - 1``:

    * ``uniform``: part 0 takes ``floor(i * r)``; part 1 takes the same shifted by ``floor(r / 2)``. At integer ratios
      part 0 is the rule of the official weight-selection code (Xu et al., ICLR 2024), ``i * r``.
    * ``consecutive``: part 0 takes the first block of ``n_student``, part 1 the block that follows.
    * ``random``: one permutation per pair of sizes and seed; part 0 takes its first ``n_student`` entries, part 1 the
      next. The same sizes and seed give the same choice in every tensor.
    * ``random_inconsistent``: like ``random``, but a fresh permutation for every ``key``. Give the tensor's name as
      the key; then neighbouring layers no longer agree about which channel is which.

    The two parts are disjoint whenever ``n_teacher >= 2 * n_student``. Otherwise ``2 * n_student - n_teacher`` elements
    must be shared, and exactly that many are; :func:`overlap` reports the number.

    Args:
        n_teacher: size of the teacher's axis, at least 1.
        n_student: size of the student's axis, between 1 and ``n_teacher``.
        rule: one of :data:`RULES`.
        part: 0 for the main student, 1 for the auxiliary student.
        seed: any integer; only the random rules look at it.
        key: what a fresh choice belongs to; only ``random_inconsistent`` looks at it.

    Returns:
        Sorted indices into the teacher's axis, ``int64`` of shape ``(n_student,)``.

    Raises:
        ValueError: an unknown rule or part, or a size out of range.

    Example:
        >>> element_indices(8, 4).tolist(), element_indices(8, 4, part=1).tolist()
        ([0, 2, 4, 6], [1, 3, 5, 7])
    """
    check_rule(rule)
    check_part(part)
    for name, size in (("n_teacher", n_teacher), ("n_student", n_student)):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name}={size!r} is not a size; use an integer of at least 1")
    if n_student > n_teacher:
        raise ValueError(
            f"n_student={n_student} exceeds n_teacher={n_teacher}; a student axis is cut from the teacher's, "
            "so choose a narrower student or a wider teacher"
        )
    if rule == "uniform":
        chosen = _uniform(n_teacher, n_student, part)
    elif rule == "consecutive":
        # Near the end part 1 steps back just far enough to fit, which keeps the overlap at its minimum.
        start = 0 if part == 0 else min(n_student, n_teacher - n_student)
        chosen = list(range(start, start + n_student))
    else:
        chosen = _random(n_teacher, n_student, part, seed, key if rule == "random_inconsistent" else "")
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def _uniform(n_teacher: int, n_student: int, part: int) -> list[int]:
    # Integer arithmetic: floor(i * r) without rounding trouble at ratios such as 8/3.
    main = [i * n_teacher // n_student for i in range(n_student)]
    if part == 0:
        return main
    if n_teacher >= 2 * n_student:
        # The gap between two neighbours of `main` is at least floor(r), so a shift of floor(r / 2) stays inside it.
        shift = n_teacher // n_student // 2
        return [i + shift for i in main]
    taken = set(main)
    rest = [i for i in range(n_teacher) if i not in taken]
    shared = n_student - len(rest)  # = 2 * n_student - n_teacher, spread evenly over what main already has
    return rest + [main[i * n_student // shared] for i in range(shared)]


def _random(n_teacher: int, n_student: int, part: int, seed: int, key: str) -> list[int]:
    # The standard library's generator is specified to give the same stream on every platform and version;
    # a string seed goes through SHA-512, so the choice is spread well over neighbouring sizes and seeds.
    order = list(range(n_teacher))
    random.Random(f"{n_teacher}/{n_student}/{seed}/{key}").shuffle(order)
    start = 0 if part == 0 else min(n_student, n_teacher - n_student)
    return order[start : start + n_student]


def overlap(first: Sequence[int] | LongTensor, second: Sequence[int] | LongTensor) -> int:
    """Count the elements that two selections share: 0 means complementary."""
    return len(set(torch.as_tensor(first).tolist()) & set(torch.as_tensor(second).tolist()))
