"""Means over blocks of voxels: the low-pass that going coarser needs, and most of what a look at
the whole scan costs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.parallel import map_computing

_Plane = NDArray[np.float32]
LARGEST_HU = 4600
"""CT ends at 3071. Seven slices of it add up in 16 bits."""
WORTH_THREADS = 4_000_000
"""Voxels from which on threads earn what starting them costs."""


def block_means(
    box: NDArray[Any], factors: tuple[int, int, int], largest: int | None = None
) -> NDArray[np.float32]:
    """Means of `box` (z, y, x) over blocks of `factors` voxels, float32.

    A last block that is not a whole one is filled up with its last voxel. largest: no whole number
    in it is larger or, negative, smaller; None: any that its type holds.
    """
    total_type = _type_of_total(box.dtype, factors[0], largest)
    shape = [-(-n // factor) for n, factor in zip(box.shape, factors, strict=True)]
    out = np.empty(shape, np.float32)
    scale = np.float32(1 / np.prod(factors))

    def slab(block: int) -> None:
        plane = _slices_summed(box[block * factors[0] :][: factors[0]], factors[0], total_type)
        for axis in (0, 1):
            plane = _summed(plane, axis, factors[1 + axis])
        np.multiply(plane, scale, out=out[block])

    if box.size < WORTH_THREADS:
        for block in range(shape[0]):
            slab(block)
    else:
        map_computing(slab, range(shape[0]))
    return out


def _type_of_total(dtype: np.dtype[Any], count: int, largest: int | None) -> type[np.generic]:
    """The narrowest type that holds the sum of so many slices."""
    if dtype.kind == "f":
        return np.float32
    most = count * (np.iinfo(dtype).max if largest is None else largest)
    return np.int16 if most <= np.iinfo(np.int16).max else np.int32


def _slices_summed(slices: NDArray[Any], count: int, total_type: type[np.generic]) -> _Plane:
    """The sum over `count` slices, the last one again where there are fewer; (y, x).

    Whole numbers are added up as such: several times faster than NumPy's mean along the axis.
    """
    if count == 1:
        return np.asarray(slices[0], np.float32)
    total = slices[0].astype(total_type)
    for i in range(1, count):
        total += slices[min(i, len(slices) - 1)]
    return np.asarray(total, np.float32)


def _summed(plane: _Plane, axis: int, factor: int) -> _Plane:
    """Sums along `axis` of each `factor` neighbours, the last one again where there are fewer."""
    if factor == 1:
        return plane
    lines = np.moveaxis(plane, axis, 0)
    total = lines[::factor].copy()
    for i in range(1, factor):
        part = lines[i::factor]
        total[: len(part)] += part
        total[len(part) :] += lines[-1]
    return np.asarray(np.moveaxis(total, 0, axis))
