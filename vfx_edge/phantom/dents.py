"""Harmless findings: endplate dents (Schmorl's nodes), bone islands, angiomas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F32, Patch
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.solids import Ellipsoid, ellipsoid

_OFTEN_DENTED = ("T9", "T10", "T11", "T12", "L1", "L2", "L3")


@dataclass(frozen=True, eq=False)
class Spot:
    """A benign patch of other density inside a body."""

    solid: Ellipsoid
    hu: float


def make_dents(vertebra: Vertebra, degeneration: float, jitter: Jitter) -> tuple[Ellipsoid, ...]:
    """Zero, one or two round dents; commonest around the thoracolumbar junction."""
    likely = 0.25 if vertebra.level in _OFTEN_DENTED else 0.06
    s = vertebra.size
    made: list[Ellipsoid] = []
    for end in (-1.0, 1.0):
        place = (jitter.between(-0.4, 0.4), jitter.between(-0.3, 0.5))
        wide, deep = jitter.between(2.5, 6.5), jitter.between(1.5, 4.5)
        if jitter.chance(likely * (0.5 + degeneration)):
            at = vertebra.frame.world(
                place[0] * s.width_mm / 2, place[1] * s.depth_mm / 2, end * 0.465 * s.height_mm
            )
            made.append(ellipsoid(at, (wide, wide, deep), vertebra.frame.axes))
    return tuple(made)


def make_spots(vertebra: Vertebra, jitter: Jitter) -> tuple[Spot, ...]:
    """At most one dense island and one low-density angioma."""
    s = vertebra.size
    made: list[Spot] = []
    for likely, sizes, hus in ((0.05, (1.2, 3.5), (550, 950)), (0.05, (3.0, 8.0), (-20, 90))):
        left, back, up = (jitter.between(-0.5, 0.5) for _ in range(3))
        radius, hu = jitter.between(*sizes), jitter.between(*hus)
        tall = radius * jitter.between(0.9, 1.5)
        if jitter.chance(likely):
            at = vertebra.frame.world(
                left * s.width_mm / 2, back * s.depth_mm / 2, up * 0.6 * s.height_mm
            )
            solid = ellipsoid(at, (radius, radius, tall), vertebra.frame.axes)
            made.append(Spot(solid, hu))
    return tuple(made)


def paint_spot(patch: Patch, spot: Spot, whole: F32) -> None:
    """Draw ``spot`` where it lies inside the bone (``whole`` < 0), sparing the cortex."""
    box = patch.slices(spot.solid.low - 2, spot.solid.high + 2)
    if box is None:
        return
    sub = patch.at(box)
    share = sub.coverage(spot.solid.distance(sub)) * sub.coverage(whole[box], -1.0)
    sub.blend(np.float32(0.85) * share, spot.hu)
