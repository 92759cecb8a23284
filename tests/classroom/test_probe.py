"""The linear probe, and networks with weights taken out."""

import numpy as np
import pytest
import small
import torch

from dmws_lite.classroom.probe import linear_probe, probe_score, zeroed
from dmws_lite.images.splits import split


def test_a_probe_reads_what_is_there_and_nothing_from_noise():
    data = split(small.images(), fraction=1.0)
    labels = [np.eye(3)[part.labels.numpy()] for part in (data.train, data.test)]
    assert probe_score(*labels, data) == 1.0
    constant = [np.ones((len(part), 2)) for part in (data.train, data.test)]
    assert probe_score(*constant, data) < 0.6
    assert 0 <= linear_probe(small.network(), data) <= 1


@pytest.mark.parametrize("largest", [True, False])
def test_a_share_of_each_weight_tensor_is_zero_in_a_copy(largest):
    model = torch.nn.Linear(5, 4)
    before = model.weight.detach().clone()
    other = zeroed(model, 0.25, largest)
    assert torch.equal(model.weight, before) and torch.equal(other.bias, model.bias)
    gone = other.weight == 0
    assert int(gone.sum()) == 5
    removed, left = before[gone].abs(), before[~gone].abs()
    assert removed.min() >= left.max() if largest else removed.max() <= left.min()


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(ValueError, match="give the part of the entries, from 0 to 1"):
        zeroed(torch.nn.Linear(2, 2), share, largest=True)
