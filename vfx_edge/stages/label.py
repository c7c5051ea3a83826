"""Stage 2, along the spine only: the bodies' centres, and every vertebra's name."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.stages.column import LEVELS, Candidates, name_column
from vfx_edge.stages.feed import as_points, cut, our_shape, paste, run_patches, taper
from vfx_edge.stages.geometry import AIR_HU, FloatArray, Grid, inside_scan, sample
from vfx_edge.stages.locate import NoSpineInView, SpineRegion
from vfx_edge.study import Level, Vertebra, Volume

MIN_HEAT = 0.12
APART_MM = 9.0  # closer than any two neighbouring vertebrae
EVIDENCE_MM = 10.0  # radius about a centre in which levels are read


def _grid_along(region: SpineRegion, shape: tuple[int, int, int], spacing_mm: float) -> Grid:
    """A grid round the centreline, wide enough for a tile at any of its points."""
    half = np.array(shape[::-1]) / 2 * spacing_mm
    low = region.centreline_lps_mm.min(0) - half
    high = region.centreline_lps_mm.max(0) + half
    count = np.ceil((high - low) / spacing_mm).astype(int) + 1
    origin = (float(low[0]), float(low[1]), float(low[2]))
    return Grid(origin, spacing_mm, (int(count[2]), int(count[1]), int(count[0])))


def _tile_starts(line_zyx: NDArray[np.float64], shape: tuple[int, int, int]) -> list[list[int]]:
    """Tiles of half overlap that follow the centreline (in voxels)."""
    low, high = line_zyx[:, 0].min(), line_zyx[:, 0].max()
    count = max(1, int(np.ceil((high - low - shape[0] * 0.75) / (shape[0] / 2))) + 1)
    inset = min(shape[0] * 0.375, (high - low) / 2)
    starts = []
    for z in np.linspace(high - inset, low + inset, count):
        near = np.abs(line_zyx[:, 0] - z) <= shape[0] / 2
        y, x = line_zyx[near, 1:].mean(0)
        starts.append([int(round(c - n / 2)) for c, n in zip((z, y, x), shape, strict=True)])
    return starts


def read_levels(
    volume: Volume, region: SpineRegion, labeller: Network
) -> tuple[FloatArray, FloatArray, Grid]:
    """Centre heat map (z, y, x), class probabilities (c, z, y, x), and their grid.

    The network's first class is "centre", the heat map; the others share a softmax.
    """
    spec = labeller.spec
    shape = our_shape(spec.input)
    grid = _grid_along(region, shape, spec.input.spacing_mm)
    hu = sample(volume, grid)
    starts = _tile_starts(grid.to_zyx(region.centreline_lps_mm), shape)
    tiles = [spec.input.normalise(cut(hu, start, shape, AIR_HU))[None] for start in starts]
    total = np.zeros((len(spec.output.classes), *grid.shape), np.float32)
    weight = np.full(grid.shape, 1e-6, np.float32)
    window = taper(shape)
    for start, answer in zip(starts, run_patches(labeller, tiles), strict=True):
        paste(total, weight, answer, start, window)
    total /= weight
    return total[0], total[1:], grid


def _peaks(heat: FloatArray, spacing_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local maxima (n, 3) z, y, x to a part of a voxel, and their heights, no two too close."""
    top = (ndimage.maximum_filter(heat, 3) == heat) & (heat > MIN_HEAT)
    places = np.argwhere(top)
    places = places[np.argsort(-heat[tuple(places.T)])]
    kept: list[NDArray[np.float64]] = []
    for place in places:
        around = tuple(slice(max(p - 1, 0), p + 2) for p in place)
        mass = heat[around]
        shift = ndimage.center_of_mass(mass)
        fine = np.array([s.start for s in around]) + np.array(shift)
        if all(np.linalg.norm(fine - k) * spacing_mm > APART_MM for k in kept):
            kept.append(fine)
    at = np.array(kept).reshape(-1, 3)
    index = tuple(np.round(at).astype(int).T)
    return at, heat[index].astype(np.float64)


def _evidence(
    at: NDArray[np.float64], heat: FloatArray, classes: FloatArray, names: tuple[str, ...], spacing_mm: float
) -> NDArray[np.float64]:
    """(n, levels): what the voxels about each centre say, weighted by the heat map."""
    radius = int(np.ceil(EVIDENCE_MM / spacing_mm))
    column = {name: i for i, name in enumerate(names)}
    out = np.zeros((len(at), len(LEVELS)))
    for row, place in enumerate(np.round(at).astype(int)):
        box = tuple(slice(max(p - radius, 0), p + radius + 1) for p in place)
        weight = heat[box] + 0.02
        mean = (classes[(slice(None), *box)] * weight).sum((1, 2, 3)) / weight.sum()
        for i, level in enumerate(LEVELS):
            if level.value in column:
                out[row, i] = mean[column[level.value]]
        # transitional vertebrae are not taught: they look like both their neighbours
        if "T13" not in column:
            out[row, LEVELS.index(Level.T13)] = 0.5 * (mean[column["T12"]] + mean[column["L1"]])
        if "L6" not in column:
            out[row, LEVELS.index(Level.L6)] = mean[column["L5"]]
        out[row] /= max(out[row].sum(), 1e-6)
    return out


def find_candidates(volume: Volume, region: SpineRegion, labeller: Network) -> Candidates:
    """All places that might be a vertebral body's centre, from head to feet."""
    heat, classes, grid = read_levels(volume, region, labeller)
    at, score = _peaks(heat, grid.spacing_mm)
    lps = grid.to_lps(at)
    inside = inside_scan(volume, lps) if len(lps) else np.zeros(0, np.bool_)
    order = np.flatnonzero(inside)[np.argsort(-lps[inside, 2])]
    evidence = _evidence(at, heat, classes, labeller.spec.output.classes[1:], grid.spacing_mm)
    return Candidates(lps[order], score[order], evidence[order])


def label_vertebrae(volume: Volume, region: SpineRegion, labeller: Network) -> tuple[Vertebra, ...]:
    """Named vertebrae from head to feet. Raises NoSpineInView when there is none."""
    candidates = find_candidates(volume, region, labeller)
    named = name_column(candidates)
    if not named:
        raise NoSpineInView
    points = as_points(candidates.centres_lps_mm)
    return tuple(Vertebra(n.level, points[n.index], n.probability) for n in named)
