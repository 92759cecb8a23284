"""One run: the main student learns, the auxiliary follows. Read :func:`fit` from top to bottom.

The same loop trains every comparison of the paper: with an auxiliary it is the paper's method, with ``aux=None`` it is
plain fine-tuning (CM1 when the weights were selected, CM2 to CM4 when they were drawn), and with a strategy of
:mod:`dmws_lite.distillation.strategies` it is any other kind of distillation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..distillation.moving_average import calibrate_batch_norm, remaining_share, update_auxiliary
from ..distillation.strategies import make_strategy
from ..distillation.strategies.base import Batch, Strategy
from ..images.augment import input_statistics, normalise, shift_and_flip
from ..images.splits import Split
from .checkpoint import Checkpoint
from .config import Result, TrainConfig, learning_rate_at
from .device import keep_freed_memory, pick_device
from .evaluate import accuracy, predict_logits, score


def fit(
    main: nn.Module,
    aux: nn.Module | None,
    data: Split,
    config: TrainConfig | None = None,
    on_epoch: Callable[[dict], bool | None] | None = None,
    strategy: Strategy | None = None,
) -> Result:
    """Train the main student on a few labelled images, helped by the auxiliary (figure 2 of the paper).

    Args:
        main: student to train, in place; on return it is on the run's device, in eval mode.
        aux: auxiliary student, changed in place by equation 7, or ``None`` for training with labels only.
        data: training and test images, see :func:`dmws_lite.images.splits.split`.
        config: settings; the defaults are the paper's alpha and beta with a short schedule.
        on_epoch: called with each row of the history; return ``False`` to stop after this epoch.
        strategy: how main is taught, see :mod:`dmws_lite.distillation.strategies`; equation 5 where there is an
            auxiliary, labels only where there is none.

    Returns:
        The history and the metrics on the test images.

    Raises:
        ValueError: the two students are not of one architecture, the strategy lacks its auxiliary or has no use for
            the one given, or the checkpoint belongs to another run.
    """
    config = config or TrainConfig()
    strategy = strategy or _usual_strategy(aux, config)
    _check_auxiliary(strategy, aux)
    device = pick_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    main, aux = main.to(device, memory_format=torch.channels_last), aux and aux.to(device).eval().requires_grad_(False)
    train_pixels, train_labels = data.train.pixels.to(device), data.train.labels.to(device)
    test_pixels, test_labels = data.test.pixels.to(device), data.test.labels
    mean, std = input_statistics(main)
    batches = math.ceil(len(train_labels) / config.batch_size)
    steps = batches * config.epochs
    every = config.evaluate_every or math.ceil(config.epochs / 10)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=_use_bf16(config.precision, device))
    optimizer = _adamw(main, config)
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)  # drop path and dropout draw from the global generator
    if aux is not None:
        aux.to(memory_format=torch.channels_last)
        calibrate_batch_norm(aux, (normalise(part, mean, std) for part in train_pixels.split(64)))
        update_auxiliary(aux, main, beta=1.0, buffers="keep")  # changes nothing; fails now if the two do not match

    result = Result(config=config, device=str(device))
    strategy.begin(data.train.labels, len(data.train.classes), config.epochs, device)
    state = Checkpoint(main, aux, optimizer, generator, result, strategy)
    images_id = f"{data.train.name}/{len(data.train)}/{data.digest}"
    first, final = state.load(config, images_id), None

    def draw(index: Tensor) -> Tensor:
        pixels = shift_and_flip(train_pixels[index.to(device)], generator, config.shift, config.flip)
        return normalise(pixels, mean, std)

    bar = tqdm(
        range(first, config.epochs), initial=first, total=config.epochs, unit="epoch", disable=not config.progress
    )
    for epoch in bar:
        started = time.perf_counter()
        sums = {name: torch.zeros((), device=device) for name in ("loss", "ce", "kd")}
        main.train()
        strategy.begin_epoch(epoch)
        for number, index in enumerate(_shuffled(len(train_labels), batches, generator)):
            step = epoch * batches + number
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, steps, config)
            images, targets = draw(index), train_labels[index.to(device)]
            with autocast:
                aux_logits = None
                if aux is not None:  # first, and without a graph, so that its activations are gone before main's come
                    with torch.no_grad():
                        aux_logits = aux(images)
                main_logits = main(images)
                batch = Batch(images, targets, index, main_logits, aux_logits, main, draw, generator)
                terms = strategy.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()  # equation 6, with AdamW in the place of plain descent
            optimizer.step()
            if aux is not None:
                update_auxiliary(aux, main, config.beta, config.buffers)  # equation 7
            for name, value in terms.items():  # kept on the device: reading a number would make a GPU wait
                sums[name] += value.detach() * (len(index) / len(train_labels))
        done = (epoch + 1) * batches
        row = {"epoch": epoch + 1, "step": done, "learning_rate": learning_rate_at(done - 1, steps, config)}
        row |= {name: value.item() for name, value in sums.items()}
        row["remaining"] = None if aux is None else remaining_share(config.beta, done)
        final = None
        if epoch + 1 == config.epochs or (epoch + 1) % every == 0:
            final = predict_logits(main, test_pixels), None if aux is None else predict_logits(aux, test_pixels)
        row |= _compared(final, test_labels)
        row["seconds"] = time.perf_counter() - started
        result.history.append(row)
        result.seconds += row["seconds"]
        bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
        if not math.isfinite(row["loss"]):
            raise FloatingPointError(
                f"the loss is {row['loss']} in epoch {epoch + 1}; lower learning_rate={config.learning_rate}"
            )
        state.save(config, images_id)
        if on_epoch is not None and on_epoch(row) is False:
            break

    main.eval()
    if final is None:  # stopped early, or the checkpoint was of a run that had ended
        final = predict_logits(main, test_pixels), None if aux is None else predict_logits(aux, test_pixels)
    ours, theirs = final
    result.metrics = score(ours.softmax(1).cpu(), test_labels)
    result.aux_metrics = None if theirs is None else score(theirs.softmax(1).cpu(), test_labels)
    result.predicted = ours.argmax(1).tolist()
    return result


def _usual_strategy(aux: nn.Module | None, config: TrainConfig) -> Strategy:
    return make_strategy("labels") if aux is None else make_strategy("skd", alpha=config.alpha, tau=config.tau)


def _check_auxiliary(strategy: Strategy, aux: nn.Module | None) -> None:
    name = type(strategy).__name__
    if strategy.uses_auxiliary and aux is None:
        raise ValueError(f"the strategy {name} learns from an auxiliary student; give aux=, or take another strategy")
    if not strategy.uses_auxiliary and aux is not None:
        raise ValueError(f"the strategy {name} has no use for an auxiliary student; give aux=None")


def _compared(logits: tuple[Tensor, Tensor | None] | None, labels: Tensor) -> dict:
    """Make the measured columns of a row of the history; empty where nothing was measured."""
    row: dict[str, float | None] = {"main_accuracy": None, "aux_accuracy": None, "agreement": None}
    if logits is not None:
        ours, theirs = logits
        row["main_accuracy"] = accuracy(ours, labels)
        if theirs is not None:
            row["aux_accuracy"] = accuracy(theirs, labels)
            row["agreement"] = (ours.argmax(1) == theirs.argmax(1)).double().mean().item()
    return row


def _shuffled(n: int, batches: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Deal all images into batches of nearly equal size: no batch of one, which batch norm could not use."""
    return iter(torch.randperm(n, generator=generator).tensor_split(batches))


def _adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW without decay on vectors (norms, biases, LayerScale), as the training recipes of timm do."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _use_bf16(precision: str, device: torch.device) -> bool:
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bf16"
