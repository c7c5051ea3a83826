"""From one grid to another over the same field, as nnU-Net does it, and any part of it alone.

nnU-Net resamples whole images (scikit-image's `resize`, its outer edges aligned). The same numbers
come out here for a box only, so that nothing is computed where nobody looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating]
Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]

ANISOTROPIC = 3.0  # from this ratio of spacings on, planes are resampled one by one
REACH = 24  # voxels beyond which a cubic spline does not feel where the array was cut
PAD = 12  # edge voxels that scipy puts before a spline's ends


def new_shape(shape: Sequence[int], old_mm: Sequence[float], new_mm: Sequence[float]) -> Shape:
    """Voxels along each axis at the new spacing."""
    a, b, c = (round(o / n * k) for o, n, k in zip(old_mm, new_mm, shape, strict=True))
    return a, b, c


def separate_axis(old_mm: Sequence[float], new_mm: Sequence[float]) -> int | None:
    """The axis between whose planes nothing is interpolated: the one coarse axis of thick slices,
    of the old grid or else of the new one."""
    for spacing in (old_mm, new_mm):
        if max(spacing) / min(spacing) > ANISOTROPIC:
            coarse = [axis for axis, mm in enumerate(spacing) if mm == max(spacing)]
            return coarse[0] if len(coarse) == 1 else None
    return None


@dataclass(frozen=True)
class Resize:
    """Two grids over one field. order: 1 or 3, of the splines; separate: see `separate_axis`,
    along it the nearest plane is taken."""

    old: Shape
    new: Shape
    order: int
    separate: int | None

    def source(self, box: Box) -> Box:
        """The part of the old grid that decides on a box of the new one."""
        reach = REACH if self.order > 1 else 1
        found = []
        for axis, wanted in enumerate(box):
            at = self._places(axis, wanted)
            margin = 1 if axis == self.separate else reach
            low = max(int(np.floor(at[0])) - margin, 0)
            found.append(slice(low, min(int(np.ceil(at[-1])) + margin + 1, self.old[axis])))
        return found[0], found[1], found[2]

    def part(self, block: Array, at: Box, box: Box, limits: Array | None = None) -> Array:
        """The new grid's `box` from `block`, which is the old grid's part `at` (see `source`).

        limits: (2,) lowest and highest value that the whole old array holds, or (2, planes) for
        each plane along the separate axis: splines overshoot, and are cut off there.
        """
        if self.old == self.new:
            inner = (
                slice(b.start - a.start, b.stop - a.start) for a, b in zip(at, box, strict=True)
            )
            return block[tuple(inner)]
        if self.separate is not None:
            nearest = np.floor(self._places(self.separate, box[self.separate]) + 0.5).astype(int)
            nearest = np.clip(nearest, 0, self.old[self.separate] - 1)
            block = block.take(nearest - at[self.separate].start, self.separate)
            if limits is not None:
                form = [-1 if axis == self.separate else 1 for axis in range(3)]
                limits = limits[:, nearest].reshape(2, *form)
        for axis in range(3):
            if axis != self.separate:
                places = self._places(axis, box[axis]) - at[axis].start
                block = _along(block, axis, places, self.order)
        return block if limits is None else np.clip(block, limits[0], limits[1])

    def _places(self, axis: int, wanted: slice) -> NDArray[np.float64]:
        """Where voxels of the new grid lie, in voxels of the old one."""
        step = self.old[axis] / self.new[axis]
        return np.asarray(step * (np.arange(wanted.start, wanted.stop) + 0.5) - 0.5)


def _along(block: Array, axis: int, at: NDArray[np.float64], order: int) -> Array:
    """The block read at the places `at` along one axis."""
    if order > 1:
        edges = [(PAD, PAD) if a == axis else (0, 0) for a in range(block.ndim)]
        padded = np.pad(block, edges, mode="edge")
        block = ndimage.spline_filter1d(padded, order, axis, np.float64, "nearest")
        at = at + PAD
    else:
        at = np.clip(at, 0, block.shape[axis] - 1)
    low = np.floor(at).astype(int)
    form = [-1 if a == axis else 1 for a in range(block.ndim)]
    out: Array | None = None
    for tap, weight in _weights(at - low, order):
        index = np.clip(low + tap, 0, block.shape[axis] - 1)
        term = block.take(index, axis) * weight.astype(block.dtype).reshape(form)
        out = term if out is None else np.add(out, term, out=out)
    assert out is not None
    return out


def _weights(t: NDArray[np.float64], order: int) -> list[tuple[int, NDArray[np.float64]]]:
    """(neighbour, weight) of the B-spline of this order, t in 0..1 after the lower neighbour."""
    if order == 1:
        return [(0, 1 - t), (1, t)]
    return [
        (-1, (1 - t) ** 3 / 6),
        (0, (4 - 6 * t**2 + 3 * t**3) / 6),
        (1, (4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3) / 6),
        (2, t**3 / 6),
    ]


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds them all."""
    return box_of(
        [min(s.start for s in axis) for axis in zip(*boxes, strict=True)],
        [max(s.stop for s in axis) for axis in zip(*boxes, strict=True)],
    )


def box_of(low: Sequence[int], high: Sequence[int]) -> Box:
    """The box from its first voxels and those just behind its last."""
    a, b, c = (slice(int(x), int(y)) for x, y in zip(low, high, strict=True))
    return a, b, c


def within(box: Box, outer: Box) -> Box:
    """The box counted from the corner of another."""
    return moved(box, [-s.start for s in outer])


def moved(box: Box, by: Sequence[int]) -> Box:
    """The box so many voxels farther along each axis."""
    return box_of(
        [b.start + n for b, n in zip(box, by, strict=True)],
        [b.stop + n for b, n in zip(box, by, strict=True)],
    )


def size_of(box: Box) -> Shape:
    """Voxels along each axis."""
    a, b, c = (s.stop - s.start for s in box)
    return a, b, c
