"""The book's widgets. Their logic runs in the browser, so they work on a page without a kernel.

They need the extra ``widgets`` (``pip install dmws_lite[widgets]``); nothing else in the package needs them.
"""

import lazy_loader

# At once, as a function and its module have the same name: whoever loads the module first would hide the function.
from .quiz import Quiz, quiz, quiz_names, read_quiz

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["base", "session"],
    submod_attrs={
        "ablation": ["AblationExplorer", "ablation_explorer"],
        "lab": ["DistillationLab", "distillation_lab"],
        "loss": ["LossPlayground", "loss_playground", "loss_terms"],
        "memory": ["AuxiliaryMemory", "auxiliary_memory", "measured_curves"],
        "selection": ["ElementSelection", "selection_explorer"],
        "start": [
            "few_labels",
            "soft_targets",
            "label_smoothing",
            "weight_average",
            "pretrained_channels",
            "complementary_halves",
        ],
        "training": ["TrainingPlayground"],
    },
)
__all__ += ["Quiz", "quiz", "quiz_names", "read_quiz"]
