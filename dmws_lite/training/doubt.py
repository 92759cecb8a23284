"""Is an image unlike those that a network was trained on? Its features' distance from the training images'.

The distance is Mahalanobis': from the nearest class mean of the training images, in units of their spread within the
classes. The threshold is the distance that one in twenty held-out images of the same source exceeds, so about that
share of ordinary images is doubted as well. It says nothing about an answer being right.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from .._sealed import Damaged, read_file
from .._system import write_atomic
from .._values import check_weights
from ..images.augment import input_statistics, normalise

DOUBT = "doubt.safetensors"

_HELD_OUT = 0.95  # of held-out images are within the threshold

_SHRINK = 0.1  # of the spread's matrix is replaced by its mean diagonal, so that few images suffice


@dataclass(frozen=True)
class Typical:
    """What training images look like to a network.

    Attributes:
        means: ``(K, D)``, features of each class on average.
        whitening: ``(D, D)``, turns differences of features into units of spread.
        threshold: distance beyond which an image is called unlike the training images, > 0.
    """

    means: Tensor
    whitening: Tensor
    threshold: float

    def doubt(self, features: Tensor) -> Tensor:
        """Return each image's distance divided by the threshold, ``(N,)``: above 1 is unlike the training images."""
        return self._distance(features) / self.threshold

    def _distance(self, features: Tensor) -> Tensor:
        return torch.cdist(features @ self.whitening, self.means @ self.whitening).amin(1)


@torch.no_grad()
def features_of(model: nn.Module, pixels: Tensor, batch_size: int = 64) -> Tensor:
    """Return what the last layer reads, ``float32`` ``(N, D)``, on the CPU.

    Args:
        model: a timm classifier; its mode is restored afterwards.
        pixels: ``uint8``, ``(N, H, W)`` or ``(N, 3, H, W)``.
        batch_size: images per forward pass.
    """
    device, training = next(model.parameters()).device, model.training
    mean, std = input_statistics(model)
    model.eval()
    parts = [
        model.forward_head(model.forward_features(normalise(part.to(device), mean, std)), pre_logits=True).float().cpu()
        for part in pixels.split(batch_size)
    ]
    model.train(training)
    return torch.cat(parts)


def measure_typical(model: nn.Module, pixels: Tensor, labels: Tensor, held_out: Tensor) -> Typical:
    """Measure what training images look like.

    Args:
        model: the trained network.
        pixels: of the training images.
        labels: ``(N,)`` class numbers.
        held_out: pixels of images of the same source that were not trained on; they set the threshold.
    """
    features = features_of(model, pixels)
    present = labels.unique()
    means = torch.stack([features[labels == label].mean(0) for label in present])
    inside = features - means[torch.searchsorted(present, labels)]
    spread = inside.T @ inside / max(1, len(inside) - len(present))
    level = spread.diagonal().mean().clamp_min(1e-8)
    spread = (1 - _SHRINK) * spread + _SHRINK * level * torch.eye(len(spread))
    values, vectors = torch.linalg.eigh(spread)
    typical = Typical(means, vectors / values.clamp_min(1e-8).sqrt(), 1.0)
    distances = typical.doubt(features_of(model, held_out))
    return Typical(typical.means, typical.whitening, max(float(distances.quantile(_HELD_OUT)), 1e-6))


def save_typical(folder: Path, typical: Typical) -> Path:
    """Write the measures beside a trained network."""
    tensors = {
        "means": typical.means.contiguous(),
        "whitening": typical.whitening.contiguous(),
        "threshold": torch.tensor(typical.threshold),
    }
    digest = tensors_digest(safetensors.torch.save(tensors))
    return write_atomic(folder / DOUBT, safetensors.torch.save(tensors, metadata={"sha256": digest}))


def tensors_digest(payload: bytes) -> str:
    """Return the SHA-256 of the names, shapes and values in a safetensors file; its other entries do not count."""
    end = 8 + int.from_bytes(payload[:8], "little")
    tensors = {name: about for name, about in json.loads(payload[8:end]).items() if name != "__metadata__"}
    return hashlib.sha256(json.dumps(tensors, sort_keys=True).encode() + payload[end:]).hexdigest()


def _stated_digest(payload: bytes) -> str | None:
    end = 8 + int.from_bytes(payload[:8], "little")
    return json.loads(payload[8:end]).get("__metadata__", {}).get("sha256")


def load_typical(folder: Path) -> Typical | None:
    """Read the measures of a run folder; ``None`` where it has none.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / DOUBT
    if not path.is_file():
        return None
    try:
        payload = read_file(path)
        stored = safetensors.torch.load(payload)
        if _stated_digest(payload) not in (None, tensors_digest(payload)):
            raise Damaged("its content has another checksum than it had when it was written")
        check_weights(stored, path.name, "the file is of no use")
        typical = Typical(stored["means"], stored["whitening"], float(stored["threshold"]))
        wide = typical.means.shape[1]
        if typical.whitening.shape != (wide, wide) or typical.threshold <= 0:
            raise Damaged("its shapes or its threshold do not fit")
        return typical
    except (KeyError, IndexError, ValueError, RuntimeError, AttributeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to predict without doubt") from error
