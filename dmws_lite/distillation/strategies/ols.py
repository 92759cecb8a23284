"""Online label smoothing (Zhang et al., IEEE TIP 2021): soft labels from the network's own right answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import Option
from .base import Batch, Strategy, soft_cross_entropy


@dataclass
class OnlineSmoothing(Strategy):
    """``alpha * CE + (1 - alpha) * soft CE`` against the class's mean prediction over the epoch before.

    Only right answers count; a class without any keeps its row. The first epoch starts from the uniform distribution.
    What the paper that this project is about calls "CS-KD" is described in these words ("class similarity matrix").

    Attributes:
        alpha: weight of the labels, in [0, 1]; its authors use 0.5.
    """

    alpha: float = Option(0.5, 0, 1, "weight of the labels; its authors use 0.5").field()

    def begin(self, labels: Tensor, classes: int, epochs: int, device: torch.device) -> None:
        self._matrix = torch.full((classes, classes), 1.0 / classes, device=device)
        self._sum = torch.zeros((classes, classes), device=device)
        self._count = torch.zeros(classes, device=device)

    def begin_epoch(self, epoch: int) -> None:
        self._matrix = similarity_matrix(self._matrix, self._sum, self._count)
        self._sum, self._count = torch.zeros_like(self._sum), torch.zeros_like(self._count)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = batch.logits.float()
        ce = F.cross_entropy(logits, batch.targets)
        soft = soft_cross_entropy(logits, self._matrix[batch.targets])
        p = F.softmax(logits.detach(), dim=1)
        right = p.argmax(1) == batch.targets
        self._sum.index_add_(0, batch.targets[right], p[right])
        self._count.index_add_(0, batch.targets[right], torch.ones_like(batch.targets[right], dtype=torch.float32))
        return {"loss": self.alpha * ce + (1 - self.alpha) * soft, "ce": ce, "kd": soft}

    def state(self) -> dict[str, Tensor]:
        return {"matrix": self._matrix, "sum": self._sum, "count": self._count}

    def restore(self, state: dict[str, Tensor]) -> None:
        device = self._matrix.device
        self._matrix, self._sum, self._count = (state[name].to(device) for name in ("matrix", "sum", "count"))


def similarity_matrix(before: Tensor, total: Tensor, count: Tensor) -> Tensor:
    """Return the mean prediction per class, ``(K, K)``; rows without a right answer stay as they were.

    Args:
        before: ``(K, K)`` matrix so far.
        total: ``(K, K)`` sums of the predictions of rightly classified images, by class.
        count: ``(K,)`` their numbers.
    """
    return torch.where(count[:, None] > 0, total / count.clamp(min=1)[:, None], before)
