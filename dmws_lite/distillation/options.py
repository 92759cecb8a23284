"""The numbers that shape a loss: each with its default, its range and what it does."""

from __future__ import annotations

import dataclasses

from .._values import is_number


@dataclasses.dataclass(frozen=True)
class Option:
    """A number that a loss or a strategy reads, and the values that it may take.

    Attributes:
        default: its value where none is given.
        low: smallest value.
        high: largest value.
        description: what it does, in a few words; errors end with it.
        open_low: ``low`` itself is excluded.
        paper: it is the alpha or the tau of equation 5, which every run sets for itself.

    Example:
        >>> share = Option(0.5, 0, 1, "share of the soft targets")
        >>> share.range
        '[0, 1]'
        >>> share.check("share", 2)
        Traceback (most recent call last):
        ValueError: share=2 is out of range; choose a number in [0, 1]: share of the soft targets
    """

    default: float
    low: float
    high: float
    description: str
    open_low: bool = False
    paper: bool = False

    @property
    def range(self) -> str:
        """The range as an interval, such as ``(0, 100]``."""
        return f"{'(' if self.open_low else '['}{self.low:g}, {self.high:g}]"

    def check(self, name: str, value: float) -> None:
        """Check a value.

        Args:
            name: what the option is called where it is used, for the message.
            value: the value.

        Raises:
            ValueError: the value is not a number in the range.
        """
        if not is_number(value) or not self.low <= value <= self.high or (self.open_low and value == self.low):
            raise ValueError(f"{name}={value!r} is out of range; choose a number in {self.range}: {self.description}")

    def field(self, default: float | None = None) -> float:
        """Make a dataclass field of this option, as the strategies declare them.

        Args:
            default: another default than the option's own.
        """
        option = self if default is None else dataclasses.replace(self, default=default)
        return dataclasses.field(default=option.default, metadata={"option": option})


ALPHA = Option(
    0.6,
    0,
    1,
    "alpha weighs the cross-entropy: 1 trains with labels only, 0 with soft targets only; the paper uses 0.6",
    paper=True,
)
TAU = Option(
    3.0,
    0,
    100,
    "tau is the temperature: 1 leaves the softmax as it is, larger is softer; the paper uses 4 (ViT) and 3 (ConvNeXt)",
    open_low=True,
    paper=True,
)
BETA = Option(
    0.9,
    0,
    1,
    "beta is the share that the auxiliary keeps per step: 1 never updates it, 0 copies main; the paper uses 0.9",
)
