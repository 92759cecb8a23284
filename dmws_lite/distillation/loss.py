"""Self-knowledge distillation: the loss of equations 1 to 5 and the auxiliary's update of equation 7."""

from __future__ import annotations

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
    """Return the softened class probabilities of equations 1 and 2, ``softmax(z / tau)``, in fp32.

    Args:
        logits: ``(N, K)`` scores of K classes.
        tau: temperature, > 0.
    """
    check_tau(tau)
    return F.softmax(logits.float() / tau, dim=1)


def skd_loss(
    main_logits: Tensor, aux_logits: Tensor, targets: Tensor, alpha: float = 0.6, tau: float = 3.0
) -> dict[str, Tensor]:
    r"""Compute the loss of the main student, equation 5 of the paper.

    .. math:: L_\mathrm{total} = \alpha L_\mathrm{ce} + (1 - \alpha)\,\tau^2 L_\mathrm{skd}, \qquad
        L_\mathrm{skd} = \sum_k p_k^{S'} \log \frac{p_k^{S'}}{p_k^S}

    Both terms are means over the batch. :math:`L_\mathrm{skd}` uses probabilities softened by tau (equations 1 to 3);
    the cross-entropy of equation 4 is taken at temperature 1, as is usual and as the factor tau squared presumes,
    although the paper writes the same symbol for both. No gradient flows to the auxiliary. Everything is in fp32.

    Args:
        main_logits: ``(N, K)`` logits of the main student.
        aux_logits: ``(N, K)`` logits of the auxiliary student; detached here.
        targets: ``(N,)`` class numbers, ``int64`` in ``0 .. K - 1``.
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].

    Returns:
        ``{"loss", "ce", "kd"}``: the total, the cross-entropy and the plain KL divergence (without ``tau**2``).

    Raises:
        ValueError: alpha or tau out of range, or the shapes differ.

    Example:
        >>> import torch
        >>> from dmws_lite import skd_loss
        >>> z = torch.zeros(1, 2)
        >>> round(skd_loss(z, z, torch.tensor([0]))["loss"].item(), 4)  # 0.6 * ln 2; both agree, so no KL
        0.4159
    """
    check_alpha(alpha)
    if main_logits.shape != aux_logits.shape or main_logits.ndim != 2:
        raise ValueError(
            f"logits of shape {tuple(main_logits.shape)} (main) and {tuple(aux_logits.shape)} (auxiliary) do not "
            "match; both must be (N, K)"
        )
    soft_targets = soften(aux_logits.detach(), tau)
    ce = F.cross_entropy(main_logits.float(), targets)
    log_main = F.log_softmax(main_logits.float() / tau, dim=1)
    # "batchmean" is the sum over classes of equation 3; "mean" would divide by the number of classes as well.
    kd = F.kl_div(log_main, soft_targets, reduction="batchmean")
    return {"loss": alpha * ce + (1 - alpha) * tau**2 * kd, "ce": ce, "kd": kd}
