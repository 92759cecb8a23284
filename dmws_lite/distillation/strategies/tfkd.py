"""Teacher-free distillation (Yuan et al., CVPR 2020), both variants, as in the official code.

The official code averages the KL divergence over classes as well as images and multiplies by a number tuned for the 100
classes of CIFAR-100. Summing over classes, as everywhere in this project, that number divided by 100 is ``weight``: the
same loss at 100 classes, and independent of the number of classes elsewhere. In the official code ``alpha`` weighs the
distillation; here it is called ``share`` because alpha weighs the cross-entropy in this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import Option
from .base import Batch, FrozenTeacher, Strategy


@dataclass
class TeacherFreeSelf(FrozenTeacher):
    """Tf-KD self: ``(1 - share) * CE + share * weight * tau**2 * KL(frozen copy || main)``.

    The teacher is the same architecture, trained before with labels only, and frozen. (The paper that this project is
    about describes its "TF-KD" as outputs of previous epochs, which is :class:`.ProgressiveSelf`.)

    Attributes:
        frozen: the trained copy.
        share: weight of the distillation, in [0, 1]; 0.95 in the official settings of ResNet-18.
        tau: temperature; 6 there.
        weight: 0.5 there (its multiplier of 50 over 100 classes).
    """

    share: float = Option(0.95, 0, 1, "weight of the distillation; its authors use 0.95").field()
    tau: float = Option(6.0, 0, 100, "temperature of both predictions; its authors use 6", open_low=True).field()
    weight: float = Option(0.5, 0, 100, "factor of the KL divergence; its authors' is 50 over 100 classes").field()
    needs = "self"

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        ce, kd = self.terms(batch, self.tau)
        return {"loss": (1 - self.share) * ce + self.share * self.weight * self.tau**2 * kd, "ce": ce, "kd": kd}


@dataclass
class TeacherFreeRegularised(Strategy):
    """Tf-KD reg: ``(1 - share) * CE + share * weight * KL(designed distribution || main)``.

    The teacher is made by hand: 0.99 for the true class, the rest spread evenly, then softened. The official code
    softens these *probabilities* (not logits), so at tau = 20 hardly anything but the uniform distribution is left:
    close to label smoothing, as its authors say.

    Attributes:
        share: weight of the second term, in [0, 1]; 0.1 in the official settings.
        tau: temperature; 20 there.
        correct: probability of the true class before softening; 0.99 there.
        weight: 1 there (its multiplier of 100 over 100 classes).
    """

    share: float = Option(0.1, 0, 1, "weight of the designed distribution; its authors use 0.1").field()
    tau: float = Option(20.0, 0, 100, "temperature of the designed distribution; its authors use 20", True).field()
    correct: float = Option(0.99, 0, 1, "probability of the true class before softening; its authors use 0.99").field()
    weight: float = Option(1.0, 0, 100, "factor of the KL divergence; its authors' is 100 over 100 classes").field()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = batch.logits.float()
        ce = F.cross_entropy(logits, batch.targets)
        q = designed_targets(batch.targets, logits.shape[1], self.correct, self.tau)
        kd = F.kl_div(F.log_softmax(logits, dim=1), q, reduction="batchmean")
        return {"loss": (1 - self.share) * ce + self.share * self.weight * kd, "ce": ce, "kd": kd}


def designed_targets(targets: Tensor, classes: int, correct: float, tau: float) -> Tensor:
    """Return the hand-made distribution of Tf-KD reg, ``(N, K)``: ``softmax(u / tau)`` with u as described there."""
    u = torch.full((len(targets), classes), (1 - correct) / max(1, classes - 1), device=targets.device)
    u.scatter_(1, targets[:, None], correct)
    return F.softmax(u / tau, dim=1)
