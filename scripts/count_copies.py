"""Count copies and colour modes of the real brain MRI set, for notebook 06.

python scripts/count_copies.py --data FOLDER --to data/results/critical_facts.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import PIL
import torch

from dmws_lite._system import write_atomic
from dmws_lite.images.dataset import Images, mode_counts
from dmws_lite.images.load import load_images
from dmws_lite.images.splits import copy_counts


def facts(images: Images, command: str) -> dict:
    """Gather the counts that notebook 06 shows of a real set."""
    return {
        "dataset": images.name,
        "images": len(images),
        "distinct": len(set(images.digests)),
        "modes": mode_counts(images),
        "test_share": 0.2,
        "copies": {f"{f:g}": n for f, n in copy_counts(images, (0.01, 0.05, 0.1, 0.5, 1.0), range(20)).items()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "pillow": PIL.__version__},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": command,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the counts of the brain MRI set."""
    parser = argparse.ArgumentParser(prog="python scripts/count_copies.py", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data set")
    parser.add_argument("--to", type=Path, default=Path("critical_facts.json"), help="file to write")
    chosen = parser.parse_args(arguments)
    images = load_images("mri", chosen.data, size=32, progress=False)
    given = ["--data", "FOLDER", "--to", str(chosen.to)]
    content = facts(images, f"python scripts/count_copies.py {shlex.join(given)}")
    path = write_atomic(chosen.to, json.dumps(content, indent=1) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
