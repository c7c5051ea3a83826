"""Decision curve: whether acting on a probability does more good than acting on all, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vfx_edge.evaluation.intervals import as_floats


@dataclass(frozen=True)
class Benefit:
    """Net benefit per case at one threshold probability: true positives less false positives at
    the threshold's odds (Vickers and Elkin 2006). treat_none is 0 by definition."""

    threshold: float
    model: float
    treat_all: float
    treat_none: float = 0.0


def net_benefit(p: ArrayLike, truth: ArrayLike, thresholds: Sequence[float]) -> tuple[Benefit, ...]:
    """p: (n,) probability of the positive class; a case is acted on where p ≥ the threshold.

    thresholds: each ≥ 0 and below 1, ValueError otherwise. Nothing of no case.
    """
    said, so = as_floats(p), np.asarray(truth, bool)
    if any(not 0 <= one < 1 for one in thresholds):
        raise ValueError("a threshold probability is at least 0 and below 1")
    if not len(said):
        return ()
    share = float(so.mean())
    found = []
    for threshold in thresholds:
        odds, acted = threshold / (1 - threshold), said >= threshold
        model = float((acted & so).mean() - odds * (acted & ~so).mean())
        found.append(Benefit(float(threshold), model, share - odds * (1 - share)))
    return tuple(found)
