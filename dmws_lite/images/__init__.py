"""Labelled images in memory, and splits of them that do not leak.

``load.py`` reads or generates a set, ``splits.py`` divides it.

* ``dataset.py``: the images as arrays
* ``splits.py``: training and test part, by file or by patient
* ``load.py``: one function for every source
* ``class_folders.py``: where the images of a folder are, and which class each belongs to
* ``medmnist.py``: the small sets of MedMNIST
* ``decode.py``: from a file to an array, whatever its mode and depth
* ``augment.py``: from stored pixels to what a network sees
* ``phantoms/``: generated images of three modalities
"""
