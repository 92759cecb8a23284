"""Pack the built book into one file that can be handed to a class: dist/dmws-lite-book.zip.

    python scripts/zip_book.py [--html FOLDER] [--to FILE]

Unpacked, it is one folder; opening its index.html needs no network and no server. The same pages give the same file,
byte for byte (with one version of zlib): entries are sorted and carry no date.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dmws_lite._system import write_atomic  # noqa: E402

NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows


def pages(html: Path) -> list[Path]:
    """Return the files of a built book, sorted by their place in it; what tools left for themselves is passed over.

    Raises:
        FileNotFoundError: the folder holds no built book.
    """
    if not (html / "index.html").is_file():
        raise FileNotFoundError(f"{html} holds no built book (no index.html in it); run `make book` first")
    found = [path for path in html.rglob("*") if path.is_file()]
    kept = [path for path in found if not any(part.startswith(".") for part in path.relative_to(html).parts)]
    return sorted(kept, key=lambda path: path.relative_to(html).as_posix())


def zip_book(html: Path, to: Path) -> Path:
    """Write the zip, whole or not at all.

    Args:
        html: folder of the built book.
        to: the zip to write; its name without suffix becomes the folder inside.

    Returns:
        ``to``.

    Raises:
        FileNotFoundError: the folder holds no built book.
    """
    content, packed = pages(html), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in content:
            entry = zipfile.ZipInfo(f"{to.stem}/{path.relative_to(html).as_posix()}", NO_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # the same on every system
            archive.writestr(entry, path.read_bytes(), compresslevel=9)
    return write_atomic(to, packed.getvalue())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="the built book")
    parser.add_argument("--to", type=Path, default=ROOT / "dist" / "dmws-lite-book.zip", help="the zip to write")
    given = parser.parse_args(arguments)
    try:
        path = zip_book(given.html, given.to)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; unpack it and open {path.stem}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
