"""Distillation strategies: their losses against numbers worked out by hand, their memory, and whole runs."""

import dataclasses
import math

import pytest
import torch
from small import bits, config, images, network

from dmws_lite.distillation.loss import skd_loss
from dmws_lite.distillation.strategies import (
    STRATEGIES,
    Batch,
    check_strategy_options,
    make_strategy,
    strategy_options,
)
from dmws_lite.distillation.strategies.cskd import class_partners
from dmws_lite.distillation.strategies.ols import similarity_matrix
from dmws_lite.distillation.strategies.tfkd import designed_targets
from dmws_lite.images.splits import split
from dmws_lite.training.fit import fit

LN2, LN3 = math.log(2), math.log(3)
PLAIN = [name for name, kind in STRATEGIES.items() if not kind.needs and not kind.uses_auxiliary]


@pytest.fixture
def data():
    return split(images(), fraction=0.5, seed=0)


def batch(logits, targets, index=None, aux=None, main=None, draw=None):
    targets = torch.tensor(targets)
    index = torch.arange(len(targets)) if index is None else torch.tensor(index)
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.zeros(len(targets), 3, 2, 2), targets, index, torch.tensor(logits), aux, main, draw, generator)


def begun(name, labels, classes, epochs=10, **options):
    strategy = make_strategy(name, **options)
    strategy.begin(torch.tensor(labels), classes, epochs, torch.device("cpu"))
    return strategy


# two classes, p = (3/4, 1/4) for a logit difference of ln 3
SURE = [[LN3, 0.0]]


def test_labels_and_smoothed_labels():
    plain = begun("labels", [0], 2).loss(batch(SURE, [0]))
    assert plain["loss"].item() == pytest.approx(-math.log(0.75)) and plain["kd"].item() == 0
    smooth = begun("label_smoothing", [0], 2, smoothing=0.2).loss(batch(SURE, [0]))
    assert smooth["loss"].item() == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25))  # 0.2 spread over both
    assert smooth["ce"].item() == pytest.approx(-math.log(0.75))


def test_skd_is_equation_5():
    logits, aux = torch.randn(5, 3), torch.randn(5, 3)
    targets = [0, 1, 2, 0, 1]
    given = batch(logits.tolist(), targets, aux=aux)
    ours = make_strategy("skd", alpha=0.3, tau=4.0).loss(given)
    assert ours["loss"].item() == pytest.approx(skd_loss(logits, aux, torch.tensor(targets), 0.3, 4.0)["loss"].item())


def test_cskd_compares_with_another_image_of_the_class():
    seen = []

    def draw(index):
        seen.extend(index.tolist())
        return torch.zeros(len(index), 3, 2, 2)

    def main(images):
        return torch.zeros(len(images), 2)  # the partner is predicted (1/2, 1/2)

    strategy = begun("cskd", [0, 1, 0, 1], 2, tau=1.0, weight=2.0)
    terms = strategy.loss(batch(SURE, [0], index=[0], main=main, draw=draw))
    kl = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert seen == [2]  # the only other image of class 0
    assert terms["kd"].item() == pytest.approx(kl)
    assert terms["loss"].item() == pytest.approx(-math.log(0.75) + 2 * kl)


def test_partners_are_of_the_class_never_oneself_and_all_are_reached():
    labels = torch.tensor([0, 1, 0, 1, 0, 2])
    members = [(labels == k).nonzero().flatten() for k in range(3)]
    generator = torch.Generator().manual_seed(0)
    met = {i: set() for i in range(6)}
    for _ in range(60):
        for i, j in enumerate(class_partners(torch.arange(6), labels, members, generator).tolist()):
            met[i].add(j)
    assert met == {0: {2, 4}, 1: {3}, 2: {0, 4}, 3: {1}, 4: {0, 2}, 5: {5}}  # a class of one has only itself


def test_tfkd_reg_softens_probabilities_as_its_code_does():
    q = designed_targets(torch.tensor([1]), 3, correct=0.99, tau=20.0)
    e = [math.exp(0.005 / 20), math.exp(0.99 / 20), math.exp(0.005 / 20)]
    assert q.tolist()[0] == pytest.approx([v / sum(e) for v in e])
    terms = begun("tfkd_reg", [0], 2, share=0.5).loss(batch([[0.0, 0.0]], [0]))
    q = designed_targets(torch.tensor([0]), 2, 0.99, 20.0)[0]
    kl = sum(float(v) * math.log(float(v) / 0.5) for v in q)
    assert terms["loss"].item() == pytest.approx(0.5 * LN2 + 0.5 * kl, abs=1e-6)


@pytest.mark.parametrize(("name", "options"), [("tfkd_self", {"share": 0.5, "tau": 2.0, "weight": 0.5}),
                                               ("hybrid", {"alpha": 0.5, "tau": 2.0})])  # fmt: skip
def test_a_frozen_network_teaches(name, options):
    frozen = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    torch.nn.init.zeros_(frozen[1].weight), torch.nn.init.zeros_(frozen[1].bias)
    strategy = begun(name, [0], 2, frozen=frozen, **options)
    terms = strategy.loss(batch([[2 * LN3, 0.0]], [0]))  # softened by 2: (3/4, 1/4); the frozen one says (1/2, 1/2)
    kl = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    weight = 0.5 if name == "tfkd_self" else 1.0
    assert terms["loss"].item() == pytest.approx(0.5 * -math.log(0.9) + 0.5 * weight * 4 * kl, abs=1e-6)
    assert not any(p.requires_grad for p in frozen.parameters())


def test_pskd_mixes_in_the_prediction_of_the_epoch_before():
    strategy = begun("pskd", [0, 1], 2, epochs=4, last=0.8)
    strategy.begin_epoch(0)  # nothing was predicted yet: the label stands in, whatever the share
    assert strategy.loss(batch(SURE, [0], index=[0]))["loss"].item() == pytest.approx(-math.log(0.75))
    strategy.begin_epoch(1)
    share = 0.8 * 2 / 4
    target = [1 - share + share * 0.75, share * 0.25]
    wanted = -target[0] * math.log(0.5) - target[1] * math.log(0.5)
    assert strategy.loss(batch([[0.0, 0.0]], [0], index=[0]))["loss"].item() == pytest.approx(wanted)
    wanted = -(1 - share + share * 0.75) * math.log(0.75) - share * 0.25 * math.log(0.25)
    assert strategy.loss(batch(SURE, [0], index=[0]))["loss"].item() == pytest.approx(wanted)  # still epoch 1's memory


def test_ols_learns_a_row_from_right_answers_only():
    strategy = begun("ols", [0, 1], 2, alpha=0.5)
    strategy.begin_epoch(0)
    terms = strategy.loss(batch([[LN3, 0.0], [LN3, 0.0]], [0, 1]))  # right for the first, wrong for the second
    hard = (-math.log(0.75) - math.log(0.25)) / 2
    assert terms["loss"].item() == pytest.approx(0.5 * hard + 0.5 * hard)  # uniform rows: the same number here
    strategy.begin_epoch(1)
    assert torch.allclose(strategy._matrix, torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    kept = similarity_matrix(torch.eye(2), torch.zeros(2, 2), torch.zeros(2))
    assert torch.equal(kept, torch.eye(2))


@pytest.mark.parametrize("name", PLAIN)
def test_every_strategy_trains(name, data):
    result = fit(network(), None, data, config(epochs=30, learning_rate=5e-3, flip=False), strategy=make_strategy(name))
    assert result.metrics["accuracy"] > 0.7
    assert all(math.isfinite(row["loss"]) for row in result.history)


@pytest.mark.parametrize("name", PLAIN)
def test_a_stopped_run_continues_bit_for_bit_with_its_memory(name, data, tmp_path):
    whole, halved = network(), network()
    fit(whole, None, data, config(), strategy=make_strategy(name))
    file = tmp_path / "state.pt"
    fit(halved, None, data, config(checkpoint=file), lambda row: row["epoch"] < 2, make_strategy(name))
    fit(halved, None, data, config(checkpoint=file), strategy=make_strategy(name))
    assert bits(whole) == bits(halved)


def test_a_checkpoint_of_another_strategy_is_refused(data, tmp_path):
    settings = config(checkpoint=tmp_path / "state.pt")
    fit(network(), None, data, settings, strategy=make_strategy("pskd"))
    with pytest.raises(ValueError, match="another strategy"):
        fit(network(), None, data, settings, strategy=make_strategy("ols"))


def test_what_does_not_fit_is_said(data):
    with pytest.raises(ValueError, match="give aux="):
        fit(network(), None, data, config(), strategy=make_strategy("skd"))
    with pytest.raises(ValueError, match="give aux=None"):
        fit(network(), network(), data, config(), strategy=make_strategy("cskd"))
    with pytest.raises(ValueError, match="strategy='kd' is unknown; choose one of labels"):
        make_strategy("kd")
    with pytest.raises(
        ValueError, match=r"alpha=1.0 is not an option of .*'cskd'; it reads tau in \(0, 100\], weight in"
    ):
        make_strategy("cskd", alpha=1.0)
    with pytest.raises(ValueError, match="tau=3.0 is not an option of strategy 'labels'; it reads none"):
        make_strategy("labels", tau=3.0)
    with pytest.raises(ValueError, match="needs a frozen network"):
        make_strategy("hybrid")
    with pytest.raises(ValueError, match="takes no frozen network"):
        make_strategy("labels", frozen=torch.nn.Identity())
    for name, wrong in (("label_smoothing", {"smoothing": 2.0}), ("cskd", {"tau": 0.0}), ("cskd", {"weight": -1.0}),
                        ("pskd", {"last": 1.5}), ("ols", {"alpha": -0.1}), ("tfkd_reg", {"correct": 1.2})):  # fmt: skip
        with pytest.raises(ValueError, match="is out of range"):
            make_strategy(name, **wrong)


def test_every_option_is_declared_and_every_declaration_is_kept():
    """Each strategy says what it reads: a value at either end is taken, one beyond is refused by name and range."""
    for name, kind in STRATEGIES.items():
        options = strategy_options(name)
        fields = {field.name for field in dataclasses.fields(kind)} - {"frozen"}
        assert set(options) == fields, f"{name}: a field without an option, or the other way round"
        frozen = torch.nn.Identity() if kind.needs else None
        assert make_strategy(name, frozen).settings() == {
            "strategy": kind.__name__, **{option: about.default for option, about in options.items()}
        }  # fmt: skip
        for option, about in options.items():
            assert getattr(make_strategy(name, frozen, **{option: about.high}), option) == about.high
            beyond = [about.high + 1, about.low - 1, float("nan"), "1", True]
            for value in beyond + [about.low] * about.open_low:
                with pytest.raises(ValueError) as caught:
                    check_strategy_options(name, {option: value})
                assert str(caught.value).startswith(
                    f"{option}={value!r} is out of range; choose a number in {about.range}"
                )
                with pytest.raises(ValueError, match="is out of range"):
                    kind(*([frozen] if kind.needs else []), **{option: value})
    with pytest.raises(ValueError, match="strategy='kd' is unknown"):
        strategy_options("kd")


def test_the_options_of_the_paper_are_those_of_equation_5():
    of_the_paper = {name: [o for o, about in strategy_options(name).items() if about.paper] for name in STRATEGIES}
    assert {name: options for name, options in of_the_paper.items() if options} == {
        "skd": ["alpha", "tau"], "hybrid": ["alpha", "tau"],
    }  # fmt: skip


def test_a_loss_that_is_not_finite_ends_the_run_with_a_remedy(data):
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        main = network()
        main.head.fc.weight.data.fill_(float("nan"))
        fit(main, None, data, config())
