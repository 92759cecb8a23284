"""The six widgets of chapter 0, from what few labels do to what two halves of a teacher know.

Each asks a question first. After the answer one slider moves a small computation that the page does itself; its
functions are those of :mod:`dmws_lite.classroom.small_models`, which also draw the static figures.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import traitlets
from PIL import Image

from ..._system import data_path
from ...figures import style
from .. import small_models as models
from .base import Widget, on_static_page, script, stylesheet

COUNTS = (2, 3, 5, 10, 20, 50)  # labels per class, in the plane
PHANTOM_COUNTS = (2, 5, 10, 20, 40)
TAUS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)
EPSILONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
BETAS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
STEPS = tuple(range(0, 51))

N_LABELLED = 20  # per class, for the students of sections 2 and 3
SMOOTHED_TAU = 4.0  # the teacher's targets beside label smoothing
CLASS_NAMES = ("glioma", "meningioma", "no tumour", "pituitary")


def shipped(name: str) -> dict:
    """Return ``data/start/NAME.json``, which ``scripts/make_start_data.py`` wrote."""
    return json.loads(_text(name))


@lru_cache(maxsize=4)
def _text(name: str) -> str:
    return data_path(f"start/{name}.json").read_text(encoding="utf-8")


def feature_rows(text: str, rows: int, levels: int) -> np.ndarray:
    """Decode signed bytes in base64 into features of about equal length.

    Returns:
        ``(rows, columns + 1)``: standard deviations times 3 / sqrt(columns), and a column of ones at the end.
    """
    values = np.frombuffer(base64.b64decode(text), dtype=np.int8).reshape(rows, -1).astype(float)
    return np.column_stack((values * (3 / (levels * np.sqrt(values.shape[1]))), np.ones(rows)))


def draws_of(n_pool: int, classes: int, n_draws: int, per_class: int) -> list[list[list[int]]]:
    """Draw labelled images, the same number of each class; the pool lists its images class by class.

    Returns:
        For each draw and each class ``per_class`` positions in the pool.
    """
    generator, size = np.random.default_rng(0), n_pool // classes
    return [
        [(k * size + generator.permutation(size)[:per_class]).tolist() for k in range(classes)] for _ in range(n_draws)
    ]


def as_png(pixels: np.ndarray) -> str:
    """Return a grey image ``(H, W)`` of bytes as the address of a picture."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


# Parts of a widget's state that a page without the widget manager does not need.
LEFT_OUT = ("_esm", "_css", "_anywidget_id", "layout", "tabbable", "tooltip")

# Replaces the widget manager: holds the widget's data while the page is open.
START = """
const given = JSON.parse(document.getElementById("PART-data").textContent);
render({ el: document.getElementById("PART"), model: {
  get: (name) => given[name], set: (name, value) => { given[name] = value; }, save_changes() {}, on() {}, off() {} } });
"""


class ChapterZero(Widget):
    """What the six widgets share.

    On a static page they are written into the page itself: a telephone need not load the widget manager's 3.6 MB.

    Attributes:
        part: the widget's name, by which the script knows what to draw.
        question: ``text``, three ``options``, the number of the right one and an ``explanation``.
        answer: number of the option that the reader chose, -1 before that; the number of options for "no idea".
    """

    _esm = script("start")
    _css = stylesheet("start")
    part = traitlets.Unicode().tag(sync=True)
    question = traitlets.Dict().tag(sync=True)
    answer = traitlets.Int(-1).tag(sync=True)

    @property
    def name(self) -> str:
        return self.part

    def open(self) -> None:
        """Tell the front end, but not on a static page, which would then hold the widget's data twice."""
        if not on_static_page():
            super().open()

    def html(self) -> str:
        """Return the widget as HTML that needs no other script: style, data, module and static figure."""
        state = {name: value for name, value in self.get_state().items() if name not in LEFT_OUT}
        data = json.dumps(state).replace("</", "<\\/")
        start = START.replace("PART", self.part)
        return (
            f'<div id="{self.part}"></div>{self.fallback()}<style>{self._css}</style>'
            f'<script type="application/json" id="{self.part}-data">{data}</script>'
            f'<script type="module">{self._esm.replace("export default { render };", start)}</script>'
        )

    def _repr_mimebundle_(self, **kwargs: object) -> object:
        if on_static_page():
            return {"text/html": self.html(), "text/plain": self.alt()}
        return super()._repr_mimebundle_(**kwargs)

    def ask(self, text: str, options: Sequence[str], right: int, explanation: str) -> None:
        """Set the question."""
        self.question = {"text": text, "options": list(options), "right": right, "explanation": explanation}


class FewLabels(ChapterZero):
    """A logistic regression on points of the plane; the slider chooses how many are labelled.

    Attributes:
        draws: for each draw the labelled points as x, y, x, y ...; classes alternate.
        test: new points, in the same way.
        counts: labels per class that the slider offers.
        count: chosen number of labels per class.
    """

    draws = traitlets.List().tag(sync=True)
    test = traitlets.List().tag(sync=True)
    counts = traitlets.List().tag(sync=True)
    count = traitlets.Int(3).tag(sync=True)

    def shares(self, draw: int, count: int) -> tuple[float, float]:
        """Return the shares of the labelled and of the new points that are classified correctly."""
        points, new = (np.reshape(flat, (-1, 2)) for flat in (self.draws[draw][: 4 * count], self.test))
        weights = models.fit_two_classes(models.bumps(points), np.arange(len(points)) % 2)
        return tuple(float(np.mean((models.bumps(p) @ weights > 0) == np.arange(len(p)) % 2)) for p in (points, new))

    def means(self, count: int) -> tuple[float, float]:
        """Return :meth:`shares`, averaged over the draws."""
        return tuple(np.mean([self.shares(d, count) for d in range(len(self.draws))], axis=0))

    def figure(self) -> plt.Figure:
        """Draw the two shares over the number of labels."""
        means = np.array([self.means(n) for n in self.counts])
        figure, ax = style.new_figure(1, 1, 6.4, 3.2)
        ax.semilogx(self.counts, means[:, 0], "o-", color=style.BLUE, label="labelled points")
        ax.semilogx(self.counts, means[:, 1], "s--", color=style.RED, label="new points")
        ax.set_xticks(self.counts, [str(n) for n in self.counts])
        ax.minorticks_off()
        ax.set(
            title="Accuracy on labelled and on new points",
            xlabel="labels per class",
            ylabel="accuracy",
            ylim=(0.5, 1.02),
        )
        ax.legend()
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        texts = [f"{n}: {train:.0%} and {test:.0%}" for n in self.counts for train, test in [self.means(n)]]
        return f"Accuracy on labelled and on new points, by labels per class: {'; '.join(texts)}."


class _Students(ChapterZero):
    """What soft targets and label smoothing share: students that learn from thumbnails of phantoms.

    Attributes:
        classes: their K names.
        labels: true class of each image; the first ``n_pool`` are the pool, the others the test images.
        n_pool: number of images in the pool.
        levels: steps per standard deviation in ``thumbnails``.
        thumbnails: 8 x 8 grey values of each image as signed bytes, in base64.
        logits: K logits of the fine-tuned teacher for each image of the pool.
        draws: for each draw the images of the pool that the student gets.
        examples: images to show: ``picture``, ``alt``, ``caption``, ``label``, ``logits``.
    """

    classes = traitlets.List().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    n_pool = traitlets.Int().tag(sync=True)
    levels = traitlets.Int().tag(sync=True)
    thumbnails = traitlets.Unicode().tag(sync=True)
    logits = traitlets.List().tag(sync=True)
    draws = traitlets.List().tag(sync=True)
    examples = traitlets.List().tag(sync=True)

    def accuracies(self, targets: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[float]:
        """Train one student per draw and return the test accuracies.

        Args:
            targets: gets the labels ``(n, K)`` as ones and zeros and the teacher's logits ``(n, K)``.
        """
        rows, labels = feature_rows(self.thumbnails, len(self.labels), self.levels), np.array(self.labels)
        ones, logits, found = np.eye(len(self.classes)), np.array(self.logits), []
        for index in self.draws:
            weights = models.fit_classes(rows[index], targets(ones[labels[index]], logits[index]))
            found.append(float(np.mean((rows[self.n_pool :] @ weights).argmax(1) == labels[self.n_pool :])))
        return found

    def hard(self) -> float:
        """Return the mean accuracy of students that learn from plain labels."""
        return float(np.mean(self.accuracies(lambda labels, logits: labels)))

    def soft(self, tau: float) -> float:
        """Return the mean accuracy of students that learn from the teacher's predictions at temperature tau."""
        return float(np.mean(self.accuracies(lambda labels, logits: models.softmax(logits, tau))))

    def smooth(self, epsilon: float) -> float:
        """Return the mean accuracy of students that learn from labels smoothed by epsilon."""
        return float(np.mean(self.accuracies(lambda labels, _: (1 - epsilon) * labels + epsilon / labels.shape[1])))

    def _figure(self, values: Sequence[float], means: Sequence[float], label: str, title: str) -> plt.Figure:
        figure, ax = style.new_figure(1, 1, 6.4, 3.0)
        ax.plot(range(len(values)), means, "o-", color=style.BLUE, label=title)
        ax.axhline(self.hard(), color=style.GREY, linestyle=":", label="plain labels")
        ax.set_xticks(range(len(values)), [f"{v:g}" for v in values])
        ax.set(title=f"A small student learns from {title}", xlabel=label, ylabel="test accuracy")
        ax.legend()
        return figure


class SoftTargets(_Students):
    """Softened predictions of a teacher for real examples, and what a student learns from them; the slider is tau.

    Attributes:
        taus: temperatures that the slider offers.
        tau: chosen temperature.
    """

    taus = traitlets.List().tag(sync=True)
    tau = traitlets.Float(1.0).tag(sync=True)

    def figure(self) -> plt.Figure:
        """Draw the students' accuracy over tau."""
        return self._figure(self.taus, [self.soft(tau) for tau in self.taus], "temperature tau", "soft targets")

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        texts = ", ".join(f"{self.soft(tau):.3f} at tau {tau:g}" for tau in self.taus)
        return f"Mean test accuracy of small students: {self.hard():.3f} from plain labels; from soft targets {texts}."


class LabelSmoothing(_Students):
    """Smoothed labels beside a teacher's soft targets; the slider is epsilon.

    Attributes:
        epsilons: values that the slider offers, in [0, 1).
        epsilon: chosen share that is spread evenly over all classes.
        tau: temperature of the teacher's targets, which does not move.
    """

    epsilons = traitlets.List().tag(sync=True)
    epsilon = traitlets.Float(0.3).tag(sync=True)
    tau = traitlets.Float(SMOOTHED_TAU).tag(sync=True)

    def figure(self) -> plt.Figure:
        """Draw the students' accuracy over epsilon."""
        return self._figure(self.epsilons, [self.smooth(e) for e in self.epsilons], "epsilon", "smoothed labels")

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        texts = ", ".join(f"{self.smooth(e):.3f} at epsilon {e:g}" for e in self.epsilons)
        return (
            f"Mean test accuracy of small students: {self.hard():.3f} from plain labels, {self.soft(self.tau):.3f} "
            f"from the teacher at tau {self.tau:g}; from smoothed labels {texts}."
        )


class WeightAverage(ChapterZero):
    """The moving average of weights that jump about a minimum; the slider is beta.

    Attributes:
        points: ``(n, 2)`` training points.
        classes: n classes, 0 or 1.
        orders: for each path, which point is used in each step.
        start: two weights to begin with.
        rate: learning rate.
        best: weights of the smallest loss.
        least: that loss.
        last: steps at the end of a path over which losses are averaged.
        betas: values that the slider offers.
        beta: chosen value.
    """

    points = traitlets.List().tag(sync=True)
    classes = traitlets.List().tag(sync=True)
    orders = traitlets.List().tag(sync=True)
    start = traitlets.List().tag(sync=True)
    rate = traitlets.Float().tag(sync=True)
    best = traitlets.List().tag(sync=True)
    least = traitlets.Float().tag(sync=True)
    last = traitlets.Int(50).tag(sync=True)
    betas = traitlets.List().tag(sync=True)
    beta = traitlets.Float(0.9).tag(sync=True)

    def excess(self, beta: float) -> float:
        """Return how far the average's loss lies above the minimum, over all paths and their last steps."""
        points, classes = np.array(self.points), np.array(self.classes)
        paths = (models.noisy_path(points, classes, order, self.start, self.rate) for order in self.orders)
        tails = [models.average_along(path, beta)[-self.last :] for path in paths]
        return float(np.mean([models.logistic_loss(points, classes, w) for tail in tails for w in tail])) - self.least

    def figure(self) -> plt.Figure:
        """Draw the loss of the average over beta."""
        figure, ax = style.new_figure(1, 1, 6.4, 3.0)
        ax.semilogy(range(len(self.betas)), [self.excess(b) for b in self.betas], "s-", color=style.RED)
        ax.set_xticks(range(len(self.betas)), [f"{b:g}" for b in self.betas])
        ax.set(title="Loss of averaged weights", xlabel="beta", ylabel="loss above the minimum")
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        texts = ", ".join(f"{self.excess(b):.3f} at beta {b:g}" for b in self.betas)
        return f"Loss above the minimum of averaged weights, mean of {len(self.orders)} noisy paths: {texts}."


class PretrainedChannels(ChapterZero):
    """A logistic regression on pretrained and on untrained channels; the slider chooses the labels per class.

    Attributes:
        classes: their K names.
        labels, n_pool, levels: as in :class:`SoftTargets`.
        pretrained: 192 channels of the pretrained teacher for each image, as signed bytes in base64.
        untrained: 192 channels of an untrained student.
        draws: for each draw and class the images of the pool, in the order in which they are used.
        counts: labels per class that the slider offers.
        count: chosen number.
    """

    classes = traitlets.List().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    n_pool = traitlets.Int().tag(sync=True)
    levels = traitlets.Int().tag(sync=True)
    pretrained = traitlets.Unicode().tag(sync=True)
    untrained = traitlets.Unicode().tag(sync=True)
    draws = traitlets.List().tag(sync=True)
    counts = traitlets.List().tag(sync=True)
    count = traitlets.Int(10).tag(sync=True)

    def accuracy(self, channels: str, count: int) -> float:
        """Return the mean test accuracy on ``"pretrained"`` or ``"untrained"`` channels."""
        rows = feature_rows(getattr(self, channels), len(self.labels), self.levels)
        labels, ones, found = np.array(self.labels), np.eye(len(self.classes)), []
        for draw in self.draws:
            index = [i for of_class in draw for i in of_class[:count]]
            weights = models.fit_classes(rows[index], ones[labels[index]])
            found.append(np.mean((rows[self.n_pool :] @ weights).argmax(1) == labels[self.n_pool :]))
        return float(np.mean(found))

    def figure(self) -> plt.Figure:
        """Draw both accuracies over the number of labels."""
        figure, ax = style.new_figure(1, 1, 6.4, 3.2)
        for channels, look, colour in (("pretrained", "o-", style.BLUE), ("untrained", "s--", style.RED)):
            means = [self.accuracy(channels, n) for n in self.counts]
            ax.semilogx(self.counts, means, look, color=colour, label=f"{channels} channels")
        ax.axhline(1 / len(self.classes), color=style.GREY, linestyle=":", label="chance")
        ax.set_xticks(self.counts, [str(n) for n in self.counts])
        ax.minorticks_off()
        ax.set(title="Logistic regression on channels", xlabel="labels per class", ylabel="test accuracy")
        ax.legend()
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        both = [(n, self.accuracy("pretrained", n), self.accuracy("untrained", n)) for n in self.counts]
        texts = "; ".join(f"{n}: {a:.3f} and {b:.3f}" for n, a, b in both)
        return f"Mean test accuracy on pretrained and on untrained channels, by labels per class: {texts}."


class ComplementaryHalves(ChapterZero):
    """Two halves of a teacher, and what averaging makes of the second; the slider counts averaging steps.

    Attributes:
        hidden: hidden units of a teacher.
        networks: teachers, each as four lists of weights and biases.
        points: test points on three arms; classes are 0, 1, 2, 0, ...
        beta: share that the auxiliary keeps of itself in each step.
        steps: numbers of steps that the slider offers.
        step: chosen number.
    """

    hidden = traitlets.Int().tag(sync=True)
    networks = traitlets.List().tag(sync=True)
    points = traitlets.List().tag(sync=True)
    beta = traitlets.Float(0.9).tag(sync=True)
    steps = traitlets.List().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def accuracies(self, step: int) -> dict[str, float]:
        """Return mean accuracies of ``teacher``, ``main``, ``auxiliary`` after the steps, and averaged ``opinions``."""
        points, classes, left = np.array(self.points), np.arange(len(self.points)) % 3, self.beta**step
        found: dict[str, list[float]] = {"teacher": [], "main": [], "auxiliary": [], "opinions": []}
        for lists in self.networks:
            teacher = tuple(np.array(part) for part in lists)
            main, other = (models.every_second(teacher, part) for part in (0, 1))
            logits = {
                "teacher": models.network_logits(teacher, points),
                "main": models.network_logits(main, points),
                "auxiliary": models.network_logits(models.blend(other, main, left), points),
            }
            logits["opinions"] = models.softmax(logits["main"]) + models.softmax(models.network_logits(other, points))
            for who, values in logits.items():
                found[who].append(float(np.mean(values.argmax(1) == classes)))
        return {who: float(np.mean(values)) for who, values in found.items()}

    def figure(self) -> plt.Figure:
        """Draw the auxiliary's accuracy over the averaging steps, between main's and that of both opinions."""
        every = {n: self.accuracies(n) for n in self.steps[::5]}
        figure, ax = style.new_figure(1, 1, 6.4, 3.2)
        ax.axhline(every[0]["opinions"], color=style.GREEN, linestyle=":", label="both predictions averaged")
        ax.axhline(every[0]["main"], color=style.BLUE, label="main")
        ax.plot(list(every), [one["auxiliary"] for one in every.values()], "s--", color=style.RED, label="auxiliary")
        ax.set(title="What averaging makes of the auxiliary", xlabel="averaging steps", ylabel="test accuracy")
        ax.legend()
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows."""
        first = self.accuracies(0)
        texts = ", ".join(f"{self.accuracies(n)['auxiliary']:.3f} after {n}" for n in self.steps[::10])
        return (
            f"Mean test accuracy of {len(self.networks)} teachers' halves: main {first['main']:.3f}, both first "
            f"predictions averaged {first['opinions']:.3f}, the auxiliary {texts} averaging steps."
        )


# -- the widgets as the chapter shows them -----------------------------------------------------------------------------


def few_labels() -> FewLabels:
    """Return the widget of section 1."""
    generator = np.random.default_rng(4)
    draws = [models.two_arcs(2 * COUNTS[-1], generator)[0].ravel().tolist() for _ in range(8)]
    test = models.two_arcs(300, generator)[0].ravel().tolist()
    widget = FewLabels(part="start-labels", title="Few labels", draws=draws, test=test, counts=list(COUNTS))
    (train, new), (_, mean) = widget.shares(0, widget.count), widget.means(widget.count)
    widget.ask(
        f"With {widget.count} labels per class this model classifies {train:.0%} of the labelled points correctly. How "
        "many new points will it classify correctly?",
        ("Nearly all", "About three quarters", "About half: it can only guess"),
        1,
        f"{new:.0%} of the {len(test) // 2} new points, and {mean:.0%} on average over {len(draws)} draws of the "
        f"labels. It has {len(models.CENTRES) + 1} weights to fit {2 * widget.count} points. Now move the slider: with "
        "how many labels do the two curves come close?",
    )
    return widget


def _student_data(shares: Sequence[tuple[int, float]]) -> dict[str, object]:
    """Return the traits of sections 2 and 3.

    Args:
        shares: which examples to show, as (class, how certain the teacher is: 0.25, 0.5 or 0.75 of the way).
    """
    data = shipped("phantoms")
    students = data["students"]
    draws = draws_of(students["n_pool"], len(CLASS_NAMES), 16, N_LABELLED)
    by_key = {(e["label"], e["share"]): e for e in data["examples"]}
    examples = []
    for k, share in shares:
        entry = by_key[k, share]
        pixels = np.frombuffer(base64.b64decode(entry["pixels"]), dtype=np.uint8).reshape(64, 64)
        words = f"Brain phantom of the class {CLASS_NAMES[k]}"
        picture = {"picture": as_png(pixels), "alt": words, "caption": f"true class: {CLASS_NAMES[k]}"}
        examples.append({**picture, "label": k, "logits": entry["logits"]})
    return {
        **students,
        "classes": list(CLASS_NAMES),
        "levels": data["levels"],
        "draws": [[i for of_class in draw for i in of_class] for draw in draws],
        "examples": examples,
    }


def soft_targets() -> SoftTargets:
    """Return the widget of section 2."""
    data = _student_data([(3, 0.5), (2, 0.5), (1, 0.5)])
    widget = SoftTargets(part="start-soft", title="Soft targets", taus=list(TAUS), **data)
    hard, soft = widget.hard(), widget.soft(SMOOTHED_TAU)
    widget.ask(
        f"A small student gets {N_LABELLED} images per class. First it learns from their labels, then, from scratch, "
        "from the teacher's probabilities for the same images. How accurate is it the second time?",
        (
            "Worse: the teacher is not always right",
            "The same: the label is the largest probability anyway",
            "Better by a few percentage points",
        ),
        2,
        f"Its test accuracy is {soft:.3f} instead of {hard:.3f} (mean of {len(widget.draws)} draws of the images, τ = "
        f"{SMOOTHED_TAU:g}). Each target now says how much the image looks like each class. Raise τ and watch the "
        "small probabilities: they keep their order, but become large enough to learn from.",
    )
    return widget


def label_smoothing() -> LabelSmoothing:
    """Return the widget of section 3."""
    data = _student_data([(0, 0.25), (0, 0.75)])
    widget = LabelSmoothing(part="start-smoothing", title="Label smoothing", epsilons=list(EPSILONS), **data)
    hard, smooth, soft = widget.hard(), widget.smooth(widget.epsilon), widget.soft(widget.tau)
    widget.ask(
        "A smoothed label needs no teacher: it takes a share ε of the probability and spreads it evenly over all "
        "classes. Does the student learn as much from it as from the teacher?",
        ("Less", "As much: soft is soft", "More: it never repeats a teacher's mistake"),
        0,
        f"Test accuracy {hard:.3f} from plain labels, {smooth:.3f} from smoothed ones, {soft:.3f} from the teacher. "
        "The smoothed label is the same for both images. The teacher's targets differ, because the images do. Is there "
        "an ε with which smoothed labels reach the teacher?",
    )
    return widget


def weight_average() -> WeightAverage:
    """Return the widget of section 4."""
    generator = np.random.default_rng(3)
    classes = np.arange(60) % 2
    points = np.round(generator.normal(0, 1, (60, 2)) + np.where(classes[:, None] == 1, 0.8, -0.8) * (1.0, 0.6), 2)
    best = np.zeros(2)
    for _ in range(30):  # Newton's method
        chance = 1 / (1 + np.exp(-points @ best))
        bend = (points * (chance * (1 - chance))[:, None]).T @ points
        best = best - np.linalg.solve(bend, points.T @ (chance - classes))
    widget = WeightAverage(
        part="start-average", title="Averages of weights", points=points.tolist(), classes=classes.tolist(),
        orders=[generator.integers(0, 60, 200).tolist() for _ in range(20)], start=[-2.0, 2.5], rate=1.0,
        best=best.tolist(), least=models.logistic_loss(points, classes, best), betas=list(BETAS),
    )  # fmt: skip
    losses = {beta: widget.excess(beta) for beta in BETAS}
    lowest = min(losses, key=losses.get)
    widget.ask(
        "The weights jump around the minimum. A moving average follows them: after each step it becomes β times itself "
        "plus 1 − β times the new weights. Which β ends closest to the minimum?",
        (
            "β = 0: only the newest weights count",
            f"β = {lowest:g}",
            f"β = {BETAS[-1]:g}: the more averaging, the better",
        ),
        1,
        f"Loss above the minimum: {losses[0.0]:.3f} at β = 0, {losses[lowest]:.3f} at β = {lowest:g}, "
        f"{losses[BETAS[-1]]:.3f} at β = {BETAS[-1]:g}. With a small β the average stays noisy; with a large one it "
        "still remembers where the path began. Move β and see where the average ends.",
    )
    return widget


def pretrained_channels() -> PretrainedChannels:
    """Return the widget of section 5."""
    data = shipped("phantoms")
    channels = data["channels"]
    draws = draws_of(channels["n_pool"], len(CLASS_NAMES), 6, PHANTOM_COUNTS[-1])
    widget = PretrainedChannels(
        part="start-channels", title="Pretrained channels", classes=list(CLASS_NAMES), levels=data["levels"],
        draws=draws, counts=list(PHANTOM_COUNTS), **channels,
    )  # fmt: skip
    most = PHANTOM_COUNTS[-1]
    level = widget.accuracy("untrained", most)
    enough = next(n for n in PHANTOM_COUNTS if widget.accuracy("pretrained", n) >= level)
    widget.ask(
        f"With {most} labels per class, untrained channels reach an accuracy of {level:.3f}. How many labels per class "
        "do pretrained channels need for that?",
        (f"About {enough}", f"About {most}, too: photographs do not help with brains", "They never get that far"),
        0,
        f"With {enough} labels per class, pretrained channels reach {widget.accuracy('pretrained', enough):.3f}; with "
        f"{most}, {widget.accuracy('pretrained', most):.3f}. They were trained on photographs of animals and things, "
        "but edges, textures and shapes occur in brain images too.",
    )
    return widget


def complementary_halves() -> ComplementaryHalves:
    """Return the widget of section 6."""
    data = shipped("halves")
    points, _ = models.three_arms(300, np.random.default_rng(1000))
    widget = ComplementaryHalves(
        part="start-halves", title="Two halves of one teacher", hidden=data["hidden"], networks=data["networks"],
        points=points.tolist(), steps=list(STEPS),
    )  # fmt: skip
    first, middle = widget.accuracies(0), widget.accuracies(7)  # 0.9 ** 7 is nearest to one half
    widget.ask(
        f"Main's accuracy is {first['main']:.2f}, the auxiliary's {first['auxiliary']:.2f}. Now the auxiliary's "
        "weights move towards main's, step by step. How accurate is it half-way, when each weight is the mean of two?",
        ("Better than both: it knows both halves", "About as good as either", "Worse than both"),
        2,
        f"It falls to {middle['auxiliary']:.3f} (mean of {len(widget.networks)} teachers). The fifth channel of one "
        "half has nothing to do with the fifth of the other, so their mean is neither. Averaging the predictions gives "
        f"{first['opinions']:.3f}. Move n and see how soon the auxiliary is a copy of main.",
    )
    return widget
