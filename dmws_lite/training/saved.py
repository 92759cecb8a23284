"""A trained student on disk: the weights, and beside them everything that is needed to use them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from .._sealed import read_file, read_json, with_checksum
from .._system import VERSION, write_atomic
from .._values import check_integer, check_weights
from ..images.augment import check_statistics, input_statistics
from ..images.decode import COLOURS, FITS
from ..images.volumes import check_volume_options
from ..teachers.pairs import PAIRS, build_model

FORMAT = 1

WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Card:
    """What must be known to rebuild a network and to show it images in the way it was trained on.

    Attributes:
        pair: teacher and student.
        architecture: timm name.
        arguments: keyword arguments for timm, apart from the name.
        classes: class names; the position is the output.
        size: image side in pixels.
        colour: ``"grey"`` or ``"rgb"``, see :func:`dmws_lite.images.load.load_images`.
        fit: how other shapes become square.
        mean: subtracted from pixels in 0 .. 1.
        std: divides afterwards.
        sha256: of the file of weights.
        versions: with which it was made.
        slices: of DICOM and NIfTI files, see :func:`dmws_lite.images.load.load_images`.
        axis: of NIfTI files.
        window: of both.
        notice: what it is not.
        format: of this file.
        checksum: of this file's other entries; files from before there were checksums have none.
    """

    pair: str
    architecture: str
    arguments: dict
    classes: list[str]
    size: int
    colour: str
    fit: str
    mean: list[float]
    std: list[float]
    sha256: str = ""
    versions: dict = field(default_factory=dict)
    slices: str = "middle"
    axis: str = "axial"
    window: str = ""
    notice: str = "Teaching material, not a medical device."
    format: int = FORMAT
    checksum: str = ""


def describe(
    model: nn.Module, pair: str, whole: bool, classes: tuple[str, ...], size: int, colour: str, fit: str
) -> Card:
    """Describe a trained network of a pair.

    Args:
        model: the network.
        pair: name of the pair.
        whole: it is the whole teacher, not the student.
        classes: class names.
        size: image side in pixels.
        colour: how the images were read.
        fit: how they were made square.
    """
    known = PAIRS[pair]
    arguments = dict(known.teacher_args if whole else known.student_args)
    if known.family == "vit":
        arguments["img_size"] = size
    mean, std = input_statistics(model)
    return Card(
        pair=pair,
        architecture=(known.teacher_timm if whole else known.student_timm).partition(".")[0],
        arguments=arguments,
        classes=list(classes),
        size=size,
        colour=colour,
        fit=fit,
        mean=list(mean),
        std=list(std),
        versions={
            "dmws_lite": VERSION,
            "torch": torch.__version__,
            "timm": timm.__version__,
            "python": platform.python_version(),
        },
    )


def save(folder: Path, model: nn.Module, card: Card) -> Path:
    """Write the weights and the card; the card last, with the SHA-256 of the weights.

    Raises:
        ValueError: a weight is NaN or infinite, or a standard deviation is not above 0; nothing is written.
    """
    check_weights(model.state_dict(), "the network", "it is not written; train again with a lower learning rate")
    check_statistics(card.mean, card.std)
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    about = {name: value for name, value in asdict(card).items() if name != "checksum"} | {"sha256": ""}
    payload = safetensors.torch.save(tensors, metadata={"dmws_lite": json.dumps(about)})
    write_atomic(folder / WEIGHTS, payload)
    about = with_checksum({**about, "sha256": hashlib.sha256(payload).hexdigest()})
    return write_atomic(folder / CARD, json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def save_student(
    folder: str | Path,
    model: nn.Module,
    pair: str,
    classes: Sequence[str],
    size: int,
    colour: str = "grey",
    fit: str = "stretch",
) -> Path:
    """Write a trained student so that ``dmws-lite predict`` and :func:`load` can use it.

    Args:
        folder: where to, such as ``"runs/mine"``.
        model: the student.
        pair: name of its pair, such as ``"convnext_pocket"``.
        classes: class names; the position is the output.
        size: image side in pixels that it was trained with.
        colour: ``"grey"`` or ``"rgb"``, as the images were read.
        fit: how they were made square.

    Returns:
        The path of the card, ``model.json``.

    Raises:
        ValueError: the pair is unknown, or the model is not its student.
    """
    if pair not in PAIRS:
        raise ValueError(f"pair={pair!r} is unknown; choose one of {', '.join(PAIRS)}")
    card = describe(model, pair, False, tuple(classes), size, colour, fit)
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in card.arguments.items()}
    expected = build_model(card.architecture, arguments, len(classes)).state_dict()
    own = model.state_dict()
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in expected.items()}:
        raise ValueError(
            f"the model is not the student of {pair!r} with {len(classes)} classes; pass the pair it was made for"
        )
    return save(Path(folder), model, card)


def load(folder: Path) -> tuple[nn.Module, Card]:
    """Rebuild the network of a run folder, in eval mode, on the CPU.

    Raises:
        FileNotFoundError: the folder holds no trained network.
        ValueError: a file is damaged or does not belong to the other.
    """
    path = folder / CARD
    if not path.is_file():
        if not folder.exists():
            raise FileNotFoundError(f"{folder} does not exist; give the --out folder of `dmws-lite train`")
        begun = (
            "its training is not finished: give the same train command again"
            if (folder / "settings.json").is_file()
            else "give the --out folder of `dmws-lite train`"
        )
        raise FileNotFoundError(f"{folder} holds no trained model; {begun}")
    try:
        raw = read_json(path)
        if raw["format"] != FORMAT:
            raise ValueError(f"{path} has format {raw['format']!r}; this version reads format {FORMAT}")
        card = Card(**raw)
        _check_card(card)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a model card ({error}); train again") from error
    payload = read_file(folder / WEIGHTS)
    actual = hashlib.sha256(payload).hexdigest()
    if actual != card.sha256:
        raise ValueError(
            f"{folder / WEIGHTS} is damaged or of another run: its SHA-256 is {actual}, {CARD} says {card.sha256}"
        )
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in card.arguments.items()}
    try:
        model = build_model(card.architecture, arguments, len(card.classes))
        weights = safetensors.torch.load(payload)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError,
            safetensors.SafetensorError) as error:  # fmt: skip
        raise ValueError(f"{folder / WEIGHTS} does not fit {path} ({' '.join(str(error).split())})") from error
    check_weights(weights, str(folder / WEIGHTS), "train again")
    model.pretrained_cfg = {**model.pretrained_cfg, "mean": tuple(card.mean), "std": tuple(card.std)}
    return model.eval(), card


def _check_card(card: Card) -> None:
    """Raise ``ValueError`` for an entry of a card that has another type or range than :func:`describe` gives it."""
    texts = ("pair", "architecture", "colour", "fit", "sha256", "slices", "axis", "window", "notice")
    for name in texts:
        if not isinstance(getattr(card, name), str):
            raise TypeError(f"{name} is {getattr(card, name)!r}, not a text")
    if not isinstance(card.arguments, dict) or not isinstance(card.versions, dict):
        raise TypeError("arguments or versions is no mapping")
    if not isinstance(card.classes, list) or not card.classes or not all(isinstance(c, str) for c in card.classes):
        raise TypeError("classes is no list of names")
    if not isinstance(card.mean, list) or not isinstance(card.std, list):
        raise TypeError("mean or std is no list of numbers")
    check_integer("size", card.size, 8, 2048)
    check_statistics(card.mean, card.std)
    for name, choices in (("colour", COLOURS), ("fit", FITS)):
        if getattr(card, name) not in choices:
            raise TypeError(f"{name} is {getattr(card, name)!r}, none of {', '.join(choices)}")
    check_volume_options(card.slices, card.axis, card.window)


def predictions_csv(
    files: Sequence[str],
    classes: Sequence[str],
    probabilities: Tensor,
    labels: Tensor | None = None,
    doubt: Tensor | None = None,
) -> str:
    """Return predictions as comma-separated text: one line per image.

    Args:
        files: name of each image, ``N`` of them.
        classes: class names; the position is the column of ``probabilities``.
        probabilities: ``(N, K)``.
        labels: ``(N,)`` class numbers, where they are known.
        doubt: ``(N,)``, see :meth:`dmws_lite.training.doubt.Typical.doubt`, where it was measured.

    Returns:
        Columns ``file``, ``label`` (where known), ``predicted``, one ``p(class)`` for each class, four digits each, and
        ``doubt`` (where known), which is above 1 for an image that looks unlike the training images.

    Raises:
        ValueError: a probability or a doubt is not a number.
    """
    text = io.StringIO()
    if not bool(probabilities.isfinite().all()) or (doubt is not None and bool(doubt.isnan().any())):
        raise ValueError("some probabilities are NaN or infinite; such predictions are not written")
    table = csv.writer(text, lineterminator="\n")
    known = ["label"] if labels is not None else []
    table.writerow(["file", *known, "predicted", *(f"p({name})" for name in classes), *["doubt"] * (doubt is not None)])
    for place, (name, shares) in enumerate(zip(files, probabilities)):
        label = [classes[int(labels[place])]] if labels is not None else []
        numbers = [f"{share:.4f}" for share in shares.tolist()]
        far = [f"{float(doubt[place]):.2f}"] if doubt is not None else []
        table.writerow([name, *label, classes[int(shares.argmax())], *numbers, *far])
    return text.getvalue()
