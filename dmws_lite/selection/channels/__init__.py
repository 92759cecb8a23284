"""Which axes of which tensors carry the same channels, found by following one forward pass.

* ``labels.py``: labels for channels, and what becomes of them when a tensor is reshaped
* ``trace.py``: one forward pass in which every tensor carries its labels
* ``choose.py``: one choice of channels for all axes that must agree
"""
