"""How the students of each comparison start: the paper's method, its four comparisons, and one control."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from ..selection.dual import dual_students, select_weights

# ours: dual selection; ours_swap: roles exchanged (table 5); cm1: one selection, labels only; cm2: timm's default;
# cm3: Xavier; cm4: Kaiming (tables 2 to 4). same_start is not in the paper: the auxiliary begins as a copy of main,
# so that the effect of distillation and the effect of the *dual* start can be told apart. Nor is teacher: the whole
# teacher, fine-tuned, as an upper bound.
METHOD_TITLES = {
    "ours": "Dual + SKD (“Ours”)",
    "ours_swap": "Dual + SKD, roles swapped",
    "same_start": "Control: same start + SKD",
    "cm1": "CM1: one selection, no SKD",
    "cm2": "CM2: timm default start",
    "cm3": "CM3: Xavier start",
    "cm4": "CM4: Kaiming start",
    "teacher": "Whole teacher, fine-tuned",
    "skd": "Dual + SKD (“Ours”)",
    "cskd": "Dual + CS-KD",
    "tfkd": "Dual + TF-KD",
    "uniform": "Uniform (“Ours”)",
    "consecutive": "Consecutive",
    "random_consistent": "Random, same indices everywhere",
    "random_inconsistent": "Random, new indices per tensor",
}

METHODS = ("ours", "ours_swap", "same_start", "cm1", "cm2", "cm3", "cm4", "teacher")

WITH_AUXILIARY = ("ours", "ours_swap", "same_start")

DATASETS = {
    "mri": "Brain MRI (4 classes)",
    "sarscov2": "SARS-CoV-2 CT (2 classes)",
    "xray": "Chest X-ray (2 of 4 classes)",
    "ct": "Lung CT",
    "phantom-mri": "Phantoms, MRI",
    "phantom-ct": "Phantoms, CT",
    "phantom-xray": "Phantoms, X-ray",
}


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
        method: one of :data:`METHODS`.
        teacher: the large model; the methods without selection do not look at it.
        make_student: returns a fresh student with timm's own initialisation.
        seed: everything drawn at random comes from it.
        rule: rule of element selection.

    Returns:
        Main and auxiliary; the auxiliary is ``None`` where the method has none.

    Raises:
        ValueError: the method is unknown.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; choose one of {', '.join(METHODS)}")
    if method in ("ours", "ours_swap"):
        main, aux, _ = dual_students(teacher, make_student, rule=rule, seed=seed, swap=method == "ours_swap")
        return main, aux
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        main = make_student()
        if method == "teacher":
            return _whole_teacher(teacher, main), None
        if method in ("cm3", "cm4"):
            initialise(main, "xavier" if method == "cm3" else "kaiming")
    if method in ("cm1", "same_start"):
        select_weights(teacher, main, rule=rule, part=0, seed=seed)
    return main, copy.deepcopy(main).eval().requires_grad_(False) if method == "same_start" else None


def _whole_teacher(teacher: nn.Module, student: nn.Module) -> nn.Module:
    """Copy the teacher, with a fresh classifier and an input grid like the student's."""
    whole = copy.deepcopy(teacher)
    whole.reset_classifier(student.num_classes)
    size = getattr(getattr(student, "patch_embed", None), "img_size", None)
    if size is not None and hasattr(whole, "set_input_size"):
        whole.set_input_size(img_size=size)
    return whole.requires_grad_(True)
