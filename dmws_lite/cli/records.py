"""``records``: look after records, the readers' own among them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..experiments.check import check_record
from ..experiments.records import record_files
from .common import DONE, FAILED, add_command


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    records = add_command(
        commands,
        "records",
        check_command,
        """
        Check records: their form, checksum, names, settings and numbers must agree.

        Each record is checked by itself. What is wrong is listed under its name. A record that contradicts itself
        nowhere may still be of a run that never took place; what can be checked beyond that is to run it again.
        """,
        """
        dmws-lite records check runs/my_grid
        dmws-lite records check my-record.json another-record.json
        """,
    )
    records.add_argument("action", choices=("check",), help="what to do")
    records.add_argument("files", nargs="+", type=Path, metavar="FILE", help="records, or folders of them")


def check_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite records check``."""
    files = [file for path in given.files for file in _records(path)]
    if not files:
        raise FileNotFoundError(f"there is no record in {', '.join(map(str, given.files))}; give JSON files")
    wrong = 0
    for file in files:
        if problems := check_record(file):
            wrong += 1
            print(f"{file}:")
            for problem in problems:
                print(f"  - {problem}")
    print(f"{len(files)} record{'s' * (len(files) != 1)} checked, {wrong} with something wrong")
    return FAILED if wrong else DONE


def _records(path: Path) -> Iterator[Path]:
    """Give a file, or the records below a folder; what a failed run left behind is no record."""
    if not path.is_dir():
        yield path
        return
    yield from record_files(path)
