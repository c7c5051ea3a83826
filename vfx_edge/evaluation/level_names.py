"""Levels that were named against the known ones: how many are right, and stated how surely."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from vfx_edge.evaluation import calibration
from vfx_edge.evaluation.matching import nearest_place
from vfx_edge.study import Vertebra

NEAR_MM = 12.0
INSIDE_MM = 10.0  # a body nearer to the cut's end is not counted
SURE = 0.9
UNCOUNTED = ("C1", "S1")
"""C1 has no body, and S1 is no vertebra."""

Places = Mapping[str, Sequence[float]]
"""Name -> LPS mm."""


@dataclass(frozen=True)
class Named:
    """One vertebra of one cut: what it is called, how surely, and what else it may be."""

    vertebra: str
    called: str
    probability: float
    alternatives: tuple[str, ...]

    @property
    def right(self) -> bool:
        return self.called == self.vertebra

    @property
    def named(self) -> bool:
        """Right, or named as an alternative."""
        return self.right or self.vertebra in self.alternatives


def matched(
    found: Sequence[Vertebra], places: Places, box: tuple[np.ndarray, np.ndarray]
) -> Iterator[Named]:
    """What the known vertebrae that lie well inside the cut are called. box: its corners, LPS."""
    low, high = (end[2] + step for end, step in zip(box, (INSIDE_MM, -INSIDE_MM), strict=True))
    for one in found:
        name, gap_mm = nearest_place(one.centroid_lps_mm, places)
        counts = name not in UNCOUNTED and gap_mm < NEAR_MM
        if counts and low < places[name][2] < high:
            others = tuple(level.value for level, _ in one.alternatives)
            yield Named(name, one.level.value, one.label_probability, others)


def counted(names: Sequence[Named]) -> dict[str, Any]:
    """Counts of vertebrae: all, right, right or an alternative, and wrong though sure."""
    return {
        "vertebrae": len(names),
        "right": sum(one.right for one in names),
        "named": sum(one.named for one in names),
        "sure": sum(one.probability >= SURE for one in names),
        "wrong_though_sure": sum(one.probability >= SURE and not one.right for one in names),
        "mean_probability": float(np.mean([one.probability for one in names])) if names else None,
    }


def agreement(cuts: Sequence[Sequence[Named]]) -> dict[str, int]:
    """Of the vertebrae that a cut shares with the next one, those called the same in both."""
    shared = same = 0
    for one, other in pairwise(cuts):
        called = {named.vertebra: named.called for named in other}
        both = [named for named in one if named.vertebra in called]
        shared += len(both)
        same += sum(named.called == called[named.vertebra] for named in both)
    return {"shared": shared, "same": same}


def reliability(names: Sequence[Named]) -> list[dict[str, Any]]:
    """Bins of the stated probability: count, what was said on average, what share was right."""
    said, right = ([getattr(one, key) for one in names] for key in ("probability", "right"))
    return [asdict(one) for one in calibration.reliability(said, right)]
