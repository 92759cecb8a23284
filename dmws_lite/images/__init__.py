"""Labelled images in memory, and splits of them that do not leak.

``load.py`` reads or generates a data set, ``splits.py`` splits it.

* ``dataset.py``: the images as arrays
* ``splits.py``: training and test part, split by file or by patient
* ``load.py``: one function for every source
* ``sets.py``: the registry of named data sets
* ``packed.py``: a data set as one file, read and resized
* ``class_folders.py``: find the images below a folder and the class of each
* ``medmnist.py``: the small sets of MedMNIST
* ``decode.py``: from a file of any colour mode and bit depth to an array
* ``augment.py``: from stored pixels to network inputs
* ``phantoms/``: generated images of three modalities
"""
