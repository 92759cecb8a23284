"""Choosing a learning rate on a part of the training images, one run after the other and all at once."""

import json
from dataclasses import replace

import pytest
import torch
from small import images

from dmws_lite.experiments import tuning
from dmws_lite.experiments.compare import Variant, group_records
from dmws_lite.experiments.execute import Shelf, execute
from dmws_lite.experiments.grids import missing, read_grid, run_grid
from dmws_lite.experiments.records import read_records, run_of, write_record
from dmws_lite.experiments.run import Run
from dmws_lite.experiments.stacked import execute_stack, stackable, stacks
from dmws_lite.images.dataset import Images
from dmws_lite.images.load import load_images
from dmws_lite.images.splits import split, with_label_noise
from dmws_lite.teachers.load import load_teacher
from dmws_lite.training.config import Result

RATES = (0.0005, 0.004)


@pytest.fixture(scope="module")
def shelf():
    """Images and teacher, read once for all tests."""
    return Shelf(loaded=load_teacher("convnext_pocket"))


@pytest.fixture
def few(monkeypatch):
    def load(source, root, size):
        return load_images(source, n=48, size=size, progress=False)

    monkeypatch.setattr("dmws_lite.experiments.execute.load_images", load)


@pytest.fixture(scope="module")
def tiny():
    return Run("phantom-mri", "convnext_pocket", "cm1", fraction=0.5, seed=0, size=32, epochs=1, batch_size=8,
               measurements=1, augmentation="none", precision="fp32")  # fmt: skip


def test_folds_share_no_image_and_never_touch_the_test_part():
    data = split(images(n=90), fraction=0.5, seed=3)
    inner = tuning.inner_splits(data, 3, seed=3)
    assert len(inner) == 3
    held_out = torch.cat([each.test_index for each in inner])
    assert sorted(held_out.tolist()) == data.train_index.tolist()  # each training image is held out once
    for each in inner:
        assert not set(each.train_index.tolist()) & set(each.test_index.tolist())
        assert not set(each.test_index.tolist()) & set(data.test_index.tolist())
        assert min(each.test.counts().values()) >= 3  # stratified: every class is judged
        assert torch.equal(each.test.labels, images(n=90).labels[each.test_index])
    (once,) = tuning.inner_splits(data, 1, seed=3)
    assert len(once.test) == pytest.approx(len(data.train) / 4, abs=2)


def test_copies_stay_in_one_fold():
    pixels = images(n=30).pixels.repeat(2, 1, 1)  # every image twice
    data = split(Images(pixels, images(n=30).labels.repeat(2), ("a", "b", "c")), fraction=1.0)
    for each in tuning.inner_splits(data, 3):
        assert not set(each.train.digests) & set(each.test.digests)


def test_too_few_images_are_refused():
    data = split(images(n=15), fraction=0.2)
    with pytest.raises(ValueError, match="class 'low' has 1 distinct training images, too few for 3 parts"):
        tuning.inner_splits(data, 3)


def result(accuracy, loss, seconds=1.0):
    return Result(history=[{"test_loss": loss}], metrics={"accuracy": accuracy}, seconds=seconds)


def test_the_most_right_answers_win_and_ties_go_to_the_lower_loss(tiny):
    data = split(images(n=60), fraction=0.5)
    run = replace(tiny, tune={"learning_rate": [0.001, 0.002, 0.004, 0.008]}, folds=2)
    tried = tuning.trials(run, data)
    assert [t.run.learning_rate for t in tried] == [0.001] * 2 + [0.002] * 2 + [0.004] * 2 + [0.008] * 2
    assert all(not t.run.tune for t in tried)
    even = [result(0.5, 0.9), result(0.5, 0.9), result(0.75, 0.8), result(0.75, 0.8), result(0.75, 0.7)]
    chosen, kept = tuning.choose(run, tried, [*even, result(0.75, 0.7), None, result(1.0, 0.1)])
    assert chosen == replace(run, tune=(), learning_rate=0.004) and kept["chosen"] == {"learning_rate": 0.004}
    assert [row["learning_rate"] for row in kept["tried"]] == [0.001, 0.002, 0.004, 0.008]
    assert kept["tried"][3]["by_fold"] == [0.0, 1.0] and kept["tried"][3]["loss"] is None  # one trial diverged
    assert kept["seconds"] == 7.0 and len(kept["images"]) == 2
    json.dumps(kept, allow_nan=False)


def test_a_tuned_run_says_what_was_tried_and_is_the_plain_run_at_that_rate(tiny, few, shelf, tmp_path):
    run = replace(tiny, tune={"learning_rate": list(RATES)}, folds=2)
    record = execute(run, shelf)
    path = write_record(tmp_path, run, record)
    (record,) = read_records(tmp_path)
    assert run_of(record) == run and path.stem == run.name
    chosen = record["tuning"]["chosen"]["learning_rate"]
    assert len(record["tuning"]["tried"]) == 2 and chosen in RATES
    plain = execute(replace(tiny, learning_rate=chosen), shelf)
    assert plain["metrics"] == record["metrics"]
    assert "tuning" not in plain
    (tuned,), (untuned,) = group_records([record]), group_records([plain])
    assert tuned.task["tune"] and not untuned.task["tune"] and tuned.variant == untuned.variant


def test_a_stack_of_runs_gives_the_records_of_single_runs(tiny, few, shelf):
    for run in (tiny, replace(tiny, method="ours", strategy_options={"until": 2}), replace(tiny, method="cm1_average")):
        runs = [replace(run, seed=seed, learning_rate=rate) for seed, rate in zip((0, 1), RATES)]
        assert all(map(stackable, runs))
        for member, record in execute_stack(runs, shelf, device="cpu"):
            alone = execute(member, shelf, device="cpu")
            assert record.keys() - {"stacked"} == alone.keys() and record["stacked"] == 2
            assert record["predicted"] == alone["predicted"] and record["split"] == alone["split"]
            assert record["history"][-1]["loss"] == pytest.approx(alone["history"][-1]["loss"], rel=1e-4)
            assert run_of(record) == member


def test_a_stack_tunes_and_distils_from_a_fine_tuned_teacher_as_single_runs_do(tiny, few, shelf):
    tuned = replace(tiny, tune={"learning_rate": list(RATES)}, folds=2)
    for run in (tuned, replace(tiny, strategy="hybrid")):
        ((_, record),) = execute_stack([run], shelf, device="cpu")
        alone = execute(run, shelf, device="cpu")
        assert record["predicted"] == alone["predicted"]
        if run.tune:
            assert record["tuning"]["chosen"] == alone["tuning"]["chosen"]
            for row, other in zip(record["tuning"]["tried"], alone["tuning"]["tried"]):
                assert row["loss"] == pytest.approx(other["loss"], rel=1e-4) and row["by_fold"] == other["by_fold"]


def test_the_average_is_what_is_tested(tiny, few, shelf):
    record = execute(replace(tiny, method="cm1_average", beta=0.5), shelf)
    plain = execute(tiny, shelf)
    assert record["aux_metrics"] == plain["metrics"]  # main learns as CM1 does
    assert record["history"][-1]["aux_accuracy"] == record["metrics"]["accuracy"]
    assert Variant.of(record).key("convnext_pocket") == "cm1_average beta=0.5"


def test_wrong_labels_are_in_the_training_part_only():
    data = split(images(n=90), fraction=0.5)
    noisy = with_label_noise(data, 0.2, seed=1)
    wrong = (noisy.train.labels != data.train.labels).sum().item()
    assert wrong == round(0.2 * len(data.train)) and noisy.digest == data.digest
    assert torch.equal(noisy.test.labels, data.test.labels)
    assert torch.equal(noisy.train.labels, with_label_noise(data, 0.2, seed=1).train.labels)
    with pytest.raises(ValueError, match="share is 1"):
        with_label_noise(data, 1)


GRID = {
    "name": "parts",
    "order": "blocks",
    "defaults": {"dataset": "phantom-mri", "pair": "convnext_pocket", "size": 32, "epochs": 1, "batch_size": 8,
                 "fraction": 0.5, "measurements": 1, "precision": "fp32", "method": "cm1"},
    "blocks": [
        {"seed": [0, 1], "learning_rate": list(RATES)},
        {"seed": [0, 1, 2], "learning_rate": 0.004},
        {"seed": 0, "tune": {"learning_rate": list(RATES)}, "folds": 2},
    ],
}  # fmt: skip


def test_blocks_keep_their_order_and_a_run_belongs_to_the_first():
    grid = read_grid(GRID)
    assert [len(block) for block in grid.blocks] == [4, 1, 1]
    assert [run.seed for run in grid.runs] == [0, 0, 1, 1, 2, 0] and grid.runs[-1].tune
    assert [len(s) for s in stacks(grid.runs, grid.blocks, 3)] == [3, 1, 1, 1]
    assert [len(s) for s in stacks(grid.runs, grid.blocks, 1)] == [1] * 6
    with pytest.raises(ValueError, match="order 'size'; choose data"):
        read_grid({**GRID, "order": "size"})


def test_a_grid_is_carried_out_in_stacks_and_stops_in_time(few, tmp_path):
    grid = read_grid(GRID)
    late = run_grid(grid, tmp_path, progress=False, say=lambda _: None, until=0.0)
    assert late.made == late.failed == 0 and len(missing(grid, tmp_path)) == 6
    done = run_grid(grid, tmp_path, progress=False, say=lambda _: None, stack=8, device="cpu")
    assert done.made == 6 and not missing(grid, tmp_path)
    sizes = {run_of(record): record.get("stacked") for record in read_records(tmp_path)}
    assert [sizes[run] for run in grid.runs] == [4, 4, 4, 4, None, 1]  # the tuned run's trials are stacked
