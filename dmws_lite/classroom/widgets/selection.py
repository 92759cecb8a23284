"""What two students take of two teacher layers in a row, and whether the wires between the layers still fit."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from ...figures import arrays, style
from ...images.augment import input_statistics, normalise
from ...images.phantoms import make_phantoms
from ...selection.rules import element_indices
from ...teachers.load import load_teacher
from .base import Widget, script, stylesheet

LAYERS = ("stages.0.blocks.0.mlp.fc1", "stages.0.blocks.0.mlp.fc2")

N_TEACHER = 48  # channels shown of each axis: enough for a pattern, and a cell of six pixels on a phone

STUDENTS = (40, 32, 24, 20, 16, 12)  # ratios 1.2, 1.5, 2, 2.4, 3 and 4, each a whole number of heads

HEAD = 4

SEEDS = 5

# Axes of the first weight, then of the second; hidden channels are the rows of the one and the columns of the other.
AXES = ((0, 0), (0, 1), (1, 0), (1, 1))

HIDDEN = ((0, 0), (1, 1))


def axis_indices(
    n_teacher: int, n_student: int, rule: str, part: int = 0, seed: int = 0, key: str = "", head: int = 0
) -> list[int]:
    """Choose the entries of one axis, as :class:`dmws_lite.selection.channels.choose.Chooser` does for an axis with or
    without heads.

    Args:
        n_teacher: size of the teacher's axis.
        n_student: size of the student's axis.
        rule: one of :data:`dmws_lite.selection.rules.RULES`.
        part: 0 for the main, 1 for the auxiliary student.
        seed: of the random rules.
        key: name of the axis, ``"TENSOR/AXIS"``; only ``random_inconsistent`` looks at it.
        head: channels in a head, when whole heads are to be taken; 0 for any channel.

    Returns:
        Sorted indices into the teacher's axis.

    Raises:
        ValueError: a size that is not a whole number of heads, or as in :func:`dmws_lite.element_indices`.
    """
    if not head:
        return element_indices(n_teacher, n_student, rule, part, seed, key).tolist()
    if n_teacher % head or n_student % head:
        raise ValueError(
            f"{n_teacher} and {n_student} channels are not both whole heads of {head}; use multiples of it, or head=0"
        )
    heads = element_indices(n_teacher // head, n_student // head, rule, part, seed, f"{key}/heads").tolist()
    return [h * head + i for h in heads for i in range(head)]


def matching(first: Sequence[int], second: Sequence[int]) -> int:
    """Count the hidden units of a student whose row in one layer and column in the next are one teacher channel."""
    return sum(a == b for a, b in zip(first, second))


def marks(n_teacher: int, main: Sequence[int], aux: Sequence[int]) -> str:
    """Write who takes each entry of an axis as one digit: 0 neither, 1 main, 2 auxiliary, 3 both."""
    return "".join(str((i in main) + 2 * (i in aux)) for i in range(n_teacher))


def random_marks(names: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Draw everything that the two random rules can choose in the widget; a browser has not Python's generator.

    Args:
        names: the two weights, for the keys of the inconsistent rule.

    Returns:
        By ``"STUDENT/SEED"``, then by ``"RULE/HEADS"``: four texts of :func:`marks`, in the order of :data:`AXES`.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for n_student in STUDENTS:
        for seed in range(SEEDS):
            choices = found.setdefault(f"{n_student}/{seed}", {})
            for rule in ("random", "random_inconsistent"):
                for heads in ("strided", "whole"):
                    choices[f"{rule}/{heads}"] = [
                        marks(N_TEACHER, *(chosen(names, axis, n_student, rule, part, heads, seed) for part in (0, 1)))
                        for axis in AXES
                    ]
    return found


def chosen(
    names: Sequence[str], axis: tuple[int, int], n_student: int, rule: str, part: int, heads: str = "strided",
    seed: int = 0, consistent: bool = True,
) -> list[int]:  # fmt: skip
    """Choose the entries of one of the four axes of the widget.

    Args:
        names: the two weights.
        axis: which weight and which of its axes, from :data:`AXES`.
        n_student: size of the student's axis.
        rule: one of :data:`dmws_lite.selection.rules.RULES`.
        part: 0 for the main, 1 for the auxiliary student.
        heads: ``"strided"`` or ``"whole"``; only the hidden channels have heads.
        seed: of the random rules.
        consistent: off, the second layer reads the hidden channels of the *other* part: where main keeps the even rows
            of the first layer, it reads the odd columns of the second. No rule of the package does this; it is the
            mistake that the widget is about.
    """
    if not consistent and axis == HIDDEN[1]:
        part = 1 - part
    head = HEAD if heads == "whole" and axis in HIDDEN else 0
    return axis_indices(N_TEACHER, n_student, rule, part, seed, f"{names[axis[0]]}/{axis[1]}", head)


def sample(first: Tensor, second: Tensor) -> tuple[list[list[list[float]]], list[list[int]]]:
    """Take evenly spaced channels of two layers in a row, the same hidden channels of both.

    Args:
        first: weight of the layer that computes the hidden channels, ``(hidden, input)``.
        second: weight of the layer that reads them, ``(output, hidden)``.

    Returns:
        The two weights as lists, rounded to three digits, and the teacher's channels that are shown on each of
        :data:`AXES`.

    Raises:
        ValueError: the layers do not follow one another, or an axis is too short.
    """
    first, second = first.detach().flatten(1), second.detach().flatten(1)
    if first.shape[0] != second.shape[1]:
        raise ValueError(
            f"the first layer computes {first.shape[0]} channels and the second reads {second.shape[1]}; give two "
            "layers of which the second reads what the first computes, such as mlp.fc1 and mlp.fc2 of a block"
        )
    shortest = min(*first.shape, *second.shape)
    if shortest < N_TEACHER:
        raise ValueError(f"an axis has {shortest} channels and {N_TEACHER} are shown; give wider layers")
    picked = [element_indices(n, N_TEACHER) for n in (*first.shape, *second.shape)]
    weights = [w[rows][:, columns] for w, rows, columns in ((first, *picked[:2]), (second, *picked[2:]))]
    return [[[round(v, 3) for v in row] for row in w.tolist()] for w in weights], [p.tolist() for p in picked]


def hidden_covariance(teacher: nn.Module, second: str, channels: Sequence[int]) -> list[list[float]]:
    """Return how hidden channels vary together on 40 phantoms, at every position of every image.

    With it a page can say how well the output of a cut block agrees with that of the whole one, for every choice: an
    output is a weighted sum of the hidden channels, so its variance and covariance follow from theirs.

    Args:
        teacher: put into eval mode.
        second: name of the layer that reads the hidden channels.
        channels: those to look at.

    Returns:
        Their covariance matrix, rounded to five digits.
    """
    inputs, layer = [], teacher.get_submodule(second)
    watch = layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].detach()))
    try:
        pixels, _, _ = make_phantoms("mri", 40, size=64)
        with torch.no_grad():
            teacher.eval()(normalise(pixels, *input_statistics(teacher)))
    finally:
        watch.remove()
    hidden = inputs[0].movedim(1, -1) if isinstance(layer, nn.Conv2d) else inputs[0]
    found = torch.cov(hidden.flatten(0, -2)[:, list(channels)].double().T)
    return [[float(f"{value:.5g}") for value in row] for row in found.tolist()]


def output_agreement(
    covariance: Sequence[Sequence[float]],
    weights: Sequence[Sequence[float]],
    computed: Sequence[int],
    read: Sequence[int],
) -> float:
    """Correlate the outputs of a cut block with those of the whole one; return the mean over the outputs.

    Args:
        covariance: of the hidden channels, from :func:`hidden_covariance`.
        weights: of the second layer, ``(output, hidden)``.
        computed: the hidden channels that the cut block computes.
        read: for each of them the column of the second layer that reads it.
    """
    c, whole = np.asarray(covariance), np.asarray(weights)
    cut = np.zeros_like(whole)
    cut[:, list(computed)] = whole[:, list(read)]
    both, one, other = (((a @ c) * b).sum(1) for a, b in ((whole, cut), (whole, whole), (cut, cut)))
    return float((both / np.sqrt(one * other)).mean())


class ElementSelection(Widget):
    """Two teacher layers in a row, what two students take of them, and the wires of the hidden channels.

    Attributes:
        rule: ``"uniform"``, ``"consecutive"`` or ``"random"``.
        consistent: whether both layers make one choice of hidden channels; off, the random rule is
            ``random_inconsistent``, and with the others the second layer reads what the other student keeps.
        n_student: size of each student axis, one of :data:`STUDENTS`.
        part: ``"main"``, ``"aux"`` or ``"both"``, the students shown.
        heads: ``"strided"`` or ``"whole"``.
        seed: of the random rules, below :data:`SEEDS`.
        names: the two weights in the teacher.
        weights: their shown entries, ``(2, 48, 48)``.
        channels: the teacher's channels on each of :data:`AXES`.
        lengths: the lengths of these axes in the teacher.
        drawn: from :func:`random_marks`.
        covariance: from :func:`hidden_covariance`, of the hidden channels shown.
        students: the sizes to choose from.
        head: channels in a head.
        seeds: number of seeds.
    """

    name = "element-selection"
    _esm = script("selection")
    _css = stylesheet("selection")
    rule = traitlets.Enum(("uniform", "consecutive", "random"), "uniform").tag(sync=True)
    consistent = traitlets.Bool(True).tag(sync=True)
    n_student = traitlets.Enum(STUDENTS, 24).tag(sync=True)
    part = traitlets.Enum(("main", "aux", "both"), "both").tag(sync=True)
    heads = traitlets.Enum(("strided", "whole"), "strided").tag(sync=True)
    seed = traitlets.Int(0, min=0, max=SEEDS - 1).tag(sync=True)
    names = traitlets.List().tag(sync=True)
    weights = traitlets.List().tag(sync=True)
    channels = traitlets.List().tag(sync=True)
    lengths = traitlets.List().tag(sync=True)
    drawn = traitlets.Dict().tag(sync=True)
    covariance = traitlets.List().tag(sync=True)
    students = traitlets.List(list(STUDENTS)).tag(sync=True)
    head = traitlets.Int(HEAD).tag(sync=True)
    seeds = traitlets.Int(SEEDS).tag(sync=True)

    def wiring(self, consistent: bool) -> tuple[list[int], list[int]]:
        """Return the hidden channels that main keeps in the first layer and that it reads in the second: uniform."""
        computed, read = (
            chosen(self.names, axis, self.n_student, "uniform", 0, consistent=consistent) for axis in HIDDEN
        )
        return computed, read

    def agreement(self, consistent: bool) -> float:
        """Return how well main's cut block agrees with the whole one, from :func:`output_agreement`."""
        return output_agreement(self.covariance, self.weights[1], *self.wiring(consistent))

    def figure(self) -> plt.Figure:
        """Draw a consistent choice and the inconsistent one under it, with the wires of the main student."""
        figure, axes = style.new_figure(2, 3, 7.2, 6.2, width_ratios=(1, 0.7, 1))
        for row, consistent in zip(axes, (True, False)):
            main, aux = (
                [chosen(self.names, axis, self.n_student, "uniform", part, consistent=consistent) for axis in AXES]
                for part in (0, 1)
            )
            for ax, tensor in ((row[0], 0), (row[2], 1)):
                two = slice(2 * tensor, 2 * tensor + 2)
                codes = arrays.selection_codes((N_TEACHER, N_TEACHER), main[two], aux[two])
                picture = codes.T if tensor else codes  # the hidden channels run down in both
                ax.imshow(picture, cmap=arrays.SELECTION_COLOURS, vmin=0, vmax=3, interpolation="nearest")
                ax.grid(False)
            computed, read = self.wiring(consistent)
            for a, b in zip(computed, read):
                colour, line = (style.BLUE, "-") if a == b else (style.RED, "--")
                row[1].plot((0, 1), (a, b), color=colour, linestyle=line)
            row[0].set(
                title="layer A",
                xlabel="input channel",
                ylabel=f"{'consistent' if consistent else 'inconsistent'}\nhidden channel",
            )
            row[1].set(title=f"{matching(computed, read)} of {len(read)} fit\noutput {self.agreement(consistent):+.2f}")
            row[1].set(ylim=(N_TEACHER - 0.5, -0.5), xlim=(0, 1))
            row[1].set_axis_off()
            row[1].set_box_aspect(1 / 0.7)  # as tall as the two pictures beside it
            row[2].set(title="layer B on its side", xlabel="output channel")
        names = ("neither", "main", "auxiliary", "both")
        patches = [plt.Rectangle((0, 0), 1, 1, color=arrays.SELECTION_COLOURS(i)) for i in range(4)]
        figure.legend(patches, names, loc="outside lower center", ncols=4, frameon=False)
        return figure

    def alt(self) -> str:
        """Say what :meth:`figure` shows."""
        fit = [matching(*self.wiring(consistent)) for consistent in (True, False)]
        output = [f"{self.agreement(consistent):.2f}" for consistent in (True, False)]
        return (
            f"Two teacher layers in a row, cut from {N_TEACHER} to {self.n_student} channels by the rule uniform. "
            f"Where both layers keep the same hidden channels, {fit[0]} of {self.n_student} wires run straight and the "
            f"output correlates {output[0]} with that of the whole block. Where the second layer reads the channels of "
            f"the other student, {fit[1]} of {self.n_student} do, and the correlation is {output[1]}."
        )


def selection_explorer(
    teacher: nn.Module | None = None, layers: Sequence[str] = LAYERS, **start: object
) -> ElementSelection:
    """Return the widget on two layers of a teacher, by default on the first block of the bundled teacher.

    Args:
        teacher: a model; ``None`` loads ``convnext_pocket``.
        layers: names of two modules with a weight; the second reads what the first computes.
        **start: attributes of :class:`ElementSelection` to begin with, such as ``rule="random"``.

    Raises:
        ValueError: as for :func:`sample`, or not two layers.
        AttributeError: the teacher has no module of that name.
        traitlets.TraitError: a start value that is not to be chosen.
    """
    if len(layers) != 2:
        raise ValueError(f"layers has {len(layers)} names; give two, such as {LAYERS[0]!r} and {LAYERS[1]!r}")
    teacher = load_teacher("convnext_pocket") if teacher is None else teacher
    tensors = [teacher.get_submodule(name).weight for name in layers]
    names = [f"{name}.weight" for name in layers]
    weights, channels = sample(*tensors)
    return ElementSelection(
        title="What do two students take, and do the wires still fit?",
        names=names,
        weights=weights,
        channels=channels,
        lengths=[n for tensor in tensors for n in tensor.shape[:2]],
        drawn=random_marks(names),
        covariance=hidden_covariance(teacher, layers[1], channels[3]),
        **start,
    )
