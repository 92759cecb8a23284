"""Questions to a result: averaged networks, copies, colour modes, intervals and tests, on cases done by hand."""

import json
import math
from dataclasses import replace

import count_copies
import pytest
import torch

from dmws_lite import figures
from dmws_lite.experiments.records import read_facts
from dmws_lite.experiments.statistics import Summary, leak, mcnemar, paired_difference, summarise, unpaired_difference
from dmws_lite.images.dataset import mode_counts, mode_rule
from dmws_lite.images.load import load_images
from dmws_lite.images.splits import copy_counts
from dmws_lite.training.evaluate import mix


def net(value):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    for tensor in [*model.parameters(), model[1].running_mean]:
        tensor.data.fill_(value)
    model[1].num_batches_tracked.fill_(int(value))
    return model.train()


def test_a_mix_lies_on_the_line_and_leaves_its_ends_alone():
    first, second = net(1.0), net(3.0)
    quarter = mix(first, second, 0.25)
    assert (quarter[0].weight == 1.5).all() and (quarter[1].running_mean == 1.5).all()
    assert quarter[1].num_batches_tracked == 1 and not quarter.training
    assert (first[0].weight == 1).all() and (second[0].weight == 3).all() and first.training
    for share, end in ((0.0, first), (1.0, second)):
        assert torch.equal(mix(first, second, share)[0].weight, end[0].weight)


def record(labels, predicted, copies=(), digest="d"):
    split = {"digest": digest, "leaked": len(copies), "leaked_at": list(copies)}
    return {"labels": labels, "predicted": predicted, "split": split, "metrics": {"accuracy": 0.0}}


def test_a_run_is_taken_apart_by_copies_and_by_class():
    # Class 0: 4 images, all right; class 1: 4 images, one of the new ones right; the copies are places 0 and 4.
    found = leak(record("00001111", "00001100", copies=(0, 4)))
    assert (found.images, found.copies) == (8, 2)
    assert found.every == 6 / 8 and found.new == 4 / 6 and found.seen == 1.0
    assert found.alike == pytest.approx((1 + 1 / 3) / 2)
    assert found.gain == pytest.approx(6 / 8 - 4 / 6)
    assert found.memory == pytest.approx((1 - 2 / 3) * 2 / 8)


def test_an_easy_class_of_copies_is_no_memory():
    found = leak(record("00001111", "00000000", copies=(0, 1)))
    assert found.gain > 0 and found.memory == 0


def test_without_copies_nothing_is_added():
    found = leak(record("0011", "0010"))
    assert found.gain == 0 and found.memory == 0 and math.isnan(found.seen)


def test_a_record_without_predictions_is_refused():
    with pytest.raises(ValueError, match="lacks predictions or the positions of copies"):
        leak({"split": {"digest": "d"}, "labels": "01"})


@pytest.fixture(scope="module")
def planted():
    images = load_images("phantom-mri", n=60, size=32, progress=False)
    return images.subset([*range(60), *range(20)])


def test_copies_are_counted_on_random_splits_only(planted):
    counts = copy_counts(planted, (0.1, 1.0), range(3))
    assert set(counts) == {0.1, 1.0} and all(len(n) == 3 for n in counts.values())
    assert all(few <= all_ for few, all_ in zip(counts[0.1], counts[1.0])) and min(counts[1.0]) > 0


def test_modes_are_counted_by_class_and_the_best_guess_is_right(planted):
    labels = planted.labels.tolist()
    marked = replace(planted, modes=tuple("RGB" if label == 0 else "L" for label in labels))
    counts = mode_counts(marked)
    first, second = marked.classes[:2]
    assert counts[first] == {"L": 0, "RGB": labels.count(0)} and counts[second] == {"L": labels.count(1), "RGB": 0}
    by_mode, by_majority = mode_rule(counts)
    others = max(labels.count(k) for k in (1, 2, 3))
    assert by_mode == pytest.approx((labels.count(0) + others) / len(labels))
    assert by_mode > by_majority


def test_stored_facts_agree_with_the_data_card(root):
    facts = read_facts()
    assert sum(sum(row.values()) for row in facts["modes"].values()) == facts["images"] >= facts["distinct"]
    assert facts["date"] and facts["versions"] and facts["command"].startswith("python ")
    card = (root / "book" / "data_cards.md").read_text(encoding="utf-8")
    for row in facts["modes"].values():
        assert all(f"{n:,}" in card for n in row.values())


def test_the_command_writes_the_facts(planted, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(count_copies, "load_images", lambda *given, **options: planted)
    assert count_copies.main(["--data", str(tmp_path), "--to", str(tmp_path / "facts.json")]) == 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["images"] == 80 and facts["distinct"] == 60 and str(tmp_path) not in facts["command"].split("--to")[0]
    assert "facts.json" in capsys.readouterr().out


@pytest.mark.slow
def test_stored_facts_can_be_repeated(shared_data):
    images = load_images("mri", shared_data, size=32, progress=False)
    facts = read_facts()
    assert mode_counts(images) == facts["modes"]
    assert copy_counts(images, (0.05,), range(2))[0.05] == facts["copies"]["0.05"][:2]


def test_welchs_interval_is_scipys():
    from scipy import stats

    x, y = [0.70, 0.72, 0.75, 0.71], [0.60, 0.66, 0.69]
    found = unpaired_difference(summarise(x), summarise(y))
    interval = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    once = unpaired_difference(summarise(x), summarise([0.6]))
    assert math.isnan(once.low) and once.mean == pytest.approx(0.12)


def test_pairs_share_their_luck():
    x, y = [0.6, 0.7, 0.8], [0.5, 0.61, 0.7]
    paired, unpaired = paired_difference(x, y), unpaired_difference(summarise(x), summarise(y))
    assert paired.mean == pytest.approx(unpaired.mean) and paired.low > unpaired.low


def test_mcnemar_looks_at_the_images_on_which_two_networks_differ():
    first, second = record("0" * 10, "0000000011"), record("0" * 10, "1111110011")
    assert mcnemar(first, second) == (6, 0, pytest.approx(2 * 0.5**6))
    assert mcnemar(first, first) == (0, 0, 1.0)
    with pytest.raises(ValueError, match="different images"):
        mcnemar(first, record("0", "0", digest="other"))
    with pytest.raises(ValueError, match="no prediction for each image"):
        mcnemar(first, {**second, "predicted": ""})


def test_differences_are_filled_where_zero_is_outside():
    rows = {"a": summarise([0.1, 0.11]), "b": summarise([-0.1, 0.1]), "c": Summary(1, 0.2, *[math.nan] * 3, (0.2,))}
    ax = figures.differences(rows, "title").axes[0]
    faces = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    assert faces == [figures.BLUE, "white", "white"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(rows) and ax.get_xlabel()
