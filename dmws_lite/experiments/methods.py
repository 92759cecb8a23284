"""The methods that are compared: the paper's, its four comparisons, and controls of our own.

Everything that a method is stands in one entry of :data:`METHODS`: how its students start, and how tables, figures,
widgets and model cards name and draw it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .._values import check_integer
from ..selection.dual import dual_students, select_weights


@dataclass(frozen=True)
class Method:
    """A comparison method: how its students start, and how it is named and drawn everywhere.

    Attributes:
        name: what runs and records call it.
        short: its name in a table.
        label: its name in a figure.
        title: its name in a sentence or a model card.
        start: where main's weights come from: ``"selection"``, ``"timm"`` (timm's own initialisation), ``"xavier"``,
            ``"kaiming"`` or ``"teacher"`` (the whole teacher, with a fresh classifier).
        auxiliary: ``""`` for none, ``"complement"`` for the other part of the teacher's channels, ``"copy"`` for a copy
            of main, ``"random"`` for timm's own initialisation.
        part: which part of the teacher's channels main takes, 0 or 1, where it is selected.
        taught: the strategy unless a run says otherwise; "" for equation 5 with an auxiliary, and labels without.
        tested: which network the method's accuracy is of, ``"main"`` or ``"auxiliary"``.
        colour: a name in :data:`dmws_lite.figures.style.PALETTE`.
        marker: Matplotlib's.
        note: where it comes from.
    """

    name: str
    short: str
    label: str
    title: str
    start: str
    auxiliary: str
    colour: str
    marker: str
    note: str
    part: int = 0
    taught: str = ""
    tested: str = "main"

    @property
    def selects(self) -> bool:
        """Whether main's weights are selected from the teacher's, so that the rule matters."""
        return self.start == "selection"

    @property
    def has_auxiliary(self) -> bool:
        """Whether an auxiliary student teaches main; then beta matters."""
        return bool(self.auxiliary)

    @property
    def strategy(self) -> str:
        """How main is taught unless a run says otherwise (equation 5 with an auxiliary, labels without)."""
        return self.taught or ("skd" if self.auxiliary else "labels")


# In the order in which tables and figures show them. A new method is one more entry, and a branch of start_students
# where it starts in a way that none of these has.
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("ours", "ours", "ours: dual + SKD", "Dual + SKD (“Ours”)", "selection", "complement", "blue", "o",
               "the paper's method"),
        Method("ours_swap", "ours, swapped", "ours, roles swapped", "Dual + SKD, roles swapped", "selection",
               "complement", "sky", "P", "table 5: main takes the auxiliary's channels", part=1),
        Method("same_start", "same start", "same start + SKD", "Control: same start + SKD", "selection", "copy",
               "purple", "v", "ours alone: separates the effect of distillation from that of the second start"),
        Method("random_aux", "random auxiliary", "random auxiliary + SKD", "Control: random auxiliary + SKD",
               "selection", "random", "black", "h", "ours alone: an auxiliary that knows nothing"),
        Method("cm1_average", "CM1, averaged", "CM1, its average tested", "Control: CM1, moving average tested",
               "selection", "copy", "yellow", "<", "ours alone: averaging without distillation", taught="average",
               tested="auxiliary"),
        Method("cm1", "CM1", "CM1: one selection", "CM1: one selection, no SKD", "selection", "", "green", "^",
               "tables 2 to 4"),
        Method("cm2", "CM2", "CM2: timm default", "CM2: timm default start", "timm", "", "red", "D", "tables 2 to 4"),
        Method("cm3", "CM3", "CM3: Xavier", "CM3: Xavier start", "xavier", "", "grey", "s", "tables 2 to 4"),
        Method("cm4", "CM4", "CM4: Kaiming", "CM4: Kaiming start", "kaiming", "", "orange", "X", "tables 2 to 4"),
        Method("teacher", "teacher", "whole teacher, fine-tuned", "Whole teacher, fine-tuned", "teacher", "", "black",
               "*", "ours alone: an upper bound"),
    )
}  # fmt: skip


def find_method(name: str) -> Method:
    """Return the method called ``name``.

    Raises:
        ValueError: there is none; the message lists the names.

    Example:
        >>> from dmws_lite.experiments.methods import METHODS, find_method
        >>> find_method("ours").title, find_method("ours").auxiliary
        ('Dual + SKD (“Ours”)', 'complement')
        >>> [method.name for method in METHODS.values() if not method.has_auxiliary]
        ['cm1', 'cm2', 'cm3', 'cm4', 'teacher']
    """
    if name not in METHODS:
        raise ValueError(f"method={name!r} is unknown; choose one of {', '.join(METHODS)}")
    return METHODS[name]


@torch.no_grad()
def initialise(model: nn.Module, scheme: str) -> nn.Module:
    """Draw all matrices and convolutions of a network anew, in place; vectors (norms, LayerScale) stay.

    Args:
        model: network to initialise.
        scheme: ``"xavier"`` (CM3: uniform, Glorot and Bengio 2010) or ``"kaiming"`` (CM4: normal, fan in, He et al.
            2015). Biases become 0.

    Raises:
        ValueError: the scheme is unknown.
    """
    draw = {"xavier": nn.init.xavier_uniform_, "kaiming": nn.init.kaiming_normal_}.get(scheme)
    if draw is None:
        raise ValueError(f"scheme={scheme!r} is unknown; choose xavier or kaiming")
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def start_students(
    method: str, teacher: nn.Module, make_student: Callable[[], nn.Module], seed: int = 0, rule: str = "uniform"
) -> tuple[nn.Module, nn.Module | None]:
    """Make the students of a method, ready for :func:`dmws_lite.training.fit.fit`.

    Args:
        method: a name in :data:`METHODS`.
        teacher: the large model; methods without selection do not look at it.
        make_student: returns a fresh student with timm's own initialisation.
        seed: everything drawn at random comes from it.
        rule: rule of element selection.

    Returns:
        Main and auxiliary; the auxiliary is ``None`` where the method has none.

    Raises:
        ValueError: the method is unknown, or the seed is out of range.
    """
    chosen = find_method(method)
    check_integer("seed", seed, 0, 2**63 - 1)
    if chosen.auxiliary == "complement":
        main, auxiliary, _ = dual_students(teacher, make_student, rule=rule, seed=seed, swap=chosen.part == 1)
        return main, auxiliary
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        main = make_student()
        if chosen.start == "teacher":
            return _whole_teacher(teacher, main), None
        if chosen.start in ("xavier", "kaiming"):
            initialise(main, chosen.start)
    fresh = copy.deepcopy(main)  # with main's classifier, as in the other pairs of students
    if chosen.selects:
        select_weights(teacher, main, rule=rule, part=chosen.part, seed=seed)
    if not chosen.auxiliary:
        return main, None
    auxiliary = fresh if chosen.auxiliary == "random" else copy.deepcopy(main)
    return main, auxiliary.eval().requires_grad_(False)


def _whole_teacher(teacher: nn.Module, student: nn.Module) -> nn.Module:
    """Copy the teacher, with a fresh classifier and an input grid like the student's."""
    whole = copy.deepcopy(teacher)
    whole.reset_classifier(student.num_classes)
    size = getattr(getattr(student, "patch_embed", None), "img_size", None)
    if size is not None and hasattr(whole, "set_input_size"):
        whole.set_input_size(img_size=size)
    return whole.requires_grad_(True)
