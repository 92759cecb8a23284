"""Which folders of a surveyed tree are the classes: by what is there, by a level, or by names that a person gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .folder_names import (
    are_groups,
    are_patients,
    are_series,
    are_shards,
    is_neutral,
    look_like_pieces,
    name_list,
    part_word,
    printable,
    same_name,
)
from .layout_text import LayoutError, ask_level, flat_parts_text, flat_text, joined, pieces_text, place_of
from .survey import Folder


@dataclass
class Plan:
    """Folders that stand for classes, with their part and patient, and what is said about them."""

    base: Path
    classes: list[tuple[Folder, str, str]] = field(default_factory=list)  # folder, part, patient
    lines: list[str] = field(default_factory=list)
    passed: list[Folder] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    patients_below: bool = False


def unwrapped(tree: Folder, lines: list[str]) -> Folder:
    """Go down while there is only one folder with images and nothing beside it."""
    ground = tree
    while len(ground.filled) == 1 and not ground.images and ground.filled[0].filled:
        ground = ground.filled[0]
    if ground is not tree:
        lines.append(f"the classes are looked for in {place_of(ground, tree)}, the only folder with images")
    return ground


def find_classes(ground: Folder, tables: Sequence[Path], base: Path) -> Plan:
    plan = Plan(base)
    kids = _without_copies(ground, plan)
    names = [kid.name for kid in kids]
    if not kids:
        raise LayoutError(flat_text(ground, tables))
    if len(ground.images) > sum(kid.total for kid in kids):
        raise LayoutError(
            f"{ground.path} holds {len(ground.images):,} loose images and only {sum(kid.total for kid in kids):,} in "
            f"folders ({name_list(names)}); sort them into class folders, pass labels=FILE for a table, or "
            f"classes={','.join(names[:2])!r} to read the folders alone"
        )
    parts = {kid.name: part_word(kid.name, names) for kid in kids if part_word(kid.name, names)}
    part_folders = [kid for kid in kids if kid.name in parts]
    labelled = [kid for kid in part_folders if _with_class_folders(kid)]
    if len(part_folders) >= 2 and not labelled or (parts and len(parts) == len(kids) and not labelled):
        raise LayoutError(flat_parts_text(ground, part_folders, tables))
    if labelled:
        _part_level(ground, kids, part_folders, labelled, plan)
        tops = [
            (top, part.name) for part in labelled for top in _without_copies(_with_class_folders(part) or part, plan)
        ]
        plan.parts = [part.name for part in labelled]
    else:
        tops = [(kid, "") for kid in _without_bare_parts(ground, kids, part_folders, plan)]
    _class_level(ground, tops, tables, plan)
    return plan


def _without_copies(ground: Folder, plan: Plan) -> list[Folder]:
    """Return the filled folders without one that repeats its siblings (a second copy of all, as in Kaggle's zips)."""
    kids = ground.filled
    for kid in kids:
        beside = {same_name(other.name): other for other in kids if other is not kid}
        common = [inner for inner in kid.filled if same_name(inner.name) in beside]
        if len(common) < 2 or len(common) < len([each for each in kid.filled if each.total]):
            continue
        if are_patients([inner.name for inner in common]):
            continue
        for inner in common:
            twin = beside[same_name(inner.name)]
            if _inside(inner) != _inside(twin):
                names = name_list([each.name for each in common])
                raise LayoutError(
                    f"{ground.path} holds {names} twice, directly and in {kid.name}, with other files; give one of the "
                    f"two folders, or pass exclude={kid.name!r}"
                )
        plan.passed.append(kid)
        plan.lines.append(f"{printable(kid.name)} repeats the folders beside it file by file: passed over")
        return [other for other in kids if other is not kid]
    return kids


def _with_class_folders(part: Folder) -> Folder | None:
    """Return the folder that holds a part's classes, ``train`` or ``train/images``; ``None`` where there are none."""
    while len(part.filled) == 1 and not part.images:
        only = part.filled[0]
        if not (is_neutral(only.name) or part_word(only.name)):
            break
        part = only
    return part if any(not is_neutral(folder.name) for folder in part.filled) else None


def _without_bare_parts(ground: Folder, kids: list[Folder], bare: list[Folder], plan: Plan) -> list[Folder]:
    """Pass over a ``test`` folder of images beside class folders: its images have no label."""
    others = [kid for kid in kids if kid not in bare]
    if not bare:
        return kids
    if len(others) < 2:
        raise LayoutError(
            f"{ground.path} holds {name_list([kid.name for kid in kids])}, of which {bare[0].name} may be a part "
            f"without labels or a class; pass exclude={bare[0].name!r}, labels=FILE for a table, or level=1 for "
            "these as classes"
        )
    for part in bare:
        plan.passed.append(part)
        plan.lines.append(
            f"warning: {printable(part.name)} lies beside the classes, {part.total:,} images without label: passed over"
        )
    return others


def _inside(folder: Folder) -> set[tuple[str, int]]:
    return {(path.relative_to(folder.path).as_posix(), path.stat().st_size) for path in folder.files()}


def _part_level(
    ground: Folder, kids: list[Folder], part_folders: list[Folder], labelled: list[Folder], plan: Plan
) -> None:
    """Say which folders are parts, and pass over what lies beside them, unless it may be a class."""
    beside = [kid for kid in kids if kid not in part_folders]
    inner = {same_name(top.name) for part in labelled for top in part.filled}
    mixed = [kid.name for kid in beside if same_name(kid.name) in inner]
    if mixed or (len(part_folders) == 1 and len(beside) >= 2):
        out = part_folders[0].name if mixed else beside[0].name
        raise LayoutError(
            f"{ground.path} holds {name_list([p.name for p in part_folders])}, with folders in it, beside "
            f"{name_list([kid.name for kid in beside])}: parts and classes may be mixed; "
            f"pass exclude={out!r}, or level=1 for these folders as classes"
        )
    found = name_list([part.name for part in labelled])
    plan.lines.append(f"parts above the classes: {found}, each with its own class folders")
    for part in part_folders:
        if part not in labelled:
            plan.passed.append(part)
            plan.lines.append(f"{printable(part.name)} has {part.total:,} images without class folders: passed over")
    for kid in beside:
        plan.passed.append(kid)
        plan.lines.append(f"{printable(kid.name)} lies beside the parts, {kid.total:,} images: passed over")


def _class_level(ground: Folder, tops: list[tuple[Folder, str]], tables: Sequence[Path], plan: Plan) -> None:
    """Decide whether the folders are the classes, or those in them."""
    by_name: dict[str, list[Folder]] = defaultdict(list)
    for top, _ in tops:
        by_name[same_name(top.name)].append(top)
    names = [folders[0].name for folders in by_name.values()]
    if are_shards(names) and not are_patients(names):
        if all(top.filled for top, _ in tops) and len(_recurring(by_name)) >= 2:
            _lower(tops, plan, f"{name_list(names)} are pieces of one set, with the same classes in each")
            return
        raise LayoutError(pieces_text(ground, names, tables))
    inner = sorted({sub.name for top, _ in tops for sub in top.filled})
    if not inner and look_like_pieces(names):
        raise LayoutError(pieces_text(ground, names, tables))
    neutral = all(is_neutral(name) for name in inner) or are_series(inner)
    if not inner or neutral or len(names) < 2 and not inner:
        plan.classes = [(top, part, "") for top, part in tops]
        return
    if _parts_below(tops, plan):
        return
    recurring = _recurring(by_name)
    if are_patients(inner) and not (are_patients(names) and len(inner) <= len(names)):
        plan.patients_below = True
        plan.classes = [(top, part, "") for top, part in tops]
        plan.lines.append(f"patients: the folders below the classes ({name_list(inner, 3)})")
        return
    several = sum(len(top.filled) >= 2 for top, _ in tops)
    if len(recurring) >= 2 and len({same_name(name) for name in inner}) <= 0.5 * sum(
        len({same_name(sub.name) for top in folders for sub in top.filled}) for folders in by_name.values()
    ):
        if are_patients(names):
            _lower(tops, plan, f"patients: the folders above the classes ({name_list(names, 3)})", patients=True)
        elif are_groups(names):
            _lower(tops, plan, f"{name_list(names)} stand above the classes and are read as one set")
        else:
            ask_level(tops[0][0], plan.base, names, recurring, "the same folders recur in several of them")
    elif len(names) == 1 and several:
        _lower(tops, plan, f"{names[0]} is the only folder above the classes")
    elif several >= 2 and not _bulk(inner, len(names)):
        ask_level(tops[0][0], plan.base, names, inner, "folders stand in them")
    else:
        plan.classes = [(top, part, "") for top, part in tops]


def _bulk(inner: Sequence[str], tops: int) -> bool:
    """Whether folders below are too many to be classes: studies, series, dates."""
    numbered = sum(any(letter.isdigit() for letter in name) for name in inner)
    return numbered >= 0.8 * len(inner) and len(inner) >= 6 * tops


def _recurring(by_name: dict[str, list[Folder]]) -> list[str]:
    """Return the names of inner folders that lie in at least two outer folders of different names."""
    owners: dict[str, set[str]] = defaultdict(set)
    spelled: dict[str, str] = {}
    for name, folders in by_name.items():
        for sub in (sub for top in folders for sub in top.filled):
            owners[same_name(sub.name)].add(name)
            spelled.setdefault(same_name(sub.name), sub.name)
    return sorted(spelled[name] for name, above in owners.items() if len(above) >= 2)


def _lower(tops: list[tuple[Folder, str]], plan: Plan, line: str, patients: bool = False) -> None:
    plan.classes = [(sub, part, top.name if patients else "") for top, part in tops for sub in top.filled]
    plan.lines.append(line)


def _parts_below(tops: list[tuple[Folder, str]], plan: Plan) -> bool:
    """Take folders such as ``benign/train`` and ``benign/test`` for parts of each class."""
    inner = {sub.name for top, _ in tops for sub in top.filled}
    words = {name: part_word(name, sorted(inner)) for name in inner}
    if len(set(words.values())) < 2 or not all(words.values()) or any(part for _, part in tops):
        return False
    names = [top.name for top, _ in tops]
    if look_like_pieces(names) or any(_with_class_folders(sub) for top, _ in tops for sub in top.filled):
        raise LayoutError(
            f"{name_list(names)} in {plan.base} hold parts ({name_list(sorted(inner))}) of their own, as folds do; "
            f"give one of these folders, such as {printable(names[0])!r}"
        )
    plan.classes = [(sub, sub.name, top.name) for top, _ in tops for sub in top.filled]
    plan.parts = sorted(inner)
    plan.lines.append(f"parts below the classes: {name_list(sorted(inner))}")
    return True


def classes_by_level(tree: Folder, level: int) -> Plan:
    if level < 1:
        raise LayoutError(f"level={level} is out of range; give 1 for folders directly in {tree.path}, 2 for the next")
    rows: list[tuple[Folder, list[Folder]]] = [(tree, [])]
    for _ in range(level):
        rows = [(sub, [*above, sub]) for folder, above in rows for sub in folder.filled]
    if not rows:
        raise LayoutError(f"level={level} is too deep for {tree.path}; no folder with images is that far down")
    plan = Plan(tree.path, lines=[f"classes are the folders at level {level}, as asked"])
    _with_parts(tree, rows, plan)
    return plan


def classes_by_name(tree: Folder, classes: Sequence[str], level: int | None) -> Plan:
    wanted = {same_name(name): name for name in classes}
    if len(wanted) < 2:
        raise LayoutError(
            f"classes={joined(classes)!r} names {len(wanted)} class; give at least two, separated by commas"
        )
    rows: list[tuple[Folder, list[Folder]]] = []

    def search(folder: Folder, above: list[Folder]) -> None:
        for sub in folder.filled:
            fits = same_name(sub.name) in wanted and level in (None, len(above) + 1)
            if fits:
                rows.append((sub, [*above, sub]))
            else:
                search(sub, [*above, sub])

    search(tree, [])
    missing = sorted(wanted.keys() - {same_name(folder.name) for folder, _ in rows})
    if missing:
        known = sorted({folder.name for folder in tree.walk() if folder is not tree and folder.total})
        raise LayoutError(
            f"classes={joined(classes)!r}: no folder {wanted[missing[0]]!r} with images in {tree.path}; "
            f"the folders with images are {name_list(known, 12)}"
        )
    depths = sorted({len(above) for _, above in rows})
    if len(depths) > 1:
        raise LayoutError(
            f"classes={joined(classes)!r} are found at the levels {' and '.join(map(str, depths))} of {tree.path}; "
            f"pass level={depths[0]} as well, or exclude= for the folder that holds the others"
        )
    plan = Plan(tree.path, lines=["classes are the folders that were named"])
    _with_parts(tree, rows, plan)
    return plan


def _with_parts(tree: Folder, rows: list[tuple[Folder, list[Folder]]], plan: Plan) -> None:
    """Give each class folder the part that stands above it, if one does."""
    chosen = {id(folder) for folder, _ in rows}
    siblings = sorted({above.name for _, path in rows for above in path[:-1]})
    for folder, path in rows:
        part = next((above.name for above in path[:-1] if part_word(above.name, siblings)), "")
        plan.classes.append((folder, part, ""))
    plan.parts = sorted({part for _, part, _ in plan.classes if part})
    if plan.parts and not all(part for _, part, _ in plan.classes):
        plan.parts = []
        plan.classes = [(folder, "", "") for folder, _, _ in plan.classes]

    def aside(folder: Folder) -> None:
        for sub in folder.filled:
            if id(sub) in chosen:
                continue
            if any(id(below) in chosen for below in sub.walk()):
                aside(sub)
            else:
                plan.passed.append(sub)

    aside(tree)
    if plan.passed:
        plan.lines.append(f"passed over: {name_list([folder.name for folder in plan.passed])}")
