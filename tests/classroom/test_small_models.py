"""The small models of chapter 0 against scikit-learn, SciPy and PyTorch, which compute the same in other ways."""

import numpy as np
import pytest
import torch
from scipy.special import softmax as scipy_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from dmws_lite import element_indices
from dmws_lite.classroom import small_models as models
from dmws_lite.distillation.moving_average import remaining_share


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_two_arcs_are_two_classes_that_overlap_a_little(generator) -> None:
    points, classes = models.two_arcs(400, generator)
    assert points.shape == (400, 2) and classes.tolist() == [0, 1] * 200
    assert np.array_equal(points, np.round(points, 2))
    straight = LogisticRegression().fit(points, classes).score(points, classes)
    bent = LogisticRegression(C=1e3).fit(models.bumps(points), classes).score(models.bumps(points), classes)
    assert 0.7 < straight < bent < 1, "no line separates the arcs, and no smooth curve all of their points"
    clean, _ = models.two_arcs(400, np.random.default_rng(1), noise=0)
    assert np.abs(clean).max(0) == pytest.approx([1.95, 1.125], abs=0.02)


def test_three_arms_are_three_classes_inside_a_circle(generator) -> None:
    points, classes = models.three_arms(300, generator)
    assert points.shape == (300, 2) and classes.tolist() == [0, 1, 2] * 100
    assert np.hypot(*points.T).max() <= 2.01
    clean, classes = models.three_arms(300, np.random.default_rng(1), noise=0)
    angle = np.arctan2(*clean.T[::-1]) - 0.4 * np.pi * np.hypot(*clean.T) - 2 * np.pi * classes / 3
    assert np.cos(angle) == pytest.approx(1, abs=0.01), "each arm turns with the radius"


def test_bumps_are_one_at_their_centres_and_fall_off() -> None:
    features = models.bumps(models.CENTRES)
    assert features.shape == (49, 50) and (features[:, 0] == 1).all()
    assert np.diag(features[:, 1:]) == pytest.approx(1)
    away = models.bumps(models.CENTRES[:1] + (models.WIDTH, 0))
    assert away[0, 1] == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize("per_class", [2, 10, 50])
def test_two_classes_as_in_scikit_learn(generator, per_class: int) -> None:
    points, classes = models.two_arcs(2 * per_class, generator)
    features = models.bumps(points)
    weights = models.fit_two_classes(features, classes)
    other = LogisticRegression(C=1e3, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(features, classes)
    assert weights == pytest.approx(other.coef_[0], abs=2e-3)


def test_softmax_as_in_scipy(generator) -> None:
    logits = generator.normal(0, 300, (5, 4))
    for tau in (0.5, 1.0, 20.0):
        assert models.softmax(logits, tau) == pytest.approx(scipy_softmax(logits / tau, axis=1))


def test_gradient_descent_as_in_pytorch(generator) -> None:
    features = np.column_stack((generator.normal(size=(30, 6)), np.ones(30)))
    targets = models.softmax(generator.normal(size=(30, 4)))
    weights = torch.zeros(7, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.5, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        logits = torch.tensor(features) @ weights
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets)) + 1e-3 / 2 * (weights**2).sum()
        loss.backward()
        optimizer.step()
    assert models.fit_classes(features, targets, steps=40) == pytest.approx(weights.detach().numpy(), abs=1e-10)


def test_noisy_path_as_in_pytorch(generator) -> None:
    points, classes = generator.normal(size=(12, 2)), generator.integers(0, 2, 12)
    order = generator.integers(0, 12, 25).tolist()
    path = models.noisy_path(points, classes, order, (-2.0, 2.5), rate=0.7)
    weights, found = torch.tensor([-2.0, 2.5], dtype=torch.float64, requires_grad=True), [[-2.0, 2.5]]
    for i in order:
        logit = (torch.tensor(points[i]) * weights).sum()
        (slope,) = torch.autograd.grad(
            torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor(float(classes[i]))), weights
        )
        weights = (weights - 0.7 * slope).detach().requires_grad_(True)
        found.append(weights.tolist())
    assert path == pytest.approx(np.array(found), abs=1e-12)
    chance = 1 / (1 + np.exp(-points @ path[-1]))
    assert models.logistic_loss(points, classes, path[-1]) == pytest.approx(log_loss(classes, chance, labels=[0, 1]))


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_average_forgets_its_start_as_the_package_says(beta: float) -> None:
    path = np.zeros((21, 2))
    path[0] = (3.0, -1.0)  # what is left of the average is what is left of its start
    average = models.average_along(path, beta)
    shares = np.array([remaining_share(beta, step) for step in range(21)])
    assert average == pytest.approx(shares[:, None] * path[0])
    still = np.tile((2.0, 5.0), (9, 1))
    assert models.average_along(still, beta) == pytest.approx(still), "the average of one place is that place"


def test_network_as_in_pytorch_and_cut_as_the_package_cuts(generator) -> None:
    network = tuple(generator.normal(size=size) for size in ((2, 8), (8,), (8, 3), (3,)))
    points = generator.normal(size=(10, 2))

    def theirs(first, first_bias, second, second_bias) -> np.ndarray:
        hidden, out = torch.nn.Linear(2, len(first_bias)), torch.nn.Linear(len(first_bias), 3)
        for layer, weight, bias in ((hidden, first, first_bias), (out, second, second_bias)):
            layer.weight.data, layer.bias.data = torch.tensor(weight.T), torch.tensor(bias)
        return out(torch.tanh(hidden(torch.tensor(points)))).detach().numpy()

    assert models.network_logits(network, points) == pytest.approx(theirs(*network))
    halves = [models.every_second(network, part) for part in (0, 1)]
    for part, half in enumerate(halves):
        kept = element_indices(8, 4, "uniform", part=part)
        first, first_bias, second, second_bias = network
        expected = (first[:, kept], first_bias[kept], second[kept], second_bias)
        assert all(np.array_equal(a, b) for a, b in zip(half, expected))
        assert models.network_logits(half, points) == pytest.approx(theirs(*expected))
    # Two halves of a sum: the hidden units of both add up to the teacher's, and the bias counts twice.
    together = sum(models.network_logits(half, points) for half in halves) - network[3]
    assert together == pytest.approx(models.network_logits(network, points))
    for part, a, b in zip(models.blend(*halves, 0.25), *halves):
        assert part == pytest.approx(0.25 * a + 0.75 * b)
