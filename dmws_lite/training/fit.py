"""One run: the main student learns, the auxiliary follows. Read :func:`fit` from top to bottom.

The same loop trains every comparison of the paper. With an auxiliary it is the paper's method. With ``aux=None`` it is
plain fine-tuning: CM1 when the weights were selected, CM2 to CM4 when they were drawn at random. With a strategy of
:mod:`dmws_lite.distillation.strategies` it is any other kind of distillation.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..distillation.moving_average import (
    calibrate_batch_norm,
    check_same_architecture,
    remaining_share,
    update_auxiliary,
)
from ..distillation.strategies import make_strategy
from ..distillation.strategies.base import Batch, Strategy
from ..images.augment import input_statistics, normalise, shift_and_flip
from ..images.dataset import Images
from ..images.splits import Split
from .checkpoint import Checkpoint
from .config import Result, TrainConfig, learning_rate_at
from .device import autocast, keep_freed_memory, pick_device
from .evaluate import MEASURED, measure


def fit(
    main: nn.Module,
    aux: nn.Module | None,
    data: Split,
    config: TrainConfig | None = None,
    on_epoch: Callable[[dict], bool | None] | None = None,
    strategy: Strategy | None = None,
) -> Result:
    """Train the main student on a few labelled images, helped by the auxiliary (figure 2 of the paper).

    The seed sets PyTorch's global generator as well: drop path and dropout draw from it.

    Args:
        main: student to train, in place; on return it is on the run's device, in eval mode.
        aux: auxiliary student, changed in place by equation 7, or ``None`` for training without one.
        data: training and test images, see :func:`dmws_lite.images.splits.split`.
        config: settings; the defaults are the paper's alpha and beta with a short schedule.
        on_epoch: called with each row of the history; return ``False`` to stop after this epoch.
        strategy: how main is taught, see :mod:`dmws_lite.distillation.strategies`. By default equation 5 with
            ``config.alpha`` and ``config.tau`` where there is an auxiliary, and labels only where there is none.

    Returns:
        The history and the metrics on the test images.

    Raises:
        ValueError: the two students differ in architecture, the strategy lacks its auxiliary or has no use for the one
            given, the device or its precision is not available, or the checkpoint belongs to another run.
        FloatingPointError: the loss is no longer finite.

    Example:
        >>> from dmws_lite import dual_students, load_images, load_teacher, make_student, split
        >>> data = split(load_images("phantom-mri", n=60, size=32, progress=False), fraction=0.5)
        >>> teacher = load_teacher("convnext_pocket", quiet=True)
        >>> main, aux, _ = dual_students(teacher, lambda: make_student("convnext_pocket", 4, 32))
        >>> result = fit(main, aux, data, TrainConfig(epochs=2, device="cpu", progress=False))
        >>> [row["step"] for row in result.history], round(result.history[-1]["remaining"], 2)
        ([1, 2], 0.81)
    """
    config = config or TrainConfig()
    strategy = fitting_strategy(strategy, aux, config)
    device = training_device(config)
    precision = autocast(config.precision, device)
    generator = torch.Generator().manual_seed(config.seed)  # of the order and the augmentation
    torch.manual_seed(config.seed)

    # The students and their images, on the device.
    main = main.to(device, memory_format=torch.channels_last)
    images = TrainingImages(data.train, input_statistics(main), config, generator, device)
    aux = None if aux is None else _prepared_auxiliary(aux, main, images, device)
    optimizer = _adamw(main, config)
    steps = min(images.batches * config.epochs, config.most_steps or math.inf)
    strategy.begin(data.train.labels, len(data.train.classes), config.epochs, device)

    result, measured = Result(config=config, device=str(device)), None
    checkpoint = Checkpoint(config, data, main, aux, optimizer, generator, strategy, result)
    bar = _progress_bar(checkpoint.resume(), math.ceil(steps / images.batches), config)
    for epoch in bar:
        started, sums = time.perf_counter(), defaultdict(float)
        main.train()
        strategy.begin_epoch(epoch)
        batches = images.shuffled()[: steps - epoch * images.batches]  # fewer in an epoch that ends the run early
        for step, index in enumerate(batches, start=epoch * images.batches):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, steps, config)
            inputs, targets = images.draw(index), images.labels[index.to(device)]
            with precision:
                with torch.no_grad():  # the auxiliary first, so that its activations are gone before main's come
                    aux_logits = None if aux is None else aux(inputs)
                logits = main(inputs)
                batch = Batch(inputs, targets, index, logits, aux_logits, main, images.draw, generator)
                terms = strategy.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()  # equation 6, with AdamW in place of plain gradient descent
            optimizer.step()
            if aux is not None:
                update_auxiliary(aux, main, config.beta, config.buffers)  # equation 7
            for name, value in terms.items():  # kept on the device: reading a number would make a GPU wait
                sums[name] += value.detach() * (len(index) / sum(map(len, batches)))

        # The epoch's row of the history. A term named like another column raises a TypeError.
        done = min((epoch + 1) * images.batches, steps)
        rate = learning_rate_at(done - 1, steps, config)
        means = {name: value.item() for name, value in sums.items()}
        remaining = None if aux is None else remaining_share(config.beta, done)
        check_finite(means["loss"], epoch + 1, config)
        measured = measure(main, aux, data.test) if done == steps or is_measured(epoch + 1, config) else None
        columns = measured.columns() if measured else dict.fromkeys(MEASURED)
        row = dict(epoch=epoch + 1, step=done, learning_rate=rate, **means, remaining=remaining, **columns)
        result.append(row, seconds=time.perf_counter() - started)
        bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
        checkpoint.save()
        if on_epoch is not None and on_epoch(row) is False:
            break

    main.eval()
    measured = measured or measure(main, aux, data.test)  # stopped between two measurements, or resumed after its end
    result.finish(measured)
    return result


class TrainingImages:
    """The training images on the run's device; every step draws some of them, shifted and flipped anew.

    Args:
        images: the training images.
        statistics: mean and standard deviation of the network's inputs, per colour, of pixels in 0 .. 1.
        config: its ``batch_size``, ``shift`` and ``flip`` are read.
        generator: CPU generator of order and augmentation.
        device: of the run.

    Attributes:
        labels: ``(M,)`` class numbers, on the device.
        batches: number of batches in an epoch.
    """

    def __init__(
        self,
        images: Images,
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
        config: TrainConfig,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.labels = images.labels.to(device)
        self.batches = math.ceil(len(images) / config.batch_size)
        self._pixels = images.pixels.to(device)
        self._mean, self._std = statistics
        self._config, self._generator = config, generator

    def shuffled(self) -> tuple[Tensor, ...]:
        """Deal all positions into batches of nearly equal size: no batch of one, which batch norm could not use."""
        order = torch.randperm(len(self.labels), generator=self._generator)
        if self._config.balance == "sampling":
            labels = self.labels.cpu()
            share = 1.0 / torch.bincount(labels).float()[labels]
            order = torch.multinomial(share, len(labels), replacement=True, generator=self._generator)
        return order.tensor_split(self.batches)

    def draw(self, index: Tensor) -> Tensor:
        """Return the images at some positions as network inputs, ``float32`` ``(N, 3, H, W)``, augmented anew."""
        pixels = self._pixels[index.to(self._pixels.device)]
        if self._config.augments:
            pixels = shift_and_flip(pixels, self._generator, self._config.shift, self._config.flip)
        return normalise(pixels, self._mean, self._std)

    def plain(self) -> Iterator[Tensor]:
        """Give all images as network inputs in batches of 64, in their order, without augmentation."""
        return (normalise(part, self._mean, self._std) for part in self._pixels.split(64))


def fitting_strategy(strategy: Strategy | None, aux: nn.Module | None, config: TrainConfig) -> Strategy:
    """Return the strategy, or the usual one in its place, once it is clear that it fits the auxiliary."""
    if strategy is None:
        return make_strategy("labels") if aux is None else make_strategy("skd", alpha=config.alpha, tau=config.tau)
    name = type(strategy).__name__
    if strategy.uses_auxiliary and aux is None:
        raise ValueError(f"the strategy {name} learns from an auxiliary student; give aux=, or take another strategy")
    if not strategy.uses_auxiliary and aux is not None:
        raise ValueError(f"the strategy {name} has no use for an auxiliary student; give aux=None")
    return strategy


def training_device(config: TrainConfig) -> torch.device:
    """Return the device of a run; on a CPU, freed memory is kept."""
    device = pick_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def _prepared_auxiliary(aux: nn.Module, main: nn.Module, images: TrainingImages, device: torch.device) -> nn.Module:
    """Put the auxiliary into the state it keeps: eval mode, without gradients, batch norm measured on the images."""
    aux = aux.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    check_same_architecture(aux, main)
    calibrate_batch_norm(aux, images.plain())
    return aux


def _adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW without decay on vectors (norms, biases, LayerScale), as the training recipes of timm do."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _progress_bar(first: int, epochs: int, config: TrainConfig) -> tqdm:
    return tqdm(range(first, epochs), initial=first, total=epochs, unit="epoch", disable=not config.progress)


def is_measured(epochs: int, config: TrainConfig) -> bool:
    """Whether the test images are measured after that many epochs."""
    every = config.evaluate_every or math.ceil(config.epochs / 10)
    return epochs == config.epochs or epochs % every == 0


def check_finite(loss: float, epoch: int, config: TrainConfig) -> None:
    """Raise ``FloatingPointError`` where the loss of an epoch, counted from 1, is no longer finite."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} in epoch {epoch}; lower learning_rate={config.learning_rate}")
