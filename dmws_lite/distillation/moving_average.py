"""The auxiliary student as a moving average of main (equation 7), and how long it remembers its start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .options import BETA

BUFFER_CHOICES = ("lerp", "copy", "keep")


def check_beta(beta: float) -> None:
    """Raise ``ValueError`` unless beta, the share of itself that the auxiliary keeps per step, lies in [0, 1]."""
    BETA.check("beta", beta)


_pairs: WeakKeyDictionary[nn.Module, tuple] = WeakKeyDictionary()


@torch.no_grad()
def update_auxiliary(aux: nn.Module, main: nn.Module, beta: float, buffers: str = "lerp") -> None:
    r"""Move the auxiliary towards the main student, equation 7: :math:`\theta_{S'} \leftarrow \beta\,\theta_{S'} + (1 -
    \beta)\,\theta_S`.

    Library versions of this average (``torch.optim.swa_utils.AveragedModel``, timm's ``ModelEmaV3``, ema-pytorch) copy
    main over the average at their first update, which would erase the complementary start; this one never copies.

    Parameters are averaged raw, in fp32: in bf16 a step of ``1 - beta = 0.001`` is lost in rounding.

    Buffers are the running means and variances of batch norm. The auxiliary predicts in eval mode, so it normalises
    with them, and weights that move away from frozen statistics give meaningless targets. ``"lerp"`` averages them
    with the same beta, which keeps weights and statistics of the same age; ``"copy"`` takes main's; ``"keep"`` leaves
    them (only right without batch norm). Counters are always copied. Statistics that were cut from the teacher do not
    fit the cut network even before the first step: see :func:`calibrate_batch_norm`.

    Args:
        aux: auxiliary student, fp32.
        main: main student of the same architecture, fp32.
        beta: share that the auxiliary keeps, in [0, 1]; 1 leaves its parameters as they are.
        buffers: ``"lerp"``, ``"copy"`` or ``"keep"``.

    Raises:
        ValueError: beta or buffers out of range, the two models differ, or parameters are not fp32.
    """
    check_beta(beta)
    if buffers not in BUFFER_CHOICES:
        raise ValueError(f"buffers={buffers!r} is unknown; choose one of {', '.join(BUFFER_CHOICES)}")
    aux_params, main_params, aux_floats, main_floats, counters = _paired(aux, main)
    torch._foreach_lerp_(aux_params, main_params, 1.0 - beta)
    if buffers == "keep":
        return
    if aux_floats:
        torch._foreach_lerp_(aux_floats, main_floats, 1.0 if buffers == "copy" else 1.0 - beta)
    for own, other in counters:
        own.copy_(other)


def _paired(aux: nn.Module, main: nn.Module) -> tuple:
    """Pair the tensors of both models by name, once per pair of models (the lists are reused every step)."""
    cached = _pairs.get(aux)
    if cached and cached[0] is main and cached[1] == _places(aux, main):
        return cached[2]
    aux_params, main_params = dict(aux.named_parameters()), dict(main.named_parameters())
    aux_buffers, main_buffers = dict(aux.named_buffers()), dict(main.named_buffers())
    for own, other in ((aux_params, main_params), (aux_buffers, main_buffers)):
        odd = sorted(own.keys() ^ other.keys()) or [k for k in own if own[k].shape != other[k].shape]
        if odd:
            raise ValueError(f"main and auxiliary differ at {odd[0]!r}; both must be the same architecture")
    low = [name for name, p in [*aux_params.items(), *main_params.items()] if p.dtype != torch.float32]
    if low:
        raise ValueError(
            f"{low[0]} is {aux_params[low[0]].dtype}, but the average needs fp32; call model.float() first"
        )
    floats = [name for name, b in aux_buffers.items() if b.is_floating_point()]
    counters = [(aux_buffers[name], main_buffers[name]) for name in aux_buffers if name not in floats]
    lists = (
        [aux_params[name] for name in aux_params],
        [main_params[name] for name in aux_params],
        [aux_buffers[name] for name in floats],
        [main_buffers[name] for name in floats],
        counters,
    )
    _pairs[aux] = (main, _places(aux, main), lists)
    return lists


def _places(aux: nn.Module, main: nn.Module) -> tuple[int, ...]:
    """Where the tensors live; moving a model to another device or loading new storage changes it."""
    return tuple(p.data_ptr() for model in (aux, main) for p in model.parameters())


@torch.no_grad()
def calibrate_batch_norm(model: nn.Module, batches: Iterator[Tensor] | list[Tensor]) -> int:
    """Measure the batch-norm statistics of a network afresh, as plain averages over the given batches.

    A student's running mean and variance were measured on the teacher's channels, all of them summed into the next
    layer. Half the channels give other sums, so the cut statistics do not describe the cut network. Main heals itself
    in train mode; the auxiliary only ever predicts, so it is measured once before the first step.

    Args:
        model: a network; its mode is restored afterwards.
        batches: normalised inputs ``(N, 3, H, W)`` on the model's device, from the training images only.

    Returns:
        The number of batch-norm layers; 0 means that the model has none and nothing was done.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if not layers:
        return 0
    momenta = [layer.momentum for layer in layers]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    for layer in layers:  # only these are switched: drop path and dropout stay off
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    for batch in batches:
        model(batch)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    for module, mode in modes.items():
        module.training = mode
    return len(layers)


def remaining_share(beta: float, steps: int) -> float:
    """Return ``beta ** steps``: how much of its own start the auxiliary still holds after that many updates.

    Args:
        beta: in [0, 1].
        steps: number of updates, at least 0.

    Raises:
        ValueError: beta or steps out of range.

    Example:
        >>> round(remaining_share(0.9, 44), 3)  # one percent is left after 44 steps
        0.01
    """
    check_beta(beta)
    if steps < 0:
        raise ValueError(f"steps={steps} is negative; count updates from 0")
    return float(beta) ** steps


def half_life(beta: float) -> float:
    """Return the number of updates after which half of the auxiliary's own start is left, ``ln 2 / -ln beta``.

    Infinite at beta = 1 (never updated), 0 at beta = 0 (overwritten at once).
    """
    check_beta(beta)
    if beta == 0:
        return 0.0
    return math.inf if beta == 1 else math.log(2) / -math.log(beta)
