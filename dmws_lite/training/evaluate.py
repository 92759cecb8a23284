"""How good a student is, with the uncertainty of the statement."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from sklearn import metrics as sk
from torch import Tensor, nn

from ..images.augment import input_statistics, normalise


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
