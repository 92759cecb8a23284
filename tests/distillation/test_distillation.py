"""The loss and the auxiliary's update, against numbers worked out apart from the code."""

import copy
import math

import pytest
import torch
from torch import nn

from dmws_lite.distillation.loss import skd_loss, soften
from dmws_lite.distillation.moving_average import (
    calibrate_batch_norm,
    half_life,
    remaining_share,
    update_auxiliary,
)


def tiny(batch_norm=True):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if batch_norm else nn.Identity(), nn.Flatten())


class TestLoss:
    def test_golden_numbers(self):
        """Two classes, tau 2, by hand: p' = softmax(0, 1) and p = softmax(1, 0) for logits (0, 2) and (2, 0)."""
        main, aux, target = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([0])
        terms = skd_loss(main, aux, target, alpha=0.6, tau=2.0)
        low = 1 / (1 + math.e)  # softmax of (0, 1)
        kl = low * math.log(low / (1 - low)) + (1 - low) * math.log((1 - low) / low)
        assert terms["ce"].item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)  # 0.126928
        assert terms["kd"].item() == pytest.approx(kl, abs=1e-6)  # 0.462117
        assert terms["loss"].item() == pytest.approx(0.6 * 0.126928 + 0.4 * 4 * 0.462117, abs=1e-5)

    def test_three_classes_and_a_batch(self):
        main = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -0.5]])
        aux = torch.tensor([[3.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
        terms = skd_loss(main, aux, torch.tensor([2, 0]), alpha=0.25, tau=4.0)
        p, q = (main / 4).softmax(1).double(), (aux / 4).softmax(1).double()
        kd = (q * (q / p).log()).sum(1).mean()
        ce = -(main.double().softmax(1).log()[[0, 1], [2, 0]]).mean()
        assert terms["kd"].item() == pytest.approx(kd.item(), abs=1e-6)
        assert terms["loss"].item() == pytest.approx((0.25 * ce + 0.75 * 16 * kd).item(), abs=1e-5)

    def test_limits(self):
        main, aux, target = torch.randn(5, 4), torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
        assert skd_loss(main, aux, target, alpha=1.0)["loss"] == skd_loss(main, aux, target, alpha=1.0)["ce"]
        assert skd_loss(main, main, target, alpha=0.0)["loss"].item() == pytest.approx(0, abs=1e-6)
        assert torch.allclose(soften(main, 100.0), torch.full((5, 4), 0.25), atol=0.02)

    def test_the_gradient_is_softmax_difference_and_none_reaches_the_auxiliary(self):
        main, aux = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
        skd_loss(main, aux, torch.tensor([0, 1, 2]), alpha=0.0, tau=3.0)["loss"].backward()
        # d/dz of tau^2 KL = tau (p - p'), here averaged over 3 images
        assert torch.allclose(main.grad, 3.0 * (soften(main, 3.0) - soften(aux, 3.0)) / 3, atol=1e-6)
        assert aux.grad is None

    def test_half_precision_logits_are_computed_in_fp32(self):
        main, aux = torch.randn(4, 3), torch.randn(4, 3)
        terms = skd_loss(main.bfloat16(), aux.bfloat16(), torch.tensor([0, 1, 2, 0]))
        assert all(value.dtype == torch.float32 for value in terms.values())

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"alpha": 1.2}, r"alpha=1.2 is out of range; choose a number in \[0, 1\]"),
            ({"alpha": -0.1}, "alpha=-0.1 is out of range"),
            ({"alpha": float("nan")}, "alpha=nan is out of range"),
            ({"tau": 0}, r"tau=0 is out of range; choose a number in \(0, 100\]"),
            ({"tau": "4"}, "tau='4' is out of range"),
        ],
    )
    def test_bad_values(self, options, said):
        with pytest.raises(ValueError, match=said):
            skd_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), **options)

    def test_logits_that_do_not_match(self):
        with pytest.raises(ValueError, match="do not match"):
            skd_loss(torch.zeros(2, 3), torch.zeros(2, 4), torch.tensor([0, 0]))


class TestAuxiliary:
    @pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 1.0])
    def test_one_update_is_equation_7(self, beta):
        main, aux = tiny(), tiny()
        before = copy.deepcopy(aux)
        update_auxiliary(aux, main, beta)
        for new, old, target in zip(aux.parameters(), before.parameters(), main.parameters()):
            assert torch.allclose(new, beta * old + (1 - beta) * target, atol=1e-7)

    def test_ten_steps_against_a_fixed_main_follow_the_closed_form(self):
        main, aux = tiny(), tiny()
        start = copy.deepcopy(aux)
        for _ in range(10):
            update_auxiliary(aux, main, 0.9)
        share = remaining_share(0.9, 10)
        for new, old, target in zip(aux.parameters(), start.parameters(), main.parameters()):
            assert torch.allclose(new, share * old + (1 - share) * target, atol=1e-6)

    def test_ten_steps_against_a_moving_main(self):
        main, aux = tiny(False), tiny(False)
        expected = aux[0].weight.detach().clone().double()
        for step in range(10):
            with torch.no_grad():
                main[0].weight.add_(0.1 * (step + 1))
            update_auxiliary(aux, main, 0.8)
            expected = 0.8 * expected + 0.2 * main[0].weight.detach().double()
        assert torch.allclose(aux[0].weight.double(), expected, atol=1e-5)

    def test_the_first_update_does_not_copy_main_over_the_complementary_start(self):
        main, aux = tiny(), tiny()
        update_auxiliary(aux, main, 0.9)
        assert not torch.allclose(aux[0].weight, main[0].weight, atol=1e-3)

    @pytest.mark.parametrize(("buffers", "expected"), [("lerp", 0.9 * 1 + 0.1 * 5), ("copy", 5.0), ("keep", 1.0)])
    def test_buffers(self, buffers, expected):
        main, aux = tiny(), tiny()
        main[1].running_var.fill_(5.0)
        main[1].num_batches_tracked.fill_(3)
        update_auxiliary(aux, main, 0.9, buffers)
        assert torch.allclose(aux[1].running_var, torch.tensor(expected))
        assert aux[1].num_batches_tracked == (0 if buffers == "keep" else 3)

    def test_tensors_that_moved_are_found_again(self):
        main, aux = tiny(), tiny()
        update_auxiliary(aux, main, 0.9)
        main[0].weight = nn.Parameter(torch.ones_like(main[0].weight))
        before = aux[0].weight.detach().clone()
        update_auxiliary(aux, main, 0.5)
        assert torch.allclose(aux[0].weight, 0.5 * before + 0.5)

    def test_errors(self):
        with pytest.raises(ValueError, match="beta=1.5 is out of range"):
            update_auxiliary(tiny(), tiny(), 1.5)
        with pytest.raises(ValueError, match="buffers='ema' is unknown"):
            update_auxiliary(tiny(), tiny(), 0.9, "ema")
        with pytest.raises(ValueError, match="differ at"):
            update_auxiliary(tiny(), tiny(False), 0.9)
        with pytest.raises(ValueError, match="needs fp32"):
            update_auxiliary(tiny().bfloat16(), tiny().bfloat16(), 0.999)

    def test_memory(self):
        assert half_life(0.9) == pytest.approx(6.58, abs=0.01)
        assert half_life(1.0) == math.inf and half_life(0.0) == 0.0
        assert remaining_share(0.9, 0) == 1.0
        with pytest.raises(ValueError, match="steps=-1 is out of range"):
            remaining_share(0.9, -1)


def test_calibration_measures_the_statistics_of_the_batches_and_changes_nothing_else():
    model = tiny().eval()
    model[1].running_var.fill_(100.0)
    weights = copy.deepcopy(list(model.parameters()))
    x = torch.randn(64, 3, 8, 8)
    assert calibrate_batch_norm(model, x.split(32)) == 1
    features = model[0](x)
    assert torch.allclose(model[1].running_mean, features.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(model[1].running_var, features.var((0, 2, 3)), rtol=0.02)
    assert not model.training and not model[1].training and model[1].momentum == 0.1
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters()))
    assert calibrate_batch_norm(tiny(False), [x]) == 0
