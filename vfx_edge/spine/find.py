"""Along the spine only, the centre of every vertebral body."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.image.grids import (
    FloatArray,
    Grid,
    box_about,
    grid_between,
    inside_scan,
    sample,
)
from vfx_edge.inference.patches import our_shape, run_tiles
from vfx_edge.spine.locate import SpineRegion

MIN_HEAT = 0.15
APART_MM = 9.0  # closer than any two neighbouring vertebrae
SURE = 0.4  # heat of a body from which the spine's course is told
NEXT_MM = 45.0  # no two neighbours lie farther apart
STEP_MM = 75.0  # searched on beyond the last body
MAX_STEPS = 8
MAX_CANDIDATES = 48  # twice a whole spine: naming costs their square


@dataclass(frozen=True, eq=False)
class Bodies:
    """Places that may be a body's centre, from head to feet: centres_lps_mm (n, 3), and how
    sure the finder is, score (n,) 0..1."""

    centres_lps_mm: NDArray[np.float64]
    score: NDArray[np.float64]


def _grid_along(region: SpineRegion, shape: tuple[int, int, int], spacing_mm: float) -> Grid:
    """A grid round the centreline, wide enough for a tile at any of its points."""
    half = np.array(shape[::-1]) / 2 * spacing_mm
    low = region.centreline_lps_mm.min(0) - half
    return grid_between(low, region.centreline_lps_mm.max(0) + half, spacing_mm)


def _tile_starts(line_zyx: NDArray[np.float64], shape: tuple[int, int, int]) -> list[list[int]]:
    """Tiles of half overlap that follow the centreline (in voxels)."""
    low, high = line_zyx[:, 0].min(), line_zyx[:, 0].max()
    count = max(1, int(np.ceil((high - low - shape[0] * 0.75) / (shape[0] / 2))) + 1)
    inset = min(shape[0] * 0.375, (high - low) / 2)
    starts = []
    for z in np.linspace(high - inset, low + inset, count):
        near = np.abs(line_zyx[:, 0] - z) <= shape[0] / 2
        y, x = line_zyx[near, 1:].mean(0)
        starts.append([round(c - n / 2) for c, n in zip((z, y, x), shape, strict=True)])
    return starts


def centre_heat(image: Image, region: SpineRegion, finder: Network) -> tuple[FloatArray, Grid]:
    """Heat map (z, y, x) of bodies' centres along the spine, and its grid."""
    spec = finder.spec
    shape = our_shape(spec.input)
    grid = _grid_along(region, shape, spec.input.spacing_mm)
    starts = _tile_starts(grid.to_zyx(region.centreline_lps_mm), shape)
    centre = spec.classes.index("centre")
    return run_tiles(finder, sample(image, grid), starts, centre, image.outside), grid


def _vertex(heat: FloatArray, place: NDArray[np.int_]) -> NDArray[np.float64]:
    """Where the parabola through a maximum's logarithm and its neighbours' has its vertex: exact
    for a Gaussian, within half a voxel of the maximum."""
    shift = np.zeros(3)
    for axis, step in enumerate(np.eye(3, dtype=int)):
        if not 0 < place[axis] < heat.shape[axis] - 1:
            continue
        trio = [heat[tuple(at)] for at in (place - step, place, place + step)]
        low, top, high = np.log(np.maximum(trio, 1e-6))
        bend = low - 2 * top + high
        if bend < 0:
            shift[axis] = np.clip(0.5 * (low - high) / bend, -0.5, 0.5)
    return shift


def _peaks(heat: FloatArray, spacing_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest local maxima (n, 3) z, y, x to a part of a voxel, and their heights, no two
    too close."""
    warm = heat > MIN_HEAT
    box = box_about(warm, 1)  # most of the grid lies beside the spine
    highest = ndimage.maximum_filter(heat[box], 3) == heat[box]
    places = np.argwhere(highest & warm[box]) + [side.start for side in box]
    places = places[np.argsort(-heat[tuple(places.T)])][: 10 * MAX_CANDIDATES]
    kept: list[NDArray[np.float64]] = []
    for place in places:
        fine = place + _vertex(heat, place)
        if all(np.linalg.norm(fine - k) * spacing_mm > APART_MM for k in kept):
            kept.append(fine)
    at = np.array(kept[:MAX_CANDIDATES]).reshape(-1, 3)
    index = tuple(np.clip(np.round(at).astype(int), 0, np.array(heat.shape) - 1).T)
    return at, heat[index].astype(np.float64)


def find_bodies(image: Image, region: SpineRegion, finder: Network) -> Bodies:
    """All places within the scan that might be a vertebral body's centre.

    Where bodies are found up to an end of the line and the scan goes on, so does the search: at
    6 mm a part of the spine that runs out of the field is easily overlooked.
    """
    found = _bodies_along(image, region, finder)
    for end in (0, -1):
        line = region
        for _ in range(MAX_STEPS):
            beyond = _line_beyond(image, found, line, end)
            if beyond is None or _same_line(beyond, line):  # nothing new was found on it
                break
            found = _with_new(found, _bodies_along(image, beyond, finder))
            line = beyond
    return found


def _bodies_along(image: Image, region: SpineRegion, finder: Network) -> Bodies:
    """From head to feet."""
    heat, grid = centre_heat(image, region, finder)
    at, score = _peaks(heat, grid.spacing_mm)
    lps = grid.to_lps(at)
    inside = np.flatnonzero(inside_scan(image, lps)) if len(lps) else np.zeros(0, int)
    order = inside[np.argsort(-lps[inside, 2])]
    return Bodies(lps[order], score[order])


def _same_line(a: SpineRegion, b: SpineRegion) -> bool:
    return np.array_equal(a.centreline_lps_mm, b.centreline_lps_mm)


def _line_beyond(
    image: Image, found: Bodies, searched: SpineRegion, end: int
) -> SpineRegion | None:
    """The spine's course straight on, from the outermost two bodies that are sure; None where the
    last search ended without such a body, or the scan ends. end: 0 head, -1 feet."""
    sure = found.centres_lps_mm[found.score > SURE]
    if len(sure) < 2:
        return None
    last, before = (sure[0], sure[1]) if end == 0 else (sure[-1], sure[-2])
    searched_to = searched.centreline_lps_mm[end, 2]
    if abs(last[2] - searched_to) > NEXT_MM and (last[2] < searched_to) == (end == 0):
        return None
    way = (last - before) / np.linalg.norm(last - before)
    line = last + way * np.arange(10.0, STEP_MM, 5.0)[:, None]
    line = line[inside_scan(image, line)]
    if len(line) < 3:
        return None
    return SpineRegion(line if end == -1 else line[::-1])


def _with_new(found: Bodies, more: Bodies) -> Bodies:
    """Both, head to feet, without places that were there already."""
    gaps = np.linalg.norm(more.centres_lps_mm[:, None] - found.centres_lps_mm[None], axis=2)
    new = (gaps > APART_MM).all(1)
    lps = np.concatenate([found.centres_lps_mm, more.centres_lps_mm[new]])
    score = np.concatenate([found.score, more.score[new]])
    best = np.argsort(-score, kind="stable")[:MAX_CANDIDATES]
    order = best[np.argsort(-lps[best, 2], kind="stable")]
    return Bodies(lps[order], score[order])
