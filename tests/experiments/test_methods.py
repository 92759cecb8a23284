"""How the students of each method start."""

import pytest
import torch
from timm.models.convnext import ConvNeXt

from dmws_lite.experiments.methods import METHODS, initialise, start_students


def network(width=16, classes=5):
    return ConvNeXt(depths=(1, 1, 1, 1), dims=(width,) * 4, num_classes=classes, patch_size=2)


@pytest.fixture
def teacher():
    torch.manual_seed(123)
    return network()


def start(method, teacher, seed=0):
    return start_students(method, teacher, lambda: network(8, 3), seed)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_main_of_ours_is_cm1_and_the_auxiliary_is_main_of_the_swap(teacher):
    ours, aux = start("ours", teacher)
    swapped, other = start("ours_swap", teacher)
    assert same(ours, start("cm1", teacher)[0])
    assert same(aux, swapped) and same(ours, other)
    assert not same(ours, aux)


def test_the_control_starts_twice_from_one_selection(teacher):
    main, aux = start("same_start", teacher)
    assert same(main, aux) and main is not aux
    assert not any(p.requires_grad for p in aux.parameters()) and all(p.requires_grad for p in main.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_one_seed_one_start_and_the_global_generator_is_left_alone(method, teacher):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, _ = start(method, teacher)
    assert torch.equal(before, torch.get_rng_state())
    assert same(first, start(method, teacher)[0])
    assert not same(first, start(method, teacher, seed=1)[0])  # at least the classifier is drawn anew


def test_only_methods_with_a_second_student_have_one(teacher):
    second = [m for m in METHODS if start(m, teacher)[1] is not None]
    assert second == ["ours", "ours_swap", "same_start", "random_aux", "cm1_average"]


def test_a_random_auxiliary_shares_the_classifier_and_nothing_of_the_teacher(teacher):
    main, aux = start("random_aux", teacher)
    fresh, _ = start("cm2", teacher)
    assert same(main, start("cm1", teacher)[0]) and same(aux, fresh)
    assert torch.equal(main.head.fc.weight, aux.head.fc.weight)


@pytest.mark.parametrize(("scheme", "variance"), [("xavier", 2 / (400 + 100)), ("kaiming", 2 / 400)])
def test_schemes_have_the_variance_of_their_formula(scheme, variance):
    torch.manual_seed(0)
    layer = initialise(torch.nn.Sequential(torch.nn.Linear(400, 100)), scheme)[0]
    assert layer.weight.var().item() == pytest.approx(variance, rel=0.03)
    assert not layer.bias.any()


def test_bad_names(teacher):
    with pytest.raises(ValueError, match="method='cm9' is unknown; choose one of ours"):
        start("cm9", teacher)
    with pytest.raises(ValueError, match="scheme='lecun' is unknown"):
        initialise(network(), "lecun")
