"""The ROC curve, the area under it, its interval, and two areas compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vfx_edge.evaluation.intervals import (
    CONFIDENCE,
    Estimate,
    Patients,
    as_floats,
    logit_interval,
    rows_by_patient,
    two_sided,
    two_sided_p,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """The points of a ROC curve from (0, 0) to (1, 1), each of the same length.

    A case is called positive where its p ≥ the threshold; the first threshold is infinite.
    """

    thresholds: tuple[float, ...]
    false_positive_rate: tuple[float, ...]
    """1 − specificity."""
    true_positive_rate: tuple[float, ...]
    """Sensitivity."""


@dataclass(frozen=True)
class Difference:
    """Two areas of the same cases. z and p_value: two-sided test of no difference; None where the
    areas differ and their difference has no variance."""

    auc_one: float
    auc_other: float
    difference: Estimate
    """auc_one − auc_other."""
    z: float | None
    p_value: float | None


def roc_curve(p: ArrayLike, truth: ArrayLike) -> Curve | None:
    """p: (n,) score, the higher the likelier; truth: (n,) which are positive. One point a
    different score. None where a class is missing."""
    scores, positive = _checked(p, truth)
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits, alarms = (np.cumsum(of[order])[last] for of in (positive, ~positive))
    return Curve(
        (np.inf, *scores[order][last].tolist()),
        (0.0, *(alarms / alarms[-1]).tolist()),
        (0.0, *(hits / hits[-1]).tolist()),
    )


def auc(p: ArrayLike, truth: ArrayLike) -> float | None:
    """Area under the ROC curve by ranks (Mann-Whitney): how often a positive case has the higher
    p of the two; ties count half. None where a class is missing."""
    scores, positive = _checked(p, truth)
    if positive.all() or not positive.any():
        return None
    return float(_share_below(scores[positive], scores[~positive]).mean())


def auc_delong(
    p: ArrayLike, truth: ArrayLike, patients: Patients | None = None, confidence: float = CONFIDENCE
) -> Estimate | None:
    """`auc` with DeLong's variance (DeLong et al. 1988), the interval on the logit scale, which
    keeps its coverage near 1 (Pepe 2003).

    patients: (n,) whose case it is, where a patient may have several: then with the variance of
    Obuchowski 1997, which is DeLong's where each has one. None where a class is missing.
    """
    scores, positive = _checked(p, truth)
    if positive.all() or not positive.any():
        return None
    own = _components(scores, positive)
    area = float(own[positive].mean())
    variance = _covariance((own - area,), positive, patients)
    if variance is None:
        return Estimate(area, None, None, "no interval: one case of a class")
    return logit_interval(area, float(variance[0, 0]) ** 0.5, _name(patients), confidence)


def delong_test(
    one: ArrayLike,
    other: ArrayLike,
    truth: ArrayLike,
    patients: Patients | None = None,
    confidence: float = CONFIDENCE,
) -> Difference | None:
    """Whether two scores (n,) of the same cases have the same area; see `auc_delong`. The interval
    of the difference is symmetric. None where a class is missing."""
    pairs = [_checked(scores, truth) for scores in (one, other)]
    positive = pairs[0][1]
    if positive.all() or not positive.any():
        return None
    own = [_components(scores, positive) for scores, _ in pairs]
    first, second = (float(each[positive].mean()) for each in own)
    areas = (first, second)
    gap = first - second
    spread = _covariance(
        tuple(each - area for each, area in zip(own, areas, strict=True)), positive, patients
    )
    if spread is None:
        why = "no interval: one case of a class"
        return Difference(*areas, Estimate(gap, None, None, why), None, None)
    variance = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    return _tested(areas, gap, max(variance, 0.0), _name(patients), confidence)


def _tested(
    areas: tuple[float, float], gap: float, variance: float, method: str, confidence: float
) -> Difference:
    # what is left of equal scores' variance by rounding is none
    if variance < 1e-15:
        why = "no interval: no spread at all"
        same = abs(gap) < 1e-12
        estimate = Estimate(0.0 if same else gap, None, None, why)
        return Difference(*areas, estimate, 0.0 if same else None, 1.0 if same else None)
    z, reach = gap / variance**0.5, two_sided(confidence) * variance**0.5
    estimate = Estimate(gap, max(gap - reach, -1.0), min(gap + reach, 1.0), method)
    return Difference(*areas, estimate, z, two_sided_p(z))


def _name(patients: Patients | None) -> str:
    return "DeLong" if patients is None else "DeLong over patients (Obuchowski)"


def _checked(p: ArrayLike, truth: ArrayLike) -> tuple[Floats, Bools]:
    scores, positive = as_floats(p), np.asarray(truth, bool)
    if scores.shape != positive.shape:
        raise ValueError("a score and a truth for each case are needed")
    return scores, positive


def _components(scores: Floats, positive: Bools) -> Floats:
    """DeLong's structural components (n,): of the cases of the other class, the share that each
    case lies on the right side of; ties count half."""
    found = np.empty(len(scores))
    found[positive] = _share_below(scores[positive], scores[~positive])
    found[~positive] = 1 - _share_below(scores[~positive], scores[positive])
    return found


def _share_below(some: Floats, others: Floats) -> Floats:
    """Of the others, the share below each of some; equal ones count half. In n log n."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, some, side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(others)))


def _covariance(
    components: tuple[Floats, ...], positive: Bools, patients: Patients | None
) -> NDArray[np.float64] | None:
    """Covariance of k areas of their centred components (n,), summed patient by patient; None
    where a class has one case, or one patient.

    A patient's cases of both classes vary together: the third term, 0 where each has one case.
    """
    members = rows_by_patient(np.arange(len(positive)) if patients is None else patients)
    owner = np.empty(len(positive), np.intp)
    for number, rows in enumerate(members):
        owner[rows] = number
    sums, counts = [], []
    for of in (positive, ~positive):
        with_any = len(np.unique(owner[of]))
        if with_any < 2:
            return None
        parts = [np.bincount(owner[of], each[of], len(members)) / of.sum() for each in components]
        sums.append(np.array(parts))
        counts.append(with_any / (with_any - 1))
    (hits, alarms), (a, b) = sums, counts
    both = hits @ alarms.T * len(members) / (len(members) - 1)
    return np.asarray(a * hits @ hits.T + b * alarms @ alarms.T + both + both.T)
