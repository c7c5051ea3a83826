"""Whether the slices of a stack can be those of one body: told by the voxels alone.

Every slice resembles its neighbours more than the slices beyond them. Where it does not, slices
lie in a wrong order, or belong to different scans. And a slice that is the exact copy or the exact
mean of its neighbours was never measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.image.block_means import LARGEST_HU, block_means
from vfx_edge.image.image import Image

BLOCK_MM = 6.0
BODY_HU = -300.0
CLIP_HU = 500.0
"""Beyond it, contrast medium, metal and air outweigh all else."""
SOME_BODY = 0.01
"""Share of a slice that is body: without it a slice is empty, and resembles any other."""
WINDOW = 4
STEP, STEP_OVER = 3.0, 0.9
"""A seam: neighbours differ this many times as much as those about them do, and hardly less than
slices twice as far apart. Sound scans stay below 1.8 and 0.97, and never both."""
MANY, OUT_OF_ORDER = 0.15, 1.0
LAG_MM = 12.0
EXACT_HU, CHANGES_HU, ENOUGH, ALL = 1.0, 20.0, 50, 0.9
"""A slice is the mean of its neighbours where this share of at least so many voxels, that change
between them by more than this, is off by no more than rounding."""
MADE_UP = 0.4
"""Share of the slices that need be copies or means before all are taken to be so."""
MIN_SLICES = 8

_Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CoarseStack:
    """A look at every slice, coarsely. values: (slices, rows, columns), HU; spacing_mm of these
    axes; axes: which of the image's (z, y, x) each is."""

    values: _Array
    spacing_mm: tuple[float, float, float]
    axes: tuple[int, int, int]


@dataclass(frozen=True)
class Continuity:
    """seams: slices, by number from 0, that the next one does not continue; disorder: whether
    slices lie in no order at all."""

    seams: tuple[int, ...]
    disorder: bool


def coarse_stack(image: Image, axis: int) -> CoarseStack:
    """axis: of the array, along which the slices were stacked."""
    spacing = image.spacing_zyx_mm
    factors = [max(1, round(BLOCK_MM / mm)) for mm in spacing]
    factors[axis] = 1
    z, y, x = factors
    means = block_means(image.values, (z, y, x), LARGEST_HU)
    first, second = (a for a in range(3) if a != axis)
    axes = (axis, first, second)
    mm = [float(spacing[a] * factors[a]) for a in axes]
    return CoarseStack(np.moveaxis(means, axis, 0), (mm[0], mm[1], mm[2]), axes)


def unlike(values: _Array, apart: int) -> _Array:
    """(slices - apart,) mean difference of two slices so many places apart."""
    seen = np.clip(values, -2 * CLIP_HU, CLIP_HU)
    return np.asarray(np.abs(seen[apart:] - seen[:-apart]).mean((1, 2)))


def continuity(stack: CoarseStack, each: int = 1) -> Continuity:
    """Where neighbouring slices do not continue each other. each: so many were made of a measured
    one."""
    values = stack.values[::each]
    inside = np.flatnonzero((values > BODY_HU).mean((1, 2)) > SOME_BODY)
    if len(inside) < MIN_SLICES:
        return Continuity((), False)
    first, last = int(inside[0]), int(inside[-1]) + 1
    one, two = (unlike(values[first:last], apart) for apart in (1, 2))
    bridged = np.minimum(two[:-1], two[1:])
    over = one[1:-1] / np.maximum(bridged, 1.0)
    steps = np.array([one[i] / (_about(one, i) + 1.0) for i in range(1, len(one) - 1)])
    seams = np.flatnonzero((steps > STEP) & (over > STEP_OVER)) + 1 + first
    disorder = bool((over > OUT_OF_ORDER).mean() > MANY)
    return Continuity(tuple(int(i) * each for i in seams), disorder)


def _about(values: _Array, at: int) -> float:
    low = max(at - WINDOW, 0)
    near = np.delete(values[low : at + WINDOW + 1], at - low)
    return float(np.median(near))


def slices_per_measured(image: Image, axis: int) -> int:
    """How many slices were made of each measured one, by copying it or between two: 1 where all
    were measured."""
    stride = [max(1, round(BLOCK_MM / mm)) for mm in image.spacing_zyx_mm]
    stride[axis] = 1
    z, y, x = stride
    seen = np.moveaxis(image.values[::z, ::y, ::x], axis, 0)
    if len(seen) < MIN_SLICES:
        return 1
    made = np.array([_made_up(seen, i) for i in range(1, len(seen) - 1)])
    known = made >= 0
    share = float((made[known] > 0).mean()) if known.sum() >= MIN_SLICES else 0.0
    return 1 if share < MADE_UP else max(2, round(1 / max(1 - share, 0.1)))


def _made_up(seen: NDArray[np.int16], at: int) -> int:
    """1: the slice is the copy of the one before, or exactly half way between both neighbours; 0:
    it is not; -1: they are too much alike to tell."""
    below, here, above = (seen[at + by].astype(np.int32) for by in (-1, 0, 1))
    if np.array_equal(here, below):
        return 1 if np.ptp(here) > CHANGES_HU else -1
    changes = np.abs(above - below) > CHANGES_HU
    if changes.sum() < ENOUGH:
        return -1
    off = np.abs(2 * here - below - above)[changes]
    return int((off <= 2 * EXACT_HU).mean() > ALL)


def stretch(stack: CoarseStack) -> float | None:
    """How fast a body changes along z against front to back, over LAG_MM; None where it can't
    be told. Bodies are longer than they are deep: it is about 0.7 in all of them."""
    values, spacing = stack.values, stack.spacing_mm
    group = max(1, round(BLOCK_MM / spacing[0]))
    count = len(values) // group
    if count < 3:
        return None
    values = values[: count * group].reshape(count, group, *values.shape[1:]).mean(1)
    mm = dict(zip(stack.axes, (spacing[0] * group, *spacing[1:]), strict=True))
    seen = np.clip(np.moveaxis(values, (0, 1, 2), stack.axes), -CLIP_HU, CLIP_HU)
    along, across = (_rate(seen, axis, mm[axis]) for axis in (0, 1))
    return along / across if along and across else None


def _rate(seen: _Array, axis: int, mm: float) -> float:
    """Mean difference within the body over LAG_MM; 0 where there is too little of it."""
    apart = max(1, round(LAG_MM / mm))
    along = np.moveaxis(seen, axis, 0)
    if len(along) <= apart:
        return 0.0
    one, other = along[apart:], along[:-apart]
    body = (one > BODY_HU) & (other > BODY_HU)
    if body.sum() < 100:
        return 0.0
    # over short ways differences grow as the square root of the way
    return float(np.abs(one - other)[body].mean() * np.sqrt(LAG_MM / (apart * mm)))
