"""What holds for every split, whatever the images, shares and seeds."""

import warnings

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dmws_lite.images.dataset import Images
from dmws_lite.images.splits import shared_patients, split, split_by_groups, with_label_noise

SEEDS = st.integers(0, 2**63 - 1)
SHARES = st.floats(0.01, 0.9)
FRACTIONS = st.floats(0.001, 1.0)


@st.composite
def pictures(draw, least=2):
    """Images of two to four classes, some of them byte-identical copies of others."""
    k = draw(st.integers(2, 4))
    labels = [label for label in range(k) for _ in range(draw(st.integers(least, 12)))]
    order = draw(st.permutations(range(len(labels))))
    labels = [labels[i] for i in order]
    contents = [draw(st.integers(0, 2 * len(labels))) for _ in labels]
    pixels = torch.zeros(len(labels), 2, 2, dtype=torch.uint8)
    names = tuple("abcd"[:k])
    return Images(pixels, torch.tensor(labels), names, digests=tuple(map(str, contents)))


def made(call, *args, **options):
    """Call, and pass over what cannot be split: a class whose images are all copies of one another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(*args, **options)
        except ValueError as error:
            assert "a split needs at least 2" in str(error)
            assume(False)


@settings(deadline=None)
@given(pictures(), FRACTIONS, SEEDS, SHARES, st.sampled_from(["grouped", "random"]))
def test_parts_are_apart_and_inside(images, fraction, seed, share, rule):
    data = made(split, images, fraction, seed, rule, share)
    train, test = set(data.train_index.tolist()), set(data.test_index.tolist())
    assert not train & test and (train | test) <= set(range(len(images)))
    assert len(train) == len(data.train) >= 1 and len(test) == len(data.test) >= 1
    assert len(train) <= data.pool_size == len(images) - len(test)
    assert data.train_index.tolist() == sorted(train)
    assert data.train.digests == tuple(images.digests[i] for i in sorted(train))
    assert torch.equal(data.test.labels, images.labels[data.test_index])


@settings(deadline=None)
@given(pictures(), FRACTIONS, SEEDS, SHARES)
def test_a_grouped_split_leaks_nothing_and_has_every_class_in_training(images, fraction, seed, share):
    data = made(split, images, fraction, seed, "grouped", share)
    assert data.leaked == data.leaked_pool == 0
    assert not set(data.train.digests) & set(data.test.digests)
    assert len(data.describe().splitlines()) == 3 + len(images.classes)


@settings(deadline=None)
@given(pictures(), SEEDS, SHARES, st.tuples(FRACTIONS, FRACTIONS))
def test_smaller_training_parts_lie_in_larger_ones_and_the_test_part_stays(images, seed, share, fractions):
    small, large = (made(split, images, fraction, seed, test_share=share) for fraction in sorted(fractions))
    assert set(small.train_index.tolist()) <= set(large.train_index.tolist())
    assert torch.equal(small.test_index, large.test_index)


@settings(deadline=None)
@given(pictures(), FRACTIONS, SEEDS, SHARES)
def test_the_same_seed_gives_the_same_split_and_draws_from_no_global_state(images, fraction, seed, share):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, other = (made(split, images, fraction, seed, test_share=share) for _ in range(2))
    assert one.digest == other.digest and torch.equal(one.train_index, other.train_index)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


@settings(deadline=None)
@given(pictures(), FRACTIONS, SEEDS, SHARES, st.data())
def test_a_group_is_on_one_side(images, fraction, seed, share, data):
    groups = [f"p{data.draw(st.integers(0, len(images)))}" for _ in range(len(images))]
    made_of = made(split_by_groups, images, groups, fraction, seed, share)
    assert shared_patients(made_of, groups) == 0


@settings(deadline=None)
@given(pictures(), SEEDS, st.floats(0, 0.99))
def test_label_noise_changes_that_many_labels_of_the_training_part(images, seed, share):
    data = made(split, images, 1.0, 0, "random")
    noisy = with_label_noise(data, share, seed)
    changed = int((noisy.train.labels != data.train.labels).sum())
    assert changed == int(np.floor(share * len(data.train) + 0.5))
    assert torch.equal(noisy.test.labels, data.test.labels) and noisy.digest == data.digest


@given(pictures(), st.data())
def test_a_subset_by_mask_is_the_subset_by_position(images, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(images), max_size=len(images)))
    places = [i for i, taken in enumerate(mask) if taken]
    for form in (mask, np.array(mask), torch.tensor(mask)):
        assert images.subset(form).digests == images.subset(places).digests == tuple(images.digests[i] for i in places)
