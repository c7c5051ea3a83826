"""How sure a network may sound: temperature scaling (Guo et al. 2017)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST, MOST = 0.05, 20.0
"""Between them a temperature is looked for."""
SATURATED = 1e-7
"""A probability in 32 bits that is nearer to 0 or 1 is no longer told from it."""


def log_odds(p: ArrayLike) -> NDArray[np.float64]:
    """p: (n, 2), osteoporotic and malignant -> (n,): log of malignant to osteoporotic."""
    clipped = np.clip(np.asarray(p, np.float64), SATURATED, 1 - SATURATED)
    return np.asarray(np.log(clipped[:, 1]) - np.log(clipped[:, 0]))


def fit_temperature(p: ArrayLike, truth: ArrayLike) -> float | None:
    """The T with which p^(1/T), divided by its sum, makes the truth most likely.

    p: (n, 2), osteoporotic and malignant; truth: (n,), whether malignant. Rows that hold NaN are
    left out. None where no temperature is the likeliest: without a case that the network gets
    wrong the answers could not be too sure, without one that it gets right not unsure enough, and
    of answers of one half each temperature makes the same.

    It is the logistic regression of the truth on the log odds, without a constant: 1 / T is its
    coefficient. The likelihood has one maximum, where its slope, which only falls, is 0.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    given = np.asarray(p, np.float64).reshape(-1, 2)
    kept = np.isfinite(given).all(1)
    towards_truth = log_odds(given[kept]) * np.where(np.asarray(truth, bool)[kept], 1.0, -1.0)
    if not (towards_truth > 0).any() or not (towards_truth < 0).any():
        return None

    def slope(coefficient: float) -> float:
        return float((towards_truth * expit(-coefficient * towards_truth)).mean())

    if slope(1 / MOST) <= 0:
        return MOST
    if slope(1 / LEAST) >= 0:
        return LEAST
    return 1 / float(brentq(slope, 1 / MOST, 1 / LEAST, xtol=1e-14, rtol=1e-14))
