"""Printing: a small book of two pages becomes one PDF with an outline and with links that stay inside."""

import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from browser import chromium  # noqa: F401
from pypdf import PdfReader

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import make_pdf  # noqa: E402

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}<a>#</a></h1>
<p><a href="#summary">down</a> <a href="{other}.html">other</a> <a href="notes.txt">notes</a>
<a href="https://arxiv.org/abs/2508.20461">paper</a></p>
<details><summary>Table</summary>unfolded words</details>
<div class="tag_solution"><details><summary>Solution</summary>secret words</details></div>
<h2 id="summary" style="break-before: page">Summary</h2></body></html>"""


def test_pages_come_in_the_order_of_the_table_of_contents() -> None:
    toc = {
        "format": "jb-book",
        "root": "book/intro",
        "parts": [{"caption": "A", "chapters": [{"file": "book/a", "sections": [{"file": "book/b"}]}]}],
    }
    assert make_pdf.pages_in_order(toc) == ["book/intro", "book/a", "book/b"]
    ours = make_pdf.pages_in_order(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    assert ours[0] == "book/intro" and len(ours) == len(set(ours)) > 10


def test_a_neighbour_is_a_page_of_the_book_only(tmp_path: Path) -> None:
    inside = (tmp_path / "book" / "a b.html").as_uri()
    assert make_pdf.neighbour(f"{inside}#part", tmp_path) == "book/a b"
    assert make_pdf.neighbour((tmp_path / "book" / "a.ipynb").as_uri(), tmp_path) is None
    assert make_pdf.neighbour((tmp_path.parent / "a.html").as_uri(), tmp_path) is None
    assert make_pdf.neighbour("https://example.org/book/a.html", tmp_path) is None


def test_without_a_built_book_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_pdf.main(["--html", str(tmp_path / "nothing"), "--to", str(tmp_path)]) == 1
    assert "make book" in capsys.readouterr().err


def test_without_chromium_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(make_pdf.PrintError, match="sudo apt install chromium"):
        make_pdf.find_browser()


@pytest.mark.slow
@pytest.mark.usefixtures("chromium")
def test_a_small_book_is_printed_and_joined(tmp_path: Path) -> None:
    html = tmp_path / "html of a book"
    html.mkdir()
    for name, other in (("one", "two"), ("two", "one")):
        (html / f"{name}.html").write_text(PAGE.format(title=f"Chapter {name}", other=other), encoding="utf-8")
    # In a process of its own: the fixture's browser already has the event loop of this one.
    code = (
        "import sys, pickle; from pathlib import Path; import make_pdf\n"
        "html, to = map(Path, sys.argv[1:])\n"
        "chapters = list(make_pdf.print_pages(html, ['one', 'two']))\n"
        "to.write_bytes(pickle.dumps([(c.name, c.title, c.content) for c in chapters]))\n"
    )
    kept = tmp_path / "chapters.pickle"
    command = [sys.executable, "-c", code, str(html), str(kept)]
    answer = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    chapters = [make_pdf.Chapter(*fields) for fields in pickle.loads(kept.read_bytes())]
    assert [chapter.title for chapter in chapters] == ["Chapter one", "Chapter two"]

    book = PdfReader(BytesIO(make_pdf.joined(chapters, html, "Book", "Authors")))
    assert [(entry.title, book.get_destination_page_number(entry)) for entry in book.outline] == [
        ("Chapter one", 0),
        ("Chapter two", 2),
    ]
    assert book.metadata.title == "Book"
    text = book.pages[0].extract_text()
    assert "unfolded words" in text and "secret words" not in text
    assert targets(book) == {
        0: [1, 2, "https://arxiv.org/abs/2508.20461"],
        2: [3, 0, "https://arxiv.org/abs/2508.20461"],
    }

    alone = PdfReader(BytesIO(make_pdf.single(chapters[0], html)))
    assert [target for target in targets(alone)[0] if isinstance(target, str)] == [
        "two.pdf",
        "https://arxiv.org/abs/2508.20461",
    ]
    assert str(tmp_path) not in book.pages[0].extract_text()


def targets(book: PdfReader) -> dict[int, list]:
    """Return for each sheet with links where they lead, from top to bottom: a sheet's number or an address."""
    found = {}
    for number, sheet in enumerate(book.pages):
        for note in sheet.get("/Annots") or []:
            link = note.get_object()
            place = link.get("/Dest")
            if isinstance(place, list):
                found.setdefault(number, []).append(book.get_page_number(place[0].get_object()))
            elif "/A" in link and "/URI" in link["/A"]:
                found.setdefault(number, []).append(str(link["/A"]["/URI"]))
    return found
