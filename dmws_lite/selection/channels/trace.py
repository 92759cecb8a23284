"""Which axes of a model's weights belong together, found by following one forward pass.

The model is run on meta tensors, which have shapes and no values, so no memory is used for activations. Every weight
enters with a label per axis (:mod:`dmws_lite.selection.channels.labels`); every elementary operation of PyTorch carries
labels from its inputs to its outputs and joins those that must agree: the columns of a matrix with the channels they
multiply, the two sides of a residual sum, a norm with what it scales, queries with keys. Families of models need no
knowledge of their own: fused projections, patch merging, channel attention, flattened feature maps and grouped
convolutions all come out of the same few rules. An operation without a rule is an error as soon as a channel reaches
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .labels import Channels, Crossed, Label, View, is_place, places, reshape, varying

Labels = list[Label]


class Untraceable(Exception):
    """The wiring of a model cannot be followed; the message says where."""


@dataclass(frozen=True)
class Wiring:
    """The channels of a model.

    Attributes:
        axes: for each floating-point tensor of the ``state_dict`` and each of its axes, the channel of every entry.
        fixed: channels that are geometry (pixels, tokens, colours): such an axis cannot be cut.
        views: channels that are groups of channels, with the nodes replaced by channels.
    """

    axes: dict[tuple[str, int], np.ndarray]
    fixed: frozenset[int]
    views: tuple[View, ...]


_traced: WeakKeyDictionary[nn.Module, tuple[tuple, Wiring]] = WeakKeyDictionary()


def trace(model: nn.Module) -> Wiring:
    """Follow one forward pass of a model, once: as long as its tensors keep names and shapes the result is kept.

    Args:
        model: a network for images; it is neither changed nor moved, and no memory is used for activations.

    Returns:
        Its wiring.

    Raises:
        Untraceable: the model does not run on meta tensors, or an operation has no rule.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = tuple((name, tuple(value.shape)) for name, value in state.items())
    if model in _traced and _traced[model][0] == shapes:
        return _traced[model][1]
    failure = ""
    for size in _sizes(model):
        tracer = _Tracer()
        metas = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
        axes = {}
        for name in model.state_dict():
            if name in metas and metas[name].is_floating_point():
                axes.update({(name, axis): nodes for axis, nodes in tracer.weight(metas[name]).items()})
        image = torch.empty(1, _colours(model), *size, device="meta", dtype=next(iter(state.values())).dtype)
        image = image if image.is_floating_point() else image.float()
        tracer.image(image)
        try:
            with torch.no_grad(), _evaluating(model), _plain_attention(), tracer:
                torch.func.functional_call(model, metas, (image,))
        except Crossed as error:
            raise Untraceable("two channel axes that cross each other") from error
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, NotImplementedError) as error:
            failure = str(error).strip().split("\n")[0]
            continue
        channels = tracer.channels
        channels.close()
        roots = {axis: channels.roots(nodes) for axis, nodes in axes.items()}
        fixed = frozenset(int(r) for r in np.unique(np.concatenate(list(roots.values()))) if channels.is_fixed(int(r)))
        views = tuple(
            View(v.optional, *(None if part is None else channels.roots(part) for part in (v.grid, v.outer, v.inner)))
            for v in channels.views
        )
        _traced[model] = (shapes, Wiring(roots, fixed, views))
        return _traced[model][1]
    raise Untraceable(f"its forward pass ({failure})")


def _colours(model: nn.Module) -> int:
    """Return the input channels of the first convolution (linear patch embeddings: 3)."""
    first = next((p for p in model.parameters() if p.ndim == 4), None)
    return first.shape[1] if first is not None and first.shape[1] in (1, 2, 3, 4) else _configured(model)[0]


def _configured(model: nn.Module) -> tuple[int, ...]:
    config = getattr(model, "pretrained_cfg", None) or {}
    return tuple(config.get("input_size") or (3, 224, 224))


def _sizes(model: nn.Module) -> list[tuple[int, int]]:
    """List image sizes to try; shapes are free, so only models of a fixed size are particular."""
    own = [size for m in model.modules() if isinstance(size := getattr(m, "img_size", None), (tuple, list))]
    sides = [*own[:1], _configured(model)[1:], (224, 224), (256, 256), (128, 128), (64, 64), (32, 32)]
    return list(dict.fromkeys(tuple(side) for side in sides))


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout and batch statistics off, and restore every module's own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _plain_attention() -> contextlib.AbstractContextManager:
    """Let attention be computed from matrix products, which have rules, and not by one fused kernel."""
    attention = getattr(torch.nn, "attention", None)
    return attention.sdpa_kernel(attention.SDPBackend.MATH) if attention else contextlib.nullcontext()


class _Tracer(TorchDispatchMode):
    """Carries labels along while a model runs."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = Channels()
        # Tensors are kept alive with their labels: an id is unique only among living objects. Meta tensors are empty.
        self._known: dict[int, tuple[Tensor, Labels]] = {}
        self._views: set[int] = set()

    def weight(self, tensor: Tensor) -> dict[int, np.ndarray]:
        """Give a weight its nodes, one per entry of each axis, and labels along the axes of more than one entry."""
        labels, nodes = [], {}
        for axis, n in enumerate(tensor.shape):
            nodes[axis] = self.channels.new(n)
            if n > 1:
                labels.append(nodes[axis].reshape([n if a == axis else 1 for a in range(tensor.ndim)]))
        self._known[id(tensor)] = (tensor, labels)
        return nodes

    def image(self, tensor: Tensor) -> None:
        self._known[id(tensor)] = (tensor, [p for axis in (1, 2, 3) if (p := places(tensor.shape, [axis])) is not None])

    def of(self, tensor: object) -> Labels:
        return self._known[id(tensor)][1] if id(tensor) in self._known else []

    def put(self, tensor: Tensor, labels: Labels) -> None:
        """Attach labels to a result; those that do not vary any more are dropped."""
        kept = [short for label in labels if (short := self.channels.compress(label)) is not None]
        self._known[id(tensor)] = (tensor, kept)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if not any(self.of(t) for t in tensors):
            return result
        name = func.__name__.split(".")[0]
        plain = name[:-1] if name.endswith("_") and not name.startswith("__") else name
        rule = getattr(self, f"_{plain.lstrip('_')}", None)
        if rule is None and (torch.Tag.pointwise in func.tags or plain in _POINTWISE):
            self._pointwise(result, tensors)
            if name != plain and len(self.of(result)) > len(self.of(args[0])) and id(args[0]) in self._views:
                raise Untraceable(f"{name} into a part of a tensor")
        elif rule is not None:
            rule(result, *args, **kwargs)
        elif plain in _MOVES:
            self._move(func, result, args, kwargs)
        elif plain in _REDUCTIONS:
            self._reduce(result, *args, **kwargs)
        elif plain in _SPATIAL:
            self._spatial(result[0] if isinstance(result, tuple) else result, args[0])
        elif plain not in _FRESH:
            raise Untraceable(f"the operation {name}")
        return result

    # -- entry by entry -------------------------------------------------------------------------------------------

    def _pointwise(self, result: Tensor, tensors: Sequence[Tensor]) -> None:
        padded = [[_lead(label, result.ndim) for label in self.of(t)] for t in tensors]
        self.put(result, self.merge(padded))

    def merge(self, groups: Sequence[Labels]) -> Labels:
        """Couple the labels of several tensors of one (broadcast) shape; channels meet channels first, then places.

        Labels of one tensor are independent of each other: a flattened map has channels and places on one dimension.
        """
        merged = list(groups[0])
        for group in groups[1:]:
            met: set[int] = set()
            for label in sorted(group, key=is_place):
                order = sorted(range(len(merged)), key=lambda i: is_place(merged[i]))
                for i in order:
                    # A place beside a channel that has found its partner says nothing new about that partner.
                    if is_place(label) and i in met:
                        continue
                    joint = self.channels.relate(merged[i], label)
                    if joint is not None:
                        merged[i] = joint
                        met.add(i)
                        break
                else:
                    merged.append(label)
                    met.add(len(merged) - 1)
        return merged

    def _copy(self, result: Tensor, target: Tensor, source: Tensor, *_: object) -> None:
        if id(target) in self._views and not self.of(target):
            raise Untraceable("copying into a part of a tensor")
        self._pointwise(result, (target, source))

    def _native_layer_norm(self, result: tuple, x: Tensor, shape: object, weight: Tensor, bias: Tensor, *_: object):
        self._pointwise(result[0], [t for t in (x, weight, bias) if t is not None])

    def _rms_norm(self, result: Tensor, x: Tensor, shape: object, weight: Tensor | None = None, *_: object) -> None:
        self._pointwise(result, [t for t in (x, weight) if t is not None])

    def _fused_rms_norm(self, result: tuple, x: Tensor, shape: object, weight: Tensor | None = None, *_: object):
        self._pointwise(result[0], [t for t in (x, weight) if t is not None])

    def _native_batch_norm(self, result: tuple, x: Tensor, *rest: object) -> None:
        per_channel = [[_at(lab, 1, x.ndim) for lab in self.of(t)] for t in rest[:4] if t is not None]
        self.put(result[0], self.merge([self.of(x), *per_channel]))

    _native_batch_norm_legit_no_training = _native_batch_norm
    _cudnn_batch_norm = _native_batch_norm

    def _native_group_norm(self, result: tuple, x: Tensor, weight: Tensor, bias: Tensor, *_: object) -> None:
        self._native_batch_norm(result, x, weight, bias)

    # -- moving data ----------------------------------------------------------------------------------------------

    def _move(self, func: object, result: object, args: tuple, kwargs: dict) -> None:
        """Let PyTorch move the label as it moved the tensor; stride 0 tells the dimensions that still do not vary."""
        x, outputs = args[0], result if isinstance(result, (list, tuple)) else [result]
        moved: list[Labels] = [[] for _ in outputs]
        for label in self.of(x):
            blown = torch.from_numpy(np.array(label)).expand(x.shape)
            pieces = func(blown, *args[1:], **kwargs)
            for labels, piece in zip(moved, pieces if isinstance(pieces, (list, tuple)) else [pieces]):
                for axis, stride in enumerate(piece.stride()):
                    if stride == 0 and piece.shape[axis] > 1:
                        piece = piece.narrow(axis, 0, 1)
                labels.append(piece.numpy())
        for output, labels in zip(outputs, moved):
            self.put(output, labels)
            self._views.add(id(output))

    def _same(self, result: Tensor, x: Tensor, *_: object, **__: object) -> None:
        self.put(result, self.of(x))

    _clone = _to_copy = _contiguous = _dropout = _softmax = _safe_softmax = _log_softmax = _same

    def _view(self, result: Tensor, x: Tensor, *_: object) -> None:
        self.put(result, [reshape(label, x.shape, result.shape) for label in self.of(x)])
        self._views.add(id(result))

    _unsafe_view = _reshape = _reshape_alias = _view

    def _as_strided(self, result: Tensor, x: Tensor, size: Sequence[int], *_: object) -> None:
        # PyTorch changes the strides of pooled tensors in this way; another shape would be another thing.
        labels = self.of(x)
        if any(label.ndim != len(size) or any(n not in (1, m) for n, m in zip(label.shape, size)) for label in labels):
            raise Untraceable("as_strided")
        self.put(result, labels)

    def _constant_pad_nd(self, result: Tensor, x: Tensor, pad: Sequence[int], *_: object) -> None:
        labels = []
        for label in self.of(x):
            for i in range(len(pad) // 2):
                axis, before, after = x.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
                if label.shape[axis] > 1:
                    cropped = label.take(range(max(0, -before), label.shape[axis] - max(0, -after)), axis)
                    widths = [(0, 0)] * x.ndim
                    widths[axis] = (max(0, before), max(0, after))
                    label = np.pad(cropped, widths, constant_values=-1)
            labels.append(label)
        self.put(result, labels)

    def _cat(self, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> None:
        dim %= result.ndim
        tensors = [t for t in tensors if t.ndim == result.ndim]  # PyTorch allows an empty vector among them
        slots: dict[tuple, dict[int, Label]] = {}
        for i, t in enumerate(tensors):
            for label in self.of(t):
                key = (is_place(label), tuple(a for a in varying(label) if a != dim))
                if slots.setdefault(key, {}).setdefault(i, label) is not label and not is_place(label):
                    raise Untraceable("a concatenation of entries with two channels each")
        labels = []
        for slot in slots.values():
            size = np.max([[n if a != dim else 1 for a, n in enumerate(lab.shape)] for lab in slot.values()], axis=0)
            parts = []
            for i, t in enumerate(tensors):
                shape = [t.shape[dim] if a == dim else n for a, n in enumerate(size)]
                parts.append(np.broadcast_to(slot[i], shape) if i in slot else np.full(shape, -1))
            labels.append(np.concatenate(parts, dim))
        self.put(result, labels)

    def _stack(self, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> None:
        dim %= result.ndim
        thick = []
        for t in tensors:
            one = torch.empty(*t.shape[:dim], 1, *t.shape[dim:], device="meta")
            self._known[id(one)] = (one, [np.expand_dims(label, dim) for label in self.of(t)])
            thick.append(one)
        self._cat(result, thick, dim)

    def _index(self, result: Tensor, x: Tensor, indices: Sequence[Tensor | None]) -> None:
        """Pick entries by index, as relative positions pick from their table: the indexed axis is geometry."""
        axes = [axis for axis, each in enumerate(indices) if each is not None]
        boolean = any(indices[axis].dtype == torch.bool for axis in axes)
        if boolean or axes != list(range(axes[0], axes[-1] + 1)):
            raise Untraceable("an index of several parts")
        width = result.ndim - (x.ndim - len(axes))
        labels = []
        for label in self.of(x):
            if any(label.shape[axis] > 1 for axis in axes):
                self.channels.fix(label)
            else:
                rest = label.shape[axes[-1] + 1 :]
                labels.append(label.reshape(*label.shape[: axes[0]], *[1] * width, *rest))
        self.put(result, labels)

    def _embedding(self, result: Tensor, weight: Tensor, index: Tensor, *_: object) -> None:
        self._index(result, weight, [index])

    def _index_select(self, result: Tensor, x: Tensor, dim: int, index: Tensor) -> None:
        self._index(result, x, [None] * (dim % x.ndim) + [index])

    # -- sums over a dimension ------------------------------------------------------------------------------------

    def _reduce(self, result: object, x: Tensor, *rest: object, **options: object) -> None:
        dims = options.get("dim", next((a for a in rest if isinstance(a, (list, tuple)) or type(a) is int), None))
        if len(rest) > 1 and isinstance(rest[0], (int, float)) and isinstance(rest[1], (list, tuple)):
            dims = rest[1]  # a vector norm: its order comes first
        dims = range(x.ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
        gone = sorted(d % x.ndim for d in dims)
        outputs = result if isinstance(result, (list, tuple)) else [result]
        labels = []
        for label in self.of(x):
            short = self._sum_up(label, gone)
            if short is not None:
                labels.append(short if outputs[0].ndim == x.ndim else np.squeeze(short, tuple(gone)))
        for output in outputs:
            self.put(output, labels)

    def _sum_up(self, label: Label, gone: Sequence[int]) -> Label | None:
        """Reduce a label: what is added up must be one channel, unless whole heads or groups are measured."""
        inside = [axis for axis in gone if label.shape[axis] > 1]
        if not inside:
            return label
        if len(inside) == len(varying(label)) or is_place(label):
            return None
        if max(varying(label)) in inside and self.channels.is_split(self.channels.grid(label)):
            return None
        first = label
        for axis in inside:
            first = first.take([0], axis)
        self.channels.join(label, np.broadcast_to(first, label.shape))
        return first

    def _spatial(self, result: Tensor, x: Tensor) -> None:
        """Pool or resize: channels stay, pixels are new ones."""
        space = range(x.ndim - 2, x.ndim)
        labels = [short for label in self.of(x) if (short := self._sum_up(label, space)) is not None]
        new = [place for axis in space if (place := places(result.shape, [axis])) is not None]
        self.put(result, labels + new)

    # -- products -------------------------------------------------------------------------------------------------

    def _mm(self, result: Tensor, a: Tensor, b: Tensor) -> None:
        left = [label[None] for label in self.of(a)]
        right = [label[None] for label in self.of(b)]
        self.put(result, [label[0] for label in self.product(left, right)])

    def _addmm(self, result: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: object) -> None:
        self._mm(result, a, b)
        self.put(result, self.merge([self.of(result), [_lead(label, 2) for label in self.of(bias)]]))

    def _bmm(self, result: Tensor, a: Tensor, b: Tensor) -> None:
        self.put(result, self.product(self.of(a), self.of(b)))

    def _baddbmm(self, result: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: object) -> None:
        self._bmm(result, a, b)
        self.put(result, self.merge([self.of(result), [_lead(label, 3) for label in self.of(bias)]]))

    def product(self, left: Labels, right: Labels) -> Labels:
        """Multiply (batch, n, k) by (batch, k, m): what is summed over k is joined, the rest goes to the result."""
        # Both sides as (batch, n, m, k), so that the summed dimension is the last.
        a = [label[:, :, None, :] for label in left]
        b = [label.transpose(0, 2, 1)[:, None] for label in right]
        outer = self._contract([x for x in a if x.shape[3] > 1], [y for y in b if y.shape[3] > 1])
        kept = [[label[..., 0] for label in side if label.shape[3] == 1] for side in (a, b)]
        # Rows of one side and columns of the other are different dimensions; only heads can meet here, and no places.
        nodes = self.merge([[label for label in side if not is_place(label)] for side in (*kept, outer)])
        return nodes + [label for side in kept for label in side if is_place(label)]

    def _contract(self, a: Labels, b: Labels) -> Labels:
        """Join the summed dimension of a product; return labels of what it was joint with, such as heads."""
        nodes_a, nodes_b = ([x for x in side if not is_place(x)] for side in (a, b))
        if not nodes_a or not nodes_b:
            # Summed over places, or over a constant: such an axis of a weight is geometry.
            for label in nodes_a + nodes_b:
                self.channels.fix(label)
            return []
        if len(nodes_a) > 1 or len(nodes_b) > 1:
            raise Crossed
        x, y = nodes_a[0], nodes_b[0]
        for axis in (1, 2):  # rows of one side that are told apart only because a token was prepended
            x, y = (self._one_row(label, axis) for label in (x, y))
        self.channels.relate(x, y)
        joint = x if x.shape[0] > 1 else y
        if joint.shape[0] == 1:
            return []
        rows = self.channels.roots(joint.reshape(joint.shape[0], -1))
        _, number = np.unique(rows, axis=0, return_inverse=True)
        number = number.ravel()
        order = list(dict.fromkeys(number.tolist()))
        heads = self.channels.new(len(order))
        label = heads[[order.index(n) for n in number.tolist()]].reshape(-1, 1, 1)
        self.channels.heads(joint[:, :, 0, :], label)
        return [label]

    def _one_row(self, label: Label, axis: int) -> Label:
        if label.shape[axis] == 1:
            return label
        first = label.take([0], axis)
        self.channels.join(label, np.broadcast_to(first, label.shape))
        return first

    def _convolution(self, result: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *options: object) -> None:
        transposed, groups = bool(options[3]), int(options[5])
        rows, columns = ([lab for lab in self.of(weight) if varying(lab)[0] == axis] for axis in (0, 1))
        for label in self.of(weight):
            if varying(label)[0] > 1:  # the kernel's own places
                self.channels.fix(label)
        if transposed:
            rows, columns = columns, rows
            if groups > 1:
                raise Untraceable("a grouped transposed convolution")
        rows, columns = ([np.ravel(lab) for lab in side if len(varying(lab)) == 1] for side in (rows, columns))
        inputs = [lab for lab in self.of(x) if not is_place(lab)]
        for axis in range(2, x.ndim):
            inputs = [self._one_row(lab, axis) if lab.shape[1] > 1 else lab for lab in inputs]
        channels = [lab.ravel() for lab in inputs if varying(lab) == [1]]
        others = [lab for lab in inputs if lab.shape[1] == 1]
        if len(channels) + len(others) < len(inputs) or len(channels) > 1:
            raise Crossed
        if others and result.shape[2:] != x.shape[2:]:
            raise Untraceable("a convolution along channels that changes their number")
        out = self._wire(groups, x.shape[1], result.shape[1], channels, rows, columns)
        labels = [_at(lab, 1, x.ndim) for lab in out]
        bias_labels = [_at(lab, 1, x.ndim) for lab in self.of(bias)] if bias is not None else []
        space = [p for axis in range(2, result.ndim) if (p := places(result.shape, [axis])) is not None]
        self.put(result, self.merge([labels + others, bias_labels, [] if others else space]))

    def _wire(self, groups: int, n_in: int, n_out: int, x: Labels, rows: Labels, columns: Labels) -> Labels:
        """Couple the channels of a convolution's input with its weight; return the labels of its output."""
        if groups == 1:
            if x and columns:
                self.channels.join(x[0], columns[0])
            else:
                for label in x + columns:
                    self.channels.fix(label)
            return rows
        if groups == n_in == n_out:  # depthwise: each channel on its own
            for label in rows if x else []:
                self.channels.join(x[0], label)
            for label in [] if x else rows:
                self.channels.fix(label)
            return x or rows
        if not x or not rows:
            raise Untraceable("a grouped convolution of unknown channels")
        members, sown = x[0].reshape(groups, -1), rows[0].reshape(groups, -1)
        names = members[:, 0] if groups == n_in else self.channels.new(groups)
        if groups < n_in:
            self.channels.views.append(View(False, members, names, columns[0] if columns else None))
        self.channels.views.append(View(False, sown, names))
        return rows


def _lead(label: Label, ndim: int) -> Label:
    return label.reshape(*[1] * (ndim - label.ndim), *label.shape)


def _at(label: Label, axis: int, ndim: int) -> Label:
    """Turn the label of a vector into one along an axis of a tensor."""
    return label.reshape([label.size if a == axis else 1 for a in range(ndim)])


_MOVES = set(
    "permute transpose t expand slice select split split_with_sizes unbind chunk unsqueeze squeeze roll flip repeat "
    "detach alias narrow movedim repeat_interleave pixel_shuffle pixel_unshuffle channel_shuffle "
    "native_channel_shuffle unfold diagonal lift_fresh".split()
)

_REDUCTIONS = set("mean sum amax amin var std var_mean std_mean linalg_vector_norm norm max min logsumexp prod".split())

_SPATIAL = set(
    "max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d "
    "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa "
    "_upsample_nearest_exact2d reflection_pad2d replication_pad2d".split()
)

_POINTWISE = {"masked_fill", "where", "addcmul", "hardswish", "hardtanh", "hardsigmoid", "mish", "prelu", "rsub"}

_FRESH = set("zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full rand_like".split())
