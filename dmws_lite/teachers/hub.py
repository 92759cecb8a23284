"""Teachers from the Hugging Face hub, checked by the SHA-256 that the hub states."""

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

HUB_SECONDS = 10  # for each of connecting and answering; the hub client on its own would retry for minutes


def _client_errors() -> tuple[type[BaseException], ...]:
    """What the hub client raises when the network fails; its HTTP library differs between its versions."""
    found: list[type[BaseException]] = [OSError, HfHubHTTPError]  # requests' errors are OSErrors
    for library in ("httpx", "httpx2"):
        if library in sys.modules:
            found.append(sys.modules[library].HTTPError)
    return tuple(found)


def load_from_hub(
    name: str,
    arguments: Mapping[str, object] | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> nn.Module:
    """Load any pretrained timm model from the hub, checked in the same way as the teachers of :data:`PAIRS`.

    Args:
        name: timm's name, with or without a tag.
        arguments: keyword arguments for timm beside the name.
        cache_dir: see :func:`load_teacher`.
        quiet: do not show progress.

    Raises:
        TeacherError: timm knows no such weights, or they cannot be fetched.
    """
    where = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if not where:
        raise TeacherError(
            f"timm knows no pretrained weights of {name!r} on the hub; give a name with a tag, or a file"
        )
    return _fetch_from_hub(name, where, arguments or {}, cache_dir, quiet)


def load_pair_from_hub(pair: Pair, cache_dir: str | os.PathLike[str] | None, quiet: bool) -> nn.Module:
    return _fetch_from_hub(pair.teacher_timm, pair.where, {}, cache_dir, quiet)


def _fetch_from_hub(
    name: str, where: str, arguments: Mapping[str, object], cache_dir: str | os.PathLike[str] | None, quiet: bool
) -> nn.Module:
    path = _hub_file(where, None if cache_dir is None else Path(cache_dir) / "hub", quiet)
    try:
        # timm reads the very file that was checked, with its own key conversion, and asks the network for nothing more.
        overlay = {"file": str(path), "custom_load": False}
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
    except (RuntimeError, SafetensorError) as error:
        raise TeacherError(
            f"{HUB_FILE} of {where} does not fit timm {timm.__version__}'s {name}: "
            f"{first_line(error)}; {alternatives('hub')}"
        ) from error


def _hub_file(where: str, cache: Path | None, quiet: bool) -> Path:
    """Return the path of the hub's weights file, downloaded if need be, its SHA-256 equal to the one the hub states."""
    endpoint = os.environ.get("HF_ENDPOINT") or "the Hugging Face hub"
    try:
        # Asked first, once and with a short limit: the client's download would retry an unreachable hub for minutes.
        stated = get_hf_file_metadata(hf_hub_url(where, HUB_FILE), timeout=HUB_SECONDS)
    except _client_errors() as error:
        kept = _kept_hub_file(where, cache)
        if kept is not None:
            if not quiet:
                print(f"{endpoint} cannot be asked for {where}; using the copy that was downloaded earlier")
            return kept
        raise TeacherError(
            f"{endpoint} does not give {where}/{HUB_FILE} ({first_line(error)}); {alternatives('hub')}"
        ) from error
    if not stated.etag or not stated.commit_hash:
        raise TeacherError(f"{endpoint} does not answer as a hub (a login page or a proxy?); {alternatives('hub')}")
    expected = stated.etag if re.fullmatch("[0-9a-f]{64}", stated.etag) else None  # only large files have a SHA-256

    actual = ""
    for again in (False, True):
        try:
            with _progress(not quiet):
                path = Path(
                    hf_hub_download(where, HUB_FILE, cache_dir=cache, etag_timeout=HUB_SECONDS, force_download=again)
                )
        except (*_client_errors(), ValueError) as error:  # ValueError: a forced download found the hub gone
            raise TeacherError(
                f"the download of {where}/{HUB_FILE} from {endpoint} broke off ({first_line(error)}); "
                f"try again, {alternatives('hub')}"
            ) from error
        actual = _system.sha256(path)
        if expected in (None, actual):
            return path
        if not again:
            print(f"{path} is damaged (SHA-256 {actual}, the hub states {expected}); downloading it once more")
    raise TeacherError(
        f"{where}/{HUB_FILE} from {endpoint} has SHA-256 {actual}, but the hub states {expected}; "
        f"something on the way changes it: try again later, {alternatives('hub')}"
    )


def _kept_hub_file(where: str, cache: Path | None) -> Path | None:
    """Return the hub file of an earlier download, or None; its blob is named after the SHA-256 that the hub stated."""
    kept = try_to_load_from_cache(where, HUB_FILE, cache_dir=cache)
    if not isinstance(kept, str):
        return None
    stated = Path(kept).resolve().name
    if re.fullmatch("[0-9a-f]{64}", stated) and _system.sha256(kept) != stated:
        print(f"{kept} is damaged (its SHA-256 is not {stated}) and is not used")
        return None
    return Path(kept)


@contextlib.contextmanager
def _progress(visible: bool) -> Iterator[None]:
    """Hide the hub client's progress bars for a while, unless ``visible`` or hidden already."""
    if visible or hub_utils.are_progress_bars_disabled():
        yield
        return
    hub_utils.disable_progress_bars()
    try:
        yield
    finally:
        hub_utils.enable_progress_bars()
