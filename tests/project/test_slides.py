"""The slides: the plan fits the guide and the notebooks; every slide is whole, large enough, and fetches nothing."""

import base64
import copy
import io
import os
import socket
from pathlib import Path

import make_slides
import nbformat
import pytest
import vendor
from browser import open_page
from make_slides import PLAN, SlidesError, check_plan, decks, read_plan
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from pypdf import PdfReader
from teaching import GUIDE, Notebooks, plain_roles, read_guide, to_html

ROOT = Path(__file__).resolve().parents[2]
SMALL_GUIDE = """\
## Session 1 · A matrix

**Goals.** Students can
read $\\beta^n$.

| Minutes | What | How |
| ---: | --- | --- |
| 0–10 | Open {doc}`../notebooks/01_small` | alone |
| 10–20 | The *formula* | vote |

**Ask.**

```{dropdown} Why half?
Because $2 > 1$, see {doc}`other_page`.
```

**Homework.** Exercise 2.
"""
SMALL_PLAN = """\
sessions:
  - cut: "10–20"
    slides:
      - {row: "0–10", title: "A *picture*", points: ["Look: $a<b$"], show: [01#fig-small, 01#fig-small code]}
      - {row: "10–20", title: Formula, show: [01#text math, 01#text list]}
      - {row: "10–20", ask: Why}
      - {row: "10–20", title: Table, show: [01#table, book/figures/drawing.svg]}
"""


def png() -> str:
    stream = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(stream, "png")
    return base64.b64encode(stream.getvalue()).decode()


def small_notebook(executed: bool) -> nbformat.NotebookNode:
    alternative = {"mystnb": {"figure": {"name": "fig-small"}, "image": {"alt": 'A "red" picture'}}}
    cells = [
        new_markdown_cell("# Small\n\n$$x^2$$\n\n- first $y$\n- second\n  line\n\nText.", id="text"),
        new_code_cell("plot()", id="plot", metadata=alternative),
        new_code_cell("table", id="table"),
    ]
    if executed:
        cells[1].outputs = [
            new_output("stream", name="stdout", text="a < b\n"),
            new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "a bar"}),
            new_output("execute_result", {"image/png": png(), "text/plain": "<Figure>"}),
        ]
        html = "<table><tr><td>cell</td></tr></table>"
        cells[2].outputs = [new_output("execute_result", {"text/html": html, "text/plain": "cell"})]
    return new_notebook(cells=cells)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with one session, one notebook and its executed copy."""
    for path, text in (
        (GUIDE, SMALL_GUIDE),
        (PLAN, SMALL_PLAN),
        (Path("book/figures/drawing.svg"), '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        (Path("book/intro.md"), "```{figure} figures/drawing.svg\n:name: x\n:alt: A drawing.\n```"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for folder, executed in (("notebooks", False), ("_build/jupyter_execute/notebooks", True)):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(small_notebook(executed), tmp_path / folder / "01_small.ipynb")
    return tmp_path


@pytest.fixture
def made(small: Path) -> Path:
    """The folder of the slides of ``small``; skipped where reveal.js cannot be fetched."""
    try:
        make_slides.make_slides(small, small / "slides")
    except SlidesError as error:
        if "npm" not in str(error):
            raise
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    return small / "slides"


def test_the_plan_fits_the_guide_and_the_notebooks() -> None:
    sessions = read_guide((ROOT / GUIDE).read_text(encoding="utf-8"))
    assert [session.number for session in sessions] == [1, 2, 3, 4]
    assert all(len(s.rows) > 4 and len(s.questions) > 2 and s.goals and s.homework for s in sessions)
    assert check_plan(read_plan(ROOT), sessions, Notebooks(ROOT / "notebooks"), ROOT) == []


def test_eight_short_sessions_hold_the_same_slides_as_four() -> None:
    plan = read_plan(ROOT)
    whole, short = decks(plan, read_guide((ROOT / GUIDE).read_text(encoding="utf-8")))
    assert (len(whole), len(short)) == (4, 8)
    assert [s for deck in whole for s in deck.slides] == [s for deck in short for s in deck.slides]
    assert all(deck.slides for deck in short)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda slides: slides[0].update(show=["01#fig-none"]), "has no cell or figure 'fig-none'"),
        (lambda slides: slides[0].update(show=["09#fig-small"]), "there is no notebook 09"),
        (lambda slides: slides[0].update(show=["01#text shout"]), "'shout' is unknown"),
        (lambda slides: slides[0].update(show=["book/none.svg"]), "there is no such file"),
        (lambda slides: slides[0].update(row="1–2"), "its rows are"),
        (lambda slides: slides[0].pop("title"), "needs a title"),
        (lambda slides: slides[2].update(ask="Who"), "begin with 'Who'"),
        (lambda slides: slides.pop(2), "no slide asks 'Why half?'"),
    ],
)
def test_what_does_not_fit_is_named(small: Path, change, message: str) -> None:
    plan = copy.deepcopy(read_plan(small))
    change(plan[0]["slides"])
    faults = check_plan(plan, read_guide(SMALL_GUIDE), Notebooks(small / "notebooks"), small)
    assert any(message in fault for fault in faults), faults


def test_slides_show_cells_and_notes_and_fetch_nothing(made: Path) -> None:
    assert {path.name for path in made.glob("*.html")} == {
        "index.html", "session-1.html", "short-1.html", "short-2.html",
    }  # fmt: skip
    page = (made / "session-1.html").read_text(encoding="utf-8")
    for part in (
        r"Look: <span class="
        r'"math inline">\(a&lt;b\)</span>',
        '<img src="media/01-fig-small-2.png" alt="A &quot;red&quot; picture">',
        ">a &lt; b</pre>",
        r"\[x^2\]",
        r"<li>second" + "\nline</li>",
        "<h2>Why half?</h2>",
        "see <em>other page</em>.",
        "<table><tr><td>cell</td></tr></table>",
        '<img src="media/drawing.svg" alt="A drawing.">',
        "<strong>10–20 min</strong> (continued)",
        "Open notebook 01",
        "<p>Exercise 2.</p>",
    ):
        assert part in page, part
    assert "a bar" not in page and "<Figure" not in page
    assert make_slides.outside_requests(made) == {}
    second = (made / "short-2.html").read_text(encoding="utf-8")
    assert "Why half?" in second and "fig-small" not in second


def test_slides_fit_and_print(made: Path, chromium) -> None:
    page = open_page(chromium, (made / "session-1.html").as_uri(), width=1280, height=720)
    assert slides_that_overflow(page) == [] and page.faults == []
    assert page.locator("mjx-container").count() > 2
    page.close()
    printed = chromium.new_page()
    printed.goto((made / "session-1.html").as_uri() + "?print-pdf&with-notes")
    printed.wait_for_function("window.Reveal && Reveal.isReady() && document.querySelector('.pdf-page')")
    content = printed.pdf(prefer_css_page_size=True, print_background=True)
    printed.close()
    reader = PdfReader(io.BytesIO(content))
    texts = [sheet.extract_text() for sheet in reader.pages]
    width, height = reader.pages[0].mediabox[2:]
    assert width > height and any("Because" in text for text in texts)
    assert len(texts) == 11  # six slides, five of them with notes


def slides_that_overflow(page) -> list[str]:
    """Return the headings of slides whose content is higher or wider than they are."""
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    return page.evaluate("""async () => {
      const faults = [];
      for (let n = 0; n < Reveal.getTotalSlides(); n++) {
        Reveal.slide(n);
        const slide = Reveal.getCurrentSlide().querySelector(".slide");
        await Promise.all([...slide.querySelectorAll("img")].map(image => image.decode()));
        const parts = [slide, ...slide.querySelectorAll("pre, .shown")];
        if (parts.some(e => e.scrollHeight > e.clientHeight + 2 || e.scrollWidth > e.clientWidth + 2)
            || [...slide.querySelectorAll("img")].some(image => image.clientHeight < 150 && image.naturalHeight > 150))
          faults.push(`${n}: ${slide.querySelector("h1, h2").textContent}`);
      }
      return faults;
    }""")


@pytest.mark.notebooks
def test_every_slide_of_the_book_fits(tmp_path: Path, chromium) -> None:
    if not (ROOT / "_build" / "jupyter_execute" / "notebooks").is_dir():
        pytest.skip("the book is not built: run `make book` first")
    for deck in make_slides.make_slides(ROOT, tmp_path):
        if deck.name.startswith("session"):
            page = open_page(chromium, (tmp_path / f"{deck.name}.html").as_uri(), width=1280, height=720)
            assert slides_that_overflow(page) == [] and page.faults == []
            assert page.locator("img:not([alt]), img[alt='']").count() == 0
            page.close()


def test_without_a_book_it_says_what_to_do(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / "_build" / "jupyter_execute").rename(small / "_build" / "elsewhere")
    assert make_slides.main(["--root", str(small)]) == 1
    assert "run `make book` first" in capsys.readouterr().err


def test_a_book_of_yesterday_is_not_shown(small: Path) -> None:
    path = small / "notebooks" / "01_small.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("plot()", "plot(2)"), encoding="utf-8")
    with pytest.raises(SlidesError, match="01#fig-small; run `make book` again"):
        make_slides.make_slides(small, small / "slides")


def test_without_a_network_it_says_what_is_missing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: refuses connections
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr(vendor, "_package", vendor._package.__wrapped__)  # another test may have fetched it
        with pytest.raises(SlidesError, match=r"reveal.js 6.* could not be fetched .* with a network run"):
            make_slides.make_slides(small, small / "slides", cache=small / "empty")
    assert not (small / "slides").exists()


def test_roles_become_words() -> None:
    text = "See {doc}`../notebooks/04_ema_skd_training` and {ref}`the picture <fig-x>` {cite}`a2020`, {term}`KL`."
    assert plain_roles(text) == "See notebook 04 and the picture, KL."
    assert plain_roles("A\n\n```{margin} Note\nx\n```\n\nB") == "A\n\n\n\nB"
    assert to_html("*a* < $b_1$") == '<p><em>a</em> &lt; <span class="math inline">\\(b_1\\)</span></p>'
