"""Fetch the scripts that the built pages, the slides and their tests use from the npm registry, each at one version.

    python scripts/vendor.py [--to FOLDER]

Nothing fetched is committed: it lies in ``.cache/vendor`` and is copied beside the pages by ``build_book.py``, so that
a page asks no outside host for anything. Every file is checked by its SHA-256. The registry is the one that npm is set
to (``NPM_CONFIG_REGISTRY`` or npm's own settings), else the public one.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dmws_lite._system import write_atomic  # noqa: E402

FOLDER = ROOT / ".cache" / "vendor"


@dataclass(frozen=True)
class Script:
    """One file of one npm package.

    Attributes:
        name: of the file here.
        package: npm's name, with its scope.
        version: exact.
        member: path in the package.
        sha256: of the file.
    """

    name: str
    package: str
    version: str
    member: str
    sha256: str


REQUIRE = Script(
    "require.js", "requirejs", "2.3.8", "require.js",
    "c1fc6b1d53af7522f78d664922abb32acac64ed0ecccb8f907f1e6fc7262563a",
)  # fmt: skip
HTML_MANAGER = Script(
    "embed-amd.js", "@jupyter-widgets/html-manager", "1.0.15", "dist/embed-amd.js",
    "ca87dff57c70ffb2658794fde0eab0e27e5f5472a1f5df7ab2b08e1039fc4b72",
)  # fmt: skip
AXE = Script(
    "axe.min.js", "axe-core", "4.14.1", "axe.min.js",
    "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
)  # fmt: skip
# Its style sheet names these icon fonts, and the icons of the theme are drawn with them once it is loaded.
FONTS = tuple(
    Script(f"fonts/{name}.woff2", "@jupyter-widgets/html-manager", "1.0.15", f"dist/{name}.woff2", sha256)
    for name, sha256 in (
        ("1551f4f60c37af51121f", "9834b82ad26e2a37583d22676a12dd2eb0fe7c80356a2114d0db1aa8b3899537"),
        ("7a3337626410ca2f4071", "e42a88444448ac3d60549cc7c1ff2c8a9cac721034c073d80a14a44e79730cca"),
        ("d878b0a6a1144760244f", "8ea8791754915a898a3100e63e32978a6d1763be6df8e73a39d3a90d691cdeef"),
    )
)
SLIDES = tuple(
    Script(f"reveal/{name}", "reveal.js", "6.0.2", f"dist/{member}", sha256)
    for name, member, sha256 in (
        ("reset.css", "reset.css", "39413c3490fdcf826427c26ff4c1ee59ea961a0aa8507c18454e0c6dc96c12d8"),
        ("reveal.css", "reveal.css", "615ee850cbbb98a0f688b60ed37b21819a3f54c9f3e6f20e33e63693ab74a0c0"),
        ("reveal.js", "reveal.js", "aa1bbbf2617b23a623b23612cb3c5bdb63de512e652bf20fcfa832b045d37844"),
        ("notes.js", "plugin/notes.js", "447c42f365876e41853de81453d0c53c580c5b2099132e8f61200de4a0ba2af3"),
    )
)
PAGES, TESTS = (REQUIRE, HTML_MANAGER, *FONTS), (AXE,)


class FetchError(RuntimeError):
    """A script is neither in the cache nor to be had; the message names it and the remedy."""


def registry() -> str:
    """Return the address of the npm registry, without a slash at its end."""
    address = os.environ.get("NPM_CONFIG_REGISTRY") or os.environ.get("npm_config_registry")
    npm = shutil.which("npm")
    if not address and npm:
        answer = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
        address = answer.stdout.strip()
    return (address if address and address.startswith("http") else "https://registry.npmjs.org").rstrip("/")


@functools.lru_cache(maxsize=1)
def _package(name: str, version: str) -> bytes:
    """Return a package as npm packs it; the last one is kept, because several files of one are wanted."""
    base = name.rsplit("/", 1)[-1]
    with urllib.request.urlopen(f"{registry()}/{name}/-/{base}-{version}.tgz", timeout=60) as answer:
        return answer.read()


def fetch(script: Script, folder: Path = FOLDER) -> Path:
    """Return the path of a script, downloaded now if it is not in the folder.

    Args:
        script: what to fetch.
        folder: where it is kept.

    Raises:
        FetchError: the registry cannot be reached, or what came is not the file that was tested.
    """
    target = folder / script.name
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == script.sha256:
        return target
    try:
        with tarfile.open(fileobj=io.BytesIO(_package(script.package, script.version)), mode="r:gz") as archive:
            content = archive.extractfile(f"package/{script.member}").read()
    except (OSError, urllib.error.URLError, tarfile.TarError, KeyError, AttributeError) as error:
        raise FetchError(
            f"{script.name} ({script.package} {script.version}) could not be fetched from the npm registry: {error}; "
            f"with a network run `python scripts/vendor.py`, or put the file into {folder}"
        ) from error
    if hashlib.sha256(content).hexdigest() != script.sha256:
        raise FetchError(f"{script.name} of {script.package} {script.version} is not the file that was tested")
    return write_atomic(target, content)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder of the scripts (default: .cache/vendor)")
    folder, code = parser.parse_args(arguments).to, 0
    for script in (*PAGES, *SLIDES, *TESTS):
        try:
            print(fetch(script, folder))
        except FetchError as error:
            print(error, file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
