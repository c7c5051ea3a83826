"""Two answers about one patient, vertebra by vertebra: what `repeats.csv` holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vfx_edge.evaluation.matching import FOUND_MM
from vfx_edge.scoring.answers import Answer, Seen
from vfx_edge.scoring.tables import write_plain
from vfx_edge.study import THORACOLUMBAR
from vfx_edge.vocabulary import Level, Reason

PAIR = "pair"
"""The comparison of two scans; all others are of perturbations, under their names."""
NONE, UNJUDGED = "none_suspected", "not_assessable"


@dataclass(frozen=True)
class RepeatRow:
    """A vertebra in two answers. Millimetres; probabilities and shares 0..1; "" and None: not
    told. `again_` fields are of the second answer. A level of "": not found there."""

    model: str
    comparison: str
    """PAIR, or the perturbation's name."""
    study: str
    again: str
    """What it is compared with: the other study, or the perturbation that is compared."""
    patient: str
    level: str
    again_level: str
    distance_mm: float | None = None
    """Between both centres; None for pairs: a patient who gets up lies elsewhere afterwards."""
    anterior_mm: float | None = None
    again_anterior_mm: float | None = None
    middle_mm: float | None = None
    again_middle_mm: float | None = None
    posterior_mm: float | None = None
    again_posterior_mm: float | None = None
    height_loss: float | None = None
    again_height_loss: float | None = None
    p_malignant: float | None = None
    again_p_malignant: float | None = None
    cause: str = ""
    """What the classifier answers about it, asked or not."""
    again_cause: str = ""
    verdict: str = ""
    """What the product says of it: `cause` where a fracture is suspected, else none_suspected;
    not_assessable where that could not be told, or only the edge of the scan shows it."""
    again_verdict: str = ""

    @property
    def suspected(self) -> bool:
        """In either answer."""
        return any(v not in ("", NONE, UNJUDGED) for v in (self.verdict, self.again_verdict))

    @property
    def judged(self) -> bool:
        """In either answer: it was found, and could be judged."""
        return any(v not in ("", UNJUDGED) for v in (self.verdict, self.again_verdict))


@dataclass(frozen=True)
class RepeatedStudy:
    """A study's two verdicts; failure: why there is none, in a sentence that names no patient."""

    model: str
    comparison: str
    study: str
    again: str
    patient: str
    verdict: str = ""
    again_verdict: str = ""
    failure: str = ""


def rows_of(study: RepeatedStudy, first: Answer, second: Answer) -> list[RepeatRow]:
    """Of all vertebrae T1 to L6 of either answer, head to feet: those of one place belong together,
    whatever they are called; of a pair of scans, those of one name."""
    by_place = study.comparison != PAIR
    made = [_row(study, a, b, by_place) for a, b in pairs_of(study, first, second)]
    return sorted(made, key=lambda row: Level(row.level or row.again_level).rank)


def pairs_of(
    study: RepeatedStudy, first: Answer, second: Answer
) -> list[tuple[Seen | None, Seen | None]]:
    """The same vertebra in both answers, as of `rows_of`; None where one has it not."""
    by_place = study.comparison != PAIR
    one, other = (
        [seen for seen in answer.seen if Level(seen.level) in THORACOLUMBAR]
        for answer in (first, second)
    )
    joined = _of_one_place(one, other) if by_place else _of_one_name(one, other)
    left = set(range(len(other))) - {b for _, b in joined}
    return [
        *((one[a], None if b is None else other[b]) for a, b in joined),
        *((None, other[b]) for b in left),
    ]


Joined = list[tuple[int, int | None]]


def _of_one_place(one: Sequence[Seen], other: Sequence[Seen]) -> Joined:
    """Each is the other's nearest, and near."""
    if not (one and other):
        return [(a, None) for a in range(len(one))]
    gaps = np.array([[_gap_mm(a, b) for b in other] for a in one])
    nearest, back = gaps.argmin(1).tolist(), gaps.argmin(0).tolist()
    return [
        (a, b if back[b] == a and gaps[a, b] <= FOUND_MM else None) for a, b in enumerate(nearest)
    ]


def _gap_mm(one: Seen, other: Seen) -> float:
    if one.lps_mm is None or other.lps_mm is None:
        return 0.0 if one.level == other.level else np.inf
    return float(np.linalg.norm(np.subtract(one.lps_mm, other.lps_mm)))


def _of_one_name(one: Sequence[Seen], other: Sequence[Seen]) -> Joined:
    at = {seen.level: number for number, seen in reversed(list(enumerate(other)))}
    return [(a, at.get(seen.level)) for a, seen in enumerate(one)]


def _row(study: RepeatedStudy, one: Seen | None, other: Seen | None, by_place: bool) -> RepeatRow:
    near = by_place and one is not None and other is not None
    return RepeatRow(
        model=study.model,
        comparison=study.comparison,
        study=study.study,
        again=study.again,
        patient=study.patient,
        level="" if one is None else one.level,
        again_level="" if other is None else other.level,
        distance_mm=round(_gap_mm(one, other), 2) if near and one and other else None,
        **_told(one, ""),
        **_told(other, "again_"),
    )


def _told(seen: Seen | None, before: str) -> dict[str, Any]:
    if seen is None:
        return {}
    same = ("anterior_mm", "middle_mm", "posterior_mm", "height_loss", "p_malignant")
    told = {name: getattr(seen, name) for name in same}
    told |= {"cause": seen.tier, "verdict": _verdict(seen)}
    return {before + name: value for name, value in told.items()}


def _verdict(seen: Seen) -> str:
    if seen.suspected is None or not seen.whole:
        return UNJUDGED
    if not seen.suspected or seen.reason == Reason.INTACT:
        return NONE
    return seen.tier or UNJUDGED


def write_repeats(path: Path, rows: Sequence[RepeatRow]) -> Path:
    """`repeats.csv`, a column a field; OutputError when the place can't be written."""
    return write_plain(path, RepeatRow, rows)
