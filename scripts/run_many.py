"""Run grids in many processes at once, for a limited time, on a GPU and on the CPU's cores.

    python scripts/run_many.py map map_parts --data FOLDER --out runs/map --minutes 9
    nice python scripts/run_many.py map map_parts --data FOLDER --out runs/map --cpu 2   (a laptop, in the background)

With a GPU, a few processes train stacks of runs on it, in the order of the grids. The other processes have one core
each. They take what cannot be stacked first, and then the runs of the grids from their end. Each process reads a data
set once. Records are written one by one and whole, so the same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path


def main() -> int:
    """Read the command line, start the processes, and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grids", nargs="+", metavar="GRID", help="grids, in the order of their importance")
    parser.add_argument("--data", help="folder of the data sets, or of packed ones (scripts/pack_images.py)")
    parser.add_argument("--out", type=Path, required=True, help="the records go to a folder in here for each grid")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--cpu", type=int, help="processes on the CPU, one core each (default: what the machine has)")
    parser.add_argument("--gpu", type=int, default=3, help="processes that share the GPU, if there is one (default: 3)")
    parser.add_argument("--stack", type=int, default=60, help="runs trained at once on the GPU (default: 60)")
    parser.add_argument("--archive", type=Path, help="pack all records into this .tar.gz at the end")
    parser.add_argument("--dry-run", action="store_true", help="print who would do what; train nothing")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    began = time.monotonic()

    gpus = given.gpu if _has_gpu() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cpus = given.cpu if given.cpu is not None else max(1, cores - gpus)
    jobs = [("cuda", number, gpus, bool(gpus)) for number in range(1, gpus + 1)]
    jobs += [("cpu", number, cpus, bool(gpus)) for number in range(1, cpus + 1)]
    print(f"{gpus} processes on the GPU, {cpus} on the CPU", flush=True)
    if given.dry_run:
        for job in jobs:
            print(
                f"{job[0]} {job[1]}/{job[2]}: " + ", ".join(f"{g.name} {len(g.runs)} runs" for g in _grids(given, job))
            )
        return 0

    context = multiprocessing.get_context("spawn")  # a forked process could not use the GPU
    processes = [context.Process(target=_work, args=(given, job, began)) for job in jobs]
    for process in processes:
        process.start()
    try:
        _wait(processes, began + 60 * given.minutes)
    except KeyboardInterrupt:
        print("stopped; the same command resumes", flush=True)
    finally:
        _end(processes)
        _summary(given, time.monotonic() - began)
    return 0


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _grids(given: argparse.Namespace, job: tuple[str, int, int, bool]) -> Sequence:
    """Return what a process works on: grids, or parts of them."""
    from dmws_lite.experiments.grids import Grid, read_grid
    from dmws_lite.experiments.stacked import stackable

    device, _, _, beside_gpu = job
    grids = [read_grid(name) for name in given.grids]
    if not beside_gpu:
        return grids
    if device == "cuda":
        blocks = [tuple(tuple(filter(stackable, block)) for block in grid.blocks) for grid in grids]
        return [Grid(g.name, tuple(run for block in b for run in block), g.title, b) for g, b in zip(grids, blocks)]
    alone = [Grid(g.name, tuple(run for run in g.runs if not stackable(run)), g.title) for g in grids]
    # A tuned run is many runs in a row: left to the GPU.
    backwards = [
        Grid(
            g.name, tuple(run for block in g.blocks[::-1] for run in block if stackable(run) and not run.tune), g.title
        )
        for g in grids[::-1]
    ]
    return [grid for grid in (*alone, *backwards) if grid.runs]


def _work(given: argparse.Namespace, job: tuple[str, int, int, bool], began: float) -> None:
    """Carry out the share of one process."""
    device, number, processes, _ = job
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    from dmws_lite.experiments.execute import Shelf
    from dmws_lite.experiments.grids import run_grid

    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # precision: fp32 in a grid is fp32, also in convolutions
    shelf, name = Shelf(given.data), f"{device} {number}/{processes}"
    command = f"scripts/run_many.py {' '.join(Path(grid).name for grid in given.grids)}"
    try:
        for grid in _grids(given, job):
            done = run_grid(
                grid,
                given.out / grid.name,
                command=command,
                progress=False,
                share=(number, processes),
                say=lambda line: print(f"{name} {time.monotonic() - began:.0f} s: {line}", flush=True),
                device=device,
                stack=given.stack if device == "cuda" else 1,
                until=began + 60 * given.minutes,
                shelf=shelf,
            )
            print(f"{name}: {grid.name}: {done.made} made, {done.failed} failed", flush=True)
    except KeyboardInterrupt:
        print(f"{name}: stopped", flush=True)


def _wait(processes: Sequence[multiprocessing.Process], until: float) -> None:
    while any(process.is_alive() for process in processes) and time.monotonic() < until:
        time.sleep(0.2)


def _end(processes: Sequence[multiprocessing.Process]) -> None:
    """Ask those that still run to stop, and end them if they do not."""
    for process in processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    _wait(processes, time.monotonic() + 5)
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()


def _summary(given: argparse.Namespace, seconds: float) -> None:
    """Count the records, and pack them."""
    from dmws_lite.experiments.grids import missing, read_grid

    counts = {}
    for name in given.grids:
        grid = read_grid(name)
        left = set(missing(grid, given.out / grid.name))
        blocks = [f"{sum(run not in left for run in block)}/{len(block)}" for block in grid.blocks]
        failed = len(list((given.out / grid.name).glob("*.failed.json")))
        made = len(grid.runs) - len(left)
        counts[grid.name] = {"made": made, "of": len(grid.runs), "failed": failed, "blocks": " ".join(blocks)}
    print(json.dumps({"seconds": round(seconds), **counts}, indent=1), flush=True)
    if given.archive:
        given.archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(given.archive, "w:gz") as archive:
            for path in sorted(given.out.rglob("*.json")):
                if not path.name.startswith("."):
                    archive.add(path, str(path.relative_to(given.out)))
        print(f"{given.archive}: {given.archive.stat().st_size / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
