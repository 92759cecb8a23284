"""The auxiliary's memory: what the page shows is what Python computes."""

import pytest
from browser import chromium, number, open_page, overflow, put, widget_page  # noqa: F401

from dmws_lite.distill import half_life, remaining_share
from dmws_lite.widgets import auxiliary_memory, measured_curves

NAME = "auxiliary-memory"


def record(beta: float, seed: int, end: float) -> dict:
    rows = [
        {"step": 4, "main_accuracy": 0.4, "aux_accuracy": 0.3},
        {"step": 6, "main_accuracy": None, "aux_accuracy": None},
    ]
    rows.append({"step": 8, "main_accuracy": end, "aux_accuracy": end / 2})
    return {"beta": beta, "seed": seed, "history": rows, "pair": "p", "dataset": "d", "fraction": 0.05}


def test_curves_are_per_beta_and_seed_and_leave_out_what_was_not_measured() -> None:
    found = measured_curves([record(0.9, 1, 0.8), record(0.5, 0, 0.6), record(0.9, 0, 0.7)])
    assert [entry["beta"] for entry in found] == [0.5, 0.9]
    assert found[1]["steps"] == [4, 8]
    assert found[1]["main"] == [[0.4, 0.7], [0.4, 0.8]]
    assert found[1]["aux"] == [[0.3, 0.35], [0.3, 0.4]]


def test_the_projects_records_fill_it() -> None:
    widget = auxiliary_memory()
    assert 0.9 in [entry["beta"] for entry in widget.measured] and "mri" in widget.source
    assert "data:image/png" in widget.fallback()


def test_it_moves_without_a_kernel(chromium, tmp_path) -> None:  # noqa: F811
    widget = auxiliary_memory([record(0.9, 0, 0.8)])
    page = open_page(chromium, widget_page(tmp_path, [widget]), width=360, wait=f'[data-widget="{NAME}"] path')
    try:
        for beta, step in ((0.5, 3), (0.99, 100), (0.9, 20)):
            put(page, NAME, "beta", f"{beta}")
            put(page, NAME, "step", f"{step}")
            assert number(page, NAME, "share") == pytest.approx(remaining_share(beta, step), abs=1e-12)
            assert number(page, NAME, "half-life") == pytest.approx(half_life(beta), abs=1e-9)
            told = page.locator(f'[data-widget="{NAME}"] [aria-live]').inner_text()
            assert ("No run was made" in told) == (beta != 0.9)
        assert page.locator(".dmws-fallback").is_hidden()
        assert overflow(page) <= 0
        assert page.faults == []
    finally:
        page.close()
