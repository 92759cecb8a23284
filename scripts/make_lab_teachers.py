"""Train the teachers of the distillation lab and write data/lab/teachers.json.

    python scripts/make_lab_teachers.py [--out FILE] [--only WORLD/TASK]

One perceptron for each task of static/lab_worlds.js, trained on the task's related source task. The inputs are drawn by
that file, in Chromium, so that page and teacher see one distribution; PyTorch trains. Weights are stored as fp16.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from lab_browser import ROOT, engine
from torch import Tensor, nn

from dmws_lite._system import write_atomic

OUT = ROOT / "data" / "lab" / "teachers.json"
HIDDEN = {"plane": (64, 64), "phantoms": (48, 48)}
STEPS, BATCH, RATE, DECAY = 4000, 128, 3e-3, 0.01
TRAIN, TEST = {"plane": 6000, "phantoms": 8000}, 2000
DRAW = """
const task = lab.TASKS[given.world][given.task], source = { ...task.source, inputs: task.inputs };
return ["train", "test"].map((part, i) => {
  const { x, labels } = lab.drawInputs(source, given[part], lab.generator(given.seed, 10 + i));
  return { x: Array.from(x), labels: Array.from(labels) };
});"""


def draw(lab: object, world: str, task: str, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Return training and test inputs of a source task: ``(N, inputs)`` float32 and ``(N,)`` class numbers."""
    given = {"world": world, "task": task, "seed": seed, "train": TRAIN[world], "test": TEST}
    parts = lab.run(DRAW, given)
    labels = [torch.tensor(part["labels"]) for part in parts]
    return [(torch.tensor(part["x"]).reshape(len(y), -1), y) for part, y in zip(parts, labels)]


def make_network(sizes: list[int]) -> nn.Sequential:
    """A perceptron with ReLU between its linear layers."""
    layers = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def train(sizes: list[int], x: Tensor, y: Tensor) -> nn.Sequential:
    """Train a teacher with AdamW and half a cosine."""
    torch.manual_seed(0)
    network = make_network(sizes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        index = torch.randint(len(y), (BATCH,))
        optimizer.zero_grad()
        F.cross_entropy(network(x[index]), y[index]).backward()
        optimizer.step()
        schedule.step()
    return network


@torch.no_grad()
def as_stored(network: nn.Sequential, x: Tensor, y: Tensor) -> dict:
    """Round the weights to fp16 and describe the teacher, with its accuracy on the test inputs as rounded."""
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())
    values = torch.cat([parameter.flatten() for parameter in network.parameters()]).half()
    accuracy = (network(x).argmax(1) == y).float().mean().item()
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    weights = base64.b64encode(values.numpy().astype("<f2").tobytes()).decode()
    return {"sizes": sizes, "accuracy": round(accuracy, 4), "weights": weights}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", help="train one teacher, WORLD/TASK, and keep the others of the file")
    given = parser.parse_args(arguments)
    teachers = json.loads(given.out.read_text(encoding="utf-8"))["teachers"] if given.only else {}
    with engine() as lab:
        tasks = lab.run("return Object.entries(lab.TASKS).flatMap(([w, t]) => Object.keys(t).map((k) => [w, k]));")
        for world, task in tasks:
            name = f"{world}/{task}"
            if given.only and name != given.only:
                continue
            (x, y), test = draw(lab, world, task)
            network = train([x.shape[1], *HIDDEN[world], int(y.max()) + 1], x, y)
            teachers[name] = as_stored(network, *test)
            print(f"{name}: {'-'.join(map(str, teachers[name]['sizes']))}, accuracy {teachers[name]['accuracy']:.3f}")
    story = {"steps": STEPS, "batch": BATCH, "rate": RATE, "decay": DECAY, "inputs": TRAIN, "torch": torch.__version__}
    text = json.dumps({"made_by": "scripts/make_lab_teachers.py", "training": story, "teachers": teachers}, indent=1)
    write_atomic(given.out, text + "\n")
    print(f"{given.out.name}: {len(text):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
