"""The command ``dmws-lite``: the book's experiments from a terminal. One module per group of commands.

A command is a function that takes the parsed options and returns the exit code. Whatever a person can cause (a wrong
option, a missing file, a full disk, no network) ends in one line on stderr that begins with ``error:``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import sys
import warnings
from collections.abc import Sequence

import timm
import torch

from .._system import VERSION
from . import evaluate, grid, look, predict, records, select, train
from .common import EXIT_CODES, FAILED, REFUSED, STOPPED, Formatter, Parser

_OVERVIEW = """\
Weight selection and self-knowledge distillation for small medical image sets.
For teaching and research only, not a medical device."""

_EXAMPLES = """\
examples:
  dmws-lite grids                                      list the experiments
  dmws-lite run phantom_ablations --dry-run            show what would run, and for how long
  dmws-lite run tables --data FOLDER                   run what has no record yet
  dmws-lite report phantom_ablations                   make its tables and figures
  dmws-lite records check my-record.json               check a record that somebody gave you
  dmws-lite select convnext_pocket -o student.safetensors
                                                       select a student from a teacher
  dmws-lite look my_images                             say what is in a folder
  dmws-lite train my_images --out runs/mine            train on your own images
  dmws-lite predict runs/mine new_images --csv out.csv
  dmws-lite evaluate runs/mine other_hospital          measure it on labelled images
  dmws-lite COMMAND --help                             all options of a command

"""

# What a person's machine, files and options can cause. Anything else is a mistake of ours and keeps its traceback.
_FORESEEN = (ValueError, OSError, RuntimeError, ArithmeticError, MemoryError, ImportError)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(prog="dmws-lite", description=_OVERVIEW, epilog=_EXAMPLES + EXIT_CODES, formatter_class=Formatter)
    versions = f"torch {torch.__version__}, timm {timm.__version__}, Python {platform.python_version()}"
    parser.add_argument("--version", action="version", version=f"dmws-lite {VERSION} ({versions})")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for module in (grid, records, select, look, train, predict, evaluate):
        module.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line.

    Args:
        arguments: what follows ``dmws-lite``; by default what the process was started with.

    Returns:
        The exit code: 0, 1, 2 or 130, as the end of ``dmws-lite --help`` says.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name on disk may hold what the terminal has no letter for
    given = None
    with warnings.catch_warnings():
        # Only the project's own warnings are for the person at the terminal, each as one line.
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", category=UserWarning, module="dmws_lite")
        warnings.showwarning = _show_warning
        try:
            given = make_parser().parse_args(arguments)
            return given.call(given)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return STOPPED
        except BrokenPipeError:  # the reader of a pipe (`| head`) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except _FORESEEN as error:
            print(f"error: {_one_line(error, given)}", file=sys.stderr)
            return REFUSED


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _one_line(error: BaseException, given: argparse.Namespace | None) -> str:
    """Return an error as one line, in the terms of the command line: ``fraction=5`` becomes ``--fraction 5``."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    for name in getattr(given, "options", ()):
        text = re.sub(rf"\b{name}=(?:'([^']*)'|([^\s',;:)]*))", lambda found: _as_option(name, found), text)  # noqa: B023
    return text


def _as_option(name: str, found: re.Match[str]) -> str:
    """Return ``parts='pool'`` as ``--parts pool``, quoted where a shell needs it; ``labels=`` as ``--labels``."""
    value = found[1] if found[1] is not None else found[2]
    return f"--{name.replace('_', '-')}" + (f" {shlex.quote(value)}" if value else "")
