"""What each operation of PyTorch does to the labels of its inputs: one function per kind of operation.

An operation is registered under its names in ATen, without leading or trailing underscores::

    @operator("flip", "roll")
    def move(tracer, result, *args, **options): ...

A function reads the labels of its inputs with ``tracer.labels(tensor)``, joins through ``tracer.channels`` what must
agree, and attaches labels to its result with ``tracer.attach(result, labels)``. To follow one more operation, add its
name to the decorator of its kind, or write a function here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .labels import Crossed, Label, Labels, Untraceable, View, along, is_place, lead, places, reshape, varying

if TYPE_CHECKING:
    from .trace import Tracer

Operator = Callable[..., None]

OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register the decorated function for operations of PyTorch.

    Args:
        names: names in ATen without leading and trailing underscores; ``relu_`` and ``relu`` are one operation.
    """

    def register(function: Operator) -> Operator:
        for name in names:
            if name in OPERATORS:
                known = OPERATORS[name].__name__
                raise ValueError(f"operation {name!r} has two rules, {known} and {function.__name__}")
            OPERATORS[name] = function
        return function

    return register


def find_operator(function: torch._ops.OpOverload) -> Operator:
    """Return the rule for an operation of PyTorch.

    Raises:
        Untraceable: there is none.
    """
    name = function.__name__.split(".")[0]
    rule = OPERATORS.get(name.strip("_"))
    if rule is None and torch.Tag.pointwise in function.tags:
        return pointwise
    if rule is None:
        raise Untraceable(f"the operation {name}")
    return rule


def tensors_in(values: object) -> Iterator[Tensor]:
    """Yield the tensors among the arguments of an operation, which may stand in lists."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, Mapping):
        yield from tensors_in(list(values.values()))


# -- entry by entry ---------------------------------------------------------------------------------------------------


# Operations that PyTorch's own tag calls pointwise need no name here; these lack the tag in some versions or overloads.
@operator("masked_fill", "where", "addcmul", "hardswish", "hardtanh", "hardsigmoid", "mish", "prelu", "rsub")
def pointwise(tracer: Tracer, result: Tensor, *args: object, **options: object) -> None:
    """Couple the labels of all inputs entry by entry."""
    padded = [[lead(label, result.ndim) for label in tracer.labels(t)] for t in tensors_in((args, options))]
    labels = tracer.merge(padded)
    if result is args[0] and tracer.is_view(result) and len(labels) > len(tracer.labels(result)):
        raise Untraceable("an operation in place on a part of a tensor")
    tracer.attach(result, labels)


@operator("copy")
def copy(tracer: Tracer, result: Tensor, target: Tensor, source: Tensor, *_: object) -> None:
    if tracer.is_view(target) and not tracer.labels(target):
        raise Untraceable("copying into a part of a tensor")
    pointwise(tracer, result, target, source)


@operator("native_layer_norm", "fused_rms_norm", "rms_norm")
def layer_norm(
    tracer: Tracer, result: Tensor | tuple, x: Tensor, shape: object, weight: Tensor | None = None,
    bias: Tensor | float | None = None, *_: object,
) -> None:  # fmt: skip
    """Couple the last dimension with the weight and bias; in place of a bias the RMS norms have a number."""
    pointwise(tracer, result[0] if isinstance(result, tuple) else result, x, weight, bias)


@operator("native_batch_norm", "native_batch_norm_legit_no_training", "cudnn_batch_norm", "native_group_norm")
def batch_norm(tracer: Tracer, result: tuple, x: Tensor, *rest: object) -> None:
    """Couple the channels with weight, bias and running statistics."""
    vectors = [each for each in rest[:4] if isinstance(each, Tensor)]
    per_channel = [[along(label, 1, x.ndim) for label in tracer.labels(vector)] for vector in vectors]
    tracer.attach(result[0], tracer.merge([tracer.labels(x), *per_channel]))


@operator("clone", "to_copy", "contiguous", "dropout", "softmax", "safe_softmax", "log_softmax")
def keep(tracer: Tracer, result: Tensor, x: Tensor, *_: object, **__: object) -> None:
    """Keep the labels: every entry stays in its place."""
    tracer.attach(result, tracer.labels(x))


@operator(
    "zeros_like", "ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_empty", "new_full", "rand_like"
)
def fill(tracer: Tracer, result: Tensor, *_: object, **__: object) -> None:
    """Attach nothing: a constant belongs to no channel."""


# -- moving data ------------------------------------------------------------------------------------------------------


@operator(
    "permute", "transpose", "t", "expand", "slice", "select", "split", "split_with_sizes", "unbind", "chunk",
    "unsqueeze", "squeeze", "roll", "flip", "repeat", "detach", "alias", "narrow", "movedim", "repeat_interleave",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "unfold", "diagonal", "lift_fresh",
)  # fmt: skip
def move(tracer: Tracer, result: Tensor | Sequence[Tensor], x: Tensor, *args: object, **options: object) -> None:
    """Let PyTorch move the label as it moved the tensor."""
    outputs = result if isinstance(result, (list, tuple)) else [result]
    moved: list[Labels] = [[] for _ in outputs]
    for label in tracer.labels(x):
        expanded = torch.from_numpy(np.array(label)).expand(x.shape)
        pieces = tracer.operation(expanded, *args, **options)
        for labels, piece in zip(moved, pieces if isinstance(pieces, (list, tuple)) else [pieces]):
            for axis, stride in enumerate(piece.stride()):
                if stride == 0 and piece.shape[axis] > 1:  # the label still does not vary here
                    piece = piece.narrow(axis, 0, 1)
            labels.append(piece.numpy())
    for output, labels in zip(outputs, moved):
        tracer.attach(output, labels, view=True)


@operator("view", "unsafe_view", "reshape", "reshape_alias")
def view(tracer: Tracer, result: Tensor, x: Tensor, *_: object) -> None:
    tracer.attach(result, [reshape(label, x.shape, result.shape) for label in tracer.labels(x)], view=True)


@operator("as_strided")
def as_strided(tracer: Tracer, result: Tensor, x: Tensor, size: Sequence[int], *_: object) -> None:
    # PyTorch changes the strides of pooled tensors in this way; with another shape it is a different operation.
    labels = tracer.labels(x)
    if any(label.ndim != len(size) or any(n not in (1, m) for n, m in zip(label.shape, size)) for label in labels):
        raise Untraceable("the operation as_strided")
    tracer.attach(result, labels)


@operator("constant_pad_nd")
def constant_pad(tracer: Tracer, result: Tensor, x: Tensor, pad: Sequence[int], *_: object) -> None:
    labels = []
    for label in tracer.labels(x):
        for i in range(len(pad) // 2):
            axis, before, after = x.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
            if label.shape[axis] > 1:
                cropped = label.take(range(max(0, -before), label.shape[axis] - max(0, -after)), axis)
                widths = [(0, 0)] * x.ndim
                widths[axis] = (max(0, before), max(0, after))
                label = np.pad(cropped, widths, constant_values=-1)
        labels.append(label)
    tracer.attach(result, labels)


@operator("cat")
def concatenate(tracer: Tracer, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> None:
    tensors = [t for t in tensors if t.ndim == result.ndim]  # PyTorch allows an empty vector among them
    tracer.attach(result, _concatenated([tracer.labels(t) for t in tensors], [t.shape for t in tensors], dim))


@operator("stack")
def stack(tracer: Tracer, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> None:
    dim %= result.ndim
    labels = [[np.expand_dims(label, dim) for label in tracer.labels(t)] for t in tensors]
    tracer.attach(result, _concatenated(labels, [(*t.shape[:dim], 1, *t.shape[dim:]) for t in tensors], dim))


def _concatenated(labels: Sequence[Labels], shapes: Sequence[Sequence[int]], dim: int) -> Labels:
    """Concatenate the labels of several tensors; what varies along the same other dimensions becomes one label."""
    dim %= len(shapes[0])
    slots: dict[tuple, dict[int, Label]] = {}
    for i, labels_of_tensor in enumerate(labels):
        for label in labels_of_tensor:
            key = (is_place(label), tuple(axis for axis in varying(label) if axis != dim))
            if slots.setdefault(key, {}).setdefault(i, label) is not label and not is_place(label):
                raise Untraceable("a concatenation of entries with two channels each")
    joint = []
    for slot in slots.values():
        size = np.max([[n if axis != dim else 1 for axis, n in enumerate(label.shape)] for label in slot.values()], 0)
        parts = []
        for i, shape in enumerate(shapes):
            wanted = [shape[dim] if axis == dim else n for axis, n in enumerate(size)]
            parts.append(np.broadcast_to(slot[i], wanted) if i in slot else np.full(wanted, -1))
        joint.append(np.concatenate(parts, dim))
    return joint


@operator("index")
def index(tracer: Tracer, result: Tensor, x: Tensor, indices: Sequence[Tensor | None]) -> None:
    """Pick entries by index, as relative positions pick from their table: the indexed axis is geometry."""
    axes = [axis for axis, each in enumerate(indices) if each is not None]
    boolean = any(indices[axis].dtype == torch.bool for axis in axes)
    if boolean or axes != list(range(axes[0], axes[-1] + 1)):
        raise Untraceable("an index of several parts")
    width = result.ndim - (x.ndim - len(axes))
    labels = []
    for label in tracer.labels(x):
        if any(label.shape[axis] > 1 for axis in axes):
            tracer.channels.fix(label)
        else:
            rest = label.shape[axes[-1] + 1 :]
            labels.append(label.reshape(*label.shape[: axes[0]], *[1] * width, *rest))
    tracer.attach(result, labels)


@operator("embedding")
def embedding(tracer: Tracer, result: Tensor, weight: Tensor, indices: Tensor, *_: object) -> None:
    index(tracer, result, weight, [indices])


@operator("index_select")
def index_select(tracer: Tracer, result: Tensor, x: Tensor, dim: int, indices: Tensor) -> None:
    index(tracer, result, x, [None] * (dim % x.ndim) + [indices])


# -- sums over a dimension --------------------------------------------------------------------------------------------


@operator(
    "mean", "sum", "amax", "amin", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm", "max", "min",
    "logsumexp", "prod",
)  # fmt: skip
def reduce(tracer: Tracer, result: object, x: Tensor, *rest: object, **options: object) -> None:
    if rest and isinstance(rest[0], Tensor):  # the larger of two tensors
        return pointwise(tracer, result, x, *rest)
    dims = options.get("dim", next((each for each in rest if type(each) in (list, tuple, int)), None))
    if len(rest) > 1 and isinstance(rest[0], (int, float)) and isinstance(rest[1], (list, tuple)):
        dims = rest[1]  # a vector norm: its order comes first
    dims = range(x.ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    summed = sorted(d % x.ndim for d in dims)
    outputs = result if isinstance(result, (list, tuple)) else [result]
    labels = []
    for label in tracer.labels(x):
        short = _sum_up(tracer, label, summed)
        if short is not None:
            labels.append(short if outputs[0].ndim == x.ndim else np.squeeze(short, tuple(summed)))
    for output in outputs:
        tracer.attach(output, labels)


@operator(
    "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "upsample_nearest2d",
    "upsample_bilinear2d", "upsample_bicubic2d", "upsample_bilinear2d_aa", "upsample_bicubic2d_aa",
    "upsample_nearest_exact2d", "reflection_pad2d", "replication_pad2d",
)  # fmt: skip
def resize(tracer: Tracer, result: Tensor | tuple, x: Tensor, *_: object, **__: object) -> None:
    """Pool or resize a map: channels stay, pixels are new ones."""
    result = result[0] if isinstance(result, tuple) else result
    space = range(x.ndim - 2, x.ndim)
    labels = [short for label in tracer.labels(x) if (short := _sum_up(tracer, label, space)) is not None]
    pixels = [place for axis in space if (place := places(result.shape, [axis])) is not None]
    tracer.attach(result, labels + pixels)


def _sum_up(tracer: Tracer, label: Label, summed: Sequence[int]) -> Label | None:
    """Reduce a label: what is added up must be one channel, unless whole heads or groups are measured."""
    inside = [axis for axis in summed if label.shape[axis] > 1]
    if not inside:
        return label
    if len(inside) == len(varying(label)) or is_place(label):
        return None
    if max(varying(label)) in inside and tracer.channels.is_split(tracer.channels.grid(label)):
        return None
    for axis in inside:
        label = _join_along(tracer, label, axis)
    return label


def _join_along(tracer: Tracer, label: Label, axis: int) -> Label:
    """Join the channels that a label has along one dimension, and return the label without it."""
    if label.shape[axis] == 1:
        return label
    first = label.take([0], axis)
    tracer.channels.join(label, np.broadcast_to(first, label.shape))
    return first


# -- products ---------------------------------------------------------------------------------------------------------


@operator("mm")
def matrix_product(tracer: Tracer, result: Tensor, a: Tensor, b: Tensor) -> None:
    left = [label[None] for label in tracer.labels(a)]
    right = [label[None] for label in tracer.labels(b)]
    tracer.attach(result, [label[0] for label in _product(tracer, left, right)])


@operator("addmm")
def matrix_product_with_bias(tracer: Tracer, result: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: object) -> None:
    matrix_product(tracer, result, a, b)
    tracer.attach(result, tracer.merge([tracer.labels(result), [lead(label, 2) for label in tracer.labels(bias)]]))


@operator("bmm")
def batched_product(tracer: Tracer, result: Tensor, a: Tensor, b: Tensor) -> None:
    tracer.attach(result, _product(tracer, tracer.labels(a), tracer.labels(b)))


@operator("baddbmm")
def batched_product_with_bias(tracer: Tracer, result: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: object) -> None:
    batched_product(tracer, result, a, b)
    tracer.attach(result, tracer.merge([tracer.labels(result), [lead(label, 3) for label in tracer.labels(bias)]]))


def _product(tracer: Tracer, left: Labels, right: Labels) -> Labels:
    """Multiply (batch, n, k) by (batch, k, m): what is summed over k is joined, the rest goes to the result."""
    # Both sides as (batch, n, m, k), so that the summed dimension is the last.
    a = [label[:, :, None, :] for label in left]
    b = [label.transpose(0, 2, 1)[:, None] for label in right]
    outer = _contract(tracer, [x for x in a if x.shape[3] > 1], [y for y in b if y.shape[3] > 1])
    kept = [[label[..., 0] for label in side if label.shape[3] == 1] for side in (a, b)]
    # Rows of one side and columns of the other are different dimensions; only heads can meet here, and no places.
    nodes = tracer.merge([[label for label in side if not is_place(label)] for side in (*kept, outer)])
    return nodes + [label for side in kept for label in side if is_place(label)]


def _contract(tracer: Tracer, a: Labels, b: Labels) -> Labels:
    """Join the summed dimension of a product; return labels of what it was combined with, such as heads."""
    channels = tracer.channels
    nodes_a, nodes_b = ([label for label in side if not is_place(label)] for side in (a, b))
    if not nodes_a or not nodes_b:
        # Summed over places, or over a constant: such an axis of a weight is geometry.
        for label in nodes_a + nodes_b:
            channels.fix(label)
        return []
    if len(nodes_a) > 1 or len(nodes_b) > 1:
        raise Crossed
    x, y = nodes_a[0], nodes_b[0]
    for axis in (1, 2):  # rows of one side that differ only because a token was put in front
        x, y = (_join_along(tracer, label, axis) for label in (x, y))
    channels.relate(x, y)
    joint = x if x.shape[0] > 1 else y
    if joint.shape[0] == 1:
        return []
    rows = channels.roots(joint.reshape(joint.shape[0], -1))
    _, number = np.unique(rows, axis=0, return_inverse=True)
    number = number.ravel()
    order = list(dict.fromkeys(number.tolist()))
    heads = channels.new(len(order))
    label = heads[[order.index(n) for n in number.tolist()]].reshape(-1, 1, 1)
    channels.heads(joint[:, :, 0, :], label)
    return [label]


@operator("convolution")
def convolution(
    tracer: Tracer, result: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *options: object
) -> None:
    transposed, groups = bool(options[3]), int(options[5])
    rows, columns = ([lab for lab in tracer.labels(weight) if varying(lab)[0] == axis] for axis in (0, 1))
    for label in tracer.labels(weight):
        if varying(label)[0] > 1:  # the kernel's own places
            tracer.channels.fix(label)
    if transposed:
        rows, columns = columns, rows
        if groups > 1:
            raise Untraceable("a grouped transposed convolution")
    rows, columns = ([np.ravel(lab) for lab in side if len(varying(lab)) == 1] for side in (rows, columns))
    inputs = [label for label in tracer.labels(x) if not is_place(label)]
    for axis in range(2, x.ndim):
        inputs = [_join_along(tracer, label, axis) if label.shape[1] > 1 else label for label in inputs]
    channels = [label.ravel() for label in inputs if varying(label) == [1]]
    others = [label for label in inputs if label.shape[1] == 1]
    if len(channels) + len(others) < len(inputs) or len(channels) > 1:
        raise Crossed
    if others and result.shape[2:] != x.shape[2:]:
        raise Untraceable("a convolution along channels that changes their number")
    out = _couple_convolution(tracer, (groups, x.shape[1], result.shape[1]), channels, rows, columns)
    out = [along(label, 1, x.ndim) for label in out]
    bias_labels = [along(label, 1, x.ndim) for label in tracer.labels(bias)] if bias is not None else []
    space = [place for axis in range(2, result.ndim) if (place := places(result.shape, [axis])) is not None]
    tracer.attach(result, tracer.merge([out + others, bias_labels, [] if others else space]))


def _couple_convolution(
    tracer: Tracer, sizes: tuple[int, int, int], x: Labels, rows: Labels, columns: Labels
) -> Labels:
    """Couple the channels of a convolution's input with its weight.

    Args:
        tracer: of the pass.
        sizes: numbers of groups, input channels and output channels.
        x: label of the input's channels, or an empty list.
        rows: label of the weight's output axis, or an empty list.
        columns: label of the weight's input axis, or an empty list.

    Returns:
        The labels of its output.
    """
    channels, (groups, n_in, n_out) = tracer.channels, sizes
    if groups == 1:
        if x and columns:
            channels.join(x[0], columns[0])
        else:
            for label in x + columns:
                channels.fix(label)
        return rows
    if groups == n_in == n_out:  # depthwise: each channel on its own
        for label in rows:
            if x:
                channels.join(x[0], label)
            else:
                channels.fix(label)
        return x or rows
    if not x or not rows:
        raise Untraceable("a grouped convolution of unknown channels")
    members, outputs = x[0].reshape(groups, -1), rows[0].reshape(groups, -1)
    names = members[:, 0] if groups == n_in else channels.new(groups)
    if groups < n_in:
        channels.views.append(View(False, members, names, columns[0] if columns else None))
    channels.views.append(View(False, outputs, names))
    return rows
