"""One run, from two students to a trained one.

* ``fit.py``: the loop
* ``stack.py``: the same loop for several runs at once
* ``config.py``: what shapes it, and what it leaves behind
* ``checkpoint.py``: what a run needs to resume exactly
* ``evaluate.py``: how good a student is
* ``device.py``: where it computes
* ``saved.py``: a trained student on disk
"""
