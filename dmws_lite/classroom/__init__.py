"""Teaching tools around the method.

* ``profiles.py``: the sizes in which a notebook can run
* ``checks.py``: checks for the exercises
* ``probe.py``: how well a simple classifier reads the class from a network's channels
* ``practice_folder.py``: a folder of generated images with the traps of real data sets
* ``widgets/``: the interactive parts of the pages
"""
