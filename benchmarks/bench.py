"""Measure what the method costs, as ratios within one run: ``make bench``.

Seconds belong to a machine, ratios carry over better. Every ratio is taken between two things that were measured in
turns, a, b, a, b, in the same process, so that a slow moment of the machine hits both; the median of the rounds is
given with the quartiles. Results of machines we measured on are in README.md beside this file.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from dmws_lite import load_images, load_teacher, make_student, select_weights, skd_loss, update_auxiliary
from dmws_lite.experiments.methods import start_students
from dmws_lite.training.device import pick_device


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Time one call, the GPU's queue included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(
    a: Callable[[], object], b: Callable[[], object], rounds: int, device: torch.device
) -> tuple[str, float, float]:
    """Measure ``a / b`` in turns; return it in words, and the median seconds of both."""
    a(), b()  # not counted: the first call allocates and compiles
    pairs = [(seconds(a, device), seconds(b, device)) for _ in range(rounds)]
    low, middle, high = statistics.quantiles([x / y for x, y in pairs], n=4)
    return (f"{middle:.2f} (quartiles {low:.2f} to {high:.2f}, {rounds} rounds)",
            *(statistics.median(side) for side in zip(*pairs)))  # fmt: skip


def training_step(method: str, pair: str, size: int, batch: int, device: torch.device) -> Callable[[], None]:
    """Return one training step of a method, ready to be called again and again."""
    teacher = load_teacher(pair, quiet=True)
    main, aux = start_students(method, teacher, lambda: make_student(pair, 4, size))
    main = main.to(device, memory_format=torch.channels_last).train()
    aux = aux and aux.to(device, memory_format=torch.channels_last)
    x = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch, device=device) % 4
    optimizer = torch.optim.AdamW(main.parameters(), lr=1e-4)

    def step() -> None:
        if aux is not None:
            with torch.no_grad():
                soft = aux(x)
            loss = skd_loss(main(x), soft, y)["loss"]
        else:
            loss = torch.nn.functional.cross_entropy(main(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if aux is not None:
            update_auxiliary(aux, main, 0.9)

    return step


def plain_step(pair: str, size: int, batch: int, bf16: bool, channels_last: bool) -> Callable[[], None]:
    """Return one step of plain training on the CPU in a precision and a memory layout."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = make_student(pair, 4, size, seed=0).to(memory_format=layout).train()
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=layout)
    y = torch.arange(batch) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(x)
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(logits.float(), y).backward()
        optimizer.step()

    return step


def peak_megabytes(method: str, pair: str, size: int, batch: int) -> float:
    """Peak memory of training steps on a GPU."""
    torch.cuda.empty_cache()
    step = training_step(method, pair, size, batch, torch.device("cuda"))
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        step()
    return torch.cuda.max_memory_allocated() / 2**20


@torch.no_grad()
def plain_update(aux: torch.nn.Module, main: torch.nn.Module, beta: float) -> None:
    """Equation 7 as one would write it first."""
    other = dict(main.named_parameters())
    for name, weights in aux.named_parameters():
        weights.copy_(beta * weights + (1 - beta) * other[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each side (default %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images per step (default %(default)s)")
    parser.add_argument("--pair", default="convnext_pocket", help="teacher and student (default %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="image side in pixels (default %(default)s)")
    given = parser.parse_args()
    device = pick_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}")
    setting = (given.pair, given.size, given.batch)

    dual, alone = training_step("ours", *setting, device), training_step("cm1", *setting, device)
    said, a, b = ratio(dual, alone, given.rounds, device)
    print(f"\ntraining step, {given.pair}, {given.size} px, batch {given.batch}: with auxiliary / without = {said}")
    print(f"  {a * 1e3:.1f} ms against {b * 1e3:.1f} ms; paper, table 8: 1.26 to 1.37; one forward more of three: 1.33")
    if device.type == "cuda":
        a, b = peak_megabytes("ours", *setting), peak_megabytes("cm1", *setting)
        print(f"  peak memory {a:.0f} MiB against {b:.0f} MiB = {a / b:.2f}; paper, table 8: 1.10 to 1.26")
    else:
        print("  peak memory: measured on a GPU only")

    cpu = torch.device("cpu")
    for pair, size in (("convnext_pocket", 64), ("efficientnet_lite0", 96)):
        usual = plain_step(pair, size, given.batch, bf16=False, channels_last=True)
        for label, bf16, last in (("fp32, channels first", False, False), ("bf16, channels last", True, True)):
            said, a, b = ratio(plain_step(pair, size, given.batch, bf16, last), usual, given.rounds, cpu)
            print(f"\nplain step on the CPU, student of {pair}, {size} px: {label} / fp32, channels last = {said}")
            print(f"  {a * 1e3:.1f} ms against {b * 1e3:.1f} ms")

    first, second = (timm.create_model("vit_tiny_patch16_224", num_classes=4).to(device) for _ in range(2))
    said, a, b = ratio(lambda: plain_update(first, second, 0.9), lambda: update_auxiliary(first, second, 0.9),
                       given.rounds, device)  # fmt: skip
    print(f"\nEMA update, ViT-T: plain Python loop / ours = {said}; {a * 1e3:.1f} ms against {b * 1e3:.1f} ms")

    teacher, student = timm.create_model("vit_small_patch16_224"), timm.create_model("vit_tiny_patch16_224")
    said, a, b = ratio(lambda: select_weights(teacher, student), lambda: timm.create_model("vit_tiny_patch16_224"),
                       given.rounds, device)  # fmt: skip
    print(f"\nselection ViT-S -> ViT-T / making a ViT-T = {said}; {a * 1e3:.0f} ms against {b * 1e3:.0f} ms")

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        smooth = np.kron(rng.integers(0, 255, (400, 14, 14), dtype=np.uint8), np.ones((16, 16), np.uint8))
        for number, picture in enumerate(smooth):
            place = Path(folder, "ab"[number % 2], f"{number}.jpg")
            place.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(place)
        options = {"size": 64, "progress": False}
        rounds = max(4, given.rounds // 4)
        one = {**options, "workers": 1}
        said, a, b = ratio(
            lambda: load_images("folder", folder, **one),
            lambda: load_images("folder", folder, **options),
            rounds,
            device,
        )
        print(f"\ndecoding 400 JPEG of 224 px to 64 px: one thread / parallel = {said}")
        print(f"  {400 / a:.0f} against {400 / b:.0f} images a second")


if __name__ == "__main__":
    main()
