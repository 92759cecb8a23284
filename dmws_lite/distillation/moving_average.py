"""The auxiliary student as a moving average of main (equation 7), and how long it remembers its start."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .._values import check_integer
from .options import BETA

BUFFER_CHOICES = ("lerp", "copy", "keep")
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)  # timm's derive from these


def check_beta(beta: float) -> None:
    """Raise ``ValueError`` unless beta, the share of itself that the auxiliary keeps per step, lies in [0, 1]."""
    BETA.check("beta", beta)


@torch.no_grad()
def update_auxiliary(aux: nn.Module, main: nn.Module, beta: float, buffers: str = "lerp") -> None:
    r"""Move the auxiliary towards the main student, equation 7 of the paper.

    .. math:: \theta_{S'} \leftarrow \beta\,\theta_{S'} + (1 - \beta)\,\theta_S

    Most libraries start their average by copying main over it, which would erase the complementary start:
    ``AveragedModel`` of ``torch.optim.swa_utils`` and ema-pytorch do so at their first update, and so does timm's
    ``ModelEmaV3`` when ``update`` is given ``step`` (the decay starts at 0). Without ``step``, ``ModelEmaV3(aux,
    decay=beta)`` is equation 7, equal to this function to the last bit: with ``buffers="lerp"`` by default, with
    ``buffers="copy"`` under ``exclude_buffers=True``. What differs: it averages into a copy of the network it is given,
    pairs tensors by position without comparing the two networks, moves a tensor with two names twice, and cannot leave
    the buffers alone.

    Parameters are averaged in fp32: in bf16 a step of ``1 - beta = 0.001`` is lost in rounding.

    Buffers are the running means and variances of batch norm. The auxiliary predicts in eval mode, so it normalises
    with them, and weights that move away from frozen statistics give meaningless targets. ``"lerp"`` averages them
    with the same beta, so that weights and statistics have the same age; ``"copy"`` takes main's; ``"keep"`` leaves
    them as they are, which is right only without batch norm. ``"lerp"`` and ``"copy"`` copy the counters. Statistics
    selected from the teacher do not fit the student even before the first step: see :func:`calibrate_batch_norm`.

    Args:
        aux: auxiliary student, fp32; changed in place.
        main: main student of the same architecture, fp32.
        beta: share of itself that the auxiliary keeps, in [0, 1]; 1 leaves its parameters as they are.
        buffers: ``"lerp"``, ``"copy"`` or ``"keep"``.

    Raises:
        ValueError: beta or buffers out of range, the two networks differ, or parameters are not fp32.

    Example:
        >>> main, aux = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        >>> _ = torch.nn.init.constant_(main.weight, 1.0), torch.nn.init.constant_(aux.weight, 0.0)
        >>> update_auxiliary(aux, main, beta=0.9)
        >>> round(aux.weight.item(), 4)  # 0.9 * 0 + 0.1 * 1
        0.1
    """
    check_beta(beta)
    if buffers not in BUFFER_CHOICES:
        raise ValueError(f"buffers={buffers!r} is unknown; choose one of {', '.join(BUFFER_CHOICES)}")
    pairs = _paired(aux, main)
    # All tensors of a list in one call: a Python loop over them takes three times as long (benchmarks/README.md).
    get_ema_multi_avg_fn(beta)(pairs.aux_params, pairs.main_params, None)
    if buffers == "keep":
        return
    if pairs.aux_floats:
        get_ema_multi_avg_fn(0.0 if buffers == "copy" else beta)(pairs.aux_floats, pairs.main_floats, None)
    for own, other in pairs.counters:
        own.copy_(other)


def check_same_architecture(aux: nn.Module, main: nn.Module) -> None:
    """Raise ``ValueError`` unless both networks have the same names and shapes, with parameters in fp32."""
    _paired(aux, main)


@dataclass(frozen=True)
class _Pairs:
    """The tensors of two networks side by side, as the update reads them."""

    aux_params: list[Tensor]
    main_params: list[Tensor]
    aux_floats: list[Tensor]
    main_floats: list[Tensor]
    counters: list[tuple[Tensor, Tensor]]


# auxiliary -> (main, addresses of the tensors, pairs): made once per two networks and reused every step
_known: WeakKeyDictionary[nn.Module, tuple[nn.Module, tuple[int, ...], _Pairs]] = WeakKeyDictionary()


def _paired(aux: nn.Module, main: nn.Module) -> _Pairs:
    """Pair the tensors of both networks by name."""
    known = _known.get(aux)
    if known and known[0] is main and known[1] == _addresses(aux, main):
        return known[2]
    aux_params, main_params = dict(aux.named_parameters()), dict(main.named_parameters())
    aux_buffers, main_buffers = dict(aux.named_buffers()), dict(main.named_buffers())
    for own, other in ((aux_params, main_params), (aux_buffers, main_buffers)):
        different = sorted(own.keys() ^ other.keys()) or [k for k in own if own[k].shape != other[k].shape]
        if different:
            raise ValueError(f"main and auxiliary differ at {different[0]!r}; both must be the same architecture")
    for name, parameter in [*aux_params.items(), *main_params.items()]:
        if parameter.is_meta:
            raise ValueError(f"{name} is on the device meta, which holds no values; make both networks on the CPU")
        if parameter.dtype != torch.float32:
            raise ValueError(f"{name} is {parameter.dtype}, but the average needs fp32; call .float() on both networks")
    floats = [name for name, buffer in aux_buffers.items() if buffer.is_floating_point()]
    pairs = _Pairs(
        aux_params=list(aux_params.values()),
        main_params=[main_params[name] for name in aux_params],
        aux_floats=[aux_buffers[name] for name in floats],
        main_floats=[main_buffers[name] for name in floats],
        counters=[(aux_buffers[name], main_buffers[name]) for name in aux_buffers if name not in floats],
    )
    _known[aux] = (main, _addresses(aux, main), pairs)
    return pairs


def _addresses(aux: nn.Module, main: nn.Module) -> tuple[int, ...]:
    """Where the parameters lie in memory; moving a network to another device changes it."""
    return tuple(p.data_ptr() for model in (aux, main) for p in model.parameters())


@torch.no_grad()
def calibrate_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure the batch-norm statistics of a network afresh, as plain averages over the given batches.

    A student's running means and variances come from the teacher, where the next layer summed over all channels. With
    half of the channels the sums are different, so the selected statistics do not describe the student. Main
    re-estimates its statistics while it trains; the auxiliary only predicts, so it is calibrated once before the first
    step. (``torch.optim.swa_utils.update_bn`` would switch drop path and dropout on as well.)

    Args:
        model: a network; its mode is restored afterwards.
        batches: normalised inputs ``(N, 3, H, W)`` on the model's device, from the training images only.

    Returns:
        The number of batch-norm layers; 0 means that the model has none and nothing was done.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
        >>> calibrate_batch_norm(model, [torch.full((4, 3, 2, 2), 5.0)])
        1
        >>> model[0].running_mean
        tensor([5., 5., 5.])
    """
    layers = [m for m in model.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
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
    r"""Return how much of its own start the auxiliary still holds: :math:`\beta^n` after n updates of equation 7.

    Args:
        beta: share that the auxiliary keeps per step, in [0, 1].
        steps: number of updates, at least 0.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: beta or steps out of range.

    Example:
        >>> round(remaining_share(0.9, 44), 3)  # one percent is left after 44 steps
        0.01
    """
    check_beta(beta)
    check_integer("steps", steps, 0)
    return float(beta) ** steps


def half_life(beta: float) -> float:
    r"""Return the number of updates after which half of the auxiliary's own start is left: :math:`\ln 2 / -\ln \beta`.

    Args:
        beta: share that the auxiliary keeps per step, in [0, 1].

    Returns:
        Steps; infinite at beta = 1 (never updated), 0 at beta = 0 (overwritten at once).

    Raises:
        ValueError: beta out of range.

    Example:
        >>> round(half_life(0.9), 1)
        6.6
    """
    check_beta(beta)
    if beta == 0:
        return 0.0
    return math.inf if beta == 1 else math.log(2) / -math.log(beta)
