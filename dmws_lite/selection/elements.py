"""Step 3 of the paper on real tensors: which entries of each teacher tensor a student tensor takes."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from .channels.choose import Chooser
from .channels.labels import Untraceable
from .channels.trace import Wiring, trace
from .layers import owner
from .plan import FRESH_CLASSIFIER, Row, SelectionError, shape_text

HEAD_CHOICES = ("strided", "whole")

# LayerScale multiplies the output of these modules, so it can be folded into their rows without changing the function.
_SCALED_MODULE = {"ls1.gamma": "attn.proj", "ls2.gamma": "mlp.fc2", "gamma": "mlp.fc2"}


def element_selection(
    teacher: nn.Module,
    student: nn.Module,
    mapping: Mapping[str, str | None],
    *,
    rule: str = "uniform",
    part: int = 0,
    heads: str = "strided",
    seed: int = 0,
    strict: bool = True,
) -> tuple[tuple[Row, ...], dict[str, tuple[int, ...]]]:
    """Step 3: choose the entries of each mapped tensor, one row per student tensor.

    Args:
        teacher: the large model.
        student: the small model.
        mapping: the result of :func:`component_mapping`.
        rule: a rule of :func:`dmws_lite.selection.rules.element_indices`.
        part: 0 for the main, 1 for the auxiliary student.
        heads: ``"strided"`` treats attention channels like any others, as the official code does: with 6 heads cut to
            3, each student head gets half its channels from one teacher head and half from the next. ``"whole"`` takes
            whole heads.
        seed: seed of the random rules.
        strict: raise for a tensor that cannot be mapped, instead of listing it as left at its own initialisation.

    Returns:
        The rows, in the order of the student's ``state_dict``, and the index lists that they name.

    Raises:
        SelectionError: ``strict`` and a tensor cannot be mapped, or an option is unknown.
    """
    return select_elements(Facts(teacher, student, mapping), mapping, rule, part, heads, seed, strict)


def select_elements(
    facts: Facts, mapping: Mapping[str, str | None], rule: str, part: int, heads: str, seed: int, strict: bool
) -> tuple[tuple[Row, ...], dict[str, tuple[int, ...]]]:
    if heads not in HEAD_CHOICES:
        raise SelectionError(f"heads={heads!r} is unknown; choose one of {', '.join(HEAD_CHOICES)}")
    sources = {name: source for name, source in mapping.items() if source and name not in facts.classifier}
    weights = dict(facts.teacher.named_parameters())
    chooser = Chooser(*facts.wiring, sources, rule, part, seed, heads, weights) if sources else None
    rows = []
    for name, source in mapping.items():
        try:
            rows.append(_plan_tensor(name, source, facts, chooser))
        except SelectionError as error:
            if strict:
                raise
            shape = tuple(facts.small[name].shape)
            rows.append(Row(name, shape, "initial", reason=str(error).removeprefix(f"{name}: ").split(";")[0]))
    return tuple(rows), chooser.sets if chooser else {}


class Facts:
    """Facts that both models give about themselves, collected once."""

    def __init__(self, teacher: nn.Module, student: nn.Module, mapping: Mapping[str, str | None]) -> None:
        self.teacher, self.student = teacher, student
        self.big, self.small = teacher.state_dict(), student.state_dict()
        self.classifier = classifier_tensors(student)
        self.buffers = {name for name, _ in student.named_buffers()}
        self.stem = next((name for name, p in student.named_parameters() if p.ndim == 4), None)
        self.groups_small = _conv_groups(student)
        self.groups_big = _conv_groups(teacher)
        self.folds = _layer_scale_folds(teacher, mapping)

    @functools.cached_property
    def wiring(self) -> tuple[Wiring, Wiring]:
        """Which axes belong together, in the teacher and in the student."""
        return _trace(self.teacher, "teacher"), _trace(self.student, "student")


def _trace(model: nn.Module, role: str) -> Wiring:
    try:
        return trace(model)
    except Untraceable as error:
        raise SelectionError(
            f"the channels of the {role} ({type(model).__name__}) cannot be followed through {error}, so which axes "
            "belong together is unknown; choose a model of another family"
        ) from error


def _plan_tensor(name: str, source: str | None, facts: Facts, chooser: Chooser) -> Row:
    shape = tuple(facts.small[name].shape)
    if name in facts.classifier:
        return Row(name, shape, "initial", reason=FRESH_CLASSIFIER)
    if is_geometry(name, facts.small[name], facts.buffers):
        return Row(name, shape, "initial", reason=_GEOMETRY)
    if source is None:
        raise SelectionError(
            f"{name}: the teacher has no such tensor; choose a student of the teacher's family, "
            "or pass strict=False to leave it at its own initialisation"
        )
    source_shape = tuple(facts.big[source].shape)
    row = {"tensor": name, "shape": shape, "source": source, "source_shape": source_shape}
    notes: list[str] = []
    fold = facts.folds.get(source)
    if fold:
        notes.append(f"{'.'.join(fold.split('.')[-2:])} folded into the rows")
    resample = None
    if getattr(facts.student, "pos_embed", None) is not None and name == "pos_embed" and len(shape) == 3:
        resample = _position_grid(facts)
        if resample:
            source_shape = (1, shape[1], source_shape[2])
            notes.append("position grid {}x{} -> {}x{}".format(*resample["old"], *resample["new"]))
    elif name == "patch_embed.proj.weight" and len(shape) == 4 and source_shape[2:] != shape[2:]:
        resample = {"kind": "patch_embed", "new": list(shape[2:])}
        source_shape = (*source_shape[:2], *shape[2:])
        notes.append("patch size {}x{} -> {}x{}".format(*row["source_shape"][2:], *shape[2:]))
    elif window := _other_window(name, source_shape, shape, facts):
        resample = {"kind": "window", "new": window}
        source_shape = (shape[0], source_shape[1])
        notes.append("relative positions of a window of {}x{}".format(*window))
    source_shape = _same_rank(name, source_shape, shape, notes)
    _check_kernel_and_groups(name, source, source_shape, shape, facts)
    found = (chooser.cut(name, axis, *lengths) for axis, lengths in enumerate(zip(source_shape, shape)))
    cuts = tuple(cut for cut in found if cut is not None)
    action = "resample" if resample else "select" if cuts else "copy"
    return Row(**row, action=action, reason=", ".join(notes), cuts=cuts, fold=fold, resample=resample)


def _same_rank(name: str, source_shape: tuple, shape: tuple, notes: list[str]) -> tuple:
    """Let a linear layer meet a 1x1 convolution: timm's conv-MLP and linear-MLP hold the same matrix."""
    if len(source_shape) == len(shape):
        return source_shape
    if len(source_shape) == 2 and len(shape) == 4 and shape[2:] == (1, 1):
        notes.append("linear -> 1x1 convolution")
        return (*source_shape, 1, 1)
    if len(source_shape) == 4 and len(shape) == 2 and source_shape[2:] == (1, 1):
        notes.append("1x1 convolution -> linear")
        return source_shape[:2]
    raise SelectionError(
        f"{name}: the teacher's tensor is {shape_text(source_shape)}, the student's {shape_text(shape)}: their ranks "
        "differ; choose a student of the teacher's family, or pass strict=False to leave it at its own initialisation"
    )


def _check_kernel_and_groups(name: str, source: str, source_shape: tuple, shape: tuple, facts: Facts) -> None:
    if name not in facts.groups_small:
        return
    if source_shape[2:] != shape[2:]:
        raise SelectionError(
            f"{name}: kernel {shape_text(source_shape[2:])} of the teacher is not {shape_text(shape[2:])}; weights are "
            "cut along channels only, so give the student the teacher's kernel size, or pass strict=False"
        )
    if name == facts.stem and source_shape[1] != shape[1]:
        raise SelectionError(
            f"{name}: the teacher sees {source_shape[1]} input channels, the student {shape[1]}; an input channel is a "
            f"colour, not a feature, so make the student with in_chans={source_shape[1]} and repeat grey images"
        )
    groups_big, groups_small = facts.groups_big.get(source, 1), facts.groups_small[name]
    depthwise = [groups == size[0] > 1 for groups, size in ((groups_big, source_shape), (groups_small, shape))]
    if (groups_big > 1) != (groups_small > 1) or depthwise[0] != depthwise[1]:
        raise SelectionError(
            f"{name}: a grouped convolution ({groups_big} groups in the teacher, {groups_small} in the student) must "
            "be grouped, or depthwise, in both models; choose another pair, or pass strict=False"
        )


_GEOMETRY = "geometry of the student, not a weight"


def is_geometry(name: str, value: torch.Tensor, buffers: set[str]) -> bool:
    """Whether a tensor holds indices or a mask, which follow from the student's own sizes; a counter does not."""
    return name in buffers and value.ndim > 0 and not value.is_floating_point()


def _other_window(name: str, source_shape: tuple, shape: tuple, facts: Facts) -> list[int] | None:
    """Return the student's attention window when its table of relative positions has another size, else ``None``."""
    module, _, kind = name.rpartition(".")
    if kind != "relative_position_bias_table" or source_shape[0] == shape[0]:
        return None
    window = getattr(facts.student.get_submodule(module), "window_size", None)
    return list(window) if isinstance(window, (tuple, list)) and len(window) == 2 else None


def _conv_groups(model: nn.Module) -> dict[str, int]:
    return {f"{name}.weight": m.groups for name, m in model.named_modules() if isinstance(m, _ConvNd)}


def classifier_tensors(model: nn.Module) -> set[str]:
    """Ask the model for its classifier: names with "head" in them also belong to norms (ConvNeXt)."""
    if not hasattr(model, "get_classifier"):
        raise SelectionError(
            f"{type(model).__name__} has no get_classifier(), so its classifier is unknown; use a timm model, "
            "or give your model that method"
        )
    classifier = model.get_classifier()
    parts = classifier if isinstance(classifier, (tuple, list)) else (classifier,)
    names = {name for name, module in model.named_modules() if any(module is part for part in parts)}
    return {key for key in model.state_dict() if owner(key, names)}


def _position_grid(facts: Facts) -> dict[str, object] | None:
    """Describe how the teacher's position embedding becomes the student's, or ``None`` when the grids are equal."""

    def grid(model: nn.Module) -> tuple[list[int], int]:
        patches = getattr(model, "patch_embed", None)
        size = getattr(patches, "grid_size", None)
        if size is None:
            raise SelectionError("pos_embed: the model does not tell its patch grid; pass strict=False")
        prefix = 0 if getattr(model, "no_embed_class", False) else getattr(model, "num_prefix_tokens", 0)
        return list(size), int(prefix)

    (old, prefix), (new, keep) = grid(facts.teacher), grid(facts.student)
    if keep > prefix:
        raise SelectionError(
            f"pos_embed: the student has {keep} prefix tokens with a position, the teacher {prefix}; "
            "make the student without a class token, or pass strict=False"
        )
    if old == new and keep == prefix:
        return None
    return {"kind": "pos_embed", "old": old, "new": new, "prefix": prefix, "keep": keep}


def _layer_scale_folds(teacher: nn.Module, mapping: Mapping[str, str | None]) -> dict[str, str]:
    """Find LayerScale vectors of mapped layers that the student lacks: {scaled teacher tensor: gamma}."""
    used = {source for source in mapping.values() if source}
    tensors = teacher.state_dict().keys()
    folds = {}
    for gamma in tensors - used:
        for ending, module in _SCALED_MODULE.items():
            block = gamma.removesuffix(f".{ending}")
            if block == gamma:
                continue
            targets = [f"{block}.{module}.{kind}" for kind in ("weight", "bias") if f"{block}.{module}.{kind}" in used]
            folds.update(dict.fromkeys(targets, gamma))
            break
    return folds
