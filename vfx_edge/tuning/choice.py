"""What is chosen on the cases: temperature, two cuts, limits of the conformal sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.evaluation import intervals
from vfx_edge.evaluation.conformal import class_limit, least_cases, one_per_patient
from vfx_edge.evaluation.intervals import Estimate
from vfx_edge.evaluation.operating_point import (
    SHARES,
    OperatingPoint,
    Told,
    Wanted,
    calls,
    curve,
    held_out,
    told,
)
from vfx_edge.evaluation.operating_point import choose as choose_point
from vfx_edge.evaluation.temperature import LEAST, MOST, fit_temperature
from vfx_edge.manifest import ClassifierParameters
from vfx_edge.manifest.calibration import tempered
from vfx_edge.tuning.reading import Cases

FEW = 50
"""Of a class: with fewer the interval of a share of 0.95 is wider than 0.12."""
NOTHING = Wanted()
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Asked:
    """wanted: of the cuts; empty: they stay where they are. coverage: of the conformal sets; None:
    no such sets. temperature: whether one is fitted."""

    wanted: Wanted = NOTHING
    coverage: float | None = None
    temperature: bool = True


@dataclass(frozen=True)
class Expected:
    """What the cuts may be expected to do on new patients: counted on patients that each time were
    left out when cuts were chosen; None where that can't be done."""

    told: Told
    sensitivity: Estimate | None
    specificity: Estimate | None
    uncertain: Estimate | None


@dataclass(frozen=True)
class Step:
    """A point of the curve: the share that may stay uncertain, the best cuts for it, and what they
    may be expected to do."""

    share: float
    point: OperatingPoint
    expected: Expected | None


@dataclass(frozen=True)
class Choice:
    """temperature: of the answers as they were evaluated. point: on tempered probabilities.
    limits: osteoporotic, malignant. remarks: what was left undone and what to mind, sentences."""

    asked: Asked
    temperature: float
    point: OperatingPoint
    expected: Expected | None
    limits: tuple[float | None, float | None]
    curve: tuple[Step, ...]
    remarks: tuple[str, ...]

    @property
    def wanted(self) -> str:
        """In the manifest's words."""
        return str(self.asked.wanted) or "the thresholds as they were"

    @property
    def thresholds(self) -> tuple[float, float]:
        """Malignant, osteoporotic, as they stand in the manifest."""
        return round(self.point.threshold_malignant, 9), round(self.point.threshold_osteoporotic, 9)


def choose(cases: Cases, asked: Asked, now: ClassifierParameters | None = None) -> Choice:
    """now: the thresholds as they are, which are kept where nothing else is wanted."""
    temperature, remarks = _temperature(cases, asked)
    p = tempered(cases.p, temperature)[:, 1]
    wanted, patients = asked.wanted, cases.patients
    of_curve = [Wanted(uncertain=share) for share in SHARES]
    left_out = held_out(p, cases.malignant, patients, [*of_curve, *([wanted] if wanted else [])])
    if wanted:
        point = choose_point(p, cases.malignant, wanted)
        called = None if left_out is None else left_out[-1]
    else:
        point = _kept(p, cases.malignant, now, temperature)
        called = calls(p, point.low, point.high)
    expected = None if called is None else _expected(cases, called)
    limits, too_few = _limits(cases, p, asked.coverage)
    steps = tuple(
        Step(share, at, None if left_out is None else _expected(cases, left_out[number]))
        for number, (share, at) in enumerate(zip(SHARES, curve(p, cases.malignant), strict=True))
    )
    said = (*_about(cases), *remarks, *_missed(point, wanted), *too_few)
    return Choice(asked, temperature, point, expected, limits, steps, said)


def _temperature(cases: Cases, asked: Asked) -> tuple[float, tuple[str, ...]]:
    if not asked.temperature:
        return 1.0, ()
    found = fit_temperature(cases.p, cases.malignant)
    if found is None:
        why = "the network gets all of these cases right, or all wrong"
    elif found >= MOST:
        why = "its answers tell nothing of the cause of these fractures"
    elif found <= LEAST:
        why = "too few of its answers are wrong"
    else:
        return found, ()
    return 1.0, (f"No temperature was fitted: {why}.",)


def _kept(
    p: NDArray[np.float64],
    malignant: Bools,
    now: ClassifierParameters | None,
    temperature: float,
) -> OperatingPoint:
    """The cuts as they are, moved as the probabilities are: no tier changes."""
    high, other = (now.threshold_malignant, now.threshold_osteoporotic) if now else (0.5, 0.5)
    high, other = (float(tempered(np.array([1 - t, t]), temperature)[1]) for t in (high, other))
    low = min(1 - other, high)
    return OperatingPoint(low, high, told(calls(p, low, high), malignant))


def _expected(cases: Cases, called: NDArray[np.int64]) -> Expected:
    answered, malignant = called >= 0, cases.malignant
    patients = np.array(cases.patients)

    def share(so: Bools, of: Bools) -> Estimate | None:
        return intervals.share(so[of], patients[of])

    return Expected(
        told(called, malignant),
        share(called == 1, answered & malignant),
        share(called == 0, answered & ~malignant),
        share(~answered, np.ones(len(cases), np.bool_)),
    )


def _limits(
    cases: Cases, p: NDArray[np.float64], coverage: float | None
) -> tuple[tuple[float | None, float | None], tuple[str, ...]]:
    """Osteoporotic, malignant; and a sentence for each that can't be set."""
    if coverage is None:
        return (None, None), ()
    found: list[float | None] = []
    lacking = []
    for name, own, said in (
        ("osteoporotic", ~cases.malignant, 1 - p),
        ("malignant", cases.malignant, p),
    ):
        rows = np.flatnonzero(own)
        drawn = rows[one_per_patient([cases.patients[row] for row in rows])]
        found.append(class_limit(said[drawn], coverage))
        if found[-1] is None:
            lacking.append(
                f"No limit for {name}: {len(drawn)} patients with such a fracture, and a coverage "
                f"of {coverage:g} needs {least_cases(coverage)}; {name} is always held possible."
            )
    return (found[0], found[1]), tuple(lacking)


def _about(cases: Cases) -> list[str]:
    """What to mind of the cases themselves."""
    said = []
    malignant = int(cases.malignant.sum())
    least, name = min((malignant, "malignant"), (len(cases) - malignant, "osteoporotic"))
    if least < FEW:
        said.append(
            f"Only {least} {name}: with fewer than {FEW} fractures of each class a threshold is a "
            "guess; the intervals say how little is known."
        )
    if cases.unanswered:
        said.append(
            f"Not counted, as the network gave no answer (not found, not assessable or unlike all "
            f"it was taught): {cases.unanswered} of these splits."
        )
    if cases.patient_count < len(cases):
        said.append(
            f"{cases.patient_count} patients have {len(cases)} fractures: in the intervals "
            "those of one patient count as fewer, and conformal limits use one of each."
        )
    if "train" in cases.splits:
        said.append("The network was trained on some of these cases: expect worse of new ones.")
    if {"test", "external"} & set(cases.splits):
        said.append("Chosen on cases of a test split: these can no longer prove the new set.")
    return said


def _missed(point: OperatingPoint, wanted: Wanted) -> tuple[str, ...]:
    if point.met:
        return ()
    return (f"No cuts give {wanted} on these cases: the nearest are taken.",)
