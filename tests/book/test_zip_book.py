"""The zip of the book: everything a reader needs, the same bytes each time, and never half a file."""

import importlib.util
import os
import zipfile

import pytest


@pytest.fixture(scope="module")
def tool(root):
    spec = importlib.util.spec_from_file_location("zip_book", root / "scripts" / "zip_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def html(tmp_path):
    folder = tmp_path / "html"
    (folder / "book" / "figures").mkdir(parents=True)
    (folder / "index.html").write_text("<p>start</p>")
    (folder / "book" / "intro.html").write_text("<p>größer, τ</p>", encoding="utf-8")
    (folder / "book" / "figures" / "ä.svg").write_bytes(b"<svg/>")
    (folder / ".buildinfo").write_text("a tool's own")
    return folder


def test_it_holds_the_book_in_one_folder(tool, html, tmp_path):
    path = tool.zip_book(html, tmp_path / "dist" / "the-book.zip")
    zipfile.ZipFile(path).extractall(tmp_path / "student")
    found = {
        p.relative_to(tmp_path / "student").as_posix(): p.read_bytes() for p in (tmp_path / "student").rglob("*.*")
    }
    names = ("index.html", "book/intro.html", "book/figures/ä.svg")
    assert found == {f"the-book/{name}": (html / name).read_bytes() for name in names}
    assert [each.name for each in path.parent.iterdir()] == ["the-book.zip"]


def test_the_same_pages_give_the_same_bytes(tool, html, tmp_path):
    once = tool.zip_book(html, tmp_path / "a" / "book.zip").read_bytes()
    for path in html.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert tool.zip_book(html, tmp_path / "b" / "book.zip").read_bytes() == once
    (html / "index.html").write_text("<p>changed</p>")
    assert tool.zip_book(html, tmp_path / "b" / "book.zip").read_bytes() != once


def test_without_a_book_it_says_what_to_do_and_leaves_the_old_file(tool, html, tmp_path, capsys):
    path = tool.zip_book(html, tmp_path / "book.zip")
    before = path.read_bytes()
    (html / "index.html").unlink()
    assert tool.main(["--html", str(html), "--to", str(path)]) == 1
    assert "run `make book` first" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_command_says_where_and_how_large(tool, html, tmp_path, capsys):
    assert tool.main(["--html", str(html), "--to", str(tmp_path / "x.zip")]) == 0
    assert capsys.readouterr().out.endswith("MB; unpack it and open x/index.html\n")
