"""What is put right in the built pages, on pieces of the theme's own markup."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import polish  # noqa: E402

BEFORE_AND_AFTER = {
    polish.speaking_summaries: (
        '<details class="admonition hide above-input">\n<summary aria-label="Toggle hidden content">\n<p>Show</p>',
        '<details class="admonition hide above-input">\n<summary>\n<p>Show</p>',
    ),
    polish.search_buttons_by_their_text: (
        '<button class="btn search-button-field search-button__button pst-js-only" title="Search" '
        'aria-label="Search" data-bs-placement="bottom">',
        '<button class="btn search-button-field search-button__button pst-js-only" title="Search" '
        'data-bs-placement="bottom">',
    ),
    polish.silent_icons: (
        '<i class="theme-switch fa-solid fa-sun fa-lg" data-mode="light" title="Light"></i>',
        '<i class="theme-switch fa-solid fa-sun fa-lg" data-mode="light"></i>',
    ),
    polish.plain_bibliography: (
        '<div role="list" class="citation-list">\n<div class="citation" id="id28" role="doc-biblioentry">',
        '<div class="citation-list">\n<div class="citation" id="id28">',
    ),
    polish.parameters_as_lines: (
        '<dt class="sig">\n<span class="sig-paren">(</span>\n\n<dl>\n<dd><em>name</em>,</dd>\n<dd><em>hint</em>,</dd>\n'
        "</dl>\n\n"
        '<span class="sig-paren">)</span></dt>\n<dd><dl>\n<dt>Raises</dt>\n<dd>No.</dd>\n</dl>\n</dd>',
        '<dt class="sig">\n<span class="sig-paren">(</span>\n\n<span class="sig-line"><em>name</em>,</span>\n'
        '<span class="sig-line"><em>hint</em>,</span>\n\n\n'
        '<span class="sig-paren">)</span></dt>\n<dd><dl>\n<dt>Raises</dt>\n<dd>No.</dd>\n</dl>\n</dd>',
    ),
    polish.sidebar_as_landmark: (
        '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar">',
        '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar" role="navigation" aria-label="Book">',
    ),
    polish.empty_corners: (
        '<tr class="row-odd"><th class="head"><p></p></th>\n<th class="head text-right"></th>\n'
        '<th class="head"><p>a</p></th>',
        '<tr class="row-odd"><td class="head"></td>\n<td class="head text-right"></td>\n<th class="head"><p>a</p></th>',
    ),
    polish.icons_from_the_font: (
        '<link href="../_static/styles/theme.css?digest=5" rel="stylesheet" />\n'
        '<script defer src="../_static/scripts/fontawesome.js?digest=5"></script>\n'
        '<script defer src="../_static/scripts/bootstrap.js?digest=5"></script>',
        '<link href="../_static/styles/theme.css?digest=5" rel="stylesheet" />\n'
        '<script defer src="../_static/scripts/bootstrap.js?digest=5"></script>',
    ),
}


def test_every_rule_has_its_case() -> None:
    assert set(BEFORE_AND_AFTER) == set(polish.RULES)


@pytest.mark.parametrize("rule", polish.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_changes_its_markup_and_is_done_after_once(rule: polish.Rule) -> None:
    before, after = BEFORE_AND_AFTER[rule]
    assert rule(before) == after
    assert rule(after) == after


@pytest.mark.parametrize("rule", polish.RULES, ids=lambda rule: rule.__name__)
def test_what_a_page_says_stays_as_it_is(rule: polish.Rule) -> None:
    text = '<p>Search, aria-label="Search", title="Light"</p><th class="head"><p>mean</p></th><a role="list">x</a>'
    assert rule(text) == text


def test_all_pages_of_a_folder_are_polished_and_the_themes_own_files_left_alone(tmp_path: Path) -> None:
    before, after = BEFORE_AND_AFTER[polish.speaking_summaries]
    for place in ("index.html", "book/deep.html", "_static/part.html"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f"ä{before}", encoding="utf-8")
    polish.polish(tmp_path)
    assert (tmp_path / "book" / "deep.html").read_text(encoding="utf-8") == f"ä{after}"
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == f"ä{after}"
    assert (tmp_path / "_static" / "part.html").read_text(encoding="utf-8") == f"ä{before}"


def test_a_folder_without_pages_is_an_error_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert polish.main([str(tmp_path)]) == 1
    assert "make book" in capsys.readouterr().err
