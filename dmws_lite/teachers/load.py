"""Load a pretrained teacher by name.

Weight selection needs a pretrained teacher. The paper's two (ViT-S/16 and ConvNeXt-T, ImageNet-21k) are on the Hugging
Face hub. If the hub cannot be reached, two other teachers are available as plain files inside wheels on the Python
package index, and one small teacher comes with the project:

===================  =======  ==========================================  ====================================
pair                 source   teacher                                     student
===================  =======  ==========================================  ====================================
vit_s16              hub      ViT-S/16, ImageNet-21k (paper)              ViT-T/16 (paper)
convnext_t           hub      ConvNeXt-T, ImageNet-22k (paper)            ConvNeXt-F (paper)
vit_s14              wheel    ViT-S/14, DINOv2 type                       ViT-T/14
efficientnet_lite0   wheel    EfficientNet-Lite0, ImageNet-1k             the same at half width
convnext_pocket      bundled  "pocket" ConvNeXt, Tiny-ImageNet, 64x64     the same at half width and less depth
===================  =======  ==========================================  ====================================

For every source, exactly the bytes whose SHA-256 was checked are loaded, and no code from the files is ever run:
safetensors and ONNX are plain data, and ``.pth`` files are read with ``weights_only=True``.

>>> teacher = load_teacher("convnext_pocket")
>>> student = make_student(teacher.pair, num_classes=4)
"""

from __future__ import annotations

import os
from hashlib import sha256 as _sha256

import safetensors.torch
import torch
from torch import nn

from .. import _system
from .._values import check_weights
from .hub import load_pair_from_hub
from .pairs import PAIRS, Pair, TeacherError, alternatives, build_model, fill, find_pair, label
from .wheel import wheel_weights

AUTO_ORDER = ("convnext_t", "efficientnet_lite0", "convnext_pocket")


def load_teacher(name: str, *, cache_dir: str | os.PathLike[str] | None = None, quiet: bool = False) -> nn.Module:
    """Load a pretrained teacher in float32 and eval mode, with gradients off.

    ``"auto"`` tries ``convnext_t`` (hub), ``efficientnet_lite0`` (wheel) and ``convnext_pocket`` (bundled) in this
    order and prints which one it took and why the earlier ones failed. All three are convolutional and accept images
    of any size, so a fallback changes the size and the pretraining but not the type of network.

    Args:
        name: a key of ``PAIRS``, the timm name of a teacher, or ``"auto"``.
        cache_dir: folder for downloads. By default, hub files go to the hub client's own cache, and files from wheels
            to the folder in the environment variable ``DMWS_CACHE``, or else to ``~/.cache/dmws_lite``.
        quiet: do not show progress. Problems and the choice of ``"auto"`` are printed anyway.

    Returns:
        The model, with its own classifier if it has one. ``model.pair`` is the name of the pair, and
        ``model.pretrained_cfg`` has ``mean``, ``std`` and ``input_size`` as in timm.

    Raises:
        ValueError: ``name`` is unknown.
        TeacherError: the weights are unavailable or fail their checksum.
        FileNotFoundError: the bundled file is missing from the installation.

    Example:
        >>> from dmws_lite import load_teacher
        >>> teacher = load_teacher("convnext_pocket")  # comes with the project
        >>> teacher.pair, teacher.num_classes, teacher.training
        ('convnext_pocket', 200, False)
    """
    if name == "auto":
        return _first_available(cache_dir, quiet)
    pair = find_pair(name)
    with torch.random.fork_rng(devices=[]):  # the initial weights, soon overwritten, must not use the caller's seed
        if pair.source == "hub":
            model = load_pair_from_hub(pair, cache_dir, quiet)
        else:
            weights = _bundled_weights(pair) if pair.source == "bundled" else wheel_weights(pair, cache_dir, quiet)
            model = build_model(pair.teacher_timm, pair.teacher_args, pair.classes)
            fill(model, weights, pair)
    try:
        check_weights(model.state_dict(), f"the teacher {pair.name}", alternatives(pair.source))
    except ValueError as error:
        raise TeacherError(str(error)) from None
    return label(model, pair, pair.input_size).float().eval().requires_grad_(False)


# -------------------------------------------------------------------------------------------------------------- auto


def _first_available(cache_dir: str | os.PathLike[str] | None, quiet: bool) -> nn.Module:
    reasons: list[str] = []
    for name in AUTO_ORDER:
        try:
            teacher = load_teacher(name, cache_dir=cache_dir, quiet=quiet)
        except (TeacherError, FileNotFoundError) as error:
            reasons.append(f"  not {name} ({PAIRS[name].source}): {error}")
            continue
        print(f"teacher 'auto' is {name} ({PAIRS[name].source}): {PAIRS[name].teacher}", *reasons, sep="\n", flush=True)
        return teacher
    raise TeacherError("no teacher is available:\n" + "\n".join(reasons))


# ----------------------------------------------------------------------------------------------------------- bundled


def _bundled_weights(pair: Pair) -> dict[str, torch.Tensor]:
    path = _system.data_path(pair.where)
    payload = path.read_bytes()
    actual = _sha256(payload).hexdigest()
    if actual != pair.sha256:
        raise TeacherError(
            f"the bundled file {path.name} is damaged: its SHA-256 is {actual}, expected {pair.sha256}; "
            "restore it with 'git checkout' or reinstall dmws_lite"
        )
    return safetensors.torch.load(payload)
