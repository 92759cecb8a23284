"""Make what the widgets of chapter 0 compute with, and write data/start/phantoms.json and data/start/halves.json.

    python scripts/make_start_data.py [--only phantoms|halves]

Phantoms: the pocket ConvNeXt is fine-tuned on 800 labelled brain phantoms. Of the other 1,600, which it has not seen,
100 a class become the pool that labels are drawn from and 200 a class the test images; the file holds a thumbnail of
each, and the fine-tuned network's logits for the pool. For the first 60 of each it holds the last channels of the
pretrained and of an untrained network as well.

Halves: 20 networks of 32 hidden units, each trained on a spiral of three arms, to be cut in two.

Some minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dmws_lite import TrainConfig, fit, load_images, load_teacher, make_student  # noqa: E402
from dmws_lite._system import write_atomic  # noqa: E402
from dmws_lite.classroom.small_models import Network, network_logits, softmax, three_arms  # noqa: E402
from dmws_lite.experiments.methods import start_students  # noqa: E402
from dmws_lite.images.augment import input_statistics, normalise  # noqa: E402
from dmws_lite.images.dataset import Images  # noqa: E402
from dmws_lite.images.splits import Split  # noqa: E402
from dmws_lite.training.evaluate import accuracy, predict_logits  # noqa: E402

FOLDER = ROOT / "data" / "start"
PAIR, SIZE, SEED = "convnext_pocket", 64, 2
N_IMAGES, N_TEACHER, N_POOL, N_TEST, N_CHANNELS = 2400, 800, 100, 200, 60
CONFIG = TrainConfig(epochs=8, batch_size=32, learning_rate=5e-4, device="cpu", progress=False)
LEVELS = 24  # steps per standard deviation: a signed byte reaches 5.3 standard deviations

N_NETWORKS, HIDDEN, N_POINTS, STEPS, RATE, DECAY = 20, 32, 600, 1500, 0.02, 3e-4


def text_of(array: np.ndarray) -> str:
    """Return the bytes of an array as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def levels(values: np.ndarray, n_pool: int) -> np.ndarray:
    """Standardise each column by the pool, which are the first rows, and round to signed bytes."""
    scores = (values - values[:n_pool].mean(0)) / (values[:n_pool].std(0) + 1e-6)
    return np.clip(np.rint(LEVELS * scores), -127, 127).astype(np.int8)


@torch.no_grad()
def last_channels(model: torch.nn.Module, pixels: torch.Tensor) -> np.ndarray:
    """Return each channel of the last stage, averaged over the image: ``(N, C)``."""
    model.eval()
    parts = [model.stem(normalise(part, *input_statistics(model))) for part in pixels.split(100)]
    return torch.cat([model.stages(part).mean((2, 3)) for part in parts]).numpy()


def fine_tuned(images: Images, teacher: torch.nn.Module) -> torch.nn.Module:
    """Fine-tune the whole teacher on the first images."""
    model, _ = start_students("teacher", teacher, lambda: make_student(PAIR, len(images.classes), SIZE), seed=0)
    known, new = torch.arange(N_TEACHER), torch.arange(N_TEACHER, len(images))
    train, test = images.subset(known), images.subset(new)
    # No draw is made here: the first images train, whatever their number.
    data = Split(train, test, known, new, 1.0, SEED, "random", "", 0, 0, N_TEACHER, 1 - N_TEACHER / len(images))
    fit(model, None, data, CONFIG)
    return model


def phantoms() -> dict:
    """Return the content of phantoms.json."""
    images = load_images("phantom-mri", n=N_IMAGES, size=SIZE, seed=SEED, progress=False)
    teacher = load_teacher(PAIR, quiet=True)
    model = fine_tuned(images, teacher)
    logits, labels = predict_logits(model, images.pixels), images.labels
    new = np.arange(N_TEACHER, N_IMAGES)
    reached = accuracy(torch.softmax(logits[new], 1), labels[new])
    by_class = [new[labels[new].numpy() == k] for k in range(len(images.classes))]
    pool, test = chosen(by_class, 0, N_POOL), chosen(by_class, N_POOL, N_TEST)
    few_pool, few_test = chosen(by_class, 0, N_CHANNELS), chosen(by_class, N_POOL, N_CHANNELS)
    kept, few = np.concatenate((pool, test)), np.concatenate((few_pool, few_test))
    untrained, _ = start_students("cm2", teacher, lambda: make_student(PAIR, len(images.classes), SIZE), seed=0)
    thumbnails = torch.nn.functional.avg_pool2d(images.pixels[kept].float()[:, None], SIZE // 8).flatten(1).numpy()
    # The channels that the main student takes, every second one, and as many of an untrained student.
    pretrained, fresh = last_channels(teacher, images.pixels[few])[:, ::2], last_channels(untrained, images.pixels[few])
    scores = logits.numpy().astype(float)
    return {
        "classes": list(images.classes),
        "teacher": {"images": N_TEACHER, "epochs": CONFIG.epochs, "accuracy": round(reached, 3), "tested_on": len(new)},
        "levels": LEVELS,
        "students": {
            "labels": labels[kept].tolist(),
            "n_pool": len(pool),
            "logits": np.round(scores[pool], 2).tolist(),
            "thumbnails": text_of(levels(thumbnails, len(pool))),
        },
        "channels": {
            "labels": labels[few].tolist(),
            "n_pool": len(few_pool),
            "pretrained": text_of(levels(pretrained, len(few_pool))),
            "untrained": text_of(levels(fresh, len(few_pool))),
        },
        "examples": examples(images.pixels[test].numpy(), scores[test], labels[test].numpy()),
    }


def chosen(by_class: list[np.ndarray], first: int, count: int) -> np.ndarray:
    """Return ``count`` images of each class from the one numbered ``first``, class by class."""
    return np.concatenate([of_class[first : first + count] for of_class in by_class])


def examples(pixels: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> list[dict]:
    """Return three test images of each class that the network gets right: quarter, middle and three quarters by how
    certain it is, so that nobody picked them."""
    found = []
    chances = softmax(logits)
    for k in range(logits.shape[1]):
        right = [i for i in range(len(labels)) if labels[i] == k and chances[i].argmax() == k]
        right.sort(key=lambda i: chances[i, k])
        for share in (0.25, 0.5, 0.75):
            i = right[int(share * len(right))]
            entry = {
                "label": k,
                "share": share,
                "logits": np.round(logits[i], 2).tolist(),
                "pixels": text_of(pixels[i]),
            }
            found.append(entry)
    return found


def train_network(seed: int) -> tuple[Network, float]:
    """Train one network on the spiral with Adam and weight decay, full batch; return it and its test accuracy."""
    generator = np.random.default_rng(seed)
    points, classes = three_arms(N_POINTS, generator)
    x, y = torch.tensor(points), torch.tensor(classes)
    sizes = ((2, HIDDEN), (HIDDEN,), (HIDDEN, 3), (3,))
    scales = (1.0, 1.0, HIDDEN**-0.5, 0.0)
    weights = [torch.tensor(scale * generator.normal(size=size)) for scale, size in zip(scales, sizes)]
    for tensor in weights:
        tensor.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        optimizer.zero_grad()
        hidden = torch.tanh(x @ weights[0] + weights[1])
        torch.nn.functional.cross_entropy(hidden @ weights[2] + weights[3], y).backward()
        optimizer.step()
    network = tuple(np.round(tensor.detach().numpy(), 3) for tensor in weights)
    new, new_classes = three_arms(1000, generator)
    return network, float((network_logits(network, new).argmax(1) == new_classes).mean())


def halves() -> dict:
    """Return the content of halves.json."""
    networks = [train_network(seed) for seed in range(N_NETWORKS)]
    print(f"accuracy of the networks: {min(a for _, a in networks):.3f} to {max(a for _, a in networks):.3f}")
    return {"hidden": HIDDEN, "networks": [[tensor.tolist() for tensor in network] for network, _ in networks]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    makers = {"phantoms": phantoms, "halves": halves}
    parser.add_argument("--only", choices=makers, help="default: both")
    only = parser.parse_args(arguments).only
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in [only] if only else makers:
        content = json.dumps(makers[name](), separators=(",", ":"))
        write_atomic(FOLDER / f"{name}.json", (content + "\n").encode())
        print(f"data/start/{name}.json: {len(content) / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
