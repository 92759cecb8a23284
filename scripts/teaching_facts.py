"""The numbers that the exam bank and the homework's answers speak of, computed from formulas, records and the paper."""

from __future__ import annotations

import math

from dmws_lite import half_life
from dmws_lite.experiments.compare import difference, find, group_records
from dmws_lite.experiments.records import paper_numbers, read_facts, read_records
from dmws_lite.experiments.statistics import Summary, paired_difference, proportion_interval
from dmws_lite.images.dataset import mode_rule


def facts() -> dict[str, str]:
    """Return the numbers as text, by the names that ``<<name>>`` in ``data/teaching`` stands for."""
    return {**_formulas(), **_paper(), **_records()}


def steps_until(share: float, beta: float) -> int:
    """Return after how many whole steps at most this share of the auxiliary's start is left."""
    return math.ceil(math.log(share) / math.log(beta))


def _formulas() -> dict[str, str]:
    twenty, two_hundred = proportion_interval(0.8, 20), proportion_interval(0.8, 200)
    return {
        "half_life_90": f"{half_life(0.9):.1f}",
        "steps_1_percent_90": f"{steps_until(0.01, 0.9)}",
        "steps_1_percent_99": f"{steps_until(0.01, 0.99)}",
        "beta_tenth_after_18": f"{0.1 ** (1 / 18):.2f}",
        "one_of_twenty": f"{1 - 0.95**20:.0%}",
        "interval_20": f"{twenty[0]:.2f} to {twenty[1]:.2f}",
        "interval_200": f"{two_hundred[0]:.2f} to {two_hundred[1]:.2f}",
    }


def _paper() -> dict[str, str]:
    paper = paper_numbers()
    cells = [cell for table in "234" for cell in paper["tables"][table]["cells"]]

    def mean(**wanted: object) -> float:
        (cell,) = [c for c in cells if all(c[name] == value for name, value in wanted.items())]
        return cell["mean"]

    mri = {"dataset": "mri", "arch": "convnext"}
    ours, cm1 = (mean(**mri, fraction=0.05, method=method) for method in ("ours", "cm1"))
    starts = [mean(**mri, fraction=0.01, method=method) for method in ("cm2", "cm3", "cm4")]
    return {
        "paper_ours": f"{ours:.3f}",
        "paper_cm1": f"{cm1:.3f}",
        "paper_gain": f"{ours - cm1:+.3f}",
        "paper_random_starts": ", ".join(f"{value:.3f}" for value in starts),
    }


def interval(summary: Summary) -> str:
    """Return a mean difference with its 95% interval, as the book prints it."""
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


def _records() -> dict[str, str]:
    ablations, lessons = (group_records(read_records(grid=name)) for name in ("ablations", "lessons"))

    def compared(first: str, second: str) -> str:
        return interval(difference(find(ablations, first), find(ablations, second)).summary)

    accuracies: dict[str, dict[int, float]] = {}
    for record in read_records(grid="tables", dataset="mri", fraction=0.05):
        accuracies.setdefault(record["method"], {})[record["seed"]] = record["metrics"]["accuracy"]
    seeds = sorted(set(accuracies["ours"]) & set(accuracies["cm1"]))
    mri = paired_difference(*([accuracies[method][seed] for seed in seeds] for method in ("ours", "cm1")))
    found = read_facts()
    by_mode, by_majority = mode_rule(found["modes"])
    copies = {name: sum(counted) / len(counted) for name, counted in found["copies"].items()}
    test_images = found["test_share"] * found["images"]
    return {
        "ours_cm1": compared("ours", "cm1"),
        "lessons_inconsistent": interval(
            difference(*(find(lessons, key) for key in ("ours", "ours random_inconsistent"))).summary
        ),
        "ours_same_start": compared("ours", "same_start"),
        "same_start_cm1": compared("same_start", "cm1"),
        "mri_5_ours_cm1": interval(mri),
        "mri_5_seeds": f"{len(seeds)}",
        "mri_files": f"{found['images']:,}",
        "mri_repeats": f"{found['images'] - found['distinct']}",
        "copies_5": f"{copies['0.05']:.1f}",
        "copies_100": f"{copies['1']:.1f}",
        "copies_100_share": f"{copies['1'] / test_images:.1%}",
        "mode_guess": f"{by_mode:.2f}",
        "majority_guess": f"{by_majority:.2f}",
    }
