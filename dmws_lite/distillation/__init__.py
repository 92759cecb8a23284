"""How main is taught: the loss, the auxiliary as a moving average, and other ways to teach.

* ``loss.py``: equations 1 to 5
* ``moving_average.py``: equation 7
* ``strategies/``: one file for each way to teach, with the options that it reads
* ``options.py``: what an option is, and the paper's three
"""
