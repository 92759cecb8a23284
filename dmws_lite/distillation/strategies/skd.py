"""The paper's strategy: the softened predictions of the auxiliary student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..loss import check_alpha, check_tau, skd_loss
from .base import Batch, Strategy


@dataclass
class SelfDistillation(Strategy):
    """Equation 5, ``alpha * CE + (1 - alpha) * tau**2 * KL(auxiliary || main)``:
    :func:`dmws_lite.distillation.loss.skd_loss`.

    Attributes:
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].
    """

    alpha: float = 0.6
    tau: float = 3.0
    paper_options = ("alpha", "tau")
    uses_auxiliary = True

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_tau(self.tau)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return skd_loss(batch.logits, batch.aux_logits, batch.targets, self.alpha, self.tau)
