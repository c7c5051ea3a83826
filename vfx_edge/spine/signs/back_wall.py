"""Where the body's back wall lies: one smooth surface through many lines, at its middle."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

HALF = 0.5
SIDE_MM, SHARE = 8.0, 0.33
"""Read this far to the left and right, this share of the height up and down."""
EDGE_MM, EDGE_HU = 3.0, 80.0
FEW_LINES, FEW_SHARE = 20, 0.6
ROUNDS, USUAL = 5, 1.5
"""Lines that lie farther than USUAL spreads from the surface count less, by Huber's weights."""


def middle_mm(
    bone: Volume, hu: Volume, places: tuple[Array, Array, Array], height_mm: float
) -> float | None:
    """How far behind the centre the wall lies in its middle, mm; None where no canal shows
    behind it. The whole bone is read: what bulges may count as arch.

    bone: 0..1; bone and hu (up, back, left) at `places` mm. The outline alone is coarse and the
    image's edge alone is drawn out by the vein and by ligaments: the mean of both is nearer.
    """
    up, back, left = places
    rows, near = np.abs(up) <= SHARE * height_mm, np.abs(left) <= SIDE_MM
    calm = ndimage.uniform_filter(hu, (3, 1, 3))[rows][:, :, near]
    lines = _flat(bone[rows][:, :, near]), _flat(calm)
    start = int(np.abs(back).argmin())
    outlined = np.array([_fall(line, start) for line in lines[0]]) + back[0]
    if np.isfinite(outlined).mean() < FEW_SHARE:
        return None
    shown = np.array(
        [_edge_mm(hu, back, wall) for hu, wall in zip(lines[1], outlined, strict=True)]
    )
    at = np.repeat(up[rows], near.sum()), np.tile(left[near], rows.sum())
    walls = _at_middle(at, outlined), _at_middle(at, shown)
    return walls[0] if walls[0] is None or walls[1] is None else (walls[0] + walls[1]) / 2


def _flat(box: Volume) -> Volume:
    return box.transpose(0, 2, 1).reshape(-1, box.shape[1])


def _fall(line: Volume, start: int) -> float:
    """Index, to a part, where the probability first falls through one half behind `start`; NaN
    where it does not."""
    below = np.flatnonzero(line[start:] <= HALF)
    if line[start] <= HALF or not len(below):
        return float("nan")
    at = start + int(below[0])
    over, under = float(line[at - 1]), float(line[at])
    return at - 1 + (over - HALF) / max(over - under, 1e-6)


def _edge_mm(hu: Volume, back: Array, wall: float) -> float:
    """Where near the outline's wall the image has bone end; NaN where it shows no edge."""
    if not np.isfinite(wall):
        return wall
    fine = wall + np.arange(-EDGE_MM, EDGE_MM + 0.01, 0.1)
    profile = np.interp(fine, back, hu)
    top = int(profile[: len(fine) * 2 // 3].argmax())
    low = top + int(profile[top:].argmin())
    if profile[top] - profile[low] < EDGE_HU:
        return float("nan")
    half = (profile[top] + profile[low]) / 2
    return float(fine[top + int(np.argmax(profile[top : low + 1] <= half))])


def _at_middle(at: tuple[Array, Array], walls: Array) -> float | None:
    """Height at (0, 0) of the surface of second order that passes nearest to the walls."""
    good = np.isfinite(walls)
    if good.sum() < FEW_LINES:
        return None
    up, left = at[0][good], at[1][good]
    design = np.stack([np.ones_like(up), up, left, up**2, left**2], axis=1)
    weight = np.ones(len(up))
    for _ in range(ROUNDS):
        fit = np.linalg.lstsq(design * weight[:, None], walls[good] * weight, rcond=None)[0]
        off = np.abs(walls[good] - design @ fit)
        usual = USUAL * max(1.4826 * float(np.median(off)), 0.1)
        weight = np.sqrt(np.minimum(1.0, usual / np.maximum(off, 1e-6)))
    return float(fit[0])
