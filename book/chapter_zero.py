"""What only chapter 0 (start.md) shows: the concept map, the hours per chapter, and the counts of our comparisons."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from IPython.display import HTML

from dmws_lite.experiments.compare import Difference
from dmws_lite.experiments.records import read_records
from dmws_lite.experiments.tables import Cell, Table, all_differences

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from stamp_times import notebook_minutes, read_times, rounded  # noqa: E402

GRIDS = ("tables", "long", "ablations", "pairs")  # those that book/paper_vs_here.md counts
SESSIONS = {"01": "session 1", "02": "session 2", "03": "session 3", "04": "session 3", "05": "session 4",
            "06": "session 4", "07": "project"}  # fmt: skip

# Boxes of the map: name, lines of text, page, middle of the box, width. The drawing is 360 wide, as a telephone is.
BOXES = {
    "labels": (("Few labels",), "#few-labels", 180, 30, 130),
    "overfitting": (("Overfitting",), "glossary.html#term-Overfitting", 180, 105, 130),
    "channels": (("Pretrained", "channels"), "#pretrained-channels", 62, 205, 108),
    "targets": (("Soft", "targets"), "#soft-targets", 180, 205, 100),
    "averages": (("Averaged", "weights"), "#averages-of-weights", 298, 205, 108),
    "halves": (("Two halves of", "one teacher"), "#two-halves-of-one-teacher", 76, 310, 128),
    "mean": (("A teacher that", "follows its student"), "glossary.html#term-Mean-teacher", 258, 310, 164),
    "method": (("The method: main learns,", "the auxiliary advises"), "#the-method-in-five-sentences", 180, 415, 226),
    "proof": (("Is it any better?",), "#what-will-turn-out-to-be-open", 180, 500, 170),
}
# Arrows: from, to, what it says, and where the word stands.
ARROWS = (
    ("labels", "overfitting", "lead to", (208, 72)),
    ("overfitting", "channels", "is reduced by", (62, 150)),
    ("overfitting", "targets", "or by", (162, 162)),
    ("overfitting", "averages", "or by", (286, 150)),
    ("channels", "halves", "are cut into", (112, 252)),
    ("targets", "mean", "come from", (184, 272)),
    ("averages", "mean", "make", (302, 262)),
    ("halves", "method", "are the start of", (80, 368)),
    ("mean", "method", "is the auxiliary in", (284, 368)),
    ("method", "proof", "raises the question", (242, 462)),
)
HEIGHT = {1: 32, 2: 50}  # of a box, by its lines

STYLE = """
.dmws-map { max-width: 560px; margin: 1rem 0; }
.dmws-map svg { display: block; width: 100%; height: auto; color: var(--pst-color-text-base); }
.dmws-map rect { fill: var(--pst-color-surface); stroke: var(--pst-color-primary); stroke-width: 1.5; }
.dmws-map a:hover rect, .dmws-map a:focus-visible rect { stroke-width: 3.5; }
.dmws-map a { outline: none; }
.dmws-map text { font: 14px system-ui, sans-serif; fill: var(--pst-color-text-base); text-anchor: middle; }
.dmws-map a text { font-weight: 600; }
.dmws-map text.word { font-size: 12px; fill: var(--pst-color-text-muted); }
.dmws-map path { fill: none; stroke: var(--pst-color-text-muted); stroke-width: 1.5; }
.dmws-map marker path { fill: var(--pst-color-text-muted); stroke: none; }
"""


def concept_map() -> HTML:
    """Return the concept map: boxes that are links, arrows with a word, and the same as text for screen readers."""

    def half(name: str) -> float:
        return HEIGHT[len(BOXES[name][0])] / 2

    arrows, boxes = [], []
    for first, second, word, (x, y) in ARROWS:
        (_, _, x1, y1, _), (_, _, x2, y2, _) = BOXES[first], BOXES[second]
        arrows.append(
            f'<path d="M{x1} {y1 + half(first)}L{x2} {y2 - half(second) - 3}" marker-end="url(#dmws-map-end)"/>'
        )
        arrows.append(f'<text class="word" x="{x}" y="{y}">{html.escape(word)}</text>')
    for name, (lines, page, x, y, width) in BOXES.items():
        first = y + 5 - 9 * (len(lines) - 1)
        text = " ".join(f'<text x="{x}" y="{first + 18 * i}">{line}</text>' for i, line in enumerate(lines))
        box = f'<rect x="{x - width / 2}" y="{y - half(name)}" width="{width}" height="{2 * half(name)}" rx="8"/>'
        boxes.append(f'<a href="{page}" aria-label="{" ".join(lines)}">{box}{text}</a>')
    said = "; ".join(f"{' '.join(BOXES[a][0])} {word} {' '.join(BOXES[b][0])}" for a, b, word, _ in ARROWS)
    return HTML(
        f'<style>{STYLE}</style><div class="dmws-map"><svg viewBox="0 0 360 525" role="group" '
        'aria-labelledby="dmws-map-title dmws-map-text"><title id="dmws-map-title">Concept map of this chapter</title>'
        f'<desc id="dmws-map-text">{html.escape(said)}.</desc><defs><marker id="dmws-map-end" viewBox="0 0 10 10" '
        'refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>'
        f'<g aria-hidden="true">{"".join(arrows)}</g>{"".join(boxes)}</svg></div>'
    )


def chapters() -> list[tuple[str, float, float, str]]:
    """Return title, minutes to read, seconds to run with the profile fast and session of each notebook."""
    seconds, found = read_times(ROOT), []
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        title = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1]
        found.append((title, notebook_minutes(notebook), seconds[path.stem], SESSIONS[path.name[:2]]))
    return found


def hours_table() -> Table:
    """Return what each chapter takes: minutes to read, seconds to run, and the session of the instructor's guide."""
    rows = tuple(
        (Cell(title, head=True), Cell(f"{rounded(minutes)} min"), Cell(f"{rounded(seconds)} s"), Cell(session))
        for title, minutes, seconds, session in chapters()
    )
    return Table("What each chapter takes", ("Chapter", "To read", "To run", "In class"), rows)


def reading_hours() -> float:
    """Return the hours that reading all notebooks takes, without their exercises."""
    return sum(minutes for _, minutes, _, _ in chapters()) / 60


def our_differences(names: tuple[str, str]) -> list[Difference]:
    """Return the paired differences of two methods on every task of our grids, such as ``("ours", "cm1")``."""
    records = [record for grid in GRIDS for record in read_records(grid=grid)]
    return all_differences(records, [names])[names]


def verdicts(differences: Sequence[Difference]) -> dict[str, int]:
    """Count how many differences are higher, lower and inconclusive."""
    found = [d.verdict if d.verdict in ("higher", "lower") else "inconclusive" for d in differences]
    return {name: found.count(name) for name in ("higher", "lower", "inconclusive")}
