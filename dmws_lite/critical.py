"""Questions to a result: what averaged weights, copies, colour modes and few seeds do to it (notebook 06).

The counts of a real set that the notebook shows are made by this command and come with the project::

    python -m dmws_lite.critical --data FOLDER --to data/results/critical_facts.json
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import math
import platform
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from scipy import stats
from torch import nn

from .data import load_images
from .evaluation import Summary
from .experiments import class_numbers
from .images import Images, split
from .resources import data_path, write_atomic

# -- weight space -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def mix(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """Return a new network on the straight line between two: ``(1 - share) * first + share * second``.

    Floating-point buffers are averaged too; counters are the first network's.

    Args:
        first: network at ``share=0``.
        second: network of the same architecture, at ``share=1``.
        share: place on the line.
    """
    other = second.state_dict()
    mixed = {k: torch.lerp(w, other[k], share) if w.is_floating_point() else w for k, w in first.state_dict().items()}
    network = copy.deepcopy(first).eval()
    network.load_state_dict(mixed)
    return network


# -- copies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leak:
    """What copies of training images in the test part did to one run.

    Attributes:
        images: number of test images.
        copies: those of which a byte-identical copy was trained on.
        every: accuracy on all test images, which is what gets published.
        new: accuracy on the test images without a copy.
        seen: accuracy on those with one; NaN where there are none.
        alike: accuracy that the images with a copy would have if each were as hard as the new ones of its class.
    """

    images: int
    copies: int
    every: float
    new: float
    seen: float
    alike: float

    @property
    def gain(self) -> float:
        """What the copies add to the published accuracy, an easier mix of classes included."""
        return self.every - self.new

    @property
    def memory(self) -> float:
        """The part of it that the mix of classes does not explain; 0 where there are no copies."""
        return (self.seen - self.alike) * self.copies / self.images if self.copies else 0.0


def leak(record: Mapping) -> Leak:
    """Take a record apart into test images with and without a copy in the training part.

    Raises:
        ValueError: the record says nothing about single test images.
    """
    if not record.get("predicted") or "leaked_at" not in record["split"]:
        raise ValueError("the record has no predictions or no places of copies; make it again with this version")
    labels, predicted = (np.array(class_numbers(record[key])) for key in ("labels", "predicted"))
    right, copied = labels == predicted, np.zeros(len(labels), bool)
    copied[record["split"]["leaked_at"]] = True
    seen = alike = math.nan
    if copied.any():
        seen = right[copied].mean()
        alike = np.mean([right[~copied & (labels == label)].mean() for label in labels[copied]])
    accuracies = (right.mean(), right[~copied].mean(), seen, alike)
    return Leak(len(labels), int(copied.sum()), *map(float, accuracies))


def copy_counts(images: Images, fractions: Sequence[float], seeds: Sequence[int]) -> dict[float, list[int]]:
    """Count, for the paper's random split, the test images with a copy in the training part: fraction -> per seed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the (training|test) part has no image")
        return {f: [split(images, f, seed, rule="random").leaked for seed in seeds] for f in fractions}


# -- colour modes -----------------------------------------------------------------------------------------------------


def mode_counts(images: Images) -> dict[str, dict[str, int]]:
    """Count the files of each class by their colour mode: class -> mode -> files."""
    modes, labels = np.array(images.modes), images.labels.numpy()
    names = sorted(set(images.modes))
    return {
        name: {mode: int(((labels == label) & (modes == mode)).sum()) for mode in names}
        for label, name in enumerate(images.classes)
    }


def mode_rule(counts: Mapping[str, Mapping[str, int]]) -> tuple[float, float]:
    """Return how often two guesses that never look at a pixel are right.

    Args:
        counts: class -> mode -> files, see :func:`mode_counts`.

    Returns:
        Share of files for the most frequent class of the file's mode, and for the most frequent class of all.
    """
    table = np.array([list(row.values()) for row in counts.values()])
    return float(table.max(0).sum() / table.sum()), float(table.sum(1).max() / table.sum())


def facts(images: Images, command: str) -> dict:
    """Gather the counts that notebook 06 shows of a real set."""
    return {
        "dataset": images.name,
        "images": len(images),
        "distinct": len(set(images.digests)),
        "modes": mode_counts(images),
        "test_share": 0.2,
        "copies": {f"{f:g}": n for f, n in copy_counts(images, (0.01, 0.05, 0.1, 0.5, 1.0), range(20)).items()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "pillow": PIL.__version__},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": command,
    }


def read_facts() -> dict:
    """Return the counts that come with the project, ``data/results/critical_facts.json``."""
    return json.loads(data_path("results/critical_facts.json").read_text(encoding="utf-8"))


# -- intervals and tests ----------------------------------------------------------------------------------------------


def unpaired_difference(first: Summary, second: Summary, confidence: float = 0.95) -> Summary:
    """Return ``first - second`` with Welch's interval, from means and standard deviations alone.

    For published numbers, whose single runs nobody knows. Where both were measured on the same splits,
    :func:`dmws_lite.evaluation.paired_difference` is the better choice.

    Returns:
        The difference; its ``n`` is the smaller of the two, its ``sd`` belongs to one difference of single runs.
    """
    parts = [one.sd**2 / one.n for one in (first, second)]
    mean, error = first.mean - second.mean, math.sqrt(sum(parts))
    half = math.nan
    if min(first.n, second.n) > 1:
        freedom = sum(parts) ** 2 / sum(part**2 / (one.n - 1) for part, one in zip(parts, (first, second)))
        half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    sd = math.sqrt(first.sd**2 + second.sd**2)
    return Summary(min(first.n, second.n), mean, sd, mean - half, mean + half, ())


def mcnemar(first: Mapping, second: Mapping) -> tuple[int, int, float]:
    """Compare two trained networks image by image: McNemar's exact test.

    Args:
        first: record of a run.
        second: record of another run on the same split.

    Returns:
        Test images that only the first gets right, those that only the second gets right, and the two-sided p-value of
        so uneven a count if either were as likely; 1 where there are none.

    Raises:
        ValueError: the runs had different splits, or a record has no predictions.
    """
    if first["split"]["digest"] != second["split"]["digest"]:
        raise ValueError("the two runs were tested on different images; compare runs of one seed, fraction and rule")
    if not first.get("predicted") or not second.get("predicted"):
        raise ValueError("a record has no predictions for single images; make it again with this version")
    labels = first["labels"]
    right = [np.array([p == y for p, y in zip(record["predicted"], labels)]) for record in (first, second)]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    if not only_first + only_second:
        return 0, 0, 1.0
    return only_first, only_second, float(stats.binomtest(only_first, only_first + only_second).pvalue)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the counts of the brain MRI set."""
    parser = argparse.ArgumentParser(prog="python -m dmws_lite.critical", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data set")
    parser.add_argument("--to", type=Path, default=Path("critical_facts.json"), help="file to write")
    chosen = parser.parse_args(arguments)
    images = load_images("mri", chosen.data, size=32, progress=False)
    given = ["--data", "FOLDER", "--to", str(chosen.to)]
    content = facts(images, f"python -m dmws_lite.critical {shlex.join(given)}")
    path = write_atomic(chosen.to, json.dumps(content, indent=1) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
