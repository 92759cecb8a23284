"""Questions with immediate feedback, also without a kernel; those of the notebooks are in ``data/quizzes/``."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence

import traitlets
import yaml

from ..._system import data_path
from .base import Widget, script, stylesheet

CODE = re.compile(r"`([^`]+)`")


def quiz_names() -> list[str]:
    """Return the names of the quizzes that come with the project, sorted."""
    return sorted(path.stem for path in data_path("quizzes").glob("*.yaml"))


def checked(quiz: object, name: str) -> dict[str, object]:
    """Check the structure of a quiz and return it with ``right`` filled in for every option.

    Args:
        quiz: content of the YAML file: ``title`` and ``questions``. Each question has ``question`` and ``options``,
            each option ``text`` and ``feedback``, and exactly one option of a question has ``right: true``. Or the
            reader types a number: then the question has ``question``, ``number``, ``tolerance`` (the largest difference
            that passes) and two feedbacks, ``right`` and ``wrong``.
        name: name of the quiz, for messages.

    Raises:
        ValueError: an entry is missing, unknown or empty, or a question does not have exactly one right option, or its
            tolerance is below zero.
    """
    content = parts(quiz, f"quiz {name}", {"title": str, "questions": list})
    questions = []
    for number, each in enumerate(content["questions"], 1):
        place = f"quiz {name}, question {number}"
        if isinstance(each, Mapping) and "number" in each:
            questions.append(checked_number(each, place))
            continue
        question = parts(each, place, {"question": str, "options": list})
        options = []
        for index, option in enumerate(question["options"], 1):
            allowed = {"text": str, "feedback": str, "right": bool}
            entry = option if not isinstance(option, Mapping) else {"right": False, **option}
            options.append(parts(entry, f"{place}, option {index}", allowed))
        n_right = sum(option["right"] for option in options)
        if len(options) < 2 or n_right != 1:
            raise ValueError(f"{place} has {n_right} right of {len(options)} options; give 2 or more, exactly 1 right")
        questions.append({"question": question["question"], "options": options})
    return {"title": content["title"], "questions": questions}


def checked_number(question: Mapping[str, object], place: str) -> dict[str, object]:
    """Check a question whose answer is a number, and return it with both numbers as floats.

    Raises:
        ValueError: an entry is missing, unknown or empty, or a number is not finite, or the tolerance is below zero.
    """
    kinds = {"question": str, "number": (int, float), "tolerance": (int, float), "right": str, "wrong": str}
    content = parts(question, place, kinds)
    number, tolerance = float(content["number"]), float(content["tolerance"])
    if not math.isfinite(number) or not 0 <= tolerance < math.inf:
        raise ValueError(
            f"{place}: number is {number}, tolerance {tolerance}; give finite numbers, a tolerance of 0 or more"
        )
    return {**content, "number": number, "tolerance": tolerance}


def parts(entry: object, place: str, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, object]:
    """Check that an entry is a mapping with exactly the keys of ``kinds``, and return it.

    Args:
        entry: part of a quiz.
        place: its place in the quiz, for messages.
        kinds: key -> type of its value, or several that will do.

    Raises:
        ValueError: a key is missing or unknown, or a value has the wrong type or is empty.
    """
    names = ", ".join(kinds)
    if not isinstance(entry, Mapping) or set(entry) != set(kinds):
        has = ", ".join(map(str, entry)) if isinstance(entry, Mapping) else type(entry).__name__
        raise ValueError(f"{place} needs {names}, and nothing else; it has {has}")
    for key, kind in kinds.items():
        value = entry[key]
        if not isinstance(value, kind) or (kind in (str, list) and not value):
            wanted = kind.__name__ if isinstance(kind, type) else "number"
            raise ValueError(f"{place}: {key} is {value!r}; it needs a {wanted} that is not empty")
    return dict(entry)


def read_quiz(name: str) -> dict[str, object]:
    """Read the quiz of a notebook.

    Args:
        name: name of its file in ``data/quizzes/`` without suffix, such as ``"02_element_selection"``.

    Raises:
        ValueError: there is no such quiz, or its structure is wrong, see :func:`checked`.
    """
    if name not in quiz_names():
        raise ValueError(f"there is no quiz {name!r}; choose one of {', '.join(quiz_names())}")
    return checked(yaml.safe_load(data_path(f"quizzes/{name}.yaml").read_text(encoding="utf-8")), name)


def as_html(text: str) -> str:
    """Return a text as HTML: escaped, with text between backticks as code."""
    return CODE.sub(r"<code>\1</code>", html.escape(text))


def verdict(option: Mapping[str, object]) -> str:
    """Return the words that begin an option's feedback."""
    return "Right." if option["right"] else "Not right."


class Quiz(Widget):
    """Questions with one right option or one right number each, and the reason why an answer is right or wrong.

    The browser keeps the answers, so they are there again when the page is opened next time.

    Attributes:
        questions: as :func:`checked` returns them.
        answers: for each question the answer checked last: the index of an option, from 0, or the number as the reader
            typed it; -1 for none.
    """

    name = "quiz"
    _esm = script("quiz")
    _css = stylesheet("quiz")
    questions = traitlets.List().tag(sync=True)
    answers = traitlets.List().tag(sync=True)

    def fallback(self) -> str:
        """Return the questions as plain HTML in which each option expands to its feedback, without JavaScript."""
        items = []
        for each in self.questions:
            if "number" in each:
                answer = f"<strong>{each['number']:,.10g}.</strong> {as_html(each['right'])}"
                items.append(
                    f"<li><p>{as_html(each['question'])}</p><details><summary>Answer</summary><p>{answer}</p></details>"
                    "</li>"
                )
                continue
            options = "".join(
                f"<li><details><summary>{as_html(option['text'])}</summary>"
                f"<p><strong>{verdict(option)}</strong> {as_html(option['feedback'])}</p></details></li>"
                for option in each["options"]
            )
            items.append(f"<li><p>{as_html(each['question'])}</p><ul>{options}</ul></li>")
        title = html.escape(self.title)
        return (
            f'<div class="dmws-fallback" data-stands-for="{self.name}"><p><strong>{title}</strong> '
            f"Open an answer to see whether it is right.</p><ol>{''.join(items)}</ol></div>"
        )


def quiz(source: str | Mapping[str, Sequence[object]]) -> Quiz:
    """Return a quiz that comes with the project, or one of your own.

    Args:
        source: a name as for :func:`read_quiz`, or a mapping as for :func:`checked`.

    Raises:
        ValueError: see :func:`read_quiz`.
    """
    content = read_quiz(source) if isinstance(source, str) else checked(source, "of your own")
    return Quiz(title=content["title"], questions=content["questions"], answers=[-1] * len(content["questions"]))
