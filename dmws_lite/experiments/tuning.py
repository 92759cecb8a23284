"""Choosing a setting, such as the learning rate, on a part of the training images; the test part is not looked at.

Every value is tried the same number of times: once for each fold of a cross-validation inside the training part,
stratified by class, with byte-identical files kept in one fold. The value with the most right answers on the images
that were held out wins; ties go to the lower cross-entropy, then to the value that was listed first. The run then
trains with that value on all its training images.

With few labels this is expensive and unreliable at once: 3 folds and 6 values are 18 further runs, and a choice among
them rests on a few dozen images. The record says what was tried.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from ..images.splits import Split
from ..training.config import Result
from .run import Run


@dataclass(frozen=True)
class Trial:
    """A run with one of the values, trained on the training images outside a fold and judged on the fold.

    Attributes:
        run: the run with these values, without tuning.
        data: the training images outside the fold, and the fold in the place of the test images.
        values: the values by name.
    """

    run: Run
    data: Split
    values: dict[str, float]


def inner_splits(data: Split, folds: int, seed: int = 0) -> list[Split]:
    """Split the training part again, for a choice that must not see the test part.

    Args:
        data: a split; its test part is not used.
        folds: number of folds, at least 2; 1 holds out a quarter once.
        seed: 0 or larger.

    Returns:
        One split per fold: ``train`` are the other training images, ``test`` those of the fold.

    Raises:
        ValueError: a class has fewer distinct training images than there are folds.
    """
    parts = folds if folds > 1 else 4
    labels, groups = data.train.labels.numpy(), np.array(data.train.digests)
    for label, name in enumerate(data.train.classes):
        distinct = len(set(groups[labels == label]))
        if distinct < parts:
            raise ValueError(
                f"class {name!r} has {distinct} distinct training images, too few for {parts} parts; choose "
                "fewer folds, or a larger fraction"
            )
    kinds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    found = []
    for inside, outside in list(kinds.split(labels, labels, groups))[:folds]:
        index = [torch.from_numpy(np.sort(part)) for part in (inside, outside)]
        train, test = (data.train_index[part] for part in index)
        digest = hashlib.sha256(train.numpy().tobytes() + b"/" + test.numpy().tobytes()).hexdigest()
        parts_of = {"train": data.train.subset(index[0]), "test": data.train.subset(index[1])}
        found.append(replace(data, **parts_of, train_index=train, test_index=test, digest=digest, leaked=0))
    return found


def trials(run: Run, data: Split) -> list[Trial]:
    """Return what must be tried before the run: every combination of its values on every fold."""
    names, lists = [name for name, _ in run.tune], [values for _, values in run.tune]
    splits = inner_splits(data, run.folds, run.seed)
    found = []
    for chosen in itertools.product(*lists):
        values = dict(zip(names, chosen))
        found += [Trial(replace(run, tune=(), measurements=1, **values), inner, values) for inner in splits]
    return found


def choose(run: Run, tried: Sequence[Trial], results: Sequence[Result | None]) -> tuple[Run, dict]:
    """Choose the best values.

    Args:
        run: the run that is tuned.
        tried: its trials.
        results: what came out, in the same order; ``None`` where the loss was no longer finite, which counts as no
            right answer.

    Returns:
        The run with the best values and without tuning; and what the record keeps: ``chosen``, ``folds``, ``images``
        (those trained on and those held out, per fold), ``tried`` (for each combination its values, ``accuracy`` and
        ``loss`` over all images that were held out, and the accuracy ``by_fold``) and ``seconds`` of all trials.
    """
    combined: dict[tuple, list[tuple[Trial, Result | None]]] = {}
    for trial, result in zip(tried, results, strict=True):
        combined.setdefault(tuple(trial.values.items()), []).append((trial, result))
    rows = [_row(pairs) for pairs in combined.values()]
    best = min(rows, key=lambda row: (-row["accuracy"], row["loss"]))  # the first of equals
    chosen = {name: best[name] for name, _ in run.tune}
    sizes = [[len(trial.data.train), len(trial.data.test)] for trial, _ in next(iter(combined.values()))]
    rows = [{**row, "loss": row["loss"] if math.isfinite(row["loss"]) else None} for row in rows]
    seconds = round(sum(result.seconds for result in results if result), 2)
    kept = {"chosen": chosen, "folds": run.folds, "images": sizes, "tried": rows, "seconds": seconds}
    return replace(run, tune=(), **chosen), kept


def _row(pairs: Sequence[tuple[Trial, Result | None]]) -> dict:
    held_out = [len(trial.data.test) for trial, _ in pairs]
    by_fold = [result.metrics["accuracy"] if result else 0.0 for _, result in pairs]
    losses = [result.history[-1]["test_loss"] if result else math.inf for _, result in pairs]
    total = sum(held_out)
    return {
        **pairs[0][0].values,
        "accuracy": round(sum(n * value for n, value in zip(held_out, by_fold)) / total, 6),
        "loss": round(sum(n * value for n, value in zip(held_out, losses)) / total, 6),
        "by_fold": [round(value, 4) for value in by_fold],
    }
