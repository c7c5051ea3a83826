"""The cases of an evaluation: fractures whose cause is known, malignant ones positive."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vfx_edge.labelled.dataset import Label
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.study import Tier

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
FRACTURED = (Label.MALIGNANT.value, Label.OSTEOPOROTIC.value)
ANSWERED = (Tier.MALIGNANT.value, Tier.OSTEOPOROTIC.value)
ASKED = (*ANSWERED, Tier.UNCERTAIN.value)
FORCED = 0.5
"""p(malignant) from which on an answer without a third tier says malignant."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Fractured vertebrae (n) as one model set saw them; all arrays are (n,)."""

    rows: tuple[VertebraRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def truth(self) -> Bools:
        """Malignant ones."""
        return np.array([row.label == Label.MALIGNANT for row in self.rows], bool)

    @cached_property
    def p(self) -> Floats:
        """p(malignant), NaN where the set gives none."""
        found = [np.nan if row.p_malignant is None else row.p_malignant for row in self.rows]
        return np.array(found, float)

    @cached_property
    def tier(self) -> NDArray[np.str_]:
        return np.array([row.tier for row in self.rows], dtype="U16")

    @cached_property
    def patients(self) -> NDArray[np.str_]:
        """Whose vertebra it is."""
        return np.array([patient_of(row) for row in self.rows], dtype=str)

    @cached_property
    def has_p(self) -> Bools:
        return np.isfinite(self.p)

    @cached_property
    def told_apart(self) -> Bools:
        """Called malignant or osteoporotic by the tiers."""
        return np.isin(self.tier, ANSWERED)

    @property
    def one_each(self) -> bool:
        """Whether no patient has two cases."""
        return len(set(self.patients.tolist())) == len(self)

    def where(self, wanted: Bools) -> "Cases":
        """The cases for which `wanted` (n,) holds."""
        return Cases(tuple(row for row, so in zip(self.rows, wanted, strict=True) if so))

    def readers(self) -> list[str]:
        """Names of all who read at least one case."""
        return list(dict.fromkeys(name for row in self.rows for name in row.readings))

    def readings(self, reader: str, number: int = 0) -> list[str]:
        """What the reader called each case in that reading, "" for none."""
        return [call_of(row, reader, number) for row in self.rows]


def patient_of(row: VertebraRow | StudyRow) -> str:
    """The study stands for a patient who is not known."""
    return row.patient or row.study


def call_of(row: VertebraRow, reader: str, number: int = 0) -> str:
    calls = row.readings.get(reader, ())
    return calls[number] if number < len(calls) else ""


def cases_of(rows: Iterable[VertebraRow], one_per_patient: bool) -> Cases:
    """The fractured ones among a model set's rows; on request the first of each patient, by its
    line in labels.csv, as in the study."""
    found = [row for row in rows if row.label in FRACTURED]
    if one_per_patient:
        first: dict[str, VertebraRow] = {}
        for row in sorted(found, key=_line):
            first.setdefault(patient_of(row), row)
        kept = {id(row) for row in first.values()}
        found = [row for row in found if id(row) in kept]
    return Cases(tuple(found))


def _line(row: VertebraRow) -> float:
    return float("inf") if row.row is None else row.row


def counted(values: Sequence[str]) -> dict[str, int]:
    """How often each value occurs, in the order of first appearance."""
    return {value: values.count(value) for value in dict.fromkeys(values)}
