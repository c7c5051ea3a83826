"""Stage 4, second half: what heights mean. Height loss, Genant grade, suspicion.

A vertebra's heights are compared with what its own greatest height and its neighbours' heights
lead one to expect at its level: a normal L5 is a wedge and a normal T7 is lower in front, so
plain ratios of millimetres would call them fractured.
"""

from collections.abc import Sequence

import numpy as np

from vfx_edge.stages.measure import column_axes, measure_heights
from vfx_edge.study import Heights, Level, Measurement, VertebraMask, Volume

# Anterior, middle and posterior height of an intact vertebra, mm, adult; only ratios matter.
# Smoothed over the intact vertebrae of labelled masks: `python -m models.recipes.normal_heights`
NORMAL_MM: dict[Level, tuple[float, float, float]] = {
    Level.T1: (15.4, 14.9, 16.5),
    Level.T2: (17.0, 16.0, 18.0),
    Level.T3: (17.3, 16.3, 18.4),
    Level.T4: (18.1, 17.0, 19.2),
    Level.T5: (18.9, 18.0, 20.2),
    Level.T6: (19.3, 18.5, 20.7),
    Level.T7: (19.8, 19.0, 21.3),
    Level.T8: (20.4, 19.4, 21.8),
    Level.T9: (21.1, 20.1, 22.4),
    Level.T10: (22.1, 21.0, 23.2),
    Level.T11: (23.0, 22.2, 24.4),
    Level.T12: (24.3, 23.3, 25.6),
    Level.T13: (25.2, 23.9, 26.1),
    Level.L1: (26.0, 24.4, 26.6),
    Level.L2: (28.0, 25.5, 27.3),
    Level.L3: (29.0, 25.7, 27.2),
    Level.L4: (29.2, 25.3, 26.5),
    Level.L5: (29.4, 25.3, 24.9),
    Level.L6: (29.4, 25.3, 24.0),
}
GENANT_FROM = (0.20, 0.25, 0.40)  # grades 1, 2, 3 (Genant et al. 1993)
REACH = 2  # neighbours above and below that are asked
METAL_HU, METAL_SHARE = 2200, 0.004
MAX_SPACING_MM = 6.0
MIN_LABEL_PROBABILITY = 0.0


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
    usable = [None if why else h for h, why in zip(heights, obstacles, strict=True)]
    losses = height_losses([m.vertebra.level for m in masks], usable)
    return tuple(
        _measurement(h, loss, why, suspected_from)
        for h, loss, why in zip(usable, losses, obstacles, strict=True)
    )


def _measurement(
    heights: Heights | None, loss: float | None, obstacle: str | None, suspected_from: float
) -> Measurement:
    if loss is None:
        return Measurement(heights, None, None, None, obstacle or "no_norm_for_level")
    return Measurement(heights, loss, genant_grade(loss), loss >= suspected_from)
