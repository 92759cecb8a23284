"""The loss playground: what the page computes is what `skd_loss` and autograd compute."""

import math

import pytest
import torch
from browser import chromium, open_page, overflow, put, widget_page  # noqa: F401

from dmws_lite.classroom.widgets import loss_playground, loss_terms

NAME = "loss-playground"
ROOT = f'[data-widget="{NAME}"]'
READY = f'{ROOT} [data-bar="g"][width]'


# -- the numbers in Python --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("alpha", [0.0, 0.35, 1.0])
def test_terms_follow_the_equations_written_out(alpha: float, tau: float) -> None:
    main, aux, target = [6.0, -6.0, 0.3, 1.0], [-1.0, 2.0, 0.0, 0.5], 3
    terms = loss_terms(main, aux, target, alpha, tau)

    def softmax(logits: list[float], t: float) -> list[float]:
        powers = [math.exp(z / t) for z in logits]
        return [power / sum(powers) for power in powers]

    p, q, plain = softmax(main, tau), softmax(aux, tau), softmax(main, 1.0)
    kd = sum(b * math.log(b / a) for a, b in zip(p, q))
    pull_label = [alpha * (a - (k == target)) for k, a in enumerate(plain)]
    pull_aux = [(1 - alpha) * tau * (a - b) for a, b in zip(p, q)]
    assert terms["p_main"] == pytest.approx(p, abs=1e-6)
    assert terms["p_aux"] == pytest.approx(q, abs=1e-6)
    assert terms["p_plain"] == pytest.approx(plain, abs=1e-6)
    assert terms["ce"] == pytest.approx(-math.log(plain[target]), abs=1e-5)
    assert terms["kd"] == pytest.approx(kd, abs=1e-5)
    assert terms["loss"] == pytest.approx(
        -alpha * math.log(plain[target]) + (1 - alpha) * tau**2 * kd, rel=1e-5, abs=1e-4
    )
    assert terms["grad_ce"] == pytest.approx(pull_label, abs=1e-5)
    assert terms["grad_kd"] == pytest.approx(pull_aux, abs=1e-5)
    assert terms["grad"] == pytest.approx([a + b for a, b in zip(pull_label, pull_aux)], abs=1e-5)
    assert sum(terms["grad"]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"main": [1.0, 2.0]}, "main has 2 logits for 4 classes"),
        ({"aux": [0.0, 0.0, 0.0, 6.5]}, r"aux has the logit 6.5; choose numbers in \[-6, 6\]"),
        ({"main": [0.0, 0.0, 0.0, math.nan]}, "main has the logit nan"),
        ({"target": 4}, r"target=4 is no class; choose a number in 0 .. 3"),
        ({"alpha": 1.1}, "alpha=1.1 is out of range"),
        ({"tau": 0}, "tau=0 is out of range"),
        ({"tau": 50.0}, "tau=50.0 is not on the slider"),
        ({"classes": ["one"], "main": [0.0], "aux": [0.0]}, "1 classes do not fit the picture; give 2 to 8"),
    ],
)
def test_values_that_do_not_fit_are_named(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        loss_playground(**given)


def test_a_class_that_is_not_there_has_no_loss() -> None:
    with pytest.raises(ValueError, match="target=2 is no class"):
        loss_terms([0.0, 1.0], [0.0, 1.0], target=2)


def test_the_static_figure_says_the_same() -> None:
    widget = loss_playground(target=1, alpha=0.5, tau=4.0)
    terms = widget.terms()
    assert f"loss {terms['loss']:.3f}" in widget.alt()
    assert "True class meningioma, alpha 0.5, tau 4" in widget.alt()
    widths = [bar.get_width() for bar in widget.figure().axes[2].patches]
    assert widths == pytest.approx(terms["grad_ce"] + terms["grad_kd"])
    assert "data:image/png" in widget.fallback()


# -- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(chromium, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("loss")
    page = open_page(chromium, widget_page(folder, [loss_playground()]), width=360, wait=READY)
    yield page
    page.close()


@pytest.fixture
def page(opened):
    """The page at its first setting; a test fails if the page complained meanwhile."""
    opened.locator(f'{ROOT} [data-name="reset"]').click()
    yield opened
    assert opened.faults == []


def shown(page) -> dict[str, float]:
    """Return all numbers of the widget by name."""
    return page.evaluate(
        """root => Object.fromEntries([...document.querySelectorAll(root + " [data-number]")]
        .map(node => [node.dataset.name, Number(node.dataset.number)]))""",
        ROOT,
    )


def logits(page, who: str) -> list[float]:
    return [float(handle(page, who, k).get_attribute("aria-valuenow")) for k in range(4)]


def handle(page, who: str, k: int):
    return page.locator(f'{ROOT} [data-name="{who}-{k}"]')


def words(page) -> str:
    return page.locator(f'{ROOT} [aria-live="polite"]').inner_text()


def compare(
    page, main: list[float], aux: list[float], target: int, alpha: float, tau: float, scaled: bool = True
) -> None:
    """Check every number on the page, in the table and beside the bars, against Python at this setting."""
    terms, found = loss_terms(main, aux, target, alpha, tau, scaled), shown(page)
    factor = tau**2 if scaled else 1.0
    lists = {
        "p-main": "p_main",
        "p-aux": "p_aux",
        "p-plain": "p_plain",
        "g-ce": "grad_ce",
        "g-kd": "grad_kd",
        "g": "grad",
    }
    for key, name in lists.items():
        for prefix in ("", "drawn-"):
            assert [found[f"{prefix}{key}-{k}"] for k in range(4)] == pytest.approx(terms[name], abs=1e-5), key
    for key in ("ce", "kd"):
        assert found[key] == pytest.approx(terms[key], rel=1e-5, abs=1e-5)
        assert found[f"eq-{key}"] == found[key]
    # Python's KL is in fp32, and tau squared (up to 400) multiplies its rounding.
    assert found["loss"] == pytest.approx(terms["loss"], rel=1e-5, abs=1e-5 + 1e-7 * tau**2)
    assert found["part-ce"] + found["part-kd"] == pytest.approx(found["loss"], abs=1e-12)
    # The same in double precision leaves no room: what the page computes is the loss, not something close to it.
    z, other = (torch.tensor(values, dtype=torch.float64) for values in (main, aux))
    log_p, log_q = (torch.log_softmax(values / tau, 0) for values in (z, other))
    kd = (log_q.exp() * (log_q - log_p)).sum().item()
    ce = -torch.log_softmax(z, 0)[target].item()
    assert found["kd"] == pytest.approx(kd, rel=1e-9, abs=1e-12)
    assert found["loss"] == pytest.approx(alpha * ce + (1 - alpha) * factor * kd, rel=1e-9, abs=1e-9)
    pull = [(1 - alpha) * factor / tau * (p - q) for p, q in zip(log_p.exp().tolist(), log_q.exp().tolist())]
    assert [found[f"g-kd-{k}"] for k in range(4)] == pytest.approx(pull, abs=1e-12)
    for key in ("g-ce", "g-kd", "g"):
        assert found[f"sum-{key}"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("preset", "target", "alpha", "tau"),
    [
        ("agree", 0, "0.6", "3"),
        ("auxiliary-disagrees", 1, "1", "4"),
        ("both-unsure", 3, "0.35", "20"),
        ("main-confidently-wrong", 0, "0", "0.5"),
        ("main-confidently-wrong", 2, "0.6", "1"),
    ],
)
def test_the_numbers_are_those_of_python(page, preset: str, target: int, alpha: str, tau: str) -> None:
    button = page.locator(f'{ROOT} [data-name="preset-{preset}"]')
    button.focus()
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    put(page, NAME, "target", str(target))
    put(page, NAME, "alpha", alpha)
    put(page, NAME, "tau", tau)
    compare(page, logits(page, "main"), logits(page, "aux"), target, float(alpha), float(tau))


def test_without_tau_squared_the_auxiliary_pulls_tau_squared_times_weaker(page) -> None:
    put(page, NAME, "alpha", "0.6")
    put(page, NAME, "tau", "4")
    with_factor = shown(page)
    page.locator(f'{ROOT} [data-name="scaled"]').press("Space")
    compare(page, logits(page, "main"), logits(page, "aux"), 0, 0.6, 4.0, scaled=False)
    without = shown(page)
    for k in range(4):
        assert with_factor[f"g-kd-{k}"] == pytest.approx(16 * without[f"g-kd-{k}"], rel=1e-9)
        assert with_factor[f"g-ce-{k}"] == without[f"g-ce-{k}"]
    assert "Without tau squared the auxiliary's pull is 16 times weaker." in page.locator(ROOT).inner_text()


@pytest.mark.parametrize("tau", ["0.5", "20"])
def test_bars_at_their_ends(page, tau: str) -> None:
    for k, key in enumerate(("End", "Home", "End", "Home")):
        handle(page, "main", k).press(key)
        handle(page, "aux", k).press("Home" if k < 2 else "End")
    put(page, NAME, "tau", tau)
    put(page, NAME, "target", "1")
    assert logits(page, "main") == [6, -6, 6, -6]
    assert logits(page, "aux") == [-6, -6, 6, 6]
    compare(page, [6.0, -6.0, 6.0, -6.0], [-6.0, -6.0, 6.0, 6.0], 1, 0.6, float(tau))


def test_logits_far_beyond_what_exp_can_hold(chromium, tmp_path) -> None:  # noqa: F811
    """exp(800) overflows, so a softmax without care would show nothing."""
    main, aux = [400.0, -400.0, 100.0, 0.0], [-400.0, 400.0, 0.0, 100.0]
    widget = loss_playground(main, aux, limit=400, target=1, tau=0.5)
    page = open_page(chromium, widget_page(tmp_path, [widget]), wait=READY)
    try:
        compare(page, main, aux, 1, 0.6, 0.5)
        assert page.faults == []
    finally:
        page.close()


def test_keys_move_a_bar(page) -> None:
    knob = handle(page, "aux", 2)
    assert knob.get_attribute("role") == "slider"
    assert knob.get_attribute("aria-label") == "auxiliary, logit of no tumour"
    assert (knob.get_attribute("aria-valuemin"), knob.get_attribute("aria-valuemax")) == ("-6", "6")
    for key, value in (
        ("ArrowRight", -0.4),
        ("ArrowUp", -0.3),
        ("ArrowDown", -0.4),
        ("ArrowLeft", -0.5),
        ("PageUp", 0.5),
        ("PageDown", -0.5),
        ("End", 6.0),
        ("PageUp", 6.0),
        ("Home", -6.0),
    ):
        knob.press(key)
        assert float(knob.get_attribute("aria-valuenow")) == value, key
        assert knob.get_attribute("aria-valuetext") == f"{value:.1f}".replace("-", "−")
        assert knob.evaluate("node => node === document.activeElement"), "the handle lost the focus while it moved"
    compare(page, [4.0, 2.5, -1.0, 0.5], [2.0, 3.0, -6.0, 0.0], 0, 0.6, 3.0)


def middle(page, who: str, k: int) -> tuple[float, float]:
    handle(page, who, k).scroll_into_view_if_needed()
    box = handle(page, who, k).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pixels_per_unit(page) -> float:
    """Measured on the picture: the handles of 4.0 and -1.0 lie five units apart."""
    return (middle(page, "main", 0)[0] - middle(page, "main", 2)[0]) / 5


def test_the_mouse_drags_a_bar(page) -> None:
    unit, (x, y) = pixels_per_unit(page), middle(page, "main", 1)
    page.mouse.move(x + 3, y)  # not the very middle: the bar must not jump to the pointer
    page.mouse.down()
    assert logits(page, "main")[1] == 2.5
    page.mouse.move(x + 3 - unit, y + 40, steps=4)
    page.mouse.move(x + 3 - 2 * unit, y + 40, steps=4)
    page.mouse.up()
    assert logits(page, "main")[1] == pytest.approx(0.5, abs=0.101)
    page.mouse.move(x + 3 + unit, y)  # let go: it stays
    main = logits(page, "main")
    assert main[1] == pytest.approx(0.5, abs=0.101)
    assert middle(page, "main", 1)[0] == pytest.approx(x + (main[1] - 2.5) * unit, abs=1.5)
    compare(page, main, [2.0, 3.0, -0.5, 0.0], 0, 0.6, 3.0)
    page.mouse.move(*middle(page, "main", 1))
    page.mouse.down()
    page.mouse.move(0, y)  # far outside: the end of the scale
    page.mouse.up()
    assert logits(page, "main")[1] == -6


def test_a_finger_drags_a_bar_and_the_page_stays_where_it_is(page) -> None:
    unit, (x, y) = pixels_per_unit(page), middle(page, "aux", 0)
    scrolled = page.evaluate("window.scrollY")
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        send = lambda kind, *points: session.send(  # noqa: E731
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]}
        )
        send("touchStart", (x, y))
        for part in range(1, 9):
            send("touchMove", (x + unit * part / 4, y - 8 * part))
        send("touchEnd")
    finally:
        session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
        session.detach()
    assert logits(page, "aux")[0] == pytest.approx(4.0, abs=0.101)
    assert page.evaluate("window.scrollY") == scrolled
    touch = "node => getComputedStyle(node).touchAction"
    assert handle(page, "aux", 0).evaluate(touch) == "none"
    assert page.locator(f"{ROOT} svg").first.evaluate(touch) == "auto"  # beside the handles a finger scrolls


def test_handles_are_large_enough_for_a_finger_and_do_not_overlap(page) -> None:
    boxes = [
        page.locator(f'{ROOT} [data-name="{who}-{k}"]').bounding_box() for k in range(4) for who in ("main", "aux")
    ]
    assert all(box["width"] >= 24 and box["height"] >= 24 for box in boxes)
    assert all(a["y"] + a["height"] <= b["y"] + 0.5 for a, b in zip(boxes, boxes[1:]))


def test_bars_are_drawn_to_scale(page) -> None:
    put(page, NAME, "tau", "8")
    bars = page.evaluate(
        """root => [...document.querySelectorAll(root + " [data-bar]")].map(node => ({
            key: node.dataset.bar, x: Number(node.getAttribute("x")), width: Number(node.getAttribute("width"))}))""",
        ROOT,
    )
    found = shown(page)
    for key in ("z-main", "z-aux", "p-main", "p-aux", "p-plain", "g-ce", "g-kd", "g"):
        values = [found[f"drawn-{key}-{k}"] for k in range(4)]
        drawn = [bar for bar in bars if bar["key"] == key]
        unit = max(bar["width"] for bar in drawn) / max(map(abs, values))
        assert [bar["width"] for bar in drawn] == pytest.approx([abs(v) * unit for v in values], abs=0.03), key
        if key.startswith("g"):
            zeros = [bar["x"] + (bar["width"] if v < 0 else 0) for bar, v in zip(drawn, values)]
            assert zeros == pytest.approx([zeros[0]] * 4, abs=0.03), "a negative gradient points left of zero"


def test_the_sentence_says_what_drives_the_gradient(page) -> None:
    press = lambda name: page.locator(f'{ROOT} [data-name="{name}"]').click()  # noqa: E731
    terms = loss_terms([4.0, 2.5, -1.0, 0.5], [2.0, 3.0, -0.5, 0.0], 0)
    label, aux = (sum(map(abs, terms[name])) for name in ("grad_ce", "grad_kd"))
    assert f"The auxiliary pulls harder: {100 * aux / (label + aux):.0f}% of the two pulls." in words(page)
    assert f"glioma most, down (gradient {terms['grad'][0]:+.2f})" in words(page)
    assert "They disagree on glioma: the label wants it up, the auxiliary down." in words(page)
    put(page, NAME, "alpha", "1")
    assert words(page).startswith("Only the label pulls: alpha is 1")
    put(page, NAME, "alpha", "0")
    assert words(page).startswith("Only the auxiliary pulls: alpha is 0")
    press("reset")
    press("preset-agree")
    assert words(page).startswith("Only the label pulls: the softened predictions of both students are the same.")
    assert shown(page)["kd"] == 0
    press("preset-main-confidently-wrong")
    assert "They do not oppose" in words(page) or "They disagree on" in words(page)


def test_reset_brings_everything_back(page) -> None:
    before = shown(page)
    put(page, NAME, "tau", "10")
    put(page, NAME, "alpha", "0.1")
    put(page, NAME, "target", "3")
    handle(page, "main", 0).press("Home")
    assert shown(page) != before
    page.locator(f'{ROOT} [data-name="reset"]').click()
    assert shown(page) == before


def test_it_fits_a_phone_and_hides_the_static_figure(page) -> None:
    assert overflow(page) <= 0
    table = page.locator(f"{ROOT} .dmws-loss-wide")
    assert table.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    assert page.locator(".dmws-fallback").is_hidden()
    # The handles and the gradient that they change are on one screen of 740 pixels.
    tops = [page.locator(f"{ROOT} svg").nth(k).bounding_box() for k in (0, 1)]
    assert "gradient" in page.locator(f"{ROOT} svg").nth(1).get_attribute("aria-label").lower()
    assert tops[1]["y"] + tops[1]["height"] - tops[0]["y"] < 700


def test_two_classes_and_names_of_ones_own(chromium, tmp_path) -> None:  # noqa: F811
    widget = loss_playground([1.0, -1.0], [0.0, 2.0], classes=("covid", "other"), alpha=0.63, tau=7.0, target=1)
    page = open_page(chromium, widget_page(tmp_path, [widget], theme="dark"), wait=READY)
    try:
        found, terms = shown(page), loss_terms([1.0, -1.0], [0.0, 2.0], 1, 0.63, 7.0)
        assert found["loss"] == pytest.approx(terms["loss"], rel=1e-5)
        assert [found["g-0"], found["g-1"]] == pytest.approx(terms["grad"], abs=1e-5)
        assert page.locator(f'{ROOT} [data-name^="preset-"]').count() == 0  # those are for four classes
        assert page.faults == []
    finally:
        page.close()
