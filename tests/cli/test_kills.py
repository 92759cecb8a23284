"""A grid and a training that are killed twenty times end as if they had not been, and leave nothing behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from dmws_lite.cli import main
from dmws_lite.experiments.check import check_record
from dmws_lite.experiments.records import record_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("NIGHTLY"), reason="takes ten minutes; set NIGHTLY=1"),
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]

KILLS = 20

CHANGING = ("seconds", "date", "peak_memory_mib", "device", "checksum")


def started(line):
    # In a session of its own: what the test kills is this process and nothing else.
    return subprocess.Popen(
        [sys.executable, "-m", "dmws_lite", *map(str, line)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def killed_again_and_again(line, rng, at_work, longest):
    """Start a command and kill it at a random moment of its work, until it was killed twenty times; then let it end.

    Returns:
        How many times it was killed: fewer than twenty where it ended earlier.
    """
    for kills in range(KILLS):
        process = started(line)
        deadline = time.monotonic() + 300
        while process.poll() is None and not at_work():  # the imports are no work
            assert time.monotonic() < deadline
            time.sleep(0.01)
        try:
            process.wait(rng.uniform(0.0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            assert process.wait() == -signal.SIGKILL
            process.stderr.close()
            continue
        assert process.returncode == 0, process.stderr.read()
        return kills
    process = started(line)
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    return KILLS


def changes_in(folder):
    """Return a function that says whether a file in the folder changed since it was called before."""
    seen = {}

    def changed():
        nonlocal seen
        try:
            now = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
        except FileNotFoundError:  # it was renamed under our eyes
            return True
        before, seen = seen, now
        return bool(before) and now != before

    return changed


def without_time(record):
    kept = {key: value for key, value in record.items() if key not in CHANGING}
    kept["history"] = [{key: value for key, value in row.items() if key != "seconds"} for row in record["history"]]
    return kept


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def grid(tmp_path):
    content = {
        "name": "killed",
        "defaults": {"dataset": "phantom-mri", "pair": "convnext_pocket", "size": 32, "epochs": 2, "fraction": 0.05},
        "blocks": [
            {"seed": list(range(12)), "method": ["ours", "cm1"]},
            {"seed": [0, 1], "method": "cm1", "strategy": "tfkd_self"},
        ],
    }
    path = tmp_path / "killed.yaml"
    path.write_text(json.dumps(content))
    return path


def test_a_grid_killed_twenty_times(tmp_path, grid):
    out, whole = tmp_path / "out", tmp_path / "whole"
    line = ["run", grid, "--quiet", "--device", "cpu", "--out"]
    kills = killed_again_and_again([*line, out], random.Random(0), changes_in(out), longest=1.5)
    assert kills >= 10, "the grid was too short for this test"
    assert main([str(word) for word in [*line, whole]]) == 0
    ends = [{path.name: without_time(json.loads(path.read_text())) for path in record_files(f)} for f in (out, whole)]
    assert ends[0] == ends[1] and len(ends[0]) == 26
    assert all(check_record(path) == [] for path in record_files(out))
    assert names(out) == names(whole) == sorted(ends[0])


def test_two_processes_share_a_grid(tmp_path, grid):
    out = tmp_path / "out"
    line = [sys.executable, "-m", "dmws_lite", "run", str(grid), "--out", str(out), "--device", "cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "start_new_session": True}
    both = [subprocess.Popen(line, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=900)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    done = [line.partition(":")[0] for text in said for line in text.splitlines() if ": accuracy " in line]
    assert len(done) == len(set(done)) == 26 == len(record_files(out)), "a run was done twice, or not at all"
    assert not [name for name in names(out) if name.startswith(".")]


@pytest.mark.parametrize("strategy", ["", "tfkd_self"])
def test_a_training_killed_twenty_times(tmp_path, strategy):
    images, rng = tmp_path / "images", np.random.default_rng(0)
    for label, name in enumerate(("a", "b", "c")):
        (images / name).mkdir(parents=True)
        for i in range(40):
            picture = rng.integers(0, 100, (32, 32), dtype=np.uint8) + np.uint8(50 * label)
            Image.fromarray(picture).save(images / name / f"{i}.png")
    out, whole = tmp_path / "out", tmp_path / "whole"
    line = ["train", images, "--size", "32", "--epochs", "60", "--quiet", "--device", "cpu"]
    line += ["--strategy", strategy] if strategy else []
    kills = killed_again_and_again([*line, "--out", out], random.Random(1), changes_in(out), longest=1.0)
    assert kills >= 10, "the training was too short for this test"
    assert main([str(word) for word in [*line, "--out", whole]]) == 0
    first, second = (json.loads((folder / "record.json").read_text()) for folder in (out, whole))
    assert without_time(first) == without_time(second)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert names(out) == names(whole)
    assert not [name for name in names(out) if name.startswith(".") or name.endswith(".pt")]
