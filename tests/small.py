"""Ten-line networks and a handful of images, for tests that train."""

import hashlib

import torch
from safetensors.torch import save
from timm.models.convnext import ConvNeXt
from torch import nn

from dmws_lite.images.dataset import Images
from dmws_lite.training.config import TrainConfig


def images(n=60, size=32, seed=0):
    """Three classes of noise with a bright bar at one of three heights: easy, but not for nothing."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 120, (n, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % 3
    for i, label in enumerate(labels.tolist()):
        pixels[i, 4 + 10 * label : 10 + 10 * label] += 100
    digests = tuple(hashlib.sha256(p.numpy().tobytes()).hexdigest() for p in pixels)
    return Images(pixels=pixels, labels=labels, classes=("low", "middle", "high"), name="bars", digests=digests,
                  files=("",) * n, skipped=())  # fmt: skip


def network(seed=0, batch_norm=False):
    torch.manual_seed(seed)
    if batch_norm:
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 225, 3))
    return ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), patch_size=2, num_classes=3, drop_path_rate=0.2)


def config(**options):
    return TrainConfig(**{"epochs": 4, "batch_size": 8, "device": "cpu", "progress": False, "shift": 0.0, **options})


def bits(*models):
    return hashlib.sha256(
        b"".join(save({k: v.contiguous() for k, v in m.state_dict().items()}) for m in models)
    ).hexdigest()
