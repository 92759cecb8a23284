"""Folders of medical images to tensors in memory, and splits that do not leak.

Two functions do the work and both are three-line affairs::

    images = load_images("mri", "data/brain-tumor-mri-dataset", size=64)
    print(images.describe())
    data = split(images, fraction=0.05, seed=0)

Everything is read once, into one ``uint8`` tensor: the sets of the paper fit in memory (7,019 grey images of
224 x 224 are 352 MB), so no epoch ever waits for a file.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from .class_folders import (
    LAYOUTS,
    existing_folder,
    how_to_get,
    image_files,
    kaggle_tree,
    plain_tree,
    printable,
    refuse_parts,
    relative_name,
)
from .dataset import Images, check_seed, count_words, draw_per_class, is_integer, name_some, pixel_digests
from .decode import COLOURS, FITS, Decoded, read_all, read_file, readable_formats
from .medmnist import load_medmnist
from .phantoms import make_phantoms

PHANTOMS = ("phantom-xray", "phantom-ct", "phantom-mri")


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
) -> Images:
    """Read or generate one labelled image set, decoded once into one ``uint8`` tensor.

    ============================================  =========================================================
    source                                        what is read
    ============================================  =========================================================
    ``"phantom-xray"``, ``-ct``, ``-mri``         generated images (``n``, ``seed``); no ``root``, no file
    ``"folder"``                                  your own images, ``root/<class>/**/*``
    ``"xray"``, ``"ct"``, ``"mri"``               the three sets of the paper, as downloaded from Kaggle
    ``"sarscov2"``                                SARS-CoV-2 CT slices, as downloaded from Kaggle
    ``"medmnist:pathmnist"``, ``...mnist_64``     any 2-D single-label MedMNIST set (28, 64, 128, 224 pixels)
    ============================================  =========================================================

    What happens to a file, in this order:

    1. Its bytes are read once; their SHA-256 becomes the digest.
    2. The first frame is decoded. JPEG files that are read as grey are decoded to luminance directly, and JPEG
       files of at least six times ``size`` are decoded at a half, a quarter or an eighth, never below three times
       ``size`` (on 1,500-pixel files read at 224 this changed the result by 0.3 grey levels on average, 2 at most).
    3. Samples of more than 8 bits (16-bit, 32-bit, float, single channel) are scaled from the image's own minimum
       and maximum to 0..255. A constant factor 1/256 would turn the common 12-bit data black; percentiles would
       clip. The price: absolute values (Hounsfield units) are gone. A constant image becomes 0.
       (Pillow itself reduces 16-bit *colour* to its upper 8 bits.)
    4. Transparency is composited on black (no signal), the EXIF orientation is applied.
    5. Colour is converted: ``"grey"`` (ITU-R 601 luminance), the default, because in the MRI set the colour mode of
       the file betrays the class: most glioma files have one channel, nearly all notumor files three.
    6. It is resized to ``size`` x ``size`` with antialiased bilinear interpolation.

    Files that are no images (by suffix), hidden files, ``masks`` folders and ``NAME_mask.png`` beside ``NAME.png`` are
    passed over and counted in ``notes``. Damaged files are passed over, named in a warning and kept in ``skipped``.
    The order is that of the sorted class names and relative paths, whatever the file system or thread count.

    Args:
        source: one of the table above.
        root: folder of the data set, or a folder up to four levels above it (Kaggle sources); for MedMNIST the
            folder of the ``.npz`` file (default: ``~/.medmnist``, the package's own).
        size: side of the square result in pixels, 8 to 2048.
        colour: ``"grey"`` -> ``(N, H, W)``, ``"rgb"`` -> ``(N, 3, H, W)``.
        fit: ``"stretch"`` (the paper: aspect ratio is lost), ``"pad"`` (black borders) or ``"crop"`` (centre).
        parts: for trees with a Training/Testing level above the classes, and MedMNIST: ``"pool"`` reads all parts,
            a name or names read only these. ``None`` pools ``"mri"`` (the paper splits by itself) and MedMNIST,
            and is an error for ``"folder"``: whether to keep an official test part is your decision.
        n, seed: number and seed of generated images; ``seed`` also draws the images of ``limit``.
        limit: read at most this many images of each class, drawn at random with ``seed``. ``None`` reads all.
        workers: decoding threads, 1 or more; Pillow releases the interpreter lock. ``None``: one per usable core, at
            most 8.
        progress: show a progress bar.

    Raises:
        ValueError: an argument is out of range, fewer than two classes, a class without a readable image.
        FileNotFoundError: the folder is missing or lacks the layout; the message says how to get the set.
        ImportError: a MedMNIST source without the ``medmnist`` package.
        RuntimeError: a MedMNIST download failed or its file is damaged.
        MemoryError: the tensor would not fit in this machine's memory.
    """
    _check_options(size, colour, fit, n, seed, limit, workers)
    if source in PHANTOMS:
        refuse_parts(source, parts)
        return _load_phantoms(source, size, colour, n, seed, limit, progress)
    if source.startswith("medmnist:"):
        return load_medmnist(source, root, size, colour, fit, parts, seed, limit, workers, progress)
    if source == "folder":
        if root is None:
            raise ValueError("source 'folder' needs root=, the folder that holds one folder per class")
        base = existing_folder(root)
        tree, notes = plain_tree(base, parts)
        name = f"folder:{printable(base.resolve().name)}"
    elif source in LAYOUTS:
        layout = LAYOUTS[source]
        if root is None:
            raise ValueError(
                f"source {source!r} needs root=, the folder of the {layout.title} set; {how_to_get(layout)}"
            )
        if not layout.parts:
            refuse_parts(source, parts)
        base, tree, notes = kaggle_tree(source, existing_folder(root, layout), parts)
        name = source
    else:
        raise ValueError(
            f"source {source!r} is unknown; use one of {', '.join((*PHANTOMS, 'folder', *LAYOUTS))} or "
            "'medmnist:<flag>' (for your own images: load_images('folder', root=...))"
        )
    return _load_tree(name, base, tree, notes, size, colour, fit, seed, limit, workers, progress)


def _load_phantoms(source: str, size: int, colour: str, n: int, seed: int, limit: int | None, progress: bool) -> Images:
    pixels, labels, classes = make_phantoms(source.removeprefix("phantom-"), n, size=size, seed=seed, progress=progress)
    if limit is not None:
        keep = draw_per_class(labels.tolist(), len(classes), limit, seed)
        pixels, labels = pixels[keep], labels[keep]
    digests = pixel_digests(pixels)
    if colour == "rgb":
        pixels = pixels.unsqueeze(1).repeat(1, 3, 1, 1)
    return Images(
        pixels,
        labels,
        tuple(classes),
        source,
        digests,
        notes=("generated images, not patients", f"generator seed {seed}"),
    )


def _load_tree(
    name: str,
    base: Path,
    tree: dict[str, list[Path]],
    notes: list[str],
    size: int,
    colour: str,
    fit: str,
    seed: int,
    limit: int | None,
    workers: int | None,
    progress: bool,
) -> Images:
    """Read a mapping class -> folders."""
    classes = tuple(sorted(tree))
    suffixes, formats = readable_formats()
    ignored: Counter[str] = Counter()
    paths: list[Path] = []
    labels: list[int] = []
    for label, title in enumerate(classes):
        here: Counter[str] = Counter()
        found = [path for folder in tree[title] for path in image_files(folder, suffixes, here)]
        if not found:
            where = " and ".join(str(folder) for folder in tree[title])
            seen = f" (passed over: {count_words(here)})" if here else ""
            dicom = {".dcm", ".nii", ".gz", ".nrrd", ".mha"} & set(here)
            remedy = "convert DICOM or NIfTI slices to PNG first" if dicom else "put images there or remove the folder"
            raise ValueError(f"class {printable(title)!r} has no image in {printable(where)}{seen}; {remedy}")
        found.sort(key=lambda path: relative_name(path, base))
        ignored += here
        paths += found
        labels += [label] * len(found)
    if limit is not None:
        keep = draw_per_class(labels, len(classes), limit, seed)
        paths, labels = [paths[i] for i in keep], [labels[i] for i in keep]
    names = [relative_name(path, base) for path in paths]

    def job(index: int) -> Decoded:
        return read_file(paths[index], size, colour, fit, formats)

    pixels, reads, failed = read_all(len(paths), job, size, colour, workers, progress, f"reading {name}")
    kept = [i for i in range(len(paths)) if i not in failed]
    skipped = tuple((names[i], failed[i]) for i in sorted(failed))
    labels_kept = [labels[i] for i in kept]
    for label, title in enumerate(classes):
        if label not in labels_kept:
            own = [(names[i], failed[i]) for i in sorted(failed) if labels[i] == label]
            raise ValueError(
                f"class {printable(title)!r} has no readable image, all {len(own)} files are damaged: "
                f"{name_some(own)}; replace them or remove the folder"
            )
    if skipped:
        warnings.warn(
            f"skipped {len(skipped)} of {len(paths)} files that cannot be read as images: {name_some(skipped)}; all "
            "of them are in Images.skipped",
            stacklevel=3,
        )
    if ignored:
        notes = [
            *notes,
            f"passed over {sum(ignored.values()):,} files that are no images to read: {count_words(ignored)}",
        ]
    deep = sum(read.deep for read in reads)
    if deep:
        notes = [*notes, f"{deep:,} files of more than 8 bits were scaled from their own minimum and maximum"]
    frames = sum(read.frames for read in reads)
    if frames:
        notes = [*notes, f"{frames:,} files hold several frames, of which the first was read"]
    if limit is not None:
        notes = [*notes, f"at most {limit:,} images of each class were read (seed {seed})"]
    return Images(
        pixels,
        torch.tensor(labels_kept, dtype=torch.int64),
        tuple(printable(title) for title in classes),
        name,
        tuple(read.digest for read in reads),
        tuple(names[i] for i in kept),
        skipped,
        tuple(read.mode for read in reads),
        tuple(notes),
    )


def _check_options(size: int, colour: str, fit: str, n: int, seed: int, limit: int | None, workers: int | None) -> None:
    if not (is_integer(size) and 8 <= size <= 2048):
        raise ValueError(f"size is {size!r}, but must be an integer from 8 to 2048 (pixels of one side)")
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
