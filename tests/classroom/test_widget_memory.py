"""The auxiliary's memory: what the page shows is what Python computes."""

import math

import pytest
from browser import number, open_page, overflow, put, widget_page

from dmws_lite.classroom.widgets import (
    AuxiliaryMemory,
    auxiliary_memory,
    measured_curves,
)
from dmws_lite.distillation.moving_average import half_life, remaining_share

NAME = "auxiliary-memory"
ROOT = f'[data-widget="{NAME}"]'
READY = f'{ROOT} [data-curve="share"]'


def record(beta: float, seed: int, end: float, **more: object) -> dict:
    rows = [
        {"step": 4, "main_accuracy": 0.4, "aux_accuracy": 0.3},
        {"step": 6, "main_accuracy": None, "aux_accuracy": None},
    ]
    rows.append({"step": 8, "main_accuracy": end, "aux_accuracy": end / 2})
    task = {"pair": "p", "dataset": "d", "fraction": 0.05}
    return {"beta": beta, "seed": seed, "history": rows, **task, **more}


def test_curves_are_per_beta_and_seed_and_leave_out_what_was_not_measured() -> None:
    found = measured_curves([record(0.9, 1, 0.8), record(0.5, 0, 0.6), record(0.9, 0, 0.7)])
    assert [entry["beta"] for entry in found] == [0.5, 0.9]
    assert found[1]["steps"] == [4, 8]
    assert found[1]["main"] == [[0.4, 0.7], [0.4, 0.8]]
    assert found[1]["aux"] == [[0.3, 0.35], [0.3, 0.4]]


def test_records_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"differ in fraction \(0.05, 0.1\); choose one, as in read_records\(fraction="
    ):
        measured_curves([record(0.9, 0, 0.8), record(0.5, 0, 0.8, fraction=0.1)])
    alone = record(0.9, 2, 0.8)
    for row in alone["history"]:
        row["aux_accuracy"] = None
    with pytest.raises(ValueError, match="the record of beta 0.9, seed 2 has no measured auxiliary"):
        measured_curves([alone])
    longer = record(0.9, 1, 0.8)
    longer["history"].append({"step": 12, "main_accuracy": 0.9, "aux_accuracy": 0.9})
    with pytest.raises(ValueError, match="the runs at beta 0.9 were measured at different steps"):
        measured_curves([record(0.9, 0, 0.8), longer])


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="beta=1.5 is out of range"):
        AuxiliaryMemory(beta=1.5)
    with pytest.raises(ValueError, match="step=-1 is negative"):
        AuxiliaryMemory(step=-1)


def test_the_projects_records_fill_it() -> None:
    widget = auxiliary_memory()
    assert {0.5, 0.9, 0.99, 1.0} <= {entry["beta"] for entry in widget.measured}
    assert all(sum(step <= 100 for step in entry["steps"]) >= 5 for entry in widget.measured)
    assert "25% of the labels" in widget.source and "3 seeds" in widget.source
    assert "data:image/png" in widget.fallback()


def test_the_static_figure_says_what_was_measured() -> None:
    widget = auxiliary_memory([record(0.9, 0, 0.7), record(0.9, 1, 0.8)])
    assert "the final accuracy is 0.750 for main and 0.375 for the auxiliary" in widget.alt()
    assert f"{0.9**4:.1%} of the start" in widget.alt()
    assert widget.figure().axes[1].lines[0].get_ydata().tolist() == pytest.approx([0.4, 0.75])
    assert "No run was made at beta 0.9." in auxiliary_memory([]).alt()


def words(page) -> str:
    return page.locator(f'{ROOT} [aria-live="polite"]').inner_text()


def test_it_moves_without_a_kernel(chromium, tmp_path) -> None:
    records = [record(0.9, 0, 0.8), record(0.9, 1, 0.6), record(1.0, 0, 0.9)]
    page = open_page(chromium, widget_page(tmp_path, [auxiliary_memory(records)]), width=360, wait=READY)
    try:
        for beta, step in (("0.5", 3), ("0.99", 100), ("0.9", 20), ("0", 0), ("0", 1), ("1", 3000), ("0.9995", 2700)):
            put(page, NAME, "beta", beta)
            put(page, NAME, "step", f"{step}")
            share = remaining_share(float(beta), step)
            assert number(page, NAME, "share") == pytest.approx(share, abs=1e-12)
            assert number(page, NAME, "half-life") == pytest.approx(half_life(float(beta)), abs=1e-9)
            assert ("No run was made" in words(page)) == (beta not in ("0.9", "1"))
            assert page.locator(f'{ROOT} [data-name="runs"]').is_visible() == (beta in ("0.9", "1"))
            # The dot stands at the share: between the lines for 0 and 1 of the axis.
            top, bottom = (
                float(page.locator(f"{ROOT} svg").first.locator(".dmws-grid").evaluate_all(pick))
                for pick in (
                    "lines => Math.min(...lines.map(line => line.getAttribute('y1')))",
                    "lines => Math.max(...lines.map(line => line.getAttribute('y1')))",
                )
            )
            dot = float(page.locator(f'{ROOT} [data-mark="step"]').get_attribute("cy"))
            assert (bottom - dot) / (bottom - top) == pytest.approx(share, abs=1e-6)
        assert page.locator(".dmws-fallback").is_hidden()
        assert overflow(page) <= 0
        assert page.faults == []
    finally:
        page.close()


def test_measured_runs_are_one_press_away(chromium, tmp_path) -> None:
    records = [record(0.9, 0, 0.8), record(0.9, 1, 0.6), record(1.0, 0, 0.9)]
    page = open_page(chromium, widget_page(tmp_path, [auxiliary_memory(records)], theme="dark"), wait=READY)
    try:
        assert number(page, NAME, "main-end") == pytest.approx(0.7)
        assert number(page, NAME, "aux-end") == pytest.approx(0.35)
        assert number(page, NAME, "share-first") == pytest.approx(remaining_share(0.9, 4))
        assert number(page, NAME, "one-percent") == pytest.approx(math.log(0.01) / math.log(0.9))
        assert page.locator(f'{ROOT} [data-curve="aux"]').count() == 1
        button = page.locator(f'{ROOT} [data-name="measured-1"]')
        button.focus()
        button.press("Enter")
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator(f'{ROOT} [data-name="beta-shown"]').inner_text() == "1"
        assert number(page, NAME, "main-end") == pytest.approx(0.9)
        assert page.locator(f'{ROOT} [data-name="half-life"]').inner_text() == "∞"
        assert "never updated" in words(page) and "(1 seed)" in words(page)
        put(page, NAME, "beta", "0.95")
        assert page.locator(f'{ROOT} [data-curve="aux"]').count() == 0
        assert "No run was made at beta 0.95; measured values: 0.9, 1." in words(page)
        assert page.faults == []
    finally:
        page.close()


def test_a_start_between_the_sliders_steps_is_shown_as_it_is(chromium, tmp_path) -> None:
    widget = AuxiliaryMemory(beta=0.93, step=123)
    page = open_page(chromium, widget_page(tmp_path, [widget]), wait=READY)
    try:
        assert page.locator(f'{ROOT} [data-name="beta-shown"]').inner_text() == "0.93"
        assert page.locator(f'{ROOT} [data-name="step-shown"]').inner_text() == "123"
        assert number(page, NAME, "share") == pytest.approx(remaining_share(0.93, 123), abs=1e-12)
        assert "there are no records" in words(page)
        assert page.faults == []
    finally:
        page.close()


def test_the_first_hundred_steps_are_shown_and_the_whole_run_on_request(chromium, tmp_path) -> None:
    page = open_page(chromium, widget_page(tmp_path, [auxiliary_memory()]), width=360, wait=READY)
    try:
        entry = next(entry for entry in auxiliary_memory().measured if entry["beta"] == 0.9)
        dots = page.locator(f"{ROOT} svg").nth(1).locator("circle")
        early = sum(step <= 100 for step in entry["steps"])
        assert dots.count() == early * len(entry["main"])
        place = next(i for i, step in enumerate(entry["steps"]) if step >= math.log(0.01) / math.log(0.9))
        accuracy = sum(row[place] for row in entry["aux"]) / len(entry["aux"])
        assert f"after {entry['steps'][place]} steps, the auxiliary has an accuracy of {accuracy:.3f}" in words(page)
        page.locator(f'{ROOT} [data-name="whole"]').press("Space")
        assert dots.count() == len(entry["steps"]) * len(entry["main"])
        put(page, NAME, "beta", "1")  # its start never fades, so there is no such measurement
        assert "with 1% or less left" not in words(page)
        assert overflow(page) <= 0 and page.faults == []
    finally:
        page.close()
