"""What was asked of an evaluation, and what holds for all of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vfx_edge.labelled.dataset import Problem
from vfx_edge.scoring.readings import Readings

Method = Literal["wilson", "clopper-pearson"]


@dataclass(frozen=True)
class About:
    """How the figures are counted, and the run they come from.

    one_per_patient: of each patient only the first case in labels.csv counts, as in the study.
    problems: what is wrong with labels.csv and its studies, by row. run: JSON of what ran, as it
    is shown: version, started_at, model_sets [{name, version, ...}], seconds.
    """

    dataset: str = ""
    """The folder's own name, without the folders above it."""
    one_per_patient: bool = False
    method: Method = "wilson"
    """Of the intervals of shares."""
    confidence: float = 0.95
    resamples: int = 2000
    """Of the bootstrap over patients."""
    seed: int = 0
    problems: tuple[Problem, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    readings: Readings = field(default_factory=Readings)
    """What readers said without and with the program's answer, and how long it took them."""
