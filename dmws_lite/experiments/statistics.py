"""Means with intervals, differences with tests, and what copies in the test part do to an accuracy.

The counts that notebook 06 shows of a real set come from ``scripts/count_copies.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .._values import is_integer, is_number
from .records import class_numbers

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
    """Split a record's test images into those with and those without a copy in the training part.

    Raises:
        ValueError: the record has no prediction for each test image.
    """
    if not record.get("predicted") or "leaked_at" not in record["split"]:
        raise ValueError("the record lacks predictions or the positions of copies; run it again with this version")
    labels, predicted = (np.array(class_numbers(record[key])) for key in ("labels", "predicted"))
    right, copied = labels == predicted, np.zeros(len(labels), bool)
    copied[record["split"]["leaked_at"]] = True
    seen = alike = math.nan
    if copied.any():
        seen = right[copied].mean()
        alike = np.mean([right[~copied & (labels == label)].mean() for label in labels[copied]])
    accuracies = (right.mean(), right[~copied].mean(), seen, alike)
    return Leak(len(labels), int(copied.sum()), *map(float, accuracies))


# -- intervals and tests ----------------------------------------------------------------------------------------------


def unpaired_difference(first: Summary, second: Summary, confidence: float = 0.95) -> Summary:
    """Return ``first - second`` with Welch's interval, from means and standard deviations alone.

    Use it for published numbers, whose single runs are unknown. Where both were measured on the same splits,
    :func:`paired_difference` is the better choice.

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
        The number of test images that only the first gets right, the number that only the second gets right, and the
        two-sided p value under the hypothesis that both are equally likely; 1 where the two never differ.

    Raises:
        ValueError: the runs had different splits, or a record has no predictions.
    """
    if first["split"]["digest"] != second["split"]["digest"]:
        raise ValueError("the two runs were tested on different images; compare runs of one seed, fraction and rule")
    if not first.get("predicted") or not second.get("predicted"):
        raise ValueError("a record has no prediction for each image; run it again with this version")
    labels = first["labels"]
    right = [np.array([p == y for p, y in zip(record["predicted"], labels)]) for record in (first, second)]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    if not only_first + only_second:
        return 0, 0, 1.0
    return only_first, only_second, float(stats.binomtest(only_first, only_first + only_second).pvalue)


@dataclass(frozen=True)
class Summary:
    """A measurement repeated over seeds.

    Attributes:
        n: number of repeats.
        mean: their mean.
        sd: sample standard deviation (n - 1); NaN for one repeat.
        low: lower end of the 95% interval of the mean.
        high: its upper end.
        values: the repeats.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    values: tuple[float, ...]

    def __str__(self) -> str:
        if self.n == 1:
            return f"{self.mean:.3f} (n=1)"
        return f"{self.mean:.3f} ± {self.sd:.3f} (n={self.n}, 95% {self.low:.3f} to {self.high:.3f})"


def summarise(values: Sequence[float], confidence: float = 0.95) -> Summary:
    """Summarise repeats: mean, standard deviation and Student's t interval of the mean.

    The interval says where the mean over *seeds* lies; it knows nothing of other hospitals or scanners. With one
    repeat there is no interval (NaN).

    Args:
        values: at least one number, such as test accuracies over seeds.
        confidence: in (0, 1).

    Raises:
        ValueError: no value, or confidence out of range.

    Example:
        >>> from dmws_lite import summarise
        >>> print(summarise([0.70, 0.74, 0.72]))
        0.720 ± 0.020 (n=3, 95% 0.670 to 0.770)
    """
    if len(values) == 0:
        raise ValueError("0 values cannot be summarised; give at least one")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} is out of range; choose a number between 0 and 1, such as 0.95")
    x = np.asarray(values, dtype=float)
    if len(x) == 1:
        return Summary(1, float(x[0]), math.nan, math.nan, math.nan, (float(x[0]),))
    sd = float(x.std(ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1)) * sd / math.sqrt(len(x))
    mean = float(x.mean())
    return Summary(len(x), mean, sd, mean - half, mean + half, tuple(map(float, x)))


def proportion_interval(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval for an accuracy measured once on ``n`` images (for one run, where no seeds repeat).

    Raises:
        ValueError: share outside [0, 1] or n below 1.
    """
    if not is_number(share) or not 0 <= share <= 1 or not is_integer(n) or n < 1:
        raise ValueError(
            f"share={share!r} of n={n!r} images is no proportion; share must be in [0, 1] and n at least 1"
        )
    result = stats.binomtest(round(share * n), n).proportion_ci(confidence, method="wilson")
    return float(result.low), float(result.high)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Summary:
    """Summarise ``first - second`` over the same seeds and splits; pairing removes what the split itself does.

    Raises:
        ValueError: the two do not have one value per common seed.

    Example:
        >>> from dmws_lite.experiments.statistics import paired_difference
        >>> print(paired_difference([0.70, 0.74, 0.72], [0.68, 0.73, 0.69]))  # three seeds of each method
        0.020 ± 0.010 (n=3, 95% -0.005 to 0.045)
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired; give one of each per seed")
    return summarise([a - b for a, b in zip(first, second)])


def paired_power(effect: float, sd: float, n: int) -> float:
    """Return the chance that the 95% t interval of ``n`` paired differences excludes 0 (noncentral t).

    Args:
        effect: the true mean difference.
        sd: of the differences, > 0.
        n: number of seeds, at least 2.

    Raises:
        ValueError: sd or n out of range.

    Example:
        >>> from dmws_lite.experiments.statistics import paired_power
        >>> [round(paired_power(0.03, 0.03, n), 2) for n in (5, 10, 20)]
        [0.4, 0.8, 0.99]
    """
    if sd <= 0 or n < 2:
        raise ValueError(f"sd={sd!r} with n={n!r} has no power; sd must be positive and n at least 2")
    edge, shift = stats.t.ppf(0.975, n - 1), effect / sd * math.sqrt(n)
    wrong_side = stats.nct.cdf(-edge, n - 1, shift)  # NaN where it is too small for scipy
    return float(stats.nct.sf(edge, n - 1, shift) + (0 if math.isnan(wrong_side) else wrong_side))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for the number of comparisons (Holm 1979); NaN stays NaN and does not count.

    Example:
        >>> from dmws_lite.experiments.statistics import holm
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted
