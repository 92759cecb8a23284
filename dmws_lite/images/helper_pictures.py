"""Masks, segmentations and other pictures that belong to an image and are none themselves: found and set aside."""

from __future__ import annotations

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .folder_names import helper_stem, is_helper_folder, printable, same_name
from .survey import Folder, stem_of

_LOOKED_AT = 6  # pairs of pictures that are opened to see which of the two is a helper

_FEW = 8  # grey values of a drawn picture

_BESIDE = 40  # more sibling folders than that are not compared with one another


def set_aside(tree: Folder, kept: Sequence[str] = ()) -> list[str]:
    """Remove helper pictures from a surveyed folder, in place; they are counted among its other files as masks.

    A picture is a helper by the name of its folder (``masks``), by its own name (``a_mask.png`` beside ``a.png``), or
    by its content: its stem continues or equals that of an image, and it has a few grey values where the image has
    many.

    Args:
        tree: what :func:`dmws_lite.images.survey.survey` found.
        kept: names of folders that a person called classes: these stay.

    Returns:
        One line of evidence for each way in which helpers were found.
    """
    classes = {same_name(name) for name in kept}
    evidence: dict[str, list[str]] = defaultdict(list)
    counted: Counter[str] = Counter()
    for folder in list(tree.walk()):
        _by_folder(folder, classes, evidence, counted)
    for folder in tree.walk():
        _by_name(folder, evidence, counted)
        _by_content(folder, evidence, counted)
    for folder in list(tree.walk()):
        _twin_folders(folder, classes, evidence, counted)
    return [f"masks and other helpers, {counted[how]:,} by {how}: {names[0]}" for how, names in evidence.items()]


def _empty(folder: Folder) -> int:
    total = 0
    for each in folder.walk():
        total += len(each.images)
        each.others["masks"] += len(each.images)
        each.images = []
    return total


def _by_folder(folder: Folder, classes: set[str], evidence: dict[str, list[str]], counted: Counter[str]) -> None:
    names = [each.name for each in folder.filled]
    helpers = [
        each
        for each in folder.filled
        if same_name(each.name) not in classes and is_helper_folder(each.name, [n for n in names if n != each.name])
    ]
    if len(helpers) == len(names) and not folder.images:
        return  # nothing would be left
    for each in helpers:
        counted["the folder's name"] += _empty(each)
        evidence["the folder's name"].append(printable(each.name))


def _by_name(folder: Folder, evidence: dict[str, list[str]], counted: Counter[str]) -> None:
    stems = {stem_of(name) for name in folder.images}
    # The image must exist: "with_mask_1.jpg" may show a person with a mask.
    helpers = {name for name in folder.images if helper_stem(stem_of(name))[1] in stems}
    _remove(folder, helpers, "the file's name", evidence, counted)


def _by_content(folder: Folder, evidence: dict[str, list[str]], counted: Counter[str]) -> None:
    """Look at pictures whose stem equals an image's, or continues it after a separator."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in folder.images:
        by_stem[stem_of(name)].append(name)
    pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)  # what is added -> (image, candidate)
    for stem, names in by_stem.items():
        for other in names[1:]:
            first, second = sorted((names[0], other), key=lambda name: (folder.path / name).stat().st_size)
            pairs[os.path.splitext(first)[1]].append((second, first))
        for cut in [i for i, letter in enumerate(stem) if letter in "_-. " and i]:
            if stem[:cut] in by_stem:
                pairs[stem[cut:].rstrip("0123456789")].append((by_stem[stem[:cut]][0], names[0]))
    for several in pairs.values():
        sample = several[:: max(1, len(several) // _LOOKED_AT)][:_LOOKED_AT]
        if all(_is_drawn_beside(folder.path / image, folder.path / drawn) for image, drawn in sample):
            _remove(folder, {drawn for _, drawn in several}, "content (few grey values)", evidence, counted)


def _twin_folders(folder: Folder, classes: set[str], evidence: dict[str, list[str]], counted: Counter[str]) -> None:
    """Compare folders that hold files of the same stems: one may hold the masks of the other."""
    beside = [each for each in folder.filled if same_name(each.name) not in classes]
    if not 2 <= len(beside) <= _BESIDE:
        return
    files = {each.name: {stem_of(path.name): path for path in each.files()} for each in beside}
    for each in beside:
        for other in beside:
            common = sorted(files[each.name].keys() & files[other.name].keys())
            if each is other or not each.total or len(common) < max(2, 0.8 * len(files[each.name])):
                continue
            sample = common[:: max(1, len(common) // _LOOKED_AT)][:_LOOKED_AT]
            if all(_is_drawn_beside(files[other.name][stem], files[each.name][stem]) for stem in sample):
                counted["content (few grey values, file names of another folder)"] += _empty(each)
                evidence["content (few grey values, file names of another folder)"].append(printable(each.name))


def _remove(folder: Folder, helpers: set[str], how: str, evidence: dict, counted: Counter[str]) -> None:
    if helpers:
        folder.images = [name for name in folder.images if name not in helpers]
        folder.others["masks"] += len(helpers)
        counted[how] += len(helpers)
        evidence[how].append(printable(min(helpers)))


def _is_drawn_beside(image: Path, candidate: Path) -> bool:
    return _values(candidate) <= _FEW < 2 * _FEW <= _values(image)


def _values(path: Path) -> int:
    """Return the number of grey values that make up 97% of a picture; 255 where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd about a file is said when it is read
            picture = Image.open(path)
        with picture:
            picture.draft("L", (256, 256))
            counts = np.sort(np.bincount(np.asarray(picture.convert("L")).ravel(), minlength=256))[::-1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 255
    return int(np.searchsorted(np.cumsum(counts), 0.97 * counts.sum())) + 1
