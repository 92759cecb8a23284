"""``train``: one run on your own folder of images, and the trained student as files."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .._sealed import read_json, with_checksum
from .._system import remove_temporaries, write_atomic
from ..distillation.strategies import STRATEGIES
from ..experiments.check import check_record
from ..experiments.execute import Outcome, Shelf, carry_out
from ..experiments.locks import at_work, owner_text
from ..experiments.methods import METHODS
from ..experiments.model_card import write_model_card
from ..experiments.records import record_text
from ..experiments.run import Run
from ..experiments.statistics import proportion_interval
from ..images.dataset import Images
from ..images.near_copies import near_groups, near_pairs
from ..images.overview import conflict_lines, conflicts, patient_lines, without_conflicts
from ..images.splits import (
    Split,
    check_pattern,
    find_patients,
    known_patients,
    shared_patients,
    split,
    split_by_groups,
    split_by_parts,
)
from ..selection.rules import RULES
from ..teachers.load import load_teacher
from ..teachers.pairs import PAIRS
from ..training.config import BALANCES, TrainConfig
from ..training.device import pick_device
from ..training.doubt import DOUBT, measure_typical, save_typical
from ..training.evaluate import predict_probabilities
from ..training.saved import CARD, WEIGHTS, describe, predictions_csv, save
from .common import DONE, NOT_A_DEVICE, STOPPED, add_command, confusion_lines, duration
from .folder import FOLDER_OPTIONS, add_folder_options, look_at, read, settings_of, with_test_folder

SETTINGS, RECORD, CHECKPOINT, TESTED = "settings.json", "record.json", "checkpoint.pt", "test_files.csv"

MODEL_CARD = "MODEL_CARD.md"

_FILES = (SETTINGS, RECORD, CHECKPOINT, TESTED, MODEL_CARD, WEIGHTS, CARD, DOUBT)

_LOCK = "training"

_DEFAULT_STEPS = 800
# One selection, without a second student: book/paper_vs_here.md, "If you train tomorrow", says why. The same section
# is behind the peak learning rate and the augmentation, which are those of TrainConfig.
_DEFAULT_METHOD = "cm1"


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    usual = TrainConfig()
    parser = add_command(
        commands,
        "train",
        train_command,
        f"""
        Train a small network on your own folder of images.

        It starts from a part of a large one and learns from the labels alone; --method ours adds the paper's second
        student, which takes longer and brought no gain in our experiments.

        FOLDER holds one folder per class, FOLDER/<class>/..., or images whose labels are in a table (--labels); PNG,
        JPEG, TIFF, DICOM and other formats may be mixed, in grey or colour, with 8 or 16 bits. First it is said how
        FOLDER is read; `dmws-lite look` says more. A fifth of the images is kept for testing; identical files stay on
        one side of the split. Images of one patient look alike: if the paths contain the patient, describe where with
        --patient, and each patient stays on one side. Files that cannot be read are named and left out.

        RUNFOLDER gets {WEIGHTS} and model.json (for `dmws-lite predict`), {SETTINGS}, {RECORD} (settings and results),
        {TESTED} (the prediction for each test image, with your file names), and {MODEL_CARD} (a page
        on the result, with blanks for what only you know). Run the same command again to resume after an interruption;
        once training has finished, it only prints the result.
        """,
        """
        dmws-lite train my_images --out runs/mine
        dmws-lite train my_images --out runs/quick --steps 100 --size 32
        dmws-lite train my_images --out runs/dual --method ours
        dmws-lite train my_images --out runs/five --fraction 0.05 --seed 1
        dmws-lite train my_images --out runs/patients --patient "p[0-9]+"
        dmws-lite train here --out runs/elsewhere --test-folder other_hospital
        """,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="one folder per class, with images")
    parser.add_argument(
        "--out", metavar="RUNFOLDER", type=Path, required=True, help="folder for the trained network and its record"
    )
    data = parser.add_argument_group("the images")
    data.add_argument("--size", type=int, help="image side in pixels (default: the teacher's)")
    add_folder_options(data)
    data.add_argument("--test-folder", metavar="FOLDER", type=Path, help="test on these images, train on all of FOLDER")
    data.add_argument("--fraction", type=float, default=1.0, help="share of the training images used (default: 1)")
    data.add_argument("--test-share", type=float, default=0.2, help="share kept for testing (default: 0.2)")
    data.add_argument(
        "--split-rule",
        choices=("grouped", "random"),
        default="grouped",
        help="grouped (default) keeps identical files on one side; random is the paper's split",
    )
    data.add_argument(
        "--patient",
        metavar="PATTERN",
        help="regular expression that finds the patient in a path below the class folder; with a (group), its text",
    )
    data.add_argument(
        "--near-copies",
        choices=("ignore", "together"),
        default="ignore",
        help="together keeps images that are nearly equal on one side of the split (default: ignore)",
    )
    data.add_argument(
        "--conflicts",
        choices=("keep", "drop"),
        default="keep",
        help="what to do with one picture under two labels (default: keep, and name it)",
    )
    how = parser.add_argument_group("the method")
    how.add_argument(
        "--pair",
        choices=("auto", *PAIRS),
        default="convnext_pocket",
        help="teacher and student; auto takes the best one available (default: convnext_pocket, bundled)",
    )
    how.add_argument(
        "--method", choices=METHODS, default=_DEFAULT_METHOD, help="how the students start (default: %(default)s)"
    )
    how.add_argument("--strategy", choices=tuple(STRATEGIES), default="", help="how they learn (default: the method's)")
    how.add_argument("--rule", choices=RULES, default="uniform", help="which weights are selected (default: uniform)")
    how.add_argument("--alpha", type=float, help=f"weight of the labels, of --method ours (default: {usual.alpha})")
    how.add_argument(
        "--beta", type=float, help=f"share the auxiliary keeps per step, of --method ours (default: {usual.beta})"
    )
    how.add_argument("--tau", type=float, help="temperature (default: the paper's for the pair, 3 or 4)")
    how.add_argument("--seed", type=int, default=0, help="seed of split, start, order and augmentation (default: 0)")
    length = parser.add_argument_group("the training")
    either = length.add_mutually_exclusive_group()
    either.add_argument("--steps", type=int, help=f"this many steps (default: {_DEFAULT_STEPS}; 2 minutes on a CPU)")
    either.add_argument("--epochs", type=int, help="passes over the training images, instead of --steps")
    length.add_argument("--batch-size", type=int, default=16, help="images per step (default: 16)")
    length.add_argument(
        "--learning-rate", type=float, default=usual.learning_rate, help="peak learning rate (default: %(default)s)"
    )
    length.add_argument(
        "--balance",
        choices=BALANCES,
        default="none",
        help="sampling draws every class equally often (default: none)",
    )
    length.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    length.add_argument("--quiet", action="store_true", help="no progress bars")
    options = (
        *FOLDER_OPTIONS,
        "size",
        "colour",
        "fit",
        "fraction",
        "test_share",
        "split_rule",
        "patient",
        "rule",
        "pair",
    )
    more = ("method", "strategy", "alpha", "beta", "tau", "seed", "steps", "epochs", "batch_size", "learning_rate")
    parser.set_defaults(options=(*options, *more, "device"))


def train_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite train``."""
    _check_places(given.folder, given.out)
    pick_device(given.device)
    _check_options(given)
    teacher = load_teacher(_pair_before(given.out) or "auto") if given.pair == "auto" else None
    run = _run(given, teacher.pair if teacher else given.pair)
    _check_effect(given, run)
    settings = {**run.settings(), **settings_of(given), **_split_settings(given), "device": given.device}
    _check_same(given.out, settings)

    images = _read(given, run.size)
    groups = known_patients(images, given.patient)
    settings["images"] = _digest(images, groups)
    _check_same(given.out, settings)
    if (given.out / RECORD).is_file() and not (given.out / CHECKPOINT).is_file():
        record = _record_before(given.out)
        print(f"\n{given.out} holds this run, and it has finished. Its result:")
        _print_result(record)
        return DONE
    data, facts = _split(images, groups, given, run)

    def begin() -> None:
        if (given.out / CHECKPOINT).is_file():
            print(f"resuming the run begun in {given.out}", flush=True)
        write_atomic(given.out / SETTINGS, json.dumps(with_checksum(settings), indent=1) + "\n")

    shelf = Shelf(loaded=teacher, keep=given.out)
    with at_work(given.out, _LOCK) as free:
        if not free:
            raise ValueError(f"{given.out} is in use by {owner_text(given.out, _LOCK)}; wait, or give another --out")
        for name in _FILES:
            remove_temporaries(given.out / name)
        try:
            trained = carry_out(
                run,
                shelf,
                data=data,
                progress=not given.quiet,
                command="dmws-lite train FOLDER --out RUNFOLDER",
                device=given.device,
                checkpoint=given.out / CHECKPOINT,
                on_start=begin,
                balance=given.balance,
                most_steps=run.steps,
            )
        except KeyboardInterrupt:
            print(
                f"stopped: finished epochs are kept in {given.out}; run the same command again to resume",
                file=sys.stderr,
            )
            return STOPPED
        record = _finish(given.out, run, {**settings, **facts}, trained, groups)
        shelf.forget()
    _print_result(record)
    print(f"\nwritten: {given.out}; use it with: dmws-lite predict {given.out} IMAGES")
    print(NOT_A_DEVICE, file=sys.stderr)
    return DONE


def _run(given: argparse.Namespace, pair: str) -> Run:
    steps = given.steps if given.steps is not None or given.epochs is not None else _DEFAULT_STEPS
    names = ("method", "fraction", "seed", "batch_size", "learning_rate", "rule", "split_rule")
    usual = TrainConfig()
    return Run(
        dataset="folder",
        pair=pair,
        size=PAIRS[pair].input_size if given.size is None else given.size,
        tau=PAIRS[pair].tau if given.tau is None else given.tau,
        alpha=usual.alpha if given.alpha is None else given.alpha,
        beta=usual.beta if given.beta is None else given.beta,
        steps=steps or 0,
        epochs=given.epochs or 0,
        strategy=given.strategy,
        **{name: getattr(given, name) for name in names},
    )


def _check_options(given: argparse.Namespace) -> None:
    """Refuse options that contradict one another, before anything is read."""
    if given.patient is not None:
        check_pattern(given.patient)
        if given.split_rule == "random":
            raise ValueError("--split-rule random would split patients, which --patient prevents; use one of the two")
    if given.near_copies == "together" and given.split_rule == "random":
        raise ValueError("--split-rule random would split near-copies, which --near-copies together prevents")
    if given.test_folder is not None and given.parts == "official":
        raise ValueError("--test-folder and --parts official both name the test images; use one of the two")


def _check_effect(given: argparse.Namespace, run: Run) -> None:
    """Refuse a number that the method does not read: a person who gave it expects it to matter."""
    reads = set(run.options) | ({"beta"} if METHODS[run.method].has_auxiliary else set())
    for name in ("alpha", "beta", "tau"):
        if getattr(given, name) is not None and name not in reads:
            raise ValueError(
                f"--{name} {getattr(given, name)} has no effect with --method {run.method}, which learns by "
                f"{run.strategy_name}; leave it out, or pass --method ours"
            )


def _split_settings(given: argparse.Namespace) -> dict:
    """Return what else decides the split, for the record; what is at its default is left out."""
    settings: dict[str, object] = {"test_share": given.test_share, "patient": given.patient}
    if given.test_folder is not None:
        settings["test_folder"] = given.test_folder.resolve().name
    defaults = {"near_copies": "ignore", "conflicts": "keep", "balance": "none"}
    return settings | {n: getattr(given, n) for n, value in defaults.items() if getattr(given, n) != value}


def _read(given: argparse.Namespace, size: int) -> Images:
    """Look at the folder, say how it is read, and read it."""
    layout = look_at(given.folder, given)
    if given.patient is not None:  # a pattern that fits nothing is refused before minutes are spent on reading
        places = [entry.path.relative_to(layout.base).as_posix() for entry in layout.entries]
        find_patients(places, [entry.label for entry in layout.entries], given.patient)
    images = read(layout, given, size)
    if given.test_folder is not None:
        images = with_test_folder(images, given.test_folder, given, size)
    lines = images.describe().split("\n")
    print("\n".join(line for line in lines if line.removeprefix("note: ") not in layout.lines), flush=True)
    return without_conflicts(images) if given.conflicts == "drop" else images


def _split(images: Images, groups: Sequence[str] | None, given: argparse.Namespace, run: Run) -> tuple[Split, dict]:
    """Split as was asked, say so, and return what the record says of it."""
    official = given.test_folder is not None or given.parts == "official"
    together, facts = groups, {"data": _data_facts(images)}
    if given.near_copies == "together":
        pairs = near_pairs(images.pixels)
        together = near_groups(images, groups or images.digests, pairs)
        print(f"near-copies: {len(pairs):,} pairs are kept on one side")
    if official:
        data = split_by_parts(images, run.fraction, run.seed)
        where = f"the folder {given.test_folder.name}" if given.test_folder else "the official test part"
        facts["grouped_by"] = f"tested on {where}, which the data come with"
    elif together is not None:
        data = split_by_groups(images, together, run.fraction, run.seed, given.test_share, patients=groups is not None)
        what = "patients" if groups is not None else "near-copies"
        how = "their paths say" if given.patient is not None else "folders, table or headers say"
        facts["grouped_by"] = f"{what} on one side" + (f", as {how}" if groups is not None else "")
    else:
        data = split(images, run.fraction, run.seed, run.split_rule, given.test_share)
    print("\n" + data.describe(), flush=True)
    for line in _patients(images, data, groups, given, official):
        print(line, file=sys.stderr if line.startswith("warning") else sys.stdout, flush=True)
    for line in conflict_lines(images):
        print(f"warning: {line}; see --conflicts", file=sys.stderr)
    if given.near_copies == "together":
        facts["near_copies_together"] = len(pairs)
    print(flush=True)
    return data, facts


def _patients(
    images: Images, data: Split, groups: Sequence[str] | None, given: argparse.Namespace, official: bool
) -> list[str]:
    """Say how many patients there are and where they went."""
    if groups is None:
        return ["patients: not known; images of one patient on both sides flatter the result (see --patient)"]
    sides = [len({groups[i] for i in index.tolist()}) for index in (data.train_index, data.test_index)]
    lines = patient_lines(images, groups)
    lines.append(f"patients: {sides[0]:,} in training, {sides[1]:,} in the test")
    if shared := shared_patients(data, groups):
        lines.append(f"warning: {shared:,} test images are of patients that are in the training part too")
    elif not official:
        lines.append("patients: each on one side, as " + ("their paths say" if given.patient else "the data say"))
    return lines


def _data_facts(images: Images) -> dict:
    """Return what the record says of the data: names and counts, never where they lie."""
    facts = {"name": images.name.removeprefix("folder:"), "images": len(images), "counts": images.counts()}
    if under_two := conflicts(images):
        facts["two_labels"] = [list(files) for files in under_two]
    return facts


# -- the run folder ---------------------------------------------------------------------------------------------------


def _check_places(folder: Path, out: Path) -> None:
    """Refuse a run folder that would become a class of the images, or that holds something else."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{folder} {what}; give the folder that holds one folder of images per class")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"--out {out} lies inside the images, where it would be read as a class; choose another folder"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; give a new folder")
    if out.is_dir() and not (out / SETTINGS).is_file() and any(not p.name.startswith(".") for p in out.iterdir()):
        raise ValueError(f"--out {out} holds files that belong to no run; give a new folder")


def _check_same(out: Path, settings: dict) -> None:
    """Refuse to resume a run that was begun with other settings or other images."""
    path = out / SETTINGS
    if not path.is_file():
        return
    before = _settings_before(path, out)
    other = [name for name, value in settings.items() if before.get(name) != value]
    if other == ["images"]:
        raise ValueError(f"{out} holds a run on other images (the folder has changed since); give another --out")
    if other:
        changes = ", ".join(
            f"{name} was {_as_given(name, before.get(name))}, now {_as_given(name, settings[name])}"
            for name in other
            if name != "images"
        )
        raise ValueError(f"{out} holds another run: {changes}; give another --out")


def _settings_before(path: Path, out: Path) -> dict:
    try:
        return read_json(path)
    except ValueError as error:
        raise ValueError(f"{error}; delete {out} or give another --out") from error


def _pair_before(out: Path) -> str:
    """Return the pair that a run begun in a folder got from ``--pair auto``, or ``""``: it goes on with that one."""
    path = out / SETTINGS
    pair = _settings_before(path, out).get("pair") if path.is_file() else ""
    return pair if isinstance(pair, str) and pair in PAIRS else ""


def _record_before(out: Path) -> dict:
    """Return the record of a finished run."""
    path = out / RECORD
    try:
        record = read_json(path)
        if problems := check_record(path):
            raise ValueError(f"{path} is damaged: {problems[0]}")
    except ValueError as error:
        raise ValueError(f"{error}; delete it and run the same command again, or give another --out") from error
    return record


def _as_given(name: str, value: object) -> object:
    """Return a setting as a person gave it: of steps and epochs only one is given, the other is stored as 0."""
    return "not given" if value is None or (name in ("steps", "epochs") and value == 0) else value


def _digest(images: Images, groups: Sequence[str] | None) -> str:
    """Return a digest of the images with their labels and patients; where the files are does not count."""
    rows = [f"{digest} {images.classes[label]}" for digest, label in zip(images.digests, images.labels.tolist())]
    if groups is not None:
        rows = [f"{row} {group}" for row, group in zip(rows, groups)]
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def _finish(out: Path, run: Run, settings: dict, trained: Outcome, groups: Sequence[str] | None) -> dict:
    """Write all results: the record first, then the network, then what can be made again from them.

    What fails at the end is a warning. The checkpoint goes last: as long as it is there, the same command writes
    everything once more.
    """
    data, main = trained.data, trained.main
    classes = data.train.classes
    whole = METHODS[run.method].start == "teacher"
    if groups is not None:
        in_test = len({groups[i] for i in data.test_index.tolist()})
        settings = {**settings, "test_groups": in_test}
    record = {**settings, **trained.record}
    write_atomic(out / RECORD, record_text(record))
    card = describe(main, run.pair, whole, classes, run.size, settings["colour"], settings["fit"])
    save(out, main, replace(card, **{n: settings[n] for n in ("slices", "axis", "window") if n in settings}))

    def tested() -> None:
        shares = predict_probabilities(main, data.test.pixels)
        write_atomic(out / TESTED, predictions_csv(data.test.files, classes, shares, data.test.labels))

    def doubt() -> None:
        save_typical(out, measure_typical(main, data.train.pixels, data.train.labels, data.test.pixels))

    failed = False
    for name, write in (
        (TESTED, tested),
        (DOUBT, doubt),
        (MODEL_CARD, lambda: write_model_card(out / MODEL_CARD, record, data)),
    ):
        try:
            write()
        except _AFTERWARDS as error:
            failed = True
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"warning: {name} is not written ({reason}); the result is in {out / RECORD}", file=sys.stderr)
    if not failed:
        (out / CHECKPOINT).unlink(missing_ok=True)
    return record


# What can go wrong with a file that is not needed for the result: the disk, and mistakes of ours.
_AFTERWARDS = (OSError, ValueError, RuntimeError, ArithmeticError, TypeError, LookupError, AttributeError, ImportError)


def _print_result(record: dict) -> None:
    metrics = record["metrics"]
    low, high = proportion_interval(metrics["accuracy"], metrics["n"])
    n, right = metrics["n"], round(metrics["accuracy"] * metrics["n"])
    print(
        f"\naccuracy {metrics['accuracy']:.3f}: {right} of {n} test images right, 95% interval {low:.3f} to {high:.3f}"
    )
    print(f"macro F1 {metrics['macro_f1']:.3f}, AUROC {metrics['auroc']:.3f}; {duration(record['seconds'])}")
    for line in class_lines(record["classes"], metrics["confusion"]):
        print(line)
    print("\n" + confusion_lines(record["classes"], metrics["confusion"]))


def class_lines(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[str]:
    """Return the always-majority answer's accuracy, and the recall of the rarest class in the test."""
    sums = [sum(row) for row in matrix]
    seen = [k for k in range(len(sums)) if sums[k]]
    most, rarest = max(seen, key=sums.__getitem__), min(seen, key=sums.__getitem__)
    lines = [f"always answering {classes[most]}: {sums[most] / sum(sums):.3f}"]
    if sums[rarest] < sums[most]:
        lines.append(
            f"rarest class {classes[rarest]}: {matrix[rarest][rarest]} of {sums[rarest]} found, recall "
            f"{matrix[rarest][rarest] / sums[rarest]:.3f}"
        )
    return lines
