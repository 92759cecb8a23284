"""The paper's number and ours in one row, with what may be said about the difference.

Levels of accuracy depend on pair, image size, data set and length of training, and those differ here. What can be
compared is a *gain*: how much better one method is than another under equal conditions. So each table has a companion
of gains, ours with a paired interval, the paper's with the standard error that its five runs allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy import stats

from .reports import paper_numbers
from .results import DATASETS, Group, Record, difference, find, group_records, interval_text, spread_text
from .table import Cell, Table

NOT_MEASURED = "not measured"
# The paper's data set and ours for its tables 2 to 4. Two of ours are other tasks, and every table says so.
COUNTERPARTS = {"xray": "xray", "ct": "sarscov2", "mri": "mri"}
TASK_NOTES = {
    "xray": "Two of the paper's four classes (COVID, Normal): an easier task than the paper's.",
    "sarscov2": "Another CT set with two classes instead of three, without patient numbers.",
    "mri": "The paper's data set; copies of one file are kept on one side of the split here.",
}
ARCHES = ("vit", "convnext")
SHORT = {"ours": "ours", "cm1": "CM1", "cm2": "CM2", "cm3": "CM3", "cm4": "CM4"}


def _paper_cells(number: int) -> dict[tuple, Mapping]:
    table = paper_numbers()["tables"][str(number)]
    return {(c["arch"], c["dataset"], c["method"], c["fraction"]): c for c in table["cells"]}


def _paper_level(cells: Mapping, arch: str, dataset: str, method: str, fraction: float) -> str:
    c = cells.get((arch, dataset, method, fraction))
    return f"{c['mean']:.3f} ± {c['sd']:.3f}" if c else "—"


def _paper_gain(cells: Mapping, arch: str, dataset: str, methods: tuple[str, str], fraction: float) -> str:
    found = _paper_difference(cells, arch, dataset, methods, fraction)
    return "—" if found is None else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*found)


def _paper_difference(
    cells: Mapping, arch: str, dataset: str, methods: tuple[str, str], fraction: float
) -> tuple[float, float, float] | None:
    """Return a difference of two of the paper's means with its Welch interval: its runs are taken as independent."""
    a, b = (cells.get((arch, dataset, method, fraction)) for method in methods)
    if not a or not b:
        return None
    n = paper_numbers()["runs"]
    va, vb = (c["sd"] ** 2 / n for c in (a, b))
    df = (va + vb) ** 2 / ((va**2 + vb**2) / (n - 1))
    half = float(stats.t.ppf(0.975, df)) * math.sqrt(va + vb)
    mean = a["mean"] - b["mean"]
    return mean, mean - half, mean + half


def paper_gains() -> list[tuple[float, float, float]]:
    """Return the paper's gains of its method over CM1: mean and 95% Welch interval of each cell of tables 2 to 4."""
    names = {2: "xray", 3: "ct", 4: "mri"}
    return [
        _paper_difference(_paper_cells(number), arch, dataset, ("ours", "cm1"), fraction)
        for number, dataset in names.items()
        for arch in ARCHES
        for fraction in (0.01, 0.05, 0.1)
    ]


def level_table(number: int, records: Sequence[Record], pair: str = "efficientnet_lite0") -> Table:
    """Return table 2, 3 or 4 with our numbers beside it: accuracy by method and labelled share.

    Args:
        number: 2 (X-ray), 3 (CT) or 4 (MRI).
        records: runs of one setting, see :func:`dmws_lite.experiments.read_records`.
        pair: which of our pairs stands beside the paper's two.

    Raises:
        ValueError: the table is not one of them, or the records hold several settings of one cell.
    """
    names = {2: "xray", 3: "ct", 4: "mri"}
    if number not in names:
        raise ValueError(f"table {number} has no levels to compare; choose 2, 3 or 4")
    theirs, mine = names[number], COUNTERPARTS[names[number]]
    cells, groups = _paper_cells(number), group_records([r for r in records if r["pair"] == pair])
    rows = []
    for fraction in (0.01, 0.05, 0.1):
        for method in ("ours", "cm1", "cm2", "cm3", "cm4"):
            group = find(groups, method, dataset=mine, fraction=fraction)
            here = NOT_MEASURED if group is None else spread_text(group.summary())
            rows.append(
                (
                    Cell(f"{fraction:.0%}"),
                    Cell(SHORT[method], head=True),
                    *(Cell(_paper_level(cells, arch, theirs, method, fraction)) for arch in ARCHES),
                    Cell(here),
                )
            )
    header = (
        "Labelled",
        "Method",
        "Paper, ViT-S → T",
        "Paper, ConvNeXt-T → F",
        f"Here, {pair}",
    )
    title = f"Table {number} and ours: accuracy on {DATASETS[mine]}"
    notes = (
        "Mean ± sd over five runs (paper) and over n seeds (here). Another teacher, another image size and fewer "
        "steps: the levels are for orientation and are not subtracted.",
        TASK_NOTES[mine],
    )
    return Table(title, header, tuple(rows), notes)


def gain_table(
    number: int,
    records: Sequence[Record],
    pairs: Mapping[tuple[str, str], tuple[str, str]],
    title: str,
    datasets: Sequence[str] = ("xray", "ct", "mri"),
    fractions: Sequence[float] = (0.01, 0.05, 0.1),
    **task: object,
) -> Table:
    """Return differences between methods, the paper's and ours.

    Args:
        number: the paper's table, 2 to 7.
        records: our runs.
        pairs: ``{(first, second) in the paper: (first, second) here}``, short names.
        title: caption.
        datasets: the paper's names of the data sets to show.
        fractions: labelled shares to show.
        task: which of our settings, such as ``pair="convnext_pocket"``, where the records hold several.
    """
    cells, groups = _paper_cells(number), group_records(records)
    rows = []
    for dataset in datasets:
        mine = COUNTERPARTS[dataset]
        for fraction in fractions:
            for theirs, ours in pairs.items():
                found = [find(groups, key, dataset=mine, fraction=fraction, **task) for key in ours]
                rows.append(
                    (
                        Cell(f"{DATASETS[mine].split(' (')[0]}, {fraction:.0%}"),
                        Cell(" − ".join(ours), head=True),
                        *(Cell(_paper_gain(cells, arch, dataset, theirs, fraction)) for arch in ARCHES),
                        *_our_gain(found),
                    )
                )
    shown = [row for row in rows if row[4].text != NOT_MEASURED or any(c.text != "—" for c in row[2:4])]
    header = (
        "Task",
        "Difference",
        "Paper, ViT",
        "Paper, ConvNeXt",
        "Here, mean and 95% interval",
        "Seeds",
        "Here, first is",
    )
    notes = (
        "Paper: difference of means with the 95% Welch interval that we compute from its five runs, taken as "
        "independent; — means that the paper has no such cell. Here: mean of the paired differences with its 95% t "
        "interval. No interval is adjusted for the number of rows.",
    )
    return Table(title, header, tuple(shown), notes)


def _our_gain(found: Sequence[Group | None]) -> tuple[Cell, Cell, Cell]:
    first, second = found
    d = difference(first, second) if first is not None and second is not None else None
    if d is None:
        return Cell(NOT_MEASURED), Cell(""), Cell("")
    return Cell(interval_text(d.summary)), Cell(str(d.summary.n)), Cell(d.verdict)


def cost_table(records: Sequence[Record]) -> Table:
    """Return time and peak memory of ours and CM1, and what ours costs more, beside table 8.

    Args:
        records: runs of ``ours`` and ``cm1`` on a machine that did nothing else.
    """
    rows = []
    table = paper_numbers()["tables"]["8"]
    for dataset in dict.fromkeys(c["dataset"] for c in table["cells"]):
        ours, cm1 = (
            next(c for c in table["cells"] if (c["dataset"], c["method"]) == (dataset, m)) for m in ("ours", "cm1")
        )
        numbers = [(cm1[k], ours[k]) for k in ("time_s", "memory_mib")]
        rows.append(_cost_row(f"Paper: {dataset}, ViT-S → T, 224 px", table["device"], numbers, ""))
    groups = group_records(records)
    for task in {repr(g.task): g.task for g in groups}.values():
        ours, cm1 = (find(groups, key, **task) for key in ("ours", "cm1"))
        if ours is None or cm1 is None:
            continue
        numbers = [tuple(_middle(g, column) for g in (cm1, ours)) for column in ("seconds", "peak_memory_mib")]
        one = next(iter(ours.by_seed.values()))
        told = (
            f"Here: {task['pair']}, {task['size']} px, batch {task['batch_size']}, {one['history'][-1]['step']} steps"
        )
        rows.append(_cost_row(told, one["device"], numbers, f"{len(ours.by_seed)}"))
    header = ("Run", "Device", "Time, CM1", "Time, ours", "Extra", "Memory, CM1", "Memory, ours", "Extra", "Runs each")
    notes = (
        "Time of the whole training. Here: median over the runs; memory is the peak of the whole process on a CPU "
        "(images and libraries included) and of the tensors on a GPU: compare the extra of equal devices only.",
    )
    return Table("Table 8 and ours: what the auxiliary student costs", header, tuple(rows), notes)


def _middle(group: Group, column: str) -> float:
    values = sorted(r[column] for r in group.by_seed.values() if r.get(column) is not None)
    return values[len(values) // 2] if values else math.nan


def _cost_row(told: str, device: str, numbers: Sequence[tuple[float, float]], n: str) -> tuple[Cell, ...]:
    cells = [Cell(told, head=True), Cell(device)]
    for (base, ours), unit in zip(numbers, ("s", "MiB")):
        known = not math.isnan(base) and not math.isnan(ours)
        cells += [Cell(f"{x:,.0f} {unit}" if not math.isnan(x) else NOT_MEASURED) for x in (base, ours)]
        cells.append(Cell(f"{ours / base - 1:+.0%}" if known else ""))
    return (*cells, Cell(n))
