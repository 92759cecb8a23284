"""The loss of equations 1 to 5, interactive: drag the logits of both students and see what each term does."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from ...distillation.loss import check_alpha, check_tau, skd_loss, soften
from ...figures import style
from .base import Widget, script, stylesheet

CLASSES = ("glioma", "meningioma", "no tumour", "pituitary")

TAUS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0)

LIMIT = 6.0

# Instructive cases with four classes, of which the first is the true one.
PRESETS = (
    {"name": "agree", "main": (3.0, 1.0, -1.0, 0.0), "aux": (3.0, 1.0, -1.0, 0.0)},
    {"name": "auxiliary disagrees", "main": (4.0, 2.5, -1.0, 0.5), "aux": (2.0, 3.0, -0.5, 0.0)},
    {"name": "both unsure", "main": (0.4, 0.2, 0.0, 0.1), "aux": (0.1, 0.3, 0.2, 0.0)},
    {"name": "main confidently wrong", "main": (-1.0, 5.0, -2.0, 0.0), "aux": (2.0, 1.5, -1.0, 0.0)},
)


def loss_terms(
    main: Sequence[float], aux: Sequence[float], target: int, alpha: float = 0.6, tau: float = 3.0, scaled: bool = True
) -> dict[str, float | list[float]]:
    """Compute all that the widget shows for one image, with :func:`dmws_lite.distillation.loss.skd_loss` and autograd.

    Args:
        main: K logits of the main student.
        aux: K logits of the auxiliary.
        target: index of the true class, ``0 .. K - 1``.
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in (0, 100].
        scaled: multiply the KL divergence by ``tau**2``, as equation 5 does.

    Returns:
        The numbers ``ce``, ``kd`` (the KL divergence without ``tau**2``) and ``loss``, in nats, and lists of K numbers:
        the probabilities ``p_main`` and ``p_aux`` at temperature tau and ``p_plain`` of main at temperature 1, and the
        gradient of the loss with respect to main's logits, ``grad``, with its two parts ``grad_ce`` and ``grad_kd``.

    Raises:
        ValueError: alpha or tau is out of range, the two lists differ in length, or there is no class ``target``.

    Example:
        >>> terms = loss_terms([0.0, 0.0], [0.0, 0.0], target=0)
        >>> [round(g, 3) for g in terms["grad"]]  # both agree, so only the label counts: alpha * (p - y)
        [-0.3, 0.3]
    """
    z_main = torch.tensor([list(main)], dtype=torch.float32, requires_grad=True)
    z_aux = torch.tensor([list(aux)], dtype=torch.float32)
    if not 0 <= target < z_main.shape[1]:
        raise ValueError(f"target={target} is no class; choose a number in 0 .. {z_main.shape[1] - 1}")
    terms = skd_loss(z_main, z_aux, torch.tensor([target]), alpha=alpha, tau=tau)
    if not scaled:
        terms = {**terms, "loss": alpha * terms["ce"] + (1 - alpha) * terms["kd"]}
    parts = {
        "grad_ce": alpha * terms["ce"],
        "grad_kd": (1 - alpha) * (tau**2 if scaled else 1) * terms["kd"],
        "grad": terms["loss"],
    }
    numbers = {name: value.item() for name, value in terms.items()}
    z = z_main.detach()
    numbers |= {"p_main": soften(z, tau), "p_aux": soften(z_aux, tau), "p_plain": soften(z, 1.0)}
    numbers |= {name: torch.autograd.grad(part, z_main, retain_graph=True)[0] for name, part in parts.items()}
    return {name: value[0].tolist() if torch.is_tensor(value) else value for name, value in numbers.items()}


class LossPlayground(Widget):
    """Draggable logits of main and auxiliary; shows the loss terms and the gradient for each logit.

    Attributes:
        classes: names of the K classes.
        main_logits: K logits of the main student, in [-limit, limit].
        aux_logits: K logits of the auxiliary, in [-limit, limit].
        target: index of the true class.
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, one of ``taus``.
        scaled: whether the KL divergence is multiplied by tau squared.
        taus: values of the temperature slider, ascending.
        limit: logits range from ``-limit`` to ``limit``.
        presets: ``name``, ``main`` and ``aux`` of each case; choosing one makes the first class the true one.
    """

    name = "loss-playground"
    _esm = script("loss")
    _css = stylesheet("loss")
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    main_logits = traitlets.List(traitlets.Float()).tag(sync=True)
    aux_logits = traitlets.List(traitlets.Float()).tag(sync=True)
    target = traitlets.Int(0).tag(sync=True)
    alpha = traitlets.Float(0.6).tag(sync=True)
    tau = traitlets.Float(3.0).tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)
    taus = traitlets.List(traitlets.Float(), list(TAUS)).tag(sync=True)
    limit = traitlets.Float(LIMIT).tag(sync=True)
    presets = traitlets.List().tag(sync=True)

    def terms(self) -> dict[str, float | list[float]]:
        """Return :func:`loss_terms` for the current settings; with a kernel, those that the reader has chosen."""
        return loss_terms(self.main_logits, self.aux_logits, self.target, self.alpha, self.tau, self.scaled)

    def figure(self) -> plt.Figure:
        """Draw logits, softened probabilities and the two parts of the gradient for the current settings."""
        terms = self.terms()
        figure, axes = style.new_figure(1, 3, 10.0, 3.4, sharey=True)
        panels = (
            ("logits", (("main", self.main_logits, style.BLUE), ("auxiliary", self.aux_logits, style.ORANGE))),
            (
                f"probabilities at tau {self.tau:g}",
                (("main", terms["p_main"], style.BLUE), ("auxiliary", terms["p_aux"], style.ORANGE)),
            ),
            (
                "gradient of the loss w.r.t. main's logits",
                (
                    ("from the label", terms["grad_ce"], style.GREEN),
                    ("from the auxiliary", terms["grad_kd"], style.ORANGE),
                ),
            ),
        )
        rows = np.arange(len(self.classes))
        for ax, (title, series) in zip(axes, panels):
            for shift, (label, values, colour) in zip((-0.19, 0.19), series):
                hatch = "" if shift < 0 else "///"
                ax.barh(rows + shift, values, 0.36, color=colour, hatch=hatch, edgecolor="white", label=label)
            ax.axvline(0, color="black", linewidth=0.8)
            ax.set_title(title, fontsize=10)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, fontsize=8)
        axes[2].plot(terms["grad"], rows, "D", color="black", markersize=5, label="sum")
        axes[2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, fontsize=8)
        marked = [f"{name}\n(true class)" if k == self.target else name for k, name in enumerate(self.classes)]
        axes[0].set_yticks(rows, marked)
        axes[0].invert_yaxis()
        return figure

    def alt(self) -> str:
        """Describe what :meth:`figure` shows, with its numbers."""
        terms = self.terms()
        top = int(np.argmax(np.abs(terms["grad"])))
        way = "up" if terms["grad"][top] < 0 else "down"
        return (
            f"True class {self.classes[self.target]}, alpha {self.alpha:g}, tau {self.tau:g}: cross-entropy "
            f"{terms['ce']:.3f}, KL divergence {terms['kd']:.3f}, loss {terms['loss']:.3f}. Its gradient is the sum of "
            f"a part from the label and a part from the auxiliary. A step changes the logit of {self.classes[top]} "
            f"most, {way}: the gradient is {terms['grad'][top]:+.3f}, of which {terms['grad_ce'][top]:+.3f} comes from "
            f"the label and {terms['grad_kd'][top]:+.3f} from the auxiliary."
        )


def loss_playground(
    main: Sequence[float] = PRESETS[1]["main"],
    aux: Sequence[float] = PRESETS[1]["aux"],
    *,
    classes: Sequence[str] = CLASSES,
    target: int = 0,
    alpha: float = 0.6,
    tau: float = 3.0,
    limit: float = LIMIT,
) -> LossPlayground:
    """Return the widget with initial settings.

    Args:
        main: K logits of the main student, each in [-limit, limit].
        aux: K logits of the auxiliary, each in [-limit, limit].
        classes: K names, K from 2 to 8.
        target: index of the true class, ``0 .. K - 1``.
        alpha: weight of the cross-entropy, in [0, 1].
        tau: temperature, in [0.5, 20].
        limit: largest logit that can be dragged to, > 0.

    Raises:
        ValueError: a value is out of range, or the lists differ in length.
    """
    check_alpha(alpha)
    check_tau(tau)
    if not TAUS[0] <= tau <= TAUS[-1]:
        raise ValueError(f"tau={tau!r} is not on the slider; choose a number in [{TAUS[0]:g}, {TAUS[-1]:g}]")
    if not 2 <= len(classes) <= 8:
        raise ValueError(f"{len(classes)} classes do not fit the picture; give 2 to 8")
    for name, logits in (("main", main), ("aux", aux)):
        if len(logits) != len(classes):
            raise ValueError(f"{name} has {len(logits)} logits for {len(classes)} classes; give one logit per class")
        far = [z for z in logits if not -limit <= z <= limit]  # also NaN
        if far:
            raise ValueError(f"{name} has the logit {far[0]!r}; choose numbers in [{-limit:g}, {limit:g}]")
    if target not in range(len(classes)):
        raise ValueError(f"target={target!r} is no class; choose a number in 0 .. {len(classes) - 1}")
    fitting = [p for p in PRESETS if len(p["main"]) == len(classes) and max(map(abs, p["main"] + p["aux"])) <= limit]
    return LossPlayground(
        title="What moves main's logits?",
        classes=list(classes),
        main_logits=[float(z) for z in main],
        aux_logits=[float(z) for z in aux],
        target=target,
        alpha=float(alpha),
        tau=float(tau),
        taus=sorted({*TAUS, float(tau)}),
        limit=float(limit),
        presets=[{"name": p["name"], "main": list(p["main"]), "aux": list(p["aux"])} for p in fitting],
    )
