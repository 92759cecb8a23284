"""Record the run that stands in the distillation lab's place on a page without JavaScript.

    python scripts/make_lab_picture.py [--to FILE]

The lab's own engine trains in Chromium: seed 0 for the decision regions, 30 seeds for the curves. The record is
data/lab/picture.json; dmws_lite/classroom/widgets/lab.py draws it. tests/classroom/test_widget_lab.py runs it again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from lab_browser import Engine, engine  # noqa: E402

from dmws_lite._system import write_atomic  # noqa: E402
from dmws_lite.classroom.lab_presets import lab_assets  # noqa: E402

TARGET = ROOT / "data" / "lab" / "picture.json"

SIDE, HALF, SEEDS = 48, 2.35, 30

# The likeliest class of every cell of a grid, as one digit each, row by row from the top.
REGIONS = """
const { side, half, assets, settings } = given, x = new Float64Array(2 * side * side);
for (let i = 0; i < side * side; i++) {
  x[2 * i] = half * ((2 * (i % side) + 1) / side - 1);
  x[2 * i + 1] = half * (1 - (2 * Math.floor(i / side) + 1) / side);
}
const run = new lab.Lab(settings, assets);
run.step(run.settings.steps);
const regions = (role) => {
  const p = run.predict("dual", role, x, side * side), K = p.length / (side * side);
  return Array.from({ length: side * side }, (_, i) => {
    const row = Array.from(p.subarray(i * K, (i + 1) * K));
    return row.indexOf(Math.max(...row));
  }).join("");
};
const { train } = run.data;
return {
  settings: run.settings, teacher: run.teacher.accuracy,
  regions: { teacher: regions("teacher"), main: regions("main"), auxiliary: regions("auxiliary") },
  accuracy: { main: run.accuracy("dual", "main"), auxiliary: run.accuracy("dual", "auxiliary") },
  labelled: { x: Array.from(train.x, (v) => Number(v.toFixed(3))), labels: Array.from(train.labels) },
};
"""

CURVE = """
const run = new lab.Lab({ ...given.settings, seed: given.seed }, given.assets);
run.step(run.settings.steps);
const main = Object.fromEntries(lab.METHODS.map((method) => [method, run.history[method].main]));
return { steps: run.history.steps, main };
"""


def regions(browser: Engine, settings: dict) -> dict:
    """Return the first part of the record: what seed 0 ends with."""
    return browser.run(REGIONS, {"side": SIDE, "half": HALF, "assets": lab_assets(), "settings": settings})


def curves(browser: Engine, settings: dict, seeds: range) -> dict:
    """Return the measured steps and, for each method, the accuracies of every seed at each of them."""
    runs = [browser.run(CURVE, {"settings": settings, "seed": seed, "assets": lab_assets()}) for seed in seeds]
    methods = runs[0]["main"]
    return {"steps": runs[0]["steps"], "main": {method: [run["main"][method] for run in runs] for method in methods}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, default=TARGET, help="file to write (default: data/lab/picture.json)")
    target = parser.parse_args(arguments).to
    with engine() as browser:
        record = {"made_by": "scripts/make_lab_picture.py", "side": SIDE, "half": HALF, **regions(browser, {})}
        record["curves"] = curves(browser, {}, range(SEEDS))
    text = (
        json.dumps(record, separators=(",", ":")).replace('"regions"', '\n"regions"').replace('"curves"', '\n"curves"')
    )
    write_atomic(target, (text + "\n").encode("utf-8"))
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
