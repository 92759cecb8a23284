"""Measure how much other busy processes slow down a training step: ``python benchmarks/busy.py``.

After a parallel loop the threads of OpenMP spin for a while, so that the next loop starts at once. Where another
process needs the processor too, the spinning keeps it from the very thread that all wait for. Environment variables say
how long they spin. This script measures one training step (pocket ConvNeXt, 64 px, batch 16) beside no, one and two
busy processes, with the settings in turns, and prints ratios to OpenMP's own setting on the idle machine.

    python benchmarks/busy.py                                     # what PyTorch's builds for Linux read
    LD_PRELOAD=libiomp5.so python benchmarks/busy.py KMP_BLOCKTIME=0 KMP_BLOCKTIME=1    # another OpenMP

Nothing else should run meanwhile. It takes a minute or two. Results are in README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

OWN = "OpenMP's own setting"
SETTINGS = ["GOMP_SPINCOUNT=1000", "OMP_WAIT_POLICY=PASSIVE", "OMP_NUM_THREADS=1"]
# What the shell of the person who measures may have set.
CLEARED = {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}
NEIGHBOURS = (0, 1, 2)
Measured = dict[tuple[str, int], list[float]]


def train_when_asked() -> None:
    """Be the process of one setting: for every line read, which holds seconds, print milliseconds a step."""
    import torch  # before the package, which would set how the threads wait

    from dmws_lite import make_student

    model = make_student("convnext_pocket", 4, 64, seed=0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    x = torch.randn(16, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    y = torch.arange(16) % 4

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    for _ in range(5):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        started, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - started < float(line):
            step()
            steps += 1
        print(1e3 * (time.perf_counter() - started) / steps, flush=True)


class Trainer:
    """A process with one setting, which trains when asked and sleeps meanwhile."""

    def __init__(self, setting: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in CLEARED}
        name, _, value = setting.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child"],
            env=kept if setting == OWN else {**kept, name: value},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a measuring process ended early; its error is above")
        return line.strip()

    def milliseconds(self, seconds: float) -> float:
        """Train for about this many seconds and return the milliseconds of one step."""
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(self.answer())


def stop(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def measure(settings: list[str], rounds: int, seconds: float) -> Measured:
    """Return milliseconds a step for each setting and number of busy neighbours.

    The idle machine is measured in every round, as small differences count there; with neighbours, where a step can
    take seconds, in every third.
    """
    found: Measured = {(setting, count): [] for count in NEIGHBOURS for setting in settings}
    trainers = {setting: Trainer(setting) for setting in settings}
    busy: list[subprocess.Popen] = []
    try:
        for trainer in trainers.values():
            trainer.answer()
        for number in range(rounds):
            for count in NEIGHBOURS if number % 3 == 0 else NEIGHBOURS[:1]:
                busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
                for setting, trainer in trainers.items():
                    found[setting, count].append(trainer.milliseconds(seconds))
                stop(busy)
    finally:
        stop([*busy, *(trainer.process for trainer in trainers.values())])
    return found


def ratios_in_words(values: list[float], bases: list[float]) -> str:
    """Return the median of the ratios of each round, and the lowest and highest (of 8 or more: the quartiles)."""
    ratios = sorted(value / base for value, base in zip(values, bases))
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) >= 8 else (ratios[0], 0.0, ratios[-1])
    return f"{statistics.median(ratios):.2f} ({quartiles[0]:.2f} to {quartiles[2]:.2f})"


def table(found: Measured) -> str:
    """Return a Markdown table of ratios to OpenMP's own setting on the idle machine, in the same round."""
    lines = ["| Setting | idle | one neighbour | two neighbours |", "| --- | ---: | ---: | ---: |"]
    for setting in dict.fromkeys(setting for setting, _ in found):
        bases = {count: found[OWN, 0] if count == 0 else found[OWN, 0][::3] for count in NEIGHBOURS}
        cells = [ratios_in_words(found[setting, count], bases[count]) for count in NEIGHBOURS]
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help=f"default: {' '.join(SETTINGS)}")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each setting, in turns (default: 9)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one measurement (default: 0.5)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        train_when_asked()
        return
    found = measure([OWN, *(given.settings or SETTINGS)], given.rounds, given.seconds)
    print(f"{OWN}, idle: {statistics.median(found[OWN, 0]):.0f} ms a step; ratios to it:\n")
    print(table(found))


if __name__ == "__main__":
    main()
