"""The tables and figures of a grid as files: what ``dmws-lite report`` writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from .._system import write_atomic
from ..experiments.compare import Record, group_records
from ..experiments.grids import Grid
from ..experiments.records import run_of
from ..experiments.tables import difference_table, result_table, to_csv
from ..figures.records import report_figures


def write_report(grid: Grid, records: Sequence[Record], folder: str | Path) -> list[Path]:
    """Write the tables and figures of a grid, from records only.

    Args:
        grid: what they belong to; records of other runs are left out.
        records: see :func:`dmws_lite.experiments.records.read_records`.
        folder: where ``NAME.md``, ``NAME.csv`` and the figures (PNG and SVG) go; made when absent.

    Returns:
        The files, the Markdown table first.

    Raises:
        ValueError: there is no record of this grid.
    """
    wanted = set(grid.runs)
    own = [record for record in records if run_of(record) in wanted]
    if not own:
        raise ValueError(f"there is no record of the grid {grid.name!r} yet; make some with: dmws-lite run {grid.name}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables = [result_table(own, grid.title or grid.name)]
    if any(g.key == "cm1" for g in group_records(own)):
        tables.append(difference_table(own, "cm1", "Differences from CM1"))
    files = [
        write_atomic(folder / f"{grid.name}.md", "\n".join(map(str, tables))),
        write_atomic(folder / f"{grid.name}.csv", to_csv(own)),
    ]
    for name, figure in report_figures(own).items():
        for suffix in ("png", "svg"):
            stream = io.BytesIO()
            figure.savefig(stream, format=suffix, dpi=150)
            files.append(write_atomic(folder / f"{grid.name}-{name}.{suffix}", stream.getvalue()))
    return files
