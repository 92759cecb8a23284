"""Tables of results, and the one renderer of tables: HTML, Markdown and comma-separated text."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..images.sets import set_label
from .compare import INCONCLUSIVE, Difference, Group, Record, change, difference, find, group_records
from .statistics import Summary, holm

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Cell:
    """One table cell: ``strong`` marks the best of its column, ``span`` joins columns, ``head`` labels the row."""

    text: str
    strong: bool = False
    span: int = 1
    head: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header.

    Attributes:
        title: caption.
        header: column names.
        rows: cells, each row as wide as the header (spans counted).
        notes: sentences below the table.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def to_html(self, name: str = "table") -> str:
        """Return the table as HTML that screen readers understand and telephones can scroll.

        Args:
            name: CSS classes of the table. A row whose first cell is a head carries that cell's text as ``data-row``.
        """
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.header)
        body = "".join(f"<tr{_row_name(row)}>{''.join(map(_html_cell, row))}</tr>" for row in self.rows)
        notes = "".join(f"<p><small>{html.escape(note)}</small></p>" for note in self.notes)
        title = html.escape(self.title)
        # Wide tables scroll inside their own region, so that a telephone does not scroll the whole page;
        # tabindex lets a keyboard reach that region.
        return (
            f'<div role="region" tabindex="0" aria-label="{title}" style="overflow-x:auto">'
            f'<table class="{name}" style="font-size:0.85em"><caption style="caption-side:top">{title}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}"
        )

    _repr_html_ = to_html

    def _repr_markdown_(self) -> str:
        rows = [
            [text for c in row for text in [f"**{c.text}**" if c.strong else c.text] + [""] * (c.span - 1)]
            for row in self.rows
        ]
        lines = [f"**{self.title}**", "", *markdown_table(self.header, rows)]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    __str__ = _repr_markdown_

    def to_csv(self) -> str:
        """Return header and rows as comma-separated text, one line each; title and notes are left out."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.header)
        for row in self.rows:
            writer.writerow([text for cell in row for text in [cell.text] + [""] * (cell.span - 1)])
        return stream.getvalue()


def _row_name(row: Sequence[Cell]) -> str:
    return f' data-row="{html.escape(row[0].text)}"' if row and row[0].head else ""


def _html_cell(cell: Cell) -> str:
    text = html.escape(cell.text)
    span = f' colspan="{cell.span}"' if cell.span > 1 else ""
    if cell.head:
        return f'<th scope="row"{span}>{text}</th>'
    text = f"<strong>{text}</strong>" if cell.strong else text
    # A number and its spread stay on one line; words may wrap.
    style = ' style="white-space:nowrap"' if text.count("±") == 1 else ""
    return f"<td{span}{style}>{text}</td>"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[int] = ()) -> list[str]:
    """Return a Markdown table, one line per row.

    Args:
        header: column names.
        rows: cells, each row as wide as the header.
        right: numbers of the columns that are aligned to the right.
    """
    dashes = ["---:" if number in right else "---" for number in range(len(header))]
    return [_markdown_row(header), _markdown_row(dashes), *(_markdown_row(list(map(str, row))) for row in rows)]


def _markdown_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", text) for text in texts) + " |"


def _columns(groups: Sequence[Group]) -> list[dict[str, object]]:
    """Return the tasks, each once, in the order of the groups."""
    tasks: list[dict[str, object]] = []
    for group in groups:
        if group.task not in tasks:
            tasks.append(group.task)
    return tasks


_TASK_WORDS = {
    "split_rule": "{} split",
    "steps": "{} steps",
    "epochs": "{} epochs",
    "size": "{} px",
    "batch_size": "batches of {}",
    "learning_rate": "rate {:g}",
    "schedule": "{} rate",
    "augmentation": "{} augmentation",
    "label_noise": "{:.0%} wrong labels",
    "precision": "{}",
    "tune": "tuned",
}


def task_label(task: Mapping[str, object], others: Sequence[Mapping[str, object]] = ()) -> str:
    """Name a task: data set and fraction, and whatever else sets it apart from the others."""
    words = [set_label(str(task["dataset"]), task.get("classes")), f"{task['fraction']:.0%}"]
    differs = {name for name in task if len({str(o[name]) for o in others}) > 1}
    if "pair" in differs:
        words.append(str(task["pair"]))
    alike = [o for o in others if (o["dataset"], o["fraction"], o["pair"]) == tuple(
        task[n] for n in ("dataset", "fraction", "pair"))]  # fmt: skip
    for name, text in _TASK_WORDS.items():
        if len({o[name] for o in alike}) > 1 and task[name]:
            words.append(text.format(task[name]))
    return ", ".join(words)


def result_table(records: Sequence[Record], title: str, metric: str = "accuracy") -> Table:
    """Return mean ± sd over seeds: one row per variant, one column per task; the best mean of a column is strong.

    Strong is the highest mean, which is not the same as a conclusive difference: see :func:`difference_table`.

    Example:
        >>> from dmws_lite.experiments.records import read_records
        >>> from dmws_lite.experiments.tables import result_table
        >>> records = read_records(grid="tables", dataset="mri", fraction=0.05, steps=400)
        >>> table = result_table([r for r in records if r["method"] in ("ours", "cm1")], "Brain MRI")
        >>> print(table.to_csv())
        Variant,"Brain MRI (4 classes), 5%"
        ours,0.756 ± 0.016 (n=5)
        cm1,0.791 ± 0.009 (n=5)
        <BLANKLINE>
    """
    groups = group_records(records)
    tasks = _columns(groups)
    cells = {(g.key, repr(g.task)): g for g in groups}
    keys = list(dict.fromkeys(g.key for g in groups))
    best = {
        repr(task): max(g.summary(metric).mean for g in groups if g.task == task and g.variant.method != "teacher")
        for task in tasks
        if any(g.task == task and g.variant.method != "teacher" for g in groups)
    }
    rows = []
    for key in keys:
        row = [Cell(key, head=True)]
        for task in tasks:
            group = cells.get((key, repr(task)))
            if group is None:
                row.append(Cell(NOT_MEASURED))
                continue
            s = group.summary(metric)
            row.append(Cell(spread_text(s), strong=s.mean == best.get(repr(task)) and len(keys) > 1))
        rows.append(tuple(row))
    header = ("Variant", *(task_label(task, tasks) for task in tasks))
    notes = (
        f"Test {metric.replace('_', ' ')}, mean ± sample sd over n seeds; bold is the highest mean of a student in its "
        "column, even where its difference to the next is inconclusive.",
    )
    return Table(title, header, tuple(rows), notes)


def spread_text(summary: Summary) -> str:
    """Write a summary as ``mean ± sd (n)``."""
    return f"{summary.mean:.3f} (n=1)" if summary.n == 1 else f"{summary.mean:.3f} ± {summary.sd:.3f} (n={summary.n})"


def interval_text(summary: Summary) -> str:
    """Write a difference with its interval, signed."""
    if summary.n == 1:
        return f"{summary.mean:+.3f} (n=1)"
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


def difference_table(records: Sequence[Record], pairs: Sequence[tuple[str, str]] | str, title: str) -> Table:
    """Return paired differences in accuracy with 95% intervals, one row per task and pair of variants.

    Args:
        records: the runs.
        pairs: short names to compare, ``(first, second)``; or one short name that every other variant is compared with.
        title: caption.
    """
    groups = group_records(records)
    tasks = _columns(groups)
    found: list[tuple[str, Difference]] = []
    for task in tasks:
        by_key = {g.key: g for g in groups if g.task == task}
        wanted = [(key, pairs) for key in by_key if key != pairs] if isinstance(pairs, str) else pairs
        for first, second in wanted:
            if first in by_key and second in by_key and (d := difference(by_key[first], by_key[second])):
                found.append((task_label(task, tasks), d))
    adjusted = holm([d.p for _, d in found])
    rows = [
        (
            Cell(label),
            Cell(f"{d.first} − {d.second}", head=True),
            Cell(interval_text(d.summary)),
            Cell(str(d.summary.n)),
            Cell("" if math.isnan(p) else f"{p:.2f}" if p >= 0.01 else "< 0.01"),
            Cell(d.verdict),
        )
        for (label, d), p in zip(found, adjusted)
    ]
    tests = sum(not math.isnan(d.p) for _, d in found)
    notes = (
        "Mean difference of test accuracy on the same splits with its 95% t interval over seeds, which is not adjusted "
        f"for the number of rows. The p value is adjusted for the rows of this table (paired t test, Holm, {tests} "
        "comparisons). The last column says on which side of 0 the interval lies.",
    )
    header = ("Task", "Difference", "Mean and 95% interval", "Seeds", "Adjusted p", "First is")
    return Table(title, header, tuple(rows), notes)


def all_differences(
    records: Sequence[Record], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[Difference]]:
    """Compare pairs of variants on every task where both were run, with at least two common seeds.

    Args:
        records: the runs.
        pairs: short names, ``(first, second)``.

    Returns:
        For each pair its differences, one per task.
    """
    groups = group_records(records)
    found: dict[tuple[str, str], list[Difference]] = {pair: [] for pair in pairs}
    for task in _columns(groups):
        by_key = {g.key: g for g in groups if g.task == task}
        for first, second in pairs:
            if first in by_key and second in by_key:
                d = difference(by_key[first], by_key[second])
                if d is not None and d.summary.n > 1:
                    found[first, second].append(d)
    return found


def tally_table(records: Sequence[Record], questions: Mapping[str, tuple[str, str]], title: str) -> Table:
    """Count how often the intervals of a difference were higher, lower or inconclusive: one row per question.

    Args:
        records: the runs.
        questions: text -> short names ``(first, second)`` whose difference answers it.
        title: caption.
    """
    found = all_differences(records, list(questions.values()))
    everything = [(pair, d) for pair, differences in found.items() for d in differences]
    adjusted = holm([d.p for _, d in everything])
    rows = []
    for text, pair in questions.items():
        asked = [(d, p) for (other, d), p in zip(everything, adjusted) if other == pair]
        counts = [sum(d.verdict == verdict for d, _ in asked) for verdict in ("higher", "lower", INCONCLUSIVE)]
        means = [d.summary.mean for d, _ in asked]
        spread = f"{min(means):+.3f} to {max(means):+.3f}" if means else NOT_MEASURED
        sure = sum(p < 0.05 for _, p in asked)
        cells = [Cell(text, head=True), Cell(" − ".join(pair)), Cell(str(len(asked))), *(Cell(str(c)) for c in counts)]
        rows.append((*cells, Cell(spread), Cell(str(sure))))
    header = (
        "Question",
        "Difference",
        "Tasks",
        "Higher",
        "Lower",
        "Inconclusive",
        "Mean differences",
        "Adjusted p < 0.05",
    )
    notes = (
        "A task is a data set, a pair, a labelled share and a number of steps. Higher and lower: the 95% interval over "
        f"seeds excludes 0. The last column counts what remains after Holm's adjustment for {len(everything)} "
        "comparisons. With so few seeds hardly any effect can pass it, so a 0 there does not rule an effect out.",
    )
    return Table(title, header, tuple(rows), notes)


def change_table(
    before: Sequence[Record], after: Sequence[Record], pairs: Sequence[tuple[str, str]], title: str
) -> Table:
    """Return by how much differences between variants changed from one set of runs to another, paired by seed.

    Args:
        before: the first runs; seeds that are not in all four variants are left out.
        after: the same splits, data sets and labelled shares under another setting, such as more steps.
        pairs: short names, ``(first, second)``.
        title: caption.
    """
    first_groups, second_groups = group_records(before), group_records(after)
    rows = []
    for dataset, fraction in dict.fromkeys((g.task["dataset"], g.task["fraction"]) for g in second_groups):
        where = {"dataset": dataset, "fraction": fraction}
        for pair in pairs:
            found = [[find(groups, key, **where) for key in pair] for groups in (first_groups, second_groups)]
            if any(group is None for both in found for group in both):
                continue
            if (changed := change(*found)) is None:
                continue
            *before_and_after, by = changed
            d = Difference(*pair, by, math.nan)
            means = [Cell(f"{each.mean:+.3f}") for each in before_and_after]
            row = [
                Cell(task_label(found[1][0].task)),
                Cell(" − ".join(pair), head=True),
                *means,
                Cell(interval_text(by)),
            ]
            rows.append((*row, Cell({"higher": "up", "lower": "down"}.get(d.verdict, INCONCLUSIVE))))
    header = ("Task", "Difference", "Before", "After", "Change and 95% interval", "Change")
    notes = ("Change of a paired difference, itself paired by seed, with its 95% t interval, not adjusted.",)
    return Table(title, header, tuple(rows), notes)


_CSV = ("dataset", "pair", "fraction", "size", "steps", "epochs", "split_rule", "variant", "n", "mean", "sd", "low",
        "high", "seeds")  # fmt: skip


def to_csv(records: Sequence[Record], metric: str = "accuracy") -> str:
    """Return one line per variant and task: the settings, n, mean, sd, 95% interval and the value of every seed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV)
    for group in group_records(records):
        s = group.summary(metric)
        numbers = [f"{x:.6f}" if not math.isnan(x) else "" for x in (s.mean, s.sd, s.low, s.high)]
        seeds = " ".join(f"{seed}:{value:.6f}" for seed, value in zip(sorted(group.by_seed), s.values))
        writer.writerow([*(group.task[name] for name in _CSV[:7]), group.key, s.n, *numbers, seeds])
    return stream.getvalue()
