"""What the lab's presets promise is what their 30 seeds show, in this browser, today."""

import itertools
import json

import pytest
from check_lab_presets import main, train
from lab_browser import Engine

from dmws_lite.classroom import lab_presets
from dmws_lite.classroom.lab_presets import SEEDS, holds, measure_claim, preset_record, preset_runs, preset_sources
from dmws_lite.experiments.statistics import summarise

PRESETS = preset_sources()
KEYS = [preset["key"] for preset in PRESETS]


@pytest.fixture(scope="module")
def lab(chromium) -> Engine:
    return Engine(chromium)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS, ids=KEYS)
def test_every_sentence_is_still_true(lab, preset) -> None:
    results = train(lab, preset)
    recorded = preset_record()["presets"][preset["key"]]
    assert recorded["settings"] == preset["settings"], "run scripts/check_lab_presets.py --write"
    assert len(recorded["claims"]) == len(preset["claims"])
    for claim, numbers in zip(preset["claims"], recorded["claims"]):
        summary = measure_claim(claim, results)
        assert summary.n == len(SEEDS) == 30
        assert holds(claim, summary), f"{claim}: {summary}"
        # Sines and exponentials may differ in the last bit between browsers, and training carries that on.
        assert abs(summary.mean - numbers["mean"]) < max(0.01, (numbers["high"] - numbers["low"]) / 2)
    for method, roles in recorded["results"].items():
        if method != "seeds":
            assert all(len(values) == 30 for values in roles.values())


@pytest.mark.parametrize("preset", lab_presets.lab_presets(), ids=KEYS)
def test_presets_are_complete(preset) -> None:
    texts = {"key", "title", "look", "question", "after", "show"}
    assert set(preset) == texts | {"choices", "answer", "settings", "seeds"}
    assert all(isinstance(preset[name], str) and preset[name] for name in texts)
    assert len(preset["choices"]) == 3 and preset["answer"] in (0, 1, 2)
    assert preset["show"] in ("random", "single", "same", "dual")
    assert "{" not in preset["after"] and "±" in preset["after"]
    assert "seed" not in preset["settings"], "the reader's button trains seeds 0 to 29"


def test_keys_differ_and_every_claim_is_quoted() -> None:
    assert len(set(KEYS)) == len(KEYS) >= 7
    for preset in PRESETS:
        assert all(f"{{{i}}}" in preset["after"] for i in range(len(preset["claims"]))), preset["key"]


def result(**curves):
    """Results of two seeds as the engine gives them; curves are {step: [seed 0, seed 1]}, the last under ""."""
    final = {method: {"main": steps[""]} for method, steps in curves.items()}
    steps = {step for one in curves.values() for step in one if step}
    at = {step: {method: {"main": one[step]} for method, one in curves.items()} for step in steps}
    return {**final, "at": at}


def test_measures_of_claims() -> None:
    calm = result(dual={"2": [0.5, 0.5], "4": [0.6, 0.7], "6": [0.5, 0.5], "": [0.5, 0.6]})
    wild = result(dual={"2": [0.1, 0.1], "4": [0.5, 0.6], "6": [0.3, 0.4], "": [0.25, 0.3]})
    results = {"{}": calm, '{"beta": 1}': wild}
    sides = {"a": {"method": "dual", "with": {"beta": 1}}, "b": {"method": "dual"}}
    assert measure_claim(sides, results).values == pytest.approx((-0.25, -0.3))
    assert measure_claim({**sides, "compare": "ratio"}, results).values == pytest.approx((0.5, 0.5))
    over = {**sides, "over": [2, 4, 6]}
    assert measure_claim({**over, "measure": "mean"}, results).values == pytest.approx(
        (0.9 / 3 - 1.6 / 3, 1.1 / 3 - 1.7 / 3)
    )
    assert measure_claim({**over, "measure": "swing"}, results).values == pytest.approx((0.3 - 0.1, 0.35 - 0.2))
    assert measure_claim({"a": {"method": "dual", "at": 4}, "b": {"method": "dual"}}, results).values == pytest.approx(
        (0.1, 0.1)
    )


@pytest.mark.parametrize(
    "claim, values, expected",
    [
        ({"at_least": 0.1}, (0.1, 0.2), True),
        ({"at_least": 0.2}, (0.1, 0.2), False),
        ({"at_most": 0.1}, (0.1, 0.2), False),
        ({"at_least": -0.1, "at_most": 0.1}, (-0.5, 0.5), True),
        ({"at_least": 0.1, "interval": "above zero"}, (0.2, 0.21, 0.2), True),
        ({"at_least": 0.1, "interval": "above zero"}, (-0.2, 0.6, 0.2), False),
    ],
)
def test_a_claim_can_fail(claim, values, expected) -> None:
    assert holds(claim, summarise(values)) is expected


def test_runs_that_claims_need() -> None:
    preset = {
        "settings": {"labels": 5},
        "claims": [
            {"a": {"method": "single", "at": 40}, "b": {"method": "single"}, "over": [60, 20]},
            {"a": {"method": "single", "with": {"beta": 1}}, "b": {"method": "same"}},
        ],
    }
    assert preset_runs(preset) == {
        "{}": {"settings": {"labels": 5}, "at": [20, 40, 60]},
        '{"beta": 1}': {"settings": {"labels": 5, "beta": 1}, "at": []},
    }


def test_every_setting_of_a_preset_is_one_the_lab_takes(lab) -> None:
    runs = [run["settings"] for preset in PRESETS for run in preset_runs(preset).values()]
    body = "for (const settings of given.runs) new lab.Lab(settings, given.assets); return given.runs.length;"
    assert lab.run(body, {"runs": runs, "assets": lab_presets.lab_assets()}) == len(runs)
    for a, b in itertools.combinations([preset["settings"] for preset in PRESETS], 2):
        assert a != b


def test_a_sentence_that_is_not_true_is_reported(monkeypatch, tmp_path, capsys) -> None:
    import check_lab_presets

    false = {
        "key": "false",
        "settings": {"steps": 2},
        "claims": [{"a": {"method": "dual"}, "b": {"method": "single"}, "at_least": 0.5}],
    }
    monkeypatch.setattr(check_lab_presets, "preset_sources", lambda: [false])
    monkeypatch.setattr(check_lab_presets, "OUT", tmp_path / "record.json")
    monkeypatch.setattr(check_lab_presets, "SEEDS", (0, 1))

    class Lab:
        def run(self, body, given):
            return json.loads(json.dumps({**result(dual={"": [0.4, 0.5]}, single={"": [0.4, 0.4]}), "seeds": [0, 1]}))

    class Start:
        def __enter__(self):
            return Lab()

        def __exit__(self, *reason):
            return None

    monkeypatch.setattr(check_lab_presets, "engine", Start)
    assert main(["--write"]) == 1
    assert "FAILS  false" in capsys.readouterr().out and not (tmp_path / "record.json").exists()
