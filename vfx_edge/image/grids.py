"""Grids and resampling: every network looks at an isotropic, LPS-aligned piece of the scan.

Index order is z, y, x; z grows to the head, y to the back, x to the patient's left.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image.block_means import LARGEST_HU, block_means
from vfx_edge.image.image import Grid as Grid
from vfx_edge.image.image import Image, Point

SPLINE_REACH = 8  # voxels beyond which a cubic spline's ends are not felt
FloatArray = NDArray[np.float32]


def grid_about(centre_lps_mm: Point, shape: tuple[int, int, int], spacing_mm: float) -> Grid:
    """The grid of `shape` voxels whose middle is `centre_lps_mm`."""
    half = (np.array(shape[::-1]) - 1) / 2 * spacing_mm
    left, posterior, superior = (float(v) for v in np.array(centre_lps_mm) - half)
    return Grid((left, posterior, superior), spacing_mm, shape)


def bounds_lps_mm(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest LPS mm of the voxel centres' bounding box."""
    last = np.array(image.shape, dtype=np.float64) - 1
    corners = image.to_lps(np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64) * last)
    return corners.min(0), corners.max(0)


def grid_between(
    low_lps_mm: NDArray[np.float64], high_lps_mm: NDArray[np.float64], spacing_mm: float
) -> Grid:
    """The grid whose first voxel is `low` and whose last lies at `high` or just short of it."""
    count = np.floor((high_lps_mm - low_lps_mm) / spacing_mm + 1e-6).astype(int) + 1
    left, posterior, superior = (float(v) for v in low_lps_mm)
    shape = (int(count[2]), int(count[1]), int(count[0]))
    return Grid((left, posterior, superior), spacing_mm, shape)


def grid_covering(image: Image, spacing_mm: float) -> Grid:
    """The grid that covers the whole scan."""
    return grid_between(*bounds_lps_mm(image), spacing_mm)


def _index_map(image: Image, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """matrix, offset with source index = matrix @ grid index + offset (both z, y, x)."""
    inverse = np.linalg.inv(image.affine_zyx_to_lps)
    reverse = np.eye(3)[::-1]
    matrix = inverse[:3, :3] @ reverse * grid.spacing_mm
    offset = inverse[:3, :3] @ np.array(grid.origin_lps_mm) + inverse[:3, 3]
    return matrix, offset


def _corners(grid: Grid) -> NDArray[np.float64]:
    """(8, 3) indices of the grid's corners."""
    return np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.shape, dtype=np.float64) - 1)


def _source_box(
    image: Image, corners: NDArray[np.float64], factors: NDArray[np.int_], reach: int
) -> tuple[slice, ...] | None:
    """The part of the scan that a grid with these corners can touch, whole blocks of `factors`
    voxels with `reach` more on each side; None when they do not meet."""
    # blocks are counted from the scan's own corner: a place reads the same from every grid
    first = np.floor(corners.min(0) / factors).astype(int) - reach
    stop = np.ceil((corners.max(0) + 1) / factors).astype(int) + reach
    low = np.maximum(first * factors, 0)
    high = np.minimum(stop * factors, image.shape)
    if (high - low < 1).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def sample(image: Image, grid: Grid, order: int = 1, smooth: bool = True) -> FloatArray:
    """The image on `grid`, float32 (z, y, x); `Image.outside` beyond its end.

    Where the grid is coarser than the scan, blocks of voxels are averaged first if `smooth`.
    order: 1 linear, 3 cubic.
    """
    matrix, offset = _index_map(image, grid)
    ratio = grid.spacing_mm / image.spacing_zyx_mm
    factors = np.maximum(1, ratio * smooth + 0.2).astype(int)
    reach = 1 if order == 1 else SPLINE_REACH
    corners = _corners(grid) @ matrix.T + offset
    box = _source_box(image, corners, factors, reach)
    if box is None:
        return np.full(grid.shape, image.outside, np.float32)
    z, y, x = (int(factor) for factor in factors)
    largest = LARGEST_HU if image.unit == "HU" else None
    source = block_means(image.values[box], (z, y, x), largest)
    start = np.array([s.start for s in box], dtype=np.float64)
    # block b of factor f covers source indices b*f .. b*f+f-1, its centre is b*f + (f-1)/2
    to_block = matrix / factors[:, None]
    shift = (offset - start - (factors - 1) / 2) / factors
    if order == 1 and np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-9):
        out = _separable(source, np.diag(to_block), shift, grid.shape)
    else:
        mode = "nearest" if order == 1 else "mirror"  # no step that a spline would echo
        out = ndimage.affine_transform(source, to_block, shift, grid.shape, np.float32, order, mode)
    if (corners < -0.5).any() or (corners > np.array(image.shape) - 0.5).any():
        out[_outside(matrix, offset, grid.shape, image.shape)] = image.outside
    return np.asarray(out, dtype=np.float32)


def _outside(
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int, int],
    source_shape: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Grid voxels farther than half a voxel from every voxel centre of the scan."""
    out = np.zeros(shape, np.bool_)
    index = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for row, first, n in zip(matrix, offset, source_shape, strict=True):
        at = first + sum(step * i for step, i in zip(row, index, strict=True) if abs(step) > 1e-9)
        out |= (at < -0.5) | (at > n - 0.5)
    return out


def _separable(
    source: FloatArray,
    step: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> FloatArray:
    """Axis-parallel scans: interpolate one axis after the other, far cheaper than all at once."""
    result = source
    for axis in range(3):
        at = offset[axis] + step[axis] * np.arange(shape[axis])
        n = result.shape[axis]
        low = np.clip(np.floor(at).astype(int), 0, max(n - 2, 0))
        weight = np.clip(at - low, 0, 1).astype(np.float32)
        high = np.minimum(low + 1, n - 1)
        shaped = weight.reshape([-1 if a == axis else 1 for a in range(3)])
        lower = result.take(low, axis)
        result = lower + shaped * (result.take(high, axis) - lower)
    return result


def coarse_copy(image: Image, grid: Grid) -> Image:
    """The part of the scan on `grid` as an image of its own, to be looked at many times."""
    values, dtype = sample(image, grid), image.values.dtype
    if dtype.kind != "f":
        values = np.rint(values)
    return Image(values.astype(dtype), grid.affine_zyx_to_lps, image.modality, image.unit)


def inside_scan(
    image: Image, lps_mm: NDArray[np.float64], margin_mm: float = 0.0
) -> NDArray[np.bool_]:
    """(n, 3) LPS mm -> (n,) True where the scan has data, at least `margin_mm` from its end.

    A voxel reaches half its edge beyond its centre.
    """
    index = image.to_zyx(lps_mm)
    margin = margin_mm / image.spacing_zyx_mm - 0.5
    top = np.array(image.shape) - 1 - margin
    return np.asarray(((index >= margin) & (index <= top)).all(-1))


def box_about(there: NDArray[np.bool_], margin: int) -> tuple[slice, slice, slice]:
    """The box of all that is set, and a margin; empty where nothing is."""
    sides = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        line = np.flatnonzero(there.any(others))
        low, high = (line[0], line[-1] + 1) if len(line) else (margin, -margin)
        sides.append(slice(max(int(low) - margin, 0), max(int(high) + margin, 0)))
    return sides[0], sides[1], sides[2]
