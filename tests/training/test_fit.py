"""The loop, on ten-line networks and a handful of images."""

import copy

import pytest
import torch
from small import bits, config, images, network

from dmws_lite.distillation.moving_average import update_auxiliary
from dmws_lite.images.augment import normalise, shift_and_flip
from dmws_lite.images.splits import split
from dmws_lite.training.config import TrainConfig, learning_rate_at
from dmws_lite.training.device import pick_device
from dmws_lite.training.evaluate import predict_logits
from dmws_lite.training.fit import fit


@pytest.fixture
def data():
    return split(images(), fraction=0.5, seed=0)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_both_students_learn(data, batch_norm):
    main, aux = network(0, batch_norm), network(1, batch_norm)
    result = fit(main, aux, data, config(epochs=30, learning_rate=5e-3, flip=False))
    assert result.metrics["accuracy"] > 0.8
    assert result.aux_metrics["accuracy"] > 0.7  # batch norm: its buffers are treated, or this is chance
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2


def test_history_has_what_the_book_draws(data):
    result = fit(network(0), network(1), data, config(beta=0.5, evaluate_every=2))
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    last = result.history[-1]
    assert last["step"] == 4 * 3  # 24 images in batches of 8
    assert last["remaining"] == 0.5**12
    assert last["main_accuracy"] == result.metrics["accuracy"]
    assert last["aux_accuracy"] == result.aux_metrics["accuracy"]
    assert 0 <= last["agreement"] <= 1
    assert last["loss"] == pytest.approx(0.6 * last["ce"] + 0.4 * 9 * last["kd"], rel=1e-5)
    assert result.column("main_accuracy")[0] == [2, 4]


def test_a_run_may_end_in_the_middle_of_an_epoch(data, tmp_path):
    result = fit(network(0), network(1), data, config(most_steps=5))  # 3 batches an epoch
    assert [row["step"] for row in result.history] == [3, 5]
    assert result.history[-1]["learning_rate"] == learning_rate_at(4, 5, config())
    last = result.history[-1]
    assert last["main_accuracy"] == result.metrics["accuracy"] and last["remaining"] == 0.9**5
    assert last["loss"] == pytest.approx(0.6 * last["ce"] + 0.4 * 9 * last["kd"], rel=1e-5)
    whole, plain = network(0), network(0)
    fit(whole, network(1), data, config(most_steps=12))
    fit(plain, network(1), data, config())
    assert bits(whole) == bits(plain)
    part = config(most_steps=5, checkpoint=tmp_path / "c.pt")
    fit(network(0), network(1), data, part, on_epoch=lambda row: False)
    assert fit(network(0), network(1), data, part).history[-1]["loss"] == last["loss"]
    assert [row["step"] for row in fit(network(0), network(1), data, part).history] == [3, 5]


def test_without_an_auxiliary_it_is_plain_fine_tuning(data):
    result = fit(network(0), None, data, config())
    assert result.aux_metrics is None
    assert all(row["loss"] == row["ce"] and row["kd"] == 0 and row["remaining"] is None for row in result.history)


def test_alpha_one_trains_main_as_if_it_were_alone(data):
    alone, helped = network(0), network(0)
    fit(alone, None, data, config())
    fit(helped, network(1), data, config(alpha=1.0))
    for a, b in zip(alone.parameters(), helped.parameters()):
        assert torch.allclose(a, b, atol=1e-6)


def test_no_gradient_reaches_the_auxiliary_and_only_equation_7_moves_it(data):
    main, aux = network(0), network(1)
    start = copy.deepcopy(aux)
    fit(main, aux, data, config(beta=1.0))
    assert all(p.grad is None and not p.requires_grad for p in aux.parameters())
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), aux.parameters()))


def test_the_auxiliary_predicts_with_the_weights_before_the_step(data):
    """One step by hand equals one epoch of one batch."""
    main, aux = network(0), network(1)
    by_hand_main, by_hand_aux = copy.deepcopy(main), copy.deepcopy(aux)
    one = config(epochs=1, batch_size=64, flip=False, warmup=0.0)
    fit(main, aux, data, one)
    update_auxiliary(by_hand_aux, main, one.beta)
    for a, b in zip(aux.parameters(), by_hand_aux.parameters()):
        assert torch.allclose(a, b, atol=1e-7)
    assert not torch.equal(predict_logits(by_hand_main, data.test.pixels), predict_logits(main, data.test.pixels))


def test_the_same_seed_gives_the_same_file_hash(data):
    def run(seed):
        main, aux = network(0), network(1)
        fit(main, aux, data, config(seed=seed))
        return bits(main, aux)

    assert run(0) == run(0)
    assert run(0) != run(1)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_stopped_run_continues_bit_for_bit(data, tmp_path, batch_norm):
    options = {"epochs": 6, "shift": 0.1}
    whole = (network(0, batch_norm), network(1, batch_norm))
    expected = fit(*whole, data, config(**options))
    file = tmp_path / "run.pt"
    stopped = fit(
        network(0, batch_norm), network(1, batch_norm), data, config(**options, checkpoint=file),
        on_epoch=lambda row: row["epoch"] < 3,
    )  # fmt: skip
    assert len(stopped.history) == 3
    again = (network(7, batch_norm), network(8, batch_norm))  # whatever they hold, the checkpoint replaces it
    torch.manual_seed(99)
    result = fit(*again, data, config(**options, checkpoint=file))
    assert bits(*again) == bits(*whole)
    drop = {"seconds"}
    assert [{k: v for k, v in r.items() if k not in drop} for r in result.history] == [
        {k: v for k, v in r.items() if k not in drop} for r in expected.history
    ]
    assert result.metrics == expected.metrics


def test_a_checkpoint_of_another_run_is_refused_and_a_damaged_one_named(data, tmp_path):
    file = tmp_path / "run.pt"
    fit(network(0), None, data, config(epochs=1, checkpoint=file))
    with pytest.raises(ValueError, match="another learning_rate"):
        fit(network(0), None, data, config(epochs=1, checkpoint=file, learning_rate=0.1))
    with pytest.raises(ValueError, match="another images"):
        fit(network(0), None, split(images(), fraction=0.5, seed=1), config(epochs=1, checkpoint=file))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cannot be read \(.*\); delete it"):
        fit(network(0), None, data, config(epochs=1, checkpoint=file))


def test_two_architectures_are_refused_before_training(data):
    with pytest.raises(ValueError, match="same architecture"):
        fit(network(0), network(0, batch_norm=True), data, config())


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 1.5}, {"beta": -0.1}, {"tau": 0.0}, {"epochs": 0}, {"epochs": 2.5}, {"batch_size": 1},
        {"learning_rate": 0}, {"learning_rate": -1}, {"weight_decay": -1}, {"warmup": 1.0}, {"shift": 0.7},
        {"precision": "fp8"}, {"buffers": "ema"}, {"evaluate_every": -1},
    ],
)  # fmt: skip
def test_settings_out_of_range_raise_before_anything_runs(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        TrainConfig(**wrong)


def test_learning_rate_rises_and_falls():
    c = config(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate_at(step, 100, c) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and rates[-1] < 0.001
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)


class TestInputs:
    def test_normalise(self):
        grey = torch.tensor([[[0, 255]]], dtype=torch.uint8)
        out = normalise(grey, (0.5, 0.5, 0.5), (0.25, 0.5, 1.0))
        assert out.shape == (1, 3, 1, 2)
        assert torch.allclose(out[0, :, 0, 1], torch.tensor([2.0, 1.0, 0.5]))

    @pytest.mark.parametrize("shape", [(8, 12, 12), (8, 3, 12, 12)])
    def test_shift_and_flip_keep_the_pixels_of_the_image(self, shape):
        pixels = torch.randint(0, 255, shape, dtype=torch.uint8)
        out = shift_and_flip(pixels, torch.Generator().manual_seed(0), 0.2)
        assert out.shape == pixels.shape and out.dtype == torch.uint8
        for before, after in zip(pixels, out):
            assert set(after.flatten().tolist()) <= set(before.flatten().tolist())
        same = shift_and_flip(pixels, torch.Generator().manual_seed(0), 0.0, flip=False)
        assert torch.equal(same, pixels)
        again = shift_and_flip(pixels, torch.Generator().manual_seed(0), 0.2)
        assert torch.equal(out, again)

    def test_a_known_shift(self):
        row = torch.arange(10, dtype=torch.uint8).expand(1, 10, 10)
        seen = {
            tuple(shift_and_flip(row, torch.Generator().manual_seed(s), 0.2, flip=False)[0, 0].tolist())
            for s in range(40)
        }
        assert seen == {
            (2, 1, 0, 1, 2, 3, 4, 5, 6, 7), (1, 0, 1, 2, 3, 4, 5, 6, 7, 8), tuple(range(10)),
            (1, 2, 3, 4, 5, 6, 7, 8, 9, 8), (2, 3, 4, 5, 6, 7, 8, 9, 8, 7),
        }  # fmt: skip

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
    def test_a_gpu_that_is_not_there(self):
        with pytest.raises(ValueError, match="device='cuda' is not available"):
            pick_device("cuda")
