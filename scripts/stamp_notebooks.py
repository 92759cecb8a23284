"""Write the repository's address from pyproject.toml into every notebook: its Colab link and its set-up cell.

The address has one place, ``[project.urls] Repository``. Run this after a change of it, or after adding a notebook:

    python scripts/stamp_notebooks.py            # rewrite what differs
    python scripts/stamp_notebooks.py --check    # change nothing, exit 1 where something differs
    python scripts/stamp_notebooks.py --origin   # first take the address of this clone's git origin into pyproject.toml

The student notebooks are made from these by ``make_exercises.py``; run it afterwards.

It also brings the file into nbformat's own layout, so that a notebook saved by another editor gives no noise in git.
README.md gets the same links between ``<!-- stamp:start -->`` and ``<!-- stamp:end -->``, if it has these lines.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import nbformat

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LINK = "[▶ Open in Colab]("
EXERCISES_LINK = "[▶ Do the exercises in Colab]("  # to the student notebook, see make_exercises.py
README_BLOCK = re.compile(r"(<!-- stamp:start -->\n).*?(<!-- stamp:end -->)", re.DOTALL)
SETUP = """\
# Takes the package: installed, in the clone around, in a wheel beside, or online.
import importlib.util
import subprocess
import sys
from pathlib import Path

sys.path += [str(p) for p in Path.cwd().parents if (p / "dmws_lite/cli").is_dir()]
wheel = max(Path.cwd().glob("dmws_lite-*.whl"), default=None)
source = wheel.as_uri() if wheel else "git+{url}"
needs = {{"dmws_lite": f"dmws_lite[widgets] @ {{source}}", "sklearn": "scikit-learn"}}
needs |= {{n: n for n in "timm matplotlib anywidget lazy_loader pandas tabulate".split()}}
missing = [needs[name] for name in needs if importlib.util.find_spec(name) is None]
pip = [sys.executable, "-m", "pip", "install", "--quiet", *missing]
if missing and subprocess.run(pip).returncode:
    advice = "put its wheel beside this notebook, or run python make.py lab in a clone"
    raise ImportError(f"dmws_lite could not be installed: {{advice}}")
importlib.invalidate_caches()
import dmws_lite  # before torch: it also sets how torch's threads wait

print("dmws_lite", dmws_lite.__version__)
import torch

device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
print("torch", torch.__version__, "on", device)"""


def repository_url(root: Path = ROOT) -> str:
    """Return the repository's https address, the one place being pyproject.toml.

    Raises:
        ValueError: the address is not ``https://github.com/OWNER/NAME``, the only form that Colab opens.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    url = project["urls"]["Repository"].rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(f"Repository in pyproject.toml is {url!r}; Colab opens only https://github.com/OWNER/NAME")
    return url


def github_address(origin: str) -> str | None:
    """Return the https address of a git remote on GitHub, without a name or token in it; ``None`` for other places."""
    place = r"(?:https?://(?:[^@/]+@)?|ssh://git@|git@)(?:www\.)?github\.com[:/](?P<path>[\w.-]+/[\w.-]+?)(?:\.git)?/?"
    found = re.fullmatch(place, origin.strip())
    return f"https://github.com/{found['path']}" if found else None


def origin_address(root: Path = ROOT) -> str | None:
    """Return the https address of the clone's own git origin; ``None`` without git, an origin or GitHub."""
    if not (root / ".git").exists():  # a folder inside another repository has no origin of its own
        return None
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return github_address(answer.stdout)


def take_origin(root: Path = ROOT) -> str:
    """Write the address of the clone's git origin into pyproject.toml and return it.

    Raises:
        ValueError: the clone has no origin on GitHub.
    """
    address = origin_address(root)
    if address is None:
        raise ValueError(
            "this clone has no git origin on GitHub; write its address into pyproject.toml, [project.urls]"
        )
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        re.sub(r'^Repository = ".*"$', f'Repository = "{address}"', text, flags=re.MULTILINE), encoding="utf-8"
    )
    return address


def colab_link(url: str, file_name: str) -> str:
    """Return the Markdown link that opens ``notebooks/file_name`` on Colab; plain text, so no image is fetched."""
    path = url.removeprefix("https://github.com/")
    return f"{LINK}https://colab.research.google.com/github/{path}/blob/main/notebooks/{file_name})"


def setup_source(url: str) -> str:
    """Return the whole source of the cell tagged ``setup``."""
    return SETUP.format(url=url)


def with_link(text: str, link: str) -> str:
    """Return a first cell's Markdown with its Colab link replaced, or put below the title where there was none."""
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if line.startswith(LINK)]
    if places:
        return "\n".join(link if number == places[0] else line for number, line in enumerate(lines))
    return "\n".join([lines[0], "", link, *lines[1:]])


def stamped(notebook: nbformat.NotebookNode, file_name: str, url: str) -> nbformat.NotebookNode:
    """Change ``notebook`` in place and return it; all cell ids stay.

    Raises:
        ValueError: the first cell is not Markdown that begins with a title.
    """
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        raise ValueError(f"notebooks/{file_name}: the first cell must be Markdown and begin with '# Title'")
    first.source = with_link(first.source, colab_link(url, file_name))
    student = colab_link(url, f"exercises/{file_name}").removeprefix(LINK)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            pattern = rf"^{re.escape(EXERCISES_LINK)}[^)]*\)"
            cell.source = re.sub(pattern, EXERCISES_LINK + student, cell.source, flags=re.MULTILINE)
    setup = [cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", [])]
    if not setup:
        setup = [nbformat.v4.new_code_cell(id="setup", metadata={"tags": ["setup"]})]
        notebook.cells.insert(1, setup[0])
    setup[0].source = setup_source(url)
    # What an editor writes here depends on the machine: keep what a reader needs to open the file.
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def readme_block(url: str, file_names: list[str]) -> str:
    """Return the lines between README.md's two markers: how to clone, and one Colab link per notebook."""
    links = "\n".join(f"- `{name}` {colab_link(url, name)}" for name in file_names)
    return f"```sh\ngit clone {url}\n```\n\n{links}\n"


def wanted_files(root: Path = ROOT) -> dict[Path, str]:
    """Return for each file that carries the address the text it should have."""
    url = repository_url(root)
    paths = sorted((root / "notebooks").glob("*.ipynb"))
    wanted = {}
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        wanted[path] = nbformat.writes(stamped(notebook, path.name, url)).rstrip("\n") + "\n"
    readme = root / "README.md"
    if readme.exists():
        block = readme_block(url, [path.name for path in paths])
        text = readme.read_text(encoding="utf-8")
        wanted[readme] = README_BLOCK.sub(lambda match: match[1] + block + match[2], text)
    return wanted


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file differs")
    parser.add_argument("--origin", action="store_true", help="first take the address of this clone's git origin")
    given = parser.parse_args(arguments)
    if given.check and given.origin:
        parser.error("--check changes nothing, --origin does: give one of them")
    if given.origin:
        try:
            print(f"pyproject.toml: {take_origin(root)}")
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
    differing = 0
    for path, text in wanted_files(root).items():
        if path.read_text(encoding="utf-8") == text:
            continue
        differing += 1
        name = path.relative_to(root)
        if given.check:
            print(f"{name}: not stamped with the address in pyproject.toml; run `make stamp`")
        else:
            temporary = path.with_name(f".{path.name}.new")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
            print(f"{name}: stamped")
    origin, address = origin_address(root), repository_url(root)
    if not given.check and origin and origin != address:
        print(
            f"Stamped with {address}, the address in pyproject.toml, but this clone comes from {origin}. "
            f"To use that address instead, run: make stamp-origin"
        )
    return 1 if given.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
