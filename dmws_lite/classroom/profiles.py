"""The three profiles of every notebook run. The code is the same; only these numbers differ."""

from __future__ import annotations

from dataclasses import dataclass

from ..training.config import TrainConfig


@dataclass(frozen=True)
class Profile:
    """Settings of a notebook run.

    Attributes:
        name: ``"fast"``, ``"classroom"`` or ``"paper"``.
        pair: teacher and student, a name in ``dmws_lite.teachers.pairs.PAIRS`` or ``"auto"``.
        size: side of the images in pixels.
        n_images: number of phantoms to generate.
        fraction: fraction of the training pool that the student is trained on, in (0, 1].
        epochs: number of passes over the training images.
        seeds: seeds of each comparison.
        batch_size: images per step.
        learning_rate: peak of AdamW's learning rate.
        tau: distillation temperature (the paper: 4 for ViT, 3 for ConvNeXt).
    """

    name: str
    pair: str
    size: int
    n_images: int
    fraction: float
    epochs: int
    seeds: tuple[int, ...]
    batch_size: int
    learning_rate: float = 1e-3
    tau: float = 3.0

    def config(self, **changes: object) -> TrainConfig:
        """Return how to train with this profile, tested after every epoch.

        Args:
            changes: of single attributes of :class:`dmws_lite.training.config.TrainConfig`, such as ``seed=1``.

        Raises:
            ValueError: a value is out of range.

        Example:
            >>> from dmws_lite.classroom.profiles import profile
            >>> profile("fast").config(beta=0.99).learning_rate
            0.002
        """
        own = {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate", "tau")}
        return TrainConfig(**{**own, "evaluate_every": 1, "progress": False, **changes})


PROFILES = {
    # For building the book on two CPU cores: 300 steps, after which a selected student is right on about six phantoms
    # in ten. All 800 images are used, so that the start makes the difference and not the draw of a few images.
    "fast": Profile("fast", "convnext_pocket", 48, 1000, 1.0, 6, (0,), 16, 2e-3),
    # Minutes on a laptop or a T4: 1,000 steps, about eight in ten. The grids lessons and lessons_long have both.
    "classroom": Profile("classroom", "convnext_pocket", 48, 1000, 1.0, 20, (0, 1, 2), 16, 2e-3),
    # The paper's settings (section 4.1), for a GPU: 224 px, 300 epochs, five seeds, its ConvNeXt pair from the hub.
    "paper": Profile("paper", "convnext_t", 224, 4000, 0.10, 300, (0, 1, 2, 3, 4), 32),
}


def profile(name: str) -> Profile:
    """Return a profile by name.

    Raises:
        ValueError: there is no such profile.

    Example:
        >>> from dmws_lite.classroom.profiles import profile
        >>> fast = profile("fast")
        >>> fast.pair, fast.size, fast.epochs, fast.seeds
        ('convnext_pocket', 48, 6, (0,))
    """
    if name not in PROFILES:
        raise ValueError(f"PROFILE={name!r} is unknown; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
