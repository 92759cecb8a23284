"""The quizzes: every file of questions is whole, and the page answers at once, by keyboard and without a kernel."""

import copy
import json
from pathlib import Path

import pytest
from browser import chromium, number, open_page, overflow, widget_page  # noqa: F401

from dmws_lite.classroom.widgets import quiz, quiz_names, read_quiz
from dmws_lite.classroom.widgets.quiz import as_html, checked

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAME = "quiz"
SMALL = {
    "title": "Small <quiz>",
    "questions": [
        {
            "question": "What is `beta` < 1?",
            "options": [
                {"text": "A rate", "feedback": "Not `alpha`."},
                {"text": "A share & more", "right": True, "feedback": "It <keeps>."},
                {"text": "Nothing", "feedback": "Read again."},
            ],
        },
        {
            "question": "And tau?",
            "options": [
                {"text": "Hot", "right": True, "feedback": "Softens."},
                {"text": "Cold", "feedback": "Sharpens."},
            ],
        },
    ],
}
NUMBERS = {
    "title": "Numbers",
    "questions": [
        {
            "question": "How many entries has `W`?",
            "number": 36864,
            "tolerance": 0,
            "right": "384 times 96.",
            "wrong": "Multiply both sides of `W`.",
        },
        {"question": "Which share?", "number": 0.25, "tolerance": 0.005, "right": "A quarter.", "wrong": "Cut twice."},
    ],
}


# --- the texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_asks_its_quiz(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    asking = ["".join(c["source"]) for c in cells if "quiz" in c["metadata"].get("tags", [])]
    assert len(asking) == 1, f"{path.name} has {len(asking)} cells tagged 'quiz', it needs one"
    assert f'quiz("{path.stem}")' in asking[0]
    assert path.stem in quiz_names()


@pytest.mark.parametrize("name", quiz_names())
def test_every_quiz_is_whole(name: str) -> None:
    questions = read_quiz(name)["questions"]
    assert 2 <= len(questions) <= 4
    places = []
    for number_, each in enumerate(questions, 1):
        here = f"{name}, question {number_}"
        options = each["options"]
        assert 3 <= len(options) <= 4, f"{here} has {len(options)} options; 3 or 4 are asked"
        texts = [option["text"] for option in options]
        said = [option["feedback"] for option in options]
        assert len(set(texts)) == len(texts) and len(set(said)) == len(said), f"{here} repeats itself"
        assert all(len(text) > 20 for text in said), f"{here}: a feedback says why, in a sentence"
        for text in [each["question"], *texts, *said]:
            assert text == text.strip() and "$" not in text and text.count("`") % 2 == 0, f"{here}: {text!r}"
        places.append([option["right"] for option in options].index(True))
    assert len(set(places)) > 1, f"{name}: the right option is always at the same place"


def test_the_right_option_is_not_given_away_by_its_length() -> None:
    questions = [each for name in quiz_names() for each in read_quiz(name)["questions"]]
    longest = 0
    for each in questions:
        most = max(each["options"], key=lambda option: len(option["text"]))
        longest += most["right"]
    assert longest / len(questions) < 0.6, f"in {longest} of {len(questions)} questions the right option is the longest"


def spoiled(change) -> dict:
    found = copy.deepcopy(SMALL)
    change(found)
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q: q["questions"][0]["options"][1].pop("right"), "question 1 has 0 right of 3 options"),
        (lambda q: q["questions"][0]["options"][0].update(right=True), "question 1 has 2 right of 3 options"),
        (lambda q: q["questions"][1]["options"].pop(), "question 2 has 1 right of 1 options"),
        (lambda q: q["questions"][1]["options"][0].pop("feedback"), "option 1 needs text, feedback, right"),
        (lambda q: q["questions"][1]["options"][0].update(feedback=""), "feedback is ''"),
        (lambda q: q["questions"][1]["options"][0].update(hint="x"), "and nothing else; it has"),
        (lambda q: q["questions"][1]["options"][0].update(right="yes"), "right is 'yes'; it needs a bool"),
        (lambda q: q["questions"].clear(), "questions is []"),
        (lambda q: q.pop("title"), "needs title, questions"),
        (lambda q: q["questions"].append("why?"), "question 3 needs question, options, and nothing else; it has str"),
    ],
)
def test_a_faulty_quiz_is_refused(change, message: str) -> None:
    with pytest.raises(ValueError) as error:
        checked(spoiled(change), "x")
    assert message in str(error.value) and str(error.value).startswith("quiz x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": -1}, "tolerance -1.0; give finite numbers, a tolerance of 0 or more"),
        ({"number": float("nan")}, "number is nan, tolerance"),
        ({"number": "four"}, "question 2: number is 'four'; it needs a number"),
        ({"wrong": ""}, "wrong is ''"),
        ({"hint": "x"}, "and nothing else; it has"),
    ],
)
def test_a_faulty_number_is_refused(change: dict, message: str) -> None:
    faulty = copy.deepcopy(NUMBERS)
    faulty["questions"][1].update(change)
    with pytest.raises(ValueError, match="quiz of your own, question 2") as error:
        quiz(faulty)
    assert message in str(error.value)


def test_an_unknown_quiz_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="there is no quiz 'none'; choose one of 01_teacher_inspection, "):
        quiz("none")


# --- the page -------------------------------------------------------------------------------------------------------


def test_text_is_escaped_and_backticks_are_code() -> None:
    assert as_html("a `b<c` & d") == "a <code>b&lt;c</code> &amp; d"


def test_without_scripts_each_option_unfolds_to_its_feedback() -> None:
    text = quiz(SMALL).fallback()
    assert 'data-stands-for="quiz"' in text and "<script" not in text
    assert text.count("<details>") == 5 and text.count("<strong>Right.</strong>") == 2
    assert "What is <code>beta</code> &lt; 1?" in text and "It &lt;keeps&gt;." in text
    assert "<details open" not in text


def test_without_scripts_a_number_unfolds_with_its_reason() -> None:
    text = quiz(NUMBERS).fallback()
    assert text.count("<details>") == 2 and "<strong>36,864.</strong> 384 times 96." in text
    assert "<strong>0.25.</strong>" in text and "How many entries has <code>W</code>?" in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_answers_by_keyboard_without_a_kernel(chromium, tmp_path: Path, theme: str) -> None:  # noqa: F811
    asked = quiz(SMALL)
    url = widget_page(tmp_path, [asked], theme)
    page = open_page(chromium, url, width=360, theme=theme, wait=f'[data-widget="{NAME}"] form')
    part = page.locator(f'[data-widget="{NAME}"]')
    try:
        assert part.locator("fieldset legend").all_inner_texts() == ["1. What is beta < 1?", "2. And tau?"]
        assert page.locator(".dmws-fallback").is_hidden()
        first = part.locator('[data-name="option-1-1"]')
        said = part.locator('[data-name="feedback-1"]')
        assert said.get_attribute("role") == "status"
        part.locator('[data-name="check-1"]').press("Enter")
        assert said.inner_text() == "Choose an answer first."
        score = 0
        for question, each in enumerate(asked.questions, 1):
            first = part.locator(f'[data-name="option-{question}-1"]')
            said = part.locator(f'[data-name="feedback-{question}"]')
            first.focus()
            first.press("Space")
            for place, option in enumerate(each["options"], 1):
                current = part.locator(f'[data-name="option-{question}-{place}"]')
                assert current.is_checked() and said.inner_text() == "", "an arrow key chooses, it does not answer"
                current.press("Enter")
                verdict = "Right." if option["right"] else "Not right."
                assert said.inner_text() == f"{verdict} {option['feedback'].replace('`', '')}"
                state = part.locator('[data-state="right"]' if option["right"] else '[data-state="wrong"]')
                assert state.count() >= 2, "the option and its feedback are marked"
                assert number(page, NAME, "right") == score + option["right"]
                if place < len(each["options"]):
                    current.press("ArrowDown")
            rightly = 1 + [option["right"] for option in each["options"]].index(True)
            part.locator(f'label:has([data-name="option-{question}-{rightly}"])').click()
            part.locator(f'[data-name="check-{question}"]').click()
            score += 1
        assert number(page, NAME, "right") == len(asked.questions)
        assert overflow(page) <= 0
        for box in part.locator("label, button").all():
            size = box.bounding_box()
            assert size["height"] >= 24 and size["width"] >= 24
        assert page.faults == []
    finally:
        page.close()


def test_answers_given_before_are_shown_again(chromium, tmp_path: Path) -> None:  # noqa: F811
    asked = quiz(SMALL)
    asked.answers = [2, 0]
    page = open_page(chromium, widget_page(tmp_path, [asked]), wait=f'[data-widget="{NAME}"] form')
    try:
        assert page.locator('[data-name="option-1-3"]').is_checked()
        assert page.locator('[data-name="feedback-1"]').inner_text() == "Not right. Read again."
        assert page.locator('[data-name="feedback-2"]').inner_text() == "Right. Softens."
        assert number(page, NAME, "right") == 1
        assert page.faults == []
    finally:
        page.close()


def test_answers_are_there_again_after_a_reload_until_one_starts_again(chromium, tmp_path: Path) -> None:  # noqa: F811
    url = widget_page(tmp_path, [quiz(SMALL), quiz(NUMBERS)])
    ready = f'[data-widget="{NAME}"] form'
    page = open_page(chromium, url, wait=ready)
    small, numbers = (page.locator(f'[data-widget="{NAME}"]').nth(place) for place in (0, 1))
    try:
        assert small.locator('[data-name="again"]').is_hidden(), "nothing to start again from"
        small.locator('[data-name="option-1-3"]').check()
        small.locator('[data-name="check-1"]').click()
        small.locator('[data-name="option-2-1"]').check()  # chosen, but not checked: not an answer yet
        numbers.locator('[data-name="number-1"]').fill("36,864")
        numbers.locator('[data-name="number-1"]').press("Enter")
        page.reload()
        page.wait_for_selector(ready)
        assert small.locator('[data-name="feedback-1"]').inner_text() == "Not right. Read again."
        assert small.locator('[data-name="option-1-3"]').is_checked()
        assert not small.locator('[data-name="option-2-1"]').is_checked()
        assert numbers.locator('[data-name="number-1"]').input_value() == "36,864"
        assert numbers.locator('[data-name="feedback-1"]').inner_text() == "Right. 384 times 96."
        small.locator('[data-name="again"]').click()
        assert small.locator('[data-name="feedback-1"]').inner_text() == ""
        assert page.evaluate("document.activeElement.dataset.name") == "option-1-1"
        page.reload()
        page.wait_for_selector(ready)
        assert not small.locator("input:checked").count()
        assert numbers.locator('[data-name="feedback-1"]').inner_text() == "Right. 384 times 96.", "another quiz"
        assert page.faults == []
    finally:
        page.close()


def test_changed_questions_and_a_refused_storage_begin_anew(chromium, tmp_path: Path) -> None:  # noqa: F811
    ready = f'[data-widget="{NAME}"] form'
    page = open_page(chromium, widget_page(tmp_path, [quiz(SMALL)]), wait=ready)
    try:
        page.locator('[data-name="option-1-2"]').check()
        page.locator('[data-name="check-1"]').click()
        changed = copy.deepcopy(SMALL)
        changed["questions"][0]["options"].reverse()
        widget_page(tmp_path, [quiz(changed)])
        page.reload()
        page.wait_for_selector(ready)
        assert not page.locator("input:checked").count()
        # As in a browser that blocks the storage: touching it raises.
        page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })")
        page.reload()
        page.wait_for_selector(ready)
        page.locator('[data-name="option-1-2"]').check()
        page.locator('[data-name="check-1"]').click()
        assert page.locator('[data-name="feedback-1"]').inner_text().startswith("Right. ")
        page.locator('[data-name="again"]').click()
        assert page.locator('[data-name="feedback-1"]').inner_text() == ""
        assert page.faults == []
    finally:
        page.close()


@pytest.mark.parametrize(
    ("text", "feedback"),
    [
        ("25%", "Right. A quarter."),
        ("0,25", "Right. A quarter."),
        (" .254 ", "Right. A quarter."),
        ("0.26", "Not right. Cut twice."),
        ("-0.25", "Not right. Cut twice."),
        ("a quarter", "Type a number first, such as 0.25, 25% or 1,000."),
        ("", "Type a number first, such as 0.25, 25% or 1,000."),
    ],
)
def test_a_number_may_be_typed_in_several_ways(chromium, tmp_path: Path, text: str, feedback: str) -> None:  # noqa: F811
    url = widget_page(tmp_path, [quiz(NUMBERS)])
    page = open_page(chromium, url, width=360, wait=f'[data-widget="{NAME}"] form')
    try:
        page.get_by_label("Your number").nth(1).fill(text)
        page.locator('[data-name="check-2"]').press("Enter")
        assert page.locator('[data-name="feedback-2"]').inner_text() == feedback
        assert number(page, NAME, "right") == feedback.startswith("Right")
        page.locator('[data-name="number-2"]').fill("1")
        assert page.locator('[data-name="feedback-2"]').inner_text() == "", "it was on another number"
        assert overflow(page) <= 0
        assert page.faults == []
    finally:
        page.close()
