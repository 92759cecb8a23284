"""Write data/results/checksums.txt: checksums of the records from before records had one of their own.

    python scripts/stamp_checksums.py           write it
    python scripts/stamp_checksums.py --check   only say whether it is up to date

The list says that a record has not changed since it was added, so look at what `git diff` shows of it: a line that
changes is a record that changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dmws_lite._system import write_atomic  # noqa: E402
from dmws_lite.experiments.records import checksum_lines  # noqa: E402

FOLDERS = ("results", "map", "readers")


def main(arguments: list[str] | None = None) -> int:
    """Write the list, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the list is not up to date")
    given = parser.parse_args(arguments)
    path = ROOT / "data" / "results" / "checksums.txt"
    text = "\n".join(checksum_lines(ROOT / "data" / folder for folder in FOLDERS)) + "\n"
    if given.check:
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        print(f"{path.name} is {'' if same else 'not '}up to date")
        return 0 if same else 1
    print(write_atomic(path, text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
