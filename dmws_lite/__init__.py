"""Dual-Model Weight Selection and Self-Knowledge Distillation, small enough to read.

from dmws_lite import load_images, split, load_teacher, make_student, dual_students, TrainConfig, fit

data = split(load_images("phantom-mri", n=1000, size=64), fraction=0.10, seed=0)
teacher = load_teacher("convnext_pocket")
main, aux, report = dual_students(teacher, lambda: make_student("convnext_pocket", 4, 64))
result = fit(main, aux, data, TrainConfig(epochs=60, alpha=0.6, beta=0.9, tau=3.0))

The rooms, each above those that it may import from:

* :mod:`dmws_lite.cli`: the command line
* :mod:`dmws_lite.classroom`: widgets, profiles, checks of exercises
* :mod:`dmws_lite.experiments`: many runs, their records, tables and statistics; :mod:`dmws_lite.figures`: pictures
* :mod:`dmws_lite.training`: one run
* :mod:`dmws_lite.selection`, :mod:`dmws_lite.distillation`: the method
* :mod:`dmws_lite.images`, :mod:`dmws_lite.teachers`: arrays and networks
"""

import lazy_loader

from ._system import VERSION as __version__
from ._system import wait_politely

wait_politely()  # before anything imports torch

# A name's module is imported when the name is first used, so that `import dmws_lite` takes no time.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "classroom",
        "cli",
        "distillation",
        "experiments",
        "figures",
        "images",
        "selection",
        "teachers",
        "training",
    ],
    submod_attrs={
        "classroom.profiles": ["profile"],
        "distillation.loss": ["skd_loss", "soften"],
        "distillation.moving_average": ["half_life", "remaining_share", "update_auxiliary"],
        "experiments.methods": ["start_students"],
        "experiments.statistics": ["summarise"],
        "images.dataset": ["Images"],
        "images.load": ["load_images"],
        "images.splits": ["Split", "split"],
        "selection.dual": ["dual_students", "select_weights"],
        "selection.plan": ["Plan", "coverage"],
        "selection.rules": ["element_indices"],
        "selection.steps": ["plan_selection"],
        "teachers.load": ["load_teacher"],
        "teachers.pairs": ["make_student"],
        "training.config": ["Result", "TrainConfig"],
        "training.evaluate": ["evaluate"],
        "training.fit": ["fit"],
        "training.saved": ["save_student"],
    },
)
__all__ += ["__version__"]
