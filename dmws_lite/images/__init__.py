"""Labelled images in memory, and splits of them that do not leak.

``load.py`` reads or generates a data set, ``splits.py`` splits it.

* ``dataset.py``: the images as arrays
* ``splits.py``: training and test part, split by file or by patient
* ``load.py``: one function for every source
* ``sets.py``: the registry of named data sets
* ``packed.py``: a data set as one file, read and resized
* ``survey.py``, ``folder_names.py``, ``helper_pictures.py``: what lies in a folder, and what its names say
* ``layout.py``, ``class_level.py``, ``layout_text.py``, ``entries.py``: how a folder of classes is read, or why not
* ``label_table.py``: labels in a table beside the images
* ``class_folders.py``: the sets from Kaggle, by their layout
* ``overview.py``, ``near_copies.py``: a set described; nearly equal images
* ``medmnist.py``: the small sets of MedMNIST
* ``decode.py``: from a file of any colour mode and bit depth to an array
* ``deep.py``, ``dicom.py``, ``nifti.py``, ``volumes.py``: files that Pillow reads wrong or not at all
* ``augment.py``: from stored pixels to network inputs
* ``phantoms/``: generated images of three modalities
"""
