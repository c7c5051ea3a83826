"""Where a vertebral body's endplates lie: as its outline has them, and as the image has them.

The body's soft mask is read along its own axis; its end lies where the probability falls through
one half, interpolated to a part of a voxel. Networks round off what is rare: they fill sunken
endplates. So the end is then moved to the edge that the image shows nearby, from bone to disc.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
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
    body = mask.body.astype(np.float32)
    soft = _Raster(frame, up, back, left).read(body, to_index, "constant")
    upper, lower = _crossings(_closed(soft), up)
    return Endplates(back, left, upper, lower)


def _closed(soft: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left out with body above, below, in front and behind, filled: networks take what
    is much denser than bone for something else."""
    inside = soft > 0.5
    filled = ~inside
    for axis, step in ((0, STEP_MM), (1, STEP_MM)):
        reach = round(GAP_MM / step) + 1
        grown = ndimage.maximum_filter1d(inside.astype(np.uint8), reach, axis=axis)
        filled &= ndimage.minimum_filter1d(grown, reach, axis=axis) > 0
    return np.where(filled, np.float32(1.0), soft)


def _crossings(soft: NDArray[np.float32], up: Array) -> tuple[Array, Array]:
    """Per column: where 0.5 is crossed above and below its longest run of body; NaN if none."""
    inside = soft > 0.5
    middle = int(np.argmax(inside.sum((1, 2))))
    # runs are followed from the plane with most body outwards: a neighbour's rim is not jumped to
    top = np.full(soft.shape[1:], np.nan)
    bottom = np.full(soft.shape[1:], np.nan)
    start = _run_start(inside, middle)
    for plane, sign, out in ((start, 1, top), (start, -1, bottom)):
        alive = start >= 0
        at = np.where(alive, plane, 0)
        grid = np.indices(at.shape)
        while alive.any():
            nxt = np.clip(at + sign, 0, len(up) - 1)
            here, there = soft[at, grid[0], grid[1]], soft[nxt, grid[0], grid[1]]
            ends = alive & ((there <= 0.5) | (nxt == at))
            share = np.where(there < here, (here - 0.5) / np.maximum(here - there, 1e-6), 0.0)
            out[ends] = (up[at] + sign * share * STEP_MM)[ends]
            alive &= ~ends
            at = np.where(alive, nxt, at)
    return top, bottom


def _run_start(inside: NDArray[np.bool_], middle: int) -> NDArray[np.int_]:
    """A plane in each column that is body, as near to `middle` as there is one; -1 for none."""
    planes = np.arange(inside.shape[0])[:, None, None]
    distance = np.where(inside, np.abs(planes - middle), inside.shape[0] + 1)
    nearest = distance.argmin(0)
    return np.where(inside.any(0), nearest, -1)


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
    strip: NDArray[np.bool_] = np.asarray(np.isfinite(plates.upper_mm).any(0))
    fall = _fall_upwards(plates, frame, image, strip)
    moved = []
    for surface, sign in ((plates.upper_mm, 1), (plates.lower_mm, -1)):
        out = surface.copy()
        out[:, strip] = _to_edge(surface[:, strip], fall * sign, sign)
        moved.append(out)
    return Endplates(plates.back_mm, plates.left_mm, moved[0], moved[1])


def _fine_steps() -> Array:
    return np.arange(-HALF_UP_MM, HALF_UP_MM + 1e-6, FINE_MM)


def _fall_upwards(
    plates: Endplates, frame: Frame, image: Image, strip: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(up, back, left): mean HU just below less that just above the lower face of each step."""
    raster = _Raster(frame, _fine_steps(), plates.back_mm, plates.left_mm[strip])
    lps_to_index = np.asarray(np.linalg.inv(image.affine_zyx_to_lps), np.float64)
    hu = raster.read(image.values, lps_to_index, "nearest")
    # neighbouring columns together: an endplate goes on, noise does not
    hu = ndimage.uniform_filter(np.clip(hu, SOFT_HU, HARD_HU), (1, 3, 3))
    n = round(SIDE_MM / FINE_MM)
    means = ndimage.uniform_filter1d(hu, n, axis=0, origin=-(n // 2))  # of n steps from here up
    fall: NDArray[np.float32] = np.zeros(hu.shape, np.float32)
    fall[n:] = means[:-n] - means[n:]
    return fall


def _to_edge(surface: Array, fall: NDArray[np.float32], sign: int) -> Array:
    """Each column's height moved to the best edge in reach. sign: 1 for upper endplates."""
    at = (_fine_steps() - FINE_MM / 2)[:, None, None]
    inward = sign * (surface - at)
    worth = np.where(
        (inward <= INWARD_MM) & (inward >= -OUTWARD_MM), fall - HU_PER_MM * np.abs(inward), -np.inf
    )
    best = worth.argmax(0)[None]
    clear = np.take_along_axis(fall, best, 0)[0] > EDGE_HU
    reached = np.isfinite(np.take_along_axis(worth, best, 0)[0])
    return np.where(clear & reached, at[best[0], 0, 0], surface)
