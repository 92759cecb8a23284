"""``select``: a student's first weights, cut out of a teacher, as a file that timm loads."""

from __future__ import annotations

import argparse
import difflib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import nn

from .._system import VERSION, write_atomic
from ..selection.dual import select_weights
from ..selection.plan import Plan, coverage
from ..selection.rules import RULES
from ..selection.steps import plan_selection
from ..teachers.hub import load_from_hub
from ..teachers.load import load_teacher
from ..teachers.pairs import PAIRS, TeacherError, build_model, make_student
from .common import DONE, add_command, key_value

_PARTS = {"main": (0,), "auxiliary": (1,), "both": (0, 1)}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "select",
        select_command,
        f"""
        Write a student's first weights, selected from a larger teacher.

        TEACHER and STUDENT are names of timm models of one family. One name alone is a pair of this project:
        {", ".join(PAIRS)}.
        The output is a safetensors file, and the command prints the line of Python that loads it. Its classifier is
        new and untrained. Nothing is downloaded for `convnext_pocket`, with --teacher-weights, --random or --dry-run.
        """,
        """
        dmws-lite select convnext_pocket -o student.safetensors --num-classes 4
        dmws-lite select vit_small_patch16_224 vit_tiny_patch16_224 --dry-run
        dmws-lite select vit_small_patch16_224 vit_tiny_patch16_224 -o student.safetensors \\
            --teacher-weights vit_small.safetensors --student-args img_size=112
        dmws-lite select deit3_small_patch16_224 vit_tiny_patch16_224 -o s.safetensors --part both --no-strict
        """,
    )
    parser.add_argument("teacher", metavar="TEACHER", help="timm name of the teacher, or the name of a pair")
    parser.add_argument("student", metavar="STUDENT", nargs="?", help="timm name of the student")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="file to write (.safetensors); with --part both the auxiliary goes beside it, to FILE-auxiliary",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan, tensor by tensor; write no weights")
    parser.add_argument("--plan", metavar="FILE", type=Path, help="write the plan as JSON, index lists included")
    how = parser.add_argument_group("how the weights are chosen")
    how.add_argument("--part", choices=_PARTS, default="main", help="which student (default: main)")
    how.add_argument("--rule", choices=RULES, default="uniform", help="which elements (default: uniform, the paper's)")
    how.add_argument(
        "--layers",
        metavar="WHICH",
        type=_layers,
        default="first",
        help="first (default), last, uniform, or a list such as 0,2,4 for a student with one stack of layers",
    )
    how.add_argument(
        "--heads",
        choices=("strided", "whole"),
        default="strided",
        help="treat attention channels like any others (strided, default), or take whole heads",
    )
    how.add_argument("--seed", type=int, default=0, help="seed of random rules and of the new classifier (default: 0)")
    how.add_argument(
        "--no-strict",
        action="store_true",
        help="list tensors without a counterpart and leave them at their own initialisation, instead of stopping",
    )
    models = parser.add_argument_group("the two models")
    models.add_argument("--num-classes", metavar="N", type=int, help="of the student (default: timm's own, 1000)")
    for who in ("teacher", "student"):
        models.add_argument(
            f"--{who}-args",
            metavar="KEY=VALUE",
            nargs="+",
            action="extend",
            type=key_value,
            default=[],
            help=f"further arguments of the {who} for timm, such as img_size=224 or dims=24,48,96,192",
        )
    source = models.add_mutually_exclusive_group()
    source.add_argument("--pretrained", action="store_true", help="the teacher's weights from the hub (default)")
    source.add_argument(
        "--teacher-weights", metavar="FILE", type=Path, help="the teacher's weights from a .safetensors or .pth file"
    )
    source.add_argument("--random", action="store_true", help="use an untrained teacher, to try things out")


def select_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite select``."""
    if given.output is None and not given.dry_run:
        raise ValueError("no output file: pass -o FILE, or --dry-run to see the plan only")
    if given.output is not None and given.output.suffix != ".safetensors":
        raise ValueError(f"{given.output} does not end in .safetensors, from which timm recognises the format")
    models = _models(given)
    options = {name: getattr(given, name) for name in ("rule", "layers", "heads", "seed")}
    plans = []
    for part in _PARTS[given.part]:
        student = models.student()
        plan = plan_selection(models.teacher, student, part=part, strict=not given.no_strict, **options)
        plans.append(plan)
        print(plan.table() if given.dry_run else plan.summary())
        if given.plan:
            print(f"plan: {plan.save(_beside(given.plan, part, given.part))}")
        if not given.dry_run:
            select_weights(models.teacher, student, plan)
            path = _write(_beside(given.output, part, given.part), student, models, plan)
            print(f"written: {path}\nload it with: {models.recipe(path, student)}")
    if len(plans) == 2:
        both = coverage(*plans)
        print(f"both together cover {both['weights']:.1%} of the teacher's weights, {both['shared_weights']:.1%} twice")
    return DONE


@dataclass(frozen=True)
class _Models:
    """The teacher, and how to make the student.

    Attributes:
        teacher: the large model; without trained weights in a dry run.
        teacher_name: in words, for the file.
        student_name: timm's name.
        arguments: further arguments for timm, ``num_classes`` among them if it was given.
        seed: of the student's own initialisation.
        pair: name of the project's pair, or "".
    """

    teacher: nn.Module
    teacher_name: str
    student_name: str
    arguments: Mapping[str, object]
    seed: int
    pair: str = ""

    def student(self) -> nn.Module:
        """Make a fresh student, the same one each time."""
        if self.pair:
            size = self.arguments.get("img_size")
            return make_student(self.pair, self.arguments.get("num_classes", 1000), size, seed=self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return _build(self.student_name, self.arguments)

    def recipe(self, path: Path, student: nn.Module) -> str:
        """Return the Python that loads the file."""
        arguments = {"num_classes": student.num_classes, **self.arguments}
        if self.pair:
            arguments = {**PAIRS[self.pair].student_args, **arguments}
        if "channel_multiplier" in arguments:  # timm has no name for these
            multiplier = {"channel_multiplier": arguments["channel_multiplier"]}
            return (
                "from dmws_lite.teachers.pairs import build_model; from safetensors.torch import load_model; "
                f"student = build_model({self.student_name!r}, {multiplier!r}, {student.num_classes}); "
                f"load_model(student, {str(path)!r})"
            )
        listed = "".join(f", {key}={value!r}" for key, value in arguments.items())
        return f"timm.create_model({self.student_name!r}, checkpoint_path={str(path)!r}{listed})"


def _models(given: argparse.Namespace) -> _Models:
    arguments = dict(given.student_args)
    if given.num_classes is not None:
        arguments["num_classes"] = given.num_classes
    if given.student is not None:
        _check_names(given.teacher, given.student)
        teacher = _teacher(given, given.teacher, dict(given.teacher_args))
        return _Models(teacher, given.teacher, given.student, arguments, given.seed)
    pair = PAIRS.get(given.teacher)
    if pair is None:
        raise ValueError(
            f"{given.teacher!r} is not a pair; choose one of {', '.join(PAIRS)}, or give TEACHER and STUDENT"
        )
    if given.teacher_args or arguments.keys() - {"img_size", "num_classes"}:
        raise ValueError(f"the pair {pair.name} has its own models; only --student-args img_size=... can be given")
    if given.random or given.teacher_weights or given.dry_run:
        teacher_args = {**pair.teacher_args, "num_classes": pair.classes}
        teacher = _teacher(given, pair.teacher_timm, teacher_args)
    else:
        teacher = load_teacher(pair.name)
    return _Models(teacher, pair.teacher, pair.student_timm, arguments, given.seed, pair.name)


def _check_names(*names: str) -> None:
    for name in names:
        if not timm.is_model(name.partition(".")[0]):
            near = difflib.get_close_matches(name, timm.list_models(), 3, 0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
            raise ValueError(f"timm {timm.__version__} has no model called {name!r}; {hint}")


def _teacher(given: argparse.Namespace, name: str, arguments: dict[str, object]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(given.seed)
        if given.teacher_weights:
            return _fill(_build(name, arguments), given.teacher_weights)
        if given.random or given.dry_run:  # a plan depends on names and shapes only
            return _build(name, arguments)
        try:
            return load_from_hub(name, arguments).float().eval()
        except TeacherError as error:
            remedy = (
                "download it elsewhere and give --teacher-weights FILE, set HF_ENDPOINT to a mirror, or try --random"
            )
            raise TeacherError(f"{str(error).partition('; ')[0]}; {remedy}") from error
        except (TypeError, AssertionError) as error:
            raise ValueError(_not_built(name, error)) from error


def _build(name: str, arguments: Mapping[str, object]) -> nn.Module:
    arguments = dict(arguments)
    try:
        if "channel_multiplier" in arguments:
            return build_model(name, arguments, arguments.pop("num_classes", 1000))
        return timm.create_model(name, **arguments)
    except (TypeError, AssertionError) as error:
        raise ValueError(_not_built(name, error)) from error


def _not_built(name: str, error: BaseException) -> str:
    return f"timm cannot build {name} so: {str(error) or 'the values do not fit together'}; see its documentation"


def _fill(model: nn.Module, path: Path) -> nn.Module:
    """Read a teacher's weights from a file; its classifier may have any number of classes."""
    if not path.is_file():
        raise FileNotFoundError(f"the teacher's weights {path} do not exist")
    try:
        weights = load_state_dict(str(path), weights_only=True)
    except (RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError, KeyError, AttributeError) as error:
        raise TeacherError(
            f"{path} holds no plain weights, and other things are not loaded; give safetensors, or a state_dict that "
            "torch.save wrote"
        ) from error
    weights = _unpacked(weights, model, path)
    head = model.pretrained_cfg.get("classifier") or ""
    if isinstance(head, str) and head:
        rows = weights.get(f"{head}.weight")
        classes = 0 if rows is None else len(rows)
        if classes != model.num_classes:
            model.reset_classifier(classes)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition(": ")[2]
        reason = reason if len(reason) <= 200 else reason[:200] + "..."
        raise TeacherError(
            f"{path} does not fit the teacher ({reason}); is it another model's, or are --teacher-args missing?"
        ) from error
    return model.eval()


def _unpacked(stored: Mapping[str, object], model: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint: at its top or in one of its entries, with or without a prefix before all.

    Raises:
        TeacherError: nothing in it has the names of the teacher's weights; the message names what it holds.
    """
    names = model.state_dict().keys()
    places = [stored, *(entry for entry in stored.values() if isinstance(entry, Mapping))]
    fitting = []
    for place in places:
        tensors = {
            name: value for name, value in place.items() if isinstance(value, torch.Tensor) and isinstance(name, str)
        }
        prefixes = {name.partition(".")[0] + "." for name in tensors if "." in name}
        prefixes |= {first + second for first in prefixes for second in ("model.", "module.", "net.", "backbone.")}
        for prefix in ("", *sorted(prefixes)):
            bare = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            if len(bare.keys() & names) > 0.5 * len(names):
                fitting.append(bare)
                break
    if len(fitting) == 1:
        return fitting[0]
    entries = [name for name, value in stored.items() if not isinstance(value, torch.Tensor)] or list(stored)
    shown = ", ".join(map(str, entries[:8])) + (", ..." if len(entries) > 8 else "")
    if fitting:
        raise TeacherError(
            f"{path} holds {len(fitting)} sets of weights, in its entries {shown}; save one of them alone"
        )
    raise TeacherError(
        f"{path} does not fit the teacher: it holds {shown}, and no entry has the names of the teacher's weights; is "
        "it another model's, or are --teacher-args missing?"
    )


def _write(path: Path, student: nn.Module, models: _Models, plan: Plan) -> Path:
    about = {
        "teacher": models.teacher_name,
        "student": models.student_name,
        "student_args": dict(models.arguments),
        "rule": plan.rule,
        "part": "auxiliary" if plan.part else "main",
        "classifier": "new, not trained",
        "dmws_lite": VERSION,
    }
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in student.state_dict().items()}
    # One entry only: safetensors writes several in no fixed order, and the same weights should give the same bytes.
    return write_atomic(path, safetensors.torch.save(tensors, metadata={"dmws_lite": json.dumps(about)}))


def _beside(path: Path, part: int, parts: str) -> Path:
    return path.with_name(f"{path.stem}-auxiliary{path.suffix}") if parts == "both" and part else path


def _layers(text: str) -> str | list[int]:
    if text in ("first", "last", "uniform"):
        return text
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is none of first, last, uniform, nor a list such as 0,2,4")
    return [int(number) for number in numbers]
