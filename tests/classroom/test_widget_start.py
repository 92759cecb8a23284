"""The six widgets of chapter 0: what the page shows is what Python computes, and every slider moves a picture."""

from pathlib import Path

import chapter_zero
import numpy as np
import pytest
from browser import number, open_page, overflow, put
from stamp_times import read_times
from vendor import AXE, FetchError, fetch

from dmws_lite.classroom import widgets
from dmws_lite.classroom.small_models import fit_classes, softmax
from dmws_lite.classroom.widgets.start import LEFT_OUT, feature_rows, shipped

ROOT = Path(__file__).resolve().parents[2]
MAKERS = (
    widgets.few_labels,
    widgets.soft_targets,
    widgets.label_smoothing,
    widgets.weight_average,
    widgets.pretrained_channels,
    widgets.complementary_halves,
)
# Of each widget: its slider, two of its values, a picture that follows, and the number that it shows.
SLIDERS = {
    "start-labels": ("count", ("5", "50"), '[data-mark="now"]', "mean-test", lambda w, v: w.means(int(v))[1]),
    "start-soft": ("tau", ("4", "0.5"), ".dmws-start-bar", "soft", lambda w, v: w.soft(float(v))),
    "start-smoothing": ("epsilon", ("0.6", "0"), ".dmws-start-bar", "smooth", lambda w, v: w.smooth(float(v))),
    "start-average": ("beta", ("0.98", "0"), '[data-curve="average"]', "loss", lambda w, v: w.excess(float(v))),
    "start-channels": ("count", ("2", "40"), '[data-mark="now"]', "pretrained",
                       lambda w, v: w.accuracy("pretrained", int(v))),
    "start-halves": ("step", ("7", "30"), '[data-mark="auxiliary"]', "auxiliary",
                     lambda w, v: w.accuracies(int(v))["auxiliary"]),
}  # fmt: skip
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def six() -> dict[str, object]:
    return {widget.part: widget for widget in (make() for make in MAKERS)}


def page_file(folder: Path, parts: list, theme: str = "light") -> str:
    """Write a page with widgets as the book has them, and the concept map, and return its address."""
    target, back = folder / "start.html", "#fff" if theme == "light" else "#121212"
    target.write_text(
        f'<!DOCTYPE html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Chapter 0</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        f'<body style="margin:0 8px;background:{back}"><main><h1 style="color:#777">Chapter 0</h1>'
        f"{''.join(part.html() for part in parts)}</main></body></html>",
        encoding="utf-8",
    )
    return target.as_uri()


@pytest.fixture(scope="module")
def address(six, tmp_path_factory) -> str:
    return page_file(tmp_path_factory.mktemp("start"), list(six.values()))


@pytest.fixture
def page(chromium, address):
    """The page on a telephone; at the end it may have had no fault: no error and no request to another host."""
    opened = open_page(chromium, address, wait=".dmws-start-question", **PHONE)
    yield opened
    faults = opened.faults
    opened.close()
    assert not faults


def inside(page, part: str, selector: str):
    return page.locator(f'[data-widget="{part}"] {selector}')


def wait_for_number(page, part: str, name: str) -> None:
    page.wait_for_function(
        "at => Number.isFinite(Number(document.querySelector(at).dataset.number))",
        arg=f'[data-widget="{part}"] [data-name="{name}"]',
    )


def test_each_asks_before_it_shows(six) -> None:
    for part, widget in six.items():
        asked = widget.question
        assert asked["text"].endswith("?") and len(set(asked["options"])) == 3 and asked["right"] in range(3), part
        assert widget.answer == -1
    assert len({widget.question["right"] for widget in six.values()}) == 3, "the right answer is not always the same"


def test_right_answers_are_what_the_models_say(six) -> None:
    labels, soft, smooth, average, channels, halves = six.values()
    assert 0.7 <= labels.means(labels.count)[1] <= 0.8, "about three quarters"
    assert 0.02 < soft.soft(4.0) - soft.hard() < 0.1, "better by a few points"
    assert smooth.hard() < smooth.smooth(smooth.epsilon) < smooth.soft(smooth.tau), "less than the teacher"
    assert max(smooth.smooth(epsilon) for epsilon in smooth.epsilons) < smooth.soft(smooth.tau)
    losses = {beta: average.excess(beta) for beta in average.betas}
    assert f"β = {min(losses, key=losses.get):g}" == average.question["options"][1]
    assert (
        channels.accuracy("pretrained", 10) >= channels.accuracy("untrained", 40) > channels.accuracy("pretrained", 5)
    )
    first, middle = halves.accuracies(0), halves.accuracies(7)
    assert middle["auxiliary"] < min(first["main"], first["auxiliary"]) - 0.03, "worse than both"
    assert first["opinions"] > max(first["main"], first["auxiliary"]) + 0.1
    for widget in six.values():
        assert not {"nan", "None", "{"} & set(widget.question["explanation"].split())


def test_gains_of_students_are_no_luck_of_the_draw(six) -> None:
    widget = six["start-soft"]
    gains = np.subtract(widget.accuracies(lambda _, z: softmax(z, 4.0)), widget.accuracies(lambda labels, _: labels))
    half = 2.13 * gains.std(ddof=1) / len(gains) ** 0.5  # 95%, 15 degrees of freedom
    assert len(gains) == 16 and gains.mean() - half > 0


def test_shipped_images_are_what_the_page_says() -> None:
    data = shipped("phantoms")
    labels, n_pool = np.array(data["students"]["labels"]), data["students"]["n_pool"]
    assert np.bincount(labels[:n_pool]).tolist() == [100] * 4 and np.bincount(labels[n_pool:]).tolist() == [200] * 4
    assert data["teacher"]["accuracy"] > 0.5
    rows = feature_rows(data["students"]["thumbnails"], len(labels), data["levels"])
    assert rows.shape == (len(labels), 65) and (rows[:, -1] == 1).all()
    assert np.abs(rows[:n_pool, :-1].mean(0)).max() < 0.02, "each pixel is centred on the pool"
    weights = fit_classes(rows[:n_pool], np.eye(4)[labels[:n_pool]])
    assert 0.3 < float(np.mean((rows[n_pool:] @ weights).argmax(1) == labels[n_pool:])) < 0.7


@pytest.mark.parametrize("part", SLIDERS)
def test_answered_by_keyboard_then_moved(six, page, part: str) -> None:
    widget, (name, values, picture, shown, compute) = six[part], SLIDERS[part]
    slider = inside(page, part, f'[data-name="{name}"]')
    assert slider.is_disabled()
    later = inside(page, part, ".dmws-start-later")
    assert not any(each.is_visible() for each in later.all())
    right = widget.question["right"]
    inside(page, part, f'[data-name="option-{right}"]').focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    said = inside(page, part, '[data-name="said"]').inner_text()
    assert said == f"Yes. {widget.question['explanation']}"
    assert slider.evaluate("node => node === document.activeElement"), "the slider comes next"
    assert all(each.is_visible() for each in later.all())
    drawn = []
    for value in values:
        put(page, part, name, value)
        wait_for_number(page, part, shown)
        assert number(page, part, shown) == pytest.approx(compute(widget, value), abs=1e-9)
        drawn.append(inside(page, part, picture).first.evaluate("node => node.outerHTML"))
        assert value in inside(page, part, '[data-name="words"]').inner_text()
    assert drawn[0] != drawn[1]
    assert overflow(page) <= 0


def test_a_wrong_answer_and_none_are_told_the_right_one(page) -> None:
    part = "start-labels"
    inside(page, part, '[data-name="answer"]').click()
    assert "Choose an answer first" in inside(page, part, '[data-name="said"]').inner_text()
    assert inside(page, part, '[data-name="count"]').is_disabled()
    inside(page, part, '[data-name="option-0"]').check()
    inside(page, part, '[data-name="answer"]').click()
    assert inside(page, part, '[data-name="said"]').inner_text().startswith("Not quite.")
    state = ".dmws-start-option[data-state="
    assert inside(page, part, f'{state}"wrong"]').inner_text().split() == ["✗", "Nearly", "all"]
    assert inside(page, part, f'{state}"right"]').inner_text().split("\n")[-1].strip() == "About three quarters"
    part = "start-halves"
    inside(page, part, '[data-name="show"]').click()
    assert inside(page, part, f'{state}"wrong"]').count() == 0
    assert "Worse than both" in inside(page, part, f'{state}"right"]').inner_text()


def test_the_slider_stays_in_sight_on_a_telephone(page) -> None:
    part = "start-average"
    inside(page, part, '[data-name="show"]').click()
    chart = inside(page, part, '[data-curve="loss"]')
    chart.scroll_into_view_if_needed()
    box = inside(page, part, '[data-name="beta"]').bounding_box()
    assert 0 <= box["y"] < chart.bounding_box()["y"] < PHONE["height"]


def test_pictures_stand_in_where_no_script_runs(six, chromium, address) -> None:
    context = chromium.new_context(java_script_enabled=False, viewport=PHONE)
    try:
        still = context.new_page()
        still.goto(address)
        assert still.locator(".dmws-fallback").count() == 6
        for image, widget in zip(still.locator(".dmws-fallback img").all(), six.values()):
            assert image.is_visible() and image.get_attribute("alt") == widget.alt()
        assert still.locator(".dmws-widget").count() == 0
    finally:
        context.close()


def test_pictures_are_hidden_where_it_runs(page) -> None:
    assert not any(each.is_visible() for each in page.locator(".dmws-fallback").all())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(six, chromium, tmp_path, theme: str) -> None:
    try:
        axe = fetch(AXE)
    except FetchError as error:
        pytest.skip(str(error))
    parts = [six["start-labels"], six["start-smoothing"], six["start-halves"]]
    opened = open_page(chromium, page_file(tmp_path, parts, theme), theme=theme, wait=".dmws-start-question")
    try:
        opened.add_script_tag(path=str(axe))
        for answered in (False, True):
            if answered:
                for part in parts:
                    inside(opened, part.part, '[data-name="show"]').click()
                wait_for_number(opened, "start-smoothing", "smooth")
            found = opened.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
            assert not [(v["id"], v["nodes"][0]["target"], v["help"]) for v in found]
    finally:
        opened.close()


def test_state_of_a_page_is_what_its_script_reads(six) -> None:
    script = (ROOT / "dmws_lite/classroom/widgets/static/start.js").read_text(encoding="utf-8")
    for part, widget in six.items():
        kept = set(widget.get_state()) - set(LEFT_OUT)
        unread = {name for name in kept if f'"{name}"' not in script and not name.startswith("_")}
        assert not unread, f"{part}: {unread}"


# -- the page around them ---------------------------------------------------------------------------------------------


def test_the_map_is_sentences_between_boxes_that_lead_somewhere() -> None:
    page = (ROOT / "book" / "start.md").read_text(encoding="utf-8")
    headings = {line[3:].lower().replace(" ", "-") for line in page.splitlines() if line.startswith("## ")}
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    for lines, target, *_ in chapter_zero.BOXES.values():
        place, _, anchor = target.partition("#")
        if place:
            assert f"\n{anchor.removeprefix('term-').replace('-', ' ')}\n" in f"\n{glossary}", lines
        else:
            assert anchor in headings, lines
    arrows = [(first, second) for first, second, *_ in chapter_zero.ARROWS]
    assert {name for arrow in arrows for name in arrow} == set(chapter_zero.BOXES)
    drawn = chapter_zero.concept_map().data
    assert "Few labels lead to Overfitting; Overfitting is reduced by Pretrained channels" in drawn
    assert drawn.count("<a href=") == len(chapter_zero.BOXES)


def test_hours_are_those_of_the_notebooks() -> None:
    rows, seconds = chapter_zero.chapters(), read_times(ROOT)
    assert len(rows) == len(seconds) == 7
    assert [seconds_shown for _, _, seconds_shown, _ in rows] == list(seconds.values())
    assert chapter_zero.reading_hours() == pytest.approx(sum(minutes for _, minutes, *_ in rows) / 60)
    assert len(chapter_zero.hours_table().rows) == 7


def test_counts_are_those_of_the_records() -> None:
    differences = chapter_zero.our_differences(("cm1", "cm2"))
    counts = chapter_zero.verdicts(differences)
    assert sum(counts.values()) == len(differences) > 0
    assert counts["higher"] == sum(each.summary.low > 0 for each in differences)
    assert counts["lower"] == sum(each.summary.high < 0 for each in differences)
