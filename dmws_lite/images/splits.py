"""Leak-free splits into a training and a test part, by file or by patient."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .._values import is_number
from .dataset import MOST_LINES, Images, check_seed, half_up, more_classes
from .dicom import FROM_HEADER
from .folder_names import part_word, same_name


def copy_counts(images: Images, fractions: Sequence[float], seeds: Sequence[int]) -> dict[float, list[int]]:
    """Count the test images that have a copy in the training part under the paper's random split.

    Args:
        images: what to split.
        fractions: fractions of the training pool, each in (0, 1].
        seeds: seeds of the splits, each 0 or larger.

    Returns:
        Fraction -> one count per seed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the (training|test) part has no image")
        return {f: [split(images, f, seed, rule="random").leaked for seed in seeds] for f in fractions}


SPLIT_RULES = ("grouped", "random")


@dataclass(frozen=True, eq=False)
class Split:
    """A training part and a test part of one :class:`Images`, and how they were made.

    Args:
        train: the training images drawn from the pool.
        test: all test images.
        train_index: ``int64`` tensor, positions of ``train`` in the original images, ascending.
        test_index: the same for ``test``.
        fraction: fraction of the training pool that was drawn, in (0, 1].
        seed: seed of the split.
        rule: ``"grouped"`` or ``"random"``.
        digest: SHA-256 of the sorted indices; equal digests mean the same split.
        leaked: number of test images with a byte-identical copy among the training images.
        leaked_pool: number of test images with a byte-identical copy anywhere in the training pool.
        pool_size: number of images in the training pool, that is, outside the test part.
        test_share: requested fraction of images in the test part, in (0, 1).
    """

    train: Images
    test: Images
    train_index: torch.Tensor
    test_index: torch.Tensor
    fraction: float
    seed: int
    rule: str
    digest: str
    leaked: int
    leaked_pool: int = 0
    pool_size: int = 0
    test_share: float = 0.2

    def describe(self) -> str:
        """Return the images per class, the number of leaked copies and the digest as text."""
        title = f"{self.train.name}, rule={self.rule!r}, seed={self.seed}"
        taken, asked = f"{len(self.train) / max(1, self.pool_size):.1%}", f"{self.fraction:.1%}"
        share = f"{taken} of a pool of {self.pool_size:,}" + ("" if taken == asked else f"; {asked} requested")
        lines = [f"{title}: {len(self.train):,} training images ({share}), {len(self.test):,} test images"]
        pad = max(len(name) for name in self.train.classes)
        test_counts = self.test.counts()
        counts = self.train.counts()
        for name, count in list(counts.items())[:MOST_LINES]:
            lines.append(f"  {name:<{pad}}  train {count:>6,}  test {test_counts[name]:>6,}")
        lines += more_classes(counts.values())
        lines.append(
            f"copies: {self.leaked:,} test images have a byte-identical copy in the training part "
            f"({self.leaked_pool:,} in the whole pool); near-copies are not counted"
        )
        lines.append(f"digest: {self.digest[:16]}")
        return "\n".join(lines)


def split(
    images: Images, fraction: float = 0.05, seed: int = 0, rule: str = "grouped", test_share: float = 0.2
) -> Split:
    """Split into a test part and a training pool, then draw a small training part from the pool.

    ``rule="grouped"`` (default) splits each class separately and keeps byte-identical copies on the same side, so that
    no test image was seen in training. A group of copies with several labels belongs to the class of its first image.
    ``fraction`` of the pool is drawn from each class, at least one image per class.

    ``rule="random"`` is the paper's procedure (section 4.1: 80% at random, then a random part of these), without
    stratification or grouping. Copies then end up on both sides; ``leaked`` counts them. A class may be missing from a
    part, which causes a warning.

    The same seed gives the same test part and the same order of the pool for every fraction. So the 1% training part is
    contained in the 5% part, and that in the 10% part. The global random state is neither read nor changed.

    Args:
        images: what to split.
        fraction: fraction of the training pool to train on, in (0, 1]; the paper uses 0.01, 0.05 and 0.10.
        seed: 0 or larger.
        rule: ``"grouped"`` or ``"random"``.
        test_share: fraction of the images in the test part, in (0, 1); the paper uses 0.2.

    Raises:
        ValueError: a value is out of range, or a class has too few distinct images for both parts.

    Example:
        >>> from dmws_lite import load_images, split
        >>> data = split(load_images("phantom-ct", n=60, size=32, progress=False), fraction=0.25, seed=0)
        >>> len(data.train), len(data.test), data.pool_size, data.leaked
        (12, 12, 48, 0)
    """
    _check_shares(fraction, test_share)
    check_seed(seed)
    if rule == "grouped":
        test, pool, order = _split_grouped(images, images.digests, seed, test_share)
        train = _drawn_of_each_class(images, order, fraction)
    elif rule == "random":
        n = len(images)
        if n < 2:
            raise ValueError(f"{n} images cannot be split; give at least 2")
        order = np.random.default_rng([seed, 0]).permutation(n).tolist()
        held_out = min(n - 1, max(1, half_up(test_share * n)))
        test, pool = order[:held_out], order[held_out:]
        train = _first_share(pool, fraction)
    else:
        raise ValueError(f"rule is {rule!r}, but must be one of {', '.join(map(repr, SPLIT_RULES))}")

    result = _as_split(images, train, test, pool, fraction, seed, rule, test_share)
    for part, counts in (("training", result.train.counts()), ("test", result.test.counts())):
        missing = [name for name, count in counts.items() if count == 0]
        if missing:
            warnings.warn(
                f"the {part} part has no image of {', '.join(missing)}; use rule='grouped' or a larger fraction",
                stacklevel=2,
            )
    return result


def _check_shares(fraction: float, test_share: float) -> None:
    _check_fraction(fraction)
    if not (is_number(test_share) and 0 < test_share < 1):
        raise ValueError(f"test_share is {test_share!r}, but must be between 0 and 1, such as 0.2")


def _check_fraction(fraction: float) -> None:
    if not (is_number(fraction) and 0 < fraction <= 1):
        raise ValueError(f"fraction is {fraction!r}, but must be above 0 and at most 1 (5% is 0.05)")


def _drawn_of_each_class(images: Images, order: list[int], fraction: float) -> list[int]:
    labels = images.labels.numpy()
    return [
        index
        for label in range(len(images.classes))
        for index in _first_share([i for i in order if labels[i] == label], fraction)
    ]


def _as_split(
    images: Images,
    train: list[int],
    test: list[int],
    pool: list[int],
    fraction: float,
    seed: int,
    rule: str,
    test_share: float,
) -> Split:
    train_index = torch.tensor(sorted(train), dtype=torch.int64)
    test_index = torch.tensor(sorted(test), dtype=torch.int64)
    seen, seen_pool = ({images.digests[i] for i in part} for part in (train, pool))
    text = "train " + " ".join(map(str, train_index.tolist())) + " test " + " ".join(map(str, test_index.tolist()))
    return Split(
        train=images.subset(train_index),
        test=images.subset(test_index),
        train_index=train_index,
        test_index=test_index,
        fraction=float(fraction),
        seed=int(seed),
        rule=rule,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        leaked=sum(images.digests[i] in seen for i in test),
        leaked_pool=sum(images.digests[i] in seen_pool for i in test),
        pool_size=len(pool),
        test_share=float(test_share),
    )


_MIXED = 0.1  # from this share of groups with several classes on, groups are drawn as a whole


def _split_grouped(
    images: Images, groups: Sequence[str], seed: int, test_share: float, patients: bool = False
) -> tuple[list[int], list[int], list[int]]:
    """Return (test, pool, pool in drawing order); images of one group are on the same side."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    labels = images.labels.tolist()
    _check_groups(images, members, patients)
    strata: list[list[list[int]]] = [[] for _ in images.classes]
    for own in members.values():  # ordered by first member, so the result does not depend on hashing
        strata[labels[own[0]]].append(own)
    mixed = sum(len({labels[i] for i in own}) > 1 for own in members.values())
    if mixed > _MIXED * len(members) or min(map(len, strata)) < 2:
        test = _test_of_mixed(labels, list(members.values()), len(images.classes), seed, test_share)
    else:
        test = _test_of_classes(strata, seed, test_share)
    kept = set(test)
    pool = [i for i in range(len(labels)) if i not in kept]
    order = [pool[i] for i in np.random.default_rng([seed, 1]).permutation(len(pool))]
    return test, pool, order


def _check_groups(images: Images, members: dict[str, list[int]], patients: bool) -> None:
    """Raise ``ValueError`` for a class whose images are all of one group, and say what they are."""
    labels = images.labels.tolist()
    for label, title in enumerate(images.classes):
        own = [group for group, indices in members.items() if any(labels[i] == label for i in indices)]
        if len(own) >= 2:
            continue
        count = labels.count(label)
        if count == 0:
            what = "no image"
        elif patients:
            what = f"{count} image(s), all of 1 patient{'' if own[0].startswith(FROM_HEADER) else f' ({own[0]})'}"
        else:
            what = f"{len(own)} distinct image(s)"
            if count > 1:
                what += f" ({count} files that are copies of one another)"
            other = next((i for i in members[own[0]] if labels[i] != label), None)
            if other is not None and images.files[other]:
                what += f", a copy of {images.files[other]} in class {images.classes[labels[other]]}"
        raise ValueError(
            f"class {title!r} has {what}, but a split needs at least 2 {'patients' if patients else ''}".rstrip()
            + " in each class; "
            + ("check the pattern or column of the patient, or " if patients else "add images or ")
            + "leave the class out"
        )


def _test_of_classes(strata: list[list[list[int]]], seed: int, test_share: float) -> list[int]:
    """Draw the test part from each class by itself; a group belongs to the class of its first image."""
    test: list[int] = []
    for label, stratum in enumerate(strata):
        # One generator per class: adding a class does not change the split of the others.
        drawn = [stratum[i] for i in np.random.default_rng([seed, 0, label]).permutation(len(stratum))]
        target = max(1, half_up(test_share * sum(map(len, stratum))))
        candidates = drawn[:-1]  # the last group always stays in the training pool
        held_out: list[int] = []
        for own in candidates:
            if len(held_out) + len(own) <= target:
                held_out += own
        test += held_out or min(candidates, key=len)  # all groups exceed the target: take the smallest
    return test


def _test_of_mixed(labels: list[int], groups: list[list[int]], classes: int, seed: int, test_share: float) -> list[int]:
    """Draw whole groups with images of several classes, so that each class comes near its share of the test part."""
    table = np.zeros((len(groups), classes), int)
    for row, own in enumerate(groups):
        np.add.at(table[row], [labels[i] for i in own], 1)
    total = table.sum(0)
    target = np.maximum(1, np.floor(test_share * total + 0.5))
    chosen: list[int] = []
    held = np.zeros(classes, int)
    order = np.random.default_rng([seed, 0]).permutation(len(groups)).tolist()
    for row in order:
        after = held + table[row]
        # Classes count alike, whatever their size; every class keeps an image for training.
        better = np.abs(after - target).dot(1 / target) < np.abs(held - target).dot(1 / target)
        if better and (after < total).all():
            chosen.append(row)
            held = after
    for label in np.flatnonzero(held == 0):  # a class that no fitting group brought into the test part
        rows = [row for row in order if row not in chosen and table[row, label] and (held + table[row] < total).all()]
        if rows:
            row = min(rows, key=lambda each: table[each].sum())
            chosen.append(row)
            held = held + table[row]
    return [i for row in sorted(chosen) for i in groups[row]]


def split_by_parts(images: Images, fraction: float = 1.0, seed: int = 0) -> Split:
    """Take the official test part, or that of another folder, for testing, and draw from all others for training.

    Args:
        images: with ``parts``, as :func:`dmws_lite.images.load.load_images` reads them with ``parts="official"``.
        fraction: fraction of the training images of each class that is used, in (0, 1].
        seed: of this draw; 0 or larger.

    Raises:
        ValueError: a part is empty, or a class of the test part has no training image.
    """
    _check_fraction(fraction)
    check_seed(seed)
    test = [i for i, part in enumerate(images.parts) if part_word(part) == "test"]
    held_out = set(test)
    pool = [i for i in range(len(images)) if i not in held_out]
    if not test or not pool:
        lacking = "test" if not test else "training"
        raise ValueError(f"there is no image in the {lacking} part; the parts are {sorted(set(images.parts))}")
    trained = {int(images.labels[i]) for i in pool}
    unknown = sorted({images.classes[int(images.labels[i])] for i in test} - {images.classes[k] for k in trained})
    if unknown:
        raise ValueError(f"class {unknown[0]!r} is in the test part only; leave it out, or pool the parts")
    order = [pool[i] for i in np.random.default_rng([seed, 1]).permutation(len(pool))]
    train = _drawn_of_each_class(images, order, fraction)
    return _as_split(images, train, test, pool, fraction, seed, "official", len(test) / len(images))


def with_label_noise(data: Split, share: float, seed: int = 0) -> Split:
    """Replace some labels of the training part by another class, drawn evenly from the others; the test part stays.

    Args:
        data: a split.
        share: of the training images, in [0, 1); rounded half up to whole images.
        seed: 0 or larger.

    Returns:
        A split of the same images.

    Raises:
        ValueError: the share or the seed is out of range.
    """
    if not (is_number(share) and 0 <= share < 1):
        raise ValueError(f"share is {share!r}, but must be at least 0 and below 1, such as 0.2")
    check_seed(seed)
    labels, classes = data.train.labels.clone(), len(data.train.classes)
    random = np.random.default_rng([seed, 3])
    wrong = random.permutation(len(labels))[: half_up(share * len(labels))]
    steps = random.integers(1, classes, size=len(wrong))
    labels[wrong] = (labels[wrong] + torch.from_numpy(steps)) % classes
    return replace(data, train=replace(data.train, labels=labels))


def _first_share(order: list[int], fraction: float) -> list[int]:
    """Return the first ``fraction`` of ``order``, at least one entry; smaller fractions are nested in larger."""
    return order[: max(1, half_up(fraction * len(order)))]


def check_pattern(pattern: str) -> re.Pattern[str]:
    """Return a patient's pattern, compiled.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is not a valid regular expression ({error}); try r'p\\d+'") from error


def find_patients(files: Sequence[str], labels: Sequence[str], pattern: str) -> list[str]:
    """Find the patient in the path of each file: below the class folder, or else above it, never in its name.

    Args:
        files: paths with forward slashes, such as ``"normal/p017-2.png"``.
        labels: name of each file's class.
        pattern: regular expression. If it has a capturing group, the text of the first one names the patient. A
            pattern with a slash is matched against the whole path.

    Raises:
        ValueError: the pattern is no regular expression, or does not match a file's path.
    """
    finder = check_pattern(pattern)
    patients = []
    for file, label in zip(files, labels):
        pieces = file.split("/")
        names = [same_name(piece) for piece in pieces[:-1]]
        place = names.index(same_name(label)) if same_name(label) in names else -1
        below, above = "/".join(pieces[place + 1 :]), "/".join(pieces[: max(0, place)])
        match = finder.search(file) if "/" in pattern else finder.search(below) or (above and finder.search(above))
        if not match:
            raise ValueError(
                f"pattern {pattern!r} finds no patient in {file!r} (the name of the class folder does not count); "
                "change the pattern so that it matches every file, or go without one if paths do not name patients"
            )
        patients.append(match[1] if finder.groups and match[1] is not None else match[0])
    return patients


def patient_groups(images: Images, pattern: str) -> tuple[str, ...]:
    """Return for each image the name of the group that must stay on one side of a split.

    Two images belong to one group if their file names give the same patient or if the files are byte-identical. Groups
    are joined along such links: a copy under another patient's number joins the two patients.

    Args:
        images: images read from files.
        pattern: regular expression that finds the patient, see :func:`find_patients`, such as ``r"p\\d+"`` in
            ``normal/p017-2.png``.

    Returns:
        One name per image; images with equal names belong together.

    Raises:
        ValueError: the pattern is not a valid regular expression, or does not match a file's path.
    """
    labels = [images.classes[label] for label in images.labels.tolist()]
    return _joined_by_copies(images, find_patients(images.files, labels, pattern))


def known_patients(images: Images, pattern: str | None = None) -> tuple[str, ...] | None:
    """Return the group of each image by a pattern, or by what table, folders or headers said; ``None`` without either.

    Where only some images have a patient, each of the others is a group of its own.
    """
    if pattern is not None:
        return patient_groups(images, pattern)
    if not any(images.patients):
        return None
    names = [name or f"image {digest}" for name, digest in zip(images.patients, images.digests)]
    return _joined_by_copies(images, names)


def _joined_by_copies(images: Images, patients: Sequence[str]) -> tuple[str, ...]:
    # A graph of patients and file contents, with an edge for each file: a connected component is a group.
    names, patient = np.unique(patients, return_inverse=True)
    contents, content = np.unique(images.digests, return_inverse=True)
    size = len(names) + len(contents)
    edges = coo_array((np.ones(len(patient)), (patient, len(names) + content)), shape=(size, size))
    groups = connected_components(edges, directed=False)[1]
    first = {group: name for name, group in reversed(list(zip(names.tolist(), groups)))}
    return tuple(first[groups[i]] for i in patient)


def split_by_patient(
    images: Images, pattern: str, fraction: float = 0.05, seed: int = 0, test_share: float = 0.2
) -> Split:
    """Split as :func:`dmws_lite.images.splits.split` does with ``rule="grouped"``, and keep each patient on one side.

    Args:
        images: images read from files.
        pattern: regular expression that finds the patient in a path, see :func:`patient_groups`.
        fraction: fraction of the training pool to train on, in (0, 1].
        seed: 0 or larger.
        test_share: fraction of the images in the test part, in (0, 1).

    Raises:
        ValueError: see :func:`patient_groups` and :func:`dmws_lite.images.splits.split`.

    Example:
        >>> import torch
        >>> from dmws_lite.images.dataset import Images
        >>> files = ("a/p1-1.png", "a/p1-2.png", "a/p2-1.png", "b/p3-1.png", "b/p3-2.png", "b/p4-1.png")
        >>> pixels = torch.arange(6, dtype=torch.uint8).view(6, 1, 1).expand(6, 32, 32)
        >>> images = Images(pixels, torch.tensor([0, 0, 0, 1, 1, 1]), ("a", "b"), files=files)
        >>> data = split_by_patient(images, r"p\\d+", fraction=1.0)
        >>> data.train.files  # patients 2 and 3
        ('a/p2-1.png', 'b/p3-1.png', 'b/p3-2.png')
        >>> data.test.files  # patients 1 and 4
        ('a/p1-1.png', 'a/p1-2.png', 'b/p4-1.png')
    """
    return split_by_groups(images, patient_groups(images, pattern), fraction, seed, test_share)


def split_by_groups(
    images: Images,
    groups: Sequence[str],
    fraction: float = 0.05,
    seed: int = 0,
    test_share: float = 0.2,
    patients: bool = True,
) -> Split:
    """Split so that each group of images, such as a patient's, is on one side.

    Where few groups have images of several classes, each class is split by itself, and a group belongs to the class of
    its first image. Otherwise groups are drawn as a whole, until each class is near its share.

    Args:
        images: what to split.
        groups: one name per image.
        fraction: fraction of the training pool to train on, in (0, 1].
        seed: 0 or larger.
        test_share: fraction of the images in the test part, in (0, 1).
        patients: the groups are patients, for messages.

    Raises:
        ValueError: a value is out of range, or a class has images of one group only.
    """
    _check_shares(fraction, test_share)
    check_seed(seed)
    if isinstance(groups, str) or len(groups) != len(images):
        raise ValueError(f"groups has {len(groups)} entries for {len(images)} images; give one name per image")
    test, pool, order = _split_grouped(images, groups, seed, test_share, patients)
    data = _as_split(
        replace(images, digests=tuple(groups)), _drawn_of_each_class(images, order, fraction), test, pool,
        fraction, seed, "grouped", test_share,
    )  # fmt: skip
    train, test_part = images.subset(data.train_index), images.subset(data.test_index)
    return replace(data, train=train, test=test_part)


def shared_patients(data: Split, groups: Sequence[str]) -> int:
    """Count the test images whose patient is also in the training part.

    Args:
        data: a split.
        groups: one name per image that was split, see :func:`patient_groups`.
    """
    trained = {groups[i] for i in data.train_index.tolist()}
    return sum(groups[i] in trained for i in data.test_index.tolist())
