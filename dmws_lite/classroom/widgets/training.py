"""The training playground: choose, train, watch, stop, pin, compare. It needs a kernel; on a page without one it shows
the runs that were made when the page was built, and says where the sliders are.

The work is in :mod:`dmws_lite.classroom.widgets.session`; here is only what is seen and clicked.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, metadata

import ipywidgets as ipw
import matplotlib.pyplot as plt
import torch
import traitlets
from IPython.display import HTML, display
from matplotlib.ticker import MaxNLocator

from ..._system import available_processors
from ...experiments.methods import METHODS
from ...experiments.tables import Cell, Table
from ...figures import style
from ...selection.rules import RULES
from .base import Widget, on_static_page, picture, script, stylesheet
from .session import (
    COMPARED,
    PIN_NAMES,
    LiveRun,
    PinError,
    Pins,
    Session,
    Settings,
    accuracy_words,
    curve,
    run_of_record,
)

NOTEBOOK = "04_ema_skd_training.ipynb"

BETAS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)

TAUS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)

STEPS = (100, 300, 1000)

SECONDS_BETWEEN_UPDATES = 0.25

EXPECTED = "Choose, then press Train: 300 steps take 10 to 20 seconds on two CPU cores."

COLUMNS = ("loss", "test_loss", "aux_test_loss", "main_accuracy", "aux_accuracy", "remaining")


@contextmanager
def threads_beside_the_kernel() -> Iterator[None]:
    """Let PyTorch take, in this thread, only the processors that the kernel's own thread leaves free.

    Each thread that computes gets a pool of OpenMP threads of its own, which stays. As soon as the pools together are
    larger than the number of processors, the OpenMP of GNU waits by sleeping in all of them, in later cells too: a step
    of the pocket student takes 2.2 times as long on two cores, until the kernel is restarted (benchmarks/README.md).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, available_processors() - before + 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class LiveChart(Widget):
    """Loss and accuracy of the run that is training, and the accuracy of the pinned ones.

    Attributes:
        run: ``{}``, or ``steps`` of a whole run and for each of :data:`COLUMNS` its points ``[step, value]``.
        pinned: for each pinned run ``name``, ``words`` and the same points.
        status: one sentence on what happens, read out by screen readers.
    """

    name = "training-playground"
    _esm = script("training")
    _css = stylesheet("training")
    run = traitlets.Dict().tag(sync=True)
    pinned = traitlets.List().tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)

    def lines(self) -> list[tuple[str, Mapping[str, list]]]:
        """Return the pinned runs under their letters; where none is pinned, the last run."""
        return [(f"run {each['name']}", each) for each in self.pinned] or [("this run", self.run)]

    def figure(self) -> plt.Figure:
        """Draw loss and accuracy on the test images, main with full lines and the auxiliary with dashed ones."""
        figure, axes = style.new_figure(1, 2, 9.0, 3.4)
        for (name, points), colour, marker in zip(self.lines(), style.COLOURS, style.MARKERS):
            for ax, column in zip(axes, ("loss", "accuracy")):
                for who, word, dash in (("main", "main", "-"), ("aux", "auxiliary", "--")):
                    if points.get(f"{who}_{column}"):
                        look = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 4}
                        ax.plot(*zip(*points[f"{who}_{column}"]), label=f"{name}, {word}", **look)
        axes[0].set(title="loss on the test images", xlabel="optimiser steps", ylabel="cross-entropy (nats)")
        axes[1].set(title="accuracy on the test images", xlabel="optimiser steps", ylabel="share of images")
        axes[0].set_ylim(bottom=0)
        axes[1].set_ylim(0, 1.02)
        for ax in axes:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes[1].lines:  # below both: it covers no line there
            figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
        return figure

    def alt(self) -> str:
        """Say what :meth:`figure` shows: where each curve ends."""
        found = []
        for name, points in self.lines():
            ends = [
                f"{word} {points[column][-1][1]:.2f}"
                for word, column in (("main", "main_accuracy"), ("auxiliary", "aux_accuracy"))
                if points.get(column)
            ]
            found.append(f"{name}: {', '.join(ends) or 'not trained yet'}")
        return f"Loss and accuracy over optimiser steps. Accuracy at the end: {'; '.join(found)}."


def points_of(run: LiveRun) -> dict[str, object]:
    """Return a run as :class:`LiveChart` takes it."""
    return {"steps": run.steps, **curve(run, COLUMNS)}


def table(runs: Sequence[tuple[str, LiveRun]]) -> str:
    """Return pinned runs as an HTML table: settings, final accuracies, seconds."""
    if not runs:
        return ""
    header = ("run", "method", "rule", "alpha", "beta", "tau", "training images", "steps", "seed", "main", "auxiliary",
              "seconds")  # fmt: skip
    rows = tuple((Cell(name, head=True), *map(Cell, cells(run))) for name, run in runs)
    title = "Pinned runs; main and auxiliary: accuracy at the end, on the test images"
    return Table(title, header, rows).to_html("table dmws-runs")


def cells(run: LiveRun) -> list[str]:
    """Return the cells of a run's row in :func:`table`, without its name."""
    chosen, none = run.settings, "–"
    shared = [f"{value:g}" if chosen.dual else none for value in (chosen.alpha, chosen.beta, chosen.tau)]
    ends = [none if value is None else f"{value:.3f}" for value in map(run.last, ("main_accuracy", "aux_accuracy"))]
    done = f"{run.rows[-1]['step']}, stopped" if run.stopped else f"{run.steps}"
    sizes = [f"{run.n_train} ({chosen.fraction:.0%})", done, f"{chosen.seed}"]
    words = [METHODS[chosen.method].label, chosen.rule]
    seconds = f"{run.seconds:.1f}, stored" if run.stored else f"{run.seconds:.1f}"
    return [*words, *shared, *sizes, *ends, seconds]


def error_box(error: BaseException) -> str:
    """Return what a student sees of an error: its kind, its message, and what to do."""
    return (
        '<div role="alert" data-name="error" style="border:2px solid #b3261e;border-left-width:8px;border-radius:6px;'
        'padding:8px 12px;margin:6px 0;line-height:1.4;white-space:normal;overflow-wrap:anywhere">'
        f"<strong>This did not work.</strong> {type(error).__name__}: {html.escape(str(error))}<br>"
        "Your pinned runs are still there. Change the value that is named, then press Train again.</div>"
    )


def colab_address() -> str:
    """Return where the playground's notebook opens on Colab, or nothing where the package is not installed."""
    try:
        entries = metadata("dmws_lite").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    for entry in entries:
        name, _, url = entry.partition(", ")
        if name == "Repository" and url.startswith("https://github.com/"):
            path = url.removeprefix("https://github.com/").rstrip("/").removesuffix(".git")
            return f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{NOTEBOOK}"
    return ""


class TrainingPlayground:
    """Sliders, a Train and a Stop button, live curves, and up to four pinned runs. Show it by naming it in a cell.

    Training runs beside the kernel's own thread, so that Stop works. What goes wrong in a callback or while training is
    shown in words, and :meth:`wait` and :meth:`check` raise it: a cell that calls them cannot pass over it.

    Args:
        session: images, teacher and how to train; by default MRI phantoms and the pocket ConvNeXt pair.
        settings: what the controls show first.

    Example::

        playground = TrainingPlayground()
        playground.choose(alpha=1.0, steps=100)
        playground.train()
        playground.wait()
        playground
    """

    def __init__(self, session: Session | None = None, settings: Settings | None = None) -> None:
        self.session = session or Session()
        self.pins = Pins()
        self.run: LiveRun | None = None
        self.error: BaseException | None = None
        self._running = False
        self._stop = threading.Event()
        self._shown = 0.0
        self._future: Future | None = None
        self._worker = ThreadPoolExecutor(1, "training-playground")
        self.chart = LiveChart(title="Training playground", status=EXPECTED)
        self.controls = make_controls(settings or Settings())
        self.train_button = ipw.Button(description="Train", button_style="primary", tooltip="train with these values")
        self.stop_button = ipw.Button(description="Stop", disabled=True, tooltip="end the run after this epoch")
        self.pin_button = ipw.Button(description="Pin this run", disabled=True, tooltip="keep the run to compare")
        self.unpin_buttons = {
            name: ipw.Button(description=f"Unpin {name}", layout=ipw.Layout(width="auto", display="none"))
            for name in PIN_NAMES
        }
        self.error_box, self.table = ipw.HTML(), ipw.HTML()
        self.controls["method"].observe(self._method_changed, "value")
        for button, action in (
            (self.train_button, self.train),
            (self.stop_button, self.stop),
            (self.pin_button, self._pin_or_say_why_not),
        ):
            button.on_click(self._clicked(action))
        for name, button in self.unpin_buttons.items():
            button.on_click(self._clicked(self.unpin, name))
        self._method_changed()
        wrap = ipw.Layout(flex_flow="row wrap")
        buttons = ipw.Box([self.train_button, self.stop_button, self.pin_button], layout=wrap)
        unpin = ipw.Box([*self.unpin_buttons.values()], layout=wrap)
        parts = [ipw.Box([*self.controls.values()], layout=wrap), buttons, self.error_box]
        self.view = ipw.VBox([*parts, self.chart, self.table, unpin])

    # -- what can be done, by a click or by a line of code ------------------------------------------------------------

    def settings(self) -> Settings:
        """Return what the controls show.

        Raises:
            ValueError: a value is out of range.
        """
        return Settings(**{name: control.value for name, control in self.controls.items()})

    def choose(self, **values: object) -> None:
        """Set controls, such as ``choose(alpha=1.0, rule="random")``.

        Raises:
            ValueError: a value is out of range.
            TypeError: there is no such setting.
        """
        chosen = asdict(replace(self.settings(), **values))  # checks all before any control moves
        for name in values:
            put(self.controls[name], chosen[name])

    def train(self) -> None:
        """Start a run with what the controls show, and return at once.

        Raises:
            RuntimeError: a run is training already.
            ValueError: a value is out of range.
        """
        if self._running:
            raise RuntimeError("a run is training already; press Stop, or wait until it has finished")
        settings = self.settings()
        self.error_box.value = ""
        self._stop = threading.Event()
        self._set_running(True)
        self.chart.status = f"Training {settings.words()}. Preparing images and students."
        self._future = self._worker.submit(self._work, settings, self._stop)

    def stop(self) -> None:
        """Ask the run to end after its present epoch; what it has learned so far is kept and shown."""
        self._stop.set()
        if self._running:
            self.chart.status = "Stopping after this epoch."

    def wait(self) -> LiveRun | None:
        """Wait until the run has ended and return it.

        Raises:
            BaseException: what went wrong in the run, or in a callback since the last check.
        """
        if self._future is not None:
            wait_for([self._future])
        self.check()
        return self.run

    def check(self) -> None:
        """Raise what went wrong in a run or a callback, once; it was shown when it happened."""
        error, self.error = self.error, None
        if error is not None:
            raise error

    def pin(self) -> str:
        """Keep the last run for comparison and return its letter.

        Raises:
            PinError: there is no run, it is pinned already, or four are pinned.
        """
        if self.run is None or self._running:
            raise PinError("there is no finished run to pin; press Train and wait for its end")
        name = self.pins.add(self.run)
        self.chart.status = f"Pinned as run {name}: {self.run.settings.words()}."
        self._show_pins()
        return name

    def pin_record(self, record: Mapping[str, object]) -> str:
        """Keep a stored run for comparison and return its letter.

        Args:
            record: see :func:`dmws_lite.classroom.widgets.session.run_of_record`.

        Raises:
            ValueError: the playground does not have the record's method.
            PinError: four are pinned.
        """
        run = run_of_record(record)
        name = self.pins.add(run)
        self.chart.status = f"Pinned as run {name}, a stored one: {run.settings.words()}."
        self._show_pins()
        return name

    def unpin(self, name: str) -> None:
        """Forget a pinned run.

        Raises:
            PinError: nothing is pinned under this letter.
        """
        self.pins.remove(name)
        self.chart.status = f"Run {name} is no longer pinned."
        self._show_pins()

    # -- showing ------------------------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        display(HTML(self.static_page()) if on_static_page() else self.view)

    def static_page(self) -> str:
        """Return what a page without a kernel shows: the runs made so far, and where the sliders are."""
        address = colab_address()
        link = f' or <a href="{address}">open this notebook on Colab</a>' if address else ""
        shown = picture(self.chart.figure(), self.chart.alt()) + table(self.pins.items())
        return (
            "<p>Here sliders for alpha, beta, tau, rule and fraction start real training runs. They need a Python "
            f"kernel, which this page does not have: open the notebook in JupyterLab{link}. These runs were made when "
            f"the page was built, except those whose seconds are marked as stored.</p>{shown}"
        )

    def _show_run(self, run: LiveRun, status: str = "") -> None:
        self._shown = time.monotonic()
        self.chart.run = points_of(run)
        if status:
            self.chart.status = status

    def _show_pins(self) -> None:
        self.chart.pinned = [
            {"name": name, "words": run.settings.words(), **points_of(run)} for name, run in self.pins.items()
        ]
        self.table.value = table(self.pins.items())
        for name, button in self.unpin_buttons.items():
            button.layout.display = None if name in self.pins.names() else "none"

    def _set_running(self, running: bool) -> None:
        self._running = running
        self.train_button.disabled = running
        self.stop_button.disabled = not running
        self.pin_button.disabled = running or self.run is None

    # -- callbacks ----------------------------------------------------------------------------------------------------

    def _clicked(self, action: object, *given: object) -> object:
        """Return a handler for a button that shows what goes wrong."""

        def handler(_: ipw.Button) -> None:
            with self._shown_and_raised():
                action(*given)

        return handler

    @contextmanager
    def _shown_and_raised(self) -> Iterator[None]:
        """Show an error in words and remember it for :meth:`check`; it goes on to whoever called."""
        try:
            yield
        except BaseException as error:  # also an interrupt: the box says so, and it goes on
            self.error = self.error or error
            self.error_box.value = error_box(error)
            self.chart.status = "This did not work; the message stands above the curves."
            raise

    def _pin_or_say_why_not(self) -> None:
        """Pin; a fifth run is no fault, so the reason is said and nothing is raised."""
        try:
            self.pin()
        except PinError as reason:
            self.chart.status = f"Not pinned: {reason}."

    def _method_changed(self, _: object = None) -> None:
        with self._shown_and_raised():
            dual = Settings(method=self.controls["method"].value).dual
            for name in ("alpha", "beta", "tau"):
                self.controls[name].disabled = not dual

    def _work(self, settings: Settings, stop: threading.Event) -> None:
        """Train, in the worker's thread."""
        try:
            with self._shown_and_raised(), threads_beside_the_kernel():
                self.run = self.session.run(settings, self._row, stop)
                self._show_run(self.run, f"{self.run.words()}.")
        finally:
            self._set_running(False)

    def _row(self, run: LiveRun) -> None:
        """Show an epoch, unless the last one was shown just now; the end is always shown."""
        if time.monotonic() - self._shown >= SECONDS_BETWEEN_UPDATES:
            measured = run.rows[-1]["main_accuracy"] is not None  # in words only then: a sentence per epoch is noise
            step = f"Training: step {run.rows[-1]['step']} of {run.steps}, {accuracy_words(run)}."
            self._show_run(run, step if measured else "")


def make_controls(start: Settings) -> dict[str, ipw.DOMWidget]:
    """Return one control per setting, under its name, each with the limits that the package checks."""
    look = {"style": {"description_width": "95px"}, "layout": ipw.Layout(width="330px", max_width="98%")}
    methods = [(METHODS[name].label, name) for name in COMPARED]
    controls = {
        "method": ipw.Dropdown(options=methods, description="method", **look),
        "rule": ipw.Dropdown(options=list(RULES), description="rule", **look),
        "alpha": ipw.FloatSlider(min=0, max=1, step=0.05, description="alpha (α)", continuous_update=False, **look),
        "beta": list_slider("beta (β)", BETAS, "{:g}", look),
        "tau": list_slider("tau (τ)", TAUS, "{:g}", look),
        "fraction": list_slider("fraction", FRACTIONS, "{:.0%}", look),
        "steps": ipw.Dropdown(options=STEPS, description="steps", **look),
        "seed": ipw.BoundedIntText(min=0, max=9999, description="seed", **look),
    }
    for name, value in asdict(start).items():
        put(controls[name], value)
    return controls


def list_slider(label: str, values: Sequence[float], form: str, look: Mapping[str, object]) -> ipw.SelectionSlider:
    """Return a slider through a list of values; ``form`` says how a value is shown."""
    options = [(form.format(value), value) for value in values]
    return ipw.SelectionSlider(options=options, description=label, continuous_update=False, **look)


def put(control: ipw.DOMWidget, value: object) -> None:
    """Let a control show a value, also one that is in range but not in its list."""
    if isinstance(control, (ipw.SelectionSlider, ipw.Dropdown)):
        known = [entry if isinstance(entry, tuple) else (str(entry), entry) for entry in control.options]
        if value not in [entry for _, entry in known]:
            control.options = sorted([*known, (f"{value:g}", value)], key=lambda entry: entry[1])
    control.value = value
