"""Grids and resampling: every network looks at an isotropic, LPS-aligned piece of the scan.

Index order is z, y, x; z grows to the head, y to the back, x to the patient's left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.study import Point, Volume

AIR_HU = -1024.0
FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """An isotropic LPS-aligned lattice: `shape` (z, y, x), voxel (0, 0, 0) at `origin_lps_mm`."""

    origin_lps_mm: Point
    spacing_mm: float
    shape: tuple[int, int, int]

    def to_zyx(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) LPS mm -> (n, 3) indices z, y, x."""
        return np.asarray((lps_mm - np.array(self.origin_lps_mm))[..., ::-1] / self.spacing_mm)

    def to_lps(self, zyx: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) indices z, y, x -> (n, 3) LPS mm."""
        return np.asarray(zyx[..., ::-1] * self.spacing_mm + np.array(self.origin_lps_mm))


def grid_about(centre_lps_mm: Point, shape: tuple[int, int, int], spacing_mm: float) -> Grid:
    """The grid of `shape` voxels whose middle is `centre_lps_mm`."""
    half = (np.array(shape[::-1]) - 1) / 2 * spacing_mm
    left, posterior, superior = (float(v) for v in np.array(centre_lps_mm) - half)
    return Grid((left, posterior, superior), spacing_mm, shape)


def bounds_lps_mm(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest LPS mm of the voxel centres' bounding box."""
    last = np.array(volume.hu.shape, dtype=np.float64) - 1
    corners = volume.to_lps(np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64) * last)
    return corners.min(0), corners.max(0)


def grid_covering(volume: Volume, spacing_mm: float) -> Grid:
    """The grid that covers the whole scan."""
    low, high = bounds_lps_mm(volume)
    count = np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1
    shape = (int(count[2]), int(count[1]), int(count[0]))
    return Grid((float(low[0]), float(low[1]), float(low[2])), spacing_mm, shape)


def _index_map(volume: Volume, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """matrix, offset with source index = matrix @ grid index + offset (both z, y, x)."""
    inverse = np.linalg.inv(volume.affine_zyx_to_lps)
    reverse = np.eye(3)[::-1]
    matrix = inverse[:3, :3] @ reverse * grid.spacing_mm
    offset = inverse[:3, :3] @ np.array(grid.origin_lps_mm) + inverse[:3, 3]
    return matrix, offset


def _source_box(
    volume: Volume, matrix: NDArray[np.float64], offset: NDArray[np.float64], grid: Grid
) -> tuple[slice, ...] | None:
    """The part of the scan that the grid can touch; None when they do not meet."""
    last = np.array(grid.shape, dtype=np.float64) - 1
    corners = (np.array(list(np.ndindex(2, 2, 2))) * last) @ matrix.T + offset
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, volume.hu.shape)
    if (high - low < 1).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _shrink(box: NDArray[np.int16], factors: tuple[int, int, int]) -> FloatArray:
    """Means over blocks of `factors` voxels: the low-pass that going coarser needs."""
    out = box
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        n = max(out.shape[axis] // factor, 1) * factor
        if out.shape[axis] < n:
            out = np.concatenate([out] + [out.take([-1], axis)] * (n - out.shape[axis]), axis)
        kept = out.take(range(n), axis) if axis else out[:n]
        blocks = [*kept.shape[:axis], n // factor, factor, *kept.shape[axis + 1 :]]
        out = kept.reshape(blocks).mean(axis + 1, dtype=np.float32)
    return np.asarray(out, dtype=np.float32)


def sample(volume: Volume, grid: Grid, order: int = 1) -> FloatArray:
    """HU of the scan on `grid`, float32 (z, y, x); -1024 outside the scan.

    Where the grid is coarser than the scan, blocks of voxels are averaged first. order: 1
    linear, 3 cubic.
    """
    matrix, offset = _index_map(volume, grid)
    box = _source_box(volume, matrix, offset, grid)
    if box is None:
        return np.full(grid.shape, AIR_HU, np.float32)
    ratio = grid.spacing_mm / volume.spacing_zyx_mm
    factors = tuple(max(1, int(r + 0.2)) for r in ratio)
    source = _shrink(volume.hu[box], (factors[0], factors[1], factors[2]))
    scale = np.array(factors, dtype=np.float64)
    start = np.array([s.start for s in box], dtype=np.float64)
    # block b of factor f covers source indices b*f .. b*f+f-1, its centre is b*f + (f-1)/2
    matrix = matrix / scale[:, None]
    offset = (offset - start - (scale - 1) / 2) / scale
    if np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-9):
        return _separable(source, np.diag(matrix), offset, grid.shape, order)
    # AIR as zero lets the spline's zero padding stand for the outside
    out = ndimage.affine_transform(
        source - AIR_HU, matrix, offset, grid.shape, np.float32, order, "constant", 0.0
    )
    return np.asarray(out + AIR_HU, dtype=np.float32)


def _separable(
    source: FloatArray,
    step: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int, int],
    order: int,
) -> FloatArray:
    """Axis-parallel scans: interpolate one axis after the other, far cheaper than all at once."""
    if order != 1:
        matrix = np.diag(step)
        out = ndimage.affine_transform(
            source - AIR_HU, matrix, offset, shape, np.float32, order, "constant", 0.0
        )
        return np.asarray(out + AIR_HU, dtype=np.float32)
    result = source
    outside = []
    for axis in range(3):
        at = offset[axis] + step[axis] * np.arange(shape[axis])
        n = result.shape[axis]
        low = np.clip(np.floor(at).astype(int), 0, max(n - 2, 0))
        weight = np.clip(at - low, 0, 1).astype(np.float32)
        high = np.minimum(low + 1, n - 1)
        shaped = weight.reshape([-1 if a == axis else 1 for a in range(3)])
        lower = result.take(low, axis)
        result = lower + shaped * (result.take(high, axis) - lower)
        outside.append((at < -0.5) | (at > n - 0.5))
    for axis, beyond in enumerate(outside):
        index: list[slice | NDArray[np.bool_]] = [slice(None)] * 3
        index[axis] = beyond
        result[tuple(index)] = AIR_HU
    return np.asarray(result, dtype=np.float32)


def inside_scan(
    volume: Volume, lps_mm: NDArray[np.float64], margin_mm: float = 0.0
) -> NDArray[np.bool_]:
    """(n, 3) LPS mm -> (n,) True where the scan has data, at least `margin_mm` from its end.

    A voxel reaches half its edge beyond its centre.
    """
    index = volume.to_zyx(lps_mm)
    margin = margin_mm / volume.spacing_zyx_mm - 0.5
    top = np.array(volume.hu.shape) - 1 - margin
    return np.asarray(((index >= margin) & (index <= top)).all(-1))
