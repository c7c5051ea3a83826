"""Answers to a question of two classes, where "cannot tell" is an answer, too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.evaluation.rates import Confusion, confusion

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """n cases, each (n,): called positive, called negative, or neither; and which are positive."""

    positive: Bools
    negative: Bools
    truth: Bools

    @property
    def answered(self) -> Bools:
        return self.positive | self.negative

    @property
    def right(self) -> Bools:
        return (self.positive & self.truth) | (self.negative & ~self.truth)

    @property
    def wrong(self) -> Bools:
        return (self.positive & ~self.truth) | (self.negative & self.truth)

    @property
    def confusion(self) -> Confusion:
        """Counts of the cases that were answered."""
        return confusion(self.positive[self.answered], self.truth[self.answered])

    @property
    def not_missed(self) -> float:
        """Of all positive cases, the share that was not called negative; 1 where there are none."""
        return 1 - int((self.negative & self.truth).sum()) / max(int(self.truth.sum()), 1)
