"""Files that carry a checksum of their content, so that a flipped bit is found before anything is made of it.

A JSON object holds it in the entry ``checksum``; a binary file begins with a line that does. Files from before there
were checksums have none and are read without. It is no signature: whoever changes a file on purpose can
write a new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

CHECKSUM = "checksum"

_FIRST = b"dmws-lite sealed 1 "

_LARGEST_JSON = 256 * 2**20


class Damaged(ValueError):
    """A file cannot be what it is said to be; the message names it and the reason."""


def content_digest(content: Mapping) -> str:
    """Return the SHA-256 of a mapping's entries apart from its checksum; their order and the spaces do not count."""
    rest = {key: value for key, value in content.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def with_checksum(content: Mapping) -> dict:
    """Return a mapping with the checksum of its other entries as its last entry.

    Example:
        >>> sealed = with_checksum({"seed": 1})
        >>> checksum_fits(sealed), checksum_fits({**sealed, "seed": 3})
        (True, False)
    """
    rest = {key: value for key, value in content.items() if key != CHECKSUM}
    # What JSON changes (tuples, keys that are numbers) is changed first, so that the checksum is that of the file.
    return {**rest, CHECKSUM: content_digest(json.loads(json.dumps(rest)))}


def checksum_fits(content: Mapping) -> bool:
    """Return whether a mapping has no checksum, or the right one."""
    return CHECKSUM not in content or content[CHECKSUM] == content_digest(content)


def read_file(path: str | os.PathLike[str], largest: int | None = None) -> bytes:
    """Return the bytes of a regular file; a pipe or a device, on which reading could wait for ever, is none.

    Raises:
        Damaged: it is no regular file, or has more than ``largest`` bytes.
        OSError: it cannot be read.
    """
    facts = os.stat(path)
    if stat.S_ISDIR(facts.st_mode):
        raise Damaged(f"{path} is a folder, not a file")
    if not stat.S_ISREG(facts.st_mode):
        raise Damaged(f"{path} is no regular file but a pipe or a device, and is not read")
    if largest is not None and facts.st_size > largest:
        raise Damaged(f"{path} has {facts.st_size:,} bytes, more than the {largest:,} that such a file may have")
    return Path(path).read_bytes()


def read_json(path: str | os.PathLike[str]) -> dict:
    """Read a JSON object whose keys are each there once, and check its checksum where it has one.

    Raises:
        Damaged: it is no such file; the message names it.
        OSError: it cannot be read.
    """
    content = read_file(path, _LARGEST_JSON)
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise Damaged(f"{path} is damaged: it is nested too deeply") from None
    except ValueError as error:
        raise Damaged(f"{path} is damaged: it is not JSON ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise Damaged(f"{path} is damaged: it holds no object but {type(found).__name__}")
    try:
        fits = checksum_fits(found)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: {error}") from error
    if not fits:
        raise Damaged(f"{path} is damaged: its content has another checksum than it had when it was written")
    return found


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def sealed(payload: bytes) -> bytes:
    """Return bytes with a first line that holds their SHA-256."""
    return _FIRST + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def is_sealed(content: bytes) -> bool:
    """Return whether bytes begin as those of :func:`sealed` do."""
    return content.startswith(_FIRST)


def unsealed(content: bytes, path: str | os.PathLike[str]) -> bytes:
    """Return what was given to :func:`sealed`.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        Damaged: the bytes are others than were written.
    """
    head, _, payload = content.partition(b"\n")
    if head != _FIRST + hashlib.sha256(payload).hexdigest().encode():
        raise Damaged(f"{path} is damaged: its content has another checksum than it had when it was written")
    return payload
