"""How well two classes are told apart, where "cannot tell" is an answer, too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
RESAMPLED = 1000


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
    def sensitivity(self) -> float:
        """Of the positive cases that were answered, the share that was called positive."""
        return float(self.positive[self.answered & self.truth].mean())

    @property
    def specificity(self) -> float:
        """Of the negative cases that were answered, the share that was called negative."""
        return float(self.negative[self.answered & ~self.truth].mean())

    @property
    def accuracy(self) -> float:
        """Of the cases that were answered, the share that was right."""
        return float(self.right[self.answered].mean())

    @property
    def not_missed(self) -> float:
        """Of all positive cases, the share that was not called negative; 1 where there are none."""
        return 1 - int((self.negative & self.truth).sum()) / max(int(self.truth.sum()), 1)


def auc(p: Floats, truth: Bools) -> float:
    """Area under the ROC curve; ties count half. NaN where a class is missing."""
    a, b = p[truth], p[~truth]
    if not len(a) or not len(b):
        return float("nan")
    above = (a[:, None] > b[None]).mean() + 0.5 * (a[:, None] == b[None]).mean()
    return float(above)


def auc_interval(p: Floats, truth: Bools, groups: NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval of `auc` by bootstrap over groups (n,): cases of one are not independent."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = []
    for _ in range(RESAMPLED):
        drawn = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        found.append(auc(p[drawn], truth[drawn]))
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return float(low), float(high)
