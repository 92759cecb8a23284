"""PS-KD (Kim et al., ICCV 2021): targets refined by the network's own predictions of the epoch before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import Option
from .base import Batch, Strategy, soft_cross_entropy


@dataclass
class ProgressiveSelf(Strategy):
    """``CE`` against ``(1 - a_t) * label + a_t * prediction of the epoch before``, with ``a_t = last * t / epochs``.

    In the first epoch there is no prediction yet and the label stands in for it. What the paper that this project is
    about calls "TF-KD" is described in these words ("outputs from previous epochs").

    Attributes:
        last: ``a_t`` in the last epoch, in [0, 1]; its authors use 0.8.
    """

    last: float = Option(0.8, 0, 1, "share of the earlier prediction in the last epoch; its authors use 0.8").field()

    def begin(self, labels: Tensor, classes: int, epochs: int, device: torch.device) -> None:
        self._epochs, self._share = epochs, 0.0
        self._before = F.one_hot(labels.to(device), classes).float()
        self._now = self._before.clone()

    def begin_epoch(self, epoch: int) -> None:
        self._share = self.last * (epoch + 1) / self._epochs
        self._before.copy_(self._now)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits, index = batch.logits.float(), batch.index.to(self._now.device)
        hard = F.one_hot(batch.targets, logits.shape[1]).float()
        total = soft_cross_entropy(logits, (1 - self._share) * hard + self._share * self._before[index])
        self._now[index] = F.softmax(logits.detach(), dim=1)
        ce = F.cross_entropy(logits, batch.targets)
        return {"loss": total, "ce": ce, "kd": soft_cross_entropy(logits, self._before[index])}

    def state(self) -> dict[str, Tensor]:
        return {"now": self._now}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._now.copy_(state["now"])
