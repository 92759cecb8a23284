"""Several runs at once: their networks are stacked, and every operation works on all of them.

A step of a small network keeps a GPU busy for a few microseconds per operation; starting the operation takes longer. A
stack of thirty runs starts it once for all thirty. The runs share images per step, length and strategy, and differ in
seed, learning rate and images. Each run draws its batches from its own generator, as :func:`dmws_lite.training.fit.fit`
does, so it takes the same steps: up to rounding, its numbers are those of the ordinary loop. A test holds it to that.
"""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..distillation.moving_average import BATCH_NORMS, remaining_share
from ..distillation.strategies.base import Batch, FrozenTeacher, Strategy
from ..images.augment import draw_moves, input_statistics, normalise
from ..images.splits import Split
from .config import Result, TrainConfig, learning_rate_at
from .device import autocast
from .evaluate import MEASURED, Measurement
from .fit import check_finite, fitting_strategy, is_measured, training_device

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of torch.optim.AdamW


@dataclass
class Member:
    """One run of a stack, see the arguments of :func:`dmws_lite.training.fit.fit`.

    Attributes:
        main: student to train; afterwards it holds the trained weights, on the run's device, in eval mode.
        aux: auxiliary student, or ``None``.
        data: training and test images.
        config: settings.
        strategy: how main is taught, or ``None`` for the usual one.
    """

    main: nn.Module
    aux: nn.Module | None
    data: Split
    config: TrainConfig
    strategy: Strategy | None = None


def can_stack(model: nn.Module) -> bool:
    """Return whether a network can be trained in a stack.

    Batch norm cannot, because it changes its buffers in the forward pass; nor can dropout and drop path, which draw
    from one generator for all.
    """
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            return False
        if isinstance(module, nn.Dropout) and module.p > 0 or (getattr(module, "drop_prob", 0.0) or 0.0) > 0:
            return False
    return True


def fit_stack(members: Sequence[Member]) -> list[Result | FloatingPointError]:
    """Train several runs at once.

    Args:
        members: the runs. Architecture, number of training images, strategy and settings are the same in all of them,
            except for seed and learning rate.

    Returns:
        For each run what :func:`dmws_lite.training.fit.fit` returns, or the error of a run whose loss was no longer
        finite. ``seconds`` are the run's share of the time.

    Raises:
        ValueError: the runs do not fit together, or the network or the strategy cannot be stacked.
    """
    strategy = _checked(members)
    config = members[0].config
    device = training_device(config)
    precision = autocast(config.precision, device)

    main = Stack([m.main for m in members], device)
    aux = None if members[0].aux is None else Stack([m.aux for m in members], device)
    frozen = Stack([m.strategy.frozen for m in members], device) if isinstance(strategy, FrozenTeacher) else None
    images = StackedImages(members, device)
    if frozen is None:
        strategy.begin(members[0].data.train.labels, len(members[0].data.train.classes), config.epochs, device)
    steps = images.batches * config.epochs
    rates = _rates(members, steps).to(device)
    optimizer = StackedAdamW(main, config.weight_decay)

    losses = _losses(strategy, main, frozen, with_aux=aux is not None)
    results = [Result(config=m.config, device=str(device)) for m in members]
    failures: dict[int, FloatingPointError] = {}
    for epoch in range(config.epochs):
        started, sums = time.perf_counter(), defaultdict(float)
        main.model.train()
        strategy.begin_epoch(epoch)
        for step, (inputs, targets) in enumerate(images.epoch(), start=epoch * images.batches):
            with precision:
                with torch.no_grad():
                    aux_logits = None if aux is None else aux(inputs)
                terms = losses(main.weights(), {} if frozen is None else frozen.weights(), inputs, targets, aux_logits)
            terms["loss"].sum().backward()  # no run's loss depends on another's weights
            optimizer.step(rates[step])
            if aux is not None:
                aux.flat.lerp_(main.flat.detach(), 1 - config.beta)
            for name, value in terms.items():
                sums[name] += value.detach() * (inputs.shape[1] / images.count)

        done = (epoch + 1) * images.batches
        means = {name: value.tolist() for name, value in sums.items()}
        measured = images.measure(main, aux) if is_measured(epoch + 1, config) else None
        seconds = (time.perf_counter() - started) / len(members)
        remaining = None if aux is None else remaining_share(config.beta, done)
        for place, (member, result) in enumerate(zip(members, results)):
            rate = learning_rate_at(done - 1, steps, member.config)
            own, columns = {name: values[place] for name, values in means.items()}, dict.fromkeys(MEASURED)
            try:
                check_finite(own["loss"], epoch + 1, member.config)
                if measured and place not in failures:
                    columns = measured[place].columns()
            except FloatingPointError as error:
                failures.setdefault(place, error)
            row = dict(epoch=epoch + 1, step=done, learning_rate=rate, **own, remaining=remaining, **columns)
            result.append(row, seconds=seconds)

    main.unstack([m.main for m in members], device)
    if aux is not None:
        aux.unstack([m.aux for m in members], device)
    for place in set(range(len(results))) - set(failures):
        results[place].finish(measured[place])  # the last epoch is always measured
    return [failures.get(place, result) for place, result in enumerate(results)]


def _rates(members: Sequence[Member], steps: int) -> Tensor:
    """Return the learning rates of all steps, ``(steps, members, 1)``; on the CPU, as Apple's GPUs have no float64."""
    shape = replace(members[0].config, learning_rate=1.0)
    rise = [learning_rate_at(step, steps, shape) for step in range(steps)]
    peaks = torch.tensor([[m.config.learning_rate] for m in members], dtype=torch.float64)
    return (torch.tensor(rise, dtype=torch.float64).view(-1, 1, 1) * peaks).float()


def _losses(strategy: Strategy, main: Stack, frozen: Stack | None, with_aux: bool) -> Callable[..., dict[str, Tensor]]:
    """Return the function that gives the terms of the loss of all runs, each ``(R,)``.

    It takes the weights of main, those of the frozen networks (an empty mapping without), inputs ``(R, N, 3, H, W)``,
    labels ``(R, N)``, and the auxiliaries' logits ``(R, N, K)`` or ``None``.
    """

    def of_one(weights: dict, others: dict, inputs: Tensor, targets: Tensor, aux_logits: Tensor | None) -> dict:
        teacher = strategy
        if frozen is not None:
            teacher = replace(strategy, frozen=lambda images: functional_call(frozen.model, others, (images,)))
        logits = functional_call(main.model, weights, (inputs,))
        return teacher.loss(Batch(inputs, targets, None, logits, aux_logits, main.model, None, None))

    return vmap(of_one, in_dims=(0, 0, 0, 0, 0 if with_aux else None))


def _checked(members: Sequence[Member]) -> Strategy:
    """Return the strategy that all members share, once it is clear that they fit together."""
    if not members:
        raise ValueError("there are no runs to stack; give at least one")
    first = members[0]
    if first.config.most_steps or first.config.balance != "none":
        raise ValueError("a stack knows no most_steps= and no balance=; train its runs one by one")
    for member in members:
        member.strategy = fitting_strategy(member.strategy, member.aux, member.config)
        alike = replace(member.config, seed=first.config.seed, learning_rate=first.config.learning_rate)
        if alike != first.config:
            raise ValueError("the runs of a stack differ in more than seed and learning rate; train them one by one")
        if member.strategy.settings() != first.strategy.settings():
            raise ValueError("the runs of a stack have different strategies; train them one by one")
        if len(member.data.train) != len(first.data.train) or member.data.train.classes != first.data.train.classes:
            raise ValueError("the runs of a stack have different numbers of images or classes; train them one by one")
        if (member.aux is None) != (first.aux is None):
            raise ValueError("only some runs of the stack have an auxiliary; train them one by one")
        shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (member.main, member.aux, first.main) if m]
        if any(each != shapes[0] for each in shapes):
            raise ValueError("the networks of a stack differ in architecture; train their runs one by one")
    if not first.strategy.stacks:
        raise ValueError(f"the strategy {type(first.strategy).__name__} cannot be stacked; train its runs one by one")
    if not can_stack(first.main):
        raise ValueError("the network has batch norm or dropout and cannot be stacked; train its runs one by one")
    if first.config.checkpoint is not None:
        raise ValueError("a stack has no checkpoint; leave checkpoint out, or train the runs one by one")
    return first.strategy


class Stack:
    """Networks of one architecture, their weights side by side in one tensor.

    Args:
        models: the networks; they are copied.
        device: of the run.

    Attributes:
        model: the architecture; its own weights are not used.
        flat: ``(R, P)``, all parameters of R networks, one network per row.
    """

    def __init__(self, models: Sequence[nn.Module], device: torch.device) -> None:
        self.model = copy.deepcopy(models[0]).to(device).requires_grad_(False)
        for module in self.model.modules():
            if hasattr(module, "fused_attn"):  # fused attention would be computed network by network
                module.fused_attn = False
        named = dict(models[0].named_parameters())
        self._shapes = {name: parameter.shape for name, parameter in named.items()}
        self._sizes = [parameter.numel() for parameter in named.values()]
        rows = [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models]
        self.flat = torch.stack([row.to(device) for row in rows])

    def matrices(self) -> Tensor:
        """Return 1 for every parameter of a matrix or convolution and 0 for those of vectors, ``(P,)``."""
        kinds = [torch.full((size,), float(len(shape) >= 2)) for size, shape in zip(self._sizes, self._shapes.values())]
        return torch.cat(kinds).to(self.flat.device)

    def weights(self) -> dict[str, Tensor]:
        """Return the parameters by name, each ``(R, *shape)``; gradients flow back to :attr:`flat`."""
        parts = self.flat.split(self._sizes, dim=1)  # one step back: its gradient is one concatenation
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self._shapes.items(), parts)}

    def __call__(self, inputs: Tensor) -> Tensor:
        """Predict: ``(R, N, 3, H, W)`` to logits ``(R, N, K)``, in the mode of :attr:`model`."""
        return vmap(lambda weights, images: functional_call(self.model, weights, (images,)))(self.weights(), inputs)

    @torch.no_grad()
    def unstack(self, models: Sequence[nn.Module], device: torch.device) -> None:
        """Write the weights back into the networks, and put these on the device, in eval mode."""
        for model, row in zip(models, self.flat.detach()):
            model.to(device).eval()
            for parameter, part in zip(model.parameters(), row.split(self._sizes)):
                parameter.copy_(part.view(parameter.shape))


class StackedAdamW:
    """AdamW over a stack, with a learning rate for each network; without decay on vectors, as in the ordinary loop."""

    def __init__(self, stack: Stack, weight_decay: float) -> None:
        self._stack, self._decay, self._done = stack, weight_decay * stack.matrices(), 0
        stack.flat.requires_grad_(True)
        self._mean, self._square = torch.zeros_like(stack.flat), torch.zeros_like(stack.flat)

    @torch.no_grad()
    def step(self, rates: Tensor) -> None:
        """Take a step with these learning rates, ``(R, 1)``, and forget the gradient."""
        weights, gradient = self._stack.flat, self._stack.flat.grad
        self._done += 1
        rates = rates.to(weights.dtype)
        weights.mul_(1 - rates * self._decay)
        self._mean.lerp_(gradient, 1 - BETA1)
        self._square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        scale = self._square.sqrt().div_((1 - BETA2**self._done) ** 0.5).add_(EPSILON)
        weights.sub_(self._mean.div(scale).mul_(rates / (1 - BETA1**self._done)))
        self._stack.flat.grad = None


class StackedImages:
    """The images of all runs on the device, dealt and augmented for each run as the ordinary loop would.

    Args:
        members: the runs.
        device: of the runs.

    Attributes:
        count: training images of a run.
        batches: batches in an epoch.
    """

    def __init__(self, members: Sequence[Member], device: torch.device) -> None:
        config = members[0].config
        self._config, self._device = config, device
        self._generators = [torch.Generator().manual_seed(m.config.seed) for m in members]
        self._mean, self._std = input_statistics(members[0].main)
        self.count = len(members[0].data.train)
        self.batches = -(-self.count // config.batch_size)
        self._pixels = torch.stack([m.data.train.pixels for m in members]).to(device)
        self._labels = torch.stack([m.data.train.labels for m in members]).to(device)
        # Runs with one seed have one test part: it is stored once.
        tests = {m.data.test_index.numpy().tobytes(): m.data.test for m in members}
        longest = max(map(len, tests.values()))
        self._tests = torch.stack([_padded(test.pixels, longest) for test in tests.values()]).to(device)
        places = {key: place for place, key in enumerate(tests)}
        self._test_of = torch.tensor([places[m.data.test_index.numpy().tobytes()] for m in members], device=device)
        self._test_labels = [m.data.test.labels.cpu() for m in members]

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Deal an epoch: give ``(R, N, 3, H, W)`` inputs and ``(R, N)`` labels, batch by batch."""
        orders, rows, columns = [], [], []
        side = self._pixels.shape[-2:]
        for generator in self._generators:  # each draws what the ordinary loop draws, in the same order
            order = torch.randperm(self.count, generator=generator)
            orders.append(order)
            if self._config.augments:
                moves = [
                    draw_moves(len(part), side, generator, self._config.shift, self._config.flip)
                    for part in order.tensor_split(self.batches)
                ]
                rows.append(torch.cat([move[0] for move in moves]))
                columns.append(torch.cat([move[1] for move in moves]))
        sizes = [len(part) for part in orders[0].tensor_split(self.batches)]
        index = torch.stack(orders).to(self._device)
        run = torch.arange(len(orders), device=self._device)[:, None]
        moved = [torch.stack(each).to(self._device).split(sizes, 1) for each in (rows, columns) if each]
        for number, part in enumerate(index.split(sizes, 1)):
            pixels = self._pixels[run, part]
            if moved:
                pixels = _moved(pixels, moved[0][number], moved[1][number])
            yield self._inputs(pixels), self._labels[run, part]

    def _inputs(self, pixels: Tensor) -> Tensor:
        """Normalise ``(R, N, H, W)`` or ``(R, N, 3, H, W)``."""
        return normalise(pixels.flatten(0, 1), self._mean, self._std).unflatten(0, pixels.shape[:2])

    @torch.no_grad()
    def measure(self, main: Stack, aux: Stack | None) -> list[Measurement]:
        """Let the students of every run predict the test images of their run."""
        found = [self._predictions(stack) if stack is not None else None for stack in (main, aux)]
        return [
            Measurement(labels, *(None if logits is None else logits[place, : len(labels)] for logits in found))
            for place, labels in enumerate(self._test_labels)
        ]

    def _predictions(self, stack: Stack) -> Tensor:
        stack.model.eval()
        size = 8 if self._device.type == "cpu" else 32
        parts = [stack(self._inputs(part[self._test_of])).float().cpu() for part in self._tests.split(size, 1)]
        return torch.cat(parts, 1)


def _padded(pixels: Tensor, length: int) -> Tensor:
    """Repeat the last image until there are that many."""
    return torch.cat([pixels, pixels[-1:].expand(length - len(pixels), *pixels.shape[1:])])


def _moved(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Take each pixel of ``(R, N, [3,] H, W)`` from its row and column, ``(R, N, H)`` and ``(R, N, W)``."""
    runs, images = (torch.arange(n, device=pixels.device) for n in pixels.shape[:2])
    runs, images = runs[:, None, None, None], images[None, :, None, None]
    if pixels.ndim == 4:
        return pixels[runs, images, rows[..., :, None], columns[..., None, :]]
    return pixels[runs, images, :, rows[..., :, None], columns[..., None, :]].movedim(-1, 2)
