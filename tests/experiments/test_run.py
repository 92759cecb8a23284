"""Runs and their records, on a run that takes a second."""

import json
from dataclasses import replace

import pytest

from dmws_lite._system import data_path
from dmws_lite.experiments.compare import Variant
from dmws_lite.experiments.execute import Shelf, carry_out, execute
from dmws_lite.experiments.records import class_numbers, read_records, records_frame, run_of, write_record
from dmws_lite.experiments.run import Run
from dmws_lite.images.load import load_images
from dmws_lite.images.splits import split


@pytest.fixture(scope="module")
def tiny():
    return Run("phantom-mri", "convnext_pocket", "ours", fraction=0.5, seed=0, size=32, epochs=1, batch_size=16)


@pytest.fixture
def few(monkeypatch):
    """Twenty phantoms in the place of a thousand; counts how often they are made."""
    calls = []

    def load(source, root, size):
        calls.append((source, size))
        return load_images(source, n=20, size=size)

    monkeypatch.setattr("dmws_lite.experiments.execute.load_images", load)
    return calls


def test_a_record_holds_what_is_needed_to_repeat_the_run(tiny, few, tmp_path):
    path = write_record(tmp_path, tiny, execute(tiny, command="make it"))
    assert path.stem == tiny.name
    (record,) = read_records(tmp_path)
    assert {k: record[k] for k in ("dataset", "pair", "method", "seed", "tau")} == {
        "dataset": "phantom-mri", "pair": "convnext_pocket", "method": "ours", "seed": 0, "tau": 3.0,
    }  # fmt: skip
    assert record["command"] == "make it" and len(record["date"]) == 10 and record["versions"]["torch"]
    assert record["split"] == {**record["split"], "train": 8, "test": 4, "leaked": 0, "leaked_at": []}
    assert 0 <= record["metrics"]["accuracy"] <= 1 and len(record["history"]) == 1
    assert run_of(record) == tiny


def test_stored_predictions_give_the_stored_accuracy_and_confusion(tiny, few):
    record = execute(tiny)
    predicted, labels = class_numbers(record["predicted"]), class_numbers(record["labels"])
    assert len(predicted) == len(labels) == record["split"]["test"]
    right = sum(p == y for p, y in zip(predicted, labels))
    assert record["metrics"]["accuracy"] == pytest.approx(right / len(labels))
    for k, row in enumerate(record["metrics"]["confusion"]):
        assert row == [sum(y == k and p == j for p, y in zip(predicted, labels)) for j in range(4)]


def test_the_same_run_gives_the_same_numbers(tiny, few):
    first, second = (execute(tiny) for _ in range(2))
    assert first["metrics"] == second["metrics"] and first["predicted"] == second["predicted"]


def test_steps_become_whole_epochs(tiny):
    run = replace(tiny, epochs=0, steps=100)
    assert run.epochs_for(8) == 100 and run.epochs_for(100) == 15  # 7 batches of up to 16
    assert run.config(100).epochs == 15 and run.config(100).evaluate_every == 2
    assert replace(run, measurements=1).config(100).evaluate_every == 15


@pytest.mark.slow
def test_runs_share_what_they_can(tiny, few):
    shelf = Shelf()
    runs = [tiny, replace(tiny, method="cm1"), replace(tiny, method="cm1", strategy="tfkd_self")]
    for run in runs:
        execute(run, shelf)
    assert few == [("phantom-mri", 32)]
    assert shelf.split(runs[0]) is shelf.split(runs[2])
    hybrid = replace(tiny, method="cm1", strategy="hybrid")
    frozen = shelf.strategy(hybrid).frozen
    assert shelf.strategy(replace(hybrid, tau=9.0)).frozen is frozen  # its training does not depend on tau
    assert shelf.strategy(replace(hybrid, seed=1)).frozen is not frozen


def test_the_whole_teacher_is_the_larger_network(tiny, few):
    main, aux = Shelf().students(replace(tiny, method="teacher"))
    small, _ = Shelf().students(replace(tiny, method="cm1"))
    assert aux is None and main.num_classes == 4
    assert sum(p.numel() for p in main.parameters()) > 3 * sum(p.numel() for p in small.parameters())
    assert all(p.requires_grad for p in main.parameters())


def test_names_differ_whenever_a_setting_differs(tiny):
    changes = ({"alpha": 0.5}, {"seed": 1}, {"epochs": 2}, {"rule": "random"}, {"epochs": 0, "steps": 5},
               {"measurements": 3}, {"schedule": "constant"}, {"augmentation": "none"}, {"label_noise": 0.2},
               {"precision": "fp32"}, {"tune": {"learning_rate": [0.001, 0.002]}}, {"folds": 2},
               {"method": "cm1"}, {"method": "cm1", "strategy": "cskd"})  # fmt: skip
    others = [replace(tiny, **change) for change in changes]
    assert len({run.name for run in [tiny, *others]}) == 1 + len(changes)


def test_committed_records_are_whole_and_named_by_their_content():
    folder = data_path("results")
    assert len(read_records(folder / "first_numbers", dataset="mri", fraction=0.05)) == 18
    for path in folder.rglob("*.json"):
        record = json.loads(path.read_text())
        if "metrics" not in record:
            continue
        assert run_of(record).name == path.stem
        matrix = record["metrics"]["confusion"]
        right = sum(matrix[i][i] for i in range(len(matrix)))
        assert record["metrics"]["accuracy"] == pytest.approx(right / sum(map(sum, matrix)))
        epochs = run_of(record).epochs_for(record["split"]["train"])
        assert record["history"][-1]["epoch"] == epochs and (epochs > 100 or len(record["history"]) == epochs)
        assert record["split"]["leaked"] == 0 or record["split_rule"] == "random"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pair": "resnet"}, "pair='resnet' is unknown"),
        ({"method": "kd"}, "method='kd' is unknown"),
        ({"strategy": "kd"}, "strategy='kd' is unknown"),
        ({"rule": "odd"}, "rule='odd' is unknown"),
        ({"fraction": 0.0}, "fraction=0.0 is out of range"),
        ({"epochs": 0}, "give exactly one of them"),
        ({"steps": 10}, "give exactly one of them"),
        ({"strategy": "cskd"}, "goes without an auxiliary"),
        (
            {"method": "cm1", "strategy": "skd"},
            "needs one of ours, ours_swap, same_start, random_aux, cm1_average an auxiliary",
        ),
        ({"split_rule": "by hand"}, "split_rule='by hand' is unknown"),
        ({"beta": 2.0}, "beta=2.0 is out of range"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"batch_size": 1}, "batch_size=1 is out of range"),
        ({"schedule": "steps"}, "schedule='steps' is unknown"),
        ({"augmentation": "mixup"}, "augmentation='mixup' is unknown; choose one of standard, none"),
        ({"label_noise": 1.0}, "label_noise=1.0 is out of range"),
        ({"folds": 0}, "folds=0 is out of range"),
        ({"tune": 0.001}, "tune=0.001 is no mapping of lists"),
        ({"tune": {"seed": [1, 2]}}, "tune has 'seed', which cannot be tuned; choose from learning_rate"),
        ({"tune": {"learning_rate": [0.001]}}, "tune has 1 value of learning_rate; give at least two"),
        ({"tune": {"learning_rate": [0.001, -1]}}, "learning_rate=-1 is out of range"),
    ],
)
def test_a_description_that_cannot_be_run_is_refused_at_once(tiny, wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(tiny, **wrong)


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(ValueError, match="half.json is damaged: it is not JSON"):
        read_records(tmp_path)


def test_records_become_a_tidy_frame():
    records = read_records(grid="ablations")
    frame = records_frame(records)
    assert len(frame) == len(records) and {"dataset", "method", "seed", "tau", "accuracy", "split"} <= set(frame)
    means = frame.groupby(["method", "strategy", "rule", "alpha", "beta", "tau"])["accuracy"].mean()
    cm1 = [r["metrics"]["accuracy"] for r in records if r["method"] == "cm1" and not r["strategy"]]
    assert means["cm1", "labels", "uniform", 0.6, 0.9, 3.0] == pytest.approx(sum(cm1) / len(cm1))
    assert frame.loc[frame["method"] == "cm1", "aux_accuracy"].isna().all()


def test_options_of_a_strategy_are_part_of_a_run(tiny, few):
    plain = replace(tiny, method="cm1", strategy="label_smoothing")
    smooth = replace(plain, strategy_options={"smoothing": 0.2})
    assert plain.options == {} and smooth.options == {"smoothing": 0.2} and plain.name != smooth.name
    assert smooth == replace(plain, strategy_options=(("smoothing", 0.2),)) and hash(smooth)
    record = json.loads(json.dumps(execute(smooth)))
    assert record["strategy_options"] == {"smoothing": 0.2} and run_of(record) == smooth
    assert Variant.of(record).key("convnext_pocket") == "cm1 label_smoothing smoothing=0.2"
    usual = {**record, "strategy_options": {"smoothing": 0.1}}
    assert Variant.of(usual).key("convnext_pocket") == "cm1 label_smoothing"
    assert records_frame([record])["smoothing"].tolist() == [0.2]
    with pytest.raises(ValueError, match="heat=1 is not an option of strategy 'label_smoothing'"):
        replace(plain, strategy_options={"heat": 1})
    with pytest.raises(ValueError, match="strategy_options has 'tau', which is a setting of the run itself: set tau="):
        replace(tiny, strategy_options={"tau": 2.0})


def test_a_split_of_the_callers_own_is_used(tiny):
    images = load_images("phantom-mri", n=24, size=32, progress=False)
    data = split(images, 0.5, seed=3)
    outcome = carry_out(replace(tiny, dataset="my images"), data=data)
    assert outcome.data is data and outcome.record["split"]["digest"] == data.digest
    assert outcome.record["dataset"] == "my images" and not outcome.main.training
    assert execute(tiny, data=data)["metrics"]["n"] == len(data.test)
