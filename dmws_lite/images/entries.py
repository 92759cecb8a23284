"""The images of a folder before they are read: where each lies, its class, part and patient."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One image file and what its place says.

    Attributes:
        path: of the file.
        label: its class.
        part: name of the part it lies in, such as ``"train"``; ``""`` without such a level.
        patient: name of the folder that stands for its patient, or ``""``.
        frame: number of the slice of a volume, from 0; ``None`` for the file's only or middle one.
    """

    path: Path
    label: str
    part: str = ""
    patient: str = ""
    frame: int | None = None


@dataclass(frozen=True)
class Layout:
    """How a folder is read.

    Attributes:
        base: the folder; paths are named relative to it.
        entries: the images, in no particular order.
        classes: sorted names.
        lines: what was found and how it is read, for a person.
        ignored: kind -> number of the files that are passed over.
        parts: names of the parts that are read, as on disk.
        tables: files beside the images that may hold labels.
    """

    base: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    lines: tuple[str, ...] = ()
    ignored: Counter[str] = field(default_factory=Counter)
    parts: tuple[str, ...] = ()
    tables: tuple[Path, ...] = ()
