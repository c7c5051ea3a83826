"""Stage 4, second half: what heights mean. Height loss, Genant grade, suspicion.

A vertebra's heights are compared with what its own greatest height and its neighbours' heights
lead one to expect at its level: a normal L5 is a wedge and a normal T7 is lower in front, so
plain ratios of millimetres would call them fractured.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.stages.measure import column_axes, measure_heights
from vfx_edge.stages.parts import vertebra_frame
from vfx_edge.study import Heights, Level, Measurement, VertebraMask, Volume

# Anterior, middle and posterior height of an intact vertebra, mm, adult; only ratios matter.
# Smoothed over the intact vertebrae of labelled masks: `python -m models.recipes.normal_heights`
# T13 and L6, which none of them has, take after their neighbours.
NORMAL_MM: dict[Level, tuple[float, float, float]] = {
    Level.T1: (16.4, 17.1, 17.7),
    Level.T2: (16.9, 17.1, 18.0),
    Level.T3: (17.5, 17.2, 18.4),
    Level.T4: (18.0, 17.4, 18.9),
    Level.T5: (18.6, 17.8, 19.5),
    Level.T6: (19.3, 18.2, 20.2),
    Level.T7: (20.0, 18.8, 21.0),
    Level.T8: (20.7, 19.4, 21.7),
    Level.T9: (21.5, 20.2, 22.5),
    Level.T10: (22.4, 20.9, 23.3),
    Level.T11: (23.3, 21.8, 24.0),
    Level.T12: (24.3, 22.6, 24.7),
    Level.T13: (24.8, 23.0, 25.0),
    Level.L1: (25.4, 23.5, 25.3),
    Level.L2: (26.5, 24.3, 25.7),
    Level.L3: (27.7, 25.0, 25.9),
    Level.L4: (28.9, 25.7, 25.9),
    Level.L5: (30.2, 26.1, 25.7),
    Level.L6: (30.2, 26.1, 25.7),
}
GENANT_FROM = (0.20, 0.25, 0.40)  # grades 1, 2, 3 (Genant et al. 1993)
# Genant's method was validated from T4 to L4. Above, bodies lie oblique to the slices and are
# outlined less well: a loss that is not beyond doubt is told, but not judged.
FIRST_VALIDATED, SURE_FROM = Level.T4, 0.35
REACH = 2  # neighbours above and below that are asked
METAL_HU, METAL_SHARE = 2200, 0.004
MAX_SPACING_MM = 6.0
# Spread of a body from side to side over that from front to back, and when it is too small.
THORACIC_WIDTH, LUMBAR_WIDTH, NARROW = 1.1, 1.3, 0.87
MIN_POINTS, MIN_JUDGED = 200, 3  # voxels of a body; bodies


def genant_grade(loss: float) -> int:
    """0 to 3 from a height loss 0..1."""
    return sum(loss >= start for start in GENANT_FROM)


def _scales(level: Level, heights: Heights) -> np.ndarray:
    """Anterior, middle, posterior as multiples of the level's normal height."""
    measured = np.array([heights.anterior_mm, heights.middle_mm, heights.posterior_mm])
    return np.asarray(measured / np.array(NORMAL_MM[level]))


def height_losses(levels: Sequence[Level], heights: Sequence[Heights | None]) -> list[float | None]:
    """Largest loss per vertebra against its own best and its neighbours' heights; None where
    there are no heights or the level has no norm (cervical)."""
    known = [
        _scales(level, h) if h is not None and level in NORMAL_MM else None
        for level, h in zip(levels, heights, strict=True)
    ]
    out: list[float | None] = []
    for i, own in enumerate(known):
        if own is None:
            out.append(None)
            continue
        near = [
            known[j] for j in range(max(i - REACH, 0), min(i + REACH + 1, len(known))) if j != i
        ]
        neighbours = [float(np.median(s)) for s in near if s is not None]
        expected = max(float(own.max()), float(np.median(neighbours)) if neighbours else 0.0)
        out.append(float(np.clip(1 - own.min() / expected, 0.0, 1.0)))
    return out


def _obstacle(volume: Volume, mask: VertebraMask, heights: Heights | None) -> str | None:
    """Why this vertebra's heights can't be judged, or None."""
    if mask.touches_edge:
        return "truncated"
    if float(volume.spacing_zyx_mm.max()) > MAX_SPACING_MM:
        return "spacing_too_coarse"
    if heights is None:
        return "low_confidence"
    return "metal" if _has_metal(volume, mask) else None


def _squeezed(masks: Sequence[VertebraMask], axes: Sequence[NDArray[np.float64]]) -> bool:
    """Whether bodies are too narrow for their depth: the file's slice distances can't be right."""
    shares = []
    for mask, up in zip(masks, axes, strict=True):
        level = mask.vertebra.level
        points = np.argwhere(mask.body > 0.5) * mask.spacing_mm
        if mask.touches_edge or level < FIRST_VALIDATED or len(points) < MIN_POINTS:
            continue
        _, depth, width = ((points - points.mean(0)) @ vertebra_frame(up[::-1]).T).std(0)
        shares.append(width / depth / (LUMBAR_WIDTH if level >= Level.L1 else THORACIC_WIDTH))
    return len(shares) >= MIN_JUDGED and float(np.median(shares)) < NARROW


def _has_metal(volume: Volume, mask: VertebraMask) -> bool:
    inside = np.argwhere(mask.body > 0.5)
    lps = inside[:, ::-1] * mask.spacing_mm + np.array(mask.origin_lps_mm)
    index = np.round(volume.to_zyx(lps)).astype(int)
    index = np.clip(index, 0, np.array(volume.hu.shape) - 1)
    return bool((volume.hu[tuple(index.T)] > METAL_HU).mean() > METAL_SHARE)


def measure_vertebrae(
    volume: Volume, masks: Sequence[VertebraMask], suspected_from: float
) -> tuple[Measurement, ...]:
    """Heights, height loss, grade and suspicion for each mask (head to feet).

    suspected_from: height loss 0..1 from which a fracture is suspected. What the field of view
    cuts has no heights and takes no part as a neighbour.
    """
    axes = column_axes(masks)
    heights = [
        None if mask.touches_edge else measure_heights(mask, axis)
        for mask, axis in zip(masks, axes, strict=True)
    ]
    obstacles = [_obstacle(volume, m, h) for m, h in zip(masks, heights, strict=True)]
    if _squeezed(masks, axes):
        obstacles = [why or "implausible_spacing" for why in obstacles]
    usable = [None if why else h for h, why in zip(heights, obstacles, strict=True)]
    losses = height_losses([m.vertebra.level for m in masks], usable)
    return tuple(
        _measurement(mask.vertebra.level, h, loss, why, suspected_from)
        for mask, h, loss, why in zip(masks, usable, losses, obstacles, strict=True)
    )


def _measurement(
    level: Level,
    heights: Heights | None,
    loss: float | None,
    obstacle: str | None,
    suspected_from: float,
) -> Measurement:
    if loss is None:
        return Measurement(heights, None, None, None, obstacle or "no_norm_for_level")
    if level < FIRST_VALIDATED and suspected_from <= loss < SURE_FROM:
        return Measurement(heights, loss, None, None, "low_confidence")
    return Measurement(heights, loss, genant_grade(loss), loss >= suspected_from)
