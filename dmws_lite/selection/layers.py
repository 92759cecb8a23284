"""Stacks of layers: where a model repeats blocks, and which teacher block each student block comes from.

A stack is a container of blocks of one type: ``blocks`` of a ViT, ``stages.2.blocks`` of a ConvNeXt, ``layer3`` of a
ResNet, the numbered children of a RegNet stage. In a plain chain of convolutions and poolings (VGG) the stacks are the
runs of convolutions between two poolings. Blocks that differ from their siblings, such as the first of a stage with its
downsampling path or the shifted ones of a Swin, are told from their tensors and settings and keep their role.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from .._values import is_integer
from .plan import SelectionError

LAYER_CHOICES = ("first", "last", "uniform")

Layers = str | Sequence[int] | Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Stack:
    """Repeated layers of a model.

    Attributes:
        units: for each layer the names of its modules: one block, or a convolution with its norm.
        kinds: for each layer a number, equal for layers whose tensors have the same names and shapes.
        roles: like ``kinds``, but settings such as strides and window shifts count too.
    """

    units: tuple[tuple[str, ...], ...]
    kinds: tuple[int, ...]
    roles: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.units)


def find_stacks(model: nn.Module) -> dict[str, Stack]:
    """Find the stacks of a model by name; containers of whole stages are not among them."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for name, module in model.named_modules():
        children = list(module.named_children())
        stem = f"{name}." if name else ""
        # A lone convolution or norm in a Sequential is a component, not a layer of a stack.
        if len({type(child) for _, child in children}) == 1 and any(True for _ in children[0][1].children()):
            if isinstance(module, (nn.Sequential, nn.ModuleList)) or _numbered([child for child, _ in children]):
                found[name] = [(f"{stem}{child}",) for child, _ in children]
        elif isinstance(module, nn.Sequential):
            found.update(_runs(name, children))
    outer = {name for name in found for other in found if other.startswith(f"{name}." if name else "")} - {""}
    modules = dict(model.named_modules())

    def stack(units: list[tuple[str, ...]]) -> Stack:
        kinds, roles = (_numbers([describe(modules, unit) for unit in units]) for describe in (_kind, _role))
        return Stack(tuple(units), kinds, roles)

    return {name: stack(units) for name, units in found.items() if name not in outer or _is_run(name)}


def _is_run(name: str) -> bool:
    return re.search(r"\.run\d+$", name) is not None


def _numbered(names: Sequence[str]) -> bool:
    parts = [re.fullmatch(r"(\D+)\d+", name) for name in names]
    return all(parts) and len({part[1] for part in parts}) == 1


def _runs(name: str, children: Sequence[tuple[str, nn.Module]]) -> dict[str, list[tuple[str, ...]]]:
    """Split a chain of plain layers at its poolings; a layer is a weight matrix and the norms that follow it."""
    runs: list[list[list[str]]] = [[]]
    pooled = False
    for child, module in children:
        if any(True for _ in module.children()):
            return {}
        if "Pool" in type(module).__name__:
            pooled = True
            runs.append([])
        elif (weight := getattr(module, "weight", None)) is not None:
            if weight.ndim > 1:
                runs[-1].append([])
            if runs[-1]:
                runs[-1][-1].append(f"{name}.{child}")
    runs = [run for run in runs if run]
    if not pooled or len(runs) < 2:
        return {}
    return {f"{name}.run{i}": [tuple(unit) for unit in run] for i, run in enumerate(runs)}


def _kind(modules: Mapping[str, nn.Module], unit: Sequence[str]) -> tuple:
    return tuple((i, key, tuple(v.shape)) for i, n in enumerate(unit) for key, v in modules[n].state_dict().items())


def _role(modules: Mapping[str, nn.Module], unit: Sequence[str]) -> tuple:
    settings = []
    for number, name in enumerate(unit):
        for inner, module in modules[name].named_modules():
            # Modules without weights (drop path, activations) may be exchanged for one another with the depth.
            if any(True for _ in module.parameters()):
                plain = {k: v for k, v in vars(module).items() if k[0] != "_" and k != "training" and _is_plain(v)}
                settings.append((number, inner, tuple(sorted(plain.items()))))
    return _kind(modules, unit), tuple(settings)


def _is_plain(value: object) -> bool:
    # Settings such as strides. Real numbers are left out: drop rates grow with the depth and mean nothing here.
    return type(value) in (int, bool) or (type(value) is tuple and all(type(v) is int for v in value))


def _numbers(things: Sequence[tuple]) -> tuple[int, ...]:
    """Number things in the order of their first appearance."""
    order: dict[tuple, int] = {}
    return tuple(order.setdefault(thing, len(order)) for thing in things)


def choose_layers(name: str, whole: Stack, own: Stack, layers: str | Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """Choose the teacher layer of each layer of one stack of the student.

    Args:
        name: of the stack, for messages and for ``layers``.
        whole: the teacher's stack.
        own: the student's.
        layers: see :func:`dmws_lite.selection.steps.layer_selection`.

    Returns:
        The teacher's layer for each of the student's.

    Raises:
        SelectionError: the student's stack is deeper, or an explicit list does not fit.
    """
    if isinstance(layers, Mapping) and name in layers:
        listed = layers[name]
        if isinstance(listed, str) or not all(map(is_integer, listed)):
            raise SelectionError(f"layers for {name!r} are {listed!r}; give a list of whole numbers")
        return _check_list(name, whole, own, tuple(map(int, listed)))
    if len(own) > len(whole):
        raise SelectionError(
            f"the student's {name!r} has {len(own)} layers, the teacher's only {len(whole)}; make the student shallower"
        )
    if layers not in ("last", "uniform"):
        return tuple(range(len(own)))
    # Each role for itself: the first block of a stage comes from the first, shifted windows from shifted ones.
    for roles, of_own in ((whole.roles, own.roles), (whole.kinds, own.kinds)):
        fits = all(of_own.count(role) <= roles.count(role) for role in of_own)
        if fits and len(set(roles)) <= max(2, len(roles) // 2):
            chosen = [0] * len(own)
            for role in set(of_own):
                there = [i for i, r in enumerate(roles) if r == role]
                here = [i for i, r in enumerate(of_own) if r == role]
                for i, position in zip(here, _spread(len(there), len(here), layers)):
                    chosen[i] = there[position]
            return tuple(chosen)
    return _spread(len(whole), len(own), layers)


def _spread(n_teacher: int, n_student: int, layers: str) -> tuple[int, ...]:
    if layers == "last":
        return tuple(range(n_teacher - n_student, n_teacher))
    return tuple(i * n_teacher // n_student for i in range(n_student))


def _check_list(name: str, whole: Stack, own: Stack, listed: tuple[int, ...]) -> tuple[int, ...]:
    if len(listed) != len(own) or not all(0 <= i < len(whole) for i in listed):
        raise SelectionError(
            f"layers for {name!r} are {list(listed)}; give {len(own)} numbers between 0 and {len(whole) - 1}"
        )
    if len(set(own.kinds)) > 1 or len(own) == 1:  # otherwise the student has no special block whose place to keep
        for i, chosen in enumerate(listed):
            fitting = [j for j, kind in enumerate(whole.kinds) if kind == own.kinds[i]]
            if chosen not in fitting:
                raise SelectionError(
                    f"layers for {name!r} put the teacher's layer {chosen} at the student's layer {i}, which is of "
                    f"another kind (such as a stage's first block); choose from {fitting} there"
                )
    return listed


def rename(
    whole: Mapping[str, Stack], own: Mapping[str, Stack], layer_map: Mapping[str, Sequence[int]]
) -> dict[str, str]:
    """Map the module names of the student's layers to those of the chosen teacher layers.

    Args:
        whole: the teacher's stacks.
        own: the student's stacks.
        layer_map: the chosen layers of each stack.

    Returns:
        ``{student module: teacher module}``; an empty string where the teacher's layer lacks the module.
    """
    names: dict[str, str] = {}
    for stack, chosen in layer_map.items():
        for unit, index in zip(own[stack].units, chosen):
            there = whole[stack].units[index]
            names.update({module: there[i] if i < len(there) else "" for i, module in enumerate(unit)})
    return names


def owner(name: str, modules: Mapping[str, object] | set[str]) -> str:
    """Return the outermost of the given modules that a tensor belongs to, or an empty string."""
    parts = name.split(".")
    return next((m for k in range(1, len(parts)) if (m := ".".join(parts[:k])) in modules), "")
