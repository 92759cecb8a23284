"""Labels from a table (CSV, TSV, Excel) beside the images: which column is what, and which row is which file.

Columns that are not named are guessed from their names and values; what was guessed is said, and can be corrected.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._system import at_home
from .class_folders import wanted_parts
from .entries import Entry, Layout
from .folder_names import name_list, part_word, printable, same_name, tokens
from .helper_pictures import set_aside
from .layout_text import LayoutError, joined
from .survey import Folder, stem_of, survey

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"  # as a column: do not use one

_LABEL_NAMES = (
    "label labels class classes classname class_name diagnosis dx target category finding findings pathology outcome "
    "finding_labels class_label disease type benign_malignant diagnosis_1 diagnosis_code"
).split()

_PATIENT_NAMES = (
    "patient patient_id patientid patient_number subject subject_id subjectid case case_id lesion_id lesion person_id "
    "mrn pid"
).split()

_PART_NAMES = "split part set subset phase partition dataset_split".split()

_MOST_CLASSES = 100

_TABLES_LOOKED_AT = 3  # beside class folders


@dataclass(frozen=True)
class LabelTable:
    """A table of labels and its columns.

    Attributes:
        path: CSV, TSV or Excel file; a name alone is looked for in the folder of the images as well.
        image: column that names the files, with or without suffix and folder; ``""`` to find out.
        label: column of the class; ``""`` to find out.
        patient: column of the patient; ``""`` to find out, ``"none"`` to use none.
        part: column that says train, val or test; ``""`` to find out, ``"none"`` to use none.
    """

    path: str | Path
    image: str = ""
    label: str = ""
    patient: str = ""
    part: str = ""


def read_labelled(
    base: Path,
    suffixes: frozenset[str],
    table: LabelTable,
    parts: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> Layout:
    """Find the images of a folder and look up their labels in a table.

    Args:
        base: folder of the images, at any depth.
        suffixes: lower-case suffixes of images, each with its dot.
        table: the table and its columns.
        parts: which parts to read, see :func:`dmws_lite.images.layout.read_layout`.
        classes: labels to keep; ``None`` for all.
        exclude: patterns of files and folders to leave out.

    Raises:
        LayoutError: the table cannot be read, a column is not found or may be one of several, or an image has several
            labels; the message says what to pass.
        ImportError: an Excel file needs ``openpyxl``.
    """
    tree = survey(base, suffixes, exclude)
    lines = set_aside(tree)
    if not tree.total:
        raise LayoutError(f"{base} holds no image; pass the folder of the images")
    frame, path = _read(table.path, base)
    files = _Files(tree, path.name)
    image = _image_column(frame, table.image, files, path)
    frame = frame.assign(**{_FILE: [files.find(value) for value in frame[image]]})
    rows = frame[frame[_FILE].notna()]
    label, labels = _labels(rows, table.label, image, path)
    patient = _other_column(frame, table.patient, _PATIENT_NAMES, "patient_column", {image, label}, path)
    part = _part_column(rows, table.part, {image, label}, path)
    columns = [f"images {image!r}", f"labels {label!r}"]
    columns += [f"patients {patient!r}"] * bool(patient) + [f"parts {part!r}"] * bool(part)
    lines.append(f"labels from {printable(path.name)}: {', '.join(columns)}")
    entries = _entries(rows, labels, patient, part, path, label)
    lines += _left_out(frame, rows, labels, files, base)
    entries, more = _named_alike(entries, classes)
    entries, read = _of_parts(entries, parts, tree)
    layout = Layout(base, tuple(entries), tuple(sorted({entry.label for entry in entries})), parts=read)
    if len(layout.classes) < 2:
        raise LayoutError(
            f"column {label!r} of {path.name} gives {len(layout.classes)} class ({name_list(layout.classes) or '-'}) "
            f"to the images in {base}, but a classifier needs at least 2; pass label_column= for another column"
        )
    return replace(layout, lines=(*lines, *more), ignored=+tree.all_others())


# -- the table --------------------------------------------------------------------------------------------------------

_FILE = "\0file"


def _read(given: str | Path, base: Path) -> tuple[pd.DataFrame, Path]:
    """Read a table with every cell as text."""
    import pandas as pd  # takes a second, and only tables need it

    path = at_home(given)
    if not path.is_file() and (base / path).is_file():
        path = base / path
    if not path.is_file():
        raise LayoutError(f"labels={str(given)!r} is no file; give a CSV, TSV or Excel file")
    options: dict = {"dtype": str, "keep_default_na": False}
    try:
        if path.suffix.lower() in (".xlsx", ".xls"):
            frame = pd.read_excel(path, **options)
        else:
            try:
                frame = pd.read_csv(path, sep=_separator(path, "utf-8-sig"), encoding="utf-8-sig", **options)
            except UnicodeDecodeError:
                frame = pd.read_csv(path, sep=_separator(path, "latin-1"), encoding="latin-1", **options)
    except ImportError as error:
        raise ImportError(
            f"{path.name} is an Excel file, which needs openpyxl: pip install 'dmws_lite[tables]', or save it as CSV"
        ) from error
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise LayoutError(f"labels={path.name!r} cannot be read as a table: {' '.join(str(error).split())}") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    repeated = [name for name, count in Counter(frame.columns).items() if count > 1]
    if repeated or frame.empty:
        what = f"has the column {repeated[0]!r} twice" if repeated else "has no rows"
        raise LayoutError(f"labels={path.name!r} {what}; correct the table")
    for name in frame.columns:
        frame[name] = [str(value).strip() for value in frame[name]]
    return frame, path


def _separator(path: Path, encoding: str) -> str:
    with open(path, encoding=encoding) as stream:
        head = stream.readline()
    return max((",", ";", "\t"), key=head.count)


class _Files:
    """The images of a folder, found by what a table may call them."""

    def __init__(self, tree: Folder, table: str) -> None:
        self._by_key: dict[str, list[Path]] = defaultdict(list)
        self._part = part_word(Path(table).stem) or next(filter(None, map(part_word, tokens(Path(table).stem))), "")
        self.all = sorted(tree.files())
        for path in self.all:
            place = path.relative_to(tree.path).as_posix().lower()
            pieces = place.split("/")
            for i in range(len(pieces)):
                whole = "/".join(pieces[i:])
                for key in {whole, stem_of(whole)}:
                    self._by_key[key].append(path)

    def find(self, value: str) -> Path | None:
        """Return the file that a cell names, or ``None``.

        Raises:
            LayoutError: it fits several files.
        """
        found = self.candidates(value)
        if len(found) > 1 and self._part:  # train_labels.csv means the files in train
            found = [path for path in found if any(part_word(name) == self._part for name in path.parts)] or found
        if len(found) > 1:
            raise LayoutError(
                f"the table's image {value!r} fits {len(found)} files ({name_list([str(path) for path in found], 2)}); "
                "write the path below the folder in the table, or pass exclude= for one of the folders"
            )
        return found[0] if found else None

    def candidates(self, value: str) -> list[Path]:
        """Return the files that a cell may name: by path, the end of a path, with suffix or without."""
        key = value.replace("\\", "/").lower().lstrip("./")
        while key:
            if key in self._by_key:
                return self._by_key[key]
            if stem_of(key) != key and "/" not in stem_of(key)[-1:] and stem_of(key) in self._by_key:
                return self._by_key[stem_of(key)]
            key = key.partition("/")[2]
        return []


def _image_column(frame: pd.DataFrame, given: str, files: _Files, path: Path) -> str:
    name = _column(frame, given, "image_column", path)
    sample = frame if len(frame) <= 2000 else frame.iloc[:: len(frame) // 1000]
    fits = {column: sum(bool(files.candidates(value)) for value in sample[column] if value) for column in frame.columns}
    best = name or max(frame.columns, key=lambda column: (fits[column], sample[column].nunique()))
    if not fits[best]:
        where = f"column {name!r}" if name else "no column"
        example = frame[name or frame.columns[0]].iloc[0]
        raise LayoutError(
            f"{where} of {path.name} names the images (the files are like {files.all[0].name!r}, the table has "
            f"{example!r}); pass image_column= with one of {name_list(list(frame.columns), 12)}"
        )
    return best


def _column(frame: pd.DataFrame, given: str, option: str, path: Path) -> str:
    """Return a column's name as it is spelled in the table; ``""`` where none was named."""
    if not given or given.lower() == NONE:
        return ""
    names = {str(name).lower(): name for name in frame.columns}
    if given.lower() not in names:
        raise LayoutError(
            f"{option}={given!r} is no column of {path.name}, which has {name_list(list(frame.columns), 20)}"
        )
    return names[given.lower()]


def _plain(name: str) -> str:
    return "_".join(tokens(name))


def _other_column(
    frame: pd.DataFrame, given: str, known: Sequence[str], option: str, taken: set[str], path: Path
) -> str:
    name = _column(frame, given, option, path)
    if name or given:
        return name
    names = [column for column in frame.columns if column not in taken and _plain(column) in known]
    return next((column for column in names if frame[column].nunique() > 1), "")


def _part_column(rows: pd.DataFrame, given: str, taken: set[str], path: Path) -> str:
    name = _other_column(rows, given, _PART_NAMES, "part_column", taken, path)
    words = {part_word(value) for value in rows[name]} if name else set()
    if name and given and not all(words):
        odd = next(value for value in rows[name] if not part_word(value))
        raise LayoutError(f"part_column={given!r} holds {odd!r}; it must say train, val or test for every image")
    return name if words and all(words) else ""


# -- the labels -------------------------------------------------------------------------------------------------------


def _labels(rows: pd.DataFrame, given: str, image: str, path: Path) -> tuple[str, list[str]]:
    """Return the label column and the label of each row, ``""`` where it has none."""
    name = _column(rows, given, "label_column", path)
    if not name:
        others = [column for column in rows.columns if column not in (image, _FILE)]
        marks = [column for column in others if _is_zero_one(rows[column])]
        known = [column for column in others if _plain(column) in _LABEL_NAMES and 2 <= rows[column].nunique()]
        if not known and len(marks) >= 2:
            return _one_hot(rows, marks, path)
        name = _guessed_label(rows, known, others, path)
    _refuse_several(rows[name], name, path)
    labels = [re.sub(r"^(\d+)\.0+$", r"\1", value) for value in rows[name]]
    distinct = len(set(labels) - {""})
    if distinct > _MOST_CLASSES or (distinct > 10 and distinct > 0.5 * len(labels)):
        raise LayoutError(
            f"column {name!r} of {path.name} has {distinct:,} different values in {len(labels):,} rows, which are no "
            f"classes; pass label_column= with one of {name_list([str(c) for c in rows.columns if c != _FILE], 12)}"
        )
    return name, labels


def _is_zero_one(values: Iterable[str]) -> bool:
    distinct = set(values)
    return len(distinct) == 2 and distinct <= {"0", "1", "0.0", "1.0", "True", "False", "true", "false"}


def _guessed_label(rows: pd.DataFrame, known: list[str], others: list[str], path: Path) -> str:
    """Return the one column that may be the label: by its name, or else by its few values."""
    few = [
        column
        for column in others
        if 2 <= rows[column].nunique() <= min(30, max(2, len(rows) // 2)) and _plain(column) not in _PART_NAMES
    ]
    choices = known or few
    distinct: list[str] = []
    for column in sorted(choices, key=lambda column: all(value.isdigit() for value in rows[column])):
        if not any(rows.groupby(column)[other].nunique().max() == 1 == rows.groupby(other)[column].nunique().max()
                   for other in distinct):  # fmt: skip
            distinct.append(column)  # the same classes as numbers and as words are one column
    if len(distinct) == 1:
        return distinct[0]
    shown = "; ".join(f"{column} ({name_list(sorted(set(rows[column])), 4)})" for column in distinct[:6])
    what = f"may have its labels in several columns: {shown}" if distinct else "has no column that looks like labels"
    raise LayoutError(f"{path.name} {what}; pass label_column= with one of {name_list(others, 12)}")


def _one_hot(rows: pd.DataFrame, marks: list[str], path: Path) -> tuple[str, list[str]]:
    """Read columns of 0 and 1, one for each class, where each row has exactly one 1."""
    table = rows[marks].isin(["1", "1.0", "True", "true"])
    most = int(table.sum(axis=1).max())
    if most > 1 or int(table.sum(axis=1).min()) < 1:
        number = f"up to {most}" if most > 1 else "none or one"
        raise LayoutError(
            f"{path.name} has {len(marks)} columns of 0 and 1 ({name_list(marks, 5)}) with {number} labels for an "
            f"image, but one label per image is learnt here; pass label_column={marks[0]!r}, for one against the rest"
        )
    return ", ".join(marks), [marks[place] for place in table.to_numpy().argmax(1)]


def _refuse_several(values: pd.Series, name: str, path: Path) -> None:
    """Refuse a column whose cells name several labels, such as ``Cardiomegaly|Emphysema``."""
    for sign in "|;,":
        several = [value for value in values if sign in value and all(piece.strip() for piece in value.split(sign))]
        pieces = {piece.strip() for value in several for piece in value.split(sign)}
        if several and (sign != "," or pieces & set(values)):
            raise LayoutError(
                f"column {name!r} of {path.name} names several labels for an image ({several[0]!r}, {len(several):,} "
                "rows), but one label per image is learnt here; add a column that answers one question, such as "
                f"{several[0].split(sign)[0].strip()!r} yes or no, and pass label_column= with its name"
            )


def _entries(
    rows: pd.DataFrame, labels: Sequence[str], patient: str, part: str, path: Path, column: str
) -> list[Entry]:
    """Return one entry for each image; rows that repeat an image must agree on its label."""
    by_file: dict[Path, Entry] = {}
    people = rows[patient] if patient else [""] * len(rows)
    splits = rows[part] if part else [""] * len(rows)
    for file, label, person, split in zip(rows[_FILE], labels, people, splits):
        if not label:
            continue
        entry = Entry(file, label, split, person)
        before = by_file.setdefault(file, entry)
        if before.label != label:
            raise LayoutError(
                f"{path.name} gives {file.name!r} two labels in column {column!r} ({before.label!r} and {label!r}), "
                "but one label per image is learnt here; correct the table, or pass label_column= for another column"
            )
    return list(by_file.values())


def _left_out(frame: pd.DataFrame, rows: pd.DataFrame, labels: Sequence[str], files: _Files, base: Path) -> list[str]:
    lines = []
    without = [path for path in files.all if path not in set(rows[_FILE])]
    if without:
        named = name_list([path.relative_to(base).as_posix() for path in without], 3)
        lines.append(f"{len(without):,} images have no row in the table, passed over: {named}")
    if len(frame) > len(rows):
        lines.append(f"{len(frame) - len(rows):,} rows of the table have no image")
    if empty := sum(not label for label in labels):
        lines.append(f"{empty:,} images have an empty label, passed over")
    return lines


def _named_alike(entries: list[Entry], classes: Sequence[str] | None) -> tuple[list[Entry], list[str]]:
    """Read labels that differ in case only as one class, and keep those that were asked for."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        spellings[same_name(entry.label)][entry.label] += 1
    lines = [
        f"warning: {name_list(sorted(each))} differ in case only and are read as one class"
        for each in spellings.values()
        if len(each) > 1
    ]
    spelled = {name: max(sorted(each), key=each.__getitem__) for name, each in spellings.items()}
    if classes is not None:
        missing = [name for name in classes if same_name(name) not in spelled]
        if missing:
            raise LayoutError(
                f"classes={joined(classes)!r}: no image has the label {missing[0]!r}; the labels are "
                f"{name_list(sorted(spelled.values()), 12)}"
            )
        wanted = {same_name(name) for name in classes}
        lines.append(
            f"labels passed over: {name_list(sorted(v for k, v in spelled.items() if k not in wanted)) or 'none'}"
        )
        spelled = {name: label for name, label in spelled.items() if name in wanted}
    kept = [
        replace(entry, label=spelled[same_name(entry.label)]) for entry in entries if same_name(entry.label) in spelled
    ]
    return kept, lines


def _of_parts(
    entries: list[Entry], parts: str | Sequence[str] | None, tree: Folder
) -> tuple[list[Entry], tuple[str, ...]]:
    """Keep the images of the parts that were asked for; where no column says it, the folders may."""
    if not any(entry.part for entry in entries):
        names = [folder.name for folder in tree.walk()]
        found = [
            next((name for name in entry.path.relative_to(tree.path).parts[:-1] if part_word(name, names)), "")
            for entry in entries
        ]
        if all(found):
            entries = [replace(entry, part=part) for entry, part in zip(entries, found)]
    present = sorted({entry.part for entry in entries if entry.part})
    if parts is None and len(present) > 1:
        raise LayoutError(
            f"the table or the folders have the parts {', '.join(present)}; pass parts='pool' to read them as one set "
            f"(split() then makes a new split), parts='official' to test on the test part, or parts={present[0]!r} to "
            "read only that one"
        )
    if parts is None or (not present and parts is None):
        return entries, tuple(present)
    if not present:
        raise LayoutError(f"parts={parts!r} was given, but neither table nor folders say train or test; leave it out")
    wanted = set(wanted_parts(present, None if parts == "official" else parts, str(tree.path)))
    return [entry for entry in entries if entry.part in wanted], tuple(name for name in present if name in wanted)


def contradicted_by(tables: Sequence[Path], tree: Folder, entries: Sequence[Entry]) -> str:
    """Return a sentence where a table beside class folders gives their images other labels, else ``""``.

    Args:
        tables: files that may hold labels.
        tree: the folder.
        entries: its images, with their folders' names as labels.
    """
    labels = {entry.path: entry.label for entry in entries}
    for path in tables[:_TABLES_LOOKED_AT]:
        try:
            frame, _ = _read(path, tree.path)
            files = _Files(tree, path.name)
            image = _image_column(frame, "", files, path)
            names = [c for c in frame.columns if c != image and _plain(c) in _LABEL_NAMES and frame[c].nunique() >= 2]
            found = [files.candidates(value) for value in frame[image]]
        except (LayoutError, ImportError):  # not a table of these images
            continue
        for name in names:
            pairs = {(v, labels[f[0]]) for v, f in zip(frame[name], found) if len(f) == 1 and f[0] in labels and v}
            seen = sum(len(f) == 1 and f[0] in labels for f in found)
            ambiguous = len(pairs) > max(len({v for v, _ in pairs}), len({label for _, label in pairs}))
            if ambiguous and seen >= 0.5 * len(labels):
                folders = name_list(sorted({label for _, label in pairs}), 4)
                return (
                    f"the labels may be the folders ({folders}) or column {name!r} of {printable(path.name)} "
                    f"({name_list(sorted({v for v, _ in pairs}), 4)}): pass labels={printable(str(path))!r} for the "
                    "table, or level=1 for the folders"
                )
    return ""
