"""``predict``: classify images with a trained student."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .._system import write_atomic
from ..images.class_folders import image_files
from ..images.dataset import count_words
from ..images.decode import Decoded, read_all, read_file, readable_formats
from ..images.entries import Entry
from ..images.folder_names import printable
from ..images.volumes import check_packages, expanded, read_window
from ..training.device import pick_device
from ..training.doubt import features_of, load_typical
from ..training.evaluate import predict_probabilities
from ..training.saved import Card, load, predictions_csv
from .common import DONE, FAILED, NOT_A_DEVICE, add_command

_AT_ONCE = 256  # images in memory


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "predict",
        predict_command,
        """
        Classify images with a network trained by `dmws-lite train`.

        IMAGES are files and folders; folders are searched at every depth. Images are read as they were in training:
        any format that Pillow reads, DICOM and NIfTI. The output is a CSV with one row per image: file, predicted
        class, the probability of each class, and doubt: above 1 for an image that looks unlike the training images.
        Files that cannot be read are named on stderr.
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
    check_packages(paths)
    entries = expanded([Entry(path, "") for path in paths], card.slices, card.axis)
    typical = load_typical(given.folder)
    names: list[str] = []
    shares, doubt = torch.empty(0, len(card.classes)), torch.empty(0)
    bar = tqdm(total=len(entries), desc="predicting", unit="image", disable=given.quiet, leave=False)
    for first in range(0, len(entries), _AT_ONCE):
        readable, pixels, unread = _read(card, entries[first : first + _AT_ONCE])
        bar.update(len(readable) + len(unread))
        names += readable
        failed += unread
        if readable:
            shares = torch.cat([shares, predict_probabilities(model, pixels)])
            doubt = torch.cat([doubt, typical.doubt(features_of(model, pixels))]) if typical else doubt
    bar.close()
    text = predictions_csv(names, card.classes, shares, doubt=doubt if typical else None)
    if given.csv:
        write_atomic(given.csv, text)
        predicted = Counter(card.classes[number] for number in shares.argmax(1).tolist()) if names else Counter()
        counts = ", ".join(f"{count:,} {name}" for name, count in predicted.most_common())
        print(f"written: {given.csv}, {len(names):,} images" + (f" ({counts})" if counts else ""))
    else:
        sys.stdout.write(text)
    if unlike := int((doubt > 1).sum()):
        print(f"{unlike:,} of {len(names):,} images look unlike the training images (doubt above 1)", file=sys.stderr)
    for name, reason in failed:
        print(f"not read: {printable(name)}: {reason}", file=sys.stderr)
    return FAILED if failed else DONE


def _find(given: Sequence[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the images among files and folders, each once, and the other paths with the reason."""
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


def _read(card: Card, entries: Sequence[Entry]) -> tuple[list[str], Tensor, list[tuple[str, str]]]:
    """Return the names and pixels of the images that can be read, and the others with the reason."""
    _, formats = readable_formats()
    window = read_window(card.window)

    def job(index: int) -> Decoded:
        entry = entries[index]
        return read_file(entry.path, card.size, card.colour, card.fit, formats, entry.frame, card.axis, window)

    pixels, _, failed = read_all(len(entries), job, card.size, card.colour, None, False, "reading")
    called = [printable(str(entry.path)) + (f"#{entry.frame}" if entry.frame is not None else "") for entry in entries]
    names = [name for index, name in enumerate(called) if index not in failed]
    return names, pixels, [(called[index], reason) for index, reason in sorted(failed.items())]
