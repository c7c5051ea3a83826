"""Counts of two classes against two answers, and the rates made of them. Positive is malignant."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vfx_edge.evaluation.intervals import Estimate, Method, proportion


@dataclass(frozen=True)
class Confusion:
    """Cases that were answered, by truth. The rates have Wilson's interval, which takes the cases
    as independent: with several vertebrae a patient `bootstrap` is the one to use. None: of no
    case."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    @property
    def positive(self) -> int:
        """Cases that are so."""
        return self.true_positive + self.false_negative

    @property
    def negative(self) -> int:
        return self.true_negative + self.false_positive

    @property
    def cases(self) -> int:
        return self.positive + self.negative

    @property
    def accuracy(self) -> Estimate | None:
        """Of the cases, the share that was right."""
        return proportion(self.true_positive + self.true_negative, self.cases)

    @property
    def sensitivity(self) -> Estimate | None:
        """Of the positive cases, the share that was called positive."""
        return proportion(self.true_positive, self.positive)

    @property
    def specificity(self) -> Estimate | None:
        """Of the negative cases, the share that was called negative."""
        return proportion(self.true_negative, self.negative)

    @property
    def ppv(self) -> Estimate | None:
        """Positive predictive value: of those called positive, the share that is."""
        return proportion(self.true_positive, self.true_positive + self.false_positive)

    @property
    def npv(self) -> Estimate | None:
        """Negative predictive value: of those called negative, the share that is."""
        return proportion(self.true_negative, self.true_negative + self.false_negative)

    @property
    def balanced_accuracy(self) -> float | None:
        """(sensitivity + specificity) / 2, what the study prints as AUC; None where a class is
        missing."""
        if not (self.positive and self.negative):
            return None
        return (self.true_positive / self.positive + self.true_negative / self.negative) / 2

    def balanced_accuracy_interval(self, method: Method = "wilson") -> Estimate | None:
        """`balanced_accuracy` with the interval made of those of sensitivity and specificity, for
        independent cases: square-and-add (Newcombe 1998; Zou and Donner 2008)."""
        parts = (
            proportion(self.true_positive, self.positive, method),
            proportion(self.true_negative, self.negative, method),
        )
        return mean_of_shares(*parts)


def mean_of_shares(one: Estimate | None, other: Estimate | None) -> Estimate | None:
    """The mean of two shares of different cases, with the interval made of theirs by
    square-and-add; None where one is missing."""
    if one is None or other is None:
        return None
    parts = (one, other)
    down = math.hypot(*(part.value - (part.low or 0) for part in parts))
    up = math.hypot(*((part.high or 0) - part.value for part in parts))
    value = (one.value + other.value) / 2
    named = f"square-and-add of {one.method}"
    return Estimate(value, value - down / 2, value + up / 2, named)


def confusion(called: ArrayLike, truth: ArrayLike) -> Confusion:
    """called, truth: (n,) whether each case was called positive, and whether it is."""
    said, so = np.asarray(called, bool), np.asarray(truth, bool)
    return Confusion(
        int((said & so).sum()),
        int((said & ~so).sum()),
        int((~said & ~so).sum()),
        int((~said & so).sum()),
    )
