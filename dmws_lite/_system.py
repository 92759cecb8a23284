"""Files that come with the project, how any file is written (whole or not at all), and what the machine gives."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import tempfile
from pathlib import Path

VERSION = "0.1.0"

_HERE = Path(__file__).resolve().parent


def data_path(relative: str) -> Path:
    """Return the path of a file that belongs to the project, in a clone or in an installed wheel.

    Args:
        relative: path below the top-level ``data`` folder, such as ``"teachers/convnext_pocket.safetensors"``.

    Raises:
        FileNotFoundError: the file is in neither place, so the installation is incomplete.
    """
    places = (_HERE / "_bundled" / relative, _HERE.parent / "data" / relative)
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(
        f"the project file data/{relative} is missing; reinstall dmws_lite, or clone the repository again"
    )


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a half.

    The bytes go to a temporary name in the same folder (a rename is atomic only within one file system)
    and replace the target at the end; a kill in between leaves the old file as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    payload = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes 0600, which a shared class folder could not read
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def remove_temporaries(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left of :func:`write_atomic`; call it only where no other process writes the file.

    Args:
        path: what was to be written.
    """
    target = Path(path)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if re.fullmatch(r"[a-z0-9_]{8}", left.name.removeprefix(f".{target.name}.")):  # as mkstemp names files
            left.unlink(missing_ok=True)


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` expanded; where this user has no home, a folder for temporary files stands in for it."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        text = os.fspath(path)
        if text.startswith("~"):
            text = os.path.join(tempfile.gettempdir(), *text.replace(os.sep, "/").split("/")[1:])
        return Path(text)


def available_processors() -> int:
    """Return how many processors this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_politely() -> None:
    """Let OpenMP's threads fall asleep soon after a parallel loop, so that a busy machine does not slow training down.

    Left to themselves they spin, ready for the next loop. Beside another busy process they then keep the processor from
    the very thread they wait for, and a training step takes several times as long. ``benchmarks/README.md`` has what
    this gains and costs, and why it sets nothing for the OpenMP of LLVM and Intel (macOS, Windows).

    It sets one environment variable, which acts where OpenMP is not loaded yet: call it before anything imports torch.
    ``import dmws_lite`` does. It changes nothing where the user has set this variable or ``OMP_WAIT_POLICY``.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
