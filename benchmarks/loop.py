"""Measure what each choice of the training loop gains on a CPU: ``make bench-loop``.

One choice at a time, student of EfficientNet-Lite0 at half width, 96 px. Ratios of medians, measured in turns like in
bench.py; choices that belong to a process (how memory is kept, the number of threads) are measured in processes of
their own, also in turns. Results of machines we measured on are in README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import torch
from bench import ratio

from dmws_lite import load_images, make_student, split
from dmws_lite.images.augment import input_statistics, normalise, shift_and_flip
from dmws_lite.training.device import keep_freed_memory
from dmws_lite.training.evaluate import predict_logits

PAIR, SIZE = "efficientnet_lite0", 96
CPU = torch.device("cpu")


def step_of(batch: int, fused: bool = False, compiled: bool = False):
    """Return one step of plain training on random inputs."""
    model = make_student(PAIR, 4, SIZE, seed=0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **({"fused": True} if fused else {}))
    forward = torch.compile(model) if compiled else model
    x = torch.randn(batch, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch) % 4

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(forward(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def child(what: str) -> None:
    """Be the process of one choice: print seconds per step (or per 512 test images)."""
    kind, _, value = what.partition("=")
    if kind == "kept" and value == "yes":
        keep_freed_memory()
    if kind == "threads":
        torch.set_num_threads(int(value))
    step = step_of(16)
    for _ in range(3):
        step()
    times = []
    for _ in range(12):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    print(statistics.median(times))


def between_processes(first: str, second: str, rounds: int, threads: str | None = "1") -> str:
    """Measure two choices in processes of their own, in turns; return the ratio of their medians in words."""
    environment = {**os.environ, **({"OMP_NUM_THREADS": threads} if threads else {})}

    def once(what: str) -> float:
        command = [sys.executable, __file__, "--child", what]
        return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    pairs = [(once(first), once(second)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    a, b = (statistics.median(side) for side in zip(*pairs))
    middle = statistics.median(ratios)
    return (
        f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, {rounds} rounds); {a * 1e3:.0f} against {b * 1e3:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each side (default %(default)s)")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes a minute or two")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    torch.set_num_threads(1)
    print(f"one thread unless said otherwise, torch {torch.__version__}, student of {PAIR}, {SIZE} px")

    images = load_images("phantom-mri", n=512, size=SIZE, progress=False)
    model = make_student(PAIR, 4, SIZE, seed=0)
    large, small = (lambda n=n: predict_logits(model, images.pixels, n) for n in (256, 32))
    said, a, b = ratio(large, small, given.rounds, CPU)
    print(f"\n512 test images in batches of 256 / of 32 = {said}; {a:.2f} against {b:.2f} s")

    said, a, b = ratio(step_of(8), step_of(16), given.rounds, CPU)
    print(f"\nstep of 8 images / step of 16 = {said}: {a / 8 * 1e3:.1f} against {b / 16 * 1e3:.1f} ms an image")

    said, a, b = ratio(step_of(16), step_of(16, fused=True), given.rounds, CPU)
    print(f"\nAdamW: default / fused = {said}; {a * 1e3:.0f} against {b * 1e3:.0f} ms a step")

    data = split(images, 1.0, 0)
    mean, std = input_statistics(model)
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(16)
    augment = lambda: normalise(shift_and_flip(data.train.pixels[index], generator), mean, std)  # noqa: E731
    one = [torch.tensor([i]) for i in range(16)]
    singly = lambda: [normalise(shift_and_flip(data.train.pixels[i], generator), mean, std) for i in one]  # noqa: E731
    said, a, b = ratio(singly, augment, given.rounds, CPU)
    print(f"\naugmenting 16 images one by one / as a batch = {said}; {a * 1e3:.1f} against {b * 1e3:.1f} ms")

    print(f"\nfreed memory: given back / kept = {between_processes('kept=no', 'kept=yes', given.rounds)} a step of 16")
    told = between_processes("threads=1", "threads=2", given.rounds, threads=None)
    print(f"\nthreads: 1 / 2 = {told} a step of 16 (two processes of one thread each would give 2.00)")

    if given.compile:
        started = time.perf_counter()
        compiled = step_of(16, compiled=True)
        compiled()
        first = time.perf_counter() - started
        said, a, b = ratio(step_of(16), compiled, given.rounds, CPU)
        print(f"\neager / torch.compile = {said}; {a * 1e3:.0f} against {b * 1e3:.0f} ms; compiling took {first:.0f} s")


if __name__ == "__main__":
    main()
