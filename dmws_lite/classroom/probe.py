"""A linear probe: how well a simple classifier reads the class from a network's channels."""

from __future__ import annotations

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


def linear_probe(model: nn.Module, data: Split) -> float:
    """Fit a logistic regression to the channel means of the training images; return its accuracy on the test images.

    Example:
        >>> from dmws_lite import load_images, load_teacher, split
        >>> from dmws_lite.classroom.probe import linear_probe
        >>> data = split(load_images("phantom-mri", n=40, size=32, progress=False), fraction=1.0)
        >>> 0 <= linear_probe(load_teacher("convnext_pocket", quiet=True), data) <= 1
        True
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    classifier.fit(channel_means(model, data.train.pixels), data.train.labels)
    return classifier.score(channel_means(model, data.test.pixels), data.test.labels)
