"""Arguments of images that are accepted and mean something else: masks, words for booleans, pixels in 0 .. 1."""

import numpy as np
import pytest
import torch

from dmws_lite.images.augment import draw_moves, normalise, shift_and_flip
from dmws_lite.images.dataset import Images, check_seed
from dmws_lite.images.splits import split, split_by_groups, with_label_noise


def pictures(n=6):
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1).expand(n, 32, 32)
    return Images(pixels, torch.arange(n) % 2, ("a", "b"))


def values(images):
    return images.pixels[:, 0, 0].tolist()


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_a_mask_takes_the_images_where_it_is_true(kind) -> None:
    images = pictures()
    assert values(images.subset(kind([True, False, False, True, False, True]))) == [0, 3, 5]
    assert values(images.subset(kind([False] * 6))) == []
    assert values(images.subset(images.labels == 1)) == [1, 3, 5]
    assert images.subset(images.labels == 1).digests == tuple(images.digests[i] for i in (1, 3, 5))


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_positions_keep_their_order(kind) -> None:
    images = pictures()
    assert values(images.subset(kind([5, 0, 5, -1]))) == [5, 0, 5, 5]
    assert values(images.subset([])) == []
    assert values(images.subset(range(2))) == [0, 1]
    assert values(images.subset(np.array([2, 1], np.uint8))) == [2, 1]


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([True, False], "the mask has 2 entries for 6 images"),
        (torch.ones(7, dtype=torch.bool), "the mask has 7 entries for 6 images"),
        ([True, 2, 3], "mix numbers with true and false"),
        ([1.0, 2.0], "give a list of whole numbers"),
        (np.array([0.5]), "give a list of whole numbers"),
        ([[0, 1], [2, 3]], "give a list of whole numbers"),
        (torch.tensor(3), "give a list of whole numbers"),
        ([6], "indices run from 6 to 6, but 6 images allow 0 to 5"),
        ([-7], "indices run from -7"),
    ],
)
def test_other_indices_are_refused(indices, message) -> None:
    with pytest.raises(ValueError, match=message):
        pictures().subset(indices)


def test_images_refuse_what_would_mean_something_else() -> None:
    pixels, labels = torch.zeros(2, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="classes='ab' is one name"):
        Images(pixels, labels, "ab")
    with pytest.raises(ValueError, match="must be tensors"):
        Images(pixels.numpy(), labels, ("a", "b"))
    with pytest.raises(ValueError, match="sizes has 1 entries for 2 images"):
        Images(pixels, labels, ("a", "b"), sizes=((8, 8),))


@pytest.mark.parametrize("seed", ["x", "0", 1.0, True, None, -1, 10**20, np.float64(3)])
def test_seeds_are_integers(seed) -> None:
    for call in (check_seed, lambda seed: split(pictures(), seed=seed)):
        with pytest.raises(ValueError, match="must be an integer from 0 to 9223372036854775807"):
            call(seed)


@pytest.mark.parametrize("share", ["0.5", True, float("nan"), float("inf"), None, [0.5], 0])
def test_shares_are_numbers(share) -> None:
    images = pictures(20)
    for call in (
        lambda: split(images, fraction=share),
        lambda: split(images, test_share=share),
        lambda: split_by_groups(images, images.digests, fraction=share),
    ):
        with pytest.raises(ValueError, match=r"but must be"):
            call()
    if share != 0:
        with pytest.raises(ValueError, match="share is"):
            with_label_noise(split(images, 1.0), share)


def test_scalars_of_numpy_are_numbers() -> None:
    images = pictures(20)
    same = split(images, 0.5, 3), split(images, np.float64(0.5), np.int64(3), test_share=np.float32(0.2))
    assert same[0].digest == same[1].digest
    assert type(same[1].fraction) is float and type(same[1].seed) is int


def test_groups_are_one_name_per_image() -> None:
    with pytest.raises(ValueError, match="groups has 5 entries for 6 images"):
        split_by_groups(pictures(), ["a"] * 5)


@pytest.mark.parametrize("flip", ["no", "yes", 0, 1, None])
def test_flip_is_true_or_false(flip) -> None:
    with pytest.raises(ValueError, match=f"flip={flip!r} is neither true nor false"):
        draw_moves(2, (8, 8), torch.Generator(), flip=flip)


@pytest.mark.parametrize("shift", ["0.1", True, float("nan"), -0.1, 0.5])
def test_shift_is_a_share(shift) -> None:
    with pytest.raises(ValueError, match="shift="):
        draw_moves(2, (8, 8), torch.Generator(), shift=shift)


def test_pixels_are_bytes() -> None:
    for pixels in (torch.rand(2, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64), torch.zeros(8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"must be torch.uint8 with shape \(N, H, W\)"):
            normalise(pixels, (0.5,) * 3, (0.5,) * 3)
        with pytest.raises(ValueError, match="must be torch.uint8"):
            shift_and_flip(pixels, torch.Generator())


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.5,) * 3, (0.5, 0.0, 0.5)),
        ((0.5,) * 3, (0.5, -1.0, 0.5)),
        ((0.5,) * 3, (float("nan"),) * 3),
        ((float("inf"),) * 3, (0.5,) * 3),
        ((0.5,), (0.5,) * 3),
    ],
)
def test_statistics_are_usable(mean, std) -> None:
    with pytest.raises(ValueError, match=r"(mean|std)=.* is not usable; give three finite numbers"):
        normalise(torch.zeros(1, 8, 8, dtype=torch.uint8), mean, std)
