"""The paper's tables, and ours beside them. Only pages of the book use this module.

The published numbers come from ``data/paper/tables.json``, our own from the run records below ``data/results``. Nothing
is trained here. Every function returns a :class:`dmws_lite.experiments.tables.Table`, which a page shows as HTML and a
terminal as Markdown::

    from paper_tables import paper_table

    paper_table(4)  # brain MRI, with a column of our own where a record exists

Levels of accuracy depend on pair, image size, data set and length of training, and those differ from the paper's. What
can be compared is a *gain*: how much better one method is than another under equal conditions. So each table has a
companion of gains, ours with a paired interval, the paper's with the Welch interval that its five runs allow.
"""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dmws_lite.experiments.compare import Group, Record, difference, find, group_records
from dmws_lite.experiments.methods import METHODS
from dmws_lite.experiments.records import paper_numbers, read_records
from dmws_lite.experiments.statistics import Summary, summarise, unpaired_difference
from dmws_lite.experiments.tables import NOT_MEASURED, Cell, Table, interval_text, spread_text
from dmws_lite.images.sets import SETS, set_label
from dmws_lite.teachers.pairs import PAIRS

# The paper's data set and ours for its tables 2 to 4. Two of ours are other tasks, and every table says so.
COUNTERPARTS = {"xray": "xray", "ct": "sarscov2", "mri": "mri"}
TASK_NOTES = {
    "xray": "Two of the paper's four classes (COVID, Normal): an easier task than the paper's.",
    "sarscov2": "Another CT set with two classes instead of three, without patient numbers.",
    "mri": "The paper's data set; copies of one file are kept on one side of the split here.",
}
ARCHES = ("vit", "convnext")


# How the paper calls what is the method under another name, or the method with another strategy or rule.
PAPER_TITLES = {
    "skd": METHODS["ours"].title,
    "cskd": "Dual + CS-KD",
    "tfkd": "Dual + TF-KD",
    "uniform": "Uniform (“Ours”)",
    "consecutive": "Consecutive",
    "random_consistent": "Random, same indices everywhere",
    "random_inconsistent": "Random, new indices per tensor",
}
# The paper's main method under its other names, and the rules of table 7, which are the method with another selection:
# the rule's name in dmws_lite.selection.rules.
RULES = {
    "skd": "uniform",
    "uniform": "uniform",
    "consecutive": "consecutive",
    "random_consistent": "random",
    "random_inconsistent": "random_inconsistent",
}
SAME_METHOD = {"skd": "ours", "uniform": "ours"}
# A run on fewer classes is another task: it never stands beside the paper's number.
CLASSES = {"xray": 4, "ct": 3, "mri": 4}
# Which of our pairs may stand in which row of the paper, the paper's own pair first. A pocket teacher is not the
# paper's teacher: the note below each table says so.
OUR_PAIRS = {"vit": ("vit_s16", "vit_s14"), "convnext": ("convnext_t", "convnext_pocket")}

# What else shapes a run; runs that differ here are never averaged.
_SETTINGS = ("size", "epochs", "steps", "batch_size", "learning_rate", "alpha", "beta", "tau", "split_rule")


# -- the paper's tables, with a column of our own ----------------------------------------------------------------------


def our_numbers(
    dataset: str,
    pair: str,
    method: str,
    fraction: float,
    *,
    metric: str = "accuracy",
    records: Sequence[Record] | None = None,
) -> tuple[float, ...] | None:
    """Return our own values for one table cell, one per seed in the order of the seeds, or None where nothing exists.

    Args:
        dataset: ``"xray"``, ``"ct"``, ``"mri"`` or another data set name as the record spells it.
        pair: the teacher and student pair, a name in ``dmws_lite.teachers.PAIRS``.
        method: the paper's name in lower case (``"ours"``, ``"cm1"``, ...).
        fraction: share of the training part that is labelled, 0 to 1.
        metric: which entry of the record's ``metrics``.
        records: the records to search; read from ``data/results`` when left out.

    Raises:
        ValueError: the records that match were made with different settings, or two describe the same run.
    """
    rule, method = RULES.get(method, "uniform"), "ours" if method in RULES else method
    by_seed: dict[object, float] = {}
    settings = None
    for record in read_records() if records is None else records:
        same = (record["dataset"], record["pair"], record["method"]) == (dataset, pair, method)
        same = same and record.get("rule", "uniform") == rule and math.isclose(float(record["fraction"]), fraction)
        same = same and not record.get("strategy")
        if not same or metric not in record["metrics"]:
            continue
        settings = settings or _settings(record)
        if settings != _settings(record) or record["seed"] in by_seed:
            what = "the same run" if settings == _settings(record) else "different settings"
            raise ValueError(
                f"two records for {dataset}, {pair}, {method}, {fraction:.0%} describe {what} "
                f"(seed {record['seed']}); pass only the records of one setting, one per seed"
            )
        by_seed[record["seed"]] = float(record["metrics"][metric])
    return tuple(by_seed[seed] for seed in sorted(by_seed)) or None


def _settings(record: Record) -> tuple[tuple[str, object], ...]:
    return tuple((key, record[key]) for key in _SETTINGS if key in record)


def _settings_text(settings: Sequence[tuple[str, object]], tau: float) -> str:
    """Put settings into words; alpha, beta and tau only where they are not the paper's."""
    known = dict(settings)
    words = [f"{known['size']} px"] if "size" in known else []
    words += [f"{known['epochs']} epochs"] if known.get("epochs") else []
    words += [f"{known['steps']} steps"] if known.get("steps") else []
    words += [f"{known['split_rule']} split"] if "split_rule" in known else []
    words += [
        f"{name}={known[name]:g}"
        for name, usual in (("alpha", 0.6), ("beta", 0.9), ("tau", tau))
        if known.get(name, usual) != usual
    ]
    return ", ".join(words) or "settings not recorded"


def _record_settings(record: Record) -> str:
    return _settings_text(_settings(record), PAIRS[record["pair"]].tau)


def _title(method: str) -> str:
    return PAPER_TITLES.get(method) or METHODS[method].title


def _our_title(data_set: str, groups: Sequence[Group]) -> str:
    classes = {group.task["classes"] for group in groups if group.task["dataset"] == data_set}
    return set_label(data_set, classes.pop() if len(classes) == 1 else None)


def _pair_name(paper: Mapping, arch: str) -> str:
    return f"{paper['pairs'][arch]['teacher']} → {paper['pairs'][arch]['student']}"


def paper_table(
    number: int,
    ours: bool = True,
    *,
    pairs: Mapping[str, Sequence[str]] = OUR_PAIRS,
    records: Sequence[Record] | None = None,
) -> Table:
    """Return one of the paper's tables 2 to 8, with our own numbers beside it.

    The best paper mean of each column, within one pair and data set, is strong; ties are all strong. Our columns mark
    nothing: how many seeds stand behind a number differs from cell to cell.

    Args:
        number: the table's number in the paper, 2 to 8.
        ours: add the columns "here". Table 8 (memory and time) has none: other machines are not comparable.
        pairs: which of our pairs may stand in the rows of ``"vit"`` and ``"convnext"``; the first one with a record
            for this table's data is taken for all rows of that family, and of its records those of the setting with
            most runs. A column never mixes two pairs or two settings. Runs on fewer classes than the paper's, or with
            another alpha or beta, are left out.
        records: our run records; read from ``data/results`` when left out.

    Raises:
        ValueError: the number is not one of 2 to 8.
    """
    paper = paper_numbers()
    if str(number) not in paper["tables"]:
        raise ValueError(f"the paper has no result table {number}; choose 2 to 8")
    table = paper["tables"][str(number)]
    title = f"Paper's table {number}: {table['title']}"
    if number == 8:
        return _paper_cost_table(title, table)
    cells = {(c["arch"], c["dataset"], c["method"], c["fraction"]): c for c in table["cells"]}
    fractions = sorted({fraction for *_, fraction in cells})
    row_keys = list(dict.fromkeys(key[:3] for key in cells))
    best = {
        (arch, dataset, fraction): max(
            c["mean"] for key, c in cells.items() if (key[0], key[1], key[3]) == (arch, dataset, fraction)
        )
        for arch, dataset, _, fraction in cells
    }
    if ours and records is None:
        records = read_records()
    chosen = _comparable_records(row_keys, pairs, records) if ours else {}
    rows = []
    for arch, dataset, method in row_keys:
        row = [Cell(_pair_name(paper, arch)), Cell(SETS[dataset].title), Cell(_title(method), head=True)]
        for fraction in fractions:
            cell = cells[arch, dataset, method, fraction]
            row.append(
                Cell(f"{cell['mean']:.3f} ± {cell['sd']:.3f}", strong=cell["mean"] == best[arch, dataset, fraction])
            )
        if ours:
            own = chosen.get(arch, ())
            pair = own[0]["pair"] if own else ""
            values = [our_numbers(dataset, pair, method, f, records=own) for f in fractions]
            if any(values):
                row += [Cell(spread_text(summarise(v)) if v else NOT_MEASURED) for v in values]
            else:
                row.append(Cell(NOT_MEASURED, span=len(fractions) if chosen else 1))
        rows.append(row)
    header = ["Pair in the paper", "Data", "Method", *(f"Paper, {f:.0%}" for f in fractions)]
    if ours:
        header += [f"Here, {f:.0%}" for f in fractions] if chosen else ["Here"]
    return _without_constant_columns(title, header, rows, _notes(paper, table, chosen))


def _comparable_records(
    row_keys: Sequence[tuple[str, str, str]], pairs: Mapping[str, Sequence[str]], records: Sequence[Record]
) -> dict[str, tuple[Record, ...]]:
    """Choose, per family of the paper, our records that may stand in its rows: one pair, one setting."""
    chosen = {}
    for arch, candidates in pairs.items():
        rows = {
            (dataset, "ours" if method in RULES else method, RULES.get(method, "uniform"))
            for family, dataset, method in row_keys
            if family == arch
        }
        for pair in candidates:
            groups: dict[tuple, list[Record]] = {}
            for r in records:
                row = (r["dataset"], r["method"], r.get("rule", "uniform"))
                if r["pair"] == pair and row in rows and _same_task(r):
                    groups.setdefault(_settings(r), []).append(r)
            if groups:
                chosen[arch] = tuple(max(groups.values(), key=len))
                break
    return chosen


def _same_task(record: Record) -> bool:
    """Tell whether a record has the paper's classes, alpha and beta, as far as it says."""
    classes = record.get("classes")
    return (
        (classes is None or len(classes) == CLASSES.get(record["dataset"]))
        and math.isclose(float(record.get("alpha", 0.6)), 0.6)
        and math.isclose(float(record.get("beta", 0.9)), 0.9)
        and not record.get("strategy")
    )


def _notes(paper: Mapping, table: Mapping, chosen: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    notes = [f"Paper: mean ± sd of accuracy over {paper['runs']} draws of the training subset ({table['source']})."]
    if chosen:
        named = "; ".join(
            f"{_pair_name(paper, arch)} rows: our pair {own[0]['pair']} ({_record_settings(own[0])})"
            for arch, own in chosen.items()
        )
        notes.append(
            f"Here: {named}. Mean ± sample sd over n seeds. Teacher, image size, split and number of epochs may differ "
            "from the paper's; compare methods with each other in one column, not levels across columns."
        )
    return tuple(notes)


def _without_constant_columns(title: str, header: list[str], rows: list[list[Cell]], notes: tuple[str, ...]) -> Table:
    """Move a label that is the same in every row (one pair, one data set) from its column into the title."""
    constant = [i for i in (0, 1) if len({row[i].text for row in rows}) == 1]
    # A table's title may name the data set already; only what it does not say is added.
    extra = [rows[0][i].text for i in constant if rows[0][i].text.lower() not in title.lower()]
    keep = [i for i in range(len(header)) if i not in constant]
    kept_rows = tuple(tuple(cell for i, cell in enumerate(row) if i not in constant) for row in rows)
    return Table(" · ".join([title, *extra]), tuple(header[i] for i in keep), kept_rows, notes)


def _paper_cost_table(title: str, table: Mapping) -> Table:
    base = {c["dataset"]: c for c in table["cells"] if c["method"] == "cm1"}
    rows = []
    for c in table["cells"]:
        row = [Cell(SETS[c["dataset"]].title), Cell(_title(c["method"]), head=True)]
        for key in ("memory_mib", "time_s"):
            extra = c[key] / base[c["dataset"]][key] - 1
            row.append(Cell(f"{c[key]:,}" + (f" ({extra:+.0%})" if c["method"] != "cm1" else "")))
        rows.append(tuple(row))
    header = ("Data", "Method", "GPU memory in MiB", "Time in s")
    notes = (f"ViT-S → ViT-T, {table['device']} ({table['source']}). The percentages are ours: extra over CM1.",)
    return Table(title, header, tuple(rows), notes)


def paper_gain_table() -> Table:
    """Return the paper's gain of its method over CM1, tables 2 to 4, with our standard error of the difference.

    The error is ``sqrt((sd_a**2 + sd_b**2) / 5)``: five runs each, taken as independent. The paper does not say whether
    both methods saw the same five subsets; if they did, the true error is probably smaller.
    """
    paper = paper_numbers()
    runs = paper["runs"]
    cells = {
        (c["arch"], c["dataset"], c["fraction"], c["method"]): c for n in "234" for c in paper["tables"][n]["cells"]
    }
    fractions = sorted({fraction for _, _, fraction, _ in cells})
    rows = []
    for arch, dataset in dict.fromkeys(key[:2] for key in sorted(cells, reverse=True)):
        row = [Cell(_pair_name(paper, arch)), Cell(SETS[dataset].title, head=True)]
        for fraction in fractions:
            a, b = cells[arch, dataset, fraction, "ours"], cells[arch, dataset, fraction, "cm1"]
            error = math.sqrt((a["sd"] ** 2 + b["sd"] ** 2) / runs)
            row.append(Cell(f"{a['mean'] - b['mean']:+.3f} ± {error:.3f}"))
        rows.append(tuple(row))
    return Table(
        "Gain of the paper's method over CM1",
        ("Pair in the paper", "Data", *(f"{fraction:.0%}" for fraction in fractions)),
        tuple(rows),
        ("Difference of mean accuracies ± standard error, computed by us from tables 2 to 4 for independent runs.",),
    )


def disagreement_table() -> Table:
    """Return the cells that stand in more than one of the paper's tables with different numbers."""
    paper = paper_numbers()
    seen: dict[tuple, dict[str, str]] = {}
    for number, table in paper["tables"].items():
        for c in table["cells"]:
            if "mean" in c:
                key = (c["arch"], c["dataset"], SAME_METHOD.get(c["method"], c["method"]), c["fraction"])
                seen.setdefault(key, {})[number] = f"{c['mean']:.3f} ± {c['sd']:.3f}"
    rows = []
    for (arch, dataset, method, fraction), values in seen.items():
        if len(set(values.values())) > 1:
            listed = "; ".join(f"table {number}: {value}" for number, value in values.items())
            label = f"{SETS[dataset].title}, {fraction:.0%}, {_title(method)}"
            rows.append((Cell(label, head=True), Cell(_pair_name(paper, arch)), Cell(listed)))
    notes = ("Found by comparing all cells of tables 2 to 7 with each other.",)
    return Table("One experiment, different numbers", ("Experiment", "Pair", "Values"), tuple(rows), notes)


def own_table(records: Sequence[Record] | None = None) -> Table:
    """Return everything this project has measured: one row per data set, pair, method, fraction and settings."""
    header = ("Data set", "Pair", "Method", "Labelled share", "Settings", "Accuracy")
    groups: dict[tuple, dict[object, float]] = {}
    for r in read_records() if records is None else records:
        if "accuracy" not in r["metrics"]:
            continue
        data = set_label(r["dataset"], len(r["classes"]) if "classes" in r else None)
        how = _title(r["method"])
        rule = r.get("rule", "uniform")
        how += f", {rule} rule" if rule != "uniform" else ""
        how += f", taught by {r['strategy']}" if r.get("strategy") else ""
        how += "".join(f", {name} {value:g}" for name, value in sorted((r.get("strategy_options") or {}).items()))
        key = (data, r["pair"], r["fraction"], how, _settings(r))
        values = groups.setdefault(key, {})
        if r["seed"] in values:
            raise ValueError(f"two records describe {', '.join(map(str, key[:4]))}, seed {r['seed']}; keep one of them")
        values[r["seed"]] = float(r["metrics"]["accuracy"])
    if not groups:
        return Table("Measured here", header, ((Cell(NOT_MEASURED, span=len(header)),),))
    rows = []
    for key in sorted(groups, key=repr):
        data, pair, fraction, how, settings = key
        texts = (
            f"{fraction:.0%}",
            _settings_text(settings, PAIRS[pair].tau),
            spread_text(summarise(tuple(groups[key].values()))),
        )
        rows.append((Cell(data), Cell(pair), Cell(how, head=True), *map(Cell, texts)))
    return Table("Measured here", header, tuple(rows), ("Mean ± sample sd over n seeds; no sd where n is 1.",))


# -- the paper's differences and ours ----------------------------------------------------------------------------------


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
    runs = paper_numbers()["runs"]
    first, second = (Summary(runs, cell["mean"], cell["sd"], math.nan, math.nan, ()) for cell in (a, b))
    welch = unpaired_difference(first, second)
    return welch.mean, welch.low, welch.high


def paper_gain_summaries() -> dict[tuple[str, str, float], Summary]:
    """Return the paper's gains of its method over CM1, each with its 95% Welch interval.

    Returns:
        ``{(data set, architecture, share): gain}``, the cells of tables 2 to 4 in their order.
    """
    names = {2: "xray", 3: "ct", 4: "mri"}
    runs, found = paper_numbers()["runs"], {}
    for number, dataset in names.items():
        for arch in ARCHES:
            for fraction in (0.01, 0.05, 0.1):
                mean, low, high = _paper_difference(_paper_cells(number), arch, dataset, ("ours", "cm1"), fraction)
                found[dataset, arch, fraction] = Summary(runs, mean, math.nan, low, high, ())
    return found


def paper_gains() -> list[tuple[float, float, float]]:
    """Return mean and 95% Welch interval of the paper's gains of its method over CM1, in the order of its tables."""
    return [(gain.mean, gain.low, gain.high) for gain in paper_gain_summaries().values()]


def verdict_box(title: str, parts: Mapping[str, Sequence[str]]) -> HtmlBox:
    """Return a box for the top of a page: headings, and sentences below each."""
    lines = "".join(
        f"<p><strong>{html.escape(head)}</strong></p><ul>{''.join(f'<li>{html.escape(s)}</li>' for s in texts)}</ul>"
        for head, texts in parts.items()
    )
    title = html.escape(title)
    return HtmlBox(f'<div class="admonition important"><p class="admonition-title">{title}</p>{lines}</div>')


@dataclass(frozen=True)
class HtmlBox:
    """HTML that a page shows."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


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
    theirs, ours = names[number], COUNTERPARTS[names[number]]
    cells, groups = _paper_cells(number), group_records([r for r in records if r["pair"] == pair])
    rows = []
    for fraction in (0.01, 0.05, 0.1):
        for method in ("ours", "cm1", "cm2", "cm3", "cm4"):
            group = find(groups, method, dataset=ours, fraction=fraction)
            here = NOT_MEASURED if group is None else spread_text(group.summary())
            rows.append(
                (
                    Cell(f"{fraction:.0%}"),
                    Cell(METHODS[method].short, head=True),
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
    title = f"Table {number} and ours: accuracy on {_our_title(ours, groups)}"
    notes = (
        "Mean ± sd over five runs (paper) and over n seeds (here). Another teacher, another image size and fewer "
        "steps: the levels are for orientation and are not subtracted.",
        TASK_NOTES[ours],
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
        own_set = COUNTERPARTS[dataset]
        for fraction in fractions:
            for theirs, ours in pairs.items():
                found = [find(groups, key, dataset=own_set, fraction=fraction, **task) for key in ours]
                rows.append(
                    (
                        Cell(f"{SETS[own_set].title}, {fraction:.0%}"),
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
        run = f"Here: {task['pair']}, {task['size']} px, batch {task['batch_size']}, {one['history'][-1]['step']} steps"
        rows.append(_cost_row(run, one["device"], numbers, f"{len(ours.by_seed)}"))
    header = ("Run", "Device", "Time, CM1", "Time, ours", "Extra", "Memory, CM1", "Memory, ours", "Extra", "Runs each")
    notes = (
        "Time of the whole training. Here: median over the runs; memory is the peak of the whole process on a CPU "
        "(images and libraries included) and of the tensors on a GPU: compare the extra of equal devices only.",
    )
    return Table("Table 8 and ours: what the auxiliary student costs", header, tuple(rows), notes)


def _middle(group: Group, column: str) -> float:
    values = [record[column] for record in group.by_seed.values() if record.get(column) is not None]
    return statistics.median(values) if values else math.nan


def _cost_row(run: str, device: str, numbers: Sequence[tuple[float, float]], n: str) -> tuple[Cell, ...]:
    cells = [Cell(run, head=True), Cell(device)]
    for (base, ours), unit in zip(numbers, ("s", "MiB")):
        known = not math.isnan(base) and not math.isnan(ours)
        cells += [Cell(f"{x:,.0f} {unit}" if not math.isnan(x) else NOT_MEASURED) for x in (base, ours)]
        cells.append(Cell(f"{ours / base - 1:+.0%}" if known else ""))
    return (*cells, Cell(n))
