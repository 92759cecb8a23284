"""Which axes of a model's weights belong together, found by following one forward pass.

The model runs on meta tensors, which have shapes and no values, so activations take no memory. Every weight enters with
a label per axis (:mod:`dmws_lite.selection.channels.labels`); every elementary operation of PyTorch carries labels from
its inputs to its outputs and joins those that must agree (:mod:`dmws_lite.selection.channels.operators`): the columns
of a matrix with the channels they multiply, the two sides of a residual sum, a norm with what it scales, queries with
keys. Families of models need no rules of their own: fused projections, patch merging, channel attention, flattened
feature maps and grouped convolutions all follow from the rules for operations. An operation without a rule is an error
as soon as a channel reaches it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode  # PyTorch documents it under this name only

from .labels import Channels, Crossed, Labels, Untraceable, View, is_place, places
from .operators import find_operator, tensors_in


@dataclass(frozen=True)
class Wiring:
    """The channels of a model.

    Attributes:
        axes: for each floating-point tensor of the ``state_dict`` and each of its axes, the channel of every entry.
        fixed: channels that are geometry (pixels, tokens, colours): such an axis cannot be cut.
        views: lists of channels that are grids of groups by members, with channels in place of nodes.
    """

    axes: dict[tuple[str, int], np.ndarray]
    fixed: frozenset[int]
    views: tuple[View, ...]

    def channels_of(self, tensor: str) -> list[np.ndarray]:
        """Return the channels along each axis of a tensor; an empty list for a tensor of integers."""
        found: list[np.ndarray] = []
        while (tensor, len(found)) in self.axes:
            found.append(self.axes[tensor, len(found)])
        return found


_traced: WeakKeyDictionary[nn.Module, tuple[tuple, Wiring]] = WeakKeyDictionary()


def trace(model: nn.Module) -> Wiring:
    """Follow one forward pass of a model, once: as long as its tensors keep names and shapes the result is kept.

    Args:
        model: a network for images; it is neither changed nor moved, and activations take no memory.

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
        try:
            wiring = _follow(model, state, size)
        except Crossed as error:
            raise Untraceable("two channel axes that cross each other") from error
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, NotImplementedError) as error:
            failure = str(error).strip().split("\n")[0]
            continue
        _traced[model] = (shapes, wiring)
        return wiring
    raise Untraceable(f"its forward pass ({failure})")


def _follow(model: nn.Module, state: Mapping[str, Tensor], size: tuple[int, int]) -> Wiring:
    """Run the model once on an image of that size and collect what was joined."""
    tracer = Tracer()
    metas = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    axes = {}
    for name in model.state_dict():
        if name in metas and metas[name].is_floating_point():
            axes.update({(name, axis): nodes for axis, nodes in tracer.weight(metas[name]).items()})
    image = torch.empty(1, _colours(model), *size, device="meta", dtype=next(iter(state.values())).dtype)
    image = image if image.is_floating_point() else image.float()
    tracer.image(image)
    with torch.no_grad(), _evaluating(model), _plain_attention(), tracer:
        torch.func.functional_call(model, metas, (image,))
    channels = tracer.channels
    roots = {axis: channels.roots(nodes) for axis, nodes in axes.items()}
    present = np.unique(np.concatenate(list(roots.values()))).tolist()
    views = tuple(
        View(v.optional, *(None if part is None else channels.roots(part) for part in (v.grid, v.outer, v.inner)))
        for v in channels.views
    )
    return Wiring(roots, frozenset(channels.fixed_roots().intersection(present)), views)


def _colours(model: nn.Module) -> int:
    """Return the input channels of the first convolution (linear patch embeddings: 3)."""
    first = next((p for p in model.parameters() if p.ndim == 4), None)
    return first.shape[1] if first is not None and first.shape[1] in (1, 2, 3, 4) else _configured(model)[0]


def _configured(model: nn.Module) -> tuple[int, ...]:
    config = getattr(model, "pretrained_cfg", None) or {}
    return tuple(config.get("input_size") or (3, 224, 224))


def _sizes(model: nn.Module) -> list[tuple[int, int]]:
    """List image sizes to try; most models take any size, some only their own."""
    fixed = [size for m in model.modules() if isinstance(size := getattr(m, "img_size", None), (tuple, list))]
    sides = [*fixed[:1], _configured(model)[1:], (224, 224), (256, 256), (128, 128), (64, 64), (32, 32)]
    return list(dict.fromkeys(tuple(side) for side in sides))


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout and batch statistics off, and restore the mode of every module afterwards."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _plain_attention() -> contextlib.AbstractContextManager:
    """Compute attention from matrix products, which have rules, and not by one fused kernel."""
    attention = getattr(torch.nn, "attention", None)
    return attention.sdpa_kernel(attention.SDPBackend.MATH) if attention else contextlib.nullcontext()


class Tracer(TorchDispatchMode):
    """Carries labels along while a model runs.

    Attributes:
        channels: the nodes and their joins.
        operation: the operation of PyTorch that is being followed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.channels = Channels()
        self.operation: torch._ops.OpOverload | None = None
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
        """Mark colours, rows and columns of an image as geometry."""
        self._known[id(tensor)] = (tensor, [p for axis in (1, 2, 3) if (p := places(tensor.shape, [axis])) is not None])

    def labels(self, tensor: object) -> Labels:
        """Return the labels of a tensor, none for a constant."""
        return self._known[id(tensor)][1] if id(tensor) in self._known else []

    def attach(self, tensor: Tensor, labels: Labels, view: bool = False) -> None:
        """Attach labels to a result; those that no longer vary are dropped.

        Args:
            tensor: the result.
            labels: its labels, of as many dimensions.
            view: whether the result may share its memory with an input.
        """
        kept = [short for label in labels if (short := self.channels.compress(label)) is not None]
        self._known[id(tensor)] = (tensor, kept)
        if view:
            self._views.add(id(tensor))

    def is_view(self, tensor: Tensor) -> bool:
        """Tell whether a tensor may share its memory with another."""
        return id(tensor) in self._views

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

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if any(self.labels(t) for t in tensors_in((args, kwargs))):
            self.operation = func
            find_operator(func)(self, result, *args, **kwargs)
        return result
