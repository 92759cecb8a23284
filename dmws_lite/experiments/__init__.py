"""Many runs: their descriptions, records, statistics and tables.

* ``methods.py``: the comparison methods and the data sets
* ``run.py``: one run, fully described
* ``execute.py``: carry it out
* ``tuning.py``: choose a setting on a part of the training images
* ``stacked.py``: carry several out at once
* ``records.py``: what came out, on disk
* ``check.py``: do the parts of a record agree?
* ``grids.py``: many runs from a few lines of YAML
* ``compare.py``: repeats of one variant, and differences between two
* ``statistics.py``: means with intervals, tests
* ``tables.py``: tables of results
* ``model_card.py``: the page that goes with a trained student
"""
