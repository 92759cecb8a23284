"""What all commands share: exit codes, and a parser that reports an error in one line."""

from __future__ import annotations

import argparse
import ast
import textwrap
from collections.abc import Callable, Sequence
from typing import NoReturn

from tabulate import tabulate

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 130

EXIT_CODES = """\
exit codes:
  0    success
  1    something failed (a run, an image to predict) and is named; the rest was done
  2    an error, explained in one line on stderr that begins with "error:"
  130  stopped with Ctrl-C"""

NOT_A_DEVICE = "note: teaching material, not a medical device; do not use it for decisions about patients"


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with examples as they are written, and room for long option names."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


class Parser(argparse.ArgumentParser):
    """A parser that raises ``ValueError``, so that all errors are reported in one place."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def add_command(
    commands: argparse._SubParsersAction, name: str, call: Callable[[argparse.Namespace], int], text: str, examples: str
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: where to.
        name: of the command.
        call: carries it out and returns the exit code.
        text: what it does; the first line is shown in the overview.
        examples: command lines, one per line.
    """
    text, examples = textwrap.dedent(text).strip(), textwrap.indent(textwrap.dedent(examples).strip(), "  ")
    first = text.splitlines()[0].rstrip(".")
    parser = commands.add_parser(
        name,
        help=first[0].lower() + first[1:],
        description=text,
        epilog=f"examples:\n{examples}\n\n{EXIT_CODES}",
        formatter_class=Formatter,
    )
    parser.set_defaults(call=call)
    return parser


def key_value(text: str) -> tuple[str, object]:
    """Read ``key=value``; the value is a number, a tuple such as ``2,2,6,2``, true, false, or a word."""
    key, sign, value = text.partition("=")
    if not sign or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value, such as img_size=224")
    if value.lower() in ("true", "false"):
        return key, value.lower() == "true"
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def duration(seconds: float) -> str:
    """Return a rough duration: ``"40 s"``, ``"12 min"``, ``"3 h 20 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


MOST_CLASSES = 30  # of a table of confusions: a wider one fits no screen, and with thousands no disk either


def confusion_lines(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Return a confusion matrix as text; of many classes the confusions that are most frequent.

    Args:
        classes: names, in the order of the rows (truth) and columns (predicted).
        matrix: ``(K, K)`` counts.
    """
    if len(classes) <= MOST_CLASSES:
        rows = [("truth \\ predicted", *classes)]
        rows += [(name, *map(str, row)) for name, row in zip(classes, matrix)]
        return columns(rows, right=len(classes))
    wrong = [(n, i, k) for i, row in enumerate(matrix) for k, n in enumerate(row) if n and i != k]
    most = sorted(wrong, key=lambda each: (-each[0], each[1:]))[:10]
    rows = [("truth", "predicted", "images"), *((classes[i], classes[k], str(n)) for n, i, k in most)]
    return f"the most frequent confusions of {len(classes):,} classes:\n" + columns(rows, right=1)


def columns(rows: Sequence[Sequence[str]], right: int = 0) -> str:
    """Align rows of text.

    Args:
        rows: the first is the head.
        right: this many last columns are aligned to the right.
    """
    sides = ["left"] * (len(rows[0]) - right) + ["right"] * right
    text = tabulate(rows[1:], headers=rows[0], tablefmt="plain", disable_numparse=True, colalign=sides)
    return "\n".join(line.rstrip() for line in text.split("\n"))
