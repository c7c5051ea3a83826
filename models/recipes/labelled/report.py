"""What a training was asked for, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.recipes.labelled.loop import Schedule, ended_by_the_clock
from models.recipes.labelled.ours import FamiliarSet
from models.recipes.labelled.plan import Plan
from models.recipes.labelled.runs import Taught, Trained


@dataclass(frozen=True)
class Wanted:
    """What the command was asked for. folds: 0 for no cross-validation."""

    plan: Plan
    schedule: Schedule
    out: Path
    work: Path
    folds: int = 0
    model: str = "default"
    overwrite: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """All that the card says of a training."""

    wanted: Wanted
    taught: Taught
    left_out: tuple[str, ...]
    trained: Trained
    thresholds: tuple[float, ...]
    familiar: FamiliarSet | None = None
    """Of `--recipe ours`: the network with its third answer."""
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hurried(self) -> bool:
        """The minutes ended it early."""
        return ended_by_the_clock(self.trained.progress, self.wanted.schedule)

    @property
    def plan(self) -> Plan:
        return self.wanted.plan
