"""The options with which every command reads a folder of images, and what it prints about it."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import torch

from ..images.dataset import Images
from ..images.decode import COLOURS, FITS
from ..images.entries import Layout
from ..images.folder_names import name_list, printable, same_name
from ..images.label_table import LabelTable
from ..images.load import Choices, folder_layout, load_layout
from ..images.nifti import AXES
from ..images.sets import ReadOptions
from ..images.volumes import check_volume_options

# Names in messages that become options: parts='pool' is --parts pool.
FOLDER_OPTIONS = (
    "parts", "level", "classes", "exclude", "labels", "image_column", "label_column", "patient_column", "part_column",
    "slices", "axis", "window",
)  # fmt: skip


_VOLUMES = {"slices": "middle", "axis": "axial", "window": ""}


def add_folder_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup, reading: bool = True) -> None:
    """Add the options that say what in a folder is what and, where ``reading``, those of how images are read."""
    if reading:
        _add_reading_options(parser)
    parser.add_argument(
        "--parts",
        help="if there are train and test folders: pool (all as one set), official (test on the test part), or a name",
    )
    parser.add_argument("--level", type=int, metavar="N", help="the classes are the folders N levels below FOLDER")
    parser.add_argument("--classes", metavar="A,B", help="only these classes, folders or labels, separated by commas")
    parser.add_argument(
        "--exclude", metavar="PATTERN", action="append", default=[], help='leave out files and folders, as in "*_old*"'
    )
    parser.add_argument("--labels", metavar="TABLE", help="CSV, TSV or Excel file with the label of each image")
    for name, what in (("image", "file"), ("label", "class"), ("patient", "patient"), ("part", "part: train, test")):
        parser.add_argument(
            f"--{name}-column", default="", metavar="NAME", help=f"column of the {what} (default: found)"
        )


def _add_reading_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument("--colour", choices=COLOURS, default="grey", help="grey (default; the book says why) or rgb")
    parser.add_argument("--fit", choices=FITS, default="stretch", help="how images become square (default: stretch)")
    parser.add_argument(
        "--slices", default="middle", metavar="WHICH", help="of DICOM frames and NIfTI: middle (default), all, 10:60:5"
    )
    parser.add_argument("--axis", choices=tuple(AXES), default="axial", help="of NIfTI volumes (default: axial)")
    parser.add_argument("--window", default="", metavar="C,W", help="grey window of DICOM and NIfTI: centre, width")


def choices_of(given: argparse.Namespace) -> Choices:
    """Return what a person said about a folder.

    Raises:
        ValueError: a column was named without a table.
    """
    columns = {name: getattr(given, f"{name}_column") for name in ("image", "label", "patient", "part")}
    named = next((name for name, value in columns.items() if value), None)
    if named and not given.labels:
        raise ValueError(f"--{named}-column names a column of a table; pass the table with --labels")
    table = LabelTable(given.labels, **columns) if given.labels else None
    classes = tuple(name.strip() for name in given.classes.split(",")) if given.classes else None
    return Choices(given.parts, given.level, classes, tuple(given.exclude), table)


def settings_of(given: argparse.Namespace) -> dict:
    """Return these options for a record: no path, only the table's name."""
    table = {name: getattr(given, f"{name}_column") for name in ("image", "label", "patient", "part")}
    settings = {"colour": given.colour, "fit": given.fit, "parts": given.parts}
    more = {"level": given.level, "classes_read": given.classes, "exclude": given.exclude or None}
    more |= {n: getattr(given, n) for n, usual in _VOLUMES.items() if getattr(given, n) != usual}
    if given.labels:
        more |= {"table": Path(given.labels).name, "columns": {k: v for k, v in table.items() if v}}
    return {**settings, **{name: value for name, value in more.items() if value}}


def look_at(folder: Path, given: argparse.Namespace) -> Layout:
    """Find out what a folder is and say it in a few lines; no image is read yet."""
    check_volume_options(given.slices, given.axis, given.window)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{folder} {what}; give the folder that holds one folder of images per class")
    layout = folder_layout(folder, choices_of(given))
    for line in layout.lines:
        warned = line.startswith("warning: ")
        print(line if warned else f"found: {line}", file=sys.stderr if warned else sys.stdout, flush=True)
    return layout


def read(layout: Layout, given: argparse.Namespace, size: int) -> Images:
    """Read the images of a folder; files that cannot be read are named on stderr."""
    how = {name: getattr(given, name) for name in ("colour", "fit", "slices", "axis", "window")}
    options = ReadOptions(size=size, progress=not given.quiet, **how)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="skipped ")  # each file is named below
        images = load_layout(layout, options)
    for name, reason in images.skipped:
        print(f"not read: {name}: {reason}", file=sys.stderr)
    return images


def with_test_folder(images: Images, folder: Path, given: argparse.Namespace, size: int) -> Images:
    """Read a second folder for the test and put it behind the images, with the parts ``train`` and ``test``.

    Raises:
        ValueError: it has a class that the training images lack.
    """
    print(f"test images from {printable(folder.name)}:", flush=True)
    layout = look_at(folder, argparse.Namespace(**{**vars(given), "parts": None}))
    own = {same_name(name): number for number, name in enumerate(images.classes)}
    unknown = [name for name in layout.classes if same_name(name) not in own]
    if unknown:
        raise ValueError(
            f"--test-folder has the class {unknown[0]!r}, which the training images lack "
            f"({name_list(images.classes)}); "
            "pass --classes with those that both have"
        )
    test = read(layout, given, size)
    labels = torch.tensor([own[same_name(test.classes[label])] for label in test.labels.tolist()])
    return Images(
        torch.cat([images.pixels, test.pixels]),
        torch.cat([images.labels, labels]),
        images.classes,
        images.name,
        images.digests + test.digests,
        images.files + tuple(f"{printable(folder.name)}/{name}" for name in test.files),
        images.skipped + test.skipped,
        images.modes + test.modes,
        images.notes + test.notes,
        ("train",) * len(images) + ("test",) * len(test),
        images.patients + test.patients,
        images.sizes + test.sizes,
    )
