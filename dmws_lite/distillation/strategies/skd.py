"""The paper's strategy: the softened predictions of the auxiliary student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..loss import skd_loss
from ..options import ALPHA, TAU
from .base import Batch, Strategy


@dataclass
class SelfDistillation(Strategy):
    """Equation 5, ``alpha * CE + (1 - alpha) * tau**2 * KL(auxiliary || main)``, in fp32.

    The formula is in :func:`dmws_lite.distillation.loss.skd_loss`.

    Attributes:
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].
    """

    alpha: float = ALPHA.field()
    tau: float = TAU.field()
    uses_auxiliary = True

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return skd_loss(batch.logits, batch.aux_logits, batch.targets, self.alpha, self.tau)
