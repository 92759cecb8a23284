"""Pack data sets, read and resized, into one file each, as `dmws-lite run --data FOLDER` reads them back.

    python scripts/pack_images.py --data FOLDER --out OTHER_FOLDER --size 64 mri sarscov2 xray

The files hold images. Keep them out of the project, and pass on only what the licence of the data set allows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dmws_lite.images.load import load_images
from dmws_lite.images.packed import pack_images, packed_path


def main() -> None:
    """Read the command line and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET", help="names of data sets, such as mri")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the packed files")
    parser.add_argument("--size", type=int, default=64, help="side in pixels (default: 64)")
    given = parser.parse_args()
    for name in given.sets:
        images = load_images(name, given.data, size=given.size)
        path = pack_images(images, packed_path(given.out, name, given.size))
        print(f"{path}: {len(images):,} images, {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
