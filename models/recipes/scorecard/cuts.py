"""Random cuts of the field of view: along z, and sideways down to the spine, as an abdomen, a
chest or a spine reconstruction shows less of a patient than his whole scan does."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vfx_edge.image import Image
from vfx_edge.image.grids import bounds_lps_mm

SHORTEST_MM = 60.0
INSIDE_MM = 10.0  # from a cut end to a centre that still counts
AT_LEAST = 2  # vertebrae
SIDEWAYS = 0.5  # of the cuts
BESIDE_MM = (30.0, 120.0)  # from the outermost centres to the cut, left, right and in front
BEHIND_MM = (45.0, 120.0)

Box = tuple[np.ndarray, np.ndarray]
"""Lowest and highest LPS mm."""


def random_boxes(
    low: np.ndarray, high: np.ndarray, centres_lps_mm: np.ndarray, count: int, seed: int
) -> Iterator[Box]:
    """So many cuts of a field from low to high (LPS mm), each with some of the centres in it."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _box(low, high, centres_lps_mm, rng)


def _box(low: np.ndarray, high: np.ndarray, centres: np.ndarray, rng: np.random.Generator) -> Box:
    low, high = low.copy(), high.copy()
    inside = np.ones(len(centres), bool)
    for _ in range(100):
        length = rng.uniform(SHORTEST_MM, max(SHORTEST_MM + 20, high[2] - low[2]))
        start = rng.uniform(low[2] - 0.2 * length, high[2] - 0.8 * length)
        ends = max(start, low[2]), min(start + length, high[2])
        found = (centres[:, 2] > ends[0] + INSIDE_MM) & (centres[:, 2] < ends[1] - INSIDE_MM)
        if found.sum() >= min(AT_LEAST, len(centres)):
            low[2], high[2] = ends
            inside = found
            break
    if rng.random() < SIDEWAYS:
        near = centres[inside]
        reach = np.array([[rng.uniform(*BESIDE_MM) for _ in range(2)] for _ in range(2)])
        reach[1, 1] = rng.uniform(*BEHIND_MM)
        low[:2] = np.maximum(low[:2], near[:, :2].min(0) - reach[:, 0])
        high[:2] = np.minimum(high[:2], near[:, :2].max(0) + reach[:, 1])
    return low, high


def cut(image: Image, box: Box) -> Image:
    """The part of a scan in a box, in whole voxels."""
    corners = np.array([[box[i][a] for a, i in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    index = image.to_zyx(corners)
    last = np.array(image.values.shape)
    first = np.clip(np.ceil(index.min(0)), 0, last - 2).astype(int)
    stop = np.clip(np.floor(index.max(0)) + 1, first + 2, last).astype(int)
    part = tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, 3] = image.to_lps(first[None].astype(np.float64))[0]
    valid = None if image.valid is None else image.valid[part].copy()
    return replace(image, values=image.values[part].copy(), affine_zyx_to_lps=affine, valid=valid)


def field_of(image: Image) -> Box:
    """The whole scan as a box."""
    return bounds_lps_mm(image)
