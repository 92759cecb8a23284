"""What every distillation strategy is: a small object with a loss, and perhaps a memory, over pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..loss import softened_kl
from ..options import Option


@dataclasses.dataclass
class Batch:
    """What a strategy sees of one training step.

    Attributes:
        images: normalised inputs, ``(N, 3, H, W)``.
        targets: ``(N,)`` class numbers.
        index: ``(N,)`` positions of the images in the training set, on the CPU.
        logits: ``(N, K)`` of the main student, with its graph.
        aux_logits: ``(N, K)`` of the auxiliary without a graph, or ``None``.
        main: the main student, in train mode.
        draw: gives freshly augmented, normalised images of other positions of the training set.
        generator: CPU generator of the run; drawing from it keeps a run repeatable and resumable.
    """

    images: Tensor
    targets: Tensor
    index: Tensor
    logits: Tensor
    aux_logits: Tensor | None
    main: nn.Module
    draw: Callable[[Tensor], Tensor]
    generator: torch.Generator


@dataclasses.dataclass
class Strategy:
    """Base class. A strategy overrides :meth:`loss`, and the others where it has a memory.

    The numbers that it reads are dataclass fields made by :meth:`dmws_lite.distillation.options.Option.field`; they are
    checked when the strategy is made.

    Class attributes:
        uses_auxiliary: the run needs an auxiliary student (the loss reads ``batch.aux_logits``, or its weights are
            what is tested).
        stacks: the loss reads images, logits and targets only, so that several runs can take a step at once, see
            :func:`dmws_lite.training.stack.fit_stack`.
        needs: ``""``, or which frozen network the constructor must be given as ``frozen``: ``"self"`` (the same
            student, trained with labels only) or ``"teacher"`` (the whole teacher, fine-tuned on the same images).
    """

    uses_auxiliary = False
    stacks = False
    needs = ""

    def __post_init__(self) -> None:
        for name, option in self.options().items():
            option.check(name, getattr(self, name))

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return the options that this kind of strategy reads, by name."""
        return {f.name: f.metadata["option"] for f in dataclasses.fields(cls) if "option" in f.metadata}

    def begin(self, labels: Tensor, classes: int, epochs: int, device: torch.device) -> None:
        """Prepare for a run: the training labels in their order, the number of classes, the length."""

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of each epoch, counted from 0."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return named scalars: ``loss``, which is minimised, and its parts ``ce`` and ``kd``.

        Further terms are welcome: the history holds the mean of each over the epoch's images.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Return the memory as tensors, for a checkpoint."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` gave."""

    def settings(self) -> dict[str, object]:
        """Return the name and the numbers of this strategy: two runs with equal settings have the same loss."""
        numbers = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), (int, float, str))
        }
        return {"strategy": type(self).__name__, **numbers}


@dataclasses.dataclass
class FrozenTeacher(Strategy):
    """Base of the strategies that learn from a network that is trained already and does not change.

    Attributes:
        frozen: that network; it sees the same inputs as the student.
    """

    frozen: nn.Module = dataclasses.field(repr=False)

    def begin(self, labels: Tensor, classes: int, epochs: int, device: torch.device) -> None:
        self.frozen.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)

    def terms(self, batch: Batch, tau: float) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy with the labels, and the KL divergence from the frozen network."""
        with torch.no_grad():
            other = self.frozen(batch.images)
        return F.cross_entropy(batch.logits.float(), batch.targets), softened_kl(batch.logits, other, tau)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``-sum_k q_k log p_k``, averaged over the batch, in fp32.

    Args:
        logits: ``(N, K)``.
        targets: ``(N, K)`` probabilities; taken as constants.
    """
    return -(targets.detach().float() * F.log_softmax(logits.float(), dim=1)).sum(1).mean()
