"""A model card of one page from a run record: facts by code, opinions by a person.

What a program knows, it fills in: data, split, settings, results with their intervals, and the limits that can be
computed. What it cannot know stays a blank that only a person can fill, and :func:`open_questions` tells which are
left::

    write_model_card("MODEL_CARD.md", record)
    print(open_questions(Path("MODEL_CARD.md").read_text()))
"""

from __future__ import annotations

import math
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._system import write_atomic
from ..images.dataset import mode_counts, mode_rule
from ..images.splits import Split
from ..teachers.pairs import PAIRS
from .methods import METHODS
from .records import run_of
from .statistics import proportion_interval
from .tables import markdown_table

NOT_RECORDED = "not in the record"

BLANK = "\\_\\_\\_\\_"

# What only a person can say, with a hint that disappears with the answer.
QUESTIONS = {
    "Intended use": "for what, by whom, and for what not",
    "Where the images come from": "who took them, when, with what; whose permission; which licence",
    "Who and what is missing": "patients, scanners, hospitals, rare cases that are not in the images",
    "What else could give the class away": "markers, borders, colour, the source; how you looked for it",
    "The worse error": "which wrong answer does more harm, and to whom",
    "How often you looked": "how many settings you tried before this one, and which test results you saw meanwhile",
    "Before anybody relies on it": "what has to be tested first, and on what",
    "Written by": "name and date",
}

_WIDTH = 100

_MOST_CLASSES = 8  # a larger confusion matrix does not fit on one page


def model_card(record: Mapping, data: Split | None = None, answers: Mapping[str, str] | None = None) -> str:
    """Write the model card of one run as Markdown.

    Args:
        record: what :func:`dmws_lite.experiments.execute.execute` returns, or a record file. Three more entries are
            used where they are there: ``colour`` (how the images were read), ``grouped_by`` (what stays on one side of
            the split, in words) and ``test_groups`` (number of patients in the test part).
        data: the split that the run was trained on, where it is at hand: adds the class counts of the training part and
            what the colour modes of the files give away.
        answers: question -> answer, keys of :data:`QUESTIONS`; the others stay open.

    Returns:
        The card. Its numbers are those of the record; what the record does not say is called "not in the record".

    Raises:
        ValueError: the record has no result, an answer belongs to no question, or ``data`` is another split.
    """
    answers = dict(answers or {})
    unknown = sorted(set(answers) - set(QUESTIONS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no question of the card; the questions are {', '.join(QUESTIONS)}")
    matrix = record.get("metrics", {}).get("confusion")
    if not matrix or not record.get("classes"):
        raise ValueError("the record has no classes or no confusion matrix; make it again with this version")
    if data is not None and data.digest != record["split"]["digest"]:
        raise ValueError("data is another split than the record's; pass the one that was trained on")
    parts = [_what(record), _data(record, matrix, data), _training(record), _result(record, matrix)]
    parts += [_limits(record, matrix, data), _opinions(answers)]
    return "\n\n".join("\n".join(map(_wrapped, lines)) for lines in parts) + "\n"


def write_model_card(
    path: str | os.PathLike[str],
    record: Mapping,
    data: Split | None = None,
    answers: Mapping[str, str] | None = None,
) -> Path:
    """Write the card to a file, whole or not at all; answers that stand in that file already are kept.

    Args:
        path: of the file, such as ``MODEL_CARD.md``.
        record: see :func:`model_card`.
        data: see :func:`model_card`.
        answers: see :func:`model_card`; they replace those of the file.

    Returns:
        The path.

    Raises:
        ValueError: see :func:`model_card`.
    """
    path = Path(path)
    kept = given_answers(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return write_atomic(path, model_card(record, data, {**kept, **(answers or {})}))


def given_answers(text: str) -> dict[str, str]:
    """Read the answers back from a card: question -> answer, without the questions that are open."""
    labels = "|".join(map(re.escape, QUESTIONS))
    pieces = re.split(rf"^- \*\*({labels})\.\*\*", text, flags=re.MULTILINE)
    found = {}
    for label, rest in zip(pieces[1::2], pieces[2::2]):
        answer = re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]
        answer = " ".join(answer.split()).replace(_hint(label), "")
        answer = re.sub(r"(\\?_){2,}", " ", answer).strip()
        if re.search(r"\w", answer):
            found[label] = answer
    return found


def open_questions(text: str) -> list[str]:
    """Return the questions of a card that nobody has answered yet, in order; one that was deleted counts as open."""
    given = given_answers(text)
    return [label for label in QUESTIONS if label not in given]


# -- the parts --------------------------------------------------------------------------------------------------------


def _what(record: Mapping) -> list[str]:
    pair = PAIRS.get(record["pair"])
    whole = record["method"] == "teacher"
    size = (pair.teacher_parameters if whole else pair.student_parameters) if pair else None
    name = record.get("data", {}).get("name") or record["dataset"]
    network = (pair.teacher if whole else pair.student) if pair else NOT_RECORDED
    lines = [
        f"# Model card: {_plain(name)}, {len(record['classes'])} classes",
        "",
        "**Teaching material, not a medical device. Do not use it for decisions about patients.** Everything above the "
        "last section was filled in from the run record; the last section is a person's.",
        "",
        "## The model",
        "",
        f"- **Network:** {network}" + (f"; {size:,} parameters without the classifier" if size else ""),
        f"- **Start:** {METHODS[record['method']].title}; {record.get('rule', 'uniform')} selection",
        f"- **Teacher:** {pair.teacher}; weights: {pair.licence}" if pair else f"- **Teacher:** {record['pair']}",
        f"- **Answers:** one of {_and([_plain(name) for name in record['classes']])}, for any image: it cannot say "
        "that it does not know",
    ]
    return lines


def _data(record: Mapping, matrix: Sequence[Sequence[int]], data: Split | None) -> list[str]:
    split = record["split"]
    rule = record.get("split_rule", NOT_RECORDED)
    rules = {
        "grouped": "each class by itself, identical files on one side",
        "random": "at random, copies on both sides",
    }
    how = record.get("grouped_by") or rules.get(rule, rule)
    counts = list(data.train.counts().values()) if data is not None else None
    lines = [
        "## Data",
        "",
        f"- **Images:** {split['train']:,} for training ({record['fraction']:.0%} of the training part asked for), "
        f"{split['test']:,} for the test; {record['size']} × {record['size']} pixels, "
        f"colour: {record.get('colour', NOT_RECORDED)}",
        *_folder(record),
        f"- **Split:** {how}; seed {record['seed']}, digest `{split['digest'][:16]}`",
        "",
    ]
    rows = [
        (
            _plain(name),
            f"{counts[k]:,}" if counts else NOT_RECORDED,
            f"{sum(row):,}",
            f"{row[k]:,}",
            share_text(row[k], sum(row)),
        )
        for k, (name, row) in enumerate(zip(record["classes"], matrix))
    ]
    return lines + markdown_table(("Class", "Training", "Test", "Right", "Recall, 95% interval"), rows, right=(1, 2, 3))


def _folder(record: Mapping) -> list[str]:
    """Name the data by folder, counts and digest; where they lie is nobody else's business."""
    facts = record.get("data")
    if not facts:
        return []
    counts = ", ".join(f"{count:,} {_plain(name)}" for name, count in facts["counts"].items())
    digest = f", digest `{record['images'][:16]}`" if isinstance(record.get("images"), str) else ""
    lines = [f"- **Folder:** {_plain(facts['name'])}, {facts['images']:,} images ({counts}){digest}"]
    if two := facts.get("two_labels"):
        some = "; ".join(" = ".join(map(_plain, files)) for files in two[:3]) + (" ..." if len(two) > 3 else "")
        lines.append(f"- **Under two labels:** {len(two):,} pictures: {some}")
    if record.get("balance", "none") != "none":
        lines.append("- **Balance:** in training, every class was drawn equally often")
    return lines


def _training(record: Mapping) -> list[str]:
    run = run_of(record)
    steps = record["history"][-1]["step"] if record.get("history") else NOT_RECORDED
    versions = ", ".join(f"{name} {number}" for name, number in record.get("versions", {}).items()) or NOT_RECORDED
    loss = {"skd": "equation 5", "labels": "labels only"}.get(run.strategy_name, run.strategy_name)
    if run.strategy_name == "skd":
        loss += f", α {run.alpha:g}, β {run.beta:g}, τ {run.tau:g}"
    seconds = record.get("seconds")
    return [
        "## Training",
        "",
        f"- **Loss:** {loss}",
        f"- **Length:** {steps} steps of at most {run.batch_size} images, AdamW, "
        f"peak learning rate {run.learning_rate:g}",
        f"- **Where:** {record.get('device', NOT_RECORDED)}; "
        f"{f'{seconds:.0f} s' if seconds is not None else NOT_RECORDED}; {versions}",
        f"- **Date:** {record.get('date', NOT_RECORDED)}",
    ]


def _result(record: Mapping, matrix: Sequence[Sequence[int]]) -> list[str]:
    metrics = record["metrics"]
    total, right = sum(map(sum, matrix)), sum(row[k] for k, row in enumerate(matrix))
    lines = [
        "## Result on the test images",
        "",
        f"- **Accuracy:** {share_text(right, total)}, {right:,} of {total:,} right",
        *(f"- **{name}:** {_number(metrics.get(key))}, no interval computed"
          for name, key in (("Macro F1", "macro_f1"), ("AUROC", "auroc"))),
        "",
    ]  # fmt: skip
    names = [_plain(name) for name in record["classes"]]
    if len(names) > _MOST_CLASSES:
        return [*lines, f"Confusions, of {len(names)} classes:", "", *_worst(names, matrix)]
    rows = [(name, *row) for name, row in zip(names, matrix)]
    return lines + markdown_table(("labelled ↓, predicted →", *names), rows, right=range(1, len(names) + 1))


def _worst(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[str]:
    pairs = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n]
    shown = sorted(pairs, key=lambda each: (-each[0], each[1:]))[:_MOST_CLASSES]
    return [f"- {names[i]} taken for {names[j]}: {n:,}" for n, i, j in shown] or ["- none"]


def _limits(record: Mapping, matrix: Sequence[Sequence[int]], data: Split | None) -> list[str]:
    names, sums = [_plain(name) for name in record["classes"]], [sum(row) for row in matrix]
    total, right = sum(sums), sum(row[k] for k, row in enumerate(matrix))
    low, high = proportion_interval(right / total, total)
    most, least = max(range(len(sums)), key=sums.__getitem__), min(range(len(sums)), key=sums.__getitem__)
    seen = [k for k in range(len(sums)) if sums[k]]
    weak = min(seen, key=lambda k: matrix[k][k] / sums[k])
    strong = max(seen, key=lambda k: matrix[k][k] / sums[k])
    beaten = "is below this interval" if sums[most] / total < low else "is **not** below this interval"
    balance = f"**Imbalance.** {sums[most]:,} test images of {names[most]}, {sums[least]:,} of {names[least]}. Always "
    if sums[most] == sums[least]:
        balance = f"**Balance.** {sums[most]:,} test images of each class. Always "
    weakest = f"**Weakest class.** {names[weak]}: {share_text(matrix[weak][weak], sums[weak])}."
    if matrix[weak][weak] * sums[strong] == matrix[strong][strong] * sums[weak]:
        weakest = "**Weakest class.** None: the share of right answers is the same in all."
    lines = [
        f"- **Few images.** One test image is {100 / total:.2g} points of accuracy; the interval spans "
        f"{100 * (high - low):.0f} points.{_dependent(record)}",
        f"- {balance}answering {names[most]} would be right in {sums[most] / total:.3f}, which {beaten}.",
        f"- {weakest}",
        f"- **Copies.** {_copies(record)}",
        *([f"- **Colour modes.** {_modes(data)}"] if data is not None and len(set(data.train.modes)) > 1 else []),
        f"- **One run.** One split and one start (seed {record['seed']}); another seed gives another number.",
        "- **One source.** The test images come from where the training images come from; nothing here tells how it "
        "does on images of another place. Whether its probabilities can be trusted was not measured.",
    ]
    return ["## Limits that can be computed", "", *lines]


def _dependent(record: Mapping) -> str:
    """Say what an interval that counts images overlooks, where it is known who is in them."""
    groups = record.get("test_groups")
    if groups is None or groups == record["split"]["test"]:
        return ""
    return (
        f" The {record['split']['test']:,} test images are of {groups:,} patients; images of one patient are right or "
        "wrong together, so every interval here is too narrow."
    )


def _copies(record: Mapping) -> str:
    leaked = record["split"].get("leaked")
    if leaked is None:
        return f"Test images with a byte-identical copy in the training part: {NOT_RECORDED}."
    copies = f"{leaked:,} test images have a byte-identical copy in the training part"
    near = (
        "patients are grouped as described above"
        if record.get("grouped_by")
        else "patients are not known to the program"
    )
    pairs = record.get("near_copies_together")
    apart = "near-copies are not counted" if pairs is None else f"{pairs:,} pairs of near-copies are on one side"
    return f"{copies}; {apart}, {near}."


def _modes(data: Split) -> str:
    by_mode, by_class = mode_rule(mode_counts(data.train))
    return (
        f"Guessing from the file's colour mode alone is right for {by_mode:.3f} of the training images, always naming "
        f"the most frequent class for {by_class:.3f}."
    )


def _opinions(answers: Mapping[str, str]) -> list[str]:
    lines = ["## To be written by a person", ""]
    for label in QUESTIONS:
        answer = " ".join(str(answers.get(label, "")).split())
        lines.append(f"- **{label}.** {answer or f'{BLANK} {_hint(label)}'}")
    return lines


def _hint(label: str) -> str:
    return f"*({QUESTIONS[label]})*"


# -- words ------------------------------------------------------------------------------------------------------------


def share_text(right: int, n: int) -> str:
    """Say a share with Wilson's 95% interval: ``"0.800 [0.584, 0.919]"``; without images there is none."""
    if n == 0:
        return "no test image"
    low, high = proportion_interval(right / n, n)
    return f"{right / n:.3f} [{low:.3f}, {high:.3f}]"


def _wrapped(line: str) -> str:
    """Break a long line, tables excepted, so that the card can be read as plain text too."""
    if line.startswith("|"):
        return line
    inner = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, _WIDTH, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False)


def _number(value: object) -> str:
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return f"{value:.3f}" if known else NOT_RECORDED


def _plain(text: object) -> str:
    """Escape what Markdown would take for markup; names of classes are folder names and may hold anything."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
