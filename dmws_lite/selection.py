"""Weight selection in the three steps of the paper (section 3.1): layers, components, elements.

``layer_selection`` says which teacher layer each student layer comes from, ``component_mapping`` which teacher tensor
each student tensor comes from, and ``element_selection`` which entries of it. Facts about a model (its classifier, its
attention heads, its patch grid) are asked from the model, never guessed from its name.

The method for one student is Xu et al., "Initializing Models with Larger Ones" (ICLR 2024); the second, complementary
student is what the paper adds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .indices import check_part, check_rule, element_indices
from .plan import _CLASSIFIER, Cut, Plan, Row, SelectionError, Unused, _shape, coverage

LAYER_CHOICES = ("first", "last", "uniform")
HEAD_CHOICES = ("strided", "whole")

# LayerScale multiplies the output of these modules, so it can be folded into their rows without changing the function.
_SCALED_MODULE = {"ls1.gamma": "attn.proj", "ls2.gamma": "mlp.fc2", "gamma": "mlp.fc2"}

Layers = str | Sequence[int] | Mapping[str, Sequence[int]]


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
    own, whole = _stacks(student), _stacks(teacher)
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
    for name, n_student in own.items():
        if name not in whole:
            raise SelectionError(
                f"the teacher has no stack of layers {name!r} (it has {', '.join(whole) or 'none'}); "
                "choose a teacher and a student of one family with the same number of stages"
            )
        chosen[name] = _choose_layers(name, whole[name], n_student, layers)
    return chosen


def _choose_layers(name: str, n_teacher: int, n_student: int, layers: str | Mapping) -> tuple[int, ...]:
    if isinstance(layers, Mapping) and name in layers:
        listed = tuple(int(i) for i in layers[name])
        if len(listed) != n_student or not all(0 <= i < n_teacher for i in listed):
            raise SelectionError(
                f"layers for {name!r} are {list(listed)}; give {n_student} numbers between 0 and {n_teacher - 1}"
            )
        return listed
    if n_student > n_teacher:
        raise SelectionError(
            f"the student's {name!r} has {n_student} layers, the teacher's only {n_teacher}; make the student shallower"
        )
    if layers == "last":
        return tuple(range(n_teacher - n_student, n_teacher))
    if layers == "uniform":
        return tuple(i * n_teacher // n_student for i in range(n_student))
    return tuple(range(n_student))


def _stacks(model: nn.Module) -> dict[str, int]:
    """Find the containers of repeated blocks, and their depths; containers of whole stages are not among them."""
    found: dict[str, int] = {}
    for name, module in model.named_modules():
        children = list(module.children())
        if not isinstance(module, (nn.Sequential, nn.ModuleList)) or not children:
            continue
        # A lone convolution or norm in a Sequential is a component, not a layer of a stack.
        if len({type(child) for child in children}) == 1 and any(True for _ in children[0].children()):
            found[name] = len(children)
    outer = {name for name in found for other in found if other.startswith(f"{name}.")}
    return {name: depth for name, depth in found.items() if name not in outer}


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
    mapping: dict[str, str | None] = {}
    for name in student.state_dict():
        source = _teacher_name(name, layer_map)
        mapping[name] = source if source in available else None
    return mapping


def _teacher_name(name: str, layer_map: Mapping[str, Sequence[int]]) -> str:
    for stack, chosen in layer_map.items():
        if name.startswith(f"{stack}."):
            number, _, rest = name[len(stack) + 1 :].partition(".")
            return f"{stack}.{chosen[int(number)]}.{rest}"
    return name


# -- step 3: element selection ----------------------------------------------------------------------------------------


@dataclass
class _Chooser:
    """The index lists of one selection, each made once and shared by every tensor that touches such an axis."""

    rule: str
    part: int
    seed: int
    heads: str
    sets: dict[str, tuple[int, ...]]

    def _elements(self, n_teacher: int, n_student: int, key: str) -> list[int]:
        return element_indices(n_teacher, n_student, self.rule, self.part, self.seed, key).tolist()

    def _keep(self, kind: str, n_teacher: int, n_student: int, tensor: str, make: Callable[[], list[int]]) -> str:
        name = f"{kind}:{n_teacher}->{n_student}"
        if self.rule == "random_inconsistent":
            name += f"@{tensor}"
        if name not in self.sets:
            self.sets[name] = tuple(make())
        return name

    def channels(self, axis: int, n_teacher: int, n_student: int, tensor: str) -> Cut:
        key = f"{tensor}/{axis}"
        name = self._keep("channels", n_teacher, n_student, key, lambda: self._elements(n_teacher, n_student, key))
        return Cut(axis, n_teacher, n_student, self.rule, name)

    def attention(self, axis: int, big: _Attention, small: _Attention, blocks: int, tensor: str) -> Cut:
        """Cut an axis of attention channels; ``blocks`` is 3 for a fused q|k|v axis and 1 for the output's input."""
        key = f"{tensor}/{axis}"

        def make() -> list[int]:
            if self.heads == "whole":
                heads = self._elements(big.heads, small.heads, f"{key}/heads")
                inside = self._elements(big.head_dim, small.head_dim, f"{key}/inside")
                one = [head * big.head_dim + i for head in heads for i in inside]
            else:
                one = self._elements(big.width, small.width, key)
            # Fused projections are q, k and v one after the other: the same choice in each, shifted by its start.
            return [index + block * big.width for block in range(blocks) for index in one]

        kind = f"{self.heads} heads {big.heads}->{small.heads}, {blocks}x"
        name = self._keep(kind, big.width * blocks, small.width * blocks, key, make)
        how = self.rule + (", q|k|v" if blocks == 3 else "") + (", whole heads" if self.heads == "whole" else "")
        return Cut(axis, big.width * blocks, small.width * blocks, how, name)


@dataclass(frozen=True)
class _Attention:
    """What an attention module says about itself."""

    heads: int
    width: int  # heads * head_dim

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


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
    if heads not in HEAD_CHOICES:
        raise SelectionError(f"heads={heads!r} is unknown; choose one of {', '.join(HEAD_CHOICES)}")
    chooser = _Chooser(rule, part, seed, heads, {})
    facts = _Facts(teacher, student, mapping)
    rows = []
    for name, source in mapping.items():
        try:
            rows.append(_plan_tensor(name, source, facts, chooser))
        except SelectionError as error:
            if strict:
                raise
            shape = tuple(facts.small[name].shape)
            rows.append(Row(name, shape, "initial", reason=str(error).removeprefix(f"{name}: ").split(";")[0]))
    return tuple(rows), chooser.sets


class _Facts:
    """Facts that both models give about themselves, collected once."""

    def __init__(self, teacher: nn.Module, student: nn.Module, mapping: Mapping[str, str | None]) -> None:
        self.teacher, self.student = teacher, student
        self.big, self.small = teacher.state_dict(), student.state_dict()
        self.classifier = _classifier_tensors(student)
        self.stem = next((name for name, p in student.named_parameters() if p.ndim == 4), None)
        self.attention_big = _attention_modules(teacher)
        self.attention_small = _attention_modules(student)
        self.groups_small = _conv_groups(student)
        self.groups_big = _conv_groups(teacher)
        self.folds = _layer_scale_folds(teacher, mapping)


def _plan_tensor(name: str, source: str | None, facts: _Facts, chooser: _Chooser) -> Row:
    shape = tuple(facts.small[name].shape)
    if name in facts.classifier:
        return Row(name, shape, "initial", reason=_CLASSIFIER)
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
    source_shape = _same_rank(name, source_shape, shape, notes)
    _check_kernel_and_groups(name, source, source_shape, shape, facts)
    cuts = tuple(
        _cut_axis(name, source, axis, n_teacher, n_student, facts, chooser)
        for axis, (n_teacher, n_student) in enumerate(zip(source_shape, shape))
        if n_teacher != n_student
    )
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
    if len(shape) != 4:
        return
    if source_shape[2:] != shape[2:]:
        raise SelectionError(
            f"{name}: kernel {source_shape[2]}x{source_shape[3]} of the teacher is not {shape[2]}x{shape[3]}; weights "
            "are cut along channels only, so give the student the teacher's kernel size, or pass strict=False"
        )
    if name == facts.stem and source_shape[1] != shape[1]:
        raise SelectionError(
            f"{name}: the teacher sees {source_shape[1]} input channels, the student {shape[1]}; an input channel is a "
            f"colour, not a feature, so make the student with in_chans={source_shape[1]} and repeat grey images"
        )
    groups_big = facts.groups_big.get(source, 1)
    groups_small = facts.groups_small.get(name, 1)
    depthwise = groups_big == source_shape[0] and groups_small == shape[0] and shape[1] == source_shape[1] == 1
    if max(groups_big, groups_small) > 1 and not depthwise and (groups_big, source_shape) != (groups_small, shape):
        raise SelectionError(
            f"{name}: a grouped convolution ({groups_big} groups in the teacher, {groups_small} in the student) is not "
            "supported unless it is depthwise; choose another pair, or pass strict=False"
        )


def _cut_axis(
    name: str, source: str, axis: int, n_teacher: int, n_student: int, facts: _Facts, chooser: _Chooser
) -> Cut:
    if n_student > n_teacher:
        raise SelectionError(
            f"{name}: axis {axis} has {n_student} entries in the student and only {n_teacher} in the teacher; "
            "choose a narrower student or a wider teacher"
        )
    blocks = _attention_blocks(name, axis)
    if blocks:
        big = facts.attention_big.get(_attention_owner(source))
        small = facts.attention_small.get(_attention_owner(name))
        if big and small:
            return _attention_cut(name, axis, big, small, blocks, chooser)
    return chooser.channels(axis, n_teacher, n_student, name)


def _attention_cut(name: str, axis: int, big: _Attention, small: _Attention, blocks: int, chooser: _Chooser) -> Cut:
    if chooser.heads == "whole" and (small.heads > big.heads or small.head_dim > big.head_dim):
        raise SelectionError(
            f"{name}: {small.heads} heads of {small.head_dim} cannot be whole heads of a teacher with {big.heads} "
            f"heads of {big.head_dim}; use heads='strided'"
        )
    return chooser.attention(axis, big, small, blocks, name)


def _attention_blocks(name: str, axis: int) -> int:
    """Return 3 for the fused q|k|v axis, 1 for the input axis of the attention's output projection, else 0."""
    module, _, _ = name.rpartition(".")
    if module.endswith(".qkv") and axis == 0:
        return 3
    if module.endswith("attn.proj") and axis == 1:
        return 1
    return 0


def _attention_owner(name: str) -> str:
    return name.rpartition(".")[0].rpartition(".")[0]


def _attention_modules(model: nn.Module) -> dict[str, _Attention]:
    found = {}
    for name, module in model.named_modules():
        qkv, heads = getattr(module, "qkv", None), getattr(module, "num_heads", None)
        if isinstance(qkv, nn.Linear) and isinstance(heads, int):
            found[name] = _Attention(heads, qkv.out_features // 3)
    return found


def _conv_groups(model: nn.Module) -> dict[str, int]:
    return {f"{name}.weight": m.groups for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}


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
    return {key for key in model.state_dict() if key.rpartition(".")[0] in names}


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
    check_rule(rule)
    check_part(part)
    layer_map = layer_selection(teacher, student, layers)
    mapping = component_mapping(teacher, student, layer_map)
    rows, index_sets = element_selection(
        teacher, student, mapping, rule=rule, part=part, heads=heads, seed=seed, strict=strict
    )
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
    classifier = _classifier_tensors(teacher)
    found = []
    for name, value in teacher.state_dict().items():
        if name in used:
            continue
        reason = _CLASSIFIER if name in classifier else _NO_PLACE
        for stack, chosen in layer_map.items():
            if name.startswith(f"{stack}.") and int(name[len(stack) + 1 :].partition(".")[0]) not in chosen:
                reason = "layer not selected"
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
    options = {"rule": rule, "layers": layers, "heads": heads, "seed": seed, "strict": strict}
    parts = (1, 0) if swap else (0, 1)
    plans = [select_weights(teacher, student, part=part, **options) for student, part in zip((main, auxiliary), parts)]
    auxiliary.eval().requires_grad_(False)
    return main, auxiliary, DualReport(*plans)
