"""A damaged file is named; what was in it is done again, and nothing is dropped in silence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmws_lite import _sealed
from dmws_lite._system import at_home, data_path, remove_temporaries, write_atomic
from dmws_lite.cli import main
from dmws_lite.experiments.check import check_record
from dmws_lite.experiments.execute import Shelf, carry_out
from dmws_lite.experiments.grids import Grid, missing, read_grid, run_grid
from dmws_lite.experiments.locks import at_work, lock_path, owner_text
from dmws_lite.experiments.records import read_records, record_files, run_of, write_record
from dmws_lite.experiments.run import Run

TASK = {"dataset": "phantom-mri", "pair": "convnext_pocket", "size": 32, "epochs": 1, "batch_size": 8, "fraction": 0.5}
RUN = Run(**TASK, method="cm1", seed=0)
OLD = sorted(data_path("results/ablations").glob("*.json"))[0]


def quiet(_):
    pass


@pytest.fixture(scope="module")
def record():
    from dmws_lite.images.load import load_images
    from dmws_lite.images.splits import split

    data = split(load_images("phantom-mri", n=20, size=32, progress=False), 0.5)
    return carry_out(RUN, data=data, device="cpu").record


# -- names ------------------------------------------------------------------------------------------------------------


def test_equal_runs_have_one_name():
    one = replace(RUN, tau=3, fraction=1, learning_rate=1, alpha=1, beta=0)
    other = replace(RUN, tau=3.0, fraction=1.0, learning_rate=np.float64(1), alpha=1.0, beta=0.0, seed=np.int64(0))
    assert one == other and one.name == other.name and json.dumps(one.settings()) == json.dumps(other.settings())
    until = replace(RUN, method="ours", strategy="skd", strategy_options={"until": 50})
    assert until.name == replace(until, strategy_options={"until": 50.0}).name
    tuned = replace(RUN, tune={"tau": [1, 3]})
    assert tuned.name == replace(RUN, tune={"tau": [1.0, 3.0]}).name


def test_old_names_stay_valid(tmp_path, record):
    run = replace(RUN, fraction=1.0, tau=4.0)
    settings = {**run.settings(), "fraction": 1, "tau": 4}
    old = run._named(settings)
    assert old != run.name and old in run.names and run.name == run.names[0]
    path = tmp_path / f"{old}.json"
    path.write_text(json.dumps({**record, **settings}))
    grid = Grid("one", (run,), "", ((run,),))
    assert missing(grid, tmp_path) == [] and check_record(path) == []


def test_the_projects_records_keep_their_names():
    for path in record_files():
        assert path.stem in run_of(json.loads(path.read_text())).names, path.name


# -- checksums --------------------------------------------------------------------------------------------------------


def test_the_list_of_checksums_is_up_to_date():
    import stamp_checksums

    assert stamp_checksums.main(["--check"]) == 0, "run: python scripts/stamp_checksums.py"


def test_every_flipped_digit_of_a_record_is_found(tmp_path, record):
    path = write_record(tmp_path, RUN, record)
    assert check_record(path) == [] and read_records(tmp_path)[0]["metrics"] == record["metrics"]
    content = path.read_bytes()
    meaning = json.loads(content)
    rng, found = np.random.default_rng(0), 0
    for place in rng.integers(0, len(content), 300).tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(changed))
        try:
            same = json.loads(bytes(changed)) == meaning
        except ValueError:
            same = False
        problems = check_record(path)
        assert bool(problems) != same, (place, changed[max(0, place - 20) : place + 20])
        if problems:
            found += 1
            with pytest.raises(ValueError, match="delete it and run its grid again"):
                read_records(tmp_path)
    assert found > 250


def test_an_old_record_is_compared_with_the_projects_list(tmp_path):
    copy = tmp_path / OLD.name
    shutil.copy(OLD, copy)
    assert check_record(copy) == [] and len(read_records(tmp_path)) == 1
    changed = json.loads(OLD.read_text())
    changed["seconds"] += 1
    copy.write_text(json.dumps(changed))
    assert any("another checksum than the project's record of this name" in line for line in check_record(copy))
    with pytest.raises(ValueError, match="is damaged"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "3", "null", "\x00", '{"metrics": {}, "metrics": {}}', "[" * 100_000, '{"a":' * 100_000, "",
     '{"metrics": 5}', '{"metricq": {}}', '{"metrics": {}, "checksum": null}', "9" * 5000],
)  # fmt: skip
def test_a_file_of_another_form_is_named_never_dropped(tmp_path, content):
    path = tmp_path / f"{RUN.name}.json"
    path.write_text(content)
    (tmp_path / "other.failed.json").write_text("{}")
    assert check_record(path)
    with pytest.raises(ValueError, match=RUN.name):
        read_records(tmp_path)


def test_a_binary_seal_finds_every_flipped_bit(tmp_path):
    content = _sealed.sealed(b"weights " * 8)
    assert _sealed.unsealed(content, "x") == b"weights " * 8
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        with pytest.raises(_sealed.Damaged, match="x is damaged"):
            _sealed.unsealed(bytes(changed), "x")


# -- run and report ---------------------------------------------------------------------------------------------------


def test_run_makes_damaged_records_again_and_keeps_them(tmp_path, record, monkeypatch):
    monkeypatch.setattr("dmws_lite.experiments.grids.execute", lambda *_, **__: record)
    grid = Grid("one", (RUN,), "", ((RUN,),))
    said = []
    assert run_grid(grid, tmp_path, progress=False, say=said.append).made == 1
    path = tmp_path / f"{RUN.name}.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"seed": 0', b'"seed": 1'))
    assert missing(grid, tmp_path) == [RUN]
    assert run_grid(grid, tmp_path, progress=False, say=said.append).made == 1
    assert path.read_bytes() == good and (tmp_path / f"{path.name}.damaged").exists()
    assert any(line.startswith(f"damaged: {path.name}: ") and "made again" in line for line in said)


def test_report_names_damaged_records_and_leaves_them_out(tmp_path, capsys):
    name = OLD.parent.name
    for path in OLD.parent.glob("*.json"):
        shutil.copy(path, tmp_path)
    target = tmp_path / OLD.name
    target.write_text(target.read_text().replace('"seconds": ', '"seconds": 1'))
    assert main(["report", name, "--records", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"damaged: {OLD.name}" in said and "it is left out" in said and "1 records are damaged" in said
    assert main(["records", "check", str(tmp_path)]) == 1
    assert OLD.name in capsys.readouterr().out


def test_a_data_set_without_a_name_fails_alone(tmp_path):
    grid = read_grid({"blocks": [{**TASK, "dataset": [None, "phantom-mri"], "method": "cm1", "seed": 0}]})
    said = []
    done = run_grid(grid, tmp_path, progress=False, say=said.append)
    assert (done.made, done.failed) == (1, 1) and len(read_records(tmp_path)) == 1
    assert len(list(tmp_path.glob("*.failed.json"))) == 1


# -- two processes, killed processes ----------------------------------------------------------------------------------


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path, record, monkeypatch):
    monkeypatch.setattr("dmws_lite.experiments.grids.execute", lambda *_, **__: record)
    other = replace(RUN, seed=1)
    grid = Grid("two", (RUN, other), "", ((RUN, other),))
    said = []
    with at_work(tmp_path, other.name) as own:
        assert own and "process" in owner_text(tmp_path, other.name)
        done = run_grid(grid, tmp_path, progress=False, say=said.append)
    assert (done.made, done.elsewhere) == (1, 1) and any("left to process" in line for line in said)
    assert not lock_path(tmp_path, other.name).exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    lock_path(tmp_path, RUN.name).write_text('{"process": 1, "host": "gone", "since": 0}')
    with at_work(tmp_path, RUN.name) as own:
        assert own
        with at_work(tmp_path, RUN.name) as again:
            assert not again


def test_what_killed_processes_left_is_removed(tmp_path):
    target = write_atomic(tmp_path / "a.json", "{}")
    for name in (".a.json.abcd1234", ".a.json.keep", ".b.json.abcd1234"):
        (tmp_path / name).touch()
    remove_temporaries(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.json.keep", ".b.json.abcd1234", "a.json"]


def test_a_frozen_network_is_kept_across_kills(tmp_path, monkeypatch):
    from dmws_lite.experiments import execute as module
    from dmws_lite.images.load import load_images
    from dmws_lite.images.splits import split

    data = split(load_images("phantom-mri", n=20, size=32, progress=False), 0.5)
    run = replace(RUN, strategy="tfkd_self")
    trained = []
    real = module.fit
    monkeypatch.setattr(module, "fit", lambda *args: trained.append(1) or real(*args))
    first = Shelf(data=data, keep=tmp_path).strategy(run, "cpu").frozen
    again = Shelf(data=data, keep=tmp_path).strategy(run, "cpu").frozen
    assert trained == [1]
    assert all((a == b).all() for a, b in zip(first.state_dict().values(), again.state_dict().values()))
    (kept,) = tmp_path.glob(".frozen-*")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    shelf = Shelf(data=data, keep=tmp_path)
    shelf.strategy(run, "cpu")
    assert trained == [1, 1]
    shelf.forget()
    assert not list(tmp_path.iterdir())


def test_without_a_home_there_is_a_place(monkeypatch):
    monkeypatch.setattr("pathlib.Path.expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    assert at_home("~/.cache/x").parts[-2:] == (".cache", "x") and at_home("~/.cache").is_absolute()
    assert str(at_home("data/a")) == str(Path("data/a"))
