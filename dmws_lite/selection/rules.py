"""Which elements of an axis a student takes: step 3 of the paper. Each rule is one function.

A student axis of ``n_student`` elements is filled from a teacher axis of ``n_teacher`` elements. A consistent rule is
given the same facts for every tensor on the same axis, so all of them make the same choice: the "consistent indices" of
section 3.1. ``random_inconsistent`` is the control of table 7: it draws anew for every tensor.

To add a rule, write a function in this file and register it::

    @register_rule("last", "The last elements for main, the block before them for the auxiliary student.")
    def last(axis: Axis) -> list[int]:
        return axis.take(range(axis.n_teacher)[::-1])

Plans, runs, grids, the command line and the selection explorer then accept ``"last"``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import LongTensor, Tensor

from .._values import is_integer

# Norms are compared to ten digits: sums of squares differ in the sixteenth between machines, and ties must stay ties.
SCORE_DIGITS = 10


@dataclass(frozen=True)
class Axis:
    """What a rule knows about the axis that it chooses from.

    Attributes:
        n_teacher: number of elements of the teacher's axis.
        n_student: number of elements to choose, at most ``n_teacher``.
        part: 0 for the main, 1 for the auxiliary student.
        seed: any integer, for rules that draw at random.
        key: name of the tensor and axis; empty for consistent rules, which must not depend on it.
        scores: one number per element of the teacher's axis, for rules that look at the weights: the joint L2 norm of
            all weights that belong to the element. Empty for all other rules.
    """

    n_teacher: int
    n_student: int
    part: int = 0
    seed: int = 0
    key: str = ""
    scores: tuple[float, ...] = ()

    def take(self, order: Sequence[int]) -> list[int]:
        """Take the first ``n_student`` elements of an order for part 0, and the next ones for part 1.

        Args:
            order: all elements of the teacher's axis.

        Returns:
            The elements of this part. Where fewer than ``n_student`` are left for part 1, it steps back just far enough
            to fit, which keeps the overlap at its minimum of ``2 * n_student - n_teacher``.
        """
        start = 0 if self.part == 0 else min(self.n_student, self.n_teacher - self.n_student)
        return list(order[start : start + self.n_student])


@dataclass(frozen=True)
class Rule:
    """A registered rule.

    Attributes:
        name: what users write.
        description: one line for menus and help.
        choose: the function; its result may be in any order.
        needs_weights: whether it looks at :attr:`Axis.scores`.
        consistent: whether all tensors on one axis make the same choice.
    """

    name: str
    description: str
    choose: Callable[[Axis], Sequence[int]]
    needs_weights: bool = False
    consistent: bool = True


RULES: dict[str, Rule] = {}


def register_rule(
    name: str, description: str, *, needs_weights: bool = False, consistent: bool = True
) -> Callable[[Callable[[Axis], Sequence[int]]], Callable[[Axis], Sequence[int]]]:
    """Register the decorated function as a rule.

    Args:
        name: what users write, such as ``"uniform"``. ``"NAME_inconsistent"`` is the inconsistent twin of ``"NAME"``:
            the selection explorer shows it when consistency is switched off.
        description: one line for menus and help.
        needs_weights: give the function the norms of the teacher's channels as :attr:`Axis.scores`.
        consistent: ``False`` gives the function a different :attr:`Axis.key` for every tensor and axis.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: another module has registered the name.
    """

    def register(function: Callable[[Axis], Sequence[int]]) -> Callable[[Axis], Sequence[int]]:
        known = RULES.get(name)
        # The same module may define it again, as a notebook does when a cell is run twice.
        if known is not None and known.choose.__module__ != function.__module__:
            raise ValueError(f"rule {name!r} is taken by {known.choose.__module__}; choose another name")
        RULES[name] = Rule(name, description, function, needs_weights, consistent)
        return function

    return register


# -- the rules --------------------------------------------------------------------------------------------------------


@register_rule("uniform", "Evenly spaced elements; the auxiliary student takes those between them.")
def uniform(axis: Axis) -> list[int]:
    """Take evenly spaced elements; at whole ratios the rule of the official weight-selection code (Xu et al., 2024)."""
    n_teacher, n_student = axis.n_teacher, axis.n_student
    # Integer arithmetic: floor(i * n_teacher / n_student) without rounding trouble at ratios such as 8/3.
    main = [i * n_teacher // n_student for i in range(n_student)]
    if axis.part == 0:
        return main
    if n_teacher >= 2 * n_student:
        # The gap between two neighbours of `main` is at least floor(ratio), so half of it stays inside the gap.
        shift = n_teacher // n_student // 2
        return [i + shift for i in main]
    taken = set(main)
    free = [i for i in range(n_teacher) if i not in taken]
    n_shared = n_student - len(free)  # = 2 * n_student - n_teacher, spread evenly over the elements of main
    return free + [main[i * n_student // n_shared] for i in range(n_shared)]


@register_rule("consecutive", "The first block of elements; the auxiliary student takes the block that follows.")
def consecutive(axis: Axis) -> list[int]:
    """Take a block of neighbours."""
    return axis.take(range(axis.n_teacher))


def shuffled(axis: Axis) -> list[int]:
    """Take elements at random; axes of the same sizes, seed and key are shuffled alike."""
    # The standard library's generator is specified to give the same stream on every platform and version;
    # a string seed goes through SHA-512, so the choice is spread well over neighbouring sizes and seeds.
    order = list(range(axis.n_teacher))
    Random(f"{axis.n_teacher}/{axis.n_student}/{axis.seed}/{axis.key}").shuffle(order)
    return axis.take(order)


register_rule("random", "One random draw per pair of sizes; main and auxiliary share none of it.")(shuffled)

register_rule(
    "random_inconsistent", "A new random draw for every tensor, which breaks the wiring (a control).", consistent=False
)(shuffled)


@register_rule("magnitude", "The channels with the largest weights; the auxiliary takes the next.", needs_weights=True)
def magnitude(axis: Axis) -> list[int]:
    """Take the channels with the largest joint L2 norm; of equal ones the first.

    Not a rule of the paper, but the usual criterion of structured pruning: Li et al., "Pruning Filters for Efficient
    ConvNets" (ICLR 2017) rank the filters of one convolution by the L1 norm of their weights. Here the norm is L2 and
    taken over all tensors that share the channel, as in Fang et al., "DepGraph: Towards Any Structural Pruning" (CVPR
    2023), because a channel is kept in all of them or in none. Main gets the strongest channels and the auxiliary the
    next ones, so unlike with the other rules the two students are not alike.
    """
    norms = [float(f"{score:.{SCORE_DIGITS - 1}e}") for score in axis.scores]
    return axis.take(sorted(range(axis.n_teacher), key=lambda i: (-norms[i], i)))


# -- using them -------------------------------------------------------------------------------------------------------


def index_rules() -> tuple[str, ...]:
    """Return the names of the rules that choose from the sizes alone, without a look at the weights.

    Example:
        >>> index_rules()
        ('uniform', 'consecutive', 'random', 'random_inconsistent')
    """
    return tuple(name for name, rule in RULES.items() if not rule.needs_weights)


def check_rule(rule: str) -> None:
    """Raise ``ValueError`` unless ``rule`` is the name of a registered rule."""
    find_rule(rule)


def find_rule(name: str) -> Rule:
    """Return a registered rule.

    Raises:
        ValueError: no rule has that name; the message lists the names.
    """
    if name not in RULES:
        raise ValueError(f"rule={name!r} is unknown; choose one of {', '.join(RULES)}")
    return RULES[name]


def check_part(part: int) -> None:
    """Raise ``ValueError`` unless ``part`` is 0 (main student) or 1 (auxiliary student)."""
    if not is_integer(part) or part not in (0, 1):
        raise ValueError(f"part={part!r} is not a student; use 0 for the main or 1 for the auxiliary student")


def element_indices(
    n_teacher: int,
    n_student: int,
    rule: str = "uniform",
    part: int = 0,
    seed: int = 0,
    key: str = "",
    scores: Sequence[float] | Tensor | None = None,
) -> LongTensor:
    """Choose which of ``n_teacher`` elements fill an axis of ``n_student`` elements.

    With ``r = n_teacher / n_student`` and ``i = 0 .. n_student - 1``:

    * ``uniform``: part 0 takes ``floor(i * r)``; part 1 takes the same shifted by ``floor(r / 2)``. At integer ratios
      part 0 is the rule of the official weight-selection code (Xu et al., ICLR 2024), ``i * r``.
    * ``consecutive``: part 0 takes the first block of ``n_student``, part 1 the block that follows.
    * ``random``: one permutation per pair of sizes and seed; part 0 takes its first ``n_student`` entries, part 1 the
      next. The same sizes and seed give the same choice in every tensor.
    * ``random_inconsistent``: like ``random``, but a new permutation for every ``key``. Give the tensor's name as the
      key; neighbouring layers then no longer agree about which channel is which.
    * ``magnitude``: part 0 takes the elements with the largest ``scores``, part 1 the next ones; ties go to the lower
      index. Not in the paper, see :func:`magnitude`.

    The two parts are disjoint whenever ``n_teacher >= 2 * n_student``. Otherwise ``2 * n_student - n_teacher`` elements
    must be shared, and exactly that many are; :func:`overlap` reports the number.

    Args:
        n_teacher: size of the teacher's axis, at least 1.
        n_student: size of the student's axis, between 1 and ``n_teacher``.
        rule: name of a rule in :data:`RULES`.
        part: 0 for the main student, 1 for the auxiliary student.
        seed: any integer; only the random rules use it.
        key: what a new draw belongs to; only inconsistent rules use it.
        scores: one finite number per teacher element, shape ``(n_teacher,)``; only rules that look at the weights use
            them. :func:`dmws_lite.plan_selection` computes them from a teacher.

    Returns:
        Sorted indices into the teacher's axis, ``int64`` of shape ``(n_student,)``.

    Raises:
        ValueError: an unknown rule or part, a size out of range, or scores that are missing or do not fit.

    Example:
        >>> element_indices(8, 4).tolist(), element_indices(8, 4, part=1).tolist()
        ([0, 2, 4, 6], [1, 3, 5, 7])
        >>> element_indices(4, 2, "magnitude", scores=[0.3, 2.0, 0.1, 0.5]).tolist()
        [1, 3]
    """
    known = find_rule(rule)
    check_part(part)
    for name, size in (("n_teacher", n_teacher), ("n_student", n_student)):
        if not is_integer(size) or size < 1:
            raise ValueError(f"{name}={size!r} is not a size; use an integer of at least 1")
    if not is_integer(seed):
        raise ValueError(f"seed={seed!r} is no integer; the random rules need one, such as 0")
    n_teacher, n_student, part, seed = int(n_teacher), int(n_student), int(part), int(seed)
    if n_student > n_teacher:
        raise ValueError(
            f"n_student={n_student} exceeds n_teacher={n_teacher}; a student axis is cut from the teacher's, "
            "so choose a narrower student or a wider teacher"
        )
    numbers = _check_scores(known, n_teacher, scores) if known.needs_weights else ()
    chosen = known.choose(Axis(n_teacher, n_student, part, seed, "" if known.consistent else key, numbers))
    if len(chosen) != n_student or len(set(chosen)) != n_student or not all(0 <= i < n_teacher for i in chosen):
        raise ValueError(
            f"rule {rule!r} chose {list(chosen)}; it must return {n_student} different elements in 0..{n_teacher - 1}"
        )
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def _check_scores(rule: Rule, n_teacher: int, scores: Sequence[float] | Tensor | None) -> tuple[float, ...]:
    if scores is None:
        raise ValueError(
            f"rule={rule.name!r} looks at the teacher's weights, and sizes alone do not show them; use "
            f"plan_selection(teacher, student, rule={rule.name!r}), or pass scores with one number per teacher element"
        )
    numbers = tuple(float(score) for score in (scores.tolist() if isinstance(scores, Tensor) else scores))
    if len(numbers) != n_teacher:
        raise ValueError(f"scores has {len(numbers)} numbers for n_teacher={n_teacher} elements; give one per element")
    if not all(map(math.isfinite, numbers)):
        raise ValueError("scores has numbers that are not finite; check the teacher for NaN or infinite weights")
    return numbers


def overlap(first: Sequence[int] | LongTensor, second: Sequence[int] | LongTensor) -> int:
    """Count the elements that two selections share: 0 means complementary."""
    return len(set(torch.as_tensor(first).tolist()) & set(torch.as_tensor(second).tolist()))
