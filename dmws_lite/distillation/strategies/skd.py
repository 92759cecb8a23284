"""The paper's strategy: the softened predictions of the auxiliary student."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..loss import skd_loss
from ..options import ALPHA, TAU, Option
from .base import Batch, Strategy


@dataclass
class SelfDistillation(Strategy):
    """Equation 5, ``alpha * CE + (1 - alpha) * tau**2 * KL(auxiliary || main)``, in fp32.

    The formula is in :func:`dmws_lite.distillation.loss.skd_loss`. Two options take it apart: does the factor
    ``tau**2`` matter, and do the first steps suffice, in which the auxiliary still holds something of its own start?

    Attributes:
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].
        power: the KL divergence is multiplied by ``tau**power``; 2 in the paper, 0 for no factor.
        until: distil for this many steps, then train with labels only, as CM1 does; 0 distils to the end.
    """

    alpha: float = ALPHA.field()
    tau: float = TAU.field()
    power: float = Option(2.0, 0, 4, "tau to this power multiplies the KL divergence; 2 in the paper").field()
    until: float = Option(0.0, 0, 1e9, "number of steps with distillation, then labels only; 0 for all").field()
    uses_auxiliary = True
    stacks = True

    def begin(self, labels: Tensor, classes: int, epochs: int, device: torch.device) -> None:
        self._done = 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        terms = skd_loss(batch.logits, batch.aux_logits, batch.targets, self.alpha, self.tau, self.power)
        if self.until:
            self._done += 1
            if self._done > self.until:
                terms["loss"] = terms["ce"]
        return terms

    def state(self) -> dict[str, Tensor]:
        return {"done": torch.tensor(self._done)} if self.until else {}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._done = int(state["done"]) if self.until else 0
