"""How good a student is, with the uncertainty of the statement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from sklearn import metrics as sk
from torch import Tensor, nn

from .inputs import input_statistics, normalise


@torch.no_grad()
def predict_logits(model: nn.Module, pixels: Tensor, batch_size: int | None = None) -> Tensor:
    """Run a network in eval mode over stored images.

    Args:
        model: classifier; its mode is restored afterwards.
        pixels: ``uint8``, ``(N, H, W)`` or ``(N, 3, H, W)``, at the size the model expects.
        batch_size: images per forward pass; ``None`` for 256 on a GPU and 32 on a CPU, where larger batches leave the
            caches and get slower (``benchmarks/README.md``).

    Returns:
        Logits, ``float32`` ``(N, K)``, on the model's device.
    """
    device = next(model.parameters()).device
    batch_size = batch_size or (32 if device.type == "cpu" else 256)
    mean, std = input_statistics(model)
    training = model.training
    model.eval()
    found = [model(normalise(part.to(device), mean, std)).float() for part in pixels.split(batch_size)]
    model.train(training)
    return torch.cat(found)


def predict_probabilities(model: nn.Module, pixels: Tensor, batch_size: int | None = None) -> Tensor:
    """Return class probabilities, ``float32`` ``(N, K)``, on the CPU; see :func:`predict_logits`."""
    return predict_logits(model, pixels, batch_size).softmax(1).cpu()


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Return the share of images whose most probable class is the labelled one, the paper's metric."""
    return (probabilities.argmax(1).cpu() == labels.cpu()).double().mean().item()


def macro_f1(probabilities: Tensor, labels: Tensor) -> float:
    """Return the F1 score, averaged over classes with equal weight; a class never predicted counts 0."""
    k = probabilities.shape[1]
    predicted = probabilities.argmax(1).cpu().numpy()
    return float(sk.f1_score(labels.cpu().numpy(), predicted, labels=range(k), average="macro", zero_division=0))


def auroc(probabilities: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve, one class against the rest, averaged over classes.

    A class that is absent from ``labels``, or fills them, has no curve and is left out; NaN if none has one.
    """
    p, y = probabilities.cpu().double().numpy(), labels.cpu().numpy()
    areas = [sk.roc_auc_score(y == k, p[:, k]) for k in range(p.shape[1]) if 0 < (y == k).sum() < len(y)]
    return float(np.mean(areas)) if areas else math.nan


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> np.ndarray:
    """Count images by labelled class (row) and predicted class (column), ``int64`` ``(K, K)``."""
    k = probabilities.shape[1]
    return sk.confusion_matrix(labels.cpu().numpy(), probabilities.argmax(1).cpu().numpy(), labels=range(k))


def evaluate(model: nn.Module, pixels: Tensor, labels: Tensor, batch_size: int | None = None) -> dict:
    """Measure a classifier on labelled images.

    Returns:
        What :func:`score` returns.

    Raises:
        ValueError: there are no images, or not one label per image.
    """
    if len(pixels) == 0 or len(pixels) != len(labels):
        raise ValueError(
            f"{len(pixels)} images and {len(labels)} labels; give at least one image, and a label for each"
        )
    return score(predict_probabilities(model, pixels, batch_size), labels)


def score(probabilities: Tensor, labels: Tensor) -> dict:
    """Compare predictions with labels.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)`` class numbers.

    Returns:
        ``accuracy``, ``macro_f1``, ``auroc`` (shares in 0 .. 1), ``confusion`` (list of rows) and ``n``, as plain
        numbers that fit in a JSON record.
    """
    return {
        "accuracy": accuracy(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
        "auroc": auroc(probabilities, labels),
        "confusion": confusion_matrix(probabilities, labels).tolist(),
        "n": len(labels),
    }


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
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(
            f"share={share!r} of n={n!r} images is no proportion; share must be in [0, 1] and n at least 1"
        )
    result = stats.binomtest(round(share * n), n).proportion_ci(confidence, method="wilson")
    return float(result.low), float(result.high)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Summary:
    """Summarise ``first - second`` over the same seeds and splits; pairing removes what the split itself does.

    Raises:
        ValueError: the two do not have one value per common seed.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired; give one of each per seed")
    return summarise([a - b for a, b in zip(first, second)])
