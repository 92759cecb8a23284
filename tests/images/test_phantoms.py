"""The generated default images: bytes, balance, errors, and that no shortcut tells the classes apart."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import adaptive_avg_pool2d

from dmws_lite.images.phantoms import PHANTOM_CLASSES, make_phantoms
from dmws_lite.images.phantoms._field import PixelGrid, Pose, chord, tubes
from dmws_lite.images.phantoms.mri import CLASSES as MRI_CLASSES

KINDS = ("xray", "ct", "mri")


@pytest.fixture(scope="module")
def many() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """1,000 phantoms of each kind at 64 pixels, made once for the tests on shortcuts."""
    return {kind: make_phantoms(kind, 1000, size=64)[:2] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 65])
def test_shape_type_and_classes(kind: str, size: int) -> None:
    pixels, labels, classes = make_phantoms(kind, 9, size=size)
    assert pixels.shape == (9, size, size) and pixels.dtype == torch.uint8
    assert labels.shape == (9,) and labels.dtype == torch.int64
    assert classes == PHANTOM_CLASSES[kind] and classes == tuple(sorted(classes))
    assert all(image.float().std() > 10 for image in pixels), "an image is nearly uniform"


def test_class_names_say_that_they_are_only_alike() -> None:
    assert PHANTOM_CLASSES["mri"] == MRI_CLASSES
    for classes in PHANTOM_CLASSES.values():
        assert all(name.endswith("-like") or name in ("normal", "notumor", "lung-opacity") for name in classes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_prefix_is_balanced_and_the_order_is_shuffled(kind: str) -> None:
    _, labels, classes = make_phantoms(kind, 41, size=32, seed=3)
    for n in range(len(classes), 42):
        counts = torch.bincount(labels[:n], minlength=len(classes))
        assert counts.max() - counts.min() <= 1
    rounds = labels[: 40 // len(classes) * len(classes)].reshape(-1, len(classes))
    assert len({tuple(row) for row in rounds.tolist()}) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_seed_fixes_the_bytes_and_a_longer_request_starts_the_same(kind: str) -> None:
    pixels, labels, _ = make_phantoms(kind, 6, size=48, seed=5)
    torch.manual_seed(1)  # no global generator may have a say
    again, labels_again, _ = make_phantoms(kind, 10, size=48, seed=5, progress=True)
    assert torch.equal(pixels, again[:6]) and torch.equal(labels, labels_again[:6])
    other, _, _ = make_phantoms(kind, 6, size=48, seed=6)
    assert not any(torch.equal(a, b) for a, b in zip(pixels, other, strict=True))
    assert len({image.numpy().tobytes() for image in again}) == 10, "two images of one request are the same"


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    make_phantoms("mri", 4, size=32)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_shows_the_same_anatomy_at_every_size(kind: str) -> None:
    small, labels, _ = make_phantoms(kind, 6, size=64)
    large, labels_large, _ = make_phantoms(kind, 6, size=128)
    assert torch.equal(labels, labels_large)
    shrunk = adaptive_avg_pool2d(large.float()[:, None], 16).flatten(1)
    direct = adaptive_avg_pool2d(small.float()[:, None], 16).flatten(1)
    for a, b in zip(direct, shrunk, strict=True):
        assert torch.corrcoef(torch.stack((a, b)))[0, 1] > 0.97


def _held_out_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on the last fifth of a linear model that was fitted on the rest."""
    cut = len(labels) * 4 // 5
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(features[:cut], labels[:cut]).score(features[cut:], labels[cut:])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bound"), [("xray", 0.60), ("ct", 0.70), ("mri", 0.60)])
def test_a_linear_model_on_thumbnails_does_not_solve_it(many, kind: str, bound: float) -> None:
    pixels, labels = many[kind]
    thumbnails = adaptive_avg_pool2d(pixels.float()[:, None], 8).flatten(1).numpy()
    accuracy = _held_out_accuracy(thumbnails, labels.numpy())
    chance = 1 / len(PHANTOM_CLASSES[kind])
    assert chance < accuracy < bound


@pytest.mark.parametrize(("kind", "bound"), [("xray", 0.40), ("ct", 0.50), ("mri", 0.40)])
def test_mean_brightness_tells_next_to_nothing(many, kind: str, bound: float) -> None:
    pixels, labels = many[kind]
    brightness = pixels.float().mean((1, 2)).numpy()[:, None]
    assert _held_out_accuracy(brightness, labels.numpy()) < bound


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "pet", "n": 8}, "'pet'.*'xray', 'ct' or 'mri'"),
        ({"kind": None, "n": 8}, "None"),
        ({"kind": "mri", "n": 3}, "n=3 .*at least 4"),
        ({"kind": "ct", "n": 2}, "n=2 .*at least 3"),
        ({"kind": "ct", "n": -5}, "n=-5"),
        ({"kind": "ct", "n": 8.0}, "n=8.0"),
        ({"kind": "ct", "n": True}, "n=True"),
        ({"kind": "ct", "n": 8, "size": 31}, "size=31 .*32 to 512"),
        ({"kind": "ct", "n": 8, "size": 513}, "size=513 .*32 to 512"),
        ({"kind": "ct", "n": 8, "size": 64.5}, "size=64.5"),
        ({"kind": "ct", "n": 8, "seed": -1}, "seed=-1 .*0 or more"),
        ({"kind": "ct", "n": 8, "seed": 0.5}, "seed=0.5"),
    ],
)
def test_unusable_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_phantoms(**arguments)


def test_pose_can_be_undone() -> None:
    rng = np.random.default_rng(0)
    grid, pose = PixelGrid(40), Pose.draw(rng, 12.0, 0.1, 10.0, 0.1, 0.05)
    x, y = pose.anatomy(grid)
    u, v = pose.image(x, y)
    assert np.allclose(u, np.broadcast_to(grid.axis[None, :], u.shape), atol=1e-5)
    assert np.allclose(v, np.broadcast_to(grid.axis[:, None], v.shape), atol=1e-5)


def test_line_integral_through_an_ellipsoid_has_its_volume() -> None:
    axis = np.linspace(-5, 5, 401, dtype=np.float32)
    path = chord(axis[None, :], axis[:, None], (0.5, -0.5), (3.0, 2.0, 1.5), 0.3)
    assert path.max() == pytest.approx(3.0, rel=1e-3)
    assert path.sum() * 0.025**2 == pytest.approx(4 / 3 * np.pi * 3.0 * 2.0 * 1.5, rel=1e-3)


def test_line_integral_through_a_solid_tube_has_its_volume() -> None:
    grid, pose = PixelGrid(128), Pose(10.0, 0.0, (0.0, 0.0), (0.0,) * 6)
    x = np.linspace(-5, 5, 400)[None, :]
    image = tubes(grid, pose, x, 0.2 * x, 0.0 * x, np.array([[0.8]]), 0.0)
    volume = np.pi * 0.8**2 * 10 * np.hypot(1, 0.2)
    assert image.sum() * (10.0 * grid.pixel) ** 2 == pytest.approx(volume, rel=0.03)
