"""Weight selection: a student's weights are a subset of its teacher's (section 3.1 of the paper).

* ``rules.py``: which elements of an axis a student takes, on integers only
* ``layers.py``: where a model repeats blocks, and which teacher block each student block comes from
* ``elements.py``: which entries of each tensor
* ``steps.py``: the paper's three steps, one after the other
* ``plan.py``: the result, as a table that can be read, saved and applied
* ``dual.py``: the two complementary students
* ``channels/``: which axes of which tensors must agree
"""
