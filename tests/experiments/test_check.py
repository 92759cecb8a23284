"""A record that contradicts itself is found out."""

import json

import pytest

from dmws_lite._system import data_path
from dmws_lite.cli import main
from dmws_lite.experiments.check import check_record

GOOD = sorted(data_path("results/ablations").glob("mri-convnext_pocket-ours-0.05-s0-*.json"))[0]


def changed(tmp_path, change):
    record = json.loads(GOOD.read_text())
    change(record)
    path = tmp_path / GOOD.name
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("folder", ["results", "map", "readers"])
def test_the_projects_own_records_agree_with_themselves(folder):
    for path in data_path(folder).rglob("*.json"):
        if path.name != "critical_facts.json":
            assert check_record(path) == [], path.name


CHANGES = {
    "seed": (lambda r: r.update(seed=77), "its settings give the name"),
    "accuracy": (lambda r: r["metrics"].update(accuracy=0.99), "as the confusion matrix says"),
    "range": (lambda r: r["metrics"].update(auroc=1.2), "auroc is 1.2; it must lie between 0 and 1"),
    "seconds": (lambda r: r.update(seconds=-1), "it took -1 seconds"),
    "answers": (lambda r: r.update(predicted=r["predicted"][::-1]), "predictions and labels give another confusion"),
    "history": (lambda r: r["history"].pop(), "its history ends with epoch"),
    "last row": (lambda r: r["history"][-1].update(main_accuracy=0.1), "the last row of the history"),
    "loss": (lambda r: r["history"][0].update(loss=float("nan")), "a loss that is not a number"),
    "copies": (lambda r: r["split"].update(leaked=3), "3 test images have a copy in the training part"),
    "images": (lambda r: r["split"].update(test=1), "counts 1"),
    "method": (lambda r: r.update(method="kd"), "its settings cannot be run: method='kd' is unknown"),
    "part": (lambda r: r.pop("metrics"), "it lacks metrics"),
    "form": (lambda r: r.update(split=[]), "a part of it has another form"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_is_said(name, tmp_path):
    change, message = CHANGES[name]
    assert any(message in problem for problem in check_record(changed(tmp_path, change)))


def test_the_command_names_the_file_and_the_fault(tmp_path, capsys):
    assert main(["records", "check", str(GOOD)]) == 0
    assert "1 record checked, 0 with something wrong" in capsys.readouterr().out
    bad = changed(tmp_path, lambda r: r.update(seed=77))
    (tmp_path / "a.failed.json").write_text("{}")
    assert main(["records", "check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert bad.name in out and "1 record checked, 1 with something wrong" in out and "failed" not in out
    assert main(["records", "check", str(tmp_path / "none.json")]) == 1
    (tmp_path / "empty").mkdir()
    assert main(["records", "check", str(tmp_path / "empty")]) == 2
