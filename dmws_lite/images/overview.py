"""What is in a set of images, in lines for a person: counts, copies, near-copies, labels that disagree, patients."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from .dataset import Images

_SHOWN = 3


def conflicts(images: Images) -> list[tuple[str, ...]]:
    """Return the files of each picture that lies under two labels, byte for byte the same."""
    owners: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(images.digests):
        owners[digest].append(i)
    labels = images.labels.tolist()
    return [tuple(images.files[i] for i in own) for own in owners.values() if len({labels[i] for i in own}) > 1]


def conflict_lines(images: Images, most: int = _SHOWN) -> list[str]:
    """Name the pictures that lie under two labels."""
    found = conflicts(images)
    if not found:
        return []
    named = "; ".join(" = ".join(files[:4]) for files in found[:most])
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return [f"{len(found):,} picture{'s' * (len(found) > 1)} under two labels: {named}{more}"]


def without_conflicts(images: Images) -> Images:
    """Leave out every picture that lies under two labels."""
    bad = {file for files in conflicts(images) for file in files}
    return images.subset([i for i, file in enumerate(images.files) if file not in bad])


def near_lines(images: Images, pairs: Sequence[tuple[int, int]], groups: Sequence[str] | None = None) -> list[str]:
    """Count near-copies: all, across classes, and across patients where these are known."""
    labels = images.labels.tolist()
    pairs = [(i, j) for i, j in pairs if images.digests[i] != images.digests[j]]
    across = [(i, j) for i, j in pairs if labels[i] != labels[j]]
    text = f"near-copies (not byte for byte): {len(pairs):,} pairs, {len(across):,} of them across classes"
    if groups is not None:
        text += f", {sum(groups[i] != groups[j] for i, j in pairs):,} across patients"
    lines = [text]
    if across:
        shown = "; ".join(f"{images.files[i]} ~ {images.files[j]}" for i, j in across[:_SHOWN])
        lines.append(f"near-copies across classes: {shown}{' ...' * (len(across) > _SHOWN)}")
    return lines


def patient_lines(images: Images, groups: Sequence[str]) -> list[str]:
    """Say how many patients there are, how many images of each, and what looks wrong about it."""
    sizes = Counter(groups)
    counts = sorted(sizes.values())
    each = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    lines = [f"patients: {len(sizes):,} in {len(images):,} images, {each} images of each"]
    if len(sizes) == len(images) > 1:
        lines.append("warning: every image has a patient of its own; does the pattern find the patient, or the image?")
    labels = images.labels.tolist()
    for label, name in enumerate(images.classes):
        own = {group for group, each_label in zip(groups, labels) if each_label == label}
        if len(own) == 1 and labels.count(label) > 1:
            lines.append(f"warning: all {labels.count(label):,} images of class {name} are of one patient")
    several = sum(len({label for g, label in zip(groups, labels) if g == group}) > 1 for group in sizes) if (
        len(sizes) <= 2000) else 0  # fmt: skip
    if several:
        lines.append(f"{several:,} patients have images of several classes")
    return lines


def size_line(sizes: Counter[tuple[int, int]]) -> str:
    """Say the width and height of the files."""
    if len(sizes) == 1:
        ((width, height),) = sizes
        return f"sizes: all files are {width} x {height}"
    smallest, largest = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    common = sizes.most_common(1)[0]
    return (
        f"sizes: {len(sizes):,} different, {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}; most often "
        f"{common[0][0]} x {common[0][1]} ({common[1]:,} files)"
    )


def contact_sheet(images: Images, columns: int = 12, side: int = 64) -> tuple[Image.Image, list[list[int]]]:
    """Draw some images of each class, one class in each row, drawn at random.

    Returns:
        The picture, and for each row the positions of its images.
    """
    rows = []
    for label in range(len(images.classes)):
        own = torch.nonzero(images.labels == label).flatten().numpy()
        rows.append(sorted(np.random.default_rng(0).permutation(own)[:columns].tolist()))
    sheet = Image.new("RGB", (columns * (side + 2), max(1, len(rows)) * (side + 2)), (128, 128, 128))
    for y, row in enumerate(rows):
        for x, i in enumerate(row):
            array = images.pixels[i].numpy()
            picture = Image.fromarray(array if array.ndim == 2 else np.ascontiguousarray(array.transpose(1, 2, 0)))
            sheet.paste(picture.convert("RGB").resize((side, side)), (x * (side + 2) + 1, y * (side + 2) + 1))
    return sheet, rows
