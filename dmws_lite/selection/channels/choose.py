"""Which entries of each axis a student takes, given the wiring of both models.

Channels of the student that touch the same axes of the same tensors form a *family*, such as one residual stream, the
queries and keys of one attention, or the hidden layer of one block. A family of the student is filled from the family
of the teacher that touches the corresponding axes, by one choice; the index list of every axis follows from the
choices of the families on it. So two axes that meet in the network cannot disagree, however they are fused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..plan import Cut, SelectionError
from ..rules import element_indices, find_rule
from .labels import View
from .trace import Wiring

Axis = tuple[str, int]

Family = tuple[int, ...]


@dataclass(frozen=True)
class _Choice:
    """How one family is filled: the teacher's channel for each of the student's, and the same in words."""

    channels: Mapping[int, int]
    structure: tuple
    words: str


class Chooser:
    """The choices of one selection, each made once and shared by every tensor that touches the family.

    Args:
        big: wiring of the teacher.
        small: wiring of the student.
        sources: for each student tensor that takes part, the teacher's tensor.
        rule: a name in :data:`dmws_lite.selection.rules.RULES`.
        part: 0 for the main, 1 for the auxiliary student.
        seed: seed of the random rules.
        heads: ``"strided"`` or ``"whole"``, see :func:`dmws_lite.selection.elements.element_selection`.
        weights: the teacher's parameters by name, for rules that look at them.
    """

    def __init__(
        self,
        big: Wiring,
        small: Wiring,
        sources: Mapping[str, str],
        rule: str,
        part: int,
        seed: int,
        heads: str,
        weights: Mapping[str, Tensor],
    ) -> None:
        self.rule, self.part, self.seed, self.heads = rule, part, seed, heads
        known = find_rule(rule)
        self._consistent = known.consistent
        taken = {source: weights[source] for source in sources.values() if source in weights}
        self._squares = squared_norms(big, taken) if known.needs_weights else None
        self.sets: dict[str, tuple[int, ...]] = {}
        self._big, self._small, self._sources = big, small, sources
        # The teacher's axes go by the names of the student's, so that families of the two can be compared.
        self._big_axes = {(n, a): v for n, s in sources.items() for a, v in _axes_of(big, s).items()}
        self._small_axes = {(n, a): v for n in sources for a, v in _axes_of(small, n).items()}
        self._families_big = _families(self._big_axes, big.fixed)
        self._families_small = _families(self._small_axes, small.fixed)
        self._touched_big = {sign: set(sign) for sign in self._families_big}
        self._sign_small = {c: sign for sign, family in self._families_small.items() for c in family}
        self._views_big, self._views_small = _by_channel(big), _by_channel(small)
        self._made: dict[tuple, _Choice] = {}
        self._names: dict[str, list[tuple]] = {}

    def cut(self, tensor: str, axis: int, n_teacher: int, n_student: int) -> Cut | None:
        """Choose the entries of one axis.

        Args:
            tensor: name of the student's tensor.
            axis: which of its axes.
            n_teacher: its length in the teacher.
            n_student: its length in the student.

        Returns:
            The cut, or ``None`` when the axis is taken whole and in order.

        Raises:
            SelectionError: the axis cannot be filled from the teacher's.
        """
        if n_student > n_teacher:
            raise SelectionError(
                f"{tensor}: axis {axis} has {n_student} entries in the student and only {n_teacher} in the teacher; "
                "choose a narrower student or a wider teacher"
            )
        own, whole = self._small_axes.get((tensor, axis)), self._big_axes.get((tensor, axis))
        if own is None or whole is None:  # whole numbers, such as a counter: not a channel of anything
            own = whole = np.zeros(0, dtype=np.int64)
        if (set(own.tolist()) & self._small.fixed) or (set(whole.tolist()) & self._big.fixed) or not own.size:
            if n_teacher == n_student:
                return None
            raise SelectionError(
                f"{tensor}: axis {axis} counts places (pixels, tokens or colours), {n_teacher} in the teacher and "
                f"{n_student} in the student; give both models the same image, patch and window sizes"
            )
        indices, name, how = self._fill(tensor, axis, own, whole)
        if n_teacher == n_student and indices == tuple(range(n_teacher)):
            return None
        if not self._consistent:
            name += f"@{tensor}/{axis}"
        self.sets[name] = indices
        return Cut(axis, n_teacher, n_student, how, name)

    def _fill(self, tensor: str, axis: int, own: np.ndarray, whole: np.ndarray) -> tuple[tuple[int, ...], str, str]:
        """Turn the choices of the families on an axis into an index list, a name and words for it."""
        where: dict[int, list[int]] = {}
        for position, channel in enumerate(whole.tolist()):
            where.setdefault(channel, []).append(position)
        seen: dict[int, int] = {}
        indices, runs, last = [], [], None
        choices: dict[int, _Choice] = {}  # by identity: a family's axes are a long key, and one object
        for channel in own.tolist():
            sign = self._sign_small[channel]
            if id(sign) not in choices:
                choices[id(sign)] = self._choice(sign, tensor, axis)
            choice = choices[id(sign)]
            times = seen.get(channel, 0)
            seen[channel] = times + 1
            found = where.get(choice.channels[channel], [])
            if times >= len(found):
                raise self._other_wiring(tensor, axis)
            indices.append(found[times])
            # A new part of a fused axis begins where another family does, or the same channels begin again.
            if (id(sign), times) != last:
                runs.append(choice)
                last = (id(sign), times)
        parts = len(runs)
        words = "; ".join(dict.fromkeys(c.words for c in runs if c.words))
        fused = "" if parts == 1 else f"{parts} parts" if parts <= 16 else "interleaved"
        kind = " ".join(filter(None, ("channels", fused, words)))
        key = tuple(c.structure for c in runs[:64]) + (parts,)
        alike = self._names.setdefault(f"{kind}:{len(whole)}->{len(own)}", [])
        if key not in alike:
            alike.append(key)
        number = alike.index(key) + 1
        name = f"{kind}:{len(whole)}->{len(own)}" + (f"#{number}" if number > 1 else "")
        if fused and parts == 3 and tensor.rpartition(".")[0].endswith("qkv"):
            fused = "q|k|v"
        return tuple(indices), name, ", ".join(filter(None, (self.rule, fused, words)))

    # -- one family -------------------------------------------------------------------------------------------------

    def _choice(self, sign: tuple[Axis, ...], tensor: str, axis: int) -> _Choice:
        source = self._source(sign, tensor, axis)
        key = (sign, source, f"{tensor}/{axis}" if not self._consistent else "")
        if key not in self._made:
            self._made[key] = self._choose(sign, source, tensor, axis)
        return self._made[key]

    def _source(self, sign: tuple[Axis, ...], tensor: str, axis: int) -> tuple[Axis, ...]:
        """Find the teacher's family for a family of the student."""
        if sign in self._families_big:
            return sign
        touched = set(sign)
        wider = [other for other, axes in self._touched_big.items() if touched <= axes]
        if len(wider) == 1:  # the teacher couples more than the student does: one choice serves both
            return wider[0]
        meeting = [other for other, axes in self._touched_big.items() if touched & axes]
        touching = [other for other in meeting if (tensor, axis) in self._touched_big[other]]
        sizes = {len(self._families_big[other]) for other in meeting}
        if len(touching) != 1 or len(sizes) != 1 or not touched <= set().union(*(set(m) for m in meeting)):
            raise self._other_wiring(tensor, axis)
        return touching[0]  # the student couples what the teacher has apart, at one width: equal choices serve

    def _other_wiring(self, tensor: str, axis: int) -> SelectionError:
        return SelectionError(
            f"{tensor}: the channels on axis {axis} are wired differently in the two models (skips, groups, heads or "
            "concatenations), so no choice of entries fits; choose a student of the teacher's family with the same "
            "stages, or pass strict=False"
        )

    def _choose(self, sign: tuple[Axis, ...], source: tuple[Axis, ...], tensor: str, axis: int) -> _Choice:
        small, big = self._families_small[sign], self._families_big[source]
        key = f"{tensor}/{axis}"
        if len(small) > len(big):
            raise SelectionError(
                f"{tensor}: {len(small)} channels on axis {axis} belong together in the student and only {len(big)} in "
                "the teacher; choose a narrower student or a wider teacher"
            )
        views = _pairs(_views(self._views_small, small), _views(self._views_big, big), small, big)
        bound = [(v, w) for v, w in views if v is None or w is None or not v.optional]
        if any((v is None or w is None) for v, w in bound):
            raise SelectionError(
                f"{tensor}: the channels on axis {axis} form groups in one model and not in the other (a grouped "
                "convolution); choose a student with the teacher's kind of convolutions, or pass strict=False"
            )
        free = [(v, w) for v, w in views if v is not None and v.optional]
        if bound or (self.heads == "whole" and free and len(small) < len(big)):
            own, whole = (bound or free)[0]
            choice = self._by_groups(own, whole, tensor, axis, key)
            for v, w in bound[1:]:
                if not _keeps_groups(choice.channels, v, w):
                    raise self._other_wiring(tensor, axis)
            return choice
        chosen = self._elements([[channel] for channel in big], len(small), key)
        channels = {channel: big[i] for channel, i in zip(small, chosen)}
        return _Choice(channels, (len(big), len(small), *self._distinct(chosen)), "")

    def _by_groups(self, own: View, whole: View, tensor: str, axis: int, key: str) -> _Choice:
        """Choose groups, and members within every group alike."""
        g, h = _columns(own.grid), _columns(whole.grid)
        (groups_s, members_s), (groups_t, members_t) = g.shape, h.shape
        if groups_s > groups_t or members_s > members_t:
            kind, remedy = (
                ("heads", "use heads='strided'") if own.optional else ("groups", "choose a student that has fewer")
            )
            raise SelectionError(
                f"{tensor}: {groups_s} {kind} of {members_s} cannot be whole {kind} of a teacher with {groups_t} "
                f"{kind} of {members_t}; {remedy}"
            )
        outer = self._along(own.outer, whole.outer, h.tolist(), groups_s, f"{key}/heads", tensor, axis)
        inner = self._along(own.inner, whole.inner, h.T.tolist(), members_s, f"{key}/inside", tensor, axis)
        channels = {int(g[a, b]): int(h[outer[a], inner[b]]) for a in range(groups_s) for b in range(members_s)}
        words = "whole heads" if own.optional else f"groups {groups_t}x{members_t}->{groups_s}x{members_s}"
        distinct = self._distinct(outer, inner)
        return _Choice(channels, (groups_t, groups_s, members_t, members_s, *distinct), words)

    def _along(
        self, own: np.ndarray | None, whole: np.ndarray | None, elements: Sequence[Sequence[int]], n_student: int,
        key: str, tensor: str, axis: int,
    ) -> list[int]:  # fmt: skip
        """Choose along one side of a grid: as the channels that stand for this side are chosen, if there are any."""
        named = own is not None and whole is not None and len(own) == n_student and len(whole) == len(elements)
        if not named or not self._consistent or int(own[0]) not in self._sign_small:
            return self._elements(elements, n_student, key)
        places = {channel: i for i, channel in enumerate(whole.tolist())}
        try:
            return [places[self._choice(self._sign_small[c], tensor, axis).channels[c]] for c in own.tolist()]
        except KeyError as error:
            raise self._other_wiring(tensor, axis) from error

    def _distinct(self, *chosen: list[int]) -> tuple[tuple[int, ...], ...]:
        """Return what tells two choices of equal sizes apart: nothing, unless the rule looks at the weights."""
        return tuple(map(tuple, chosen)) if self._squares is not None else ()

    def _elements(self, elements: Sequence[Sequence[int]], n_student: int, key: str) -> list[int]:
        """Choose among elements, each of them one channel of the teacher or a group of channels."""
        n_teacher, scores = len(elements), None
        if n_teacher == n_student:
            return list(range(n_teacher))
        if self._squares is not None:
            scores = [math.sqrt(sum(self._squares.get(channel, 0.0) for channel in group)) for group in elements]
        return element_indices(n_teacher, n_student, self.rule, self.part, self.seed, key, scores).tolist()


def squared_norms(wiring: Wiring, weights: Mapping[str, Tensor]) -> dict[int, float]:
    """Sum the squares of all weights that belong to each channel of a network, over the tensors that share it.

    Args:
        wiring: of the network.
        weights: its parameters by name; those left out do not count. Computed in float64 on the CPU.

    Returns:
        Channel -> squared norm. A weight between two channels counts to both.
    """
    squares: dict[int, float] = {}
    for name, value in weights.items():
        entries = value.detach().cpu().double().square()
        for axis, channels in _axes_of(wiring, name).items():
            sums = entries.sum(tuple(other for other in range(entries.ndim) if other != axis)).tolist()
            for channel, amount in zip(channels.tolist(), sums if entries.ndim > 1 else entries.tolist()):
                squares[channel] = squares.get(channel, 0.0) + amount
    return squares


def _axes_of(wiring: Wiring, tensor: str) -> dict[int, np.ndarray]:
    return dict(enumerate(wiring.channels_of(tensor)))


def _families(axes: Mapping[Axis, np.ndarray], fixed: frozenset[int]) -> dict[tuple[Axis, ...], Family]:
    """Group channels by the axes they touch, counting how often; in the order in which the first axis has them."""
    signs: dict[int, list[Axis]] = {}
    for axis, channels in axes.items():
        for channel in channels.tolist():
            if channel not in fixed:
                signs.setdefault(channel, []).append(axis)
    families: dict[tuple[Axis, ...], list[int]] = {}
    interned: dict[tuple[Axis, ...], tuple[Axis, ...]] = {}
    for channel, sign in signs.items():
        key = tuple(sign)
        families.setdefault(interned.setdefault(key, key), []).append(channel)
    return {sign: tuple(family) for sign, family in families.items()}


def _by_channel(wiring: Wiring) -> dict[int, list[View]]:
    """Find views by the first channel of their grid's first row."""
    found: dict[int, list[View]] = {}
    for view in wiring.views:
        for channel in set(view.grid.ravel().tolist()):
            found.setdefault(channel, []).append(view)
    return found


def _views(views: Mapping[int, list[View]], family: Family) -> list[View]:
    """List the views of a family, without repetitions; views of a part of it are taken as the model means them."""
    members, kept, seen = set(family), [], set()
    for view in views.get(family[0], []):
        key = (view.optional, view.grid.shape, view.grid.tobytes())
        if key not in seen and set(view.grid.ravel().tolist()) == members:
            seen.add(key)
            kept.append(view)
    return kept


def _pairs(own: list[View], whole: list[View], small: Family, big: Family) -> list[tuple[View | None, View | None]]:
    """Pair the views of corresponding families: groups with groups in order, heads with heads."""
    paired: list[tuple[View | None, View | None]] = []
    for optional in (False, True):
        a, b = ([v for v in side if v.optional == optional] for side in (own, whole))
        if not optional and bool(a) != bool(b):
            paired.append((a[0] if a else None, b[0] if b else None))
        elif bool(a) != bool(b):  # attention with a single head has no dimension of heads
            a = a or [View(True, np.array([small]))]
            b = b or [View(True, np.array([big]))]
        paired += list(zip(a, b))
    return paired


def _columns(grid: np.ndarray) -> np.ndarray:
    """Drop the columns that repeat earlier ones, as rotary positions repeat the channels of a pair."""
    _, first = np.unique(grid[0], return_index=True)
    return grid[:, np.sort(first)]


def _keeps_groups(channels: Mapping[int, int], own: View, whole: View) -> bool:
    row = {channel: i for i, group in enumerate(whole.grid.tolist()) for channel in group}
    return all(len({row.get(channels[c]) for c in group}) == 1 for group in own.grid.tolist())
