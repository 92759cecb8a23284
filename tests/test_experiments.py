"""Runs and their records, on a run that takes a second."""

import json

import pytest

from dmws_lite import experiments as ex
from dmws_lite.data import load_images


@pytest.fixture(scope="module")
def tiny():
    return ex.Run("phantom-mri", "convnext_pocket", "ours", fraction=0.5, seed=0, size=32, epochs=1, batch_size=16)


@pytest.fixture
def few(monkeypatch):
    """Twenty phantoms in the place of a thousand."""
    monkeypatch.setattr(ex, "load_images", lambda source, root, size: load_images(source, n=20, size=size))


def test_a_record_holds_what_is_needed_to_repeat_the_run(tiny, few, tmp_path):
    assert ex.do_missing([tiny], None, tmp_path, command="make it") == 1
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert path.stem == tiny.name
    assert {k: record[k] for k in ("dataset", "pair", "method", "seed", "tau")} == {
        "dataset": "phantom-mri", "pair": "convnext_pocket", "method": "ours", "seed": 0, "tau": 3.0,
    }  # fmt: skip
    assert record["command"] == "make it" and len(record["date"]) == 10 and record["versions"]["torch"]
    assert record["split"] == {**record["split"], "train": 8, "test": 4, "leaked": 0}
    assert 0 <= record["metrics"]["accuracy"] <= 1 and len(record["history"]) == 1
    assert ex.read_records(tmp_path) == [record]


def test_nothing_is_done_twice_and_the_same_run_gives_the_same_numbers(tiny, few, tmp_path):
    ex.do_missing([tiny], None, tmp_path / "a")
    assert ex.do_missing([tiny], None, tmp_path / "a") == 0
    ex.do_missing([tiny], None, tmp_path / "b")
    first, second = (json.loads(next((tmp_path / d).iterdir()).read_text()) for d in "ab")
    assert first["metrics"] == second["metrics"]


def test_a_run_that_fails_keeps_the_records_before_it(tiny, few, tmp_path, monkeypatch):
    from dataclasses import replace

    def broken(run, images, **options):
        if run.seed == 1:
            raise ValueError("no")
        return {"method": run.method, "seed": run.seed, "metrics": {"accuracy": 0.5}}

    monkeypatch.setattr(ex, "execute", broken)
    with pytest.raises(ValueError, match="no"):
        ex.do_missing([tiny, replace(tiny, seed=1)], None, tmp_path)
    assert len(ex.read_records(tmp_path)) == 1


def test_names_differ_whenever_a_setting_differs(tiny):
    from dataclasses import replace

    others = [replace(tiny, **change) for change in ({"alpha": 0.5}, {"seed": 1}, {"epochs": 2}, {"rule": "random"})]
    assert len({run.name for run in [tiny, *others]}) == 5


def test_the_grids_pair_their_seeds():
    runs = ex.first_numbers()
    assert len(runs) == 18 and {r.method for r in runs} == {"cm1", "cm2", "ours"}
    ablations = ex.phantom_ablations()
    assert len(set(ablations)) == len(ablations) == 3 * (7 + 2 + 3 + 2 + 3)
    for grid in (runs, ablations):
        assert {r.epochs for r in grid} == {60}


def test_committed_records_are_whole():
    records = ex.read_records()
    assert len(ex.read_records(dataset="mri", fraction=0.05)) == 18
    for record in records:
        matrix = record["metrics"]["confusion"]
        right = sum(matrix[i][i] for i in range(len(matrix)))
        assert record["metrics"]["accuracy"] == pytest.approx(right / sum(map(sum, matrix)))
        assert len(record["history"]) == record["epochs"]
        assert record["split"]["leaked"] == 0


def test_errors_are_one_line_and_an_exit_code(tmp_path, capsys):
    assert ex.main(["first-numbers", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "nowhere" in said
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(ValueError, match="half.json is not a record"):
        ex.read_records(tmp_path)
    with pytest.raises(ValueError, match="pair='resnet' is unknown"):
        ex.Run("mri", "resnet", "ours", 0.1, 0, 64, 1)
