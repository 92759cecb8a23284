"""Widgets of the book: their logic runs in the browser, so that they move on a page without a kernel.

They need the extra ``widgets`` (``pip install dmws_lite[widgets]``); nothing else of the package needs them.
"""

from .memory import AuxiliaryMemory, auxiliary_memory, measured_curves

__all__ = ["AuxiliaryMemory", "auxiliary_memory", "measured_curves"]
