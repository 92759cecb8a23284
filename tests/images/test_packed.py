"""Packed images are the images."""

import pytest
import torch

from dmws_lite.experiments.execute import Shelf
from dmws_lite.experiments.run import Run
from dmws_lite.images.load import load_images
from dmws_lite.images.packed import pack_images, packed_path, unpack_images
from dmws_lite.images.splits import split


@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_nothing_is_lost(tmp_path, colour):
    images = load_images("phantom-ct", n=12, size=32, colour=colour, progress=False)
    again = unpack_images(pack_images(images, tmp_path / "ct.npz"))
    assert torch.equal(images.pixels, again.pixels) and torch.equal(images.labels, again.labels)
    for name in ("classes", "digests", "files", "modes", "name"):
        assert getattr(images, name) == getattr(again, name)
    assert split(images, 0.5).digest == split(again, 0.5).digest


def test_runs_read_a_packed_file(tmp_path):
    images = load_images("phantom-mri", n=24, size=32, progress=False)
    pack_images(images, packed_path(tmp_path, "mri", 32))
    run = Run("mri", "convnext_pocket", "cm1", fraction=0.5, seed=0, size=32, epochs=1)
    assert torch.equal(Shelf(tmp_path).images(run).pixels, images.pixels)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "mri-32px.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="mri-32px.npz holds no packed images"):
        unpack_images(tmp_path / "mri-32px.npz")
