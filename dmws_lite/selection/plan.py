"""A selection plan as data: what each student tensor takes from the teacher. Printed, measured, saved, replayed.

Nothing here decides anything: :mod:`dmws_lite.selection.steps` makes plans, this module holds and applies them. A plan
keeps the index lists themselves, so a replay needs neither the rule nor a random generator, only the teacher.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from timm.layers import resample_abs_pos_embed, resample_patch_embed, resize_rel_pos_bias_table
from torch import Tensor

from .._sealed import CHECKSUM, checksum_fits, with_checksum
from .._system import write_atomic

FORMAT = 1


class SelectionError(ValueError):
    """The student cannot be filled from this teacher; the message names the tensor and the remedy."""


@dataclass(frozen=True)
class Cut:
    """One axis of a student tensor that is shorter than the teacher's.

    Attributes:
        axis: which axis, counted from 0.
        n_teacher: its length in the teacher.
        n_student: its length in the student.
        how: the choice in words, such as ``"uniform"`` or ``"uniform, q|k|v"`` (a fused axis of three parts).
        indices: name of the index list in :attr:`Plan.index_sets`.
    """

    axis: int
    n_teacher: int
    n_student: int
    how: str
    indices: str


@dataclass(frozen=True)
class Row:
    """Where one student tensor comes from.

    Attributes:
        tensor: name in the student's ``state_dict``.
        shape: its shape in the student.
        action: ``"select"`` (at least one axis is cut), ``"copy"`` (taken whole), ``"resample"`` (another grid, then
            cut) or ``"initial"`` (left at the student's own initialisation).
        source: name in the teacher's ``state_dict``, or ``None`` for ``"initial"``.
        source_shape: its shape in the teacher, or ``None``.
        reason: why the tensor was left alone or treated specially; empty for the plain case.
        cuts: the axes that were cut.
        fold: a teacher tensor that is multiplied into the rows first (LayerScale), or ``None``.
        resample: how a position or patch embedding, or a table of relative positions, changes its grid, or ``None``.
    """

    tensor: str
    shape: tuple[int, ...]
    action: str
    source: str | None = None
    source_shape: tuple[int, ...] | None = None
    reason: str = ""
    cuts: tuple[Cut, ...] = ()
    fold: str | None = None
    resample: Mapping[str, object] | None = None

    def describe(self) -> str:
        """Say in a few words how the tensor is filled."""
        if self.action == "initial":
            return f"own initialisation: {self.reason}"
        parts = [f"axis {c.axis}: {c.n_teacher}->{c.n_student} {c.how}" for c in self.cuts] or ["whole"]
        return "; ".join(parts + ([self.reason] if self.reason else []))


@dataclass(frozen=True)
class Unused:
    """A teacher tensor that no student tensor takes, and why."""

    tensor: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Plan:
    """Everything that one selection does, in the order of the student's ``state_dict``.

    Attributes:
        rule: rule of element selection.
        part: 0 main, 1 auxiliary.
        heads: ``"strided"`` or ``"whole"``.
        seed: seed of the random rules.
        layer_map: step 1, the teacher layers of each stack of the student.
        rows: steps 2 and 3, one per student tensor.
        unused: teacher tensors that are not taken.
        index_sets: the index lists that the rows name.
    """

    rule: str
    part: int
    heads: str
    seed: int
    layer_map: Mapping[str, tuple[int, ...]]
    rows: tuple[Row, ...]
    unused: tuple[Unused, ...] = ()
    index_sets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    # -- looking at it ------------------------------------------------------------------------------------------

    def table(self, collapse: bool = True) -> str:
        """Format the plan as text.

        Args:
            collapse: put tensors that differ only in their layer number on one line with a count.
        """
        lines: dict[tuple[str, ...], list[str]] = {}
        for row in self.rows:
            name = re.sub(r"\.\d+(\.\D+)$", r".*\1", row.tensor) if collapse else row.tensor
            shapes = (
                f"{shape_text(row.source_shape)} -> {shape_text(row.shape)}"
                if row.source_shape
                else shape_text(row.shape)
            )
            lines.setdefault((name, shapes, row.describe()), []).append(row.tensor)
        cells = [
            (name if len(members) > 1 else members[0], f"x{len(members)}" if len(members) > 1 else "", shapes, how)
            for (name, shapes, how), members in lines.items()
        ]
        head = ("student tensor", "", "teacher -> student", "how")
        widths = [max(len(row[column]) for row in [head, *cells]) for column in range(4)]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *cells]]
        text.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*text, "", self.summary()])

    def summary(self) -> str:
        """Say in two lines how many tensors go where, and what share of the teacher is used."""
        counts = {action: sum(row.action == action for row in self.rows) for action in _ACTIONS}
        student = "main" if self.part == 0 else "auxiliary"
        changes = ", ".join(f"{n} {action}" for action, n in counts.items() if n)
        cover = coverage(self)
        return (
            f"part {self.part} ({student}), rule {self.rule}, heads {self.heads}: {len(self.rows)} tensors "
            f"({changes})\n"
            f"covers {cover['channels']:.1%} of the channels on cut axes and {cover['weights']:.1%} of the teacher's "
            "weights outside its classifier"
        )

    def __str__(self) -> str:
        return self.table()

    # -- keeping it ---------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the plan as JSON text; :meth:`from_json` reads it back to an equal plan."""
        return json.dumps(with_checksum({"format": FORMAT, **asdict(self)}), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan back.

        Raises:
            SelectionError: the text is not a plan of this format, or its checksum is another than its content's.
        """
        try:
            raw = json.loads(text)
            if not checksum_fits(raw):
                raise SelectionError("this plan is damaged: its content has another checksum; save it again")
            raw.pop(CHECKSUM, None)
            version = raw.pop("format")
            if version != FORMAT:
                raise SelectionError(f"plan format {version!r} is unknown; this version reads format {FORMAT}")
            raw["rows"] = tuple(_row(r) for r in raw["rows"])
            raw["unused"] = tuple(Unused(u["tensor"], tuple(u["shape"]), u["reason"]) for u in raw["unused"])
            raw["layer_map"] = {k: tuple(v) for k, v in raw["layer_map"].items()}
            raw["index_sets"] = {k: tuple(v) for k, v in raw["index_sets"].items()}
            return cls(**raw)
        except SelectionError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SelectionError(f"this is not a selection plan ({error}); save one with plan.save(path)") from error

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, atomically."""
        return write_atomic(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan that :meth:`save` wrote."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise SelectionError(f"{path} is not a selection plan ({error}); save one with plan.save(path)") from error

    # -- applying it --------------------------------------------------------------------------------------------

    def tensors(self, teacher: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Cut the student's tensors out of a teacher's ``state_dict``.

        Args:
            teacher: the ``state_dict`` of the teacher that the plan was made for, or of another of the same shapes.

        Returns:
            The new value of every student tensor that is not left at its own initialisation.

        Raises:
            SelectionError: a teacher tensor is missing or has another shape than the plan says.
        """
        try:
            return {row.tensor: self._fill(row, teacher) for row in self.rows if row.action != "initial"}
        except SelectionError:
            raise
        except (TypeError, ValueError, LookupError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise SelectionError(f"the plan cannot be applied ({reason}); make a new plan") from error

    def _fill(self, row: Row, teacher: Mapping[str, Tensor]) -> Tensor:
        value = _take(teacher, row.source, row.source_shape)
        if row.fold:
            gamma = _take(teacher, row.fold, None).to(value.dtype)
            value = value * gamma.reshape(-1, *[1] * (value.ndim - 1))
        if row.resample:
            value = _resample(value, row.resample)
        if value.ndim != len(row.shape):  # a 1x1 convolution and a linear layer hold the same matrix
            value = value.reshape(*value.shape, 1, 1) if value.ndim == 2 else value.flatten(1)
        for cut in row.cuts:
            chosen = torch.tensor(self.index_sets[cut.indices], device=value.device)
            value = value.index_select(cut.axis, chosen)
        if tuple(value.shape) != tuple(row.shape):
            raise SelectionError(f"{row.tensor}: the plan gives {shape_text(value.shape)}, not {shape_text(row.shape)}")
        return value


_ACTIONS = ("select", "copy", "resample", "initial")


def coverage(*plans: Plan) -> dict[str, float]:
    """Measure how much of the teacher one plan uses, or several plans together.

    Args:
        plans: plans for the same teacher, such as the main and the auxiliary student's.

    Returns:
        ``channels``: mean, over all cut axes, of the share of teacher indices that at least one plan takes;
        ``weights``: share of the teacher's weights, classifier excluded, that at least one plan takes;
        ``shared_channels`` and ``shared_weights``: the same shares for what *every* plan takes (overlap).
    """
    taken: dict[str, list[tuple[Row, list[set[int] | None]]]] = {}
    sizes: dict[str, int] = {}
    for plan in plans:
        for row in plan.rows:
            if row.source is None:
                continue
            sizes[row.source] = math.prod(row.source_shape)
            cuts = {cut.axis: set(plan.index_sets[cut.indices]) for cut in row.cuts}
            axes = [cuts.get(axis) for axis in range(len(row.source_shape))]
            taken.setdefault(row.source, []).append((row, axes))
        for unused in plan.unused:
            if unused.reason != FRESH_CLASSIFIER:
                sizes[unused.tensor] = math.prod(unused.shape)
    union = both = 0.0
    channels: list[float] = []
    shared_channels: list[float] = []
    for rows in taken.values():
        shape = rows[0][0].source_shape
        axis_sets = [axes for _, axes in rows]
        common = _box(shape, [_meet([axes[a] for axes in axis_sets]) for a in range(len(shape))])
        each = [_box(shape, axes) for axes in axis_sets]
        union += sum(each) - (common if len(each) > 1 else 0)
        both += common if len(each) == len(plans) else 0
        for axis, n in enumerate(shape):
            sets = [axes[axis] for axes in axis_sets if axes[axis] is not None]
            if sets:
                channels.append(len(set.union(*sets)) / n)
                shared_channels.append(len(set.intersection(*sets)) / n if len(sets) == len(plans) else 0.0)
    total = sum(sizes.values()) or 1
    return {
        "channels": sum(channels) / len(channels) if channels else 1.0,
        "weights": union / total,
        "shared_channels": sum(shared_channels) / len(shared_channels) if channels else 1.0,
        "shared_weights": both / total,
    }


FRESH_CLASSIFIER = "classifier of another task"


def _meet(sets: list[set[int] | None]) -> set[int] | None:
    """Intersect index sets, where ``None`` stands for the whole axis."""
    finite = [s for s in sets if s is not None]
    return set.intersection(*finite) if finite else None


def _box(shape: tuple[int, ...], axes: list[set[int] | None]) -> int:
    return math.prod(n if chosen is None else len(chosen) for n, chosen in zip(shape, axes))


def shape_text(shape: tuple[int, ...] | torch.Size) -> str:
    return "x".join(str(n) for n in shape) or "scalar"


def _row(raw: dict) -> Row:
    source_shape = raw["source_shape"]
    return Row(
        **{
            **raw,
            "shape": tuple(raw["shape"]),
            "source_shape": None if source_shape is None else tuple(source_shape),
            "cuts": tuple(Cut(**cut) for cut in raw["cuts"]),
        }
    )


def _take(teacher: Mapping[str, Tensor], name: str, shape: tuple[int, ...] | None) -> Tensor:
    if name not in teacher:
        raise SelectionError(f"the teacher has no tensor {name!r}; replay the plan with the teacher it was made for")
    value = teacher[name].detach()
    if shape is not None and tuple(value.shape) != tuple(shape):
        raise SelectionError(
            f"teacher tensor {name!r} has shape {shape_text(value.shape)} where the plan says {shape_text(shape)}; "
            "replay the plan with the teacher it was made for"
        )
    return value


def _resample(value: Tensor, how: Mapping[str, object]) -> Tensor:
    """Move an embedding to another grid with timm's own functions (bicubic, antialiased)."""
    new = list(how["new"])
    if how["kind"] == "patch_embed":
        # timm checks the grid itself and returns the tensor unchanged when nothing differs.
        return resample_patch_embed(value.float(), new).to(value.dtype)
    if how["kind"] == "window":
        side = 2 * new[0] - 1, 2 * new[1] - 1
        extra = value.shape[0] - math.isqrt(value.shape[0]) ** 2  # entries for a class token, kept as they are
        shape = (side[0] * side[1] + extra, value.shape[1])
        return resize_rel_pos_bias_table(value.float(), new_window_size=new, new_bias_shape=shape).to(value.dtype)
    old, prefix, keep = list(how["old"]), int(how["prefix"]), int(how["keep"])
    value = torch.cat([value[:, :keep], value[:, prefix:]], dim=1)
    if old == new:
        return value
    return resample_abs_pos_embed(value.float(), new, old_size=old, num_prefix_tokens=keep).to(value.dtype)
