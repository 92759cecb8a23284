"""How good a student is: predictions, metrics, and what the history says of both students on the test images."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import metrics as sk
from torch import Tensor, nn

from .._values import check_integer, check_weights, is_number
from ..images.augment import check_pixels, input_statistics, normalise
from ..images.dataset import Images


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

    Raises:
        ValueError: the pixels are no ``uint8``.
        FloatingPointError: an answer is NaN or infinite; the message names the weight that is, if one is.
    """
    device = next(model.parameters()).device
    if batch_size is None:
        batch_size = 32 if device.type == "cpu" else 256
    check_integer("batch_size", batch_size, 1)
    check_pixels(pixels)
    mean, std = input_statistics(model)
    training = model.training
    model.eval()
    logits = [model(normalise(part.to(device), mean, std)).float() for part in pixels.split(batch_size)]
    model.train(training)
    answers = torch.cat(logits)
    if not bool(answers.isfinite().all()):
        try:
            check_weights(model.state_dict(), "the network", "train again with a lower learning rate")
        except ValueError as error:
            raise FloatingPointError(str(error)) from None
        raise FloatingPointError("the network answers with NaN or infinite logits, so its answers mean nothing")
    return answers


def predict_probabilities(model: nn.Module, pixels: Tensor, batch_size: int | None = None) -> Tensor:
    """Return class probabilities, ``float32`` ``(N, K)``, on the CPU; see :func:`predict_logits`."""
    return predict_logits(model, pixels, batch_size).cpu().softmax(1)


def check_labels(probabilities: Tensor, labels: Tensor) -> None:
    """Check that labels are class numbers, one for each row of finite probabilities or logits.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)``, integers in ``0 .. K - 1``.

    Raises:
        ValueError: a label is no class number, or there is not one for each row.
        FloatingPointError: a probability is NaN or infinite.
    """
    if probabilities.ndim != 2 or tuple(labels.shape) != (len(probabilities),):
        raise ValueError(
            f"probabilities have shape {tuple(probabilities.shape)}, labels {tuple(labels.shape)}; they must be (N, K) "
            "and (N,)"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels are {labels.dtype}, but must be integers: class numbers from 0")
    k = probabilities.shape[1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < k:
        low, high = int(labels.min()), int(labels.max())
        raise ValueError(f"labels run from {low} to {high}, but {k} classes allow 0 to {k - 1}")
    if not bool(probabilities.isfinite().all()):
        raise FloatingPointError("some probabilities are NaN or infinite, so they have no most probable class")


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Return the share of images whose most probable class is the labelled one, the paper's metric.

    Args:
        probabilities: ``(N, K)``; logits do as well.
        labels: ``(N,)`` class numbers.
    """
    check_labels(probabilities, labels)
    return (probabilities.argmax(1).cpu() == labels.cpu()).double().mean().item()


def macro_f1(probabilities: Tensor, labels: Tensor) -> float:
    """Return the F1 score, averaged over classes with equal weight; a class never predicted counts 0.

    Args:
        probabilities: ``(N, K)``; logits do as well.
        labels: ``(N,)`` class numbers.
    """
    check_labels(probabilities, labels)
    k = probabilities.shape[1]
    predicted = probabilities.argmax(1).cpu().numpy()
    return float(sk.f1_score(labels.cpu().numpy(), predicted, labels=range(k), average="macro", zero_division=0))


def auroc(probabilities: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve, one class against the rest, averaged over classes.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)`` class numbers.

    Returns:
        A share in [0, 1]. A class that no image has, or every image, has no curve and is left out; NaN if none has one.
    """
    check_labels(probabilities, labels)
    p, y = probabilities.cpu().double().numpy(), labels.cpu().numpy()
    areas = [sk.roc_auc_score(y == k, p[:, k]) for k in range(p.shape[1]) if 0 < (y == k).sum() < len(y)]
    return float(np.mean(areas)) if areas else math.nan


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> np.ndarray:
    """Count images by labelled class (row) and predicted class (column).

    Args:
        probabilities: ``(N, K)``; logits do as well.
        labels: ``(N,)`` class numbers.

    Returns:
        ``int64`` ``(K, K)``.
    """
    check_labels(probabilities, labels)
    k = probabilities.shape[1]
    return sk.confusion_matrix(labels.cpu().numpy(), probabilities.argmax(1).cpu().numpy(), labels=range(k))


def score(probabilities: Tensor, labels: Tensor) -> dict:
    """Compare predictions with labels.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)`` class numbers.

    Returns:
        ``accuracy``, ``macro_f1``, ``auroc`` (shares in [0, 1]), ``confusion`` (list of rows, see
        :func:`confusion_matrix`) and ``n`` (number of images), as plain numbers that fit in a JSON record.

    Example:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
        >>> metrics = score(probabilities, torch.tensor([0, 1, 1, 1]))
        >>> metrics["accuracy"], metrics["confusion"]
        (0.75, [[1, 0], [1, 2]])
    """
    return {
        "accuracy": accuracy(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
        "auroc": auroc(probabilities, labels),
        "confusion": confusion_matrix(probabilities, labels).tolist(),
        "n": len(labels),
    }


def evaluate(model: nn.Module, pixels: Tensor, labels: Tensor, batch_size: int | None = None) -> dict:
    """Measure a classifier on labelled images.

    Args:
        model: classifier; its mode is restored afterwards.
        pixels: ``uint8``, ``(N, H, W)`` or ``(N, 3, H, W)``, at the size the model expects.
        labels: ``(N,)`` class numbers.
        batch_size: images per forward pass, see :func:`predict_logits`.

    Returns:
        What :func:`score` returns.

    Raises:
        ValueError: there are no images, or not one label per image.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 4, 2))
        >>> _ = torch.nn.init.zeros_(model[1].weight), torch.nn.init.zeros_(model[1].bias)  # always answers class 0
        >>> evaluate(model, torch.zeros(3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 1]))["confusion"]
        [[1, 0], [2, 0]]
    """
    if len(pixels) == 0 or len(pixels) != len(labels):
        raise ValueError(
            f"{len(pixels)} images and {len(labels)} labels; give at least one image, and a label for each"
        )
    return score(predict_probabilities(model, pixels, batch_size), labels)


MEASURED = ("test_loss", "aux_test_loss", "main_accuracy", "aux_accuracy", "agreement")


@dataclass(frozen=True)
class Measurement:
    """Both students' answers to the test images, on the CPU: float64, which some GPUs lack, is available there.

    Attributes:
        labels: ``(N,)`` class numbers.
        main: ``(N, K)`` logits of main.
        aux: ``(N, K)`` logits of the auxiliary, or ``None`` without one.
    """

    labels: Tensor
    main: Tensor
    aux: Tensor | None

    def columns(self) -> dict[str, float | None]:
        """Return the columns :data:`MEASURED` of a row of the history, see :class:`.Result`."""
        row: dict[str, float | None] = dict.fromkeys(MEASURED)
        row["test_loss"] = F.cross_entropy(self.main, self.labels).item()
        row["main_accuracy"] = accuracy(self.main, self.labels)
        if self.aux is not None:
            row["aux_test_loss"] = F.cross_entropy(self.aux, self.labels).item()
            row["aux_accuracy"] = accuracy(self.aux, self.labels)
            row["agreement"] = accuracy(self.main, self.aux.argmax(1))
        return row

    def scores(self) -> tuple[dict, dict | None]:
        """Return what :func:`score` says of main, and of the auxiliary (``None`` without one)."""
        of_aux = None if self.aux is None else score(self.aux.softmax(1), self.labels)
        return score(self.main.softmax(1), self.labels), of_aux


def measure(main: nn.Module, aux: nn.Module | None, images: Images) -> Measurement:
    """Let both students predict images.

    Args:
        main: main student; its mode is restored afterwards.
        aux: auxiliary student, or ``None``.
        images: the test images.
    """
    main_logits = predict_logits(main, images.pixels).cpu()
    aux_logits = None if aux is None else predict_logits(aux, images.pixels).cpu()
    return Measurement(images.labels.cpu(), main_logits, aux_logits)


@torch.no_grad()
def mix(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """Return a new network on the straight line between two: ``(1 - share) * first + share * second``.

    Floating-point buffers are averaged too; counters are the first network's.

    Args:
        first: network at ``share=0``.
        second: network of the same architecture, at ``share=1``.
        share: place on the line; in [0, 1] between the two.
    """
    if not is_number(share):
        raise ValueError(f"share={share!r} is no number; give a place on the line, 0 for the first network")
    other = second.state_dict()
    mixed = {k: torch.lerp(w, other[k], share) if w.is_floating_point() else w for k, w in first.state_dict().items()}
    network = copy.deepcopy(first).eval()
    network.load_state_dict(mixed)
    return network
