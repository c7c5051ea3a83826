"""How well readers agree: kappa for classes, ICC for measures."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from vfx_edge.evaluation.intervals import (
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    Numbers,
    Patients,
    bootstrap,
    rows_by_patient,
)

Floats = NDArray[np.float64]
Weights = Literal["linear", "quadratic"]
NOTHING = 1e-12
"""What rounding leaves of a 0."""
NO_SPREAD = "no interval: no spread at all"
IccKind = Literal["ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(1,k)", "ICC(2,k)", "ICC(3,k)"]


def cohen_kappa(
    one: Sequence[Hashable],
    other: Sequence[Hashable],
    weights: Weights | None = None,
    categories: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
    patients: Patients | None = None,
) -> Estimate | None:
    """Agreement of two readings (n,) beyond chance (Cohen 1960, weighted 1968), with the large
    sample variance of Fleiss, Cohen and Everitt 1969. The interval is symmetric on Fisher's z
    scale, by Student's t and n / (n − 1) of that variance: on kappa's own scale, or by the normal
    distribution, it covers too seldom where agreement is good or cases are few.

    weights: how much less two neighbouring categories disagree; they need `categories` in order
    (default: sorted). patients: (n,) whose case it is, where one may have several: the variance is
    then that of patients' sums (Yang and Zhou 2014). None where it is not defined: no case, or all
    of one category.
    """
    named = categories if categories is not None else sorted({*one, *other})  # type: ignore[type-var]
    place = {name: number for number, name in enumerate(named)}
    at = np.array([[place[name] for name in pair] for pair in zip(one, other, strict=True)], int)
    if not len(at):
        return None
    table = np.zeros((len(place), len(place)))
    np.add.at(table, tuple(at.T), 1)
    near = _nearness(len(table), weights)
    shares = table / table.sum()
    rows, columns = shares.sum(1), shares.sum(0)
    expected = float(rows @ near @ columns)
    if 1 - expected < NOTHING:
        return None
    value = (float((near * shares).sum()) - expected) / (1 - expected)
    means = (near @ columns)[:, None] + (rows @ near)[None]
    members = rows_by_patient(range(len(at)) if patients is None else patients)
    gaps = (near - means * (1 - value))[tuple(at.T)]
    gaps -= gaps.mean()
    spread = sum(float(gaps[own].sum()) ** 2 for own in members) / len(at)
    if spread < NOTHING or 1 - abs(value) < NOTHING or len(members) < 2:
        return Estimate(value, None, None, NO_SPREAD)
    variance = spread / len(at) * len(members) / (len(members) - 1) / (1 - expected) ** 2
    return _on_z_scale(value, variance**0.5 / (1 - value**2), members, "large sample", confidence)


def _on_z_scale(
    value: float, error: float, members: Sequence[Numbers], named: str, confidence: float
) -> Estimate:
    """error: of Fisher's z. members: the numbers of each patient's cases."""
    reach = float(stdtrit(len(members) - 1, (1 + confidence) / 2)) * error
    low, high = np.tanh(np.arctanh(value) + np.array([-reach, reach]))
    over = f" over {len(members)} patients" if any(len(own) > 1 for own in members) else ""
    method = f"{named}{over}, Fisher's z scale, Student's t"
    return Estimate(value, float(low), float(high), method)


def _nearness(categories: int, weights: Weights | None) -> Floats:
    """1 for the same category, less the farther they lie apart."""
    if weights is None or categories < 2:
        return np.eye(categories)
    steps = np.abs(np.subtract.outer(np.arange(categories), np.arange(categories)))
    apart = steps / (categories - 1)
    return np.asarray(1 - (apart if weights == "linear" else apart**2))


def fleiss_kappa(
    answers: Sequence[Sequence[Hashable]],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    patients: Patients | None = None,
) -> Estimate | None:
    """Agreement of any number of readers beyond chance (Fleiss 1971), with the bootstrap over
    patients (n,); None: each case is one. answers: (n cases) of each reader, without gaps. None
    where it is not defined."""
    if len({len(case) for case in answers}) > 1:
        raise ValueError("each case needs an answer of each reader")
    names = sorted({name for case in answers for name in case})  # type: ignore[type-var]
    counts = np.array([[case.count(name) for name in names] for case in map(list, answers)])
    if not counts.size or counts.sum(1)[0] < 2:
        return None
    return bootstrap(
        lambda drawn: _fleiss(counts[drawn]),
        range(len(counts)) if patients is None else patients,
        confidence=confidence,
        resamples=resamples,
    )


def _fleiss(counts: NDArray[np.int_]) -> float | None:
    cases, readers = len(counts), int(counts[0].sum())
    same = float((counts * (counts - 1)).sum()) / (cases * readers * (readers - 1))
    by_chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return None if 1 - by_chance < NOTHING else (same - by_chance) / (1 - by_chance)


def icc(
    ratings: ArrayLike,
    kind: IccKind = "ICC(2,1)",
    confidence: float = CONFIDENCE,
    patients: Patients | None = None,
) -> Estimate | None:
    """Intraclass correlation of ratings (n cases, k raters), without gaps (Shrout and Fleiss 1979),
    with the interval by F (McGraw and Wong 1996).

    (1,…): each case by other raters; (2,…): raters are a sample, their level counts; (3,…): these
    raters, their level does not. (…,1): of one rater; (…,k): of the mean of k. patients: (n,) whose
    case it is; where one has several, the interval is the jackknife's over patients on Fisher's z
    scale. None where it is not defined: fewer than two cases or raters, or no variance.
    """
    if kind not in get_args(IccKind):
        raise ValueError(f"{kind} is none of {', '.join(get_args(IccKind))}")
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError("ratings are cases by raters, without gaps")
    if min(table.shape) < 2 or np.ptp(table) == 0:
        return None
    form, averaged = kind[4], kind[6] == "k"
    squares = _mean_squares(table)
    value = _icc_value(squares, form)
    if value is None:
        return None
    members = [] if patients is None else rows_by_patient(patients)
    clustered = 0 < len(members) < len(table)
    if clustered:
        found = _jackknife(table, form, value, members, confidence)
    else:
        found = Estimate(value, *_icc_ends(squares, form, value, confidence), "F, McGraw and Wong")
    every = (found.value, found.low, found.high)
    shown, low, high = (_of_mean(x, squares.raters) for x in every) if averaged else every
    if shown is None:
        return None
    if low is None or high is None:
        return Estimate(shown, None, None, "no interval: no spread, or no agreement, to rest on")
    return Estimate(shown, low, high, found.method)


def _jackknife(
    table: Floats, form: str, value: float, members: Sequence[Numbers], confidence: float
) -> Estimate:
    """Of one rater's, each patient left out once."""
    left = (np.delete(table, own, axis=0) for own in members)
    found = [_icc_value(_mean_squares(some), form) if len(some) > 1 else None for some in left]
    known = np.array([one for one in (value, *found) if one is not None and abs(one) < 1 - NOTHING])
    if len(known) <= len(members):
        return Estimate(value, None, None, NO_SPREAD)
    moved = np.arctanh(known[1:])
    freedom = len(members) - 1
    error = (freedom / len(members) * float(((moved - moved.mean()) ** 2).sum())) ** 0.5
    if error < NOTHING:
        return Estimate(value, None, None, NO_SPREAD)
    return _on_z_scale(value, error, members, "jackknife", confidence)


@dataclass(frozen=True)
class _MeanSquares:
    """Of the analysis of variance of a table (cases, raters)."""

    cases: int
    raters: int
    between: float
    within: float
    between_raters: float
    residual: float


def _mean_squares(table: Floats) -> _MeanSquares:
    n, k = table.shape
    by_case, by_rater, mean = table.mean(1), table.mean(0), table.mean()
    residual = table - by_case[:, None] - by_rater[None] + mean
    return _MeanSquares(
        cases=n,
        raters=k,
        between=float(k * ((by_case - mean) ** 2).sum() / (n - 1)),
        within=float(((table - by_case[:, None]) ** 2).sum() / (n * (k - 1))),
        between_raters=float(n * ((by_rater - mean) ** 2).sum() / (k - 1)),
        residual=float((residual**2).sum() / ((n - 1) * (k - 1))),
    )


def _icc_value(of: _MeanSquares, form: str) -> float | None:
    """Of one rater; None where numerator and denominator vanish."""
    noise = of.within if form == "1" else of.residual
    levels = of.raters * (of.between_raters - noise) / of.cases if form == "2" else 0.0
    whole = of.between + (of.raters - 1) * noise + levels
    return (of.between - noise) / whole if whole > NOTHING * (of.between + noise) else None


def _icc_ends(
    of: _MeanSquares, form: str, value: float, confidence: float
) -> tuple[float | None, float | None]:
    """Limits of one rater's, (None, None) where nothing varies within the cases."""
    from scipy.stats import f

    n, k, at = of.cases, of.raters, (1 + confidence) / 2
    if form == "2":
        seen = k * value * of.between_raters
        other = (n * (1 + (k - 1) * value) - k * value) * of.residual
        if abs(seen + other) <= NOTHING * n * k * of.between:
            return None, None
        freedom = (seen + other) ** 2 / (seen**2 / (k - 1) + other**2 / ((n - 1) * (k - 1)))
        noise = k * of.between_raters + (k * n - k - n) * of.residual
        down, up = f.ppf(at, n - 1, freedom), f.ppf(at, freedom, n - 1)
        low = n * (of.between - down * of.residual) / (down * noise + n * of.between)
        high = n * (up * of.between - of.residual) / (noise + n * up * of.between)
        return float(low), float(high)
    noise, freedom = (of.within, n * (k - 1)) if form == "1" else (of.residual, (n - 1) * (k - 1))
    if noise < NOTHING * of.between:
        return None, None
    ratio = of.between / noise
    low, high = ratio / f.ppf(at, n - 1, freedom), ratio * f.ppf(at, freedom, n - 1)
    return float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def _of_mean(one: float | None, raters: int) -> float | None:
    """Spearman and Brown: the correlation of means of k, from that of one."""
    if one is None or 1 + (raters - 1) * one <= NOTHING:
        return None
    return raters * one / (1 + (raters - 1) * one)
