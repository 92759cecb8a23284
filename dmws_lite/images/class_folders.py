"""Where the images of a data set lie: class folders, the Kaggle layouts, and what is passed over."""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .sets import DataSet

_PART_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})

_MASK_FOLDERS = frozenset({"mask", "masks"})

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})

_SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin"})

_MASK_STEM = re.compile(r"^(?P<stem>.+?)[_-]masks?(?:[_-]?\d+)?$", re.IGNORECASE)

_DEPTH = 4  # how far below root a Kaggle set is looked for


def plain_tree(base: Path, parts: str | Sequence[str] | None) -> tuple[dict[str, list[Path]], list[str]]:
    """Return class -> folders for a class-per-folder tree, with or without a train/test level above the classes."""
    top = _folders(base)
    if not top:
        raise ValueError(
            f"{base} has no folder in it; images must lie in one folder per class, as in root/<class>/a.png"
        )
    names = {folder.name.lower() for folder in top}
    if names <= _MASK_FOLDERS | {"image", "images"} and names & _MASK_FOLDERS:
        raise ValueError(
            f"{base} holds images and masks of one class; pass the folder above it, which holds one folder per class"
        )
    if names <= _PART_NAMES and any(_folders(folder) for folder in top):
        found = [folder.name for folder in top]
        if parts is None:
            raise ValueError(
                f"{base} has the parts {', '.join(found)} above its classes; pass parts='pool' to read them as one set "
                f"(split() divides it anew), or parts={found[0]!r} to read only that one"
            )
        wanted = wanted_parts(found, parts, str(base))
        notes = [f"parts read as one set: {', '.join(wanted)}"]
        tree = _class_folders([folder for folder in top if folder.name in wanted])
    else:
        refuse_parts(f"folder {base}", parts)
        tree, notes = _class_folders([base]), []
    if len(tree) < 2:
        only = next(iter(tree), "none")
        inside = top[0] if len(top) == 1 and len(_folders(top[0])) >= 2 else None
        hint = f"did you mean root={str(inside)!r}?" if inside else "add a folder for each further class"
        raise ValueError(f"{base} has {len(tree)} class ({only}), but classification needs at least 2; {hint}")
    return tree, notes


def _class_folders(parents: Iterable[Path]) -> dict[str, list[Path]]:
    tree: dict[str, list[Path]] = {}
    for parent in parents:
        for folder in _folders(parent):
            # One spelling for accented names: macOS may store "é" as two code points, others as one.
            tree.setdefault(unicodedata.normalize("NFC", folder.name), []).append(folder)
    return tree


def kaggle_tree(
    data_set: DataSet, root: Path, parts: str | Sequence[str] | None
) -> tuple[Path, dict[str, list[Path]], list[str]]:
    """Find a set's layout at ``root`` or up to four levels below it, the shallowest first.

    Args:
        data_set: one with a layout.
        root: where to look.
        parts: which of the set's parts; ``None`` or ``"pool"`` for all.

    Returns:
        The folder of the set, class -> folders, and sentences on what was read.

    Raises:
        FileNotFoundError: the layout is not there; the message says how to get the set.
        ValueError: it is there several times, or has no such part.
    """
    layout, classes = data_set.layout, data_set.classes
    level, seen = [root], 0
    for _ in range(_DEPTH + 1):
        matches = [(folder, found) for folder in level if (found := _match(folder, data_set))]
        named = [match for match in matches if match[0].name.lower() == layout.folder.lower()]
        if len(matches) > 1 and len(named) != 1:
            raise ValueError(
                f"{root} holds several folders with the {data_set.title} layout "
                f"({', '.join(str(folder) for folder, _ in matches)}); pass one of them as root"
            )
        if matches:
            base, found = (named or matches)[0]
            break
        level = [child for folder in level for child in _folders(folder)]
        seen += len(level)
        if seen > 5000:  # someone passed a home folder or a disk
            level = []
    else:
        zipped = sorted(path.name for path in root.glob("*.zip"))
        hint = f"there is {zipped[0]}: unzip it first; otherwise " if zipped else ""
        raise FileNotFoundError(
            f"no {data_set.title} set at or up to {_DEPTH} levels below {root}: looked for {layout.picture}; {hint}"
            f"{how_to_get(data_set)}"
        )

    notes: list[str] = []
    if layout.parts:
        present = [part for part in layout.parts if part in found]
        if present:
            wanted = wanted_parts(present, parts, str(base))
            notes.append(f"parts read as one set: {', '.join(wanted)}")
        else:
            refuse_parts(f"folder {base} (no {' or '.join(layout.parts)} in it)", parts)
            wanted = [""]
        missing = [part for part in layout.parts if part not in wanted]
        if missing:
            notes.append(f"not read: {', '.join(missing)}")
    else:
        wanted = [""]
    tree: dict[str, list[Path]] = {}
    for part in wanted:
        for title, folder in found[part].items():
            tree.setdefault(title, []).append(folder)
    absent = [title for title in classes if title not in tree]
    if absent:
        notes.append(f"{len(tree)} of {len(classes)} classes: {', '.join(absent)} missing on disk")
        warnings.warn(f"{base} lacks the class folders {', '.join(absent)}; {len(tree)} classes are read", stacklevel=3)
    return base, tree, notes


def _match(folder: Path, data_set: DataSet) -> dict[str, dict[str, Path]]:
    """Return part -> class -> folder when ``folder`` has at least two of the classes (part ``""``: no such level)."""

    def classes_in(parent: Path) -> dict[str, Path]:
        children = {child.name.lower(): child for child in _folders(parent)}
        return {title: children[title.lower()] for title in data_set.classes if title.lower() in children}

    children = {child.name.lower(): child for child in _folders(folder)}
    found = {part: classes_in(children[part.lower()]) for part in data_set.layout.parts if part.lower() in children}
    found = {part: classes for part, classes in found.items() if len(classes) >= 2}
    if found:
        return found
    direct = classes_in(folder)
    return {"": direct} if len(direct) >= 2 else {}


def how_to_get(data_set: DataSet) -> str:
    """Say where a set can be downloaded, as the remedy of a message."""
    slug = data_set.layout.slug
    return (
        f"get it with `kaggle datasets download -d {slug} --unzip -p data` or "
        f"kagglehub.dataset_download({slug!r}) (https://www.kaggle.com/datasets/{slug}) and pass that "
        "folder as root"
    )


def existing_folder(root: str | os.PathLike[str], data_set: DataSet | None = None) -> Path:
    folder = Path(root).expanduser()
    if folder.is_dir():
        return folder
    what = "is a file, not a folder" if folder.exists() else "does not exist"
    raise FileNotFoundError(
        f"{folder} {what}; {how_to_get(data_set) if data_set else 'pass the folder of your images as root'}"
    )


def wanted_parts(present: Sequence[str], parts: str | Sequence[str] | None, where: str) -> list[str]:
    if parts is None or parts == "pool":
        return list(present)
    asked = [parts] if isinstance(parts, str) else list(parts)
    by_name = {name.lower(): name for name in present}
    unknown = [name for name in asked if name.lower() not in by_name]
    if unknown or not asked:
        raise ValueError(f"parts={parts!r} does not fit {where}, which has {', '.join(present)}; use these or 'pool'")
    return list(dict.fromkeys(by_name[name.lower()] for name in asked))


def refuse_parts(where: str, parts: str | Sequence[str] | None) -> None:
    if parts is not None:
        raise ValueError(f"parts={parts!r} was given, but {where} has no train/test level; leave parts out")


def _folders(parent: Path) -> list[Path]:
    """Return the folders in ``parent`` that may hold images, sorted by name."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return [parent / name for name in sorted(names) if not _is_system(name)]


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES or name.lower() in _SYSTEM_FOLDERS


def image_files(
    folder: Path, suffixes: frozenset[str], ignored: Counter[str], above: tuple[str, ...] = ()
) -> list[Path]:
    """Return all files below ``folder`` with an image suffix; count the others in ``ignored``."""
    real = os.path.realpath(folder)
    if real in above:  # a symbolic link that leads back up
        return []
    with os.scandir(folder) as entries:
        listed = sorted((entry.name, entry.is_dir()) for entry in entries)
    stems = {os.path.splitext(name)[0] for name, is_folder in listed if not is_folder}
    found: list[Path] = []
    for name, is_folder in listed:
        if is_folder:
            if _is_system(name):
                continue
            inside: Counter[str] = Counter()
            below = image_files(folder / name, suffixes, inside, (*above, real))
            if name.lower() in _MASK_FOLDERS:
                ignored["masks"] += len(below) + inside["masks"]
            else:
                found += below
                ignored.update(inside)
            continue
        stem, suffix = os.path.splitext(name)
        mask = _MASK_STEM.match(stem)
        if _is_system(name):
            ignored["hidden or system files"] += 1
        elif suffix.lower() not in suffixes:
            ignored[printable(suffix.lower()) or "files without suffix"] += 1
        elif mask and mask["stem"] in stems:  # the partner must exist: "with_mask_1.jpg" may be a picture of a mask
            ignored["masks"] += 1
        else:
            found.append(folder / name)
    return found


def relative_name(path: Path, base: Path) -> str:
    return printable(path.relative_to(base).as_posix())


def printable(text: str) -> str:
    """Return ``text`` so that it can be printed and written: names need not be valid Unicode on disk."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
