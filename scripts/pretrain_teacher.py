"""Pretrain a small ConvNeXt teacher on any folder of images, as the bundled "pocket" teacher was.

The folder holds one folder per class. The bundled teacher comes from two cycles, of 6 and 5.2 epochs, on Tiny-ImageNet
(200 classes, 100,000 images of 64x64). Two CPU cores train on about 45 such images a second, 40 minutes an epoch::

    python scripts/pretrain_teacher.py --images tiny-imagenet-200/train --out first.safetensors
    python scripts/pretrain_teacher.py --images tiny-imagenet-200/train --out teacher.safetensors \\
        --resume first.safetensors --epochs 5 --lr 1.2e-3

``--resume`` takes either kind of file: a ``.safetensors`` starts a new learning-rate cycle from these weights, a
``.checkpoint.pt`` goes on with a run that was interrupted, exactly where its last whole epoch ended.

Recipe: one-cycle AdamW, label smoothing, stochastic depth, random shift (mirrored at the border) and flip, clipped
gradient, bf16 where the hardware has it. The result is fp16; its SHA-256 is printed at the end.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from hashlib import sha256
from pathlib import Path

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from dmws_lite._system import write_atomic
from dmws_lite.images.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    normalise,
    shift_and_flip,
)
from dmws_lite.images.dataset import Images
from dmws_lite.images.load import load_images
from dmws_lite.training.device import pick_device

SMOOTHING, DROP_PATH, CLIP = 0.1, 0.05, 1.0
# What a run must have in common with the checkpoint that it goes on from.
SETTINGS = ("epochs", "batch", "lr", "weight_decay", "size", "shift", "seed", "limit", "val_share", "depths", "dims")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line and refuse values that cannot work."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder with one folder of images per class")
    parser.add_argument(
        "--val-images", type=Path, help="another such folder for validation (default: a share is held out)"
    )
    parser.add_argument(
        "--val-share", type=float, default=0.1, help="share of each class held out (default %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--resume", type=Path, help="weights for a new cycle, or the checkpoint of an interrupted run")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3, help="peak of the cycle (default %(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels (default %(default)s)")
    parser.add_argument("--shift", type=int, default=6, help="largest random shift in pixels (default %(default)s)")
    parser.add_argument("--limit", type=int, help="read at most this many images of each class")
    parser.add_argument("--depths", type=int, nargs=4, default=[3, 3, 9, 3])
    parser.add_argument("--dims", type=int, nargs=4, default=[48, 96, 192, 384])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    for name in ("epochs", "batch", "lr"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name} is {getattr(options, name)}, but must be above 0")
    if not 0 < options.val_share < 1:
        parser.error(f"--val-share is {options.val_share}, but must be between 0 and 1")
    if options.size < 32 or not 0 <= 2 * options.shift < options.size:
        parser.error("--size must be at least 32 (the total stride) and --shift less than half of it")
    if options.out.suffix != ".safetensors":
        parser.error(f"--out is {options.out}, but must end in .safetensors")
    if options.resume is not None and not options.resume.is_file():
        parser.error(f"--resume: there is no file {options.resume}")
    return options


def held_out(labels: torch.Tensor, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split image numbers into (training, validation), the share drawn within each class, at least one of each."""
    generator = torch.Generator().manual_seed(seed)
    training, validation = [], []
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        if len(members) < 2:
            raise SystemExit(f"class number {int(label)} has 1 image, but training and validation need one each")
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        validation.append(members[:count])
        training.append(members[count:])
    return torch.cat(training), torch.cat(validation)


def read_images(options: argparse.Namespace) -> tuple[Images, Images]:
    """Return training and validation images in colour."""
    wanted = {"size": options.size, "colour": "rgb", "seed": options.seed}
    images = load_images("folder", options.images, limit=options.limit, **wanted)
    if options.val_images is None:
        training, validation = held_out(images.labels, options.val_share, options.seed)
        return images.subset(training), images.subset(validation)
    other = load_images("folder", options.val_images, **wanted)
    if other.classes != images.classes:
        raise SystemExit(
            f"{options.images} and {options.val_images} have different class folders; they must be the same"
        )
    return images, other


def build(options: argparse.Namespace, classes: int) -> nn.Module:
    """The pocket ConvNeXt: a stem of stride 2 leaves small images enough resolution."""
    torch.manual_seed(options.seed)
    shape = {"depths": tuple(options.depths), "dims": tuple(options.dims), "patch_size": 2}
    return timm.create_model("convnext_tiny", num_classes=classes, drop_path_rate=DROP_PATH, **shape)


def autocast(options: argparse.Namespace, device: torch.device) -> torch.autocast:
    """bf16 for the forward pass; "auto" takes it only on GPUs that compute it natively."""
    wanted = options.precision == "bf16" or (
        options.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


@torch.no_grad()
def validate(
    model: nn.Module, images: Images, options: argparse.Namespace, device: torch.device
) -> tuple[float, float]:
    """Return the share of images whose class is the first answer, and among the first five."""
    model.eval()
    hits = torch.zeros(2)
    for start in range(0, len(images), options.batch):
        pixels = images.pixels[start : start + options.batch].to(device)
        with autocast(options, device):
            logits = model(normalise(pixels, IMAGENET_MEAN, IMAGENET_STD))
        best = logits.float().cpu().topk(min(5, logits.shape[1])).indices
        right = best == images.labels[start : start + options.batch, None]
        hits += torch.stack([right[:, 0].sum(), right.any(1).sum()])
    return tuple((hits / len(images)).tolist())


def save_checkpoint(path: Path, state: dict) -> None:
    """Write tensors and plain values, so that the file can be read back without unpickling anything else."""
    stream = io.BytesIO()
    torch.save(state, stream)
    write_atomic(path, stream.getvalue())


def train(options: argparse.Namespace) -> str:
    """Run the whole thing and return the SHA-256 of the file that was written."""
    device = pick_device(options.device)
    training, validation = read_images(options)
    print(
        f"{len(training)} training and {len(validation)} validation images, {len(training.classes)} classes, {device}"
    )
    model = build(options, len(training.classes)).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    batch = min(options.batch, len(training))
    steps = len(training) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=options.epochs * steps)
    generator = torch.Generator().manual_seed(options.seed)
    settings = {name: getattr(options, name) for name in SETTINGS} | {"classes": list(training.classes)}
    checkpoint = options.out.with_suffix(".checkpoint.pt")
    done, history = 0, []

    if options.resume is not None and options.resume.suffix == ".safetensors":
        model.load_state_dict(safetensors.torch.load_file(options.resume))
        print(f"a new cycle from the weights in {options.resume}")
    elif options.resume is not None:
        state = torch.load(options.resume, map_location="cpu", weights_only=True)
        different = [name for name in settings if settings[name] != state["settings"].get(name)]
        if different:
            raise SystemExit(f"{options.resume} was made with other {', '.join(different)}; give the same values")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        generator.set_state(state["generator"])
        torch.set_rng_state(state["random"])
        done, history = state["epochs done"], state["history"]
        print(f"going on after epoch {done} of {options.epochs}")

    shift = (options.shift + 0.5) / options.size  # the helper takes a share of the side and rounds down
    for epoch in range(done, options.epochs):
        model.train()
        order = torch.randperm(len(training), generator=generator)[: steps * batch].split(batch)
        total = 0.0
        with tqdm(order, desc=f"epoch {epoch + 1}/{options.epochs}", unit="batch") as bar:
            for number, index in enumerate(bar, start=1):
                pixels = shift_and_flip(training.pixels[index].to(device), generator, shift)
                with autocast(options, device):
                    logits = model(normalise(pixels, IMAGENET_MEAN, IMAGENET_STD))
                labels = training.labels[index].to(device)
                loss = F.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)
                if not torch.isfinite(loss):
                    raise SystemExit(f"the loss is {float(loss)} in epoch {epoch + 1}; lower --lr (now {options.lr})")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                total += loss.item()
                bar.set_postfix(loss=f"{total / number:.3f}", refresh=False)
        first, five = validate(model, validation, options, device)
        history.append({"epoch": epoch + 1, "loss": total / steps, "top1": first, "top5": five})
        print(
            f"epoch {epoch + 1}: loss {total / steps:.3f}, validation top-1 {first:.1%}, top-5 {five:.1%}", flush=True
        )
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        state |= {"generator": generator.get_state(), "random": torch.get_rng_state(), "settings": settings}
        save_checkpoint(checkpoint, state | {"epochs done": epoch + 1, "history": history})

    return write_teacher(options, model, settings, history)


def write_teacher(options: argparse.Namespace, model: nn.Module, settings: dict, history: list[dict]) -> str:
    """Write the weights as fp16 with a description of how they were made."""
    weights = {name: tensor.detach().half().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        raise SystemExit("a weight does not fit into fp16; the checkpoint has it in fp32")
    story = {"settings": settings, "history": history, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "patch_size": 2}
    # One entry only: safetensors writes several in no fixed order, and the digest should depend on the run alone.
    payload = safetensors.torch.save(weights, metadata={"pretraining": json.dumps(story, sort_keys=True)})
    write_atomic(options.out, payload)
    digest = sha256(payload).hexdigest()
    print(f"{options.out}: {len(payload):,} bytes, SHA-256 {digest}")
    return digest


if __name__ == "__main__":
    train(arguments(sys.argv[1:]))
