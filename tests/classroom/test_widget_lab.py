"""The distillation lab's page: it plays, every control has an effect, and what it shows is what its engine computes."""

import json
from pathlib import Path

import pytest
from browser import number, open_page, overflow, put, widget_page
from lab_browser import Engine
from make_lab_picture import curves, regions
from vendor import AXE, FetchError, fetch

from dmws_lite.classroom.lab_presets import lab_assets
from dmws_lite.classroom.widgets.lab import (
    ENGINE_METHODS,
    distillation_lab,
    lab_alt,
    lab_figure,
    lab_html,
    lab_stories,
    method_looks,
    picture_record,
)
from dmws_lite.experiments.methods import METHODS
from dmws_lite.figures.style import method_style

NAME = "distillation-lab"
BOX = f'[data-widget="{NAME}"]'
READY = f"{BOX} .lab-end:visible"  # which chart is shown depends on the story
SHORT = "steps:60,labels:4"
PHONE = {"width": 360, "height": 740}
HEADER = 56  # of the book's theme on a telephone

END = """
const run = new lab.Lab(given.settings, given.assets);
run.step(given.steps);
const found = { share: run.share, distance: run.pairs[3].distance() };
for (const method of lab.METHODS) found[method] = run.accuracy(method, "main");
for (const method of ["same", "dual"]) found[`${method}-auxiliary`] = run.accuracy(method, "auxiliary");
return found;
"""


def page_file(folder: Path, theme: str = "light", stories: list | None = None) -> str:
    """Write a page with the lab as the book has it, and return its address."""
    back = "#fff" if theme == "light" else "#121212"
    target = folder / "lab.html"
    target.write_text(
        f'<!DOCTYPE html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Lab</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        f'<body style="margin:0 6px;background:{back}"><main><h1 style="color:#777">Lab</h1>'
        f"{lab_html(stories=stories)}</main></body></html>",
        encoding="utf-8",
    )
    return target.as_uri()


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    return page_file(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def visit(chromium, address):
    """Open the lab at a setting; at the end no page may have had a fault."""
    opened = []

    def go(link: str = "", **options):
        page = open_page(chromium, f"{address}#lab={link}" if link else address, wait=READY, **options)
        opened.append(page)
        return page

    yield go
    faults = [page.faults for page in opened if page.faults]
    for page in opened:
        page.close()
    assert not faults


@pytest.fixture(scope="module")
def engine(chromium) -> Engine:
    return Engine(chromium)


def control(page, name: str):
    return page.locator(f'{BOX} [data-name="{name}"]').first


def words(page, name: str = "told") -> str:
    return control(page, name).inner_text()


def step(page) -> int:
    return int(control(page, "count").inner_text().split(" / ")[0])


def wait_for_step(page, least: int) -> None:
    page.wait_for_function(
        "([at, least]) => parseInt(document.querySelector(at).textContent) >= least",
        arg=[f"{BOX} [data-name=count]", least],
    )


def settle(page) -> None:
    """Wait until all is drawn that a click asked for: the lab draws before the screen's next pictures."""
    page.evaluate(
        "new Promise((go) => { let n = 6; const next = () => (n-- ? requestAnimationFrame(next) : go()); next(); })"
    )


def run_to_the_end(page) -> None:
    control(page, "speed").select_option("0")
    control(page, "play").click()
    page.wait_for_selector(f'{BOX} [data-name="play"][aria-label="Play again"]')
    settle(page)


def last(page, curve: str) -> float:
    return float(page.locator(f'{BOX} [data-curve="{curve}"]').first.get_attribute("data-last"))


def scrub_to(page, at: int) -> None:
    control(page, "scrub").evaluate(
        """(node, at) => {
          node.value = at;
          for (const kind of ["input", "change"]) node.dispatchEvent(new Event(kind));
        }""",
        at,
    )
    page.wait_for_timeout(200)


# -- Python -----------------------------------------------------------------------------------------------------------


def test_methods_are_those_of_the_registry() -> None:
    for key, look in method_looks().items():
        method = METHODS[ENGINE_METHODS[key]]
        assert (look["colour"], look["marker"]) == method_style(method.name)[1:]
        assert (look["short"], look["auxiliary"], look["selects"]) == (method.short, method.auxiliary, method.selects)


def test_the_page_holds_all_and_is_light() -> None:
    text = lab_html()
    assert len(text.encode()) < 450_000
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    assert text.count("<script") == text.count("</script>") == 2


def test_the_picture_shows_the_record() -> None:
    runs = picture_record()["curves"]["main"]
    lines = lab_figure().axes[3].lines
    for line, (key, each) in zip(lines, runs.items()):
        assert line.get_ydata()[-1] == pytest.approx(sum(run[-1] for run in each) / len(each))
        assert line.get_color() == method_looks()[key]["colour"]
        assert f"{line.get_ydata()[-1]:.3f}" in lab_alt()


def test_the_record_is_what_the_engine_gives(engine) -> None:
    record = picture_record()
    fresh = regions(engine, {})
    assert {name: record[name] for name in fresh} == fresh, "run scripts/make_lab_picture.py again"
    again = curves(engine, {}, range(2))
    assert again["steps"] == record["curves"]["steps"]
    assert {k: v[:2] for k, v in record["curves"]["main"].items()} == again["main"]


# -- the run -----------------------------------------------------------------------------------------------------------


def test_it_plays_pauses_and_shows_what_the_engine_computes(visit, engine) -> None:
    page = visit()
    assert step(page) == 0 and control(page, "play").get_attribute("aria-label") == "Play"
    assert page.locator(".dmws-fallback").is_hidden()
    control(page, "play").click()
    wait_for_step(page, 40)
    control(page, "play").click()
    at = step(page)
    settle(page)
    assert step(page) == at
    expected = engine.run(END, {"settings": {}, "steps": at, "assets": lab_assets()})
    for key in ENGINE_METHODS:
        assert number(page, NAME, f"now-{key}") == expected[key]
    assert number(page, NAME, "auxiliary-value") == expected["dual-auxiliary"]
    assert f"Step {at} of 600" in words(page) and f"ours {expected['dual']:.3f}" in words(page)
    control(page, "step").click()
    assert step(page) == at + 1
    control(page, "start").click()
    assert step(page) == 0


def test_a_change_on_the_way_counts_from_there(visit) -> None:
    page = visit(SHORT)
    for _ in range(5):
        control(page, "step").click()
    put(page, NAME, "beta", "1")
    assert "never changes" in words(page)
    run_to_the_end(page)
    assert last(page, "share") == pytest.approx(0.9**5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", "0.2"),
        ("beta", "0.999"),
        ("tau", "20"),
        ("tauSquared", False),
        ("rate", "0.05"),
        ("task", "plane/rings"),
        ("rule", "random_inconsistent"),
        ("labels", "15"),
        ("noise", "40%"),
        ("seed", "7"),
        ("steps", "100"),
        ("optimizer", "sgd"),
        ("schedule", "constant"),
        ("batch", "2"),
    ],
)
def test_every_control_changes_what_main_learns(visit, name: str, value: str | bool) -> None:
    page = visit(SHORT)
    run_to_the_end(page)
    before = last(page, "distance-dual")
    control(page, "start").click()
    if name in ("optimizer", "schedule", "batch"):
        page.locator(f"{BOX} details summary").click()
    if isinstance(value, bool):
        control(page, name).set_checked(value)
    else:
        put(page, NAME, name, value)
    run_to_the_end(page)
    assert last(page, "distance-dual") != before
    assert name in page.evaluate("location.hash")


def test_the_past_comes_back_with_its_settings_and_has_another_future(visit) -> None:
    page = visit(SHORT)
    for _ in range(10):
        control(page, "step").click()
    settle(page)
    at_ten = number(page, NAME, "now-dual")
    put(page, NAME, "alpha", "0.1")
    run_to_the_end(page)
    first_end = last(page, "distance-dual")
    scrub_to(page, 10)
    assert step(page) == 10 and number(page, NAME, "now-dual") == at_ten
    scrub_to(page, 5)
    assert words(page, "alpha-shown") == "0.6", "the setting of that time"
    scrub_to(page, 60)
    assert step(page) == 60 and words(page, "alpha-shown") == "0.1"
    scrub_to(page, 5)
    run_to_the_end(page)
    assert last(page, "distance-dual") != first_end


def test_methods_without_an_auxiliary_say_so(visit) -> None:
    page = visit("show:random,steps:60")
    assert page.locator(f"{BOX} .lab-none").is_visible() and words(page, "auxiliary-value") == "–"
    assert "has no auxiliary" in control(page, "auxiliary").get_attribute("aria-label")
    control(page, "show-same").check(force=True)
    assert not page.locator(f"{BOX} .lab-none").is_visible() and "show:same" in page.evaluate("location.hash")


def test_pictures_change_while_it_learns_and_the_teacher_does_not(visit) -> None:
    page = visit(SHORT)
    page.wait_for_timeout(300)
    pixels = "name => document.querySelector(`[data-name=${name}]`).toDataURL()"
    before = {role: page.evaluate(pixels, role) for role in ("teacher", "main", "auxiliary")}
    run_to_the_end(page)
    page.wait_for_timeout(300)
    changed = {role: page.evaluate(pixels, role) != picture for role, picture in before.items()}
    assert changed == {"teacher": False, "main": True, "auxiliary": True}


@pytest.mark.parametrize("task", ["rings", "moons", "islands", "mri"])
def test_every_task_plays(visit, task: str) -> None:
    page = visit(f"task:{task},steps:40")
    run_to_the_end(page)
    assert 0 < number(page, NAME, "now-dual") <= 1
    assert page.locator(f"{BOX} .lab-legend .dmws-key").count() == (4 if task == "mri" else 3)


# -- links ------------------------------------------------------------------------------------------------------------


def test_a_link_opens_its_setting_and_a_move_is_written_back(visit) -> None:
    page = visit("alpha:0.37,tau:20,tauSquared:false,task:mri,show:single")
    assert words(page, "alpha-shown") == "0.37" and words(page, "tau-shown") == "20"
    assert not control(page, "tauSquared").is_checked() and control(page, "task").input_value() == "phantoms/mri"
    assert control(page, "show-single").is_checked()
    put(page, NAME, "beta", "0.5")
    page.wait_for_timeout(400)
    link = page.evaluate("location.hash")
    for part in ("alpha:0.37", "beta:0.5", "world:phantoms", "task:mri", "show:single"):
        assert part in link
    again = visit(link.removeprefix("#lab="))
    assert words(again, "beta-shown") == "0.5" and words(again, "alpha-shown") == "0.37"
    again.evaluate("location.hash = '#lab=beta:1'")
    again.wait_for_function(f"""document.querySelector('{BOX} [data-name=beta-shown]').textContent === '1'""")
    assert words(again, "alpha-shown") == "0.6"


def test_without_a_move_the_address_stays_clean(visit) -> None:
    page = visit()
    control(page, "step").click()
    assert page.evaluate("location.hash") == ""


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("alpha:7", "asks for α 7; choose a number from 0 to 1."),
        ("tau:0.1", "asks for τ 0.1; choose a number from 0.5 to 20."),
        ("tau:abc", "asks for τ abc; choose a number"),
        ("rate:", "asks for learning rate nothing"),
        ("labels:2.5", "choose a whole number from 1 to 50"),
        ("rule:best", "asks for rule best; choose one of uniform"),
        ("task:cats", "asks for task cats"),
        ("world:phantoms,task:rings", "asks for the task rings in the world phantoms"),
        ("colour:red", "has “colour”, which the lab does not know"),
        ("%E0%A4%A", "cannot be read"),
        ("__proto__:1", "has “__proto__”"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(visit, link: str, message: str) -> None:
    page = visit(f"{link},steps:60" if "%" not in link else link)
    problem = words(page, "problem")
    assert message in problem and control(page, "problem").get_attribute("role") == "alert"
    assert words(page, "alpha-shown") == "0.6"
    if "%" not in link:
        assert words(page, "steps-shown") == "60"
    control(page, "step").click()
    assert step(page) == 1


def test_the_link_can_be_copied(visit) -> None:
    page = visit("alpha:0.2")
    control(page, "link").click()
    page.wait_for_function(f"""/[Cc]op/.test(document.querySelector('{BOX} [data-name=told]').textContent)""")
    field = page.locator(f"{BOX} .lab-link")
    assert not field.is_visible() or field.input_value().endswith("#lab=alpha:0.2")


# -- stories -----------------------------------------------------------------------------------------------------------

STORIES = [
    {
        "key": key,
        "title": f"A story of {key}",
        "look": "Look at the auxiliary.",
        "question": "Which curve ends highest?",
        "choices": ["CM2", "CM1", "ours"],
        "answer": 2,
        "after": "Ours, by a little.",
        "settings": {"steps": 40, "labels": 3, "beta": beta},
        "show": "same",
        "stops": [10] if key == "two" else [],
        "seeds": {"seeds": [0, 1, 2], **{method: {"main": [0.5, 0.6, 0.7 + beta]} for method in ENGINE_METHODS}},
    }
    for key, beta in (("one", 0.5), ("two", 1.0))
]


def test_a_story_asks_first_and_shows_then(chromium, tmp_path) -> None:
    address = page_file(tmp_path, stories=STORIES)
    page = open_page(chromium, address, wait=READY)
    try:
        control(page, "speed").select_option("0")
        control(page, "story-one").click()
        settle(page)
        assert step(page) == 0 and words(page, "beta-shown") == "0.5" and control(page, "show-same").is_checked()
        assert page.evaluate("location.hash") == "#lab=preset:one,show:same"
        story = page.locator(f"{BOX} .lab-story")
        assert "Look at the auxiliary." in story.inner_text() and "Ours, by a little." not in story.inner_text()
        control(page, "answer-1").click()
        page.wait_for_selector(f'{BOX} [data-name="story-answer"]')
        assert words(page, "story-answer") == "Not as you predicted. The answer is “ours”. Ours, by a little."
        assert control(page, "answer-1").is_disabled() and "✓" in words(page, "answer-2")
        assert step(page) == 40 and "3 seeds" in words(page, "verdict")
        control(page, "story-next").click()
        settle(page)
        assert step(page) == 0 and words(page, "beta-shown") == "1"
        control(page, "answer-2").click()
        page.wait_for_selector(f'{BOX} [data-name="play"][aria-label="Play"]')
        settle(page)
        assert step(page) == 10 and "Step 10: the moment" in words(page, "story-now")
        control(page, "play").click()
        page.wait_for_selector(f'{BOX} [data-name="story-answer"]')
        assert words(page, "story-answer").startswith("As you predicted: “ours”.")
        control(page, "story-back").click()
        assert control(page, "story-one").is_visible()
        assert page.faults == []
    finally:
        page.close()
    page = open_page(chromium, f"{address}#lab=preset:one,alpha:0.2", wait=READY)
    try:
        assert page.locator(f"{BOX} .lab-question").is_visible()
        assert words(page, "beta-shown") == "0.5" and words(page, "alpha-shown") == "0.2"
        assert page.faults == []
    finally:
        page.close()


@pytest.mark.parametrize("story", lab_stories(), ids=lambda story: story["key"])
def test_each_story_of_the_book_runs_and_fits_a_telephone(visit, story: dict) -> None:
    assert len(story["choices"]) == 3 and story["answer"] in range(3)
    page = visit(f"preset:{story['key']}", **PHONE)
    control(page, "speed").select_option("0")
    room = PHONE["height"] - HEADER
    settle(page)
    assert page.locator(BOX).bounding_box()["height"] <= room, "the question"
    control(page, f"answer-{(story['answer'] + 1) % 3}").click()
    for _ in story["stops"]:
        page.wait_for_selector(f'{BOX} [data-name="play"][aria-label="Play"]')
        control(page, "play").click()
    page.wait_for_selector(f'{BOX} [data-name="story-answer"]')
    settle(page)
    assert words(page, "story-answer").endswith(
        f"The answer is “{story['choices'][story['answer']]}”. {story['after']}"
    )
    assert page.locator(BOX).bounding_box()["height"] <= room, "the answer"
    control(page, "story-seeds").click()
    mean = sum(story["seeds"]["dual"]["main"]) / len(story["seeds"]["dual"]["main"])
    shown = page.locator(f'{BOX} [data-seeds="dual"]').get_attribute("data-mean")
    assert float(shown) == pytest.approx(mean)
    assert overflow(page) <= 0


# -- seeds ------------------------------------------------------------------------------------------------------------


def test_thirty_seeds_are_the_engines(visit, engine) -> None:
    settings = {"steps": 30, "labels": 4, "noise": 0.2}
    page = visit("steps:30,labels:4,noise:0.2")
    control(page, "run-seeds").click()
    page.wait_for_function(f"""/^30 seeds/.test(document.querySelector('{BOX} [data-name=verdict]').textContent)""")
    body = """
    const found = lab.runSeeds(given.settings, given.assets, Array.from({ length: 30 }, (_, i) => i));
    const pairs = [["single", "random"], ["dual", "single"], ["same", "single"], ["dual", "same"]];
    return pairs.map(([a, b]) => ({ name: `${a}-${b}`, ...lab.paired(found[a].main, found[b].main) }));
    """
    clear = []
    for pair in engine.run(body, {"settings": settings, "assets": lab_assets()}):
        mark = page.locator(f'{BOX} [data-pair="{pair["name"]}"]')
        for what in ("mean", "low", "high"):
            assert float(mark.get_attribute(f"data-{what}")) == pytest.approx(pair[what], abs=1e-12)
        if pair["low"] > 0 or pair["high"] < 0:
            clear.append(pair["name"])
    assert page.locator(f"{BOX} .lab-middle.lab-clear").count() == len(clear)
    assert ("These exceed their intervals" in words(page, "verdict")) == bool(clear)
    put(page, NAME, "alpha", "0.1")
    assert words(page, "verdict").startswith("For the settings before your last change.")


def test_seeds_can_be_stopped_and_run_without_workers(chromium, address) -> None:
    page = open_page(chromium, "about:blank")
    try:
        page.add_init_script("window.Worker = function () { throw new Error('no workers here'); };")
        page.goto(f"{address}#lab=steps:20,labels:2")
        page.wait_for_selector(READY)
        control(page, "run-seeds").click()
        page.wait_for_selector(f'{BOX} [data-seeds="dual"]')
        control(page, "run-seeds").click()
        assert control(page, "run-seeds").inner_text() == "Run 30 seeds"
        n = int(page.locator(f'{BOX} [data-seeds="dual"]').get_attribute("data-n"))
        page.wait_for_timeout(300)
        assert int(page.locator(f'{BOX} [data-seeds="dual"]').get_attribute("data-n")) == n < 30
        assert page.faults == []
    finally:
        page.close()


# -- readers ----------------------------------------------------------------------------------------------------------


def test_all_of_it_by_keyboard(visit) -> None:
    page = visit(SHORT)
    control(page, "start").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.name") == "play"
    page.keyboard.press("Enter")
    wait_for_step(page, 2)
    page.keyboard.press("Space")
    at = step(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert step(page) == at + 1
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    assert step(page) == at
    control(page, "show-dual").focus()
    page.keyboard.press("ArrowLeft")
    assert control(page, "show-same").is_checked()
    control(page, "full").focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.dataset.name") == "full"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(chromium, tmp_path, theme: str) -> None:
    try:
        axe = fetch(AXE)
    except FetchError as error:
        pytest.skip(str(error))
    page = open_page(chromium, page_file(tmp_path, theme) + "#lab=steps:30,alpha:7", theme=theme, wait=READY)
    try:
        page.add_script_tag(path=str(axe))
        for name in (None, "run-seeds", "full"):
            if name:
                control(page, name).click()
                page.wait_for_timeout(1500)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
            assert not [(v["id"], v["nodes"][0]["target"], v["help"]) for v in found]
    finally:
        page.close()


def fits_a_telephone(page, what: str) -> None:
    """Wait until the lab has drawn what was asked for: no part of it may then lie below the screen."""
    page.wait_for_timeout(150)
    height = PHONE["height"] - HEADER
    for _ in range(20):
        if page.locator(BOX).bounding_box()["height"] <= height:
            return
        page.wait_for_timeout(250)
    assert page.locator(BOX).bounding_box()["height"] <= height, what


@pytest.mark.parametrize("task", ["spirals", "mri"])
def test_a_telephone_shows_controls_and_effect_at_once(visit, task: str) -> None:
    page = visit(f"task:{task},steps:60,noise:0.2", **PHONE)
    run_to_the_end(page)
    for tab in ("teach", "task", "stories", "seeds"):
        control(page, f"tab-{tab}").click()
        fits_a_telephone(page, tab)
        assert overflow(page) <= 0
    for view in ("inside", "curves"):
        control(page, f"view-{view}").click()
        fits_a_telephone(page, view)
    wide = page.evaluate(
        f"""[...document.querySelectorAll('{BOX} *')].filter((n) => n.getBoundingClientRect().right > innerWidth + 1)
        .map((n) => n.outerHTML.slice(0, 100))"""
    )
    assert not wide


def test_little_motion_is_little(visit) -> None:
    page = visit("steps:400")
    page.emulate_media(reduced_motion="reduce")
    count = f"""() => {{ window.drawn = 0; new MutationObserver(() => window.drawn++).observe(
        document.querySelector('{BOX} .lab-views'), {{ childList: true, subtree: true }}); }}"""
    page.evaluate(count)
    control(page, "play").click()
    wait_for_step(page, 100)
    control(page, "play").click()
    assert page.evaluate("window.drawn") < 20


def test_without_javascript_the_picture_stands_there(chromium, address) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        page.goto(address)
        figure = page.locator(".dmws-fallback img")
        assert figure.is_visible() and figure.get_attribute("alt") == lab_alt()
        assert page.locator(BOX).count() == 0
    finally:
        context.close()


def test_it_is_a_widget_in_a_notebook_too(chromium, tmp_path) -> None:
    widget = distillation_lab({"steps": 60})
    page = open_page(chromium, widget_page(tmp_path, [widget]) + "#lab=alpha:0.1", wait=READY)
    try:
        assert words(page, "alpha-shown") == "0.6", "a notebook's address is not the lab's"
        run_to_the_end(page)
        assert step(page) == 60 and page.faults == []
    finally:
        page.close()


def test_json_holds_the_state() -> None:
    json.dumps(distillation_lab({"alpha": 0.2}).get_state(["assets", "presets", "methods", "settings"]))
