"""Soft tissue made less regular: bent outlines, strands of fat, uneven grey."""

import numpy as np

from vfx_edge.phantom.canvas import F32

Array = np.ndarray
MUSCLE_HU = (0.0, 95.0)
FAT_HU = (-180.0, -40.0)


def _between_nodes(coarse: F32, line: Array, axis: int) -> F32:
    """Values of a coarse grid at places (in nodes) along one axis, smoothly interpolated."""
    low = np.floor(line).astype(int)
    share = (line - low).astype(np.float32)
    share = share * share * (3 - 2 * share)
    form = [1] * coarse.ndim
    form[axis] = -1
    first, second = np.take(coarse, low, axis), np.take(coarse, low + 1, axis)
    return np.asarray(first + (second - first) * share.reshape(form), dtype=np.float32)


class SliceNoise:
    """Smooth noise of unit deviation, correlated over `grain` voxels, made slice by slice."""

    def __init__(self, shape: tuple[int, ...], grain: float, rng: np.random.Generator) -> None:
        count = [int(np.ceil(n / grain)) + 3 for n in shape]
        coarse = rng.standard_normal(count).astype(np.float32) * np.float32(1.7)
        at = [np.arange(n) / grain + rng.uniform(0, 1) for n in shape]
        self._z = at[0]
        self._nodes = _between_nodes(_between_nodes(coarse, at[1], 1), at[2], 2)

    def at(self, z: int) -> F32:
        """The field in slice `z` (y, x)."""
        return np.asarray(_between_nodes(self._nodes, self._z[z : z + 1], 0)[0])


def _shifted(image: F32, by: F32, axis: int) -> F32:
    """Each pixel read `by` pixels further along one axis, linearly."""
    size = image.shape[axis]
    form = [1, 1]
    form[axis] = -1
    at = np.clip(by + np.arange(size, dtype=np.float32).reshape(form), 0, size - 1.001)
    low = at.astype(np.int64)
    first = np.take_along_axis(image, low, axis)
    second = np.take_along_axis(image, low + 1, axis)
    return np.asarray(first + (second - first) * (at - low).astype(np.float32), dtype=np.float32)


def roughen(hu: F32, spacing_mm: float, rng: np.random.Generator) -> None:
    """Bend the organs' outlines, run fat through the muscles and strands through the fat.

    hu (z, y, x) float32 without bones yet, changed in place.
    """
    amplitude = np.float32(rng.uniform(1.0, 3.5) / spacing_mm)
    bends = [SliceNoise(hu.shape, rng.uniform(26, 45) / spacing_mm, rng) for _ in range(2)]
    marbling, strands = rng.uniform(0.0, 1.0) ** 2, np.float32(rng.uniform(0.1, 0.8))
    fine = SliceNoise(hu.shape, rng.uniform(2.0, 3.5) / spacing_mm, rng)
    coarse = SliceNoise(hu.shape, rng.uniform(7.0, 14.0) / spacing_mm, rng)
    for z, image in enumerate(hu):
        for axis, bend in enumerate(bends):
            image[...] = _shifted(image, amplitude * bend.at(z), axis)
        _add_strands(image, fine.at(z), coarse.at(z), np.float32(marbling), strands)


def _add_strands(image: F32, a: F32, b: F32, marbling: np.float32, strands: np.float32) -> None:
    """Streaks of fat in what is muscle, of denser tissue in what is fat; one slice, in place."""
    muscle = (image > MUSCLE_HU[0]) & (image < MUSCLE_HU[1])
    inside, fine, slow = image[muscle], a[muscle], b[muscle]
    streak = np.clip((0.8 * fine + slow - (2.6 - 1.6 * marbling)) * 0.7, 0, 0.9)
    image[muscle] = inside + streak * (-95.0 - inside) + 5.0 * fine + 3.0 * slow
    fat = (image > FAT_HU[0]) & (image < FAT_HU[1])
    strand = np.clip((a[fat] - 1.0 - 0.6 * b[fat]) * strands, 0, 1)
    image[fat] += strand * 90.0 + 4.0 * a[fat]
