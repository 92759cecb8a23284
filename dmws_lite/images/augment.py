"""From stored pixels to network inputs: normalisation and augmentation. Works on tensors only, never on files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .._values import check_flag, check_number, is_number

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def input_statistics(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation that a model expects its inputs to be normalised with.

    timm models and this project's students carry both in ``pretrained_cfg``; for other models ImageNet's are used.

    Returns:
        Mean and standard deviation, each with one number per colour channel, for pixels in [0, 1].
    """
    cfg = getattr(model, "pretrained_cfg", None) or {}
    return tuple(cfg.get("mean") or IMAGENET_MEAN), tuple(cfg.get("std") or IMAGENET_STD)


def check_pixels(pixels: Tensor) -> None:
    """Raise ``ValueError`` unless pixels are ``uint8``, ``(N, H, W)`` or ``(N, 3, H, W)``.

    Pixels in 0 .. 1 would be divided by 255 once more, and every answer would be that to a black image.
    """
    if pixels.dtype != torch.uint8 or not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[1] == 3)):
        raise ValueError(
            f"pixels are {pixels.dtype} with shape {tuple(pixels.shape)}, but must be torch.uint8 with shape (N, H, W) "
            "or (N, 3, H, W), from 0 to 255"
        )


def check_statistics(mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise ``ValueError`` unless mean and standard deviation have three finite numbers, those of ``std`` above 0."""
    for name, numbers, low in (("mean", mean, -math.inf), ("std", std, 0)):
        if len(numbers) != 3 or not all(is_number(each) and each > low for each in numbers):
            above = " above 0" if name == "std" else ""
            raise ValueError(f"{name}={list(numbers)} is not usable; give three finite numbers{above}, one per colour")


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Turn stored pixels into network inputs.

    Args:
        pixels: ``uint8``, ``(N, H, W)`` grey or ``(N, 3, H, W)`` colour; grey is repeated over the three channels.
        mean: one number per colour channel, for pixels in [0, 1].
        std: one number per colour channel, for pixels in [0, 1].

    Returns:
        ``float32`` of shape ``(N, 3, H, W)``, stored channels-last, which makes convolutions faster.

    Raises:
        ValueError: the pixels are no ``uint8``, or a mean or standard deviation is not usable.

    Example:
        >>> import torch
        >>> from dmws_lite.images.augment import normalise
        >>> inputs = normalise(torch.full((2, 32, 32), 255, dtype=torch.uint8), mean=(0.5,) * 3, std=(0.25,) * 3)
        >>> inputs.shape, inputs.max().item()  # (1 - 0.5) / 0.25
        (torch.Size([2, 3, 32, 32]), 2.0)
    """
    check_pixels(pixels)
    check_statistics(mean, std)
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(1).expand(-1, 3, -1, -1)
    scale = torch.tensor(std, device=pixels.device).view(1, 3, 1, 1) * 255
    shift = torch.tensor(mean, device=pixels.device).view(1, 3, 1, 1) * 255
    return ((pixels.float() - shift) / scale).contiguous(memory_format=torch.channels_last)


def shift_and_flip(pixels: Tensor, generator: torch.Generator, shift: float = 0.08, flip: bool = True) -> Tensor:
    """Shift each image of a batch by a random offset, reflecting at the border, and mirror about half of them.

    It is one indexing operation on ``uint8`` and so costs next to nothing. The random numbers are drawn on the CPU, so
    a run sees the same augmentation on every device.

    Args:
        pixels: ``uint8`` batch, ``(N, H, W)`` or ``(N, 3, H, W)``.
        generator: CPU generator; a checkpoint stores its state.
        shift: largest offset as a fraction of the image side, in [0, 0.49].
        flip: mirror each image left to right with probability 0.5.

    Returns:
        A batch of the same shape and type.

    Raises:
        ValueError: the pixels are no ``uint8``, or shift or flip is out of range.

    Example:
        >>> import torch
        >>> from dmws_lite.images.augment import shift_and_flip
        >>> pixels = torch.arange(4, dtype=torch.uint8).expand(1, 4, 4)  # one image, each row 0 1 2 3
        >>> shift_and_flip(pixels, torch.Generator().manual_seed(0), shift=0.25)[0, 0].tolist()
        [2, 1, 0, 1]
    """
    check_pixels(pixels)
    rows, columns = draw_moves(len(pixels), pixels.shape[-2:], generator, shift, flip)
    rows, columns = rows.to(pixels.device)[:, :, None], columns.to(pixels.device)[:, None, :]
    image = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    if pixels.ndim == 3:
        return pixels[image, rows, columns]
    # Advanced indices around a slice put the colour last; move it back.
    return pixels[image, :, rows, columns].permute(0, 3, 1, 2)


def draw_moves(
    n: int, side: tuple[int, int], generator: torch.Generator, shift: float = 0.08, flip: bool = True
) -> tuple[Tensor, Tensor]:
    """Draw what :func:`shift_and_flip` does to a batch: which row and which column each pixel is taken from.

    Args:
        n: number of images.
        side: height and width in pixels.
        generator: CPU generator.
        shift: largest offset as a fraction of the image side, in [0, 0.49].
        flip: mirror each image left to right with probability 0.5.

    Returns:
        Rows ``(n, height)`` and columns ``(n, width)``, ``int64`` on the CPU.

    Raises:
        ValueError: shift or flip is out of range.
    """
    check_number("shift", shift, 0, 0.49)
    check_flag("flip", flip)
    height, width = side

    def shifted_index(size: int) -> Tensor:
        largest = int(shift * size)
        offset = torch.randint(-largest, largest + 1, (n, 1), generator=generator)
        index = (torch.arange(size) + offset).abs()
        return torch.where(index >= size, 2 * (size - 1) - index, index)

    rows, columns = shifted_index(height), shifted_index(width)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return rows, columns
