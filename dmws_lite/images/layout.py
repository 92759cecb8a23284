"""What a folder of images is: where its classes are, what stands above and below them, and what is passed over.

:func:`read_layout` looks first and then says, line by line, what it saw and how the folder is read. Where two readings
are plausible it raises :class:`LayoutError`, whose one sentence names the options that choose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from .class_folders import wanted_parts
from .class_level import Plan, classes_by_level, classes_by_name, find_classes, unwrapped
from .entries import Entry, Layout
from .folder_names import name_list, part_word, printable, same_name
from .helper_pictures import set_aside
from .label_table import contradicted_by
from .layout_text import LayoutError, joined, too_few_text
from .survey import Folder, survey

OFFICIAL = "official"  # parts=: train on train and val, test on test


def read_layout(
    base: Path,
    suffixes: frozenset[str],
    parts: str | Sequence[str] | None = None,
    level: int | None = None,
    classes: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> Layout:
    """Find the classes of a folder of images.

    Args:
        base: the folder.
        suffixes: lower-case suffixes of images, each with its dot.
        parts: which parts to read: ``None`` where there are none, ``"pool"`` for all, ``"official"`` for all with the
            test part kept for testing, or names.
        level: how many folders below ``base`` the classes are, 1 for directly in it; ``None`` to find out.
        classes: names of the folders that are classes, wherever they are; ``None`` to find out.
        exclude: patterns of files and folders to leave out.

    Raises:
        LayoutError: no classes are found, or two readings are plausible; the message says which options choose.
    """
    tree = survey(base, suffixes, exclude)
    tables = tuple(path for folder in tree.walk() for path in folder.tables)
    lines = set_aside(tree, classes or ())
    if exclude and not tree.all_others()["files left out by exclude"]:
        raise LayoutError(f"exclude={joined(exclude)!r} fits no file or folder in {base}; check the spelling")
    ground = unwrapped(tree, lines) if level is None else tree
    if classes is not None:
        plan = classes_by_name(ground, classes, level)
    elif level is not None:
        plan = classes_by_level(tree, level)
    else:
        plan = find_classes(ground, tables, base)
    wanted = _wanted(plan, parts, ground)
    layout = _collected(base, tree, plan, wanted, tables, lines)
    if len(layout.classes) < 2:
        raise LayoutError(too_few_text(layout.classes, layout.tables, tree))
    if level is None and classes is None and tables:
        if other := contradicted_by(tables, tree, layout.entries):
            raise LayoutError(f"{base} can be read in two ways: {other}")
    return layout


# -- what is read -----------------------------------------------------------------------------------------------------


def _wanted(plan: Plan, parts: str | Sequence[str] | None, ground: Folder) -> set[str] | None:
    """Return the parts to read, or ``None`` where there is no such level."""
    present = list(dict.fromkeys(plan.parts))
    if not present:
        if parts is not None:
            raise LayoutError(
                f"parts={parts!r} was given, but folder {ground.path} has no train/test level; leave parts out"
            )
        return None
    if parts is None and len(present) == 1:
        return set(present)
    if parts is None:
        by_word = {part_word(name, present): name for name in present}
        official = "test" in by_word and len(by_word) > 1
        test_there = f"parts={OFFICIAL!r} to test on {by_word['test']}, " if official else ""
        raise LayoutError(
            f"{ground.path} has the parts {', '.join(map(printable, present))} above its classes; pass parts='pool' to "
            f"read them as one set (split() then makes a new split), {test_there}or parts={present[0]!r} to read only "
            "that one"
        )
    if parts == OFFICIAL:
        words = {part_word(name, present) for name in present}
        if "test" not in words or len(words) < 2:
            raise LayoutError(
                f"parts={OFFICIAL!r} needs a test part and another one, but {ground.path} has {name_list(present)}; "
                "pass parts='pool' and a new split is made"
            )
    return set(wanted_parts(present, None if parts == OFFICIAL else parts, str(ground.path)))


def _collected(
    base: Path, tree: Folder, plan: Plan, wanted: set[str] | None, tables: tuple[Path, ...], lines: list[str]
) -> Layout:
    rows = [row for row in plan.classes if wanted is None or row[1] in wanted]
    spelled = _spelling(rows, plan)
    entries = []
    for folder, part, above in rows:
        label = spelled[same_name(above if _is_part_below(plan, folder, part) else folder.name)]
        patient = "" if _is_part_below(plan, folder, part) else above
        for path in folder.files():
            own = path.relative_to(folder.path).parts
            below = own[0] if plan.patients_below and len(own) > 1 else patient
            entries.append(Entry(path, label, part, printable(below)))
    lines = [*lines, *plan.lines]
    if wanted is not None:
        lines.append(f"parts read: {name_list([part for part in dict.fromkeys(plan.parts) if part in wanted])}")
        lines += _lacking(rows, spelled, plan)
    lines += _passed_over(tree, plan, rows)
    classes = tuple(sorted(set(spelled.values()) & {entry.label for entry in entries}))
    parts = tuple(part for part in dict.fromkeys(plan.parts) if wanted and part in wanted)
    return Layout(base, tuple(entries), classes, tuple(lines), _others(tree), parts, tables)


def _is_part_below(plan: Plan, folder: Folder, part: str) -> bool:
    return bool(part) and folder.name == part


def _spelling(rows: Sequence[tuple[Folder, str, str]], plan: Plan) -> dict[str, str]:
    """Return one spelling for names that differ in case only, the most frequent one, and say so."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for folder, part, above in rows:
        name = above if _is_part_below(plan, folder, part) else folder.name
        spellings[same_name(name)][name.strip()] += folder.total
    for each in spellings.values():
        if len(each) > 1:
            plan.lines.append(f"warning: {name_list(sorted(each))} differ in case only and are read as one class")
    return {name: max(sorted(each), key=each.__getitem__) for name, each in spellings.items()}


def _lacking(rows: Sequence[tuple[Folder, str, str]], spelled: dict[str, str], plan: Plan) -> list[str]:
    owners: dict[str, set[str]] = defaultdict(set)
    for folder, part, above in rows:
        owners[spelled[same_name(above if _is_part_below(plan, folder, part) else folder.name)]].add(part)
    every = {part for parts in owners.values() for part in parts}
    return [
        f"warning: class {printable(name)} is missing in {name_list(sorted(every - parts))}"
        for name, parts in sorted(owners.items())
        if every - parts
    ]


def _passed_over(tree: Folder, plan: Plan, rows: Iterable[tuple[Folder, str, str]]) -> list[str]:
    """Say which images lie outside the classes, and which folders are empty."""
    inside = {id(each) for folder, _, _ in rows for each in folder.walk()}
    outside = {id(each) for folder in plan.passed for each in folder.walk()}
    chosen = {id(each) for folder, _, _ in plan.classes for each in folder.walk()}
    loose = [folder for folder in tree.walk() if folder.images and not {id(folder)} & (inside | outside | chosen)]
    lines = []
    if loose:
        total = sum(len(folder.images) for folder in loose)
        named = name_list([name for folder in loose for name in folder.images], 4)
        lines.append(f"{total:,} loose image{'s' * (total > 1)} outside the class folders, passed over: {named}")
    empty = [
        folder.name
        for folder in tree.walk()
        if folder is not tree and not folder.total and not any(folder.others.values()) and not folder.folders
    ]
    if empty:
        lines.append(f"empty folder{'s' * (len(empty) > 1)}, passed over: {name_list(empty)}")
    without = [
        f"{folder.name} ({', '.join(f'{count:,} {kind}' for kind, count in sorted(folder.all_others().items()))})"
        for folder in tree.folders
        if not folder.total and folder.all_others() and set(folder.all_others()) - {"masks"}
    ]
    if without:
        lines.append(f"warning: without a readable image, passed over: {name_list(without, 4)}")
    return lines


def _others(tree: Folder) -> Counter[str]:
    return +tree.all_others()
