"""Whether a stated probability is true: what was stated, and what share of it was right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers of about the same probability: how many, its mean, and the share that was right."""

    count: int
    said: float
    right: float


def reliability(said: ArrayLike, right: ArrayLike) -> list[Bin]:
    """The bins that are not empty, of BINS of equal width. said: (n,) probabilities; right: (n,)
    whether the answer was so."""
    p, truth = np.asarray(said), np.asarray(right)
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    return [
        Bin(int(own.sum()), float(p[own].mean()), float(truth[own].mean()))
        for own in (which == number for number in range(BINS))
        if own.any()
    ]


def expected_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error: the gaps of the bins, weighted by their counts; None of none."""
    whole = sum(one.count for one in bins)
    return sum(one.count * abs(one.said - one.right) for one in bins) / whole if whole else None
