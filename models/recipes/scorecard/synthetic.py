"""Synthetic scans with what is known of them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vfx_edge.evaluation.matching import Place
from vfx_edge.phantom import LevelTruth, Part, Phantom
from vfx_edge.study import Scan


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A scan with truth.

    labels: (z, y, x) VerSe numbers of bone; places: level -> known place; truths: level -> heights
    and losses, where they are known. Nothing is said of suspicions where there are none.
    """

    scan: Scan
    labels: NDArray[np.uint8]
    places: dict[str, Place]
    truths: dict[str, LevelTruth] = field(default_factory=dict)


def from_phantom(made: Phantom) -> Synthetic:
    """The product's own phantom as a scan with truth."""
    places = {t.level: Place(t.centroid_lps_mm, t.whole_in_view) for t in made.truth.levels}
    return Synthetic(made.scan, _bone(made), places, {t.level: t for t in made.truth.levels})


def _bone(phantom: Phantom) -> NDArray[np.uint8]:
    mine = np.isin(phantom.parts, (Part.BODY, Part.POSTERIOR))
    return np.where(mine, phantom.labels, 0).astype(np.uint8)
