"""Gaps in the cortex of the body's front and side walls."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.spine.signs.local import HALF, STEP_MM, Array, Bool, Local, body_middle_mm

SHARE = 0.3
"""Of the height, up and down: the rims carry spurs, and the endplates nodes."""
ANGLES = np.linspace(-np.pi, np.pi, 72, endpoint=False)
"""About the body's axis; 0 looks to the back, to which FREE leaves the canal and the pedicles."""
FREE = np.pi / 2.6
STEPS_MM = np.arange(0.0, 40.0, 0.5)
WALL_MM, MARROW_MM, OUTSIDE_MM = (-1.5, 0.5), (-5.0, -3.5), (2.0, 3.0)
"""Where wall, marrow and surroundings are read, from the outline outward."""
NEIGHBOUR_MM = (-8.0, 4.0)
"""A wall that a neighbour's bone touches is not read."""
NEAREST_MM = 6.0
LEAST_MARROW_HU = 100.0
SURROUNDINGS, SURROUNDINGS_HU = 0.1, (-600.0, 60.0)
"""A thin wall beside air or fat looks less dense than it is: so much of them is put down to it."""
SOFT_HU, DENSEST = 50.0, 0.6
WEAK, WEAKEST = 0.2, 0.1
"""A gap's wall rises over the marrow less than WEAK of its neighbours', somewhere less than
WEAKEST, and is no denser than DENSEST of theirs, over soft tissue."""


@dataclass(frozen=True, eq=False)
class _Wall:
    """(rows, angles) HU of the wall and by how much it is denser than the marrow behind; NaN where
    bone goes on behind the wall, or a neighbour lies before it. radius: from the axis, mm."""

    density: Array
    rise: Array
    radius: Array


def gap_mm2(own: Local, neighbours: Sequence[Local]) -> float | None:
    """Area of the largest place without cortex, mm2; None where too little of the wall is free."""
    theirs = [wall for n in neighbours if np.isfinite((wall := _wall(n)).rise).any()]
    wall = _wall(own)
    free = np.isfinite(wall.rise)
    if not theirs or free.mean() < 0.25:
        return None
    usual = float(np.median([np.nanmedian(one.rise) for one in theirs]))
    dense = float(np.median([np.nanmedian(one.density) for one in theirs]))
    thin = free & (wall.density < SOFT_HU + DENSEST * (dense - SOFT_HU))
    rise = np.where(thin, wall.rise, np.inf)
    labels = _pieces(rise < WEAK * usual)
    patch = STEP_MM * wall.radius * float(ANGLES[1] - ANGLES[0])
    gaps = set(np.unique(labels[rise < WEAKEST * usual])) - {0}
    return max((float(patch[labels == gap].sum()) for gap in gaps), default=0.0)


def _pieces(weak: Bool) -> NDArray[np.int32]:
    """Numbers of the pieces; the last angle and the first lie side by side."""
    labels = np.asarray(ndimage.label(weak)[0], np.int32)
    for first, last in zip(labels[:, 0].copy(), labels[:, -1].copy(), strict=True):
        if first and last:
            labels[labels == last] = first
    return labels


def _wall(local: Local) -> _Wall:
    bone, hu, other = _rays(local)
    outside = bone <= HALF
    edge = np.where(outside.any(2), outside.argmax(2), 0)
    radius = _crossing_mm(bone, edge)
    beyond = (edge * 0.5 + 1.0)[..., None] < STEPS_MM
    good = (radius > NEAREST_MM) & (np.abs(ANGLES) > FREE) & ~((bone > HALF) & beyond).any(2)
    density = _calm(_at(hu, radius, WALL_MM)).max(2)
    marrow = np.maximum(_calm(_at(hu, radius, MARROW_MM)).mean(2), LEAST_MARROW_HU)
    beside = _calm(_at(hu, radius, OUTSIDE_MM)).mean(2)
    good &= (_at(other, radius, NEIGHBOUR_MM) <= HALF).all(2)
    rise = density - marrow - SURROUNDINGS * np.clip(beside, *SURROUNDINGS_HU)
    return _Wall(np.where(good, density, np.nan), np.where(good, rise, np.nan), radius)


def _calm(values: Array) -> Array:
    """Without the noise of single rays."""
    rows = ndimage.uniform_filter1d(values, 3, axis=0, mode="nearest")
    return np.asarray(ndimage.uniform_filter1d(rows, 3, axis=1, mode="wrap"))


def _rays(local: Local) -> tuple[Array, Array, Array]:
    """(rows, angles, steps) bone, HU and bone of neighbours along rays from the body's axis."""
    rows = local.rows(SHARE)
    middle = body_middle_mm(local)
    back = np.cos(ANGLES)[:, None] * STEPS_MM + middle[0] - local.back_mm[0]
    left = np.sin(ANGLES)[:, None] * STEPS_MM + middle[1] - local.left_mm[0]
    at = np.stack([back, left]) / STEP_MM
    read = [
        np.stack([ndimage.map_coordinates(section, at, order=1) for section in volume[rows]])
        for volume in (local.solid, local.hu, local.others.astype(np.float32))
    ]
    return read[0], read[1], read[2]


def _crossing_mm(bone: Array, edge: NDArray[np.intp]) -> Array:
    """Where the outline lies on each ray, to a part of a step. edge: first step outside."""
    before = np.maximum(edge - 1, 0)
    over = np.take_along_axis(bone, before[..., None], 2)[..., 0]
    under = np.take_along_axis(bone, edge[..., None], 2)[..., 0]
    return np.asarray((edge - 1 + (over - HALF) / np.maximum(over - under, 1e-6)) * 0.5)


def _at(values: Array, radius: Array, between_mm: tuple[float, float]) -> Array:
    """(rows, angles, places) values half a millimetre apart, from the outline outward."""
    away = np.arange(between_mm[0], between_mm[1] + 0.01, 0.5)
    index = (radius[..., None] + away) / 0.5
    low = np.clip(np.floor(index).astype(int), 0, values.shape[2] - 2)
    part = np.clip(index - low, 0, 1)
    return np.asarray(
        np.take_along_axis(values, low, 2) * (1 - part)
        + np.take_along_axis(values, low + 1, 2) * part
    )
