"""What readers of stated skill would say of a study's fractures: so that every table about readers
has something to show. They see nothing: each answer is the truth or its opposite, by chance."""

from __future__ import annotations

from dataclasses import dataclass

from vfx_edge.phantom.cohort.drawing import CohortStudy
from vfx_edge.phantom.signs import Rng


@dataclass(frozen=True)
class Reader:
    """sensitivity, specificity: of the answers that are no "uncertain"; positive is malignant.

    uncertain, left_out: shares of vertebrae that get that answer, or none. repeats: of the second
    reading, the share of answers that are kept; None: this one reads everything once.
    """

    name: str
    sensitivity: float
    specificity: float
    uncertain: float = 0.0
    left_out: float = 0.0
    repeats: float | None = None

    @property
    def times(self) -> int:
        """How often this one reads each vertebra."""
        return 1 if self.repeats is None else 2


READERS = (
    Reader("a", 0.74, 0.64, repeats=0.8),
    Reader("b", 0.76, 0.66, uncertain=0.08),
    Reader("c", 0.90, 0.82, left_out=0.03),
)
"""Balanced accuracies 0.69, 0.71 and 0.86, as the study's readers had with 2, 4 and 7 years."""


def readings(study: CohortStudy) -> dict[str, dict[str, tuple[str, ...]]]:
    """level -> reader's name -> answers, for each fracture of the study; "" for none."""
    rng = study.rng(3)
    return {
        level: {reader.name: _answers(reader, label, rng) for reader in READERS}
        for level, label in study.labels.items()
        if label in ("osteoporotic", "malignant")
    }


def _answers(reader: Reader, truth: str, rng: Rng) -> tuple[str, ...]:
    first = _answer(reader, truth, rng)
    if reader.repeats is None:
        return (first,)
    kept, again = rng.random() < reader.repeats, _answer(reader, truth, rng)
    return first, first if kept else again


def _answer(reader: Reader, truth: str, rng: Rng) -> str:
    said, right = rng.random(2)
    if said < reader.left_out:
        return ""
    if said < reader.left_out + reader.uncertain:
        return "uncertain"
    if truth == "malignant":
        return "malignant" if right < reader.sensitivity else "osteoporotic"
    return "osteoporotic" if right < reader.specificity else "malignant"
