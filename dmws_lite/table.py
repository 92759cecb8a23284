"""A small table that a browser, a screen reader, a terminal and a spreadsheet can all read."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass


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

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.header)
        body = "".join(f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in self.rows)
        notes = "".join(f"<p><small>{html.escape(note)}</small></p>" for note in self.notes)
        title = html.escape(self.title)
        # Wide tables scroll inside their own region, so that a telephone does not scroll the whole page;
        # tabindex lets a keyboard reach that region.
        return (
            f'<div role="region" tabindex="0" aria-label="{title}" style="overflow-x:auto">'
            f'<table class="table" style="font-size:0.85em"><caption style="caption-side:top">{title}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}"
        )

    def _repr_markdown_(self) -> str:
        lines = [f"**{self.title}**", "", _markdown_row(self.header), _markdown_row(["---"] * len(self.header))]
        for row in self.rows:
            texts = []
            for cell in row:
                texts += [f"**{cell.text}**" if cell.strong else cell.text] + [""] * (cell.span - 1)
            lines.append(_markdown_row(texts))
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


def _html_cell(cell: Cell) -> str:
    text = html.escape(cell.text)
    span = f' colspan="{cell.span}"' if cell.span > 1 else ""
    if cell.head:
        return f'<th scope="row"{span}>{text}</th>'
    text = f"<strong>{text}</strong>" if cell.strong else text
    # A number and its spread stay on one line; words may wrap.
    style = ' style="white-space:nowrap"' if text.count("±") == 1 else ""
    return f"<td{span}{style}>{text}</td>"


def _markdown_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"
