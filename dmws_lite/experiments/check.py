"""Is a record what it says? For records that readers add."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..images.splits import SPLIT_RULES
from .methods import METHODS
from .records import class_numbers, run_of
from .run import Run

_NEEDED = ("classes", "split", "metrics", "history", "seconds", "device", "versions", "date")


def check_record(path: str | Path) -> list[str]:
    """Check one record: its settings can be run, its name is theirs, and its numbers agree with one another.

    What a record says cannot prove that the run took place; it can only contradict itself.

    Args:
        path: the JSON file.

    Returns:
        What is wrong, one sentence each; empty if nothing is.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return [f"it is not JSON ({' '.join(str(error).split())})"]
    if not isinstance(record, Mapping):
        return ["it is no mapping"]
    if missing := [name for name in _NEEDED if name not in record]:
        return [f"it lacks {', '.join(missing)}"]
    try:
        run = run_of(record)
    except (TypeError, ValueError) as error:
        return [f"its settings cannot be run: {error}"]
    found = [] if path.stem == run.name else [f"its settings give the name {run.name}.json"]
    try:
        return found + _disagreements(record, run)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        return [*found, f"a part of it has another form than records have ({type(error).__name__}: {error})"]


def _disagreements(record: Mapping, run: Run) -> list[str]:
    """Return the sentences on numbers that do not agree."""
    found, metrics, split, history = [], record["metrics"], record["split"], record["history"]
    matrix, tested, trained = metrics["confusion"], split["test"], split["train"]
    right, total = sum(matrix[k][k] for k in range(len(matrix))), sum(map(sum, matrix))
    if total != tested or metrics["n"] != tested:
        found.append(f"the confusion matrix counts {total} images, the split has {tested} test images")
    if total and not math.isclose(metrics["accuracy"], right / total, abs_tol=1e-6):
        found.append(f"accuracy {metrics['accuracy']} is not {right} of {total} right, as the confusion matrix says")
    for name in ("accuracy", "macro_f1", "auroc"):
        if (value := metrics[name]) is not None and not 0 <= value <= 1:  # NaN is not in the range either
            found.append(f"{name} is {value}; it must lie between 0 and 1")
    if not 0 <= record["seconds"] < math.inf:
        found.append(f"it took {record['seconds']} seconds")
    if record.get("predicted"):  # the first records had none, and those of many classes have an empty one
        predicted, labels = class_numbers(record["predicted"]), class_numbers(record["labels"])
        counted = [[0] * len(matrix) for _ in matrix]
        for label, answer in zip(labels, predicted, strict=True):
            counted[label][answer] += 1
        if counted != matrix:
            found.append("predictions and labels give another confusion matrix")
    epochs = run.epochs_for(trained)
    if history[-1]["epoch"] != epochs:
        found.append(f"its history ends with epoch {history[-1]['epoch']}, its settings with epoch {epochs}")
    tested_column = {"main": "main_accuracy", "auxiliary": "aux_accuracy"}[METHODS[run.method].tested]
    last = history[-1][tested_column]
    if last is None or not math.isclose(last, metrics["accuracy"], abs_tol=1e-4):
        found.append("the last row of the history has another accuracy")
    if not all(math.isfinite(row["loss"]) for row in history):
        found.append("its history has a loss that is not a number")
    if split.get("leaked") and run.split_rule == SPLIT_RULES[0]:
        found.append(f"{split['leaked']} test images have a copy in the training part, which a grouped split excludes")
    if run.tune:
        tried = record["tuning"]["tried"]
        if len(tried) != math.prod(len(values) for _, values in run.tune):
            found.append(f"it lists {len(tried)} trials, its settings ask for another number")
        best = min(tried, key=lambda row: (-row["accuracy"], math.inf if row["loss"] is None else row["loss"]))
        if any(best[name] != value for name, value in record["tuning"]["chosen"].items()):
            found.append("the value that it chose is not the best of those tried")
    return found
