"""``predict``: what a trained student says about images."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from .._system import write_atomic
from ..images.class_folders import image_files, printable
from ..images.dataset import count_words
from ..images.decode import Decoded, read_all, read_file, readable_formats
from ..training.device import pick_device
from ..training.evaluate import predict_probabilities
from ..training.saved import Card, load
from .common import DONE, FAILED, NOT_A_DEVICE, add_command

_AT_ONCE = 256  # images in memory


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "predict",
        predict_command,
        """
        Say which class images belong to, with a network of `dmws-lite train`.

        IMAGES are files and folders; folders are searched with all that is below them. They are read as in training:
        any format that Pillow reads, grey or colour, 8 or 16 bits. The answer is a CSV with one row per image: file,
        predicted class, and the probability of each class. A file that cannot be read is named on stderr.
        """,
        """
        dmws-lite predict runs/mine scan.png other.tif
        dmws-lite predict runs/mine new_images --csv predictions.csv
        """,
    )
    parser.add_argument("folder", metavar="RUNFOLDER", type=Path, help="the --out folder of `dmws-lite train`")
    parser.add_argument("images", metavar="IMAGES", nargs="+", type=Path, help="image files, or folders of them")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the CSV here (default: print it)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def predict_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite predict``."""
    device = pick_device(given.device)
    model, card = load(given.folder)
    model.to(device)
    print(NOT_A_DEVICE, file=sys.stderr)
    paths, failed = _find(given.images)
    said: Counter[str] = Counter()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "predicted", *(f"p({name})" for name in card.classes)])
    for first in range(0, len(paths), _AT_ONCE):
        part = paths[first : first + _AT_ONCE]
        rows, unread = _predict(model, card, part, progress=not given.quiet)
        table.writerows(rows)
        said.update(row[1] for row in rows)
        failed += unread
    if given.csv:
        write_atomic(given.csv, text.getvalue())
        told = ", ".join(f"{count:,} {name}" for name, count in said.most_common())
        print(f"written: {given.csv}, {said.total():,} images" + (f" ({told})" if told else ""))
    else:
        sys.stdout.write(text.getvalue())
    for name, reason in failed:
        print(f"not read: {printable(name)}: {reason}", file=sys.stderr)
    return FAILED if failed else DONE


def _find(given: Sequence[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the images among files and folders, each once, and what is none with the reason."""
    suffixes, _ = readable_formats()
    found: dict[Path, None] = {}
    failed = []
    for path in given:
        if path.is_dir():
            ignored: Counter[str] = Counter()
            inside = image_files(path, suffixes, ignored)
            if ignored:
                print(f"passed over in {printable(str(path))}: {count_words(ignored)}", file=sys.stderr)
            if not inside:
                failed.append((str(path), "no image in this folder"))
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            failed.append((str(path), "does not exist"))
    return list(found), failed


def _predict(
    model: nn.Module, card: Card, paths: Sequence[Path], progress: bool
) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return a row of the CSV for each image that can be read, and the others with the reason."""
    _, formats = readable_formats()

    def job(index: int) -> Decoded:
        return read_file(paths[index], card.size, card.colour, card.fit, formats)

    pixels, _, failed = read_all(len(paths), job, card.size, card.colour, None, progress, "reading")
    kept = [path for index, path in enumerate(paths) if index not in failed]
    rows = []
    if kept:
        for path, shares in zip(kept, predict_probabilities(model, pixels)):
            numbers = [f"{share:.4f}" for share in shares.tolist()]
            rows.append([printable(str(path)), card.classes[int(shares.argmax())], *numbers])
    return rows, [(str(paths[index]), reason) for index, reason in sorted(failed.items())]
