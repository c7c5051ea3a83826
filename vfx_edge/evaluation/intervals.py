"""A figure with its confidence interval, and how the interval was made.

Shares have Wilson's or the exact interval, whatever else can be computed of rows has the bootstrap
over patients: vertebrae of one patient are alike, so patients are drawn, not vertebrae.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit, ndtr, ndtri

Numbers = NDArray[np.intp]
Statistic = Callable[[Numbers], float | None]
"""Numbers of the rows drawn -> the figure; None or NaN where they do not define it."""
Patients = Sequence[Hashable] | NDArray[np.generic]
Method = Literal["wilson", "clopper-pearson"]

CONFIDENCE = 0.95
RESAMPLES = 2000
MOST_UNDEFINED = 0.05
"""Of the resamples: with more the interval would be that of another question."""
ROUNDING = 1e-12
_TITLES = {"wilson": "Wilson", "clopper-pearson": "Clopper-Pearson"}


@dataclass(frozen=True)
class Estimate:
    """A figure and its confidence interval; low and high are None where none can be had, and
    method then says why. count of `of`: where the figure is a share of cases."""

    value: float
    low: float | None
    high: float | None
    method: str
    count: int | None = None
    of: int | None = None


def proportion(
    count: int, of: int, method: Method = "wilson", confidence: float = CONFIDENCE
) -> Estimate | None:
    """`count` of `of` cases that do not depend on one another; None for 0 of 0.

    Wilson 1927, whose coverage is near the nominal one on average; Clopper and Pearson 1934, whose
    is never below it, and often well above. Raises ValueError where count is not in 0..of.
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no share")
    if not of:
        return None
    return Estimate(count / of, *_ends(count, of, method, confidence), _TITLES[method], count, of)


def share(
    hits: ArrayLike,
    patients: Patients,
    method: Method = "wilson",
    confidence: float = CONFIDENCE,
) -> Estimate | None:
    """The share of cases (n,) that are hits, where a patient may have several; None of no case.

    patients: (n,) whose case it is. Cases of one patient are alike, and so count as fewer: as many
    as would vary as much if they were independent (design effect by patients, Rao and Scott 1992;
    the exact interval of so many, Korn and Graubard 1998), never more than there are. All or no
    hits: as many as there are patients. With one case a patient it is `proportion`.
    """
    hit = np.asarray(hits, bool)
    count, of = int(hit.sum()), len(hit)
    members = rows_by_patient(patients)
    found = proportion(count, of, method, confidence)
    if found is None or len(members) == of:
        return found
    effective = _effective(hit, members)
    low, high = _ends(found.value * effective, effective, method, confidence)
    named = f"{_TITLES[method]}, {of} cases of {len(members)} patients as {effective:.1f}"
    return Estimate(found.value, low, high, named, count, of)


def _effective(hit: NDArray[np.bool_], members: Sequence[Numbers]) -> float:
    """How many independent cases vary as much as these."""
    value, of, patients = float(hit.mean()), len(hit), len(members)
    if value in (0.0, 1.0) or patients < 2:
        return float(patients)
    gaps = [float(hit[rows].sum()) - value * len(rows) for rows in members]
    variance = patients / (patients - 1) * float(np.square(gaps).sum()) / of**2
    return min(value * (1 - value) / variance, float(of)) if variance else float(of)


def _ends(count: float, of: float, method: Method, confidence: float) -> tuple[float, float]:
    """Limits of a share; neither number need be whole."""
    if method == "clopper-pearson":
        tail, missed = (1 - confidence) / 2, of - count
        low = float(betaincinv(count, missed + 1, tail)) if count > 0 else 0.0
        high = float(betaincinv(count + 1, missed, 1 - tail)) if missed > 0 else 1.0
        return low, high
    p, square = count / of, two_sided(confidence) ** 2
    middle = p + square / (2 * of)
    reach = (square * (p * (1 - p) / of + square / (4 * of**2))) ** 0.5
    low, high = ((middle + side * reach) / (1 + square / of) for side in (-1, 1))
    return (0.0 if count == 0 else low, 1.0 if count == of else high)


def bootstrap(
    statistic: Statistic,
    patients: Patients,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | None:
    """Bias-corrected and accelerated bootstrap (Efron 1987) over patients.

    patients: (n,) whose row it is. Patients are drawn with replacement, each with all of its rows;
    the acceleration comes from leaving out one patient at a time. None where the rows themselves
    do not define the figure. No interval: fewer than two patients, more than MOST_UNDEFINED of the
    resamples without a figure (one class only, say), or the same figure in all of them.
    """
    members = rows_by_patient(patients)
    value = _defined(statistic(np.arange(sum(map(len, members)))))
    if value is None:
        return None
    if len(members) < 2:
        return Estimate(value, None, None, "no interval: fewer than two patients")
    rows_of = _picker(members)
    draws = np.random.default_rng(seed).integers(0, len(members), (resamples, len(members)))
    found = [_defined(statistic(rows_of(drawn))) for drawn in draws]
    known = np.array([one for one in found if one is not None])
    if len(known) < (1 - MOST_UNDEFINED) * resamples:
        left = resamples - len(known)
        why = f"no interval: {left} of {resamples} resamples of {len(members)} patients lack it"
        return Estimate(value, None, None, why)
    others = np.arange(len(members))
    left_out = (_defined(statistic(rows_of(np.delete(others, n)))) for n in others)
    without_one = np.array([one for one in left_out if one is not None])
    return _accelerated(value, known, without_one, confidence, len(members))


def rows_by_patient(patients: Patients) -> list[Numbers]:
    """The numbers of each patient's rows, patients in the order of their first row."""
    found: dict[Hashable, list[int]] = {}
    listed = patients.tolist() if isinstance(patients, np.ndarray) else patients
    for number, patient in enumerate(listed):
        found.setdefault(patient, []).append(number)
    return [np.array(rows) for rows in found.values()]


def _picker(members: Sequence[Numbers]) -> Callable[[Numbers], Numbers]:
    """Numbers of patients -> numbers of all of their rows."""
    rows, lengths = np.concatenate(members), np.array([len(own) for own in members])
    starts = np.cumsum(lengths) - lengths

    def pick(drawn: Numbers) -> Numbers:
        many = lengths[drawn]
        before = np.cumsum(many) - many
        return np.asarray(rows[np.arange(many.sum()) + np.repeat(starts[drawn] - before, many)])

    return pick


def _defined(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _accelerated(
    value: float,
    found: NDArray[np.float64],
    without_one: NDArray[np.float64],
    confidence: float,
    patients: int,
) -> Estimate:
    # one that equals the figure may be off by what rounding leaves
    below = ((found < value - ROUNDING).mean() + (found <= value + ROUNDING).mean()) / 2
    if np.ptp(found) <= ROUNDING or not 0 < below < 1:
        return Estimate(value, None, None, "no interval: the same in all resamples")
    bias = ndtri(below)
    gaps = without_one.mean() - without_one if len(without_one) else np.zeros(1)
    spread = (gaps**2).sum() ** 1.5
    acceleration = (gaps**3).sum() / (6 * spread) if spread else 0.0
    shifted = bias + ndtri(np.array([1 - confidence, 1 + confidence]) / 2)
    at = ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(found, at)
    method = f"BCa bootstrap over {patients} patients"
    return Estimate(value, float(low), float(high), method)


def logit_interval(
    value: float, standard_error: float, method: str, confidence: float = CONFIDENCE
) -> Estimate:
    """Symmetric on the logit scale, so inside 0..1; for a figure that lies within 0..1."""
    if not (0 < value < 1 and standard_error > 1e-9):  # less is what rounding leaves of a 0
        return Estimate(value, None, None, "no interval: no spread at all")
    reach = two_sided(confidence) * standard_error / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return Estimate(value, float(low), float(high), f"{method}, logit scale")


def two_sided(confidence: float) -> float:
    """How many standard errors reach to either side: 1.96 for 0.95."""
    return float(ndtri((1 + confidence) / 2))


def two_sided_p(z: float) -> float:
    """Of a standard normal statistic."""
    return float(2 * ndtr(-abs(z)))


def as_floats(values: ArrayLike) -> NDArray[np.float64]:
    """(n,) finite numbers; ValueError where one is not: a gap is left out by whoever counts it."""
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError("a row of finite numbers is needed")
    return found
