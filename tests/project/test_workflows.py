"""The workflows of GitHub Actions: valid by GitHub's schema, and naming only what the project has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = ["test.yml", "book.yml", "gpu.yml", "nightly.yml"]


def workflow(name: str) -> dict:
    # BaseLoader leaves `on` a word; YAML 1.1 would read it as true.
    return yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def steps(name: str) -> list[dict]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_workflow_is_known_here() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_is_valid(name: str) -> None:
    answer = validate(FOLDER / name)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.slow
def test_a_broken_workflow_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "test.yml"
    broken.write_text((FOLDER / "test.yml").read_text(encoding="utf-8").replace("runs-on:", "run-on:"))
    assert validate(broken).returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_a_workflow_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    targets = set(re.search(r"^TARGETS = (.*)$", makefile, re.MULTILINE)[1].split())
    commands = "\n".join(step.get("run", "") for step in steps(name))
    wanted = set(re.findall(r"\bmake ([\w-]+)", commands)) | set(re.findall(r"\bmake (\.venv\S+)", commands))
    assert wanted, "a workflow that calls no target of the Makefile does something else than `make` on a desk"
    assert wanted <= targets | {".venv/.installed"}


@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_titles_never_become_part_of_a_command(name: str) -> None:
    for step in steps(name):
        assert "${{" not in step.get("run", ""), "give it as a variable: text put into a command can be any command"


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_few_rights_and_an_end(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}
    for job in workflow(name)["jobs"].values():
        assert int(job["timeout-minutes"]) > 0
        assert set(job.get("permissions", {})) <= {"pages", "id-token"}


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_named_with_a_version(name: str) -> None:
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w/-]+@v\d+", step["uses"]), step["uses"]


def test_the_kept_book_depends_on_all_that_goes_into_it() -> None:
    (restore,) = [step for step in steps("book.yml") if "cache/restore" in step.get("uses", "")]
    key = restore["with"]["key"]
    for (
        part
    ) in "dmws_lite/** requirements.txt pyproject.toml _config.yml _toc.yml notebooks/** book/** data/**".split():
        assert f"'{part}'" in key, f"a change of {part} would not build the book anew"
        assert (ROOT / part.removesuffix("/**")).exists(), part


def test_once_a_week_the_book_is_built_without_the_cache() -> None:
    (when,) = workflow("book.yml")["on"]["schedule"]
    minute, hour, day, month, weekday = when["cron"].split()
    assert (day, month) == ("*", "*") and weekday.isdigit()
    cached = [step for step in steps("book.yml") if "/cache/" in step.get("uses", "")]
    assert len(cached) == 2
    assert all("github.event_name != 'schedule'" in step["if"] for step in cached)


def test_the_machine_with_a_gpu_is_offered_only_grids_that_exist() -> None:
    asked = workflow("gpu.yml")["on"]
    assert set(asked) == {"workflow_dispatch"}, "a machine with a GPU starts by hand only"
    grids = {path.stem for path in (ROOT / "data" / "grids").glob("*.yaml")}
    assert set(asked["workflow_dispatch"]["inputs"]["grid"]["options"]) - {"none"} <= grids
