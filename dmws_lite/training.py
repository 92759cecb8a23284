"""One run: the main student learns, the auxiliary follows. Read :func:`fit` from top to bottom.

The same loop trains every comparison of the paper: with an auxiliary it is the paper's method, with ``aux=None`` it is
plain fine-tuning (CM1 when the weights were selected, CM2 to CM4 when they were drawn), and with a strategy of
:mod:`dmws_lite.strategies` it is any other kind of distillation.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .data import Split
from .distill import (
    BUFFER_CHOICES,
    calibrate_batch_norm,
    check_alpha,
    check_beta,
    check_tau,
    remaining_share,
    update_auxiliary,
)
from .evaluation import accuracy, predict_logits, score
from .inputs import input_statistics, normalise, pick_device, shift_and_flip
from .resources import keep_freed_memory, write_atomic
from .strategies import Batch, Strategy, make_strategy


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run; checked when it is made, before anything is loaded or trained.

    Attributes:
        epochs: passes over the training images, at least 1 (the paper: 300).
        batch_size: images per step, at least 2 (batch norm needs two).
        learning_rate: peak of AdamW's learning rate, > 0.
        weight_decay: of AdamW, >= 0.
        warmup: share of all steps with a rising learning rate, in [0, 1); a cosine to zero follows.
        alpha: weight of the cross-entropy, in [0, 1] (equation 5).
        beta: share that the auxiliary keeps per step, in [0, 1] (equation 7).
        tau: temperature, in (0, 100] (equations 1 and 2).
        buffers: what happens to batch-norm buffers, see :func:`dmws_lite.distill.update_auxiliary`.
        shift: largest random shift as a share of the image side, in [0, 0.5).
        flip: flip half of the images left to right.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        precision: ``"auto"`` (bf16 autocast on GPUs that have it, else fp32), ``"fp32"`` or ``"bf16"``. The weights
            stay fp32 either way. On the CPUs measured bf16 gained nothing, see ``benchmarks/README.md``.
        seed: of the order, the augmentation and drop path.
        evaluate_every: epochs between two test measurements in the history; 0 measures about ten times. They are for
            the curve only: nothing is chosen by them, and the result is always the last epoch's.
        checkpoint: file to continue from and to write to after every epoch; ``None`` for none.
        progress: show a progress bar.
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    alpha: float = 0.6
    beta: float = 0.9
    tau: float = 3.0
    buffers: str = "lerp"
    shift: float = 0.08
    flip: bool = True
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    evaluate_every: int = 0
    checkpoint: str | Path | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_beta(self.beta)
        check_tau(self.tau)
        whole = {"epochs": 1, "batch_size": 2, "evaluate_every": 0}
        for name, least in whole.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r} is out of range; choose an integer of at least {least}")
        ranges = {"learning_rate": (0, 10), "weight_decay": (0, 10), "warmup": (0, 0.99), "shift": (0, 0.49)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} is out of range; choose a number in [{low}, {high}]")
        if self.learning_rate == 0:
            raise ValueError("learning_rate=0 trains nothing; choose a positive number such as 0.001")
        for name, choices in {"buffers": BUFFER_CHOICES, "precision": ("auto", "fp32", "bf16")}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(choices)}")


@dataclass
class Result:
    """What a run leaves behind.

    Attributes:
        history: one row per epoch: ``epoch``, ``step``, ``learning_rate``, ``loss``, ``ce``, ``kd``, ``remaining``
            (``beta ** step``), ``seconds``; and, in the epochs that were measured, ``main_accuracy``, ``aux_accuracy``
            and ``agreement`` (share of test images on which both predict the same class).
        metrics: the main student on the test images after the last epoch, see :func:`evaluate`.
        aux_metrics: the auxiliary's, or ``None`` without one.
        config: the settings.
        device: where it ran.
        seconds: training time, the measurements of the history included.
        predicted: main's class for every test image after the last epoch.
    """

    history: list[dict] = field(default_factory=list)
    metrics: dict = field(default_factory=dict)
    aux_metrics: dict | None = None
    config: TrainConfig | None = None
    device: str = "cpu"
    seconds: float = 0.0
    predicted: list[int] = field(default_factory=list)

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """Return the epochs and the values of one column of the history, where it was measured."""
        rows = [row for row in self.history if row.get(name) is not None]
        return [row["epoch"] for row in rows], [row[name] for row in rows]


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: a line up to the peak, then half a cosine down to zero."""
    rising = max(1, round(config.warmup * steps))
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


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
        data: training and test images, see :func:`dmws_lite.data.split`.
        config: settings; the defaults are the paper's alpha and beta with a short schedule.
        on_epoch: called with each row of the history; return ``False`` to stop after this epoch.
        strategy: how main is taught, see :mod:`dmws_lite.strategies`; equation 5 where there is an auxiliary, labels
            only where there is none.

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
    state = _State(main, aux, optimizer, generator, result, strategy)
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


@dataclass
class _State:
    """Everything that must survive between two epochs, so that a run continues as if it had not stopped."""

    main: nn.Module
    aux: nn.Module | None
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    result: Result
    strategy: Strategy

    def save(self, config: TrainConfig, images_id: str) -> None:
        if config.checkpoint is None:
            return
        content = {
            "settings": _settings(config, images_id, self.aux is not None, self.strategy),
            "strategy": self.strategy.state(),
            "main": self.main.state_dict(),
            "aux": None if self.aux is None else self.aux.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.generator.get_state(),
            "global": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "history": self.result.history,
            "seconds": self.result.seconds,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(config.checkpoint, buffer.getvalue())

    def load(self, config: TrainConfig, images_id: str) -> int:
        """Continue from the checkpoint if there is one; return the number of epochs already done."""
        if config.checkpoint is None or not Path(config.checkpoint).exists():
            return 0
        try:
            content = torch.load(config.checkpoint, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise ValueError(f"the checkpoint {config.checkpoint} cannot be read; delete it to start anew") from error
        mine = _settings(config, images_id, self.aux is not None, self.strategy)
        other = [name for name in mine if content["settings"].get(name) != mine[name]]
        if other:
            raise ValueError(
                f"the checkpoint {config.checkpoint} belongs to a run with another {', '.join(other)}; "
                "give this run a file of its own, or delete that one"
            )
        self.main.load_state_dict(content["main"])
        if self.aux is not None:
            self.aux.load_state_dict(content["aux"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.strategy.restore(content["strategy"])
        self.generator.set_state(content["order"])
        torch.set_rng_state(content["global"])
        if content["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["cuda"])
        self.result.history, self.result.seconds = content["history"], content["seconds"]
        return len(self.result.history)


def _settings(config: TrainConfig, images_id: str, with_aux: bool, strategy: Strategy) -> dict:
    """The settings that decide the numbers; where the file lies and whether a bar is shown do not."""
    settings = asdict(replace(config, checkpoint=None, progress=True))
    return {**settings, "images": images_id, "auxiliary": with_aux, "strategy": strategy.settings()}
