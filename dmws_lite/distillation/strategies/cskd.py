"""CS-KD (Yun et al., CVPR 2020): two images of one class should be predicted alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import Option
from .base import Batch, Strategy, softened_kl


@dataclass
class ClassWise(Strategy):
    """``CE + weight * tau**2 * KL(p(another image of the class) || p(image))``, as in the code of its
    authors (alinlab/cs-kd).

    The other image goes through the same network in train mode, without a gradient. The paper that this project is
    about describes its "CS-KD" as a matrix of class similarities: another method, close to :class:`.OnlineSmoothing`.

    Attributes:
        tau: temperature, in (0, 100]; the official code uses 4.
        weight: of the second term, in [0, 100]; the official code uses 1.
    """

    tau: float = Option(4.0, 0, 100, "temperature of both predictions; its authors use 4", open_low=True).field()
    weight: float = Option(1.0, 0, 100, "weight of the KL divergence; its authors use 1").field()

    def begin(self, labels: Tensor, classes: int, epochs: int, device: torch.device) -> None:
        self._labels = labels.cpu()
        self._members = [(self._labels == k).nonzero().flatten() for k in range(classes)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        partners = class_partners(batch.index, self._labels, self._members, batch.generator)
        with torch.no_grad():
            other = batch.main(batch.draw(partners))
        ce = F.cross_entropy(batch.logits.float(), batch.targets)
        kd = softened_kl(batch.logits, other, self.tau)
        return {"loss": ce + self.weight * self.tau**2 * kd, "ce": ce, "kd": kd}


def class_partners(index: Tensor, labels: Tensor, members: list[Tensor], generator: torch.Generator) -> Tensor:
    """Draw, for each image, another image of its class; the image itself where the class has no other.

    Args:
        index: ``(N,)`` positions of the images.
        labels: ``(M,)`` class of every training image.
        members: for each class, the positions of its images in rising order.
        generator: where the randomness comes from.

    Returns:
        ``(N,)`` positions.
    """
    chosen = []
    for position in index.tolist():
        same = members[int(labels[position])]
        if len(same) == 1:
            chosen.append(position)
            continue
        draw = int(torch.randint(len(same) - 1, (1,), generator=generator))
        own = int(torch.searchsorted(same, position))
        chosen.append(int(same[draw + (draw >= own)]))  # skip the image itself without drawing twice
    return torch.tensor(chosen, dtype=torch.int64)
