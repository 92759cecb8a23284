"""``evaluate``: how good a trained student is on labelled images, per image, class and patient."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .._system import write_atomic
from ..experiments.statistics import proportion_interval
from ..images.dataset import Images
from ..images.folder_names import name_list, same_name
from ..images.splits import check_pattern, known_patients
from ..training.device import pick_device
from ..training.doubt import features_of, load_typical
from ..training.evaluate import predict_probabilities, score
from ..training.saved import Card, load, predictions_csv
from .common import DONE, MOST_CLASSES, NOT_A_DEVICE, add_command, columns, confusion_lines
from .folder import FOLDER_OPTIONS, add_folder_options, look_at, read


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "evaluate",
        evaluate_command,
        """
        Measure a trained network on labelled images, such as those of another hospital.

        Prints the accuracy with its 95% interval beside always answering the most frequent class, macro F1, AUROC, the
        share found of each class and the confusions; and the same per patient where patients are known: an image's
        patient answers with the mean probability of all their images. Images are read as they were in training.
        """,
        """
        dmws-lite evaluate runs/mine other_hospital
        dmws-lite evaluate runs/mine other_hospital --patient "p[0-9]+" --csv answers.csv
        """,
    )
    parser.add_argument("folder", metavar="RUNFOLDER", type=Path, help="the --out folder of `dmws-lite train`")
    parser.add_argument("images", metavar="FOLDER", type=Path, help="folder of labelled images, read as by train")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the answer for each image here")
    parser.add_argument("--patient", metavar="PATTERN", help="regular expression that finds the patient in a path")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_folder_options(parser.add_argument_group("what is what"), reading=False)
    parser.set_defaults(options=FOLDER_OPTIONS)


def evaluate_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite evaluate``."""
    device = pick_device(given.device)
    if given.patient is not None:
        check_pattern(given.patient)
    model, card = load(given.folder)
    print(NOT_A_DEVICE, file=sys.stderr)
    for name in ("colour", "fit", "slices", "axis", "window"):
        setattr(given, name, getattr(card, name))
    layout = look_at(given.images, given)
    known = {same_name(name): number for number, name in enumerate(card.classes)}
    unknown = [name for name in layout.classes if same_name(name) not in known]
    if unknown:
        raise ValueError(
            f"{given.images} has the class {unknown[0]!r}, which the network does not know "
            f"({name_list(card.classes)}); pass --classes with those that it knows"
        )
    images = read(layout, given, card.size)
    labels = torch.tensor([known[same_name(images.classes[k])] for k in images.labels.tolist()])
    model.to(device)
    shares = predict_probabilities(model, images.pixels)
    groups = known_patients(images, given.patient)
    for line in report(card, images, labels, shares, groups):
        print(line)
    typical = load_typical(given.folder)
    doubt = typical.doubt(features_of(model, images.pixels)) if typical else None
    if doubt is not None:
        print(f"\n{int((doubt > 1).sum()):,} of {len(doubt):,} images look unlike the training images")
    if given.csv:
        write_atomic(given.csv, predictions_csv(images.files, card.classes, shares, labels, doubt))
        print(f"written: {given.csv}")
    return DONE


def report(card: Card, images: Images, labels: Tensor, shares: Tensor, groups: Sequence[str] | None) -> list[str]:
    """Return all numbers as lines, per image and, where patients are known, per patient."""
    lines = [f"\n{len(images):,} images of {images.name.removeprefix('folder:')}", *_numbers(card, shares, labels)]
    if groups is None:
        return [*lines, "", "patients: not known, so the interval may be too narrow (see --patient)"]
    of_patients, truths = per_patient(shares, labels, groups)
    more = f"{len(set(groups)):,} patients, each answered with the mean probability of their images"
    if len(truths) > len(set(groups)):
        more += f"; {len(truths) - len(set(groups)):,} have images of several classes and count once in each"
    return [*lines, "", more, *_numbers(card, of_patients, truths)]


def per_patient(shares: Tensor, labels: Tensor, groups: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the mean probabilities ``(P, K)`` and the label ``(P,)`` of each patient, one entry for each class."""
    members: dict[tuple[str, int], list[int]] = {}
    for i, key in enumerate(zip(groups, labels.tolist())):
        members.setdefault(key, []).append(i)
    means = torch.stack([shares[own].mean(0) for own in members.values()])
    return means, torch.tensor([label for _, label in members])


def _numbers(card: Card, shares: Tensor, labels: Tensor) -> list[str]:
    metrics = score(shares, labels)
    n, matrix = metrics["n"], metrics["confusion"]
    right, sums = sum(row[k] for k, row in enumerate(matrix)), [sum(row) for row in matrix]
    low, high = proportion_interval(right / n, n)
    most = max(range(len(sums)), key=sums.__getitem__)
    lines = [
        f"accuracy {right / n:.3f}: {right} of {n} right, 95% interval {low:.3f} to {high:.3f}; "
        f"always answering {card.classes[most]}: {sums[most] / n:.3f}",
        f"macro F1 {metrics['macro_f1']:.3f}, AUROC {metrics['auroc']:.3f}",
    ]
    rows = [("class", "found", "of", "share", "95% interval")]
    for k, name in enumerate(card.classes):
        if k >= MOST_CLASSES:
            rows.append((f"and {len(card.classes) - k:,} more classes", "", "", "", ""))
            break
        if sums[k]:
            low, high = proportion_interval(matrix[k][k] / sums[k], sums[k])
            share = f"{matrix[k][k] / sums[k]:.3f}"
            rows.append((name, str(matrix[k][k]), str(sums[k]), share, f"{low:.3f} to {high:.3f}"))
        else:
            rows.append((name, "", "0", "", "no image"))
    return [*lines, "", columns(rows, right=4), "", confusion_lines(card.classes, matrix)]
