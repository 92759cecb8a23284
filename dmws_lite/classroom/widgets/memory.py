"""How long the auxiliary remembers its own start: beta to the power of n, beside measured accuracies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import traitlets

from ...distillation.moving_average import check_beta, half_life, remaining_share
from ...experiments.records import read_records
from ...figures import style
from ...images.sets import set_label
from ...teachers.pairs import PAIRS
from .base import Widget, script, stylesheet

# Two runs belong to one sweep only if they agree in these.
_SAME = ("dataset", "pair", "fraction", "size", "epochs", "steps", "batch_size", "learning_rate", "split_rule")

_SAME += ("method", "strategy", "rule", "alpha", "tau")

SHOWN = (0.5, 0.9, 0.99)  # values of beta in the static figure

FIRST = 100  # steps shown at first: the start fades there, which in a whole run is a stripe at its left edge


def measured_curves(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return the accuracies of main and auxiliary during training, for each beta with records.

    Args:
        records: records of runs with an auxiliary that differ only in beta and seed.

    Returns:
        One entry per beta, ascending: ``beta``, ``steps`` (optimiser steps at which both were evaluated on the test
        images), and ``main`` and ``aux``, each with one list of accuracies in [0, 1] per seed.

    Raises:
        ValueError: the records differ in more than beta and seed, one has no evaluated auxiliary, or two with the same
            beta were evaluated at different steps.
    """
    for key in _SAME:
        values = sorted({str(record.get(key)) for record in records})
        if len(values) > 1:
            raise ValueError(
                f"the records differ in {key} ({', '.join(values)}); choose one, as in read_records({key}=...)"
            )
    by_beta = defaultdict(list)
    for record in sorted(records, key=lambda r: r["seed"]):
        rows = [row for row in record["history"] if row["aux_accuracy"] is not None]
        if not rows:
            raise ValueError(
                f"the record of beta {record['beta']:g}, seed {record['seed']} has no measured auxiliary; give runs "
                "of a method with an auxiliary, such as ours"
            )
        by_beta[float(record["beta"])].append(rows)
    curves = []
    for beta, runs in sorted(by_beta.items()):
        steps = [row["step"] for row in runs[0]]
        if any([row["step"] for row in rows] != steps for rows in runs):
            raise ValueError(f"the runs at beta {beta:g} were measured at different steps; give runs of one schedule")
        entry = {"beta": beta, "steps": steps}
        for name in ("main", "aux"):
            entry[name] = [[row[f"{name}_accuracy"] for row in rows] for rows in runs]
        curves.append(entry)
    return curves


def _describe(records: Sequence[Mapping[str, object]]) -> str:
    """Return one line on the task of the records; they have passed :func:`measured_curves`."""
    if not records:
        return "no records"
    one = records[0]
    pair = PAIRS[one["pair"]].title if one["pair"] in PAIRS else one["pair"]
    seeds = len({record["seed"] for record in records})
    parts = [
        f"{set_label(one['dataset'], len(one.get('classes', ())) or None)}, {one['fraction']:.0%} of the labels",
        pair,
    ]
    parts += [f"{name} {one[name]:g}" for name in ("alpha", "tau") if name in one]
    return "; ".join([*parts, f"{seeds} seed{'s' * (seeds != 1)}"])


class AuxiliaryMemory(Widget):
    """The share of its own start that the auxiliary has left over optimiser steps, and the accuracy of both students.

    Attributes:
        beta: chosen value, in [0, 1].
        step: chosen optimiser step, at least 0.
        measured: from :func:`measured_curves`; the widget draws accuracies only for these values of ``beta``.
        source: one line on the task of the records.
    """

    name = "auxiliary-memory"
    _esm = script("memory")
    _css = stylesheet("memory")
    beta = traitlets.Float(0.9).tag(sync=True)
    step = traitlets.Int(20).tag(sync=True)
    measured = traitlets.List().tag(sync=True)
    source = traitlets.Unicode("").tag(sync=True)

    @traitlets.validate("beta")
    def _beta_in_range(self, proposal: dict) -> float:
        check_beta(proposal["value"])
        return proposal["value"]

    @traitlets.validate("step")
    def _step_in_range(self, proposal: dict) -> int:
        if proposal["value"] < 0:
            raise ValueError(f"step={proposal['value']} is negative; count updates from 0")
        return proposal["value"]

    def _measured_at_beta(self) -> Mapping[str, object] | None:
        return next((entry for entry in self.measured if entry["beta"] == self.beta), None)

    def figure(self) -> plt.Figure:
        """Draw the share left for three values of beta, and the measured accuracies at ``beta`` if there are any."""
        measured = self._measured_at_beta()
        figure, axes = style.new_figure(1, 2 if measured else 1, 9.0 if measured else 7.0, 3.2, squeeze=False)
        ax, steps = axes[0, 0], np.arange(0, 101)
        for beta, colour, line in zip(SHOWN, style.COLOURS, ("-", "--", ":")):
            ax.plot(steps, beta**steps, line, color=colour, label=f"beta = {beta:g}, half after {half_life(beta):.1f}")
        title = "Share of its own start that the auxiliary has left"
        ax.set(title=title, xlabel="optimiser steps n", ylabel="share left, beta^n")
        ax.legend()
        if measured:
            ax = axes[0, 1]
            for name, label, colour, look in (
                ("main", "main", style.BLUE, "o-"),
                ("aux", "auxiliary", style.ORANGE, "s--"),
            ):
                ax.plot(measured["steps"], np.mean(measured[name], axis=0), look, color=colour, label=label)
            ax.plot(steps, self.beta**steps, ":", color=style.GREY, label="share left")
            ax.set(title=f"Measured at beta = {self.beta:g}", xlabel="optimiser steps", ylabel="test accuracy")
            ax.set(xlim=(0, min(FIRST, measured["steps"][-1])), ylim=(0, 1))
            ax.legend()
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        halves = ", ".join(f"{half_life(beta):.1f} steps at beta {beta:g}" for beta in SHOWN)
        summary = (
            f"Share of its own start that the auxiliary has left over optimiser steps. It has halved after {halves}."
        )
        measured = self._measured_at_beta()
        if measured is None:
            return f"{summary} No run was made at beta {self.beta:g}."
        main, aux = (np.mean([row[-1] for row in measured[name]]) for name in ("main", "aux"))
        left = remaining_share(self.beta, measured["steps"][0])
        kept = "less than 0.1%" if 0 < left < 0.001 else f"{left:.1%}"
        return (
            f"{summary} Measured at beta {self.beta:g}: the final accuracy is {main:.3f} for main and {aux:.3f} for "
            f"the auxiliary; at the first measurement, after {measured['steps'][0]} steps, {kept} of the start was "
            "left."
        )


def auxiliary_memory(records: Sequence[Mapping[str, object]] | None = None) -> AuxiliaryMemory:
    """Return the widget with the project's records (a sweep of beta on phantoms, often tested) or with your own.

    Args:
        records: as for :func:`measured_curves`; may be empty. ``None`` for the project's records.

    Raises:
        ValueError: as :func:`measured_curves`.
    """
    if records is None:
        records = read_records(grid="memory")
    measured = measured_curves(records)
    title = "How long does the auxiliary remember its own start?"
    return AuxiliaryMemory(title=title, measured=measured, source=_describe(records))
