"""What describes the project to tools and to those who cite it."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from dmws_lite import __version__

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    assert f'version = "{__version__}"' in read("pyproject.toml")
    assert yaml.safe_load(read("CITATION.cff"))["version"] == __version__
    assert f"## [Unreleased] {__version__}" in read("CHANGELOG.md")


def test_the_citation_file_is_valid_and_names_the_papers_authors() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format"]
    answer = subprocess.run([*command, str(ROOT / "CITATION.cff")], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (paper,) = yaml.safe_load(read("CITATION.cff"))["references"]
    entry = re.search(r"@misc\{tsutsumi2025dual,.*?\n\}", read("book/references.bib"), re.S)[0]
    authors = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    assert authors in entry and paper["title"] in entry


def test_hooks_run_what_the_project_has() -> None:
    repos = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    for repo in repos:
        assert repo["repo"] == "local" or re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+", repo["repo"])
        for hook in repo["hooks"]:
            if repo["repo"] == "local":
                assert (ROOT / hook["entry"].split()[1]).is_file(), hook["entry"]


def test_the_changelog_names_modules_that_are_there() -> None:
    table = read("CHANGELOG.md").split("| --- | --- |")[1].split("\n\n")[0]
    for row in table.strip().split("\n"):
        now = row.split("|")[2]
        for name in re.findall(r"`dmws_lite\.([\w.]+)`", now):
            path = ROOT / "dmws_lite" / name.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name
