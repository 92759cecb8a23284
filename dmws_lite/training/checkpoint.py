"""Everything that must survive between two epochs, so that a run resumes exactly."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .._system import write_atomic
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
        """Write the file, atomically; do nothing in a run without one."""
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
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(self.config.checkpoint, buffer.getvalue())

    def resume(self) -> int:
        """Take everything back from the file, if there is one.

        Returns:
            The number of epochs that are done, 0 without a file.

        Raises:
            ValueError: the file cannot be read, or belongs to a run with other settings, images or strategy.
        """
        path = self.config.checkpoint
        if path is None or not Path(path).exists():
            return 0
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise ValueError(f"the checkpoint {path} cannot be read; delete it to start again") from error
        settings = self.settings()
        before = {"balance": "none", "most_steps": 0, **content["settings"]}  # settings that came later
        different = [name for name in settings if before.get(name) != settings[name]]
        if different:
            raise ValueError(
                f"the checkpoint {path} belongs to a run with another {', '.join(different)}; "
                "give this run a file of its own, or delete that one"
            )
        self.main.load_state_dict(content["main"])
        if self.aux is not None:
            self.aux.load_state_dict(content["aux"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.strategy.restore(content["strategy"])
        self.generator.set_state(content["order"])
        restore_random_states(content)
        self.result.history, self.result.seconds = content["history"], content["seconds"]
        return len(self.result.history)


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
