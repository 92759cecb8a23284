"""How long the auxiliary remembers its own start: beta to the power of n, beside what was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import traitlets

from .. import plots
from ..distill import half_life
from ..experiments import read_records
from .base import Widget, script, style


def measured_curves(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return accuracy over training of main and auxiliary for each beta that has records.

    Args:
        records: of runs with an auxiliary, equal in everything but beta and seed.

    Returns:
        One entry per beta, ascending: ``beta``, ``steps``, and ``main`` and ``aux``, each a list of one list per seed.
    """
    by_beta = defaultdict(list)
    for record in sorted(records, key=lambda r: r["seed"]):
        by_beta[float(record["beta"])].append([row for row in record["history"] if row["aux_accuracy"] is not None])
    found = []
    for beta, runs in sorted(by_beta.items()):
        entry = {"beta": beta, "steps": [row["step"] for row in runs[0]]}
        for name in ("main", "aux"):
            entry[name] = [[row[f"{name}_accuracy"] for row in rows] for rows in runs]
        found.append(entry)
    return found


class AuxiliaryMemory(Widget):
    """The share of its own start that the auxiliary keeps, over optimiser steps, and the accuracy of both students.

    Attributes:
        beta: chosen value, in [0, 1].
        step: chosen optimiser step.
        measured: from :func:`measured_curves`; the widget draws accuracies only where ``beta`` is one of these.
        source: what the records are of, one line.
    """

    name = "auxiliary-memory"
    _esm = script("memory")
    _css = style("memory")
    beta = traitlets.Float(0.9).tag(sync=True)
    step = traitlets.Int(20).tag(sync=True)
    measured = traitlets.List().tag(sync=True)
    source = traitlets.Unicode("").tag(sync=True)

    def figure(self) -> plt.Figure:
        """Draw the share left for three values of beta."""
        figure, ax = plots.new_figure()
        steps = np.arange(0, 101)
        for beta, colour, line in zip((0.5, 0.9, 0.99), plots.COLOURS, ("-", "--", ":")):
            ax.plot(steps, beta**steps, line, color=colour, label=f"beta = {beta:g}, half after {half_life(beta):.1f}")
        ax.set(title="What the auxiliary keeps of its own start", xlabel="optimiser steps n", ylabel="share left, beta^n")
        ax.legend()
        return figure

    def alt(self) -> str:
        """Say what :meth:`figure` shows."""
        return (
            "Share of its own start that the auxiliary keeps over optimiser steps: at beta 0.5 nothing is left after ten "
            "steps, at 0.9 half is left after 6.6 and at 0.99 after 69."
        )


def auxiliary_memory(records: Sequence[Mapping[str, object]] | None = None) -> AuxiliaryMemory:
    """Return the widget on the project's records (the sweep of beta on brain MRI), or on records of your own.

    Args:
        records: as for :func:`measured_curves`.
    """
    if records is None:
        sweep = {"method": "ours", "alpha": 0.6, "tau": 3.0, "rule": "uniform", "strategy": ""}
        records = read_records(grid="ablations", **sweep)
    one = records[0] if records else None
    source = f"{one['pair']}, {one['dataset']} at {one['fraction']:.0%}" if one else "no records"
    return AuxiliaryMemory(
        title="How long does the auxiliary remember its own start?", measured=measured_curves(records), source=source
    )
