"""Means over blocks of voxels: the low-pass that going coarser needs, and most of what a look at
the whole scan costs."""

import numpy as np
from numpy.typing import NDArray

from vfx_edge.parallel import map_computing

_Plane = NDArray[np.float32]
FIT_16_BITS = 7
"""So many slices of up to 4600 HU add up without a wider type; CT ends at 3071."""
WORTH_THREADS = 4_000_000
"""Voxels from which on threads earn what starting them costs."""


def block_means(box: NDArray[np.int16], factors: tuple[int, int, int]) -> NDArray[np.float32]:
    """Means of `box` (z, y, x) over blocks of `factors` voxels, float32.

    A last block that is not a whole one is filled up with its last voxel.
    """
    shape = [-(-n // factor) for n, factor in zip(box.shape, factors, strict=True)]
    out = np.empty(shape, np.float32)
    scale = np.float32(1 / np.prod(factors))

    def slab(block: int) -> None:
        plane = _slices_summed(box[block * factors[0] :][: factors[0]], factors[0])
        for axis in (0, 1):
            plane = _summed(plane, axis, factors[1 + axis])
        np.multiply(plane, scale, out=out[block])

    if box.size < WORTH_THREADS:
        for block in range(shape[0]):
            slab(block)
    else:
        map_computing(slab, range(shape[0]))
    return out


def _slices_summed(slices: NDArray[np.int16], count: int) -> _Plane:
    """The sum over `count` slices, the last one again where there are fewer; (y, x).

    Added up as whole numbers: several times faster than NumPy's mean along the same axis.
    """
    if count == 1:
        return np.asarray(slices[0], np.float32)
    total = slices[0].astype(np.int16 if count <= FIT_16_BITS else np.int32)
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
