"""Images that are nearly equal: stored again with another format, size or brightness, or neighbouring slices.

Each image is shrunk to 16 x 16 averages, from which its mean is taken off and whose length is set to one; two images
are near where the product of these is at least :data:`NEAR`. On brain MRI images, files stored again as JPEG of
quality 50, at 40 of 64 pixels, or 20% brighter were near their originals, and a crop by a few pixels was not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .dataset import Images

NEAR = 0.995

_SIDE = 16

_ROWS = 1024  # images compared with all others at a time


def near_pairs(pixels: torch.Tensor, limit: float = NEAR) -> list[tuple[int, int]]:
    """Return the pairs of images that are nearly equal, equal ones included.

    Args:
        pixels: ``uint8``, ``(N, H, W)`` or ``(N, 3, H, W)``.
        limit: smallest product of two images' averages, in (0, 1].

    Returns:
        Pairs ``(i, j)`` with ``i < j``. Images without contrast are near one another.
    """
    grey = pixels[:, None] if pixels.ndim == 3 else pixels
    small = torch.cat([_averages(part) for part in grey.split(_ROWS)]) if len(grey) else torch.empty(0, _SIDE**2)
    pairs: list[tuple[int, int]] = []
    for first in range(0, len(small), _ROWS):
        near = torch.triu(small[first : first + _ROWS] @ small[first:].T >= limit, diagonal=1)
        pairs += [(first + i, first + j) for i, j in near.nonzero().tolist()]
    return pairs


def _averages(pixels: torch.Tensor) -> torch.Tensor:
    small = F.adaptive_avg_pool2d(pixels.float().mean(1, keepdim=True), _SIDE).flatten(1)
    small = small - small.mean(1, keepdim=True)
    flat = small.norm(dim=1, keepdim=True) < 1
    small = torch.where(flat, torch.ones_like(small), small)
    return small / small.norm(dim=1, keepdim=True)


def near_groups(images: Images, groups: Sequence[str], pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Join groups that a near pair connects, so that a split keeps near-copies on one side.

    Args:
        images: what is split.
        groups: name of each image's group, such as its patient or digest.
        pairs: see :func:`near_pairs`.

    Returns:
        One name per image.
    """
    names, number = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    first, second = (np.array([pair[k] for pair in pairs], dtype=int) for k in (0, 1))
    links = coo_array((np.ones(len(pairs)), (number[first], number[second])), shape=(len(names), len(names)))
    joined = connected_components(links, directed=False)[1]
    return tuple(f"near group {joined[i]}" for i in number)
