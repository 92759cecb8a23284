"""Dual-Model Weight Selection and Self-Knowledge Distillation, small enough to read.

from dmws_lite import load_images, split, load_teacher, make_student, dual_students, TrainConfig, fit

data = split(load_images("phantom-mri", n=1000, size=64), fraction=0.10, seed=0)
teacher = load_teacher("convnext_pocket")
main, aux, report = dual_students(teacher, lambda: make_student("convnext_pocket", 4, 64))
result = fit(main, aux, data, TrainConfig(epochs=60, alpha=0.6, beta=0.9, tau=3.0))
"""

from .resources import wait_politely

wait_politely()  # before torch is imported, which the rest does

from .data import Images, Split, load_images, split
from .distill import half_life, remaining_share, skd_loss, soften, update_auxiliary
from .evaluation import evaluate, summarise
from .indices import element_indices
from .initialisation import start_students
from .plan import Plan, coverage
from .profiles import profile
from .selection import dual_students, plan_selection, select_weights
from .teachers import load_teacher, make_student
from .training import Result, TrainConfig, fit

__version__ = "0.1.0"

__all__ = [
    "Images",
    "Plan",
    "Result",
    "Split",
    "TrainConfig",
    "coverage",
    "dual_students",
    "element_indices",
    "evaluate",
    "fit",
    "half_life",
    "load_images",
    "load_teacher",
    "make_student",
    "plan_selection",
    "profile",
    "remaining_share",
    "select_weights",
    "skd_loss",
    "soften",
    "split",
    "start_students",
    "summarise",
    "update_auxiliary",
]
