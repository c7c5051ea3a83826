"""What is to be measured, and how far the work has come."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfx_edge.phantom import PhantomSpec

OnStep = Callable[[str, float], None]
"""What is done now, and how much of everything is done: 0..1."""
OnNote = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What to measure."""

    source: Path | PhantomSpec
    """A CT as `vfx-edge run` takes it, or a phantom to make."""
    model: str = "default"
    backends: tuple[str, ...] | None = None
    """By name, "auto" for the first that works; None: all that work here."""
    precisions: tuple[str, ...] | None = None
    """By name, "auto" for what a backend takes by itself; None: all that it can."""
    repeat: int = 5
    duration_s: float | None = None
    """Warm runs for so long instead of `repeat`."""
    cold: int = 4
    """Times that the whole command is run cold, and as often with all cached."""
    studies: int = 4
    """In a row, for throughput; 0: none."""

    def to_json_able(self) -> dict[str, Any]:
        names = ("backends", "precisions", "repeat", "duration_s", "cold", "studies")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Steps:
    """A part, from `low` to `high`, of all that is to be done."""

    on_step: OnStep
    low: float = 0.0
    high: float = 1.0
    name: str = ""

    def part(self, at: int, of: int, name: str = "") -> "Steps":
        """The at-th of so many equal parts, counted from 0."""
        each = (self.high - self.low) / of
        low = self.low + at * each
        return Steps(self.on_step, low, low + each, name)

    def report(self, what: str, share: float = 0.0) -> None:
        """What is done now; share: of this part, 0..1."""
        done = self.low + share * (self.high - self.low)
        self.on_step(f"{self.name}: {what}" if self.name else what, done)
