"""Is a record what it says? For records that readers add, and for those that lie on a disk for years."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from .._sealed import CHECKSUM, Damaged, read_json
from .._values import is_integer, is_number
from ..images.splits import SPLIT_RULES
from .methods import METHODS
from .records import class_numbers, read_record, run_of
from .run import Run

_NEEDED = ("classes", "split", "metrics", "history", "seconds", "device", "versions", "date")

_OPTIONAL = ("aux_metrics", "predicted", "labels", "peak_memory_mib", "command", "tuning", "stacked", CHECKSUM)

# What the record of `dmws-lite train` says of the reader's own images.
_OF_A_FOLDER = (
    "colour", "fit", "parts", "level", "classes_read", "exclude", "slices", "axis", "window", "table", "columns",
    "test_share", "patient", "test_folder", "near_copies", "conflicts", "balance", "images", "data", "grouped_by",
    "near_copies_together", "test_groups",
)  # fmt: skip

_KNOWN = {*_NEEDED, *_OPTIONAL, *_OF_A_FOLDER, *(f.name for f in fields(Run))}

RECORD_OF_A_FOLDER = "record"  # name of the record that `dmws-lite train` writes into its run folder


def check_record(path: str | Path) -> list[str]:
    """Check one record: its form, its checksum, its name, and its numbers, which must agree with one another.

    What a record says cannot prove that the run took place; it can only contradict itself.

    Args:
        path: the JSON file.

    Returns:
        What is wrong, one sentence each; empty if nothing is.
    """
    path = Path(path)
    found = []
    try:
        record = read_record(path)
    except Damaged as error:
        found.append(str(error).removeprefix(f"{path} ").removeprefix("is damaged: "))
        try:
            record = read_json(path)  # where only the project's list disagrees, the numbers may say more
        except (Damaged, OSError):
            return found
    try:
        return found + record_problems(record, path.stem)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, ZeroDivisionError) as error:
        return [*found, f"a part of it has another form than records have ({type(error).__name__}: {error})"]


def record_problems(record: Mapping, name: str) -> list[str]:
    """Return what is wrong in a record that is read already, one sentence each.

    Args:
        record: as JSON gives it.
        name: of its file, without ``.json``.
    """
    if missing := [key for key in _NEEDED if key not in record]:
        return [f"it lacks {', '.join(missing)}"]
    try:
        run = run_of(record)
    except (TypeError, ValueError) as error:
        return [f"its settings cannot be run: {error}"]
    found = []
    if CHECKSUM not in record and (strangers := sorted(set(record) - _KNOWN)):
        found.append(f"it has the unknown entry {strangers[0]!r}")
    if name not in run.names and not (name == RECORD_OF_A_FOLDER and run.dataset == "folder"):
        found.append(f"its settings give the name {run.name}.json")
    for part in (_form, _numbers, _answers, _course, _choice):
        found += part(record, run)
    return found


def _form(record: Mapping, run: Run) -> Iterator[str]:
    """Say which entries have another type or range than records give them."""
    classes, split = record["classes"], record["split"]
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        yield "its classes are no list of names"
    for key in ("train", "test"):
        if not is_integer(split[key]) or split[key] < 1:
            yield f"its split has {split[key]!r} images in {key}"
    if not re.fullmatch("[0-9a-f]{64}", str(split.get("digest", "0" * 64))):
        yield "the digest of its split is no SHA-256"
    if not isinstance(record["device"], str) or not isinstance(record["versions"], dict):
        yield "device or versions have another form"
    try:
        datetime.date.fromisoformat(record["date"])
    except (TypeError, ValueError):
        yield f"its date is {record['date']!r}"
    memory = record.get("peak_memory_mib")
    if memory is not None and not (is_integer(memory) and 0 < memory < 2**30):
        yield f"its peak memory is {memory!r} MiB"
    if not is_number(record["seconds"]) or record["seconds"] < 0:
        yield f"it took {record['seconds']} seconds"
    copies = split.get("leaked_at", [])
    if "leaked" in split and "leaked_at" in split and len(copies) != split["leaked"]:
        yield f"it lists {len(copies)} copies and counts {split['leaked']}"
    if not all(is_integer(place) and 0 <= place < split["test"] for place in copies):
        yield "a copy is at a place that the test images do not have"
    if split.get("leaked") and run.split_rule == SPLIT_RULES[0]:
        yield f"{split['leaked']} test images have a copy in the training part, which a grouped split excludes"


def _numbers(record: Mapping, run: Run) -> Iterator[str]:
    """Say which metrics do not follow from their confusion matrix."""
    tested, k = record["split"]["test"], len(record["classes"])
    other = record.get("aux_metrics")
    if (other is not None) != METHODS[run.method].has_auxiliary:
        yield f"it has {'' if other else 'no '}metrics of an auxiliary student, which does not fit {run.method}"
    for what, metrics in (("", record["metrics"]), ("of the auxiliary ", other)):
        if metrics is None:
            continue
        matrix = metrics["confusion"]
        if len(matrix) != k or any(len(row) != k or not all(is_integer(n) and n >= 0 for n in row) for row in matrix):
            yield f"the confusion matrix {what}is no table of {k} x {k} counts"
            continue
        right, total = sum(matrix[i][i] for i in range(k)), sum(map(sum, matrix))
        if total != tested or metrics["n"] != tested:
            yield f"the confusion matrix {what}counts {total} images, the split has {tested} test images"
        if total and not math.isclose(metrics["accuracy"], right / total, abs_tol=1e-6):
            yield f"accuracy {what}{metrics['accuracy']} is not {right} of {total} right, as the confusion matrix says"
        if not math.isclose(metrics["macro_f1"], _macro_f1(matrix), abs_tol=1e-6):
            yield f"macro_f1 {what}{metrics['macro_f1']} is not {_macro_f1(matrix):.6f}, as the confusion matrix says"
        for name in ("accuracy", "macro_f1", "auroc"):
            value = metrics[name]
            no_curve = name == "auroc" and not is_number(value) and sum(map(bool, map(sum, matrix))) < 2
            if not no_curve and not (is_number(value) and 0 <= value <= 1):
                yield f"{name} {what}is {value}; it must lie between 0 and 1"


def _macro_f1(matrix: Sequence[Sequence[int]]) -> float:
    shares = []
    for k in range(len(matrix)):
        wrong = sum(matrix[k]) + sum(row[k] for row in matrix)  # twice the right ones, and the wrong ones
        shares.append(2 * matrix[k][k] / wrong if wrong else 0.0)
    return sum(shares) / len(shares)


def _answers(record: Mapping, run: Run) -> Iterator[str]:
    """Say whether the answers to the test images give the confusion matrix."""
    if record.get("predicted"):  # the first records had none, and those of many classes have an empty one
        matrix = record["metrics"]["confusion"]
        predicted, labels = class_numbers(record["predicted"]), class_numbers(record["labels"])
        counted = [[0] * len(matrix) for _ in matrix]
        for label, answer in zip(labels, predicted, strict=True):
            counted[label][answer] += 1
        if counted != matrix:
            yield "predictions and labels give another confusion matrix"


def _course(record: Mapping, run: Run) -> Iterator[str]:
    """Say what in the history contradicts the settings or itself."""
    history, trained = record["history"], record["split"]["train"]
    epochs, batches = run.epochs_for(trained), math.ceil(trained / run.batch_size)
    if history[-1]["epoch"] != epochs:
        yield f"its history ends with epoch {history[-1]['epoch']}, its settings with epoch {epochs}"
    if any(later["epoch"] <= row["epoch"] for row, later in zip(history, history[1:])):
        yield "the epochs of its history do not rise"
    # A run of `dmws-lite train` may end in the middle of its last epoch, once it has the steps that were asked for.
    ends = {epochs * batches, min(epochs * batches, run.steps or epochs * batches)}
    if any(row["step"] != row["epoch"] * batches for row in history[:-1]) or history[-1]["step"] not in ends:
        yield f"its history counts steps otherwise than {batches} an epoch"
    if not all(is_number(row["loss"]) and is_number(row["ce"]) and is_number(row["kd"]) for row in history):
        yield "its history has a loss that is not a number"
    shares = [row.get(name) for row in history for name in ("main_accuracy", "aux_accuracy", "agreement", "remaining")]
    if not all(share is None or (is_number(share) and 0 <= share <= 1) for share in shares):
        yield "its history has a share outside 0 to 1"
    if not all(is_number(row["learning_rate"]) and 0 <= row["learning_rate"] <= 10 for row in history):
        yield "its history has a learning rate outside 0 to 10"
    tested = {"main": "main_accuracy", "auxiliary": "aux_accuracy"}[METHODS[run.method].tested]
    last = history[-1][tested]
    if last is None or not math.isclose(last, record["metrics"]["accuracy"], abs_tol=1e-4):
        yield "the last row of the history has another accuracy"


def _choice(record: Mapping, run: Run) -> Iterator[str]:
    """Say whether a tuned run chose the best of what it tried."""
    if not run.tune:
        return
    tried = record["tuning"]["tried"]
    if len(tried) != math.prod(len(values) for _, values in run.tune):
        yield f"it lists {len(tried)} trials, its settings ask for another number"
    best = min(tried, key=lambda row: (-row["accuracy"], math.inf if row["loss"] is None else row["loss"]))
    if any(best[name] != value for name, value in record["tuning"]["chosen"].items()):
        yield "the value that it chose is not the best of those tried"
