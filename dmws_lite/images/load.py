"""From folders of medical images to tensors in memory.

Two calls are enough::

    images = load_images("mri", "data/brain-tumor-mri-dataset", size=64)
    print(images.describe())
    data = split(images, fraction=0.05, seed=0)

Everything is read once, into one ``uint8`` tensor. The paper's data sets fit in memory (7,019 grey images of
224 x 224 take 352 MB), so no epoch waits for a file.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from .._values import check_flag, is_integer
from .class_folders import (
    existing_folder,
    how_to_get,
    image_files,
    kaggle_tree,
    refuse_parts,
    relative_name,
)
from .dataset import Images, check_seed, count_words, draw_per_class, name_some, pixel_digests
from .decode import COLOURS, FITS, Decoded, read_all, read_file, readable_formats
from .entries import Entry, Layout
from .folder_names import printable
from .label_table import LabelTable, read_labelled
from .layout import read_layout
from .medmnist import load_medmnist
from .phantoms import make_phantoms
from .sets import SETS, DataSet, ReadOptions
from .volumes import check_packages, check_volume_options, expanded, read_window


def load_images(
    source: str,
    root: str | os.PathLike[str] | None = None,
    *,
    size: int = 224,
    colour: str = "grey",
    fit: str = "stretch",
    parts: str | Sequence[str] | None = None,
    n: int = 1000,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    level: int | None = None,
    classes: Sequence[str] | str | None = None,
    exclude: Sequence[str] | str = (),
    labels: LabelTable | str | os.PathLike[str] | None = None,
    slices: str = "middle",
    axis: str = "axial",
    window: str = "",
) -> Images:
    """Read or generate a labelled set of images as one ``uint8`` tensor.

    ============================================  =========================================================
    source                                        what is read
    ============================================  =========================================================
    ``"phantom-xray"``, ``-ct``, ``-mri``         generated images (``n``, ``seed``); no ``root``, no file
    ``"folder"``                                  your own images, ``root/<class>/**/*``
    ``"xray"``, ``"ct"``, ``"mri"``               the paper's three data sets, as downloaded from Kaggle
    ``"sarscov2"``                                SARS-CoV-2 CT slices, as downloaded from Kaggle
    ``"medmnist:pathmnist"``, ``...mnist_64``     any 2-D single-label MedMNIST set (28, 64, 128, 224 pixels)
    ============================================  =========================================================

    Each file goes through these steps:

    1. Its bytes are read once; their SHA-256 becomes the digest.
    2. The first frame is decoded. For ``"grey"``, JPEG files are decoded straight to luminance. JPEG files of at least
       six times ``size`` are decoded at a half, a quarter or an eighth of their size, but never below three times
       ``size`` (on 1,500-pixel files read at 224 this changed the result by 0.3 grey levels on average, at most 2).
    3. Samples of more than 8 bits (16-bit, 32-bit, float, single channel) are scaled so that the image's minimum
       becomes 0 and its maximum 255. A constant factor of 1/256 would turn the common 12-bit data nearly black, and
       percentiles would clip. The price is that absolute values (Hounsfield units) are lost. A constant image becomes
       0. (Pillow itself reduces 16-bit *colour* to its upper 8 bits.)
    4. Transparent pixels are composited on black (no signal), and the EXIF orientation is applied.
    5. The colour is converted. The default is ``"grey"`` (ITU-R 601 luminance), because in the MRI set the colour mode
       of a file reveals the class: most glioma files have one channel, nearly all notumor files three.
    6. The image is resized to ``size`` x ``size`` with antialiased bilinear interpolation.

    Files without an image suffix, hidden files, ``masks`` folders and ``NAME_mask.png`` beside ``NAME.png`` are ignored
    and counted in ``notes``. Damaged files are skipped, named in a warning and listed in ``skipped``. Images are
    ordered by class name and relative path, whatever the file system or the number of threads.

    Args:
        source: one from the table above.
        root: folder of the data set, or a folder up to four levels above it (Kaggle sources); for MedMNIST the
            folder of the ``.npz`` file (default: ``~/.medmnist``, as the package itself uses).
        size: side of the square result in pixels, 8 to 2048.
        colour: ``"grey"`` -> ``(N, H, W)``, ``"rgb"`` -> ``(N, 3, H, W)``.
        fit: ``"stretch"`` (as in the paper; aspect ratio is lost), ``"pad"`` (black borders) or ``"crop"`` (centre).
        parts: for folders with a Training/Testing level above the classes, and for MedMNIST: ``"pool"`` reads all
            parts, one or more names read only those. ``None`` pools ``"mri"`` (the paper makes its own split) and
            MedMNIST, and is an error for ``"folder"``: whether to keep an official test part is your decision.
        n: number of generated images, at least one per class.
        seed: 0 or larger; of the generated images, and of the random draw for ``limit``.
        limit: read at most this many images of each class, drawn at random with ``seed``. ``None`` reads all.
        workers: number of decoding threads, at least 1. ``None``: one per usable core, at most 8.
        progress: show a progress bar.
        level: for ``"folder"``, how many folders down the classes are, 1 for directly in ``root``; ``None`` to find
            out, see :func:`dmws_lite.images.layout.read_layout`.
        classes: for ``"folder"``, names of the folders that are classes, as a list or ``"a,b"``; ``None`` to find out.
        exclude: for ``"folder"``, patterns of files and folders to leave out, such as ``"*_old*"``.
        labels: for ``"folder"``, a table (CSV, TSV, Excel) with the label of each image, in place of class folders; or
            a :class:`dmws_lite.images.label_table.LabelTable`, which names its columns.
        slices: for DICOM files of several frames and for NIfTI volumes: ``"middle"``, ``"all"``, or a range such as
            ``"10:60:5"``. Slices of one file stay on one side of a split by patients.
        axis: for NIfTI volumes: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        window: for DICOM and NIfTI: ``"centre,width"``; ``""`` for the header's window, or else percentiles.

    Raises:
        ValueError: an argument is out of range, there are fewer than two classes, or a class has no readable image.
        FileNotFoundError: the folder does not exist or does not have the expected layout; the message says how to get
            the data set.
        ImportError: a MedMNIST source was asked for, but the ``medmnist`` package is not installed.
        RuntimeError: a MedMNIST download failed, or its file is damaged.
        MemoryError: the tensor would not fit in this machine's memory.

    Example:
        >>> from dmws_lite import load_images
        >>> images = load_images("phantom-mri", n=40, size=32, progress=False)
        >>> images.pixels.shape, images.pixels.dtype
        (torch.Size([40, 32, 32]), torch.uint8)
        >>> images.counts()
        {'glioma-like': 10, 'meningioma-like': 10, 'notumor': 10, 'pituitary-like': 10}
    """
    options = ReadOptions(size, colour, fit, parts, n, seed, limit, workers, progress, slices, axis, window)
    _check_options(options)
    choices = Choices(parts, level, _listed_names(classes), _listed_names(exclude) or (), labels)
    if source != "folder" and choices != Choices(parts):
        raise ValueError(f"level, classes, exclude and labels are for source 'folder', not {source!r}; leave them out")
    if source.startswith("medmnist:"):
        return load_medmnist(source, root, options)
    if source == "folder":
        if root is None:
            raise ValueError("source 'folder' needs root=, the folder with one folder per class")
        base = existing_folder(root)
        layout = folder_layout(base, choices)
        return load_layout(layout, options)
    if source not in SETS:
        raise ValueError(
            f"source {source!r} is unknown; use one of {', '.join(('folder', *SETS))} or 'medmnist:<flag>' (for your "
            "own images: load_images('folder', root=...))"
        )
    data_set = SETS[source]
    if data_set.loader is not None:
        return data_set.loader(root, options)
    if data_set.phantom:
        refuse_parts(source, parts)
        return _load_phantoms(data_set, options)
    if root is None:
        raise ValueError(
            f"source {source!r} needs root=, the folder of the {data_set.title} data set; {how_to_get(data_set)}"
        )
    if not data_set.layout.parts:
        refuse_parts(source, parts)
    return _load_kaggle(source, *kaggle_tree(data_set, existing_folder(root, data_set), parts), options)


def _load_phantoms(data_set: DataSet, options: ReadOptions) -> Images:
    pixels, labels, classes = make_phantoms(
        data_set.phantom, options.n, size=options.size, seed=options.seed, progress=options.progress
    )
    if options.limit is not None:
        keep = draw_per_class(labels.tolist(), len(classes), options.limit, options.seed)
        pixels, labels = pixels[keep], labels[keep]
    digests = pixel_digests(pixels)
    if options.colour == "rgb":
        pixels = pixels.unsqueeze(1).repeat(1, 3, 1, 1)
    notes = ("generated images, not patients", f"generator seed {options.seed}")
    return Images(pixels, labels, tuple(classes), data_set.name, digests, notes=notes)


@dataclass(frozen=True)
class Choices:
    """What a person says about a folder; see :func:`load_images`."""

    parts: str | Sequence[str] | None = None
    level: int | None = None
    classes: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    labels: LabelTable | str | os.PathLike[str] | None = None


def folder_layout(base: Path, choices: Choices) -> Layout:
    """Find out what a folder is, by its class folders or by a table of labels, without reading an image.

    Raises:
        LayoutError: it cannot be read, or in two ways.
    """
    suffixes = readable_formats()[0]
    if choices.labels is None:
        return read_layout(base, suffixes, choices.parts, choices.level, choices.classes, choices.exclude)
    if choices.level is not None:
        raise ValueError(f"level={choices.level} is for class folders, but labels= names a table; use one of the two")
    table = choices.labels if isinstance(choices.labels, LabelTable) else LabelTable(choices.labels)
    return read_labelled(base, suffixes, table, choices.parts, choices.classes, choices.exclude)


def _listed_names(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return tuple(name.strip() for name in given.split(",")) if isinstance(given, str) else tuple(given)


def _load_kaggle(name: str, base: Path, tree: dict[str, list[Path]], notes: list[str], options: ReadOptions) -> Images:
    """Read all images of a mapping class -> folders."""
    ignored: Counter[str] = Counter()
    entries: list[Entry] = []
    for title in sorted(tree):
        in_class: Counter[str] = Counter()
        found = [path for folder in tree[title] for path in image_files(folder, readable_formats()[0], in_class)]
        if not found:
            where = " and ".join(str(folder) for folder in tree[title])
            others = f" (ignored: {count_words(in_class)})" if in_class else ""
            raise ValueError(
                f"class {printable(title)!r} has no image in {printable(where)}{others}; put images there or remove "
                "the folder"
            )
        ignored += in_class
        entries += [Entry(path, title) for path in found]
    return load_layout(Layout(base, tuple(entries), tuple(sorted(tree)), tuple(notes), ignored), options, name)


def load_layout(layout: Layout, options: ReadOptions, name: str = "") -> Images:
    """Read the images of a folder whose layout is known.

    Args:
        layout: see :func:`dmws_lite.images.layout.read_layout`.
        options: how to read them.
        name: of the set; by default ``folder:`` and the folder's name.

    Raises:
        ValueError: a class has no readable image.
        MemoryError: the tensor would not fit in this machine's memory.
    """
    name = name or f"folder:{printable(layout.base.resolve().name)}"
    number = {title: label for label, title in enumerate(layout.classes)}
    entries = sorted(layout.entries, key=lambda each: (number[each.label], relative_name(each.path, layout.base)))
    if options.limit is not None:
        labels = [number[entry.label] for entry in entries]
        entries = [entries[i] for i in draw_per_class(labels, len(number), options.limit, options.seed)]
    check_packages([entry.path for entry in entries])
    entries = expanded(entries, options.slices, options.axis)
    names = [
        relative_name(entry.path, layout.base) + (f"#{entry.frame}" if entry.frame is not None else "")
        for entry in entries
    ]
    window = read_window(options.window)
    formats = readable_formats()[1]

    def job(index: int) -> Decoded:
        entry = entries[index]
        how = options.size, options.colour, options.fit, formats
        return read_file(entry.path, *how, entry.frame, options.axis, window)

    pixels, reads, failed = read_all(
        len(entries), job, options.size, options.colour, options.workers, options.progress, f"reading {name}"
    )
    kept = [i for i in range(len(entries)) if i not in failed]
    skipped = tuple((names[i], failed[i]) for i in sorted(failed))
    _check_readable(layout.classes, entries, names, failed)
    if skipped:
        warnings.warn(
            f"skipped {len(skipped)} of {len(entries)} files that cannot be read as images: {name_some(skipped)}; "
            "Images.skipped lists all of them",
            stacklevel=3,
        )
    return Images(
        pixels,
        torch.tensor([number[entries[i].label] for i in kept], dtype=torch.int64),
        tuple(printable(title) for title in layout.classes),
        name,
        tuple(read.digest for read in reads),
        tuple(names[i] for i in kept),
        skipped,
        tuple(read.mode for read in reads),
        (*layout.lines, *_reading_notes(layout.ignored, reads, options)),
        tuple(entries[i].part for i in kept),
        _patients([entries[i] for i in kept], reads),
        tuple(read.side for read in reads),
    )


def _patients(entries: Sequence[Entry], reads: Sequence[Decoded]) -> tuple[str, ...]:
    """Return the patient of each image, by its place or by its header; a number that all headers share says nothing."""
    told = {read.patient for read in reads if read.patient}
    if len(told) < 2:
        return tuple(entry.patient for entry in entries)
    return tuple(
        read.patient if entry.patient in ("", f"file {entry.path}") and read.patient else entry.patient
        for entry, read in zip(entries, reads)
    )


def _check_readable(
    classes: Sequence[str], entries: Sequence[Entry], names: Sequence[str], failed: dict[int, str]
) -> None:
    """Raise ``ValueError`` for a class all of whose files are damaged."""
    for title in classes:
        own = [i for i, entry in enumerate(entries) if entry.label == title]
        if all(i in failed for i in own):
            damaged = [(names[i], failed[i]) for i in own]
            raise ValueError(
                f"class {printable(title)!r} has no readable image, all {len(damaged)} files are damaged: "
                f"{name_some(damaged)}; replace them or remove the folder"
            )


def _reading_notes(ignored: Counter[str], reads: Sequence[Decoded], options: ReadOptions) -> list[str]:
    notes = []
    if ignored:
        notes.append(f"ignored {sum(ignored.values()):,} files: {count_words(ignored)}")
    if deep := sum(read.deep for read in reads):
        notes.append(f"{deep:,} files of more than 8 bits were scaled by their own minimum and maximum")
    if frames := sum(read.frames for read in reads):
        notes.append(f"{frames:,} files have several frames; only the first was read")
    if volumes := sum(read.slices > 1 for read in reads):
        what = "the middle slice of each was read" if options.slices == "middle" else f"slices read: {options.slices}"
        notes.append(f"{volumes:,} images are of DICOM or NIfTI files with several slices; {what}")
    if options.limit is not None:
        notes.append(f"at most {options.limit:,} images of each class were read (seed {options.seed})")
    return notes


def _check_options(options: ReadOptions) -> None:
    size, colour, fit = options.size, options.colour, options.fit
    n, seed, limit, workers = options.n, options.seed, options.limit, options.workers
    if not (is_integer(size) and 8 <= size <= 2048):
        raise ValueError(f"size is {size!r}, but must be an integer from 8 to 2048 (side length in pixels)")
    if colour not in COLOURS:
        raise ValueError(f"colour is {colour!r}, but must be one of {', '.join(map(repr, COLOURS))}")
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}, but must be one of {', '.join(map(repr, FITS))}")
    if not (is_integer(n) and n >= 1):
        raise ValueError(f"n is {n!r}, but must be an integer of at least 1 (number of generated images)")
    if limit is not None and not (is_integer(limit) and limit >= 1):
        raise ValueError(f"limit is {limit!r}, but must be an integer of at least 1, or None for all images")
    if workers is not None and not (is_integer(workers) and workers >= 1):
        raise ValueError(f"workers is {workers!r}, but must be an integer of at least 1, or None for one per core")
    check_seed(seed)
    check_flag("progress", options.progress)
    check_volume_options(options.slices, options.axis, options.window)
