"""Reading and running times on the pages are true within 30%; student notebooks lie beside the pages."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import build_book
import nbformat
import pytest
import stamp_times
import zip_book
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from stamp_times import amount, count_words, notebook_minutes, page_minutes, rounded, stamped_notebook, stamped_page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r'<a href="(exercises/[^"]+)" download>')


def test_the_times_on_the_pages_are_true() -> None:
    assert stamp_times.faults(ROOT) == []
    measured = stamp_times.read_times(ROOT)
    assert set(measured) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert len(stamp_times.pages(ROOT)) >= 5


def test_words_are_those_that_a_reader_reads() -> None:
    assert count_words("one *two* three's {doc}`four <../five>` [six](https://seven.org)") == 5
    assert count_words("$$a + b$$ one $x_1$ two") == 4  # a formula counts as a word
    assert count_words("one\n\n```python\ncode is not read here\n```\n\n```{margin} Title\ntwo three\n```") == 3
    page = '---\nkey: value\n---\n\n# One two\n\n```{code-cell} python3\nx = 1\nMarkdown(f"""\nthree four\n""")\n```\n'
    assert page_minutes(page) == pytest.approx(4 / stamp_times.WORDS)


def test_a_notebook_is_read_up_to_its_exercises() -> None:
    hidden = {"tags": ["hide-cell"]}
    cells = [
        new_markdown_cell("word " * 400),
        new_code_cell("a = 1\n\nb = 2"),
        new_code_cell("c = 3\n" * 50, metadata=hidden),
        new_markdown_cell("## Exercises\n\n" + "word " * 1000),
        new_code_cell("d = 4\n" * 50),
    ]
    assert notebook_minutes(new_notebook(cells=cells)) == pytest.approx(2 + 2 / stamp_times.LINES)


def test_times_are_said_as_people_say_them() -> None:
    assert [rounded(n) for n in (0.2, 1.4, 9.6, 11.4, 12.6, 33)] == [1, 1, 10, 11, 15, 35]
    assert [amount(n, "minute") for n in (1, 2)] == ["1 minute", "2 minutes"]


def test_stamping_again_changes_nothing() -> None:
    time = (
        "**Time:** about a minute on two CPU cores with the profile `fast`, long\nwith `paper`. On a T4: not measured."
    )
    source = f"# T\n\n{time}"
    once = stamped_notebook(source, minutes=18, seconds=36)
    expected = (
        "**Time:** about 20 minutes to read, 35 seconds to run on two CPU cores with the profile `fast`, long with"
    )
    assert once.startswith(f"# T\n\n{expected} `paper`. On") and max(map(len, once.split("\n"))) <= 120
    assert stamped_notebook(once, 18, 36) == once
    with pytest.raises(ValueError, match="no paragraph"):
        stamped_notebook("# T", 1, 1)
    page = stamped_page("---\na: b\n---\n\n# T\n\nText.\n", 7.2)
    assert page == "---\na: b\n---\n\n# T\n\n*Reading time: about 7 minutes.*\n\nText.\n"
    assert stamped_page(page, 7.2) == page and "about 1 minute." in stamped_page(page, 0.8)


def test_a_wrong_time_is_named_and_stamped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("_toc.yml", "data/teaching/times.json", "book/how_to_use.md", "notebooks/05_ablations.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert stamp_times.main(["--check"], tmp_path) == 0
    page, record = tmp_path / "book" / "how_to_use.md", tmp_path / "data" / "teaching" / "times.json"
    page.write_text(page.read_text(encoding="utf-8") + "word " * 1000, encoding="utf-8")
    times = json.loads(record.read_text(encoding="utf-8"))
    noted = times["seconds"]["05_ablations"]
    times["seconds"]["05_ablations"] = 4 * noted
    record.write_text(json.dumps(times), encoding="utf-8")
    assert stamp_times.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().out
    assert "how_to_use.md: time to read is 6" in told
    assert re.search(rf"05_ablations.ipynb: time to run is \d+, it is {4 * noted:.1f}", told)
    assert stamp_times.main([], tmp_path) == 0 and stamp_times.main(["--check"], tmp_path) == 0


def test_student_notebooks_are_in_the_book_and_in_the_zip(tmp_path: Path) -> None:
    html = tmp_path / "html"
    (html / "notebooks").mkdir(parents=True)
    (html / "index.html").write_text("<p>start</p>")
    build_book.place_exercises(ROOT, html)
    packed = zipfile.ZipFile(zip_book.zip_book(html, tmp_path / "book.zip")).namelist()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        links = [link for cell in cells for link in LINK.findall(cell.source)]
        assert links == [f"exercises/{path.name}"], path.name
        student = nbformat.read(html / "notebooks" / links[0], as_version=4)
        assert not any("solution" in cell.metadata.get("tags", []) for cell in student.cells)
        assert f"book/notebooks/{links[0]}" in packed
