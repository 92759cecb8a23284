"""A data set, read and resized once, as one file: for machines that are lent for minutes, and for many processes.

The file holds the pixels that :func:`dmws_lite.images.load.load_images` gives, without loss, with labels and digests,
so that splits are the same. It holds images, so treat it as the data set itself: what must not be passed on must not be
passed on packed.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from .._system import write_atomic
from .dataset import Images


def packed_path(root: str | Path, name: str, size: int) -> Path:
    """Return where the packed file of a data set lies in a folder, such as ``mri-64px.npz``."""
    return Path(root) / f"{name.replace(':', '_')}-{size}px.npz"


def pack_images(images: Images, path: str | Path) -> Path:
    """Write images to a file, a sixth to a half smaller than their pixels.

    Args:
        images: what to write.
        path: of the file, ending in ``.npz``.
    """
    pixels = images.pixels.numpy()
    # Neighbouring pixels are alike: their differences, modulo 256, compress better.
    steps = np.diff(pixels, axis=-1, prepend=np.uint8(0))
    steps = np.diff(steps, axis=-2, prepend=np.uint8(0))
    arrays = {
        "pixels": np.frombuffer(lzma.compress(np.ascontiguousarray(steps).tobytes()), np.uint8),
        "shape": np.array(pixels.shape),
        "labels": images.labels.numpy(),
        "name": np.array(images.name),
        **{name: np.array(getattr(images, name)) for name in ("classes", "digests", "files", "modes")},
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return write_atomic(path, stream.getvalue())


def unpack_images(path: str | Path) -> Images:
    """Read what :func:`pack_images` wrote.

    Raises:
        ValueError: the file is damaged or something else; its name is said.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            steps = np.frombuffer(lzma.decompress(stored["pixels"].tobytes()), np.uint8).reshape(stored["shape"])
            labels = torch.from_numpy(stored["labels"])
            texts = {name: tuple(stored[name].tolist()) for name in ("classes", "digests", "files", "modes")}
            name = str(stored["name"])
    except (KeyError, ValueError, EOFError, lzma.LZMAError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{Path(path).name} holds no packed images ({error}); delete it and pack them again"
        ) from error
    pixels = steps.cumsum(-2, dtype=np.uint8).cumsum(-1, dtype=np.uint8)
    return Images(torch.from_numpy(pixels), labels, name=name, **texts)
