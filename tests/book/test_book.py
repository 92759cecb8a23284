"""The built book, opened from disk without a network, as a reader has it.

The book is built first where there is none, or where it is older than what it is made of.
"""

import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import ROOT, number, open_page, overflow, put
from filelock import FileLock
from vendor import AXE, FetchError, fetch

pytestmark = pytest.mark.notebooks

HTML = ROOT / "_build" / "html"
SOURCES = ("book", "data", "dmws_lite", "notebooks", "_config.yml", "_toc.yml", "scripts/build_book.py")
TOC = (ROOT / "_toc.yml").read_text(encoding="utf-8")
PAGES = ["index.html", *(f"{name}.html" for name in re.findall(r"(?:file|root): (\S+)", TOC))]
# A page without its shared scripts and styles: what a reader loads again for each page.
HEAVIEST = 2_000_000
NOTEBOOKS = "notebooks/{}.html"


def newest(paths: list[Path]) -> float:
    """Return when the youngest of some files and folders was changed."""
    files = [
        f for p in paths for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file() and "__pycache__" not in f.parts
    ]
    return max(f.stat().st_mtime for f in files)


@pytest.fixture(scope="module")
def book() -> Path:
    """The folder of the built pages."""
    made = HTML / "index.html"
    made.parents[1].mkdir(exist_ok=True)
    with FileLock(made.parents[1] / "tests.lock"):  # several workers may ask at once
        if not made.exists() or made.stat().st_mtime < newest([ROOT / name for name in SOURCES]):
            answer = subprocess.run(
                [sys.executable, ROOT / "scripts" / "build_book.py"], capture_output=True, text=True, check=False
            )
            assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-4000:]
    return HTML


@pytest.fixture
def visit(chromium, book):
    """Open pages of the book; all are closed, and none may have had a fault."""
    opened = []

    def go(name: str, **options):
        page = open_page(chromium, (book / name).as_uri(), **options)
        opened.append(page)
        return page

    yield go
    faults = {page.url.rsplit("/", 1)[-1]: page.faults for page in opened if page.faults}
    for page in opened:
        page.close()
    assert not faults


def settle(page) -> None:
    """Wait until formulas are set and widgets drawn, so that nothing moves any more."""
    page.wait_for_load_state("load")
    page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)")
    expected = page.locator(".dmws-fallback[data-stands-for]").count()
    page.wait_for_function("n => document.querySelectorAll('.dmws-widget').length >= n", arg=expected)


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone_and_a_desk_and_asks_no_one(name: str, visit) -> None:
    for width in (360, 1280):
        page = visit(name, width=width)
        settle(page)
        wide = page.evaluate(
            """() => [...document.querySelectorAll('body *')].filter(e => getComputedStyle(e).position !== 'fixed'
                 && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
        )
        assert overflow(page) <= 0, f"{name} is {overflow(page)} px wider than {width} px: {wide}"
        unnamed = page.locator("article img:not([alt]), article img[alt='']").count()
        assert unnamed == 0, f"{unnamed} pictures without a text alternative"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(name: str, theme: str, visit) -> None:
    try:
        axe = fetch(AXE)
    except FetchError as error:
        pytest.skip(str(error))
    page = visit(name, theme=theme)
    settle(page)
    page.add_script_tag(path=str(axe))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
    serious = [
        f"{v['id']}: {v['help']}: {n['target']} {n.get('any', [{}])[0].get('message', '') if n.get('any') else ''}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"][:4]
    ]
    assert not serious, "\n".join(serious)


def test_dark_mode_is_dark_where_the_reader_prefers_it(visit) -> None:
    page = visit("notebooks/04_ema_skd_training.html", theme="dark")
    settle(page)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    widget = page.locator(".dmws-widget").first.evaluate("node => getComputedStyle(node).backgroundColor")
    for colour in (back, widget):
        assert sum(map(int, re.findall(r"\d+", colour)[:3])) < 150, colour


def test_what_is_unfolded_for_printing_is_not_faint(visit) -> None:
    page = visit("book/paper_in_two_pages.html")
    settle(page)
    page.emulate_media(media="print")
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    inside = page.locator("details *")
    faint = inside.evaluate_all("all => all.filter(node => Number(getComputedStyle(node).opacity) < 1).length")
    assert inside.count() > 100 and faint == 0


@pytest.mark.parametrize("name", PAGES)
def test_page_is_light(name: str, book: Path) -> None:
    page = book / name
    text = page.read_text(encoding="utf-8")
    own = {(page.parent / src).resolve() for src in re.findall(r'<img[^>]+src="([^":]+)"', text)}
    weight = len(text.encode()) + sum(path.stat().st_size for path in own)
    assert weight < HEAVIEST, f"{name} and its pictures weigh {weight / 1e6:.1f} MB"


def test_the_lab_is_light_with_all_that_its_page_loads(chromium, served) -> None:
    page, bodies = chromium.new_page(), []
    try:
        page.on("response", lambda response: bodies.append((len(response.body()), response.url)))
        page.goto(f"{served}/book/lab.html", wait_until="networkidle")
        page.locator('[data-widget="distillation-lab"] .lab-end').first.wait_for()
        weight = sum(size for size, url in bodies if "mathjax" not in url)
        assert 500_000 < weight < 2_500_000, sorted(bodies)[-5:]
    finally:
        page.close()


@pytest.fixture
def served(book) -> Iterator[str]:
    """The address of the book on a small web server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(book))
    handler.log_message = lambda *words: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_search_finds_temperature(chromium, served) -> None:
    # From disk the search works too, but browsers refuse it the lines of text around each find.
    page = open_page(chromium, f"{served}/search.html?q=temperature", wait="#search-results li")
    try:
        page.locator("#search-results li", has_text="One student learns").first.wait_for()
        page.locator("#search-results li", has_text="Glossary").first.wait_for()
        assert page.faults == []
    finally:
        page.close()


def test_widgets_move_over_http_too(chromium, served) -> None:
    address = f"{served}/notebooks/04_ema_skd_training.html"
    page = open_page(chromium, address, wait='[data-widget="auxiliary-memory"]')
    try:
        put(page, "auxiliary-memory", "beta", "0.5")
        put(page, "auxiliary-memory", "step", "3")
        assert number(page, "auxiliary-memory", "share") == pytest.approx(0.5**3, abs=1e-12)
        assert page.faults == []
    finally:
        page.close()


def own_views(text: str) -> int:
    """Count the views of this project's widgets on a page; progress bars are widgets too, but not ours."""
    states = re.findall(r'widget-state\+json">(.*?)</script>', text, re.DOTALL)
    models = {key: model for state in states for key, model in json.loads(state)["state"].items()}
    shown = [json.loads(view)["model_id"] for view in re.findall(r'widget-view\+json">(.*?)</script>', text, re.DOTALL)]
    return sum(models[key]["model_module"] == "anywidget" for key in shown)


def test_without_javascript_a_figure_stands_in_each_widgets_place(chromium, book) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        for path in sorted((book / "notebooks").glob("*.html")):
            page.goto(path.as_uri())
            figures = page.locator(".dmws-fallback[data-stands-for]")
            views = own_views(path.read_text(encoding="utf-8"))
            assert figures.count() == views, path.name
            assert all(figures.nth(i).is_visible() for i in range(views))
    finally:
        context.close()


def test_a_book_without_widget_scripts_is_built_and_says_so(tmp_path: Path) -> None:
    from test_notebooks import new_code_cell, run, small_book

    small_book(
        tmp_path,
        "Text.",
        new_code_cell("from dmws_lite.classroom.widgets import auxiliary_memory\n\nauxiliary_memory()"),
    )
    command = [sys.executable, ROOT / "scripts" / "build_book.py", "--root", tmp_path, "--scripts", tmp_path / "none"]
    answer = run(command, tmp_path, NPM_CONFIG_REGISTRY="http://127.0.0.1:9")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    assert "Its widgets do not move" in answer.stderr and "require.js" in answer.stderr
    text = (tmp_path / "_build" / "html" / "notebooks" / "one.html").read_text(encoding="utf-8")
    assert 'data-stands-for="auxiliary-memory"' in text


def test_each_widget_is_on_one_page_once(book: Path) -> None:
    found: dict[str, list[str]] = {}
    for path in sorted(book.glob("**/*.html")):
        for state in re.findall(
            r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>', path.read_text(), re.DOTALL
        ):
            for model in json.loads(state)["state"].values():
                if name := re.search(r'frame\(el, "([a-z-]+)"', model["state"].get("_esm", "")):
                    found.setdefault(name[1], []).append(path.name)
    once = ("element-selection", "loss-playground", "auxiliary-memory", "ablation-explorer")
    assert {name: len(found.get(name, [])) for name in once} == dict.fromkeys(once, 1)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("TrainConfig", "book/api/training.html#dmws_lite.training.config.TrainConfig"),
        ("dual_students", "book/api/selection.html#dmws_lite.selection.dual.dual_students"),
        ("what is tau", "book/glossary.html#term-tau"),
        ("learning rate", "book/glossary.html#term-Learning-rate"),
        ("install", "book/how_to_use.html#install"),
        ("overfitting", "book/glossary.html#term-Overfitting"),
        ("mean teacher", "book/glossary.html#term-Mean-teacher"),
        ("data set download", "book/data_cards.html#download-a-data-set"),
    ],
)
def test_search_finds_the_right_page_first(chromium, served, query, first) -> None:
    page = open_page(chromium, f"{served}/search.html?q={quote(query)}", wait="#search-results li a")
    try:
        page.locator("#search-results .search-summary").wait_for()
        assert page.locator("#search-results li a").first.get_attribute("href") == first
    finally:
        page.close()
