"""What a class needs beside the method.

* ``profiles.py``: how long the notebooks run
* ``checks.py``: checks of the exercises
* ``practice_folder.py``: a folder of generated images with the traps of real ones
* ``widgets/``: what moves on a page
"""
