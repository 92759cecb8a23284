"""Weight selection in the three steps of the paper (section 3.1): layers, components, elements.

``layer_selection`` says which teacher layer each student layer comes from, ``component_mapping`` which teacher tensor
each student tensor comes from, and ``element_selection`` which entries of it. Facts about a model (its classifier, its
attention heads, its patch grid) are asked from the model, never guessed from its name.

The method for one student is Xu et al., "Initializing Models with Larger Ones" (ICLR 2024); the second, complementary
student is what the paper adds.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from .axes import Chooser
from .indices import check_part, check_rule
from .plan import _CLASSIFIER, Plan, Row, SelectionError, Unused, _shape, coverage
from .stacks import LAYER_CHOICES, Layers, choose_layers, find_stacks, owner, rename
from .wiring import Untraceable, Wiring, trace

HEAD_CHOICES = ("strided", "whole")

# LayerScale multiplies the output of these modules, so it can be folded into their rows without changing the function.
_SCALED_MODULE = {"ls1.gamma": "attn.proj", "ls2.gamma": "mlp.fc2", "gamma": "mlp.fc2"}

# -- step 1: layer selection ------------------------------------------------------------------------------------------


def layer_selection(teacher: nn.Module, student: nn.Module, layers: Layers = "first") -> dict[str, tuple[int, ...]]:
    """Step 1: choose the teacher layer for each layer of each stack of the student.

    A stack is a container of blocks of one type: ``blocks`` of a ViT, ``stages.2.blocks`` of a ConvNeXt. An isotropic
    model has one stack, a hierarchical model one per stage, so "first N layers" and "first N layers of each stage" are
    the same sentence here.

    Args:
        teacher: the large model.
        student: the small model.
        layers: ``"first"`` (the paper), ``"last"``, ``"uniform"`` (evenly spaced), an explicit list of teacher layers
            for a student with one stack, or a mapping from stack name to such a list (stacks not named use "first").

    Returns:
        For each stack of the student, the index of the teacher layer for each of its layers.

    Raises:
        SelectionError: a stack is deeper than the teacher's, a stage is missing, or an explicit list does not fit.
    """
    own, whole = find_stacks(student), find_stacks(teacher)
    if isinstance(layers, str) and layers not in LAYER_CHOICES:
        raise SelectionError(f"layers={layers!r} is unknown; choose one of {', '.join(LAYER_CHOICES)} or give a list")
    if not isinstance(layers, (str, Mapping)):
        if len(own) != 1:
            raise SelectionError(
                f"one list of layers needs a student with one stack, this one has {len(own)} ({', '.join(own)}); "
                "give a mapping from stack to list"
            )
        layers = {next(iter(own)): layers}
    if isinstance(layers, Mapping) and (strangers := set(layers) - set(own)):
        raise SelectionError(f"layers names {sorted(strangers)}, but the student's stacks are {', '.join(own)}")
    chosen: dict[str, tuple[int, ...]] = {}
    for name, stack in own.items():
        if name not in whole:
            raise SelectionError(
                f"the teacher has no stack of layers {name!r} (it has {', '.join(whole) or 'none'}); "
                "choose a teacher and a student of one family with the same number of stages"
            )
        chosen[name] = choose_layers(name, whole[name], stack, layers)
    return chosen


# -- step 2: component mapping ----------------------------------------------------------------------------------------


def component_mapping(
    teacher: nn.Module, student: nn.Module, layer_map: Mapping[str, Sequence[int]]
) -> dict[str, str | None]:
    """Step 2: name the teacher tensor of every student tensor.

    Models of one family share their component names, so the map is the identity but for the layer numbers.

    Args:
        teacher: the large model.
        student: the small model.
        layer_map: the result of :func:`layer_selection`.

    Returns:
        For each name in the student's ``state_dict`` the teacher's name, or ``None`` where the teacher has no such
        tensor. The classifier is mapped here too; it is step 3 that leaves it alone.
    """
    available = teacher.state_dict().keys()
    renamed = rename(find_stacks(teacher), find_stacks(student), layer_map)
    mapping: dict[str, str | None] = {}
    for name in student.state_dict():
        module = owner(name, renamed)
        source = renamed[module] + name[len(module) :] if module else name
        mapping[name] = source if source in available else None
    return mapping


# -- step 3: element selection ----------------------------------------------------------------------------------------


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
        rule: a rule of :func:`dmws_lite.indices.element_indices`.
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
    return _select_elements(_Facts(teacher, student, mapping), mapping, rule, part, heads, seed, strict)


def _select_elements(
    facts: _Facts, mapping: Mapping[str, str | None], rule: str, part: int, heads: str, seed: int, strict: bool
) -> tuple[tuple[Row, ...], dict[str, tuple[int, ...]]]:
    if heads not in HEAD_CHOICES:
        raise SelectionError(f"heads={heads!r} is unknown; choose one of {', '.join(HEAD_CHOICES)}")
    sources = {name: source for name, source in mapping.items() if source and name not in facts.classifier}
    chooser = Chooser(*facts.wiring, sources, rule, part, seed, heads) if sources else None
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


class _Facts:
    """Facts that both models give about themselves, collected once."""

    def __init__(self, teacher: nn.Module, student: nn.Module, mapping: Mapping[str, str | None]) -> None:
        self.teacher, self.student = teacher, student
        self.big, self.small = teacher.state_dict(), student.state_dict()
        self.classifier = _classifier_tensors(student)
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


def _plan_tensor(name: str, source: str | None, facts: _Facts, chooser: Chooser) -> Row:
    shape = tuple(facts.small[name].shape)
    if name in facts.classifier:
        return Row(name, shape, "initial", reason=_CLASSIFIER)
    if _is_geometry(name, facts.small[name], facts.buffers):
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
        f"{name}: the teacher's tensor is {_shape(source_shape)}, the student's {_shape(shape)}, which differ in rank; "
        "choose a student of the teacher's family, or pass strict=False to leave it at its own initialisation"
    )


def _check_kernel_and_groups(name: str, source: str, source_shape: tuple, shape: tuple, facts: _Facts) -> None:
    if name not in facts.groups_small:
        return
    if source_shape[2:] != shape[2:]:
        raise SelectionError(
            f"{name}: kernel {_shape(source_shape[2:])} of the teacher is not {_shape(shape[2:])}; weights are cut "
            "along channels only, so give the student the teacher's kernel size, or pass strict=False"
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


def _is_geometry(name: str, value: torch.Tensor, buffers: set[str]) -> bool:
    """Whether a tensor holds indices or a mask, which follow from the student's own sizes; a counter does not."""
    return name in buffers and value.ndim > 0 and not value.is_floating_point()


def _other_window(name: str, source_shape: tuple, shape: tuple, facts: _Facts) -> list[int] | None:
    """Return the student's attention window when its table of relative positions has another size, else ``None``."""
    module, _, kind = name.rpartition(".")
    if kind != "relative_position_bias_table" or source_shape[0] == shape[0]:
        return None
    window = getattr(facts.student.get_submodule(module), "window_size", None)
    return list(window) if isinstance(window, (tuple, list)) and len(window) == 2 else None


def _conv_groups(model: nn.Module) -> dict[str, int]:
    return {f"{name}.weight": m.groups for name, m in model.named_modules() if isinstance(m, _ConvNd)}


def _classifier_tensors(model: nn.Module) -> set[str]:
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


def _position_grid(facts: _Facts) -> dict[str, object] | None:
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


# -- all three steps --------------------------------------------------------------------------------------------------


def plan_selection(
    teacher: nn.Module,
    student: nn.Module,
    *,
    rule: str = "uniform",
    part: int = 0,
    layers: Layers = "first",
    heads: str = "strided",
    seed: int = 0,
    strict: bool = True,
) -> Plan:
    """Plan the selection of a student's weights; nothing is changed.

    Args:
        teacher: the large model, a timm model or one with ``get_classifier``.
        student: the small model of the same family.
        rule: ``"uniform"``, ``"consecutive"``, ``"random"`` or ``"random_inconsistent"`` (table 7 of the paper).
        part: 0 for the main, 1 for the auxiliary student.
        layers: see :func:`layer_selection`.
        heads: see :func:`element_selection`.
        seed: seed of the random rules.
        strict: raise when a student tensor has no source, or a tensor of a used teacher layer has no place in the
            student. With ``False`` both are listed in the plan instead.

    Returns:
        The plan: a row for every student tensor, and every teacher tensor that is not used, with the reason.

    Raises:
        ValueError: an unknown rule or part.
        SelectionError: the student cannot be filled from this teacher.
    """
    return _plans(teacher, student, (part,), rule, layers, heads, seed, strict)[0]


def _plans(
    teacher: nn.Module, student: nn.Module, parts: Sequence[int], rule: str, layers: Layers, heads: str, seed: int,
    strict: bool,
) -> list[Plan]:  # fmt: skip
    """Make one plan per part; the models are looked at once."""
    check_rule(rule)
    for part in parts:
        check_part(part)
    layer_map = layer_selection(teacher, student, layers)
    mapping = component_mapping(teacher, student, layer_map)
    facts = _Facts(teacher, student, mapping)
    return [_plan(facts, layer_map, mapping, rule, part, heads, seed, strict) for part in parts]


def _plan(
    facts: _Facts, layer_map: Mapping, mapping: Mapping, rule: str, part: int, heads: str, seed: int, strict: bool
) -> Plan:
    rows, index_sets = _select_elements(facts, mapping, rule, part, heads, seed, strict)
    teacher = facts.teacher
    unused = _unused(teacher, rows, layer_map)
    lost = [u for u in unused if u.reason == _NO_PLACE]
    if lost and strict:
        raise SelectionError(
            f"{lost[0].tensor}: the student has no place for this teacher tensor ({len(lost)} such in all); choose a "
            "student with the same components, or pass strict=False to list them and go on"
        )
    return Plan(rule, part, heads, seed, layer_map, rows, unused, index_sets)


_NO_PLACE = "no counterpart in the student"


def _unused(teacher: nn.Module, rows: tuple[Row, ...], layer_map: Mapping[str, Sequence[int]]) -> tuple[Unused, ...]:
    used = {row.source for row in rows} | {row.fold for row in rows}
    classifier, buffers = _classifier_tensors(teacher), {name for name, _ in teacher.named_buffers()}
    stacks = find_stacks(teacher)
    left = {
        module
        for name, chosen in layer_map.items()
        for i, unit in enumerate(stacks[name].units)
        if i not in chosen
        for module in unit
    }
    found = []
    for name, value in teacher.state_dict().items():
        if name in used:
            continue
        reason = _CLASSIFIER if name in classifier else _NO_PLACE
        if owner(name, left):
            reason = "layer not selected"
        elif _is_geometry(name, value, buffers):
            reason = "geometry of the teacher, not a weight"
        found.append(Unused(name, tuple(value.shape), reason))
    return tuple(found)


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
        SelectionError: see :func:`plan_selection`; or the plan does not fit these models. The student is then
            unchanged.

    Example:
        >>> plan = select_weights(teacher, student, rule="uniform", part=0)  # doctest: +SKIP
    """
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
        """Return the joint coverage, see :func:`dmws_lite.plan.coverage`."""
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
            said = ", ".join(f"{name} shares {n}" for name, n in shared.items())
            lines.append(f"overlap, because the teacher is less than twice as wide there: {said}")
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
        SelectionError: see :func:`plan_selection`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        main = make_student()
    auxiliary = copy.deepcopy(main)
    plans = _plans(teacher, main, (1, 0) if swap else (0, 1), rule, layers, heads, seed, strict)
    for student, plan in zip((main, auxiliary), plans):
        select_weights(teacher, student, plan)
    auxiliary.eval().requires_grad_(False)
    return main, auxiliary, DualReport(*plans)
