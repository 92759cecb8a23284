"""The small models that chapter 0 trains in the page, in NumPy: for its static figures, and to test the JavaScript.

``widgets/static/start.js`` has the same functions. Both compute with 64-bit floats and draw nothing at random.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

# Centres of the bumps of `bumps`: seven across, seven down, in the square that `two_arcs` fills.
CENTRES = np.array([(-2.1 + 0.7 * column, -1.8 + 0.6 * row) for row in range(7) for column in range(7)])
WIDTH = 0.35


def two_arcs(n: int, generator: np.random.Generator, noise: float = 0.38) -> tuple[Array, Array]:
    """Draw points on two interlocked half circles, one per class, with normal noise.

    Args:
        n: number of points; even ones are of class 0, odd ones of class 1.
        generator: of NumPy.
        noise: standard deviation of the noise, in the units of the axes.

    Returns:
        Points ``(n, 2)`` with two decimals, and classes ``(n,)``.
    """
    classes = np.arange(n) % 2
    angle = generator.uniform(0, np.pi, n)
    sign = 1 - 2 * classes
    clean = np.column_stack((sign * np.cos(angle) + classes - 0.5, sign * (np.sin(angle) - 0.25)))
    return np.round(clean * (1.3, 1.5) + generator.normal(0, noise, (n, 2)), 2), classes


def three_arms(n: int, generator: np.random.Generator, noise: float = 0.25) -> tuple[Array, Array]:
    """Draw points on a spiral of three arms, one per class.

    Args:
        n: number of points; their classes are 0, 1, 2, 0, ...
        generator: of NumPy.
        noise: standard deviation of the angle, in radians.

    Returns:
        Points ``(n, 2)`` with two decimals, at most 2 from the middle, and classes ``(n,)``.
    """
    classes = np.arange(n) % 3
    radius = generator.uniform(0.25, 2, n)
    angle = 2 * np.pi * classes / 3 + 0.4 * np.pi * radius + generator.normal(0, noise, n)
    return np.round(np.column_stack((radius * np.cos(angle), radius * np.sin(angle))), 2), classes


def bumps(points: Array) -> Array:
    """Turn points ``(n, 2)`` into features ``(n, 50)``: a 1, and the nearness to each of 49 centres, from 0 to 1."""
    squares = ((points[:, None] - CENTRES) ** 2).sum(2)
    return np.column_stack((np.ones(len(points)), np.exp(-squares / (2 * WIDTH**2))))


def fit_two_classes(features: Array, classes: Array, ridge: float = 1e-3, steps: int = 15) -> Array:
    """Fit a logistic regression by Newton's method from zero.

    Args:
        features: ``(n, d)``; a column of ones is the intercept.
        classes: ``(n,)`` of 0 and 1.
        ridge: factor of half the squared weights, > 0, which keeps weights finite where a line separates the classes.
        steps: Newton steps; 15 are enough for six digits.

    Returns:
        Weights ``(d,)``; a point belongs to class 1 where ``features @ weights > 0``.
    """
    weights = np.zeros(features.shape[1])
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-features @ weights))
        slope = features.T @ (probability - classes) + ridge * weights
        bend = (features * (probability * (1 - probability))[:, None]).T @ features + ridge * np.eye(len(weights))
        weights = weights - np.linalg.solve(bend, slope)
    return weights


def softmax(logits: Array, tau: float = 1.0) -> Array:
    """Return the probabilities ``(n, K)`` of logits at temperature tau."""
    powers = np.exp((logits - logits.max(1, keepdims=True)) / tau)
    return powers / powers.sum(1, keepdims=True)


def fit_classes(
    features: Array, targets: Array, steps: int = 100, rate: float = 0.5, momentum: float = 0.9, ridge: float = 1e-3
) -> Array:
    """Fit a logistic regression with K classes by gradient descent with momentum, from zero.

    Args:
        features: ``(n, d)``, with a column of ones for the intercepts.
        targets: ``(n, K)``, the probabilities to learn: rows with a single 1 are labels, others are soft targets.
        steps: of gradient descent.
        rate: learning rate.
        momentum: share of the previous step that is added, in [0, 1).
        ridge: factor of half the squared weights.

    Returns:
        Weights ``(d, K)``; the predicted class of a row is the largest of ``features @ weights``.
    """
    weights = np.zeros((features.shape[1], targets.shape[1]))
    step = np.zeros_like(weights)
    for _ in range(steps):
        slope = features.T @ (softmax(features @ weights) - targets) / len(features) + ridge * weights
        step = momentum * step - rate * slope
        weights = weights + step
    return weights


def logistic_loss(points: Array, classes: Array, weights: Array) -> float:
    """Return the mean cross-entropy of a logistic regression without intercept."""
    margin = np.where(classes == 1, 1, -1) * (points @ weights)
    return float(np.mean(np.log1p(np.exp(-margin))))


def noisy_path(points: Array, classes: Array, order: Sequence[int], start: Sequence[float], rate: float) -> Array:
    """Train a logistic regression with two weights by stochastic gradient descent, one point a step.

    Args:
        points: ``(n, 2)``.
        classes: ``(n,)`` of 0 and 1.
        order: which point is used in each of the T steps.
        start: the two weights to begin with.
        rate: learning rate, constant.

    Returns:
        The weights before the first and after each step, ``(T + 1, 2)``.
    """
    weights = np.array(start, dtype=float)
    path = [weights]
    for i in order:
        probability = 1 / (1 + np.exp(-points[i] @ weights))
        weights = weights - rate * (probability - classes[i]) * points[i]
        path.append(weights)
    return np.array(path)


def average_along(path: Array, beta: float) -> Array:
    """Return the exponential moving average of a path ``(T + 1, d)``, which starts where the path starts."""
    average = [path[0]]
    for weights in path[1:]:
        average.append(beta * average[-1] + (1 - beta) * weights)
    return np.array(average)


Network = tuple[Array, Array, Array, Array]  # (2, H), (H,), (H, K), (K,): weights and biases of two layers


def network_logits(network: Network, points: Array) -> Array:
    """Return the logits ``(n, K)`` of a network with one hidden layer of tanh units."""
    first, first_bias, second, second_bias = network
    return np.tanh(points @ first + first_bias) @ second + second_bias


def every_second(network: Network, part: int) -> Network:
    """Cut a network of half the width: the even hidden units for part 0, the odd ones for part 1."""
    first, first_bias, second, second_bias = network
    return first[:, part::2], first_bias[part::2], second[part::2], second_bias


def blend(first: Network, second: Network, share: float) -> Network:
    """Average two networks weight by weight; ``share`` of the first, in [0, 1]."""
    return tuple(share * a + (1 - share) * b for a, b in zip(first, second))
