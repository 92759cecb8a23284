"""The sentences with which a folder is refused: what is there, why it cannot be read, what to pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .folder_names import is_neutral, name_list, printable
from .survey import Folder


class LayoutError(ValueError):
    """A folder cannot be read, or can be read in two ways."""


def joined(names: Sequence[str]) -> str:
    return ",".join(names)


def place_of(folder: Folder, tree: Folder) -> str:
    return printable(folder.path.relative_to(tree.path).as_posix())


def tables_hint(ground: Folder, tables: Sequence[Path]) -> str:
    if not tables:
        return ""
    first = min(tables, key=lambda path: ("test" in path.name.lower() or "sub" in path.name.lower(), len(path.parts)))
    more = f" (of {len(tables)} tables)" if len(tables) > 1 else ""
    return f"the labels may be in {printable(first.name)}{more}: pass labels={printable(str(first))!r}"


def flat_text(ground: Folder, tables: Sequence[Path]) -> str:
    kinds = ground.all_others()
    medical = sum(kinds[kind] for kind in (".nrrd", ".mha", ".mhd", ".svs", ".ndpi", ".npy", ".npz", ".mat", ".h5"))
    if not ground.total and medical:
        return f"{ground.path} holds no image that can be read ({kinds_text(kinds)}); convert them to PNG or DICOM"
    start = f"{ground.path} contains no folders with images"
    if ground.images:
        start = f"{ground.path} contains {len(ground.images):,} images but no folders"
    hint = tables_hint(ground, tables)
    return f"{start}; {hint or 'put the images in one folder per class, as in root/<class>/a.png'}"


def kinds_text(kinds: Counter[str]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))


def flat_parts_text(ground: Folder, parts: Sequence[Folder], tables: Sequence[Path]) -> str:
    names = name_list([part.name for part in parts])
    start = f"{names} in {ground.path} are parts of a set, not classes, and have no class"
    remedy = tables_hint(ground, tables) or "pass labels=FILE, a table with a label for each image"
    return f"{start} folders in them; {remedy}, or level=1 if they are classes after all"


def pieces_text(ground: Folder, names: Sequence[str], tables: Sequence[Path]) -> str:
    remedy = tables_hint(ground, tables) or "pass labels=FILE, a table with a label for each image"
    return (
        f"{name_list(names)} in {ground.path} look like pieces of one set (shards, folds, sites or patients), not "
        f"like classes; {remedy}, or level=1 if they are classes after all"
    )


def ask_level(top: Folder, base: Path, names: Sequence[str], inner: Sequence[str], why: str) -> None:
    level = len(top.path.relative_to(base).parts)
    raise LayoutError(
        f"{base} can be read in two ways ({why}): pass level={level} for the classes {name_list(names)}, or "
        f"level={level + 1} for the classes {name_list(inner)}"
    )


def too_few_text(classes: Sequence[str], tables: Sequence[Path], tree: Folder) -> str:
    only = classes[0] if classes else "none"
    masks = " (masks are passed over)" if tree.all_others()["masks"] else ""
    others = [folder.name for folder in tree.folders if not folder.total]
    beside = f"; {name_list(others)} hold{'s' * (len(others) == 1)} no readable image" if others else ""
    remedy = "add a folder for each class"
    if is_neutral(only):
        remedy = "pass the folder above, with one folder per class, or labels=FILE for a table"
    hint = tables_hint(tree, tables)
    return (
        f"{tree.path} has {len(classes)} class ({printable(only)}){masks}, but classification needs at "
        f"least 2{beside}; {hint or remedy}"
    )
