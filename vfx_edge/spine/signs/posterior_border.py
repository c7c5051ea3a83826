"""How far the back wall bulges beyond the line that its neighbours' back walls follow."""

from collections.abc import Sequence

import numpy as np

from vfx_edge.spine.signs.local import Array, Local

FEW = 2


def convexity_mm(own: Local, neighbours: Sequence[Local]) -> float | None:
    """mm that the wall's middle lies behind its neighbours' line; None where there is no wall to
    be read, or neighbours on one side alone."""
    wall = own.back_wall_mm
    points = [point for local in neighbours if (point := local.wall_point()) is not None]
    slopes = [local.axes[0] for local in neighbours if local.wall_point() is not None]
    if wall is None or len(points) < FEW:
        return None
    return beyond_line(own.origin_lps_mm + wall * own.axes[1], own.axes, points, slopes)


def beyond_line(
    point: Array, axes: Array, points: Sequence[Array], ups: Sequence[Array]
) -> float | None:
    """How far `point` lies behind the neighbours' line (LPS mm), along the own axes' back. None
    with neighbours on one side alone.

    The line is the parabola that passes nearest to their walls and runs as these are inclined
    (`ups`): a spine is bent, and a chord would call every lordotic back wall convex.
    """
    away = np.array(points) - point
    up, back = away @ axes[0], away @ axes[1]
    if up.max() <= 0 or up.min() >= 0:
        return None
    slope = np.array([(way @ axes[1]) / max(way @ axes[0], 0.3) for way in ups])
    scale = float(np.abs(up).mean())
    place = np.stack([np.ones_like(up), up, up**2], axis=1)
    tilt = np.stack([np.zeros_like(up), np.ones_like(up), 2 * up], axis=1) * (scale / 2)
    design, wanted = np.concatenate([place, tilt]), np.concatenate([back, slope * scale / 2])
    fit, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    return float(-fit[0])
