"""Everything that must survive between two epochs, so that a run resumes exactly."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from .._system import write_atomic
from ..distillation.strategies.base import Strategy
from .config import Result, TrainConfig


@dataclass
class Checkpoint:
    """Everything that must survive between two epochs, so that a run continues as if it had not stopped."""

    main: nn.Module
    aux: nn.Module | None
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    result: Result
    strategy: Strategy

    def save(self, config: TrainConfig, images_id: str) -> None:
        if config.checkpoint is None:
            return
        content = {
            "settings": deciding_settings(config, images_id, self.aux is not None, self.strategy),
            "strategy": self.strategy.state(),
            "main": self.main.state_dict(),
            "aux": None if self.aux is None else self.aux.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.generator.get_state(),
            "global": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "history": self.result.history,
            "seconds": self.result.seconds,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(config.checkpoint, buffer.getvalue())

    def load(self, config: TrainConfig, images_id: str) -> int:
        """Continue from the checkpoint if there is one; return the number of epochs already done."""
        if config.checkpoint is None or not Path(config.checkpoint).exists():
            return 0
        try:
            content = torch.load(config.checkpoint, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise ValueError(f"the checkpoint {config.checkpoint} cannot be read; delete it to start anew") from error
        mine = deciding_settings(config, images_id, self.aux is not None, self.strategy)
        other = [name for name in mine if content["settings"].get(name) != mine[name]]
        if other:
            raise ValueError(
                f"the checkpoint {config.checkpoint} belongs to a run with another {', '.join(other)}; "
                "give this run a file of its own, or delete that one"
            )
        self.main.load_state_dict(content["main"])
        if self.aux is not None:
            self.aux.load_state_dict(content["aux"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.strategy.restore(content["strategy"])
        self.generator.set_state(content["order"])
        torch.set_rng_state(content["global"])
        if content["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["cuda"])
        self.result.history, self.result.seconds = content["history"], content["seconds"]
        return len(self.result.history)


def deciding_settings(config: TrainConfig, images_id: str, with_aux: bool, strategy: Strategy) -> dict:
    """The settings that decide the numbers; where the file lies and whether a bar is shown do not."""
    settings = asdict(replace(config, checkpoint=None, progress=True))
    return {**settings, "images": images_id, "auxiliary": with_aux, "strategy": strategy.settings()}
