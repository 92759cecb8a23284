"""From plans to weights: fill one student, or the pair of complementary students that the paper adds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .._values import check_flag, check_integer, check_weights
from .layers import Layers
from .plan import Plan, SelectionError, coverage
from .steps import plan_selection, plan_students


@torch.no_grad()
def select_weights(teacher: nn.Module, student: nn.Module, plan: Plan | None = None, **options: object) -> Plan:
    """Fill a student with selected teacher weights, in place.

    Args:
        teacher: the large model.
        student: the small model; its values change, its device and precision stay.
        plan: a plan to replay; made here from ``options`` when absent.
        options: the options of :func:`plan_selection`.

    Returns:
        The plan that was applied.

    Raises:
        SelectionError: see :func:`plan_selection`; or the plan does not fit these models; or a weight of the teacher
            or the student is NaN or infinite, or has no values (device ``meta``). The student is then unchanged.

    Example:
        >>> plan = select_weights(teacher, student, rule="uniform", part=0)  # doctest: +SKIP
    """
    check_sources(teacher, student)
    if plan is None:
        plan = plan_selection(teacher, student, **options)
    elif options:
        raise SelectionError(f"give a plan or options, not both (got {', '.join(options)})")
    own = student.state_dict()
    planned = {row.tensor: row.shape for row in plan.rows}
    for name in own.keys() | planned.keys():
        if name not in planned or name not in own or tuple(own[name].shape) != planned[name]:
            raise SelectionError(f"{name}: the plan was made for another student; make a new plan")
    for name, value in plan.tensors(teacher.state_dict()).items():  # all are cut before the first is written
        own[name].copy_(value)
    return plan


def check_sources(teacher: nn.Module, student: nn.Module) -> None:
    """Raise :class:`SelectionError` for a tensor that holds no values or values that are not finite, and name it."""
    try:
        check_weights(teacher.state_dict(), "the teacher", "load the teacher again, or take another one")
        check_weights(student.state_dict(), "the student", "make a new student")
    except ValueError as error:
        raise SelectionError(str(error)) from None


@dataclass(frozen=True)
class DualReport:
    """What main and auxiliary take together.

    Attributes:
        main: plan of the main student.
        auxiliary: plan of the auxiliary student.
    """

    main: Plan
    auxiliary: Plan

    def coverage(self) -> dict[str, float]:
        """Return the joint coverage, see :func:`dmws_lite.selection.plan.coverage`."""
        return coverage(self.main, self.auxiliary)

    def overlaps(self) -> dict[str, int]:
        """Count, for each kind of cut axis, the teacher indices that both students take (0: complementary)."""
        return {
            name: len(set(chosen) & set(self.auxiliary.index_sets[name]))
            for name, chosen in self.main.index_sets.items()
            if name in self.auxiliary.index_sets
        }

    def __str__(self) -> str:
        one, both = coverage(self.main), self.coverage()
        channels = (one["channels"], both["channels"], both["shared_channels"])
        weights = (one["weights"], both["weights"], both["shared_weights"])
        lines = [
            f"rule {self.main.rule}, heads {self.main.heads}; main takes part {self.main.part}, "
            f"auxiliary part {self.auxiliary.part}",
            "                         one student   both   shared",
            "channels on cut axes     {:>10.1%} {:>7.1%} {:>7.1%}".format(*channels),
            "weights of the teacher   {:>10.1%} {:>7.1%} {:>7.1%}".format(*weights),
        ]
        shared = {name: n for name, n in self.overlaps().items() if n}
        if not shared:
            lines.append("every cut axis is split without overlap")
        elif self.main.rule == "random_inconsistent":
            lines.append(f"{len(shared)} cut axes share indices: the teacher is less than twice as wide there")
        else:
            shares = ", ".join(f"{name} shares {n}" for name, n in shared.items())
            lines.append(f"overlap, because the teacher is less than twice as wide there: {shares}")
        return "\n".join(lines)


def dual_students(
    teacher: nn.Module,
    make_student: Callable[[], nn.Module],
    *,
    rule: str = "uniform",
    layers: Layers = "first",
    heads: str = "strided",
    seed: int = 0,
    swap: bool = False,
    strict: bool = True,
) -> tuple[nn.Module, nn.Module, DualReport]:
    """Make the main and the auxiliary student from complementary parts of one teacher.

    Both start from the *same* fresh student (made once, under ``seed``), so that what is not selected, the classifier,
    is equal in both, and the students differ by nothing but the part of the teacher they hold.

    Args:
        teacher: the large model.
        make_student: returns a fresh student, such as ``lambda: make_student("convnext_pocket", 4)``.
        rule: see :func:`plan_selection`.
        layers: see :func:`plan_selection`.
        heads: see :func:`plan_selection`.
        seed: seed of the fresh student and of the random rules.
        swap: give part 1 to the main student and part 0 to the auxiliary (table 5 of the paper).
        strict: see :func:`plan_selection`.

    Returns:
        ``(main, auxiliary, report)``. The auxiliary is in eval mode and takes no gradient.

    Raises:
        ValueError, SelectionError: see :func:`plan_selection` and :func:`select_weights`.
    """
    check_flag("swap", swap)
    check_integer("seed", seed, -(2**63), 2**63 - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        main = make_student()
    auxiliary = copy.deepcopy(main)
    plans = plan_students(teacher, main, (1, 0) if swap else (0, 1), rule, layers, heads, seed, strict)
    for student, plan in zip((main, auxiliary), plans):
        select_weights(teacher, student, plan)
    auxiliary.eval().requires_grad_(False)
    return main, auxiliary, DualReport(*plans)
