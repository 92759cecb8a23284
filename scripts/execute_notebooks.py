"""Execute the notebooks of the book side by side and leave their outputs in the cache that Jupyter Book reads.

    python scripts/execute_notebooks.py ROOT [--jobs N]

Jupyter Book executes one notebook after the other. Two at a time with one thread each take less time than one after the
other with two threads, because small networks make poor use of a second thread. A notebook that fails is named and left
out of the cache: Jupyter Book then executes it once more, shows the error where it belongs and ends the build.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution

from dmws_lite._system import available_processors

EXECUTED = "executed"  # folder, below _build, of whole executed notebooks; the cache keeps code cells only
MOST_JOBS = 4  # each kernel holds PyTorch and its images, about 1 GB


def pages_in_order(toc: object) -> list[str]:
    """Return the names, without suffix, of all pages that a table of contents lists, in its order.

    Args:
        toc: content of ``_toc.yml``.
    """
    found: list[str] = []
    if isinstance(toc, dict):
        if name := toc.get("root", toc.get("file")):
            found.append(str(name))
        for value in toc.values():
            found += pages_in_order(value)
    elif isinstance(toc, list):
        for value in toc:
            found += pages_in_order(value)
    return found


def notebooks_in_toc(root: Path) -> list[str]:
    """Return the names, without suffix, of the notebooks that are pages of the book, in order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return [name for name in pages_in_order(toc) if (root / f"{name}.ipynb").exists()]


def execute(path: Path, timeout: int) -> ExecutionResult:
    """Execute a notebook in an empty folder; an error of a cell is in the result, not raised.

    Args:
        path: the notebook, which stays as it is.
        timeout: seconds that a cell may take.
    """
    with tempfile.TemporaryDirectory() as folder:
        return single_nb_execution(nbformat.read(path, as_version=4), cwd=folder, timeout=timeout, allow_errors=False)


def execute_all(root: Path, jobs: int) -> list[str]:
    """Execute the notebooks of a book, ``jobs`` at a time, and return the names of those that failed."""
    timeout = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["execute"]["timeout"]
    cache = get_cache(root / "_build" / ".jupyter_cache")
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(execute, root / f"{name}.ipynb", timeout): name for name in notebooks_in_toc(root)}
        for future in as_completed(pending):
            name, result = pending[future], future.result()
            if result.err is not None:
                failed.append(name)
                print(f"    failed  {name}.ipynb", flush=True)
                continue
            path = str(root / f"{name}.ipynb")
            cache.add_nb_to_project(path)
            bundle = CacheBundleIn(result.nb, path, data={"execution_seconds": result.time})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            copy = root / "_build" / EXECUTED / f"{name}.ipynb"
            copy.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(result.nb, copy)
            print(f"  {result.time:6.1f} s  {name}.ipynb", flush=True)
    return failed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder with _config.yml and _toc.yml")
    parser.add_argument("--jobs", type=int, help="notebooks at a time (default: the processors, at most 4)")
    given = parser.parse_args(arguments)
    processors = available_processors()
    jobs = given.jobs or max(1, min(MOST_JOBS, processors))
    # The processors are shared out among the kernels.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors // jobs)))
    execute_all(given.root.resolve(), jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
