"""A linear probe: how well a simple classifier reads the class from a network's channels, whole or damaged."""

from __future__ import annotations

import copy

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from ..images.augment import input_statistics, normalise
from ..images.splits import Split


@torch.no_grad()
def channel_means(model: nn.Module, pixels: Tensor) -> np.ndarray:
    """Return each channel of the last stage, averaged over the picture: ``(images, channels)``.

    Args:
        model: a convolutional network of timm, put into eval mode.
        pixels: ``uint8`` ``(N, H, W)`` or ``(N, H, W, 3)``.
    """
    model.eval()
    inputs = normalise(pixels, *input_statistics(model))
    return torch.cat([model.forward_features(part).mean((2, 3)) for part in inputs.split(100)]).numpy()


def probe_score(train: np.ndarray, test: np.ndarray, data: Split) -> float:
    """Fit a logistic regression to the numbers of the training images; return its accuracy on the test images.

    Args:
        train: ``(images, numbers)`` of ``data.train``.
        test: the same of ``data.test``.
        data: has the labels.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return classifier.fit(train, data.train.labels).score(test, data.test.labels)


def linear_probe(model: nn.Module, data: Split) -> float:
    """Fit a logistic regression to the channel means of the training images; return its accuracy on the test images.

    Example:
        >>> from dmws_lite import load_images, load_teacher, split
        >>> from dmws_lite.classroom.probe import linear_probe
        >>> data = split(load_images("phantom-mri", n=40, size=32, progress=False), fraction=1.0)
        >>> 0 <= linear_probe(load_teacher("convnext_pocket", quiet=True), data) <= 1
        True
    """
    return probe_score(channel_means(model, data.train.pixels), channel_means(model, data.test.pixels), data)


def zeroed(model: nn.Module, share: float, largest: bool) -> nn.Module:
    """Return a copy of a network in which a share of the entries of each weight tensor is zero; biases and norms stay.

    Args:
        model: any network.
        share: of the entries of a tensor, from 0 to 1.
        largest: take the entries that are largest in size, or else the smallest.

    Raises:
        ValueError: the share is not from 0 to 1.

    Example:
        >>> import torch
        >>> from dmws_lite.classroom.probe import zeroed
        >>> layer = torch.nn.Linear(4, 1)
        >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, -4.0, 1.0, 2.0]]))
        >>> zeroed(layer, 0.25, largest=True).weight.tolist()
        [[3.0, 0.0, 1.0, 2.0]]
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; give the part of the entries, from 0 to 1")
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weights in other.parameters():
            if weights.ndim > 1:
                order = weights.abs().flatten().argsort(descending=largest)
                weights.view(-1)[order[: round(share * len(order))]] = 0
    return other
