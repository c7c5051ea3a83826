"""How far the answers of one runtime are from those of another, in numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.evaluation.overlap import dice
from vfx_edge.manifest import NetworkSpec
from vfx_edge.spine.classify import decide, settle
from vfx_edge.study import tier_of

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Figures:
    """Probabilities against the reference's, over some crops."""

    crops: int
    max_difference: float
    mean_difference: float
    """Mean of the absolute differences."""
    shift: float
    """Of the class that moved most: the mean difference, with its sign."""
    min_dice: float | None
    """Of the worst class's masks (p > 0.5); None where the network answers once for the crop."""
    tier_changes: int | None
    """Crops whose tier is another; None where the network is no classifier."""

    def within(self, spec: NetworkSpec) -> bool:
        """Whether the manifest's tolerance holds."""
        near = self.max_difference <= spec.precision.max_probability_difference
        return near and (self.min_dice is None or self.min_dice >= spec.precision.min_dice)


def figures_of(got: Floats, wanted: Floats, spec: NetworkSpec) -> Figures:
    """got, wanted: probabilities (n, classes, ...)."""
    gap = got - wanted
    by_class = gap.mean((0, *range(2, gap.ndim)), dtype=np.float64)
    return Figures(
        crops=len(got),
        max_difference=float(np.abs(gap).max()),
        mean_difference=float(np.abs(gap).mean(dtype=np.float64)),
        shift=float(by_class[np.abs(by_class).argmax()]),
        min_dice=worst_dice(got, wanted) if got.ndim == 5 else None,
        tier_changes=_tier_changes(got, wanted, spec) if "classifier" in spec.roles else None,
    )


def worst_dice(got: Floats, wanted: Floats) -> float:
    """The lowest Dice of a class's masks, over all crops (n, classes, z, y, x) together."""
    pairs = zip(got.swapaxes(0, 1), wanted.swapaxes(0, 1), strict=True)
    return min(dice(a > 0.5, b > 0.5) for a, b in pairs)


def _tier_changes(got: Floats, wanted: Floats, spec: NetworkSpec) -> int:
    pairs = zip(_tiers(got, spec), _tiers(wanted, spec), strict=True)
    return sum(a != b for a, b in pairs)


def _tiers(answers: Floats, spec: NetworkSpec) -> list[str]:
    """What `vfx-edge run` would say of each crop, taken as a suspected fracture."""
    each = zip(*settle(answers[None], spec.output.classes), strict=True)
    said = [decide(float(o), float(m), float(u), True, spec) for o, m, u in each]
    return [tier_of(one) or one.kind for one in said]
