"""Files of several slices or frames (DICOM, NIfTI): which of them are read, and whether the package is there."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .deep import NotRead
from .dicom import PIP as DICOM_PIP
from .dicom import frame_count, is_dicom
from .entries import Entry
from .nifti import AXES, is_nifti, slice_count
from .nifti import PIP as NIFTI_PIP


def check_volume_options(slices: str, axis: str, window: str) -> None:
    """Raise ``ValueError`` for a range, axis or window that cannot be read."""
    _range(slices, 1)
    if axis not in AXES:
        raise ValueError(f"axis={axis!r} is unknown; choose one of {', '.join(AXES)}")
    read_window(window)


def read_window(text: str) -> tuple[float, float] | None:
    """Read ``"40,400"``, centre and width; ``""`` is ``None``."""
    if not text:
        return None
    try:
        centre, width = (float(piece) for piece in text.split(","))
    except ValueError as error:
        raise ValueError(f"window={text!r} is not CENTRE,WIDTH, such as 40,400") from error
    if not math.isfinite(centre) or not math.isfinite(width) or width <= 0:
        raise ValueError(f"window={text!r} has a width of {width:g}; it must be above 0")
    return centre, width


def _range(slices: str, count: int) -> list[int | None]:
    """Return the numbers of the slices: ``middle``, ``all``, ``10:60`` or ``10:60:5``."""
    if slices == "middle":
        return [None]
    if slices == "all":
        return list(range(count))
    match = re.fullmatch(r"(\d*):(\d*)(?::(\d+))?", slices)
    if not match or match[3] == "0":
        raise ValueError(f"slices={slices!r} is none of middle, all, nor a range such as 10:60 or 10:60:5")
    return list(range(count))[slice(*(int(piece) if piece else None for piece in match.groups()))]


def _start(path: Path) -> bytes:
    try:
        if not path.is_file():  # opening a pipe would wait for somebody to write
            return b""
        with open(path, "rb") as stream:
            return stream.read(132)
    except OSError:
        return b""


def needed_package(path: Path) -> tuple[str, str]:
    """Return the package that a file needs and the line that installs it, or two empty texts."""
    if is_nifti(path.name):
        return "nibabel", NIFTI_PIP
    plain = not path.suffix or path.suffix[1:].isdigit()
    if is_dicom(_start(path) if plain else b"", path.name):
        return "pydicom", DICOM_PIP
    return "", ""


def check_packages(paths: Sequence[Path]) -> None:
    """Raise ``ImportError`` once, where DICOM or NIfTI files are to be read and their package is not installed."""
    counted: dict[tuple[str, str], int] = {}
    for path in paths:
        if (need := needed_package(path))[0]:
            counted[need] = counted.get(need, 0) + 1
    for (package, line), count in counted.items():
        if not _installed(package):
            kind = "DICOM" if package == "pydicom" else "NIfTI"
            raise ImportError(f"{count:,} {kind} file{'s' * (count > 1)} can be read with {package}: {line}")


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # blocked in sys.modules
        return False


def expanded(entries: Sequence[Entry], slices: str, axis: str) -> list[Entry]:
    """Return one entry for each slice that is to be read; files of one picture stay as they are.

    Raises:
        ValueError: a file has no slice in the range.
    """
    if slices == "middle":
        return list(entries)
    out: list[Entry] = []
    for entry in entries:
        package = needed_package(entry.path)[0] if entry.path.is_file() else ""
        try:
            if not package:
                count = 1
            elif package == "nibabel":
                count = slice_count(entry.path, axis)
            else:
                count = frame_count(entry.path.read_bytes())
        except (NotRead, OSError):  # said when the file is read
            count = 1
        numbers = _range(slices, count) if count > 1 else [None]
        if not numbers:
            raise ValueError(f"slices={slices!r} leaves none of the {count} slices of {entry.path.name}; give others")
        patient = entry.patient or (f"file {entry.path}" if count > 1 else "")
        out += [replace(entry, frame=number, patient=patient) for number in numbers]
    return out
