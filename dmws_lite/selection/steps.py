"""Weight selection in the three steps of the paper (section 3.1): layers, components, elements.

``layer_selection`` says which teacher layer each student layer comes from, ``component_mapping`` which teacher tensor
each student tensor comes from, and ``element_selection`` which entries of it. Facts about a model (its classifier, its
attention heads, its patch grid) are asked from the model, never guessed from its name.

The method for one student is Xu et al., "Initializing Models with Larger Ones" (ICLR 2024); the second, complementary
student is what the paper adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from .._values import check_flag, check_integer
from .elements import Facts, classifier_tensors, is_geometry, select_elements
from .layers import LAYER_CHOICES, Layers, choose_layers, find_stacks, owner, rename
from .plan import FRESH_CLASSIFIER, Plan, Row, SelectionError, Unused
from .rules import check_part, check_rule

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
        ValueError: an unknown rule or part, a seed that is no integer, or ``strict`` neither true nor false.
        SelectionError: the student cannot be filled from this teacher.
    """
    return plan_students(teacher, student, (part,), rule, layers, heads, seed, strict)[0]


def plan_students(
    teacher: nn.Module, student: nn.Module, parts: Sequence[int], rule: str, layers: Layers, heads: str, seed: int,
    strict: bool,
) -> list[Plan]:  # fmt: skip
    """Make one plan per part; the models are looked at once."""
    check_rule(rule)
    check_flag("strict", strict)
    check_integer("seed", seed, -(2**63), 2**63 - 1)
    for part in parts:
        check_part(part)
    layer_map = layer_selection(teacher, student, layers)
    mapping = component_mapping(teacher, student, layer_map)
    facts = Facts(teacher, student, mapping)
    return [_plan(facts, layer_map, mapping, rule, part, heads, seed, strict) for part in parts]


def _plan(
    facts: Facts, layer_map: Mapping, mapping: Mapping, rule: str, part: int, heads: str, seed: int, strict: bool
) -> Plan:
    rows, index_sets = select_elements(facts, mapping, rule, part, heads, seed, strict)
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
    classifier, buffers = classifier_tensors(teacher), {name for name, _ in teacher.named_buffers()}
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
        reason = FRESH_CLASSIFIER if name in classifier else _NO_PLACE
        if owner(name, left):
            reason = "layer not selected"
        elif is_geometry(name, value, buffers):
            reason = "geometry of the teacher, not a weight"
        found.append(Unused(name, tuple(value.shape), reason))
    return tuple(found)
