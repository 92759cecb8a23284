"""The model card: its facts are the record's, its opinions are a person's, and nothing written is lost."""

import copy
import re

import pytest
import torch

from dmws_lite.experiments.model_card import (
    NOT_RECORDED,
    QUESTIONS,
    given_answers,
    model_card,
    open_questions,
    share_text,
    write_model_card,
)
from dmws_lite.experiments.records import read_records
from dmws_lite.experiments.statistics import proportion_interval
from dmws_lite.images.dataset import Images
from dmws_lite.images.splits import split


@pytest.fixture(scope="module")
def record():
    """A record that comes with the project: the paper's method, not touched by the tests."""
    return next(r for r in read_records(grid="tables", dataset="mri", method="ours"))


def table(card, first_column):
    """Read a table of the card: rows of cells, without the head."""
    lines = card.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_column}"))
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start + 2 : end]]


def test_the_numbers_are_those_of_the_record(record):
    card = model_card(record)
    matrix = record["metrics"]["confusion"]
    per_class = table(card, "Class")
    assert [row[0] for row in per_class] == record["classes"]
    for k, (name, trained, tested, right, recall) in enumerate(per_class):
        low, high = proportion_interval(matrix[k][k] / sum(matrix[k]), sum(matrix[k]))
        assert (name, trained) == (record["classes"][k], NOT_RECORDED)
        assert (int(tested.replace(",", "")), int(right)) == (sum(matrix[k]), matrix[k][k])
        assert recall == f"{matrix[k][k] / sum(matrix[k]):.3f} [{low:.3f}, {high:.3f}]"
    assert [[int(n) for n in row[1:]] for row in table(card, "labelled")] == matrix
    for sentence in (
        f"seed {record['seed']}",
        record["split"]["digest"][:16],
        f"{record['metrics']['accuracy']:.3f} [",
        f"{record['metrics']['macro_f1']:.3f}",
        f"{record['history'][-1]['step']} steps",
        f"torch {record['versions']['torch']}",
        record["device"],
        record["date"],
        "not a medical device",
    ):
        assert sentence in card


def test_every_record_of_the_project_has_a_card_of_one_page():
    for each in read_records():
        card = model_card(each)
        lines = card.splitlines()
        assert len(lines) <= 90 and open_questions(card) == list(QUESTIONS)
        assert all(len(line) <= 100 or line.startswith("|") for line in lines)
        assert "nan" not in card and "None" not in card


def test_what_is_not_recorded_is_said_so(record):
    poor = copy.deepcopy(record)
    for name in ("versions", "device", "date", "seconds", "history"):
        del poor[name]
    del poor["split"]["leaked"], poor["metrics"]["auroc"]
    card = " ".join(model_card(poor).split())
    where = card.split("**Where:**")[1].split("- **")[0]
    assert where.count(NOT_RECORDED) == 3
    for label in ("Length", "Date", "AUROC"):
        assert re.search(rf"\*\*{label}:\*\* {NOT_RECORDED}", card), label
    assert f"a byte-identical copy in the training part: {NOT_RECORDED}" in card


def test_the_limits_are_computed():
    base = next(iter(read_records(grid="tables")))
    two = copy.deepcopy(base) | {"classes": ["few", "many"]}
    two["metrics"] |= {"confusion": [[1, 4], [3, 12]], "accuracy": 13 / 20, "n": 20}
    two["split"] |= {"test": 20, "leaked": 7}
    card = " ".join(model_card(two).split())
    assert "One test image is 5 points" in card
    assert "Always answering many would be right in 0.750, which is **not** below" in card
    assert f"few: {share_text(1, 5)}" in card
    assert "7 test images have a byte-identical copy" in card
    assert "**Imbalance.** 15 test images of many, 5 of few" in card
    two["metrics"]["confusion"] = [[5, 0], [0, 15]]
    card = " ".join(model_card(two).split())
    assert "which is below this interval" in card and "None: the share of right answers is the same in all" in card
    two["metrics"]["confusion"] = [[9, 1], [3, 7]]
    card = " ".join(model_card(two).split())
    assert "**Balance.** 10 test images of each class" in card and f"many: {share_text(7, 10)}" in card


def test_patients_in_the_test_part_widen_the_doubt(record):
    doubt = "every interval here is too narrow"
    assert doubt not in model_card(record)
    assert doubt not in model_card(record | {"test_groups": record["split"]["test"]})
    card = " ".join(model_card(record | {"test_groups": 31, "grouped_by": "patients on one side"}).split())
    assert f"The {record['split']['test']:,} test images are of 31 patients" in card and doubt in card
    assert "**Split:** patients on one side;" in card and "patients are grouped as described above" in card


def test_an_empty_class_and_many_classes_are_no_trouble():
    base = next(iter(read_records(grid="tables")))
    names = [f"c{n}" for n in range(12)]
    matrix = [[5 if i == j else int(j == 0) for j in range(12)] for i in range(12)]
    matrix[3] = [0] * 12
    card = model_card(base | {"classes": names, "metrics": base["metrics"] | {"confusion": matrix}})
    assert "| c3 | not in the record | 0 | 0 | no test image |" in card
    assert "labelled ↓" not in card and "- c1 taken for c0: 1" in card


def test_class_names_cannot_break_the_table(record):
    names = ["a|b", "<script>", "*bold*", "[x](y)"]
    card = model_card(record | {"classes": names})
    assert "| a\\|b |" in card and "\\<script\\>" in card and "\\*bold\\*" in card
    assert "<script>" not in card


def little_split(modes=("L", "RGB")):
    pixels = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1).repeat(1, 4, 4)
    labels = torch.arange(40) % 2
    images = Images(pixels, labels, ("even", "odd"), modes=tuple(modes[i % 2] for i in range(40)))
    return split(images, 0.5, 0)


def record_of(data, record):
    changed = copy.deepcopy(record) | {"classes": ["even", "odd"]}
    changed["metrics"] |= {"confusion": [[3, 1], [2, 2]], "n": 8}
    changed["split"] = {"train": len(data.train), "test": len(data.test), "digest": data.digest, "leaked": 0}
    return changed


def test_the_split_adds_what_the_record_does_not_hold(record):
    data = little_split()
    card = model_card(record_of(data, record), data)
    counts = data.train.counts()
    assert [row[1] for row in table(card, "Class")] == [str(counts["even"]), str(counts["odd"])]
    assert "colour mode alone is right for 1.000" in " ".join(card.split())
    plain = little_split(("L", "L"))
    assert "Colour modes" not in model_card(record_of(plain, record), plain)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: r["metrics"].pop("confusion"), "no classes or no confusion matrix"),
        (lambda r: r.pop("classes"), "no classes or no confusion matrix"),
    ],
)
def test_a_record_without_result_is_refused(record, spoil, message):
    poor = copy.deepcopy(record)
    spoil(poor)
    with pytest.raises(ValueError, match=message):
        model_card(poor)


def test_another_split_and_an_unknown_question_are_refused(record):
    with pytest.raises(ValueError, match="another split than the record's"):
        model_card(record, little_split())
    with pytest.raises(ValueError, match="'Intended us' is no question.*Intended use"):
        model_card(record, answers={"Intended us": "teaching"})


# -- opinions ---------------------------------------------------------------------------------------------------------


def test_answers_close_questions(record):
    given = {"Intended use": "A class on\nmodel cards. " * 8, "Written by": "A. B., 2 May"}
    card = model_card(record, answers=given)
    assert open_questions(card) == [label for label in QUESTIONS if label not in given]
    assert given_answers(card) == {label: " ".join(text.split()) for label, text in given.items()}
    assert open_questions(model_card(record, answers=dict.fromkeys(QUESTIONS, "x"))) == []


def test_what_a_person_types_into_the_file_counts_as_an_answer(record):
    card = model_card(record)
    hint = QUESTIONS["The worse error"]
    blank = f"\\_\\_\\_\\_ *({hint})*"
    assert blank in card, "the blank stands on one line, so that an editor finds it"
    behind = card.replace(blank, f"{blank} A miss.")
    instead = card.replace(blank, "A miss.\n  It is found\n  too late.")
    emptied = card.replace(blank, "")
    gone = card.replace(f"- **The worse error.** {blank}", "")
    assert given_answers(behind) == {"The worse error": "A miss."}
    assert given_answers(instead) == {"The worse error": "A miss. It is found too late."}
    assert "The worse error" in open_questions(emptied) and "The worse error" in open_questions(gone)
    assert open_questions("") == list(QUESTIONS)


def test_writing_again_keeps_what_a_person_wrote(record, tmp_path):
    path = write_model_card(tmp_path / "deep" / "CARD.md", record, answers={"Written by": "me"})
    typed = path.read_text(encoding="utf-8").replace(
        f"\\_\\_\\_\\_ *({QUESTIONS['Intended use']})*", "Teaching, at *our* school, with a_b"
    )
    path.write_text(typed, encoding="utf-8")
    other = copy.deepcopy(record) | {"seed": 77}
    write_model_card(path, other, answers={"Written by": "you"})
    text = path.read_text(encoding="utf-8")
    assert given_answers(text) == {"Intended use": "Teaching, at *our* school, with a_b", "Written by": "you"}
    assert "seed 77" in text
    assert [each.name for each in path.parent.iterdir()] == ["CARD.md"], "no temporary file is left"


def test_a_refused_card_leaves_the_old_file_alone(record, tmp_path):
    path = write_model_card(tmp_path / "CARD.md", record)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no question"):
        write_model_card(path, record, answers={"x": "y"})
    assert path.read_bytes() == before
