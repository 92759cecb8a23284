"""Teachers from the Hugging Face hub, checked against the SHA-256 that the hub states."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import timm
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub import utils as hub_utils
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from torch import nn

from .. import _system
from .pairs import Pair, TeacherError, alternatives, first_line

HUB_FILE = "model.safetensors"

HUB_SECONDS = 10  # limit for connecting and for answering; by default the hub client retries for minutes


def _client_errors() -> tuple[type[BaseException], ...]:
    """Return what the hub client raises when the network fails; its HTTP library depends on its version."""
    errors: list[type[BaseException]] = [OSError, HfHubHTTPError]  # the errors of requests are OSErrors
    for library in ("httpx", "httpx2"):
        if library in sys.modules:
            errors.append(sys.modules[library].HTTPError)
    return tuple(errors)


def load_from_hub(
    name: str,
    arguments: Mapping[str, object] | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> nn.Module:
    """Load any pretrained timm model from the hub, with the same checks as the teachers of ``PAIRS``.

    Args:
        name: timm's name, with or without a tag.
        arguments: further keyword arguments for timm.
        cache_dir: see :func:`dmws_lite.teachers.load.load_teacher`.
        quiet: do not show progress.

    Returns:
        The model with its pretrained weights, as timm builds it.

    Raises:
        TeacherError: timm knows no such weights, or they cannot be downloaded.
    """
    where = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if not where:
        raise TeacherError(
            f"timm knows no pretrained weights for {name!r} on the hub; give a name with a tag, or a file"
        )
    return _fetch_from_hub(name, where, arguments or {}, cache_dir, quiet)


def load_pair_from_hub(pair: Pair, cache_dir: str | os.PathLike[str] | None, quiet: bool) -> nn.Module:
    """Load the teacher of a pair from the hub; arguments and errors as in :func:`load_from_hub`."""
    return _fetch_from_hub(pair.teacher_timm, pair.where, {}, cache_dir, quiet)


def _fetch_from_hub(
    name: str, where: str, arguments: Mapping[str, object], cache_dir: str | os.PathLike[str] | None, quiet: bool
) -> nn.Module:
    path = _hub_file(where, None if cache_dir is None else Path(cache_dir) / "hub", quiet)
    try:
        # timm reads the file that was checked, converts its keys, and makes no further network requests.
        overlay = {"file": str(path), "custom_load": False}
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
    except (RuntimeError, SafetensorError) as error:
        raise TeacherError(
            f"{HUB_FILE} of {where} does not fit timm {timm.__version__}'s {name}: "
            f"{first_line(error)}; {alternatives('hub')}"
        ) from error


def _hub_file(where: str, cache: Path | None, quiet: bool) -> Path:
    """Return the path of the hub's weights file, downloaded if necessary and checked against the hub's SHA-256."""
    endpoint = os.environ.get("HF_ENDPOINT") or "the Hugging Face hub"
    try:
        # Ask once, with a short time limit: a download would retry an unreachable hub for minutes.
        stated = get_hf_file_metadata(hf_hub_url(where, HUB_FILE), timeout=HUB_SECONDS)
    except _client_errors() as error:
        cached = _cached_hub_file(where, cache)
        if cached is not None:
            if not quiet:
                print(f"{endpoint} cannot be reached for {where}; using the copy downloaded earlier")
            return cached
        raise TeacherError(
            f"{endpoint} does not provide {where}/{HUB_FILE} ({first_line(error)}); {alternatives('hub')}"
        ) from error
    if not stated.etag or not stated.commit_hash:
        raise TeacherError(f"{endpoint} does not answer like a hub (a login page or a proxy?); {alternatives('hub')}")
    expected = stated.etag if re.fullmatch("[0-9a-f]{64}", stated.etag) else None  # only large files have a SHA-256

    actual = ""
    for again in (False, True):
        try:
            with _progress(not quiet):
                path = Path(
                    hf_hub_download(where, HUB_FILE, cache_dir=cache, etag_timeout=HUB_SECONDS, force_download=again)
                )
        except (
            *_client_errors(),
            ValueError,
        ) as error:  # ValueError: a forced download, hub gone
            raise TeacherError(
                f"the download of {where}/{HUB_FILE} from {endpoint} was interrupted ({first_line(error)}); "
                f"try again, {alternatives('hub')}"
            ) from error
        actual = _system.sha256(path)
        if expected in (None, actual):
            return path
        if not again:
            print(f"{path} is damaged (SHA-256 {actual}, the hub states {expected}); downloading it again")
    raise TeacherError(
        f"{where}/{HUB_FILE} from {endpoint} has SHA-256 {actual}, but the hub states {expected}; "
        f"the file is changed on the way: try again later, {alternatives('hub')}"
    )


def _cached_hub_file(where: str, cache: Path | None) -> Path | None:
    """Return the hub file of an earlier download, or None; its blob is named after the SHA-256 that the hub stated."""
    cached = try_to_load_from_cache(where, HUB_FILE, cache_dir=cache)
    if not isinstance(cached, str):
        return None
    stated = Path(cached).resolve().name
    if re.fullmatch("[0-9a-f]{64}", stated) and _system.sha256(cached) != stated:
        print(f"{cached} is damaged (its SHA-256 is not {stated}) and is not used")
        return None
    return Path(cached)


@contextlib.contextmanager
def _progress(visible: bool) -> Iterator[None]:
    """Hide the hub client's progress bars inside this context, unless ``visible`` or hidden already."""
    if visible or hub_utils.are_progress_bars_disabled():
        yield
        return
    hub_utils.disable_progress_bars()
    try:
        yield
    finally:
        hub_utils.enable_progress_bars()
