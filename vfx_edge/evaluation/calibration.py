"""Whether a stated probability is true: what was stated, and what share of it was right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from vfx_edge.evaluation.intervals import as_floats

BINS = 10
LEAST = float(np.finfo(np.float64).eps)
"""How near to 0 and 1 a probability is taken where its logarithm is needed."""
STEPS = 100
Equal = Literal["width", "mass"]


@dataclass(frozen=True)
class Bin:
    """Answers of about the same probability: how many, its mean, and the share that was right."""

    count: int
    said: float
    right: float


def reliability(
    said: ArrayLike, right: ArrayLike, bins: int = BINS, equal: Equal = "width"
) -> list[Bin]:
    """The bins that are not empty, of so many of equal width, or of equal mass: about as many
    cases each. said: (n,) probabilities; right: (n,) whether the answer was so.

    Equal probabilities stay together, so bins of equal mass may be fewer and differ.
    """
    p, truth = np.asarray(said), np.asarray(right)
    if equal == "width":
        which = np.minimum((p * bins).astype(int), bins - 1)
    else:
        ranks = np.searchsorted(np.sort(p), p)  # of the first of its like
        which = ranks * bins // max(len(p), 1)
    return [
        Bin(int(own.sum()), float(p[own].mean()), float(truth[own].mean()))
        for own in (which == number for number in range(bins))
        if own.any()
    ]


def expected_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error: the gaps of the bins, weighted by their counts; None of none."""
    whole = sum(one.count for one in bins)
    return sum(one.count * abs(one.said - one.right) for one in bins) / whole if whole else None


def brier(p: ArrayLike, truth: ArrayLike) -> float | None:
    """Mean squared gap between probability and what was so, 0..1 (Brier 1950); None of none."""
    said, so = as_floats(p), np.asarray(truth, bool)
    return float(((said - so) ** 2).mean()) if len(said) else None


def log_loss(p: ArrayLike, truth: ArrayLike) -> float | None:
    """Mean negative logarithm of the probability of what was so; None of none."""
    said, so = np.clip(as_floats(p), LEAST, 1 - LEAST), np.asarray(truth, bool)
    return float(-np.log(np.where(so, said, 1 - said)).mean()) if len(said) else None


@dataclass(frozen=True)
class BrierParts:
    """Brier = reliability − resolution + uncertainty (Murphy 1973), over the values p takes."""

    reliability: float
    """Squared gaps between what was said and what was so: 0 is best."""
    resolution: float
    """How far the shares lie from the mean one: as large as can be."""
    uncertainty: float
    """Of the cases themselves, whoever answers."""


def brier_parts(p: ArrayLike, truth: ArrayLike) -> BrierParts | None:
    """None of none."""
    said, so = as_floats(p), np.asarray(truth, bool)
    if not len(said):
        return None
    values, which = np.unique(said, return_inverse=True)
    counts = np.bincount(which)
    shares, mean = np.bincount(which, so) / counts, float(so.mean())
    return BrierParts(
        float((counts * (values - shares) ** 2).sum() / len(said)),
        float((counts * (shares - mean) ** 2).sum() / len(said)),
        mean * (1 - mean),
    )


@dataclass(frozen=True)
class Recalibration:
    """Logistic recalibration (Cox 1958): logit of the truth's share = intercept + slope · logit p.

    slope 1 and intercept 0: nothing to mend; a slope below 1: too sure of itself. in_the_large:
    the intercept where the slope is held at 1, above 0 where p is too low on the whole.
    """

    slope: float
    intercept: float
    in_the_large: float


def recalibration(p: ArrayLike, truth: ArrayLike) -> Recalibration | None:
    """By maximum likelihood. None where there is no maximum: a class is missing, p is the same
    everywhere, or a limit of p parts the classes."""
    said, so = np.clip(as_floats(p), LEAST, 1 - LEAST), np.asarray(truth, bool)
    if not so.any() or so.all() or np.ptp(said) == 0 or _parted(said, so):
        return None
    x = logit(said)
    both = _fitted(np.column_stack([np.ones_like(x), x]), so, np.zeros_like(x))
    offset = _fitted(np.ones((len(x), 1)), so, x)
    if both is None or offset is None:
        return None
    return Recalibration(float(both[1]), float(both[0]), float(offset[0]))


def _parted(said: NDArray[np.float64], so: NDArray[np.bool_]) -> bool:
    """Whether all of one class lie on one side of all of the other, ties at the limit included."""
    low, high = said[~so], said[so]
    return bool(low.max() <= high.min() or high.max() <= low.min())


def _fitted(
    x: NDArray[np.float64], so: NDArray[np.bool_], offset: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Coefficients (k,) of a logistic regression by Newton's steps, halved where they overshoot;
    None where they do not settle."""
    found = np.zeros(x.shape[1])
    loss = _loss(x @ found + offset, so)
    for _ in range(STEPS):
        p = expit(x @ found + offset)
        step = np.linalg.lstsq(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (so - p), rcond=None)[0]
        while (tried := _loss(x @ (found + step) + offset, so)) > loss and np.abs(
            step
        ).max() > LEAST:
            step = step / 2
        found, loss = found + step, min(tried, loss)
        if np.abs(step).max() <= 1e-12 * max(1.0, float(np.abs(found).max())):
            return np.asarray(found)
    return None


def _loss(z: NDArray[np.float64], so: NDArray[np.bool_]) -> float:
    return float(np.logaddexp(0, np.where(so, -z, z)).sum())
