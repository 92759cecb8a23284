"""Labels only, plain or smoothed: the baselines without any distillation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import Option
from .base import Batch, Strategy


@dataclass
class Labels(Strategy):
    """Cross-entropy with the labels, equation 4: fine-tuning as in CM1 to CM4."""

    stacks = True

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        ce = F.cross_entropy(batch.logits.float(), batch.targets)
        return {"loss": ce, "ce": ce, "kd": torch.zeros_like(ce)}


@dataclass
class Average(Labels):
    """Labels only, while the auxiliary averages main's weights: what is left of the method without distillation."""

    uses_auxiliary = True


@dataclass
class LabelSmoothing(Strategy):
    """Cross-entropy with smoothed labels (Szegedy et al. 2016): does softness alone explain the gain?

    Attributes:
        smoothing: share of the target that is spread evenly over all classes, in [0, 1].
    """

    smoothing: float = Option(0.1, 0, 1, "share of the target that is spread evenly over all classes").field()
    stacks = True

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = batch.logits.float()
        total = F.cross_entropy(logits, batch.targets, label_smoothing=self.smoothing)
        ce = F.cross_entropy(logits, batch.targets)
        return {"loss": total, "ce": ce, "kd": torch.zeros_like(ce)}
