"""A walk over a folder: which files are images, tables, system files or others. Nothing is decoded."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .folder_names import is_system, printable

TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls"})

MEDICAL = frozenset({".dcm", ".dicom", ".ima", ".nii", ".nii.gz"})

# The first bytes of files that are images although their names do not say so.
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")


@dataclass
class Folder:
    """One folder and what lies in it.

    Attributes:
        path: of the folder.
        name: its name, composed Unicode.
        images: names of the image files in it, sorted.
        tables: paths of the CSV, TSV and Excel files in it.
        others: kind -> number of the other files directly in it.
        folders: those in it, sorted by name; system folders and excluded ones are left out.
    """

    path: Path
    name: str
    images: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    folders: list[Folder] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of image files at any depth."""
        return len(self.images) + sum(folder.total for folder in self.folders)

    @property
    def filled(self) -> list[Folder]:
        """The folders in it that hold an image at some depth."""
        return [folder for folder in self.folders if folder.total]

    def walk(self) -> Iterator[Folder]:
        """Give this folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def files(self) -> Iterator[Path]:
        """Give the path of every image at any depth, folder by folder."""
        for folder in self.walk():
            yield from (folder.path / name for name in folder.images)

    def all_others(self) -> Counter[str]:
        """Count the other files at any depth by kind."""
        return sum((folder.others for folder in self.walk()), Counter())


def survey(
    base: Path,
    suffixes: frozenset[str],
    exclude: Sequence[str] = (),
    above: tuple[str, ...] = (),
    inside: str = "",
    linked: set[str] | None = None,
) -> Folder:
    """List a folder at every depth.

    A folder that several links lead to is listed once: a few links that branch would otherwise stand for as many paths
    as a machine can count in an hour. Pipes, devices and other files that are none are passed over, and counted.

    Args:
        base: the folder.
        suffixes: lower-case suffixes of images, each with its dot.
        exclude: patterns such as ``*_old*``; a file or folder whose name or path below the first folder fits one is
            passed over, and counted.
        above: resolved folders above this one, to stop at symbolic links that lead back up.
        inside: path below the first folder.
        linked: resolved folders that links led to so far.
    """
    linked = set() if linked is None else linked
    folder = Folder(base, unicodedata.normalize("NFC", base.name))
    real = os.path.realpath(base)
    if real in above:  # a symbolic link that leads back up
        return folder
    with os.scandir(base) as entries:
        listed = sorted((entry.name, _kind(entry)) for entry in entries)
    for name, kind in listed:
        place, is_folder = f"{inside}{name}", kind in (_FOLDER, _LINK)
        if kind == _LINK:
            target = os.path.realpath(base / name)
            if target in linked:
                folder.others["links to a folder that was listed before"] += 1
                continue
            linked.add(target)
        if exclude and _excluded(name, place, exclude):
            below = survey(base / name, suffixes, (), (*above, real), linked=linked).total if is_folder else 1
            folder.others["files left out by exclude"] += below
        elif is_folder:
            if not is_system(name):
                folder.folders.append(survey(base / name, suffixes, exclude, (*above, real), f"{place}/", linked))
        elif kind == _SPECIAL:
            folder.others["pipes, devices and other special files"] += 1
        elif is_system(name):
            folder.others["hidden or system files"] += 1
        elif is_image(base / name, suffixes):
            folder.images.append(name)
        else:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in TABLES:
                folder.tables.append(base / name)
            folder.others[printable(suffix) or "files without a suffix"] += 1
    return folder


_FOLDER, _LINK, _FILE, _SPECIAL = "folder", "link to a folder", "file", "special file"


def _kind(entry: os.DirEntry[str]) -> str:
    """Return what an entry of a folder is; a link that leads nowhere is a file, which later cannot be read."""
    try:
        if entry.is_dir():
            return _LINK if entry.is_symlink() else _FOLDER
        return _FILE if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry)) else _SPECIAL
    except OSError:  # a link to itself
        return _FILE


def _excluded(name: str, place: str, patterns: Sequence[str]) -> bool:
    lower = name.lower(), place.lower()
    return any(fnmatch.fnmatchcase(each, pattern.lower()) for pattern in patterns for each in lower)


def is_image(path: Path, suffixes: frozenset[str]) -> bool:
    """Whether a file is an image by its suffix or, without one (DICOM has numbers there), by its first bytes."""
    name = path.name.lower()
    suffix = os.path.splitext(name)[1]
    if suffix in suffixes or suffix in MEDICAL or name.endswith(".nii.gz"):
        return True
    if suffix and not suffix[1:].isdigit():
        return False
    try:
        with open(path, "rb") as stream:
            start = stream.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or start.startswith(_BEGINNINGS)


def stem_of(name: str) -> str:
    """Return a file's name without its suffix; ``.nii.gz`` is one suffix, a number is none."""
    if name.lower().endswith(".nii.gz"):
        return name[:-7]
    stem, suffix = os.path.splitext(name)
    return name if suffix[1:].isdigit() else stem
