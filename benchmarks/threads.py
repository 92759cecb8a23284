"""Measure what it costs to train beside the kernel's own thread, as the training playground does.

    python benchmarks/threads.py [--rounds 3]

Each thread that computes gets a pool of OpenMP threads, which stays. Where the pools together are larger than the count
of processors, all of them wait by sleeping. Printed are ratios to a run in the main thread of a fresh process: of a run
in a second thread, and of one in the main thread after it. Each case has a process of its own, because what it does to
the waiting lasts as long as the process. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CASES = {"with all threads": False, "with the processors left free": True}


def case(fitted: bool) -> dict[str, float]:
    """Return seconds of a run of the playground: alone, beside the main thread, and in the main thread after that."""
    from dmws_lite.classroom.widgets.session import Session, Settings
    from dmws_lite.classroom.widgets.training import threads_beside_the_kernel

    session = Session()

    def run(around: object) -> float:
        with around:
            started = time.perf_counter()
            session.run(Settings(steps=80))
            return time.perf_counter() - started

    run(nullcontext())  # makes images, loads the teacher
    alone = run(nullcontext())
    with ThreadPoolExecutor(1) as worker:
        around = threads_beside_the_kernel() if fitted else nullcontext()
        beside = worker.submit(run, around).result()
        after = run(nullcontext())
    return {"alone": alone, "beside": beside, "after": after}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each case, in turns (default: 3)")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(case(CASES[given.case])))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for _ in range(given.rounds):
        for name in CASES:
            command = [sys.executable, __file__, "--case", name]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(answer.stdout.splitlines()[-1]))
    for name, rows in found.items():
        alone = median(row["alone"] for row in rows)
        told = [f"{what} {median(row[what] / row['alone'] for row in rows):.2f}" for what in ("beside", "after")]
        print(f"{name}: alone {alone:.1f} s; ratios: {', '.join(told)}")


if __name__ == "__main__":
    main()
