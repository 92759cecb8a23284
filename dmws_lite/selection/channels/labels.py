"""Labels for the dimensions of a tensor: which channel of which weight an entry of an activation belongs to.

A *label* is an ``int64`` array with as many dimensions as its tensor, of length 1 along every dimension on which the
channel does not depend. Its values are:

* ``0 <= value < PLACE``: a *node*, one entry of one axis of one weight. Nodes that must be chosen together are joined;
  what is joined is one *channel*.
* ``value >= PLACE``: a place (pixel, token, colour), which is geometry and never chosen.
* ``-1``: nothing known, such as padding.

``Channels`` keeps the joins (a union-find forest) and the *views*: statements that a list of channels is a grid of
groups by members, as in grouped convolutions and attention heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PLACE = 1 << 40

Label = np.ndarray

Labels = list[Label]


@dataclass(frozen=True)
class View:
    """A list of channels read as a grid: row ``g`` holds the members of group ``g``.

    Attributes:
        optional: attention heads, which may be cut through; groups of a convolution may not.
        grid: nodes of the channels, shape ``(groups, members)``.
        outer: nodes that stand for the groups, ``(groups,)``, or ``None``.
        inner: nodes that every group's members share, ``(members,)``, or ``None``.
    """

    optional: bool
    grid: np.ndarray
    outer: np.ndarray | None = None
    inner: np.ndarray | None = None


class Crossed(Exception):
    """Two labels overlap in a way that one channel per entry cannot express."""


class Untraceable(Exception):
    """The channels of a model cannot be followed; the message says where."""


class Channels:
    """Nodes, their joins and their views."""

    def __init__(self) -> None:
        self._parent = np.zeros(0, dtype=np.int64)
        self.fixed: set[int] = set()
        self.views: list[View] = []

    def new(self, n: int) -> np.ndarray:
        """Make ``n`` consecutive nodes, never adjacent to another axis's, so that an axis can be recognised."""
        start = len(self._parent)
        self._parent = np.concatenate([self._parent, np.arange(start, start + n + 1)])
        return np.arange(start, start + n)

    def roots(self, nodes: np.ndarray) -> np.ndarray:
        """Name each channel by one of its nodes; places and unknowns stay what they are."""
        found = np.array(nodes, dtype=np.int64)
        real = (found >= 0) & (found < PLACE)
        ids = found[real]
        while True:
            up = self._parent[ids]
            if np.array_equal(up, ids):
                break
            ids = up
        found[real] = ids
        return found

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Join nodes pairwise; a node that meets a place becomes fixed. The arrays broadcast against each other."""
        a, b = (each.ravel() for each in np.broadcast_arrays(self.roots(first), self.roots(second)))
        known = (a >= 0) & (b >= 0) & (a != b)
        pairs = np.stack([np.minimum(a, b)[known], np.maximum(a, b)[known]])
        low, high = np.unique(pairs, axis=1) if pairs.shape[1] < 10_000 else _distinct(pairs)
        if len(np.unique(high)) == len(high) and not np.isin(high, low).any() and (high < PLACE).all():
            self._parent[high] = low  # the usual case, an axis that was free until now
            self.fixed.update(lo for lo, hi in zip(low.tolist(), high.tolist()) if hi in self.fixed)
            return
        for x, y in zip(low.tolist(), high.tolist()):
            x, y = sorted((self._root(x), self._root(y)))
            if y >= PLACE and x < PLACE:
                self.fixed.add(x)
            elif x != y and y < PLACE:
                self._parent[y] = x
                if y in self.fixed:
                    self.fixed.add(x)

    def _root(self, node: int) -> int:
        while node < PLACE and self._parent[node] != node:
            node = int(self._parent[node])
        return node

    def fix(self, nodes: np.ndarray) -> None:
        """Mark channels as geometry: their axes keep their length."""
        self.fixed.update(self.roots(nodes[(nodes >= 0) & (nodes < PLACE)]).ravel().tolist())

    def fixed_roots(self) -> set[int]:
        """Return the channels that are geometry, once all joins are made."""
        return {self._root(node) for node in self.fixed}

    # -- relations between labels ---------------------------------------------------------------------------------

    def compress(self, label: Label) -> Label | None:
        """Drop the dimensions on which a label does not depend; ``None`` when it depends on none."""
        roots = self.roots(label)
        for axis, size in enumerate(label.shape):
            if size > 1 and (roots == roots.take([0], axis)).all():
                label, roots = label.take([0], axis), roots.take([0], axis)
        return label if label.size > 1 else None

    def grid(self, label: Label) -> np.ndarray:
        """Read a label as rows along its last varying dimension; repeated rows are given once."""
        inner = varying(label)[-1]
        rows = np.moveaxis(label, inner, -1).reshape(-1, label.shape[inner])
        _, first = np.unique(self.roots(rows), axis=0, return_index=True)
        return rows[np.sort(first)]

    def is_split(self, grid: np.ndarray) -> bool:
        """Whether a grid is one axis of one weight cut into rows: its heads, or its groups."""
        return len(grid) > 1 and grid.min() >= 0 and bool((np.diff(grid.ravel()) == 1).all())

    def relate(self, x: Label, y: Label) -> Label | None:
        """Couple two labels of one tensor, entry by entry.

        Returns:
            The label of the result, or ``None`` when the two describe different dimensions and both stay.
        """
        along_x, along_y = set(varying(x)), set(varying(y))
        if is_place(x) or is_place(y):
            return self._relate_places(x, y)
        if along_x == along_y:
            if any(a != b for a, b in zip(x.shape, y.shape)):
                raise Crossed
            self.join(x, y)
            return np.where(x < 0, y, x)
        if along_x < along_y:
            x, y, along_x, along_y = y, x, along_y, along_x
        if not along_y < along_x:
            if along_x & along_y:
                raise Crossed
            return None
        if max(along_x) in along_y:
            grid = self.grid(x)
            if len(along_y) == 1 and self.is_split(grid):
                self.views.append(View(False, grid, inner=y.ravel()))
            else:
                self.join(x, y)
        elif len(along_y) > 1 or not self.heads(x, y):
            return None
        return x

    def _relate_places(self, x: Label, y: Label) -> Label | None:
        """Couple two labels of which at least one is geometry."""
        along_x, along_y = set(varying(x)), set(varying(y))
        if is_place(x) and is_place(y):
            return x if along_x == along_y else None
        place, node = (x, y) if is_place(x) else (y, x)
        if not set(varying(node)) <= set(varying(place)):
            return None
        self.fix(node)
        return place if along_x == along_y else None

    def heads(self, x: Label, outer: Label) -> bool:
        """Record that the rows of ``x`` belong to the channels of ``outer``, such as heads; tell whether they can."""
        (axis,) = varying(outer)
        inner = max(varying(x))
        rows = np.moveaxis(x, [axis, inner], [-2, -1])
        rows = rows.reshape(-1, *rows.shape[-2:])
        if (self.roots(rows) != self.roots(rows[:1])).any():  # windows in the batch: other rows, the same heads
            return False
        names = self.roots(outer.ravel())
        _, first = np.unique(names, return_index=True)
        first = np.sort(first)
        grid = rows[0][first]
        members = self.roots(grid)
        if len(np.unique(members)) < sum(len(np.unique(row)) for row in members):  # a channel in two rows
            return False
        self.views.append(View(True, grid, outer=outer.ravel()[first]))
        return True


def _distinct(pairs: np.ndarray) -> np.ndarray:
    """Drop repeated columns; far faster than a sort where thousands of tokens repeat the same few channels."""
    return np.array(list(dict.fromkeys(zip(*pairs.tolist()))), dtype=np.int64).reshape(-1, 2).T


def varying(label: Label) -> list[int]:
    """Return the dimensions on which a label depends."""
    return [axis for axis, size in enumerate(label.shape) if size > 1]


def is_place(label: Label) -> bool:
    """Tell whether a label has an entry that is geometry."""
    return bool((label >= PLACE).any())


def places(shape: Sequence[int], axes: Sequence[int]) -> Label | None:
    """Label some dimensions of a tensor of this shape as geometry; ``None`` when all of them have length 1."""
    sizes = [n if axis in axes else 1 for axis, n in enumerate(shape)]
    return np.arange(int(np.prod(sizes)), dtype=np.int64).reshape(sizes) + PLACE if np.prod(sizes) > 1 else None


def reshape(label: Label, old: Sequence[int], new: Sequence[int]) -> Label:
    """Carry a label through a reshape of its tensor, expanding only the dimensions that are split or merged."""
    expanded, target, i, j = [], [], 0, 0
    while i < len(old) or j < len(new):
        a, b, ii, jj = 1, 1, i, j
        while True:  # the smallest run of old dimensions that makes up a run of new ones
            if ii < len(old) and (a <= b or jj == len(new)):
                a, ii = a * old[ii], ii + 1
            elif jj < len(new):
                b, jj = b * new[jj], jj + 1
            if a == b and (ii > i or jj > j) and not (ii == i or jj == j) or (ii == len(old) and jj == len(new)):
                break
        if all(n == 1 for n in label.shape[i:ii]):
            expanded += [1] * (ii - i)
            target += [1] * (jj - j)
        else:
            expanded += list(old[i:ii])
            target += list(new[j:jj])
        i, j = ii, jj
    return np.broadcast_to(label, expanded).reshape(target)


def lead(label: Label, ndim: int) -> Label:
    """Put dimensions of length 1 in front, as broadcasting does."""
    return label.reshape(*[1] * (ndim - label.ndim), *label.shape)


def along(label: Label, axis: int, ndim: int) -> Label:
    """Turn the label of a vector into one along an axis of a tensor."""
    return label.reshape([label.size if a == axis else 1 for a in range(ndim)])
