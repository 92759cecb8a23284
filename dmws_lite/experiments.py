"""Runs as records: what was asked, what came out, with what, when. A figure of the book is drawn from these files.

``python -m dmws_lite.experiments first-numbers --data FOLDER`` makes the records on real images in notebook 03,
``python -m dmws_lite.experiments phantom-ablations`` those on phantoms in notebook 05.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import timm
import torch

from .data import Images, load_images, split
from .initialisation import METHODS, start_students
from .resources import data_path, write_atomic
from .teachers import PAIRS, load_teacher, make_student
from .training import TrainConfig, fit


@dataclass(frozen=True)
class Run:
    """One training run, fully described; two equal descriptions give the same record file.

    Attributes:
        dataset: source for :func:`dmws_lite.data.load_images`, such as ``"mri"`` or ``"phantom-mri"``.
        pair: teacher and student, a name in ``dmws_lite.teachers.PAIRS``.
        method: one of ``dmws_lite.initialisation.METHODS``.
        fraction: share of the training part that is used, in (0, 1].
        seed: of split, initialisation, order and augmentation.
        size: image side in pixels.
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: peak.
        alpha: weight of the cross-entropy.
        beta: share that the auxiliary keeps.
        tau: temperature.
        rule: rule of element selection.
        split_rule: ``"grouped"`` keeps identical files on one side, ``"random"`` is the paper's split.
    """

    dataset: str
    pair: str
    method: str
    fraction: float
    seed: int
    size: int
    epochs: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    alpha: float = 0.6
    beta: float = 0.9
    tau: float = 3.0
    rule: str = "uniform"
    split_rule: str = "grouped"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} is unknown; choose one of {', '.join(METHODS)}")
        if self.pair not in PAIRS:
            raise ValueError(f"pair={self.pair!r} is unknown; choose one of {', '.join(PAIRS)}")

    @property
    def name(self) -> str:
        """File name of the record: readable, with a hash over every setting."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.dataset}-{self.pair}-{self.method}-{self.fraction:g}-s{self.seed}-{digest}"


def execute(run: Run, images: Images, progress: bool = False, command: str = "") -> dict:
    """Carry out one run.

    Args:
        run: its description.
        images: the images of ``run.dataset`` at ``run.size``.
        progress: show a bar.
        command: the command line, for the record.

    Returns:
        The record: the description, ``split``, ``history``, ``metrics``, ``aux_metrics``, ``seconds``, ``device``,
        ``versions``, ``date`` and ``command``, all plain numbers and text.
    """
    data = split(images, run.fraction, run.seed, rule=run.split_rule)
    teacher = load_teacher(run.pair, quiet=True)
    main, aux = start_students(
        run.method, teacher, lambda: make_student(run.pair, len(images.classes), run.size), run.seed, run.rule
    )
    shared = {f.name for f in fields(TrainConfig)} & asdict(run).keys()
    config = TrainConfig(**{name: getattr(run, name) for name in shared}, progress=progress)
    result = fit(main, aux, data, config)
    return {
        **asdict(run),
        "classes": list(images.classes),
        "split": {
            "train": len(data.train),
            "test": len(data.test),
            "digest": data.digest,
            "leaked": data.leaked,
        },
        "metrics": result.metrics,
        "aux_metrics": result.aux_metrics,
        "history": [
            {k: round(v, 6) if isinstance(v, float) and k != "remaining" else v for k, v in row.items()}
            for row in result.history
        ],
        "seconds": round(result.seconds, 2),
        "device": device_name(result.device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": timm.__version__},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": command,
    }


def device_name(device: str) -> str:
    """Name a device so that a reader can judge the seconds: the GPU's product name, or the CPU's threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


def write_record(folder: str | Path, run: Run, record: Mapping) -> Path:
    """Write a record as JSON, atomically."""
    return write_atomic(Path(folder) / f"{run.name}.json", json.dumps(record, indent=1) + "\n")


def read_records(folder: str | Path | None = None, **wanted: object) -> list[dict]:
    """Read records, those that come with the project by default.

    Args:
        folder: where they lie, sub-folders included; ``None`` for the project's own ``data/results``.
        wanted: keep records with these values, such as ``method="ours"``.

    Returns:
        The records, ordered by file name; an empty list where none match.

    Raises:
        ValueError: a file is not a record; its name and the remedy are said.
    """
    folder = data_path("results") if folder is None else Path(folder)
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name} is not a record ({error}); delete it and run the command again") from error
        if "metrics" in record and all(record.get(key) == value for key, value in wanted.items()):
            found.append(record)
    return found


def accuracies(records: Iterable[Mapping]) -> dict[str, list[float]]:
    """Gather test accuracies by method, in the order of :data:`METHODS` and of the seeds."""
    ordered = sorted(records, key=lambda r: (METHODS.index(r["method"]), r["seed"]))
    values: dict[str, list[float]] = {}
    for record in ordered:
        values.setdefault(record["method"], []).append(record["metrics"]["accuracy"])
    return values


def do_missing(runs: Iterable[Run], root: str | Path | None, folder: str | Path, command: str = "") -> int:
    """Carry out the runs that have no record yet; return how many that were.

    Runs of one data set and size read the images once. A kill loses at most the run in progress.
    """
    todo = [run for run in runs if not (Path(folder) / f"{run.name}.json").exists()]
    todo.sort(key=lambda run: (run.dataset, run.size))
    kept: dict[tuple[str, int], Images] = {}
    for number, run in enumerate(todo, start=1):
        key = (run.dataset, run.size)
        if key not in kept:
            kept = {key: load_images(run.dataset, root, size=run.size)}
        record = execute(run, kept[key], command=command)
        write_record(folder, run, record)
        print(f"[{number}/{len(todo)}] {run.name}: accuracy {record['metrics']['accuracy']:.3f}", flush=True)
    return len(todo)


def first_numbers() -> list[Run]:
    """Describe the first real result: CM2, CM1 and ours on real brain MRI at 5%, two pairs, three seeds."""
    sizes = {"convnext_pocket": 64, "efficientnet_lite0": 112}
    return [
        Run("mri", pair, method, 0.05, seed, size, epochs=60)
        for pair, size in sizes.items()
        for seed in range(3)
        for method in ("cm2", "cm1", "ours")
    ]


def phantom_ablations() -> list[Run]:
    """Describe the runs behind notebook 05: one thing changed at a time, on phantoms, three seeds.

    Values of alpha, beta and tau bracket the paper's choice (figure 6); rules are table 7, swapped roles table 5.
    """

    def point(**changed: object) -> list[Run]:
        settings = {"method": "ours", **changed}
        return [
            Run("phantom-mri", "convnext_pocket", fraction=0.1, seed=s, size=64, epochs=60, **settings)
            for s in range(3)
        ]

    runs = [run for method in METHODS for run in point(method=method)]
    for name, values in SWEEPS.items():
        runs += [run for value in values for run in point(**{name: value})]
    return list(dict.fromkeys(runs))  # the paper's choice is a point of every sweep


SWEEPS = {
    "alpha": (0.2, 0.6, 1.0),
    "beta": (0.0, 0.9, 0.99, 1.0),
    "tau": (1.0, 3.0, 9.0),
    "rule": ("uniform", "consecutive", "random", "random_inconsistent"),
}
GRIDS = {"first-numbers": first_numbers, "phantom-ablations": phantom_ablations}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of ``python -m dmws_lite.experiments``."""
    parser = argparse.ArgumentParser(prog="python -m dmws_lite.experiments", description=__doc__)
    parser.add_argument("what", choices=GRIDS, help="which set of runs to complete")
    parser.add_argument(
        "--data", help="folder that holds brain-tumor-mri-dataset, or that folder itself (first-numbers)"
    )
    parser.add_argument("--out", help="folder of the records (default: data/results/ and the name of the set)")
    given = parser.parse_args(arguments)
    out = given.out or f"data/results/{given.what.replace('-', '_')}"
    command = f"python -m dmws_lite.experiments {given.what}" + (" --data FOLDER" if given.data else "")
    try:
        done = do_missing(GRIDS[given.what](), given.data, out, command)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{done} runs made, the others were there; records in {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
