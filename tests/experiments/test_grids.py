"""Grids: what they stand for, and the loop that does what is missing."""

import json
import time

import pytest

from dmws_lite._system import data_path
from dmws_lite.experiments.execute import execute
from dmws_lite.experiments.grids import (
    Grid,
    GridError,
    Progress,
    estimate_seconds,
    known_grids,
    missing,
    read_grid,
    run_grid,
)
from dmws_lite.experiments.records import read_records
from dmws_lite.images.load import load_images

TINY = {
    "name": "tiny",
    "defaults": {"dataset": "phantom-mri", "pair": "convnext_pocket", "size": 32, "epochs": 1, "batch_size": 16},
    "blocks": [{"fraction": 0.5, "seed": [0, 1], "method": ["ours", "cm1"]}],
}


@pytest.fixture
def few(monkeypatch):
    calls = []

    def load(source, root, size):
        calls.append(source)
        return load_images(source, n=20, size=size)

    monkeypatch.setattr("dmws_lite.experiments.execute.load_images", load)
    return calls


def quiet(*_):
    pass


def test_a_block_is_all_combinations_and_nothing_twice():
    grid = read_grid(TINY)
    assert [(r.seed, r.method) for r in grid.runs] == [(0, "ours"), (0, "cm1"), (1, "ours"), (1, "cm1")]
    twice = {**TINY, "blocks": TINY["blocks"] + [{"fraction": 0.5, "seed": 0, "method": "ours", "tau": [3.0, 9.0]}]}
    assert len(read_grid(twice).runs) == 5  # tau = 3 is the default and there already


def test_a_file_gives_the_same_grid_as_a_mapping(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(TINY))  # JSON is YAML
    assert read_grid(path) == read_grid(str(path)) == read_grid(TINY)


@pytest.mark.parametrize("name", known_grids())
def test_the_grids_of_the_book_are_complete_comparisons(name):
    grid = read_grid(name)
    assert grid.name == name and grid.title
    assert len({run.name for run in grid.runs}) == len(grid.runs)
    seeds = {}
    for number, block in enumerate(grid.blocks):
        for run in block:
            rest = (number, run.dataset, run.pair, run.fraction, run.split_rule)
            variant = (run.method, run.strategy, run.rule, run.alpha, run.beta, run.tau)
            seeds.setdefault(rest, {}).setdefault(variant, set()).add(run.seed)
    for variants in seeds.values():  # every variant of a comparison has the same seeds, so that differences are paired
        assert len({frozenset(s) for s in variants.values()}) == 1


def test_all_methods_of_a_comparison_take_the_same_number_of_steps():
    for name in ("tables", "ablations", "pairs", "cost"):
        lengths = {}
        for r in read_grid(name).runs:
            lengths.setdefault((r.dataset, r.pair, r.fraction), set()).add((r.epochs, r.steps, r.batch_size))
        assert all(len(found) == 1 for found in lengths.values())


def test_old_records_keep_their_names():
    for name, count in (("first_numbers", 18), ("phantom_ablations", 51)):
        grid = read_grid(name)
        assert len(grid.runs) == count
        assert missing(grid, data_path(f"results/{name}")) == []


def test_what_is_there_is_not_done_again_and_images_are_read_once(few, tmp_path):
    grid = read_grid(TINY)
    assert run_grid(grid, tmp_path, progress=False, say=quiet) == Progress(4, 0, 0)
    assert few == ["phantom-mri"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert run_grid(grid, tmp_path, progress=False, say=quiet) == Progress(0, 4, 0)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_two_halves_make_the_whole(few, tmp_path):
    grid = read_grid(TINY)
    for i in (1, 2):
        assert run_grid(grid, tmp_path, progress=False, say=quiet, share=(i, 2)).made == 2
    assert missing(grid, tmp_path) == []


@pytest.mark.slow
def test_a_failed_run_is_recorded_stops_nothing_and_is_tried_again(few, tmp_path, monkeypatch):
    real = execute

    def broken(run, *args, **options):
        if run.method == "ours":
            raise RuntimeError("no memory left")
        return real(run, *args, **options)

    monkeypatch.setattr("dmws_lite.experiments.grids.execute", broken)
    grid = read_grid(TINY)
    said = []
    assert run_grid(grid, tmp_path, progress=False, say=said.append, command="it") == Progress(2, 0, 2)
    assert sum("failed" in line and "no memory left" in line for line in said) == 2
    (first, _) = sorted(tmp_path.glob("*.failed.json"))
    failed = json.loads(first.read_text())
    assert (
        failed["error"] == "RuntimeError: no memory left" and failed["command"] == "it" and failed["run"] in first.name
    )
    assert len(read_records(tmp_path)) == 2  # a failure is no record
    monkeypatch.setattr("dmws_lite.experiments.grids.execute", real)
    assert run_grid(grid, tmp_path, progress=False, say=quiet) == Progress(2, 2, 0)
    assert not list(tmp_path.glob("*.failed.json"))


def test_a_kill_loses_the_run_in_progress_only(few, tmp_path, monkeypatch):
    real, done = execute, []

    def killed(run, *args, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(run)
        return real(run, *args, **options)

    monkeypatch.setattr("dmws_lite.experiments.grids.execute", killed)
    with pytest.raises(KeyboardInterrupt):
        run_grid(read_grid(TINY), tmp_path, progress=False, say=quiet)
    assert len(read_records(tmp_path)) == 2


def test_missing_data_is_a_failure_with_its_reason(tmp_path):
    blocks = [{"dataset": "mri", "fraction": 0.5, "seed": 0, "method": "cm1"}]
    grid = read_grid({**TINY, "blocks": blocks})
    said = []
    assert run_grid(grid, tmp_path / "out", tmp_path / "nowhere", progress=False, say=said.append).failed == 1
    assert "nowhere" in said[0]


def test_an_estimate_grows_with_the_work(few):
    grid = read_grid({**TINY, "blocks": [{"fraction": 0.5, "seed": 0, "method": "cm1", "epochs": [1, 100]},
                                         {"fraction": 0.5, "seed": 0, "method": "ours", "epochs": 100}]})  # fmt: skip
    started = time.perf_counter()
    seconds = list(estimate_seconds(grid.runs).values())
    assert time.perf_counter() - started < 60
    assert 0 < seconds[0] < seconds[1] < seconds[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nothing", "grid 'nothing' is unknown; choose one of ablations"),
        ("no/such.yaml", "does not exist"),
        ({"name": "x"}, "has no list of blocks"),
        ({**TINY, "block": []}, "unknown entry 'block'"),
        ({**TINY, "blocks": ["ours"]}, "block 1 of grid 'tiny' is 'ours'"),
        ({**TINY, "blocks": [{"metod": "ours"}]}, "has no field 'metod'; fields: dataset, pair, method"),
        ({**TINY, "blocks": [{"method": "ours", "fraction": 5, "seed": 0}]}, "fraction=5 is out of range"),
        ({**TINY, "blocks": [{"method": "ours", "fraction": 0.5}]}, "missing 1 required positional argument: 'seed'"),
        ({**TINY, "blocks": [{"method": "ours", "fraction": 0.5, "seed": 0, "tau": "hot"}]}, "tau='hot' is out of"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_read_is_one_sentence(content, message):
    with pytest.raises(GridError) as error:
        read_grid(content)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("blocks: [")
    with pytest.raises(GridError, match="broken.yaml is not YAML"):
        read_grid(path)
    assert isinstance(read_grid(TINY), Grid)


def test_options_of_a_strategy_can_be_swept():
    block = {"dataset": "phantom-mri", "method": "cm1", "fraction": 0.5, "seed": 0, "strategy": "label_smoothing",
             "strategy_options": {"smoothing": [0.05, 0.1]}}  # fmt: skip
    grid = read_grid({"defaults": {"pair": "convnext_pocket", "size": 32, "epochs": 1}, "blocks": [block]})
    assert [run.options for run in grid.runs] == [{"smoothing": 0.05}, {"smoothing": 0.1}]
