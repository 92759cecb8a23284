"""Hybrid supervision: labels and a large teacher that was fine-tuned on the same images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..options import ALPHA, TAU
from .base import Batch, FrozenTeacher


@dataclass
class Hybrid(FrozenTeacher):
    """``alpha * CE + (1 - alpha) * tau**2 * KL(teacher || main)`` with a frozen external teacher (Hinton et al. 2015).

    The loss of equation 5 with the auxiliary replaced by the fine-tuned teacher: what the classroom answer to "why not
    simply distil the teacher?" looks like.

    Attributes:
        frozen: the fine-tuned teacher; it sees the same inputs as the student.
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].
    """

    alpha: float = ALPHA.field()
    tau: float = TAU.field()
    needs = "teacher"
    stacks = True

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        ce, kd = self.terms(batch, self.tau)
        return {"loss": self.alpha * ce + (1 - self.alpha) * self.tau**2 * kd, "ce": ce, "kd": kd}
