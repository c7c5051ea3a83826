"""How much a measure, a probability or a verdict changes when a patient is measured again.

A *subject* is what is measured repeatedly, a vertebra; a patient may have several, which are alike:
so where there are more subjects than patients, intervals come from the bootstrap over patients.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vfx_edge.evaluation.intervals import (
    CONFIDENCE,
    Estimate,
    as_floats,
    bootstrap,
    share,
    two_sided,
)

TWO_SIDED = two_sided(0.95)
CHANGED = 0.1
"""A probability that moves by more is counted as changed."""
Patients = Sequence[Hashable] | NDArray[np.generic]


@dataclass(frozen=True)
class WithinSubject:
    """sd: within-subject standard deviation, in the unit of what was measured. coefficient:
    repeatability coefficient, √2 · 1.96 · sd = 2.77 · sd: two measurements of one subject lie no
    farther apart in 95 of 100 cases."""

    subjects: int
    measurements: int
    sd: Estimate
    coefficient: Estimate


@dataclass(frozen=True)
class Limits:
    """Second less first, over n pairs: their mean (bias), standard deviation, and the limits
    between which 95 of 100 lie."""

    n: int
    bias: Estimate
    sd: float
    lower: Estimate
    upper: Estimate


@dataclass(frozen=True)
class Change:
    """Of a probability, over n pairs, second less first: mean, standard deviation, the largest
    (without sign), and the share of pairs that moved by more than CHANGED."""

    n: int
    mean: Estimate
    sd: float
    largest: float
    changed: Estimate


@dataclass(frozen=True)
class Flips:
    """Of answers in words: the share of n pairs whose second answer is another one, and how often
    each pair (first, second) came."""

    n: int
    share: Estimate
    pairs: Mapping[tuple[str, str], int]


def within_subject(
    values: ArrayLike,
    subjects: Sequence[Hashable],
    patients: Patients | None = None,
    confidence: float = CONFIDENCE,
) -> WithinSubject | None:
    """By one-way analysis of variance (Bland and Altman, BMJ 1996;313:744): the root of the mean
    variance within subjects, whatever their number of measurements.

    values: (n,); subjects: (n,) what each is a measurement of; patients: (n,) whose it is, None:
    each subject is a patient. Subjects measured once count nowhere; None where no other is left.
    The interval is the chi-square one of normal errors, or the bootstrap over patients where one
    has several subjects. What all second measurements have in common, a bias, counts as error.
    """
    numbers = as_floats(values)
    owner = dict(zip(subjects, subjects if patients is None else patients, strict=True))
    rows: dict[Hashable, list[float]] = {}
    for subject, value in zip(subjects, numbers.tolist(), strict=True):
        rows.setdefault(subject, []).append(value)
    repeated = {subject: of for subject, of in rows.items() if len(of) > 1}
    if not repeated:
        return None
    squares = np.array([np.var(of) * len(of) for of in repeated.values()])
    freedom = np.array([len(of) - 1 for of in repeated.values()])
    sd = _deviation(squares, freedom, [owner[s] for s in repeated], confidence)
    measured = int(freedom.sum()) + len(repeated)
    return WithinSubject(len(repeated), measured, sd, _times(sd, np.sqrt(2) * TWO_SIDED))


def _deviation(
    squares: NDArray[np.float64],
    freedom: NDArray[np.int_],
    patients: Sequence[Hashable],
    confidence: float,
) -> Estimate:
    from scipy.stats import chi2

    whole = int(freedom.sum())
    value = float(np.sqrt(squares.sum() / whole))
    if len(set(patients)) < len(patients):
        drawn = bootstrap(
            lambda n: float(np.sqrt(squares[n].sum() / freedom[n].sum())),
            patients,
            confidence=confidence,
        )
        assert drawn is not None, "a deviation is always defined here"
        return drawn
    if value == 0:
        return Estimate(value, None, None, "no interval: no spread at all")
    ends = chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], whole)
    low, high = value * np.sqrt(whole / ends)
    return Estimate(value, float(low), float(high), f"chi-square, {whole} degrees of freedom")


def _times(one: Estimate, factor: float) -> Estimate:
    low = None if one.low is None else one.low * factor
    high = None if one.high is None else one.high * factor
    return Estimate(one.value * factor, low, high, one.method)


def limits_of_agreement(
    first: ArrayLike, second: ArrayLike, confidence: float = CONFIDENCE
) -> Limits | None:
    """Of pairs (n,), one a patient; None for fewer than two.

    Bland and Altman, Stat Methods Med Res 1999;8:135: the bias with Student's interval, the limits
    bias ± 1.96 SD with the large-sample variance (1/n + 1.96²/(2(n - 1))) SD².
    """
    from scipy.stats import t

    gaps = as_floats(second) - as_floats(first)
    n = len(gaps)
    if n < 2:
        return None
    bias, sd = float(gaps.mean()), float(gaps.std(ddof=1))
    wide = float(t.ppf((1 + confidence) / 2, n - 1))
    own, ends = sd / np.sqrt(n), sd * np.sqrt(1 / n + TWO_SIDED**2 / (2 * (n - 1)))

    def about(value: float, error: float) -> Estimate:
        reach = float(wide * error)
        return Estimate(value, value - reach, value + reach, f"Student's t, {n} pairs")

    reach = TWO_SIDED * sd
    return Limits(n, about(bias, own), sd, about(bias - reach, ends), about(bias + reach, ends))


def clustered_limits(
    first: ArrayLike, second: ArrayLike, patients: Patients, confidence: float = CONFIDENCE
) -> Limits | None:
    """The same of pairs (n,) of which a patient may have several, with the bootstrap over them."""
    if len(set(patients)) == len(patients):
        return limits_of_agreement(first, second, confidence)
    gaps = as_floats(second) - as_floats(first)

    def ends(side: float) -> Estimate:
        def end(drawn: NDArray[np.intp]) -> float | None:
            some = gaps[drawn]
            return None if len(some) < 2 else some.mean() + side * TWO_SIDED * some.std(ddof=1)

        found = bootstrap(end, patients, confidence=confidence)
        assert found is not None, "two pairs have a deviation"
        return found

    return Limits(len(gaps), ends(0), float(gaps.std(ddof=1)), ends(-1), ends(1))


def change(
    first: ArrayLike, second: ArrayLike, patients: Patients, confidence: float = CONFIDENCE
) -> Change | None:
    """Of probabilities (n,), 0..1; None of none."""
    gaps = as_floats(second) - as_floats(first)
    if not len(gaps):
        return None
    mean = bootstrap(lambda n: float(gaps[n].mean()), patients, confidence=confidence)
    assert mean is not None, "a mean is always defined"
    changed = share(np.abs(gaps) > CHANGED, patients, confidence=confidence)
    assert changed is not None, "there are pairs"
    sd = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    largest = float(np.abs(gaps).max())
    return Change(len(gaps), mean, sd, largest, changed)


def flips(
    first: Sequence[str], second: Sequence[str], patients: Patients, confidence: float = CONFIDENCE
) -> Flips | None:
    """Of answers (n,); None of none."""
    if not len(first):
        return None
    other = np.array([a != b for a, b in zip(first, second, strict=True)])
    found = share(other, patients, confidence=confidence)
    assert found is not None, "there are pairs"
    return Flips(len(first), found, dict(Counter(zip(first, second, strict=True))))
