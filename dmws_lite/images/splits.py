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

from .dataset import Images, check_seed, half_up


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
        for name, count in self.train.counts().items():
            lines.append(f"  {name:<{pad}}  train {count:>6,}  test {test_counts[name]:>6,}")
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
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}, but must be above 0 and at most 1 (5% is 0.05)")
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}, but must be between 0 and 1, such as 0.2")
    check_seed(seed)
    if rule == "grouped":
        test, pool, order = _split_grouped(images, seed, test_share)
        labels = images.labels.numpy()
        train = [
            index
            for label in range(len(images.classes))
            for index in _first_share([i for i in order if labels[i] == label], fraction)
        ]
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

    train_index = torch.tensor(sorted(train), dtype=torch.int64)
    test_index = torch.tensor(sorted(test), dtype=torch.int64)
    seen, seen_pool = ({images.digests[i] for i in part} for part in (train, pool))
    text = "train " + " ".join(map(str, train_index.tolist())) + " test " + " ".join(map(str, test_index.tolist()))
    result = Split(
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
    for part, counts in (("training", result.train.counts()), ("test", result.test.counts())):
        missing = [name for name, count in counts.items() if count == 0]
        if missing:
            warnings.warn(
                f"the {part} part has no image of {', '.join(missing)}; use rule='grouped' or a larger fraction",
                stacklevel=2,
            )
    return result


def _split_grouped(images: Images, seed: int, test_share: float) -> tuple[list[int], list[int], list[int]]:
    """Return (test, pool, pool in drawing order); images with equal digests are on the same side."""
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(images.digests):
        groups.setdefault(digest, []).append(index)
    labels = images.labels.tolist()
    strata: list[list[list[int]]] = [[] for _ in images.classes]
    for members in groups.values():  # ordered by first member, so the result does not depend on hashing
        strata[labels[members[0]]].append(members)

    test: list[int] = []
    for label, stratum in enumerate(strata):
        if len(stratum) < 2:
            raise ValueError(
                f"class {images.classes[label]!r} has {len(stratum)} distinct image(s), but a split needs at least 2 "
                "in each class; add images or leave the class out"
            )
        # One generator per class: adding a class does not change the split of the others.
        drawn = [stratum[i] for i in np.random.default_rng([seed, 0, label]).permutation(len(stratum))]
        target = max(1, half_up(test_share * sum(map(len, stratum))))
        candidates = drawn[:-1]  # the last group always stays in the training pool
        held_out: list[int] = []
        for members in candidates:
            if len(held_out) + len(members) <= target:
                held_out += members
        test += held_out or min(candidates, key=len)  # all groups exceed the target: take the smallest

    kept = set(test)
    pool = [i for i in range(len(labels)) if i not in kept]
    order = [pool[i] for i in np.random.default_rng([seed, 1]).permutation(len(pool))]
    return test, pool, order


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
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}, but must be at least 0 and below 1, such as 0.2")
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


def patient_groups(images: Images, pattern: str) -> tuple[str, ...]:
    """Return for each image the name of the group that must stay on one side of a split.

    Two images belong to one group if their file names give the same patient or if the files are byte-identical. Groups
    are joined along such links: a copy under another patient's number joins the two patients.

    Args:
        images: images read from files.
        pattern: regular expression that finds the patient in the path below the folder, such as ``r"p\\d+"`` in
            ``normal/p017-2.png``. If it has a capturing group, the text of the first one names the patient.

    Returns:
        One name per image; images with equal names belong together.

    Raises:
        ValueError: the pattern is not a valid regular expression, or does not match a file's path.
    """
    try:
        finder = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is not a valid regular expression ({error}); try r'p\\d+'") from error
    patients = []
    for file in images.files:
        match = finder.search(file)
        if not match:
            raise ValueError(
                f"pattern {pattern!r} finds no patient in {file!r}; change the pattern so that it matches every file"
            )
        patients.append(match[1] if finder.groups and match[1] is not None else match[0])
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
    groups = patient_groups(images, pattern)
    data = split(replace(images, digests=groups), fraction, seed, "grouped", test_share)
    train, test = images.subset(data.train_index), images.subset(data.test_index)
    return replace(data, train=train, test=test)


def shared_patients(data: Split, groups: Sequence[str]) -> int:
    """Count the test images whose patient is also in the training part.

    Args:
        data: a split.
        groups: one name per image that was split, see :func:`patient_groups`.
    """
    trained = {groups[i] for i in data.train_index.tolist()}
    return sum(groups[i] in trained for i in data.test_index.tolist())
