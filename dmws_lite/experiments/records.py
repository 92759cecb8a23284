"""Records on disk: one JSON file a run, read back as mappings; the paper's numbers beside them."""

from __future__ import annotations

import datetime
import json
import math
import platform
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import timm
import torch

from .._sealed import CHECKSUM, Damaged, content_digest, read_json, with_checksum
from .._system import data_path, write_atomic
from ..images.splits import Split
from ..training.config import Result
from ..training.device import device_name
from .methods import METHODS
from .run import LATER_SETTINGS, Run

if TYPE_CHECKING:
    import pandas


def read_facts() -> dict:
    """Return the counts that come with the project, ``data/results/critical_facts.json``."""
    return json.loads(data_path("results/critical_facts.json").read_text(encoding="utf-8"))


def outcome(result: Result, data: Split, tested: str = "main") -> dict:
    """Return what a record says of a finished training, see :func:`execute`.

    Args:
        result: of the training.
        data: what it was trained and tested on.
        tested: the student whose metrics and predictions are the run's, ``"main"`` or ``"auxiliary"``.
    """
    own, other, predicted = result.metrics, result.aux_metrics, result.predicted
    if tested == "auxiliary":
        own, other, predicted = result.aux_metrics, result.metrics, result.aux_predicted
    classes = data.train.classes
    seen = set(data.train.digests)
    copies = [place for place, digest in enumerate(data.test.digests) if digest in seen]
    parts = {"train": len(data.train), "test": len(data.test), "digest": data.digest, "leaked": data.leaked}
    return {
        "classes": list(classes),
        "split": {**parts, "leaked_at": copies},
        "metrics": own,
        "aux_metrics": other,
        "history": [{k: _short(v) for k, v in row.items()} for row in _thinned(result.history)],
        "predicted": _digits(predicted, len(classes)),
        "labels": _digits(data.test.labels.tolist(), len(classes)),
        "seconds": round(result.seconds, 2),
        "device": device_name(result.device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": timm.__version__},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def _thinned(history: list[dict]) -> list[dict]:
    """Keep of a long history the rows that were measured, the first, and some twenty others evenly spread."""
    if len(history) <= 100:
        return history
    every = math.ceil(len(history) / 20)
    return [
        row for row in history if row["epoch"] % every == 0 or row["epoch"] == 1 or row["main_accuracy"] is not None
    ]


def _short(value: object) -> object:
    return float(f"{value:.5g}") if isinstance(value, float) else value


_DIGITS = string.digits + string.ascii_lowercase


def _digits(numbers: Iterable[int], classes: int) -> str:
    """Write class numbers as one character each, so that a thousand predictions are one line of the record."""
    return "".join(_DIGITS[n] for n in numbers) if classes <= len(_DIGITS) else ""


def class_numbers(text: str) -> list[int]:
    """Read ``predicted`` or ``labels`` of a record back: the class number of every test image."""
    return [_DIGITS.index(c) for c in text]


def write_record(folder: str | Path, run: Run, record: Mapping) -> Path:
    """Write a record as JSON, atomically, see :func:`record_text`."""
    return write_atomic(Path(folder) / f"{run.name}.json", record_text(record))


def record_text(record: Mapping) -> str:
    """Return a record as JSON: one line per setting and one per epoch, and last a checksum of them all."""
    lines = []
    for key, value in with_checksum(record).items():
        if key == "history":
            rows = ",\n  ".join(json.dumps(row) for row in value)
            lines.append(f' "history": [\n  {rows}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_records(folder: str | Path | None = None, *, grid: str = "", **wanted: object) -> list[dict]:
    """Read records, those that come with the project by default.

    Args:
        folder: where they lie, sub-folders included; ``None`` for the project's own ``data/results``.
        grid: only those of one grid, such as ``"ablations"``: the sub-folder of that name.
        wanted: keep records with these values, such as ``method="ours"``.

    Returns:
        The records, ordered by file name; an empty list where none match. Settings that older records do not have are
        filled with the values that they stand for.

    Raises:
        ValueError: a file is no record, or not what it was when it was written; the message names it and the remedy.

    Example:
        >>> from dmws_lite.experiments.records import read_records
        >>> records = read_records(grid="ablations", method="ours", alpha=0.6, beta=0.9, tau=3.0, rule="uniform")
        >>> [(record["seed"], round(record["metrics"]["accuracy"], 3)) for record in records]
        [(0, 0.776), (1, 0.783), (2, 0.824)]
    """
    found = []
    for path in record_files(folder, grid):
        try:
            record = read_record(path)
        except Damaged as error:
            raise ValueError(f"{error}; delete it and run its grid again") from error
        if all(record.get(key) == value for key, value in wanted.items()):
            found.append(record)
    return found


# JSON files beside records that are none.
_NO_RECORDS = frozenset({"critical_facts.json", "settings.json", "model.json"})


def record_files(folder: str | Path | None = None, grid: str = "") -> list[Path]:
    """Return the files that are records or ought to be, ordered by path.

    What a failed run left behind is none of them, and no file of another kind; a damaged record is.

    Args:
        folder: where they lie, sub-folders included; ``None`` for the project's own ``data/results``.
        grid: only those of one grid: the sub-folder of that name.
    """
    folder = data_path("results") if folder is None else Path(folder)
    names = sorted((folder / grid).rglob("*.json"))
    return [path for path in names if not path.name.endswith(".failed.json") and path.name not in _NO_RECORDS]


def read_record(path: str | Path) -> dict:
    """Read one record, with the settings that came after it, and check that it is as it was written.

    Its own checksum is compared. A record from before there were checksums, if it is one of the project's, is compared
    with the list that comes with the project.

    Raises:
        Damaged: it is no record, or has changed; the message names it.
    """
    path = Path(path)
    try:
        record = read_json(path)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror or error})") from error
    if not isinstance(record.get("metrics"), dict):
        raise Damaged(f"{path} is no record: it has no metrics")
    listed = _listed_checksums().get(path.stem)
    if CHECKSUM not in record and listed and content_digest(record)[:_LISTED] not in listed:
        raise Damaged(f"{path} is damaged: its content has another checksum than the project's record of this name")
    if CHECKSUM not in record and (key := next((k for k, v in record.items() if k != _IMAGES and _is_digest(v)), None)):
        raise Damaged(f"{path} is damaged: its entry {key!r} is no setting, but looks like a checksum")
    record.pop(CHECKSUM, None)
    return {**LATER_SETTINGS, **record}


_IMAGES = "images"  # the entry of `dmws-lite train` that holds a SHA-256, of the images


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


_LISTED = 16  # digits of a checksum in the list, enough against accidents


@cache
def _listed_checksums() -> dict[str, frozenset[str]]:
    """Return the checksums of the project's records that have none of their own, by run name."""
    found: dict[str, set[str]] = {}
    for line in data_path("results/checksums.txt").read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition(" ")
        found.setdefault(name, set()).add(digest)
    return {name: frozenset(digests) for name, digests in found.items()}


def checksum_lines(folders: Iterable[str | Path]) -> list[str]:
    """Return the lines of ``checksums.txt`` for the records of some folders that have no checksum of their own."""
    files = [path for folder in folders for path in record_files(folder)]
    records = [(path.stem, read_json(path)) for path in files]
    return sorted({f"{content_digest(r)[:_LISTED]} {name}" for name, r in records if CHECKSUM not in r})


def records_frame(records: Iterable[Mapping] | None = None) -> pandas.DataFrame:
    """Return records as a tidy pandas frame: one row per run, so that pandas alone can answer a new question.

    Args:
        records: as :func:`read_records` gives them; the project's own where left out.

    Returns:
        One column per setting (``dataset``, ``pair``, ``method``, ``fraction``, ``seed``, ``alpha`` ...; an option of a
        strategy is a column of its own, empty where it has no such option), the sizes ``train`` and ``test``,
        ``leaked`` (test images with a copy in the training part), ``accuracy``, ``macro_f1`` and ``auroc`` of main,
        ``aux_accuracy`` (empty without an auxiliary), ``last_step``, ``train_loss`` and ``train_ce`` of the last epoch
        in nats, ``seconds``, ``peak_memory_mib``, ``device``, ``date``, and ``split`` (digest: equal ones are the same
        split, which is what a paired comparison needs).

    Example::

        frame = records_frame(read_records(grid="tables"))
        frame.groupby(["dataset", "fraction", "method"])["accuracy"].agg(["mean", "std", "count"])
    """
    import pandas  # takes longer to import than everything else here, and few callers need it

    return pandas.DataFrame([_row(record) for record in (read_records() if records is None else records)])


def _row(record: Mapping) -> dict[str, object]:
    settings = {f.name: record.get(f.name) for f in fields(Run) if f.name != "strategy_options"}
    run, metrics, last = run_of(record), record["metrics"], (record.get("history") or [{}])[-1]
    return {
        **settings,
        "strategy": run.strategy_name,
        **dict(run.strategy_options),
        "train": record["split"]["train"],
        "test": record["split"]["test"],
        "leaked": record["split"].get("leaked"),
        **{name: metrics.get(name) for name in ("accuracy", "macro_f1", "auroc")},
        "aux_accuracy": (record.get("aux_metrics") or {}).get("accuracy"),
        "last_step": last.get("step"),
        "train_loss": last.get("loss"),
        "train_ce": last.get("ce"),
        **{name: record.get(name) for name in ("seconds", "peak_memory_mib", "device", "date")},
        "split": record["split"].get("digest"),
    }


def run_of(record: Mapping) -> Run:
    """Return the description that a record was made from."""
    return Run(**{f.name: record[f.name] for f in fields(Run) if f.name in record})


def accuracies(records: Iterable[Mapping]) -> dict[str, list[float]]:
    """Gather test accuracies by method, in the order of :data:`METHODS` and of the seeds."""
    ordered = sorted(records, key=lambda r: (list(METHODS).index(r["method"]), r["seed"]))
    values: dict[str, list[float]] = {}
    for record in ordered:
        values.setdefault(record["method"], []).append(record["metrics"]["accuracy"])
    return values


def measured(history: Iterable[Mapping], column: str = "main_accuracy") -> tuple[list[int], list[float]]:
    """Return the steps at which a column of a history was measured, and its values there.

    Args:
        history: of a record, or of a :class:`dmws_lite.training.config.Result`.
        column: such as ``"main_accuracy"`` or ``"aux_accuracy"``, which are not measured after every epoch.

    Example:
        >>> from dmws_lite.experiments.records import measured
        >>> measured([{"step": 50, "main_accuracy": None}, {"step": 100, "main_accuracy": 0.4}])
        ([100], [0.4])
    """
    rows = [(row["step"], row[column]) for row in history if row[column] is not None]
    return [step for step, _ in rows], [value for _, value in rows]


def paper_numbers() -> dict:
    """Return ``data/paper/tables.json``: the numbers of tables 2 to 8 with their source."""
    return json.loads(data_path("paper/tables.json").read_text(encoding="utf-8"))
