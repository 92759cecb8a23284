"""Find the class folders of a data set from Kaggle, and the parts of any set."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .._system import at_home
from .folder_names import is_system, printable
from .helper_pictures import set_aside
from .sets import DataSet
from .survey import survey

_DEPTH = 4  # how many levels below root a Kaggle set is searched for


def kaggle_tree(
    data_set: DataSet, root: Path, parts: str | Sequence[str] | None
) -> tuple[Path, dict[str, list[Path]], list[str]]:
    """Find a data set's layout at ``root`` or up to four levels below it, the shallowest first.

    Args:
        data_set: one with a layout.
        root: where to start the search.
        parts: which of the set's parts to read; ``None`` or ``"pool"`` for all.

    Returns:
        The folder of the set, class -> folders, and notes on what was read.

    Raises:
        FileNotFoundError: the layout was not found; the message says how to get the set.
        ValueError: several folders match, or the set has no such part.
    """
    base, part_classes = _find_layout(data_set, root)
    layout, classes = data_set.layout, data_set.classes
    notes: list[str] = []
    if layout.parts:
        present = [part for part in layout.parts if part in part_classes]
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
        for title, folder in part_classes[part].items():
            tree.setdefault(title, []).append(folder)
    absent = [title for title in classes if title not in tree]
    if absent:
        notes.append(f"{len(tree)} of {len(classes)} classes: {', '.join(absent)} missing on disk")
        warnings.warn(f"{base} lacks the class folders {', '.join(absent)}; {len(tree)} classes are read", stacklevel=3)
    return base, tree, notes


def _find_layout(data_set: DataSet, root: Path) -> tuple[Path, dict[str, dict[str, Path]]]:
    """Search level by level for a set's layout; return its folder, and part -> class -> folder (see ``_match``)."""
    layout, level, seen = data_set.layout, [root], 0
    for _ in range(_DEPTH + 1):
        matches = [(folder, tree) for folder in level if (tree := _match(folder, data_set))]
        named = [match for match in matches if match[0].name.lower() == layout.folder.lower()]
        if len(matches) > 1 and len(named) != 1:
            raise ValueError(
                f"{root} holds several folders with the {data_set.title} layout "
                f"({', '.join(str(folder) for folder, _ in matches)}); pass one of them as root"
            )
        if matches:
            return (named or matches)[0]
        level = [child for folder in level for child in _folders(folder)]
        seen += len(level)
        if seen > 5000:  # someone passed a home folder or a disk
            break
    zipped = sorted(path.name for path in root.glob("*.zip"))
    hint = f"there is {zipped[0]}: unzip it first; otherwise " if zipped else ""
    raise FileNotFoundError(
        f"no {data_set.title} data set in {root} or up to {_DEPTH} levels below: looked for {layout.picture}; {hint}"
        f"{how_to_get(data_set)}"
    )


def _match(folder: Path, data_set: DataSet) -> dict[str, dict[str, Path]]:
    """Return part -> class -> folder if ``folder`` has at least two of the classes (part ``""``: no such level)."""

    def classes_in(parent: Path) -> dict[str, Path]:
        children = {child.name.lower(): child for child in _folders(parent)}
        return {title: children[title.lower()] for title in data_set.classes if title.lower() in children}

    children = {child.name.lower(): child for child in _folders(folder)}
    by_part = {part: classes_in(children[part.lower()]) for part in data_set.layout.parts if part.lower() in children}
    by_part = {part: classes for part, classes in by_part.items() if len(classes) >= 2}
    if by_part:
        return by_part
    direct = classes_in(folder)
    return {"": direct} if len(direct) >= 2 else {}


def how_to_get(data_set: DataSet) -> str:
    """Return where to download a data set, worded as the remedy of an error message."""
    slug = data_set.layout.slug
    return (
        f"get it with `kaggle datasets download -d {slug} --unzip -p data` or "
        f"kagglehub.dataset_download({slug!r}) (https://www.kaggle.com/datasets/{slug}) and pass that "
        "folder as root"
    )


def existing_folder(root: str | os.PathLike[str], data_set: DataSet | None = None) -> Path:
    """Return ``root`` as a path, ``~`` expanded.

    Raises:
        FileNotFoundError: it does not exist or is a file.
    """
    folder = at_home(root)
    if folder.is_dir():
        return folder
    problem = "is a file, not a folder" if folder.exists() else "does not exist"
    raise FileNotFoundError(
        f"{folder} {problem}; {how_to_get(data_set) if data_set else 'pass the folder of your images as root'}"
    )


def wanted_parts(present: Sequence[str], parts: str | Sequence[str] | None, where: str) -> list[str]:
    """Return the parts to read, spelled as on disk.

    Args:
        present: parts that exist.
        parts: parts asked for, in any case; ``None`` or ``"pool"`` for all.
        where: the data set or folder, for the message.

    Raises:
        ValueError: a part does not exist.
    """
    if parts is None or parts == "pool":
        return list(present)
    asked = [parts] if isinstance(parts, str) else list(parts)
    by_name = {name.lower(): name for name in present}
    unknown = [name for name in asked if name.lower() not in by_name]
    if unknown or not asked:
        raise ValueError(
            f"parts={parts!r} does not fit {where}, which has {', '.join(present)}; use some of these, or 'pool'"
        )
    return list(dict.fromkeys(by_name[name.lower()] for name in asked))


def refuse_parts(where: str, parts: str | Sequence[str] | None) -> None:
    """Raise ``ValueError`` if ``parts`` was given although ``where`` has no train/test level."""
    if parts is not None:
        raise ValueError(f"parts={parts!r} was given, but {where} has no train/test level; leave parts out")


def _folders(parent: Path) -> list[Path]:
    """Return the folders in ``parent`` that may hold images, sorted by name."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return [parent / name for name in sorted(names) if not is_system(name)]


def image_files(folder: Path, suffixes: frozenset[str], ignored: Counter[str]) -> list[Path]:
    """Return all image files below ``folder``, masks and other helper pictures excluded.

    Args:
        folder: where to look, at any depth.
        suffixes: lower-case suffixes of images, each with its dot.
        ignored: counter that the ignored files are added to, by kind.
    """
    tree = survey(folder, suffixes)
    set_aside(tree)
    ignored.update(tree.all_others())
    return list(tree.files())


def relative_name(path: Path, base: Path) -> str:
    """Return the path below ``base`` with forward slashes, printable."""
    return printable(path.relative_to(base).as_posix())
