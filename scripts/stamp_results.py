"""Write the table of results in README.md from the records: part of ``make stamp``.

A test compares README.md with what this writes, so that no number there is typed by hand or outlives its record.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dmws_lite._system import write_atomic
from dmws_lite.experiments.compare import difference, find, group_records
from dmws_lite.experiments.records import read_records
from dmws_lite.experiments.tables import interval_text, markdown_table, spread_text
from dmws_lite.images.sets import SETS, set_label

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- results:start -->", "<!-- results:end -->"


def block() -> str:
    """Return the table as Markdown: CM2, CM3, CM1 and ours on every cell of the grids ``tables`` and ``long``."""
    groups = group_records(read_records(grid="tables") + read_records(grid="long"))
    header = ("Data, labelled share (images)", "Steps", "timm (CM2)", "Xavier (CM3)", "one cut (CM1)", "ours",
              "ours − CM1, 95% interval")  # fmt: skip
    rows = []
    tasks = [(g.task["dataset"], g.task["fraction"], g.task["steps"]) for g in groups]
    for dataset, fraction, steps in sorted(set(tasks), key=lambda task: (list(SETS).index(task[0]), *task[1:])):
        where = {"dataset": dataset, "fraction": fraction, "steps": steps}
        cm2, cm3, cm1, ours = (find(groups, key, **where) for key in ("cm2", "cm3", "cm1", "ours"))
        if None in (cm2, cm3, cm1, ours):
            continue
        images = next(iter(ours.by_seed.values()))["split"]["train"]
        d = difference(ours, cm1)
        cells = [spread_text(g.summary()) for g in (cm2, cm3, cm1, ours)]
        gain = f"{interval_text(d.summary)}, {d.verdict}"
        label = f"{set_label(dataset, ours.task['classes'])}, {fraction:.0%} ({images})"
        rows.append((label, f"{steps:,}", *cells, gain))
    return "\n".join(markdown_table(header, rows))


def stamped(text: str) -> str:
    """Return the README with the table between its two marks.

    Raises:
        ValueError: a mark is missing.
    """
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md needs the marks {START} and {END}, once each")
    head, rest = text.split(START)
    return f"{head}{START}\n{block()}\n{END}{rest.split(END)[1]}"


def main() -> int:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    new = stamped(text)
    if new != text:
        write_atomic(path, new)
        print("README.md: the table of results is new")
    return 0


if __name__ == "__main__":
    sys.exit(main())
