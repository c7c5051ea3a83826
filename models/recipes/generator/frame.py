"""Where the body of a vertebra stands in its own mask: axes, centre, size, canal."""

from dataclasses import dataclass

import numpy as np

from vfx_edge.spine.body_and_arch import front_of_canal, vertebra_frame

Array = np.ndarray
ATLAS, AXIS = 1, 2
MIN_BODY_VOXELS = 1200


@dataclass(frozen=True, eq=False)
class ShapeFrame:
    """Axes of a vertebra in its mask's 1 mm grid.

    axes: rows up, back, left (z, y, x); centre (z, y, x): middle of the body between its
    endplates; height_mm and depth_mm of the body's middle; canal_mm: how far behind the centre
    the canal's front wall lies.
    """

    axes: Array
    centre: Array
    height_mm: float
    depth_mm: float
    canal_mm: float


def _plates(points: Array) -> tuple[Array, Array] | None:
    """Planes (up = c0 + c1 back + c2 left) through the upper and the lower endplate."""
    up, back, left = points.T
    deep, wide = np.ptp(np.quantile(back, [0.02, 0.98])), np.ptp(np.quantile(left, [0.1, 0.9]))
    core = (np.abs(back) < 0.33 * deep) & (np.abs(left) < min(0.3 * wide, 11.0))
    cell = np.round(back[core] / 2).astype(int) * 1000 + np.round(left[core] / 2).astype(int)
    planes = []
    for sign in (1, -1):
        order = np.lexsort((-sign * up[core], cell))
        first = np.unique(cell[order], return_index=True)[1]
        top = points[core][order][first]
        if len(top) < 12:
            return None
        matrix = np.column_stack([np.ones(len(top)), top[:, 1:]])
        planes.append(np.linalg.lstsq(matrix, top[:, 0], rcond=None)[0])
    return planes[0], planes[1]


def _tilted(axes: Array, slope: Array) -> Array:
    """Axes whose up is the normal of a plane with these slopes (back, left)."""
    normal = axes[0] - slope[0] * axes[1] - slope[1] * axes[2]
    return vertebra_frame(normal)


def measure(mask: Array, up: Array, verse: int) -> ShapeFrame | None:
    """The frame of one vertebra's mask (1 mm); `up` points roughly to its upper neighbour.

    None where no canal or no endplates can be seen.
    """
    plane = front_of_canal(mask, up)
    if plane is None:
        return None
    normal, offset = plane
    voxels = np.argwhere(mask).astype(float)
    body = voxels[voxels @ normal < offset]
    if len(body) < MIN_BODY_VOXELS // (3 if verse == ATLAS else 1):
        return None
    axes, centre = vertebra_frame(up), body.mean(0)
    if verse == ATLAS:  # no endplates: it goes with the axis below it
        return ShapeFrame(axes, centre, 10.0, 8.0, float(offset - normal @ centre))
    total = np.zeros(2)  # the endplates may lean against the column, but not by much
    for _ in range(3):
        planes = _plates((body - centre) @ axes.T)
        if planes is None:
            return None
        top, bottom = planes
        # The dens hides the upper endplate of the axis.
        slope = bottom[1:] if verse == AXIS else 0.5 * (top[1:] + bottom[1:])
        height = float(top[0] - bottom[0])
        middle = bottom[0] + 10.0 if verse == AXIS else 0.5 * (top[0] + bottom[0])
        centre = centre + middle * axes[0]
        if verse != AXIS:
            axes = _tilted(vertebra_frame(up), np.clip(total := total + slope, -0.3, 0.3))
    local = (body - centre) @ axes.T
    middle_part = (np.abs(local[:, 0]) < 0.4 * height) & (np.abs(local[:, 2]) < 5)
    low, high = np.quantile(local[middle_part, 1], [0.005, 0.995])
    centre = centre + 0.5 * (low + high) * axes[1]
    axes, side = _upright(voxels, centre, axes)
    centre = centre + side * axes[2]
    canal = float((offset - normal @ centre) / max(float(normal @ axes[1]), 0.5))
    return ShapeFrame(axes, centre, height + 1.0, float(high - low) + 1.0, canal)


def _upright(voxels: Array, centre: Array, axes: Array) -> tuple[Array, float]:
    """Axes turned about `up` so that left mirrors right best, and how far left the mirror lies.

    A donor's vertebra may be turned in its scanner; in another column that would set its
    spinous process beside its neighbours'.
    """
    count = np.ceil(voxels.max(0)).astype(int) + 2
    mask = np.zeros(count, bool)
    mask[tuple(voxels.astype(int).T)] = True
    points = voxels[:: max(1, len(voxels) // 3000)] - centre
    best = (-1.0, axes, 0.0)
    for angle in np.deg2rad(np.arange(-24, 25, 2)):
        turned = np.stack(
            [
                axes[0],
                np.cos(angle) * axes[1] + np.sin(angle) * axes[2],
                np.cos(angle) * axes[2] - np.sin(angle) * axes[1],
            ]
        )
        left = points @ turned[2]
        for side in np.arange(-6.0, 6.1, 1.0):
            mirrored = points - 2 * (left - side)[:, None] * turned[2] + centre
            at = np.round(mirrored).astype(int)
            inside = ((at >= 0) & (at < count)).all(1)
            score = mask[tuple(at[inside].T)].sum() / len(points)
            if score > best[0]:
                best = (float(score), turned, float(side))
    return best[1], best[2]
