"""Gaps in the cortex of the body's front and side walls."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.spine.signs.local import HALF, STEP_MM, Array, Local, body_middle_mm

SHARE = 0.3
"""Of the height, up and down: the rims carry spurs, and the endplates nodes."""
ANGLES = 72
INWARD_MM, OUTWARD_MM = 2.5, 2.0
WEAK = 0.42
"""A wall is missing where it rises less than this share of its neighbours' over soft tissue."""
SOFT_HU = 50.0
REACH_MM = 40.0


def _walls(local: Local) -> tuple[Array, NDArray[np.float64]]:
    """(rows, angles) the densest value across the wall, NaN where bone goes on behind it or no
    body is; and the wall's distance from the axis, mm."""
    rows = local.rows(SHARE)
    angles = np.linspace(-np.pi, np.pi, ANGLES, endpoint=False)
    steps = np.arange(0.0, REACH_MM, 0.5)
    back = np.cos(angles)[:, None] * steps  # angle 0 looks to the back
    left = np.sin(angles)[:, None] * steps
    origin = body_middle_mm(local)
    at = np.stack(
        [
            (back + origin[0] - local.back_mm[0]) / STEP_MM,
            (left + origin[1] - local.left_mm[0]) / STEP_MM,
        ]
    )
    density = np.full((rows.stop - rows.start, ANGLES), np.nan)
    radius = np.full(density.shape, np.nan)
    for number, row in enumerate(range(rows.start, rows.stop)):
        bone = ndimage.map_coordinates(local.solid[row], at, order=1)
        hu = ndimage.map_coordinates(local.hu[row], at, order=1)
        other = ndimage.map_coordinates(local.others[row].astype(np.float32), at, order=1)
        outside = bone <= HALF
        edge = np.where(outside.any(1), outside.argmax(1), 0)
        good = (edge * 0.5 > 6.0) & (np.abs(angles) > np.pi / 2.6)
        near = np.abs(steps - steps[edge][:, None] - (OUTWARD_MM - INWARD_MM) / 2)
        across = near <= (INWARD_MM + OUTWARD_MM) / 2
        good &= ~(other * across > HALF).any(1)
        good &= ~((bone > HALF) & (steps > steps[edge][:, None] + 1.0)).any(1)
        value = np.where(across, hu, -np.inf).max(1)
        density[number], radius[number] = np.where(good, value, np.nan), steps[edge]
    return density, radius


def gap_mm2(own: Local, neighbours: Sequence[Local]) -> float | None:
    """Area of the largest place without cortex, mm2; None where too little of the wall is free."""
    usual = [np.nanmedian(wall) for n in neighbours if np.isfinite(wall := _walls(n)[0]).any()]
    density, radius = _walls(own)
    free = np.isfinite(density)
    if not usual or free.mean() < 0.25:
        return None
    limit = SOFT_HU + WEAK * (float(np.median(usual)) - SOFT_HU)
    labels, count = ndimage.label(np.where(free, density, np.inf) < limit)
    patch = STEP_MM * radius * (2 * np.pi / ANGLES)
    return max((float(patch[labels == n].sum()) for n in range(1, count + 1)), default=0.0)
