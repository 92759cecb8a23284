"""A stack takes the same steps as the ordinary loop."""

import copy

import pytest
import torch
from small import config, images, network
from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer

from dmws_lite.distillation.strategies import make_strategy
from dmws_lite.images.splits import split
from dmws_lite.training.fit import fit
from dmws_lite.training.stack import Member, can_stack, fit_stack

RUNS = [(0, 1e-3), (0, 4e-3), (1, 4e-3)]  # seed and learning rate


def convnext(seed):
    torch.manual_seed(seed)
    return ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), patch_size=2, num_classes=3)


def vit(seed):
    torch.manual_seed(seed)
    return VisionTransformer(img_size=32, patch_size=16, embed_dim=16, depth=2, num_heads=2, num_classes=3)


def member(seed, rate, strategy, make=convnext, **options):
    options = {"epochs": 2, "precision": "fp32", "seed": seed, "learning_rate": rate, **options}
    main, aux = make(seed), make(seed + 50) if strategy.uses_auxiliary else None
    if strategy.needs:
        strategy.frozen = make(seed + 90)
    return Member(main, aux, split(images(), fraction=0.5, seed=seed), config(**options), strategy)


def frozen(name, **options):
    return make_strategy(name, torch.nn.Identity(), **options)


CASES = {
    "labels": (lambda: make_strategy("labels"), {}),
    "augmented": (lambda: make_strategy("labels"), {"shift": 0.1, "flip": True}),
    "plain": (lambda: make_strategy("labels"), {"shift": 0.0, "flip": False}),
    "constant": (lambda: make_strategy("labels"), {"schedule": "constant"}),
    "smoothing": (lambda: make_strategy("label_smoothing", smoothing=0.2), {}),
    "skd": (lambda: make_strategy("skd", tau=4.0), {}),
    "beta": (lambda: make_strategy("skd"), {"beta": 1.0}),
    "early": (lambda: make_strategy("skd", until=3, power=0), {}),
    "average": (lambda: make_strategy("average"), {}),
    "hybrid": (lambda: frozen("hybrid"), {}),
    "vit": (lambda: make_strategy("skd"), {"make": vit}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stack_is_the_ordinary_loop_up_to_rounding(case):
    make, options = CASES[case]
    stacked = [member(seed, rate, make(), **options) for seed, rate in RUNS]
    one_by_one = [
        fit(m.main, m.aux, m.data, m.config, strategy=m.strategy)
        for m in (copy.deepcopy(member(seed, rate, make(), **options)) for seed, rate in RUNS)
    ]
    for together, alone in zip(fit_stack(stacked), one_by_one):
        for row, other in zip(together.history, alone.history, strict=True):
            assert row.keys() == other.keys()
            for name in row.keys() - {"seconds"}:
                expected = other[name] if other[name] is None else pytest.approx(other[name], rel=1e-5, abs=1e-5)
                assert row[name] == expected, name
        assert together.predicted == alone.predicted and together.aux_predicted == alone.aux_predicted
        assert together.metrics["confusion"] == alone.metrics["confusion"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", ["labels", "augmented", "skd", "hybrid", "vit"])
def test_a_stack_is_the_ordinary_loop_on_a_gpu(case):
    make, options = CASES[case]
    runs = [member(seed, rate, make(), **options, device="cuda") for seed, rate in RUNS]
    alone = [fit(m.main, m.aux, m.data, m.config, strategy=m.strategy) for m in copy.deepcopy(runs)]
    for result, other in zip(fit_stack(runs), alone):
        assert result.device.startswith("cuda")
        for row, expected in zip(result.history, other.history, strict=True):
            assert row["loss"] == pytest.approx(expected["loss"], rel=2e-3)


def test_the_networks_hold_what_was_trained():
    ours = [member(seed, rate, make_strategy("skd")) for seed, rate in RUNS]
    alone = [copy.deepcopy(m) for m in ours]
    fit_stack(ours)
    for m, other in zip(ours, alone):
        fit(other.main, other.aux, other.data, other.config, strategy=other.strategy)
        for network_, reference in ((m.main, other.main), (m.aux, other.aux)):
            assert not network_.training
            for a, b in zip(network_.parameters(), reference.parameters()):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_run_that_diverges_leaves_the_others_alone():
    good, bad = (member(seed, 1e-3, make_strategy("labels")) for seed in (0, 1))
    with torch.no_grad():
        bad.main.head.fc.bias.fill_(torch.nan)
    alone = copy.deepcopy(good)
    result, error = fit_stack([good, bad])
    assert isinstance(error, FloatingPointError) and "lower learning_rate" in str(error)
    expected = fit(alone.main, None, alone.data, alone.config)
    assert result.history[-1]["loss"] == pytest.approx(expected.history[-1]["loss"], rel=1e-5)


def test_what_does_not_fit_together_is_refused():
    first = member(0, 1e-3, make_strategy("labels"))
    assert not can_stack(network(batch_norm=True)) and not can_stack(network()) and can_stack(first.main)
    for other, told in (
        (member(1, 1e-3, make_strategy("labels"), epochs=3), "differ in more than seed and learning rate"),
        (member(1, 1e-3, make_strategy("label_smoothing")), "different strategies"),
        (member(1, 1e-3, make_strategy("labels"), make=vit), "differ in architecture"),
    ):
        with pytest.raises(ValueError, match=told):
            fit_stack([first, other])
    with pytest.raises(ValueError, match="OnlineSmoothing cannot be stacked"):
        fit_stack([member(0, 1e-3, make_strategy("ols"))])
    with pytest.raises(ValueError, match="batch norm or dropout"):
        fit_stack([member(0, 1e-3, make_strategy("labels"), make=lambda seed: network(seed, batch_norm=True))])
    with pytest.raises(ValueError, match="no runs"):
        fit_stack([])
