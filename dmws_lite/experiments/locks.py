"""Which process is at which run: so that two processes on one grid share the work and do nothing twice.

A process that begins a run locks a hidden file beside the records, which says who it is and since when. The system
frees the lock when the process ends in whatever way, so a lock that a killed process left behind is taken over.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # far behind the text, which others may read
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_path(folder: str | Path, name: str) -> Path:
    """Return the lock file of a run."""
    return Path(folder) / f".{name}.lock"


@contextlib.contextmanager
def at_work(folder: str | Path, name: str) -> Iterator[bool]:
    """Say that this process is at a run, until the context ends.

    Args:
        folder: of the records; made where it does not exist.
        name: of the run.

    Yields:
        Whether the run is this process's; ``False`` while another process is at it. On a file system without locks
        every process is told ``True``.
    """
    folder = Path(folder)
    new = not folder.exists()
    handle = _taken(lock_path(folder, name))
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            lock_path(folder, name).unlink()  # while it is still locked: nobody can have taken it over
        with contextlib.suppress(OSError):
            os.close(handle)
        if new:
            with contextlib.suppress(OSError):  # where nothing came of the work, no empty folder stays behind
                folder.rmdir()


def _taken(path: Path) -> int | None:
    """Lock a file and return its handle, or ``None`` where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
        except OSError as error:
            if not isinstance(error, BlockingIOError | PermissionError):
                return handle  # no locks here: better twice than not at all
            os.close(handle)
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):  # else its owner removed it in between
                break
        os.close(handle)
    owner = {"process": os.getpid(), "host": socket.gethostname(), "since": round(time.time())}
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(owner).encode())
    return handle


def owner_text(folder: str | Path, name: str) -> str:
    """Say who is at a run and for how long, as far as its lock tells."""
    try:
        owner = json.loads(lock_path(folder, name).read_text(encoding="utf-8"))
        minutes = max(0, round((time.time() - owner["since"]) / 60))
        return f"process {int(owner['process'])} on {owner['host']!s:.60} (for {minutes} min)"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
