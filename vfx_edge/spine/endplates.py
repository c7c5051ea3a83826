"""Where a vertebral body's endplates lie: as its outline has them, and as the image has them.

The body's soft mask is read along its own axis; its end lies where the probability falls through
one half, interpolated to a part of a voxel. Networks round off what is rare: they fill sunken
endplates. So the end is then moved to the edge that the image shows nearby, from bone to disc.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
from vfx_edge.image.grids import box_about
from vfx_edge.study import VertebraMask

Array = NDArray[np.float64]

STEP_MM, LEFT_STEP_MM = 0.75, 1.5
HALF_UP_MM, HALF_BACK_MM, HALF_LEFT_MM = 27.0, 27.0, 18.0
STRIP_MM = 6.0  # heights are read within this of the middle plane…
STRIP_SHARE = 0.22  # …or within this share of the body's width, if that is less
FINE_MM = 0.5  # steps along the axis in which an edge is looked for
SIDE_MM = 1.5  # an edge is the difference of the means over this on either side
INWARD_MM, OUTWARD_MM = 6.0, 0.75  # how far from the outline: it is too large, hardly too small
EDGE_HU = 40.0  # less is noise
GAP_MM = 7.5  # a hole in an outline is no larger
HU_PER_MM = 25.0  # an edge this much farther from the outline has to be this much stronger
SOFT_HU, HARD_HU = -100.0, 600.0  # gas in a disc and metal are no stronger edges than these


@dataclass(frozen=True, eq=False)
class Frame:
    """Origin in LPS mm; rows of `axes` (up, back, left) in LPS."""

    origin: Array
    axes: Array


@dataclass(frozen=True, eq=False)
class Endplates:
    """Heights above the frame's origin of the upper and lower endplate, mm, on a (back, left)
    raster; NaN where the body is not."""

    back_mm: Array
    left_mm: Array
    upper_mm: Array
    lower_mm: Array


@dataclass(frozen=True, eq=False)
class _Raster:
    """Evenly spaced places along the frame's axes, mm; at least one along each."""

    frame: Frame
    up: Array
    back: Array
    left: Array

    def read(
        self, array: NDArray[np.generic], lps_to_index: Array, mode: str
    ) -> NDArray[np.float32]:
        """(up, back, left): the array's values there, linearly interpolated.

        lps_to_index: (4, 4), LPS mm to the array's index. mode: what lies outside, as in
        scipy.ndimage.
        """
        lines = (self.up, self.back, self.left)
        steps = [line[1] - line[0] if len(line) > 1 else 1.0 for line in lines]
        first = self.frame.origin + np.array([line[0] for line in lines]) @ self.frame.axes
        return np.asarray(
            ndimage.affine_transform(
                array,
                lps_to_index[:3, :3] @ (self.frame.axes.T * steps),
                lps_to_index[:3, :3] @ first + lps_to_index[:3, 3],
                tuple(map(len, lines)),
                np.float32,
                order=1,
                mode=mode,
            )
        )


def outlined(mask: VertebraMask, frame: Frame) -> Endplates:
    """Both endplates over the raster of columns along the frame's axis."""
    up = np.arange(-HALF_UP_MM, HALF_UP_MM + 1e-6, STEP_MM)
    back = np.arange(-HALF_BACK_MM, HALF_BACK_MM + 1e-6, STEP_MM)
    left = np.arange(-HALF_LEFT_MM, HALF_LEFT_MM + 1e-6, LEFT_STEP_MM)
    to_index = np.eye(4)
    to_index[:3, :3] = np.eye(3)[::-1] / mask.spacing_mm
    to_index[:3, 3] = -np.array(mask.origin_lps_mm)[::-1] / mask.spacing_mm
    upper, lower = (np.full((len(back), len(left)), np.nan) for _ in range(2))
    lines = (up, back, left)
    height, depth, width = ranges = _body_ranges(mask, frame, lines)
    if all(side.start < side.stop for side in ranges):
        raster = _Raster(frame, up[height], back[depth], left[width])
        soft = raster.read(mask.body.astype(np.float32), to_index, "constant")
        upper[depth, width], lower[depth, width] = _crossings(_closed(soft), raster.up)
    return Endplates(back, left, upper, lower)


def _body_ranges(mask: VertebraMask, frame: Frame, lines: Sequence[Array]) -> list[slice]:
    """Which places along each of the frame's axes can lie in the body or just beside it: beyond
    there is nothing to read."""
    box = box_about(mask.body > 0.5, 1)
    ends = np.array([(side.start, side.stop - 1) for side in box], dtype=np.float64)
    corners = mask.grid.to_lps(ends[np.arange(3), np.array(list(np.ndindex(2, 2, 2)))])
    along = (corners - frame.origin) @ frame.axes.T
    first = [np.searchsorted(line, low) - 2 for line, low in zip(lines, along.min(0), strict=True)]
    stop = [np.searchsorted(line, top) + 2 for line, top in zip(lines, along.max(0), strict=True)]
    return [slice(max(int(a), 0), max(int(b), 0)) for a, b in zip(first, stop, strict=True)]


def _closed(soft: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left out with body above, below, in front and behind, filled: networks take what
    is much denser than bone for something else."""
    inside = soft > 0.5
    holed = _broken(inside, 0) & _broken(inside, 1)
    if not holed.any():
        return soft
    reach = round(GAP_MM / STEP_MM) + 1
    around = np.pad(inside[..., holed], ((reach, reach), (reach, reach), (0, 0)))
    filled = ~around
    for axis in (0, 1):
        grown = ndimage.maximum_filter1d(around.astype(np.uint8), reach, axis=axis)
        filled &= ndimage.minimum_filter1d(grown, reach, axis=axis) > 0
    out = soft.copy()
    out[..., holed] = np.where(filled[reach:-reach, reach:-reach], 1.0, soft[..., holed])
    return out


def _broken(inside: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """(left,) whether body ends and begins again on any line along `axis` (0 or 1)."""
    along = np.moveaxis(inside, axis, 0)
    begins = (along[1:] & ~along[:-1]).sum(0) + along[0]
    return np.asarray((begins > 1).any(0))


def _crossings(soft: NDArray[np.float32], up: Array) -> tuple[Array, Array]:
    """Per column: where 0.5 is crossed above and below its longest run of body; NaN if none."""
    inside = soft > 0.5
    middle = int(np.argmax(inside.sum((1, 2))))
    # runs are followed from the plane with most body outwards: a neighbour's rim is not jumped to
    start = _run_start(inside, middle)
    top, bottom = (
        np.where(start >= 0, _run_end(soft, inside, up, start, sign), np.nan) for sign in (1, -1)
    )
    return top, bottom


def _run_start(inside: NDArray[np.bool_], middle: int) -> NDArray[np.int_]:
    """A plane in each column that is body, as near to `middle` as there is one; -1 for none."""
    start = np.where(inside[middle], middle, -1)
    others = inside.any(0) & (start < 0)
    planes = np.arange(inside.shape[0])[:, None]
    distance = np.where(inside[:, others], np.abs(planes - middle), inside.shape[0] + 1)
    start[others] = distance.argmin(0)
    return start


def _run_end(
    soft: NDArray[np.float32],
    inside: NDArray[np.bool_],
    up: Array,
    start: NDArray[np.int_],
    sign: int,
) -> Array:
    """Where 0.5 is crossed at the end of each column's run of body from plane `start` on, upwards
    (sign 1) or downwards (-1)."""
    planes = np.arange(len(up))[:, None, None]
    runs = inside | ((planes < start) if sign > 0 else (planes > start))
    first_out = runs[::sign].argmin(0)  # 0: it runs on to the raster's end
    steps = np.where(first_out > 0, first_out, len(up)) - 1
    at, beyond = (
        (np.minimum(n, len(up) - 1) if sign > 0 else len(up) - 1 - np.minimum(n, len(up) - 1))[None]
        for n in (steps, steps + 1)
    )
    here, there = (np.take_along_axis(soft, plane, 0)[0] for plane in (at, beyond))
    share = np.where(there < here, (here - 0.5) / np.maximum(here - there, 1e-6), 0.0)
    return np.asarray(up[at[0]] + sign * share * STEP_MM)


def middle_strip(plates: Endplates) -> NDArray[np.bool_]:
    """Which columns (left to right) are near enough to the middle plane to be read."""
    reach = max(min(STRIP_MM, STRIP_SHARE * body_width_mm(plates)), 1.5)
    return np.asarray(np.abs(plates.left_mm) <= reach)


def body_width_mm(plates: Endplates) -> float:
    """From side to side, as far as the raster reaches."""
    return float(np.isfinite(plates.upper_mm).any(0).sum() * LEFT_STEP_MM)


def edged(plates: Endplates, frame: Frame, image: Image) -> Endplates:
    """The endplates, each column's moved to the strongest edge from bone to disc near it. Where
    there is none it stays."""
    body = np.isfinite(plates.upper_mm)
    if not body.any():
        return plates
    strip: NDArray[np.bool_] = np.asarray(body.any(0))
    rows = np.flatnonzero(body.any(1))
    # a row more on either side: neighbouring columns are read together
    depth = slice(max(rows[0] - 1, 0), rows[-1] + 2)
    up = _fine_steps(plates)
    raster = _Raster(frame, up, plates.back_mm[depth], plates.left_mm[strip])
    fall = _fall_upwards(raster, image)
    moved = []
    for surface, sign in ((plates.upper_mm, 1), (plates.lower_mm, -1)):
        out = surface.copy()
        out[depth, strip] = _to_edge(surface[depth, strip], up, fall * sign, sign)
        moved.append(out)
    return Endplates(plates.back_mm, plates.left_mm, moved[0], moved[1])


def _fine_steps(plates: Endplates) -> Array:
    """As far as an edge is looked for beyond either endplate, and read to tell it."""
    up = np.arange(-HALF_UP_MM, HALF_UP_MM + 1e-6, FINE_MM)
    reach = INWARD_MM + 2 * SIDE_MM
    low, high = np.nanmin(plates.lower_mm) - reach, np.nanmax(plates.upper_mm) + reach
    return up[(up >= low) & (up <= high)]


def _fall_upwards(raster: _Raster, image: Image) -> NDArray[np.float32]:
    """(up, back, left): mean HU just below less that just above the lower face of each step."""
    lps_to_index = np.asarray(np.linalg.inv(image.affine_zyx_to_lps), np.float64)
    hu = raster.read(image.values, lps_to_index, "nearest")
    # neighbouring columns together: an endplate goes on, noise does not
    hu = ndimage.uniform_filter(np.clip(hu, SOFT_HU, HARD_HU), (1, 3, 3))
    n = round(SIDE_MM / FINE_MM)
    means = ndimage.uniform_filter1d(hu, n, axis=0, origin=-(n // 2))  # of n steps from here up
    fall: NDArray[np.float32] = np.zeros(hu.shape, np.float32)
    fall[n:] = means[:-n] - means[n:]
    return fall


def _to_edge(surface: Array, up: Array, fall: NDArray[np.float32], sign: int) -> Array:
    """Each column's height moved to the best edge in reach. sign: 1 for upper endplates."""
    at = (up - FINE_MM / 2)[:, None, None]
    inward = sign * (surface - at)
    worth = np.where(
        (inward <= INWARD_MM) & (inward >= -OUTWARD_MM), fall - HU_PER_MM * np.abs(inward), -np.inf
    )
    best = worth.argmax(0)[None]
    clear = np.take_along_axis(fall, best, 0)[0] > EDGE_HU
    reached = np.isfinite(np.take_along_axis(worth, best, 0)[0])
    return np.where(clear & reached, at[best[0], 0, 0], surface)
