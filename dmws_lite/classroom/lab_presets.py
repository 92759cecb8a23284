"""The distillation lab's files: its engine in JavaScript, its teachers, and the presets with what each one promises.

A preset in ``data/lab/presets.json`` is a setting with a question, and with claims that its 30 seeds must bear out. A
claim compares two sides, ``a`` and ``b``, each a method with a ``role`` (``"main"`` unless given), a step ``at`` (the
last unless given) and, under ``with``, settings that differ from the preset's. ``measure`` is

* ``"accuracy"`` (the default): test accuracy at that step
* ``"distance"``: of the two students in weight space, at that step
* ``"swing"``: mean absolute change of the test accuracy between the steps of ``over``
* ``"mean"``: mean test accuracy at the steps of ``over``

and ``compare`` is ``"difference"`` (the default) or ``"ratio"``. A claim holds if the mean over the seeds lies between
``at_least`` and ``at_most``, where given, and with ``"interval": "above zero"`` if its 95% interval is above zero too.
``scripts/check_lab_presets.py`` trains and records; a preset's ``after`` takes its numbers from that record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .._system import data_path

if TYPE_CHECKING:
    from ..experiments.statistics import Summary

STATIC = Path(__file__).resolve().parent / "widgets" / "static"
PARTS = ("lab_net", "lab_rules", "lab_worlds", "lab_engine")
SEEDS = tuple(range(30))  # those of the page's button

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./lab_\w+\.js";\n', re.MULTILINE)


def engine_script() -> str:
    """Return the lab's engine as one ES module without imports: a saved page has no folder to import from."""
    texts = ((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)
    return "\n".join(_IMPORT.sub("", text) for text in texts)


@lru_cache(maxsize=1)
def lab_assets() -> dict:
    """Return the teachers by ``"WORLD/TASK"``, as ``Lab`` of ``lab_engine.js`` takes them.

    ``scripts/make_lab_teachers.py`` trained them and wrote ``data/lab/teachers.json``.
    """
    return _read("teachers")


@lru_cache(maxsize=1)
def preset_record() -> dict:
    """Return what ``scripts/check_lab_presets.py`` recorded: ``presets`` has numbers and runs by key."""
    return _read("presets_record")


def preset_sources() -> list[dict]:
    """Return the presets as written, with their claims and with places for numbers in ``after``."""
    return _read("presets")


def lab_presets() -> list[dict]:
    """Return the presets as the page shows them.

    Returns:
        One dictionary each: ``key``, ``title``, ``look`` (what to look for), ``question``, three ``choices``,
        ``answer`` (position of the right one), ``after`` (what was seen, with the recorded numbers), ``show`` (the
        method to look at), ``settings``, and ``seeds`` (final results of the recorded runs, as ``runSeeds`` of the
        engine gives them).
    """
    recorded = preset_record()["presets"]
    return [
        {
            **{name: value for name, value in preset.items() if name != "claims"},
            "after": preset["after"].format(*map(_number_text, recorded[preset["key"]]["claims"])),
            "seeds": recorded[preset["key"]]["results"],
        }
        for preset in preset_sources()
    ]


def preset_runs(preset: Mapping) -> dict[str, dict]:
    """List the runs that a preset's claims need.

    Returns:
        By name (``"{}"`` for the preset's own setting, else what differs, as JSON): ``settings`` for the engine, and
        ``at``, the steps to measure besides the last.
    """
    runs = {_run_name({}): {"settings": dict(preset["settings"]), "at": []}}
    for claim in preset["claims"]:
        for side in (claim["a"], claim["b"]):
            other = side.get("with", {})
            run = runs.setdefault(_run_name(other), {"settings": {**preset["settings"], **other}, "at": []})
            run["at"] = sorted({*run["at"], *claim.get("over", []), *([side["at"]] if "at" in side else [])})
    return runs


def measure_claim(claim: Mapping, results: Mapping[str, Mapping]) -> Summary:
    """Summarise ``a`` compared with ``b`` over the seeds.

    Args:
        claim: of a preset.
        results: by the names of :func:`preset_runs`, what ``runSeeds`` returned.
    """
    from ..experiments.statistics import summarise

    first, second = (_measured(claim, side, results) for side in (claim["a"], claim["b"]))
    if claim.get("compare", "difference") == "ratio":
        return summarise([a / b for a, b in zip(first, second)])
    return summarise([a - b for a, b in zip(first, second)])


def holds(claim: Mapping, summary: Summary) -> bool:
    """Whether the numbers bear out the claim."""
    inside = claim.get("at_least", summary.mean) <= summary.mean <= claim.get("at_most", summary.mean)
    return inside and (claim.get("interval") != "above zero" or summary.low > 0)


def _measured(claim: Mapping, side: Mapping, results: Mapping[str, Mapping]) -> list[float]:
    """One number for each seed."""
    run, method, role = results[_run_name(side.get("with", {}))], side["method"], side.get("role", "main")
    measure = claim.get("measure", "accuracy")
    if measure in ("swing", "mean"):
        curves = list(zip(*(run["at"][str(step)][method][role] for step in claim["over"])))
        if measure == "mean":
            return [sum(curve) / len(curve) for curve in curves]
        return [sum(abs(b - a) for a, b in zip(curve, curve[1:])) / (len(curve) - 1) for curve in curves]
    moment = run["at"][str(side["at"])] if "at" in side else run
    return moment[method]["distance" if measure == "distance" else role]


def _run_name(other: Mapping) -> str:
    return json.dumps(other, sort_keys=True)


def _number_text(numbers: Mapping) -> str:
    """Write a claim's mean and the half width of its interval."""
    half = (numbers["high"] - numbers["low"]) / 2
    mean = round(numbers["mean"], 3) + 0.0  # no minus before 0.000
    return f"{mean:.3f} ± {half:.3f}".replace("-", "−")


def _read(name: str) -> dict | list:
    return json.loads(data_path(f"lab/{name}.json").read_text(encoding="utf-8"))
