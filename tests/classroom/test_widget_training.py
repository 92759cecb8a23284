"""The training playground: its logic, its buttons, what it says when something goes wrong, its curves in a browser."""

import html
import threading

import pytest
import torch
from browser import chromium, number, open_page, overflow, widget_page  # noqa: F401

from dmws_lite._system import available_processors
from dmws_lite.classroom.widgets import TrainingPlayground
from dmws_lite.classroom.widgets.base import STATIC_PAGE
from dmws_lite.classroom.widgets.session import (
    MAX_PINS,
    LiveRun,
    PinError,
    Pins,
    Session,
    Settings,
)
from dmws_lite.classroom.widgets.training import (
    LiveChart,
    colab_address,
    points_of,
    table,
)
from dmws_lite.distillation.moving_average import remaining_share
from dmws_lite.experiments.records import read_records

pytestmark = pytest.mark.slow  # most tests here train
NAME = "training-playground"
SHORT = {"steps": 4, "fraction": 0.5}


@pytest.fixture(scope="module")
def session() -> Session:
    """Twenty images of 32 pixels: what is tested is the way of a value, not what it does to an accuracy."""
    return Session(n=40, size=32, batch_size=8, device="cpu")


@pytest.fixture
def playground(session: Session) -> TrainingPlayground:
    return TrainingPlayground(session, Settings(**SHORT))


def made_run(main: float = 0.5, aux: float | None = 0.4, **settings: object) -> LiveRun:
    """A run as a session returns it, without training."""
    row = {"epoch": 1, "step": 2, "loss": 1.0, "ce": 1.0, "kd": 0.1, "remaining": 0.81, "seconds": 1.0}
    row |= {"test_loss": 1.2, "aux_test_loss": 1.3, "main_accuracy": main, "aux_accuracy": aux}
    return LiveRun(Settings(**settings), [row], steps=2, n_train=16, n_test=8, seconds=1.0, device="cpu")


class Failing(Session):
    """A session whose training fails."""

    def run(self, settings, on_row=None, stop=None) -> LiveRun:
        raise FloatingPointError("the loss is nan <b>")


# --- the session -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 1.5},
        {"beta": -0.1},
        {"tau": 0.0},
        {"rule": "odd"},
        {"fraction": 0.0},
        {"steps": 0},
        {"seed": -1},
        {"method": "cm2"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_setting_out_of_range_is_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_run_has_a_row_per_epoch_and_ends_with_a_measurement(session: Session) -> None:
    seen = []
    run = session.run(Settings(**SHORT), on_row=lambda run: seen.append(len(run.rows)))
    assert [row["step"] for row in run.rows] == [2, 4] and seen == [1, 2]
    assert (run.n_train, run.n_test, run.steps, run.stopped, run.device) == (16, 8, 4, False, "cpu")
    assert 0 <= run.last("main_accuracy") <= 1 and 0 <= run.last("aux_accuracy") <= 1 and run.last("aux_test_loss") > 0
    assert run.last("remaining") == remaining_share(0.9, 4)
    assert "Finished 4 steps" in run.words() and "alpha 0.6" in run.words() and "main 0." in run.words()


@pytest.mark.slow
def test_the_same_settings_give_the_same_run_and_others_another(session: Session) -> None:
    def losses(**changes: object) -> list[float]:
        return [row["loss"] for row in session.run(Settings(**(SHORT | changes))).rows]

    first = losses()
    assert losses() == first
    for change in ({"alpha": 0.1}, {"tau": 8.0}, {"beta": 0.0}, {"rule": "random"}, {"seed": 1}, {"method": "cm1"}):
        assert losses(**change) != first, f"{change} changed nothing"


def test_without_an_auxiliary_nothing_is_said_of_one(session: Session) -> None:
    run = session.run(Settings(method="cm1", **SHORT))
    assert run.last("aux_accuracy") is None and run.last("remaining") is None
    assert "no auxiliary" in run.words() and "alpha" not in run.words()


def test_stop_ends_a_run_after_its_epoch_and_keeps_what_it_learned(session: Session) -> None:
    stop = threading.Event()
    run = session.run(Settings(steps=100, fraction=0.5), on_row=lambda run: stop.set(), stop=stop)
    assert run.stopped and [row["step"] for row in run.rows] == [2, 4] and run.last("main_accuracy") is not None
    assert "Stopped after 4 of 100 steps" in run.words()


def test_four_runs_can_be_pinned_and_a_fifth_after_one_is_unpinned() -> None:
    pins, runs = Pins(), [made_run() for _ in range(MAX_PINS + 1)]
    assert [pins.add(run) for run in runs[:MAX_PINS]] == ["A", "B", "C", "D"]
    with pytest.raises(PinError, match="unpin one"):
        pins.add(runs[MAX_PINS])
    pins.remove("B")
    assert pins.add(runs[MAX_PINS]) == "B" and pins.names() == ["A", "B", "C", "D"]
    with pytest.raises(PinError, match="already"):
        pins.add(runs[0])
    with pytest.raises(PinError, match="'Z'"):
        pins.remove("Z")
    with pytest.raises(PinError, match="no measurement"):
        Pins().add(LiveRun(Settings()))


# --- the playground, by its buttons ----------------------------------------------------------------------------------


def test_the_controls_reach_the_run(playground: TrainingPlayground) -> None:
    controls = playground.controls
    controls["alpha"].value, controls["beta"].value, controls["tau"].value = 0.25, 0.99, 8.0
    controls["rule"].value, controls["fraction"].value, controls["seed"].value = "random", 1.0, 3
    playground.train_button.click()
    run = playground.wait()
    chosen = Settings(alpha=0.25, beta=0.99, tau=8.0, rule="random", fraction=1.0, seed=3, steps=4)
    assert run.settings == chosen and run.n_train == 32
    assert playground.chart.run == points_of(run)
    assert playground.chart.status == f"{run.words()}." and not playground.train_button.disabled


def test_buttons_say_what_can_be_done_now(playground: TrainingPlayground) -> None:
    buttons = playground.train_button, playground.stop_button, playground.pin_button
    assert [button.disabled for button in buttons] == [False, True, True]
    seen = []
    playground.chart.observe(lambda _: seen.append([button.disabled for button in buttons]), "run")
    playground.train()
    playground.wait()
    assert seen[0] == [True, False, True]
    assert [button.disabled for button in buttons] == [False, True, False]


def test_the_stop_button_ends_a_run(playground: TrainingPlayground) -> None:
    playground.choose(steps=5000)
    playground.chart.observe(lambda _: playground.stop_button.click(), "run")
    playground.train_button.click()
    run = playground.wait()
    assert run.stopped and run.rows[-1]["step"] < 5000 and "Stopped after" in playground.chart.status


def test_choose_checks_all_values_before_it_moves_any(playground: TrainingPlayground) -> None:
    with pytest.raises(ValueError, match="tau"):
        playground.choose(alpha=0.1, tau=-1.0)
    assert playground.controls["alpha"].value == 0.6
    playground.choose(beta=0.97, steps=7)  # in range, and not among the slider's values
    assert playground.settings().beta == 0.97 and playground.settings().steps == 7


def test_sliders_without_effect_are_disabled(playground: TrainingPlayground) -> None:
    playground.controls["method"].value = "cm1"
    assert all(playground.controls[name].disabled for name in ("alpha", "beta", "tau"))
    playground.controls["method"].value = "same_start"
    assert not any(playground.controls[name].disabled for name in ("alpha", "beta", "tau"))


def test_pinned_runs_stand_in_table_and_chart_and_can_be_unpinned(playground: TrainingPlayground) -> None:
    for number_ in range(MAX_PINS + 1):
        playground.run = made_run(main=number_ / 10, seed=number_)
        playground.pin_button.click()
    assert "unpin one" in playground.chart.status and playground.error is None, "a fifth run is no fault"
    assert [each["name"] for each in playground.chart.pinned] == ["A", "B", "C", "D"]
    assert playground.table.value.count("data-row=") == MAX_PINS and "0.300" in playground.table.value
    playground.unpin_buttons["B"].click()
    assert [each["name"] for each in playground.chart.pinned] == ["A", "C", "D"]
    assert 'data-row="B"' not in playground.table.value
    shown = [name for name, button in playground.unpin_buttons.items() if button.layout.display != "none"]
    assert shown == ["A", "C", "D"]
    assert playground.pin() == "B" and "0.400" in playground.table.value


def test_a_stored_run_is_pinned_like_one_that_was_trained(playground: TrainingPlayground) -> None:
    stored, *_ = read_records(grid="lessons", method="ours", rule="random_inconsistent", seed=1)
    assert playground.pin_record(stored) == "A"
    (pinned,) = playground.chart.pinned
    assert pinned["main_accuracy"][-1] == (300, stored["metrics"]["accuracy"]) and pinned["steps"] == 300
    assert "random_inconsistent" in playground.table.value and "stored" in playground.table.value
    with pytest.raises(ValueError, match="method='cm2' is not in the playground"):
        playground.pin_record(read_records(grid="lessons", method="cm2")[0])


def test_the_table_shows_settings_only_where_they_matter() -> None:
    shown = table([("A", made_run(main=0.5, aux=None, method="cm1", alpha=0.35))])
    assert "0.35" not in shown and "0.500" in shown and "CM1" in shown
    assert "0.35" in table([("A", made_run(alpha=0.35))])


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_error_in_training_is_shown_in_words_and_raised(session: Session) -> None:
    playground = TrainingPlayground(Failing())
    playground.train_button.click()
    with pytest.raises(FloatingPointError, match="nan"):
        playground.wait()
    shown = playground.error_box.value
    assert 'role="alert"' in shown and "FloatingPointError" in shown and html.escape("the loss is nan <b>") in shown
    assert not playground.train_button.disabled and playground.stop_button.disabled
    playground.check()  # raised once, not for ever
    playground.session = session
    playground.choose(**SHORT)
    playground.train()
    assert playground.error_box.value == "" and playground.wait() is not None


@pytest.mark.parametrize("callback", ["button", "slider", "row"])
def test_an_error_in_a_callback_is_shown_in_words_and_raised(playground, monkeypatch, callback) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("from a callback")

    if callback == "button":  # ipywidgets itself writes what a button's callback raises to the log and goes on
        monkeypatch.setattr(playground, "settings", broken)
        playground.train_button.click()
    elif callback == "slider":
        monkeypatch.setattr("dmws_lite.classroom.widgets.training.Settings", broken)
        with pytest.raises(KeyError, match="from a callback"):
            playground.controls["method"].value = "cm1"
    else:
        monkeypatch.setattr("dmws_lite.classroom.widgets.training.points_of", broken)
        playground.train_button.click()
    with pytest.raises(KeyError, match="from a callback"):
        playground.wait()
    assert 'role="alert"' in playground.error_box.value and "from a callback" in playground.error_box.value


def test_training_beside_the_kernel_takes_only_the_processors_that_it_leaves_free(session: Session) -> None:
    """Two pools of OpenMP threads that together are larger than the machine slow all later cells down."""
    seen = []

    class Watched(Session):
        def run(self, settings, on_row=None, stop=None) -> LiveRun:
            seen.append(torch.get_num_threads())
            return session.run(settings, on_row, stop)

    playground, before = TrainingPlayground(Watched(), Settings(**SHORT)), torch.get_num_threads()
    for _ in range(2):
        playground.train()
        playground.wait()
    assert seen == [max(1, min(before, available_processors() - before + 1))] * 2
    assert torch.get_num_threads() == before


def test_a_second_train_while_one_is_training_is_refused(playground: TrainingPlayground) -> None:
    playground.choose(steps=5000)
    playground.train()
    try:
        with pytest.raises(RuntimeError, match="press Stop"):
            playground.train()
        with pytest.raises(PinError, match="wait for its end"):
            playground.pin()
    finally:
        playground.stop()
    assert playground.wait().stopped


# --- where there is no kernel ----------------------------------------------------------------------------------------


def test_a_static_page_has_no_sliders_but_the_runs_that_were_made(playground, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr("dmws_lite.classroom.widgets.training.display", shown.append)
    for number_ in range(2):
        playground.run = made_run(main=number_ / 10)
        playground.pin()
    playground._ipython_display_()
    monkeypatch.setenv(STATIC_PAGE, "1")
    playground._ipython_display_()
    live, static = shown
    assert live is playground.view
    assert "need a Python kernel" in static.data and "data:image/png" in static.data
    assert static.data.count("data-row=") == 2 and "run B: main 0.10" in static.data
    assert colab_address().startswith("https://colab.research.google.com/github/") and colab_address() in static.data


@pytest.mark.parametrize("width", [360, 1000])
def test_the_curves_are_drawn_to_the_kernels_numbers(chromium, tmp_path, width) -> None:  # noqa: F811
    run, pins = made_run(main=0.625, aux=0.5), [made_run(main=0.25), made_run(aux=None, method="cm1")]
    pinned = [{"name": name, "words": one.settings.words(), **points_of(one)} for name, one in zip("AB", pins)]
    chart = LiveChart(title="Playground", status="Finished.", run=points_of(run), pinned=pinned)
    page = open_page(chromium, widget_page(tmp_path, [chart]), width=width, wait=f'[data-widget="{NAME}"] circle')
    try:
        assert number(page, NAME, "main-accuracy") == 0.625 and number(page, NAME, "aux-accuracy") == 0.5
        assert number(page, NAME, "step") == 2 and number(page, NAME, "remaining") == 0.81
        curves = page.locator(f'[data-widget="{NAME}"] [data-curve]').evaluate_all(
            "all => all.map(c => c.dataset.curve)"
        )
        assert sorted(curves) == sorted(
            ["main-accuracy", "aux-accuracy", "loss", "main-loss", "aux-loss", "A-main", "A-aux", "B-main"]
        )
        assert page.locator(f'[data-widget="{NAME}"] [data-name="status"]').inner_text() == "Finished."
        assert overflow(page) <= 0
        assert page.faults == []
    finally:
        page.close()
