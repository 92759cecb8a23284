"""Self-knowledge distillation: the loss of equations 1 to 5."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .options import ALPHA, TAU


def check_alpha(alpha: float) -> None:
    """Raise ``ValueError`` unless alpha, the weight of the cross-entropy, lies in [0, 1]."""
    ALPHA.check("alpha", alpha)


def check_tau(tau: float) -> None:
    """Raise ``ValueError`` unless tau, the temperature, lies in (0, 100]."""
    TAU.check("tau", tau)


def soften(logits: Tensor, tau: float) -> Tensor:
    r"""Return softened class probabilities, equations 1 and 2 of the paper, in fp32.

    .. math:: p_k = \frac{\exp(z_k / \tau)}{\sum_j \exp(z_j / \tau)}

    Args:
        logits: ``(N, K)`` scores of K classes.
        tau: temperature, in (0, 100]; 1 is the plain softmax.

    Returns:
        ``(N, K)`` probabilities; every row adds up to 1.

    Raises:
        ValueError: tau out of range.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 2.0]])
        >>> soften(logits, tau=1)
        tensor([[0.1192, 0.8808]])
        >>> soften(logits, tau=4)
        tensor([[0.3775, 0.6225]])
    """
    check_tau(tau)
    return F.softmax(logits.float() / tau, dim=1)


def softened_kl(logits: Tensor, teacher_logits: Tensor, tau: float) -> Tensor:
    r"""Return the KL divergence of a network's predictions from a teacher's, both softened by tau, in fp32.

    .. math:: L_\mathrm{skd} = \sum_k p_k^{S'} \log \frac{p_k^{S'}}{p_k^S}

    This is equation 3 of the paper, averaged over the batch, without the factor :math:`\tau^2` of equation 5.

    Args:
        logits: ``(N, K)`` of the network that learns.
        teacher_logits: ``(N, K)``; detached here, so no gradient reaches the teacher.
        tau: temperature, in (0, 100].

    Returns:
        A scalar in nats, at least 0.

    Raises:
        ValueError: tau out of range.
    """
    check_tau(tau)
    log_p, log_q = (F.log_softmax(z.float() / tau, dim=1) for z in (logits, teacher_logits.detach()))
    # The sum over classes of equation 3. (F.kl_div needs reduction="batchmean" for it: "mean" divides by the number of
    # classes as well. It cannot be stacked, see dmws_lite.training.stack.)
    return (log_q.exp() * (log_q - log_p)).sum(1).mean()


def skd_loss(
    main_logits: Tensor,
    aux_logits: Tensor,
    targets: Tensor,
    alpha: float = 0.6,
    tau: float = 3.0,
    power: float = 2.0,
) -> dict[str, Tensor]:
    r"""Compute the loss of the main student, equation 5 of the paper.

    .. math:: L_\mathrm{total} = \alpha L_\mathrm{ce} + (1 - \alpha)\,\tau^2 L_\mathrm{skd}

    Both terms are means over the batch, in nats, computed in fp32. :math:`L_\mathrm{skd}` compares probabilities
    softened by tau (equations 1 to 3, :func:`softened_kl`). The cross-entropy of equation 4 is taken at temperature 1,
    as is usual and as the factor :math:`\tau^2` presumes, although the paper writes the same symbol for both. No
    gradient flows to the auxiliary.

    Args:
        main_logits: ``(N, K)`` logits of the main student.
        aux_logits: ``(N, K)`` logits of the auxiliary student; detached here.
        targets: ``(N,)`` class numbers, ``int64`` in ``0 .. K - 1``.
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].
        power: of tau in the factor of the KL divergence; the paper's is 2.

    Returns:
        ``{"loss", "ce", "kd"}``: the total, the cross-entropy and the KL divergence (without ``tau**2``).

    Raises:
        ValueError: alpha or tau out of range, the shapes differ, or a target is no class number (on a GPU, PyTorch
            ends the process for one that is out of range).

    Example:
        >>> import torch
        >>> main, aux, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([0])
        >>> terms = skd_loss(main, aux, targets, alpha=0.6, tau=2.0)
        >>> {name: round(value.item(), 4) for name, value in terms.items()}  # loss = 0.6 * ce + 0.4 * 2**2 * kd
        {'loss': 0.8155, 'ce': 0.1269, 'kd': 0.4621}
    """
    check_alpha(alpha)
    if main_logits.shape != aux_logits.shape or main_logits.ndim != 2:
        raise ValueError(
            f"logits of shape {tuple(main_logits.shape)} (main) and {tuple(aux_logits.shape)} (auxiliary) do not "
            "match; both must be (N, K)"
        )
    if targets.dtype != torch.int64 or targets.shape != main_logits.shape[:1]:
        raise ValueError(
            f"targets are {targets.dtype} with shape {tuple(targets.shape)}; they must be torch.int64 with shape (N,), "
            "class numbers from 0"
        )
    try:
        # By default PyTorch would pass over images of class -100 in silence.
        ce = F.cross_entropy(main_logits.float(), targets, ignore_index=-(2**31))
    except IndexError as error:
        raise ValueError(f"{error}: {main_logits.shape[1]} classes allow 0 to {main_logits.shape[1] - 1}") from error
    kd = softened_kl(main_logits, aux_logits, tau)
    return {"loss": alpha * ce + (1 - alpha) * tau**power * kd, "ce": ce, "kd": kd}
