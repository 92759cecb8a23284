"""Train every preset of the distillation lab with its 30 seeds, say which claims hold, and record the numbers.

    python scripts/check_lab_presets.py [--write] [--only KEY] [--first SEED]

With ``--write`` the record goes to data/lab/presets_record.json, if every claim holds. The settings were chosen with
seeds 0 to 29 in view, so ``--first 200`` tries the claims on 30 others. Needs Chromium.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping

from lab_browser import ROOT, Engine, engine

from dmws_lite._system import write_atomic
from dmws_lite.classroom.lab_presets import SEEDS, holds, lab_assets, measure_claim, preset_runs, preset_sources

OUT = ROOT / "data" / "lab" / "presets_record.json"
RUN = "return lab.runSeeds(given.settings, given.assets, given.seeds, () => true, given.at);"


def train(lab: Engine, preset: Mapping, first: int = 0) -> dict[str, dict]:
    """Train what the preset's claims need and return the results by the names of ``preset_runs``."""
    seeds = [first + seed for seed in SEEDS]
    return {
        name: lab.run(RUN, {**run, "assets": lab_assets(), "seeds": seeds}) for name, run in preset_runs(preset).items()
    }


def rounded(value: object) -> object:
    """Round all numbers to four digits: 300 test points tell no more."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the record, if every claim holds")
    parser.add_argument("--only", help="key of one preset")
    parser.add_argument("--first", type=int, default=0, help="first seed of the 30 (default 0, as in the page)")
    given = parser.parse_args(arguments)
    presets = [preset for preset in preset_sources() if given.only in (None, preset["key"])]
    if not presets:
        parser.error(f"no preset is called {given.only!r}")
    if given.write and (given.only or given.first):
        parser.error("--write records all presets with the page's seeds; leave out --only and --first")
    recorded, failed = {}, 0
    with engine() as lab:
        for preset in presets:
            results = train(lab, preset, given.first)
            summaries = [measure_claim(claim, results) for claim in preset["claims"]]
            for claim, summary in zip(preset["claims"], summaries):
                fine = holds(claim, summary)
                failed += not fine
                half = (summary.high - summary.low) / 2
                print(f"{'holds' if fine else 'FAILS'}  {preset['key']:16} {summary.mean:+.4f} ± {half:.4f}  {claim}")
            final = {name: part for name, part in results["{}"].items() if name != "at"}
            claims = [{"mean": one.mean, "low": one.low, "high": one.high} for one in summaries]
            recorded[preset["key"]] = {"settings": preset["settings"], "claims": claims, "results": final}
    if given.write and not failed:
        story = {"made_by": "scripts/check_lab_presets.py --write", "date": datetime.date.today().isoformat()}
        text = json.dumps(rounded({**story, "seeds": list(SEEDS), "presets": recorded}), separators=(",", ":"))
        write_atomic(OUT, text.replace('"settings"', '\n"settings"') + "\n")
        print(f"{OUT.name}: {len(text):,} bytes")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
