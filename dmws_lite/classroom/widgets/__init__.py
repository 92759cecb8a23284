"""Widgets of the book: their logic runs in the browser, so that they move on a page without a kernel.

They need the extra ``widgets`` (``pip install dmws_lite[widgets]``); nothing else of the package needs them.
"""

from .ablation import AblationExplorer, ablation_explorer
from .lab import DistillationLab, distillation_lab
from .loss import LossPlayground, loss_playground, loss_terms
from .memory import AuxiliaryMemory, auxiliary_memory, measured_curves
from .quiz import Quiz, quiz, quiz_names, read_quiz
from .selection import ElementSelection, selection_explorer
from .training import TrainingPlayground

__all__ = [
    "AblationExplorer",
    "ablation_explorer",
    "AuxiliaryMemory",
    "DistillationLab",
    "ElementSelection",
    "LossPlayground",
    "Quiz",
    "TrainingPlayground",
    "auxiliary_memory",
    "distillation_lab",
    "loss_playground",
    "loss_terms",
    "measured_curves",
    "quiz",
    "quiz_names",
    "read_quiz",
    "selection_explorer",
]
