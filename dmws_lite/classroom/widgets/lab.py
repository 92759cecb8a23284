"""The distillation lab: a teacher is cut in two and four ways to start learn side by side, in the reader's browser."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import traitlets
from IPython.display import HTML
from matplotlib.colors import ListedColormap

from ..._system import data_path
from ...experiments.methods import METHODS
from ...figures import style
from ..lab_presets import engine_script, lab_assets
from .base import STATIC, Widget, on_static_page, picture, stylesheet

# What lab_engine.js calls the methods, and what all else calls them.
ENGINE_METHODS = {"random": "cm2", "single": "cm1", "same": "same_start", "dual": "ours"}

CHIP_WORDS = {"random": "random start", "single": "one selection", "same": "+ copy of itself", "dual": "+ other half"}

# As in static/lab_draw.js: neither main's blue nor the auxiliary's orange.
CLASS_COLOURS = ("#e8a800", "#4a3aa7", "#1fa39a", "#b3574f", "#7f93a8", "#8a8a1f")

ENGINE_NAMES = ("METHODS", "DEFAULTS", "TASKS", "RULE_NAMES", "Lab", "runSeeds", "paired")


@lru_cache(maxsize=1)
def picture_record() -> dict:
    """Return the run that ``scripts/make_lab_picture.py`` recorded with the lab's engine."""
    return json.loads(data_path("lab/picture.json").read_text(encoding="utf-8"))


def engine_function() -> str:
    """Return the engine as one JavaScript function, so that the page and its workers run the same text."""
    body = re.sub(r"^export ", "", engine_script(), flags=re.MULTILINE)
    return f"function labEngine() {{\n{body}\nreturn {{ {', '.join(ENGINE_NAMES)} }};\n}}"


def lab_script() -> str:
    """Return the widget's JavaScript module: shared functions, the engine, its pictures, its controls."""
    shared, draw, lab = ((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in ("shared", "lab_draw", "lab"))
    return "\n".join((shared, engine_function(), draw, lab))


def method_looks() -> dict[str, dict[str, object]]:
    """Return how each method of the engine is named and drawn, from the registry."""
    looks = {}
    for key, name in ENGINE_METHODS.items():
        method = METHODS[name]
        looks[key] = {
            "short": method.short,
            "words": CHIP_WORDS[key],
            "colour": style.PALETTE[method.colour],
            "marker": method.marker,
            "auxiliary": method.auxiliary,
            "selects": method.selects,
        }
    return looks


def lab_figure() -> plt.Figure:
    """Draw the recorded run: regions of teacher, main and auxiliary after it, and each method's mean curve."""
    record, looks = picture_record(), method_looks()
    figure, axes = style.new_figure(1, 4, 11.0, 3.1, gridspec_kw={"width_ratios": (1, 1, 1, 2.2)})
    side, half = record["side"], record["half"]
    accuracy = {"teacher": record["teacher"], **record["accuracy"]}
    points = np.reshape(record["labelled"]["x"], (-1, 2))
    for ax, (role, digits) in zip(axes, record["regions"].items()):
        classes = np.array([int(digit) for digit in digits]).reshape(side, side)
        ax.imshow(classes, cmap=ListedColormap(CLASS_COLOURS), vmin=-0.5, vmax=len(CLASS_COLOURS) - 0.5, alpha=0.6,
                  extent=(-half, half, -half, half))  # fmt: skip
        if role != "teacher":
            for k, marker in enumerate("os^"):
                of_class = points[[label == k for label in record["labelled"]["labels"]]]
                ax.scatter(*of_class.T, s=26, marker=marker, color=CLASS_COLOURS[k], edgecolor="black", linewidth=0.8)
        ax.set_title(f"{role} {accuracy[role]:.2f}", fontsize=10)
        ax.set(xticks=[], yticks=[])
    ax, ends = axes[3], {}
    for key, runs in record["curves"]["main"].items():
        mean, look = np.mean(runs, axis=0), looks[key]
        ax.plot(record["curves"]["steps"], mean, color=look["colour"], marker=look["marker"], markevery=8)
        ends[key] = mean[-1]
    place = 0.0
    for key in sorted(ends, key=ends.get):  # names beside the ends, apart from each other
        place = max(ends[key], place + 0.03)
        ax.annotate(f"{looks[key]['short']} {ends[key]:.2f}", (record["curves"]["steps"][-1], place),
                    xytext=(8, -3), textcoords="offset points", fontsize=9, annotation_clip=False)  # fmt: skip
    ax.set_title(f"test accuracy of main, mean of {len(record['curves']['main']['dual'])} seeds", fontsize=10)
    ax.set(xlabel="optimiser steps")
    return figure


def lab_alt() -> str:
    """Say what :func:`lab_figure` shows, with its numbers."""
    record, looks = picture_record(), method_looks()
    runs, settings = record["curves"]["main"], record["settings"]
    ends = {looks[key]["short"]: float(np.mean([run[-1] for run in each])) for key, each in runs.items()}
    return (
        f"The lab at its first setting: a teacher of six classes ({record['teacher']:.2f} on its own task) is cut in "
        f"two, and main learns three classes from {settings['labels']} labels each in {settings['steps']} steps. "
        f"Decision regions after one run, and test accuracy over steps, mean of {len(runs['dual'])} seeds; at the "
        f"end: {', '.join(f'{name} {value:.3f}' for name, value in ends.items())}. With JavaScript it trains here."
    )


# In place of the widget manager: the lab's data, and what it keeps while the page is open.
START = """
const given = JSON.parse(document.getElementById("distillation-lab-data").textContent);
render({ el: document.getElementById("distillation-lab"), model: {
  get: (name) => given[name], set: (name, value) => { given[name] = value; }, save_changes() {}, on() {}, off() {} } });
"""


def lab_values(settings: Mapping[str, object], linked: bool) -> dict[str, object]:
    """Return what the lab's script reads, by the names of the widget's traits."""
    return {
        "title": "The distillation lab",
        "assets": lab_assets(),
        "presets": [],
        "methods": method_looks(),
        "settings": dict(settings),
        "linked": linked,
    }


def lab_html(settings: Mapping[str, object] | None = None, *, linked: bool = True) -> str:
    """Return the lab as HTML that needs no other script: style, data, module, and the figure for readers without.

    A widget would bring the scripts of all widgets, and they weigh more than lab, engine and teachers together.

    Args:
        settings: what differs from the engine's defaults.
        linked: read settings from the page's address and write them into it.
    """
    data = json.dumps(lab_values(settings or {}, linked)).replace("</", "<\\/")
    return (
        f'<div class="dmws-lab" id="distillation-lab"></div>{picture(lab_figure(), lab_alt(), DistillationLab.name)}'
        f'<style>{stylesheet("lab")}</style><script type="application/json" id="distillation-lab-data">{data}</script>'
        f'<script type="module">{lab_script().replace("export default { render };", START)}</script>'
    )


class DistillationLab(Widget):
    """Teacher, main and auxiliary as they learn, four methods in one run, and sliders for alpha, beta and tau.

    Attributes:
        assets: teachers, from :func:`dmws_lite.classroom.lab_presets.lab_assets`.
        presets: stories; each has a prediction to make.
        methods: name, colour, marker of each method.
        settings: what differs from the engine's defaults at the start; later the reader's.
        linked: whether settings are read from the page's address and written into it (``#lab=...``).
    """

    name = "distillation-lab"
    _esm = lab_script()
    _css = stylesheet("lab")
    assets = traitlets.Dict().tag(sync=True)
    presets = traitlets.List().tag(sync=True)
    methods = traitlets.Dict().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    linked = traitlets.Bool(False).tag(sync=True)

    def figure(self) -> plt.Figure:
        """Draw the recorded run."""
        return lab_figure()

    def alt(self) -> str:
        """Say what :meth:`figure` shows, with its numbers."""
        return lab_alt()


def distillation_lab(settings: Mapping[str, object] | None = None) -> DistillationLab | HTML:
    """Return the lab: a widget, or on a static page HTML, which starts at the setting in the page's address.

    Args:
        settings: what differs from the engine's defaults (``DEFAULTS`` in ``static/lab_engine.js``).
    """
    return HTML(lab_html(settings)) if on_static_page() else DistillationLab(**lab_values(settings or {}, linked=False))
