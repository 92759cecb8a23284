"""Everything that must survive between two epochs, so that a run resumes exactly."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .._sealed import Damaged, is_sealed, read_file, sealed, unsealed
from .._system import write_atomic
from .._values import check_weights
from ..distillation.strategies.base import Strategy
from ..images.splits import Split
from .config import Result, TrainConfig


@dataclass
class Checkpoint:
    """A run in progress, and the file that it can be resumed from: the rest of the run is the same to the last bit.

    Attributes:
        config: the run's settings; ``config.checkpoint`` is the file, or ``None`` for none.
        data: the run's images.
        main: main student.
        aux: auxiliary student, or ``None``.
        optimizer: of main.
        generator: of the order and the augmentation.
        strategy: with its memory.
        result: history and seconds so far.
    """

    config: TrainConfig
    data: Split
    main: nn.Module
    aux: nn.Module | None
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    strategy: Strategy
    result: Result

    def settings(self) -> dict[str, object]:
        """Return what decides the run's numbers; where the file lies and whether a bar is shown do not."""
        settings = asdict(replace(self.config, checkpoint=None, progress=True))
        return {
            **settings,
            "images": f"{self.data.train.name}/{len(self.data.train)}/{self.data.digest}",
            "auxiliary": self.aux is not None,
            "strategy": self.strategy.settings(),
        }

    def save(self) -> None:
        """Write the file, atomically and with a checksum; do nothing in a run without one."""
        if self.config.checkpoint is None:
            return
        content = {
            "settings": self.settings(),
            "strategy": self.strategy.state(),
            "main": self.main.state_dict(),
            "aux": None if self.aux is None else self.aux.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.generator.get_state(),
            **random_states(),
            "history": self.result.history,
            "seconds": self.result.seconds,
        }
        write_atomic(self.config.checkpoint, pack_tensors(content))

    def resume(self) -> int:
        """Take everything back from the file, if there is one.

        Returns:
            The number of epochs that are done, 0 without a file.

        Raises:
            ValueError: the file is damaged, or belongs to a run with other settings, images or strategy.
        """
        path = self.config.checkpoint
        if path is None or not Path(path).exists():
            return 0
        content = unpack_tensors(path, "checkpoint")
        try:
            self._take_back(content, path)
        except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Damaged(f"the checkpoint {path} is damaged ({reason}); delete it to start again") from error
        return len(self.result.history)

    def _take_back(self, content: dict, path: str | Path) -> None:
        settings = self.settings()
        before = {"balance": "none", "most_steps": 0, **content["settings"]}  # settings that came later
        different = [name for name in settings if before.get(name) != settings[name]]
        if different:
            raise ValueError(
                f"the checkpoint {path} belongs to a run with another {', '.join(different)}; "
                "give this run a file of its own, or delete that one"
            )
        check_weights(content["main"], f"the checkpoint {path}", "delete it to start again")
        self.main.load_state_dict(content["main"])
        if self.aux is not None:
            self.aux.load_state_dict(content["aux"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.strategy.restore(content["strategy"])
        self.generator.set_state(content["order"])
        restore_random_states(content)
        self.result.history, self.result.seconds = content["history"], content["seconds"]


def pack_tensors(content: dict) -> bytes:
    """Return tensors and plain values as bytes that begin with their checksum."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return sealed(buffer.getvalue())


def unpack_tensors(path: str | Path, what: str) -> dict:
    """Read what :func:`pack_tensors` gave, or a file of :func:`torch.save` from before there were checksums.

    Args:
        path: of the file.
        what: such as ``"checkpoint"``, for messages.

    Raises:
        Damaged: the file is no such file, or was changed.
    """
    remedy = "delete it to start again"
    try:
        content = read_file(path)
        if is_sealed(content):
            content = unsealed(content, path)
        else:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:  # it has checksums that PyTorch does not look at
                if name := archive.testzip():
                    raise Damaged(f"{name} in it has another checksum")
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (Damaged, RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise Damaged(f"the {what} {path} cannot be read ({_first_line(error)}); {remedy}") from error
    except (pickle.UnpicklingError, zipfile.BadZipFile, NotImplementedError, struct.error, zlib.error) as error:
        raise Damaged(f"the {what} {path} cannot be read ({_first_line(error)}); {remedy}") from error
    if not isinstance(found, dict):
        raise Damaged(f"the {what} {path} holds no tensors by name; {remedy}")
    return found


def _first_line(error: BaseException) -> str:
    text = str(error).partition(" is damaged: ")[2] or str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:200]


def random_states() -> dict[str, Tensor | list[Tensor] | None]:
    """Return the states of PyTorch's global generators, which drop path and dropout draw from: CPU and GPUs."""
    return {
        "global": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def restore_random_states(states: dict) -> None:
    """Set PyTorch's global generators to what :func:`random_states` returned; other keys are ignored."""
    torch.set_rng_state(states["global"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    if states.get("mps") is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
