"""Multiple-choice questions that answer at once, on a page without a kernel; the texts are in ``data/quizzes/``."""

from __future__ import annotations

import html
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
    """Return a quiz with every option's ``right`` filled in, after a check of its form.

    Args:
        quiz: what the YAML file holds: ``title`` and ``questions``, each with ``question`` and ``options``, each option
            with ``text``, ``feedback`` and, in exactly one of them, ``right: true``.
        name: for messages.

    Raises:
        ValueError: something is missing, unknown or empty, or a question has no right option or several.
    """
    found = parts(quiz, f"quiz {name}", {"title": str, "questions": list})
    questions = []
    for number, each in enumerate(found["questions"], 1):
        here = f"quiz {name}, question {number}"
        question = parts(each, here, {"question": str, "options": list})
        options = []
        for place, option in enumerate(question["options"], 1):
            allowed = {"text": str, "feedback": str, "right": bool}
            given = option if not isinstance(option, Mapping) else {"right": False, **option}
            options.append(parts(given, f"{here}, option {place}", allowed))
        n_right = sum(option["right"] for option in options)
        if len(options) < 2 or n_right != 1:
            raise ValueError(f"{here} has {n_right} right of {len(options)} options; it needs exactly 1, of 2 or more")
        questions.append({"question": question["question"], "options": options})
    return {"title": found["title"], "questions": questions}


def parts(given: object, here: str, kinds: Mapping[str, type]) -> dict[str, object]:
    """Return a mapping that has exactly the keys of ``kinds``, each of its kind and not empty.

    Raises:
        ValueError: it does not.
    """
    names = ", ".join(kinds)
    if not isinstance(given, Mapping) or set(given) != set(kinds):
        has = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise ValueError(f"{here} needs {names}, and nothing else; it has {has}")
    for key, kind in kinds.items():
        value = given[key]
        if not isinstance(value, kind) or (kind is not bool and not value):
            raise ValueError(f"{here}: {key} is {value!r}; it needs a {kind.__name__} that is not empty")
    return dict(given)


def read_quiz(name: str) -> dict[str, object]:
    """Read the quiz of a notebook.

    Args:
        name: of its file in ``data/quizzes/`` without suffix, such as ``"02_element_selection"``.

    Raises:
        ValueError: there is no such quiz, or it has a fault, see :func:`checked`.
    """
    if name not in quiz_names():
        raise ValueError(f"there is no quiz {name!r}; choose one of {', '.join(quiz_names())}")
    return checked(yaml.safe_load(data_path(f"quizzes/{name}.yaml").read_text(encoding="utf-8")), name)


def as_html(text: str) -> str:
    """Return a text as HTML: escaped, with what stands between backticks as code."""
    return CODE.sub(r"<code>\1</code>", html.escape(text))


def verdict(option: Mapping[str, object]) -> str:
    """Return the word that begins an option's feedback."""
    return "Right." if option["right"] else "Not right."


class Quiz(Widget):
    """Questions with one right option each; every option says why it is right or wrong.

    Attributes:
        questions: as :func:`checked` returns them.
        answers: for each question the option that was checked last, from 0, or -1 for none.
    """

    name = "quiz"
    _esm = script("quiz")
    _css = stylesheet("quiz")
    questions = traitlets.List().tag(sync=True)
    answers = traitlets.List().tag(sync=True)

    def fallback(self) -> str:
        """Return the questions as plain HTML: each option unfolds to its feedback, which needs no script."""
        items = []
        for each in self.questions:
            options = "".join(
                f"<li><details><summary>{as_html(option['text'])}</summary>"
                f"<p><strong>{verdict(option)}</strong> {as_html(option['feedback'])}</p></details></li>"
                for option in each["options"]
            )
            items.append(f"<li><p>{as_html(each['question'])}</p><ul>{options}</ul></li>")
        title = html.escape(self.title)
        return (
            f'<div class="dmws-fallback" data-stands-for="{self.name}"><p><strong>{title}</strong> '
            f"Unfold an answer to see whether it holds.</p><ol>{''.join(items)}</ol></div>"
        )


def quiz(source: str | Mapping[str, Sequence[object]]) -> Quiz:
    """Return a quiz that comes with the project, or one of your own.

    Args:
        source: name as for :func:`read_quiz`, or a mapping as for :func:`checked`.

    Raises:
        ValueError: see :func:`read_quiz`.
    """
    found = read_quiz(source) if isinstance(source, str) else checked(source, "of your own")
    return Quiz(title=found["title"], questions=found["questions"], answers=[-1] * len(found["questions"]))
