"""Stage 4, second half: what heights mean. Height loss, Genant grade, suspicion.

A vertebra's heights are compared with what its own greatest height and its neighbours' heights
lead one to expect at its level: a normal L5 is a wedge and a normal T7 is lower in front, so
plain ratios of millimetres would call them fractured.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.parallel import computing
from vfx_edge.stages.measure import column_axes, depth_mm, measure_heights
from vfx_edge.stages.parts import vertebra_frame
from vfx_edge.study import Heights, Level, Measurement, VertebraMask, Volume

Scales = NDArray[np.float64]

# Anterior, middle and posterior height of an intact vertebra, mm, adult; only ratios matter.
# Smoothed over the intact vertebrae of labelled masks and published wedging:
# `python -m models.recipes.normal_heights`, on the cases of the round before the shipped one.
# T13 and L6, which none of them has, take after their neighbours.
NORMAL_MM: dict[Level, tuple[float, float, float]] = {
    Level.T1: (18.3, 17.1, 19.0),
    Level.T2: (18.6, 17.3, 19.2),
    Level.T3: (18.9, 17.6, 19.6),
    Level.T4: (19.4, 18.1, 20.1),
    Level.T5: (19.9, 18.5, 20.7),
    Level.T6: (20.3, 19.0, 21.5),
    Level.T7: (20.8, 19.5, 22.3),
    Level.T8: (21.4, 20.1, 23.1),
    Level.T9: (22.1, 20.7, 24.0),
    Level.T10: (22.8, 21.4, 24.9),
    Level.T11: (23.6, 22.1, 25.7),
    Level.T12: (24.5, 22.9, 26.4),
    Level.T13: (25.0, 23.2, 26.7),
    Level.L1: (25.5, 23.6, 27.0),
    Level.L2: (26.6, 24.5, 27.4),
    Level.L3: (27.8, 25.3, 27.6),
    Level.L4: (29.1, 26.0, 27.5),
    Level.L5: (30.4, 26.8, 27.1),
    Level.L6: (30.4, 26.8, 27.1),
}
# Depth of the same bodies at their waist, mm; only ratios matter.
NORMAL_DEPTH_MM: dict[Level, float] = {
    Level.T1: 20.1,
    Level.T2: 21.4,
    Level.T3: 22.5,
    Level.T4: 23.6,
    Level.T5: 24.6,
    Level.T6: 25.5,
    Level.T7: 26.3,
    Level.T8: 27.1,
    Level.T9: 27.7,
    Level.T10: 28.3,
    Level.T11: 28.8,
    Level.T12: 29.3,
    Level.T13: 29.4,
    Level.L1: 29.6,
    Level.L2: 30.0,
    Level.L3: 30.3,
    Level.L4: 30.6,
    Level.L5: 30.8,
    Level.L6: 30.8,
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
# Depth over what the neighbours lead one to expect, from which it is too much for a body that
# has lost height in front alone; crushed ones do grow broad.
DEEP, DEPTH_REACH = 1.15, 3
MIN_POINTS, MIN_JUDGED = 200, 3  # voxels of a body; bodies
# The middle half of a column's widths over depths lies within 0.08 to 0.13 of the median where
# outlines are good. Beyond this they are not those of vertebrae.
UNSTEADY, MIN_STEADY = 0.2, 5


def genant_grade(loss: float) -> int:
    """0 to 3 from a height loss 0..1."""
    return sum(loss >= start for start in GENANT_FROM)


def _scales(level: Level, heights: Heights) -> Scales:
    """Anterior, middle, posterior as multiples of the level's normal height."""
    measured = np.array([heights.anterior_mm, heights.middle_mm, heights.posterior_mm])
    return np.asarray(measured / np.array(NORMAL_MM[level]))


def _expected(at: int, scales: Sequence[Scales | None], broken: Collection[int]) -> float:
    """What the heights of number `at` would be if it were intact, as a multiple of the normal.

    A body is held against its own back wall, the last to give way, and against its neighbours.
    """
    own = scales[at]
    assert own is not None
    near = [j for j in range(at - REACH, at + REACH + 1) if j != at and 0 <= j < len(scales)]
    known = {j: float(np.median(s)) for j in near if (s := scales[j]) is not None}
    intact = [scale for j, scale in known.items() if j not in broken] or list(known.values())
    if not intact:
        return float(max(own[0], own[2]))
    return max(float(own[2]), float(np.median(intact)))


def _told(loss: float) -> float:
    """A loss 0..1 in whole per cent: no measurement is finer, and what is judged is what a reader
    sees. "20 %" beside a verdict that needs 20 % and was denied would puzzle anyone."""
    return round(float(np.clip(loss, 0, 1)), 2)


def height_losses(
    levels: Sequence[Level], heights: Sequence[Heights | None], read: Sequence[int] = (0, 1)
) -> list[float | None]:
    """Largest loss per vertebra against its own back wall and its neighbours' heights, in whole
    per cent (0.00 to 1.00); None where there are no heights or the level has no norm (cervical).

    read: which heights are looked at: 0 anterior, 1 middle. The posterior one is not: a body
    that is crushed behind has lost as much in front, and one that is low behind alone, as many
    an L5 is, has the shape of its place in the lordosis.
    """
    scales = [
        _scales(level, h) if h is not None and level in NORMAL_MM else None
        for level, h in zip(levels, heights, strict=True)
    ]
    losses: list[float | None] = []
    for _ in range(2):  # the second time without asking those that are themselves broken
        broken = [i for i, loss in enumerate(losses) if loss is not None and genant_grade(loss)]
        losses = [
            None if own is None else _told(1 - own[list(read)].min() / _expected(i, scales, broken))
            for i, own in enumerate(scales)
        ]
    return losses


def _too_deep(levels: Sequence[Level], heights: Sequence[Heights | None]) -> list[bool]:
    """Whether a mask reaches so far to the front that it must have left the body there."""
    shares = np.array(
        [
            depth_mm(h) / NORMAL_DEPTH_MM[level] if h and level in NORMAL_DEPTH_MM else np.nan
            for level, h in zip(levels, heights, strict=True)
        ]
    )
    return [
        bool(len(near) >= MIN_JUDGED and share > DEEP * np.median(near))
        for share, near in ((share, _neighbours(shares, i)) for i, share in enumerate(shares))
    ]


def _neighbours(values: Scales, at: int) -> Scales:
    """What is known of the DEPTH_REACH values before and after number `at`."""
    near = np.delete(values, at)[max(at - DEPTH_REACH, 0) : at + DEPTH_REACH]
    return np.asarray(near[np.isfinite(near)])


def _obstacle(volume: Volume, mask: VertebraMask, heights: Heights | None) -> str | None:
    """Why this vertebra's heights can't be judged, or None."""
    if mask.touches_edge:
        return "truncated"
    if float(volume.spacing_zyx_mm.max()) > MAX_SPACING_MM:
        return "spacing_too_coarse"
    if heights is None:
        return "low_confidence"
    return "metal" if _has_metal(volume, mask) else None


def _doubtful_column(
    masks: Sequence[VertebraMask], axes: Sequence[NDArray[np.float64]]
) -> str | None:
    """Why no body of this column can be judged, or None: bodies too narrow for their depth (the
    file's slice distances can't be right), or shapes that jump from one to the next."""
    shares = []
    for mask, up in zip(masks, axes, strict=True):
        level = mask.vertebra.level
        points = np.argwhere(mask.body > 0.5) * mask.spacing_mm
        if mask.touches_edge or level < FIRST_VALIDATED or len(points) < MIN_POINTS:
            continue
        _, depth, width = ((points - points.mean(0)) @ vertebra_frame(up[::-1]).T).std(0)
        shares.append(width / depth / (LUMBAR_WIDTH if level >= Level.L1 else THORACIC_WIDTH))
    low, usual, high = np.percentile(shares, (25, 50, 75)) if shares else (1.0, 1.0, 1.0)
    if len(shares) >= MIN_JUDGED and usual < NARROW:
        return "implausible_spacing"
    jumpy = len(shares) >= MIN_STEADY and high - low > UNSTEADY * usual
    return "low_confidence" if jumpy else None


def _has_metal(volume: Volume, mask: VertebraMask) -> bool:
    inside = np.argwhere(mask.body > 0.5)
    lps = inside[:, ::-1] * mask.spacing_mm + np.array(mask.origin_lps_mm)
    index = np.round(volume.to_zyx(lps)).astype(int)
    index = np.clip(index, 0, np.array(volume.hu.shape) - 1)
    return bool((volume.hu[tuple(index.T)] > METAL_HU).mean() > METAL_SHARE)


def measure_vertebrae(
    volume: Volume,
    masks: Sequence[VertebraMask],
    suspected_from: float,
    drawn_by_hand: bool = False,
) -> tuple[Measurement, ...]:
    """Heights, height loss, grade and suspicion for each mask (head to feet).

    suspected_from: height loss 0..1 from which a fracture is suspected. drawn_by_hand: the masks
    are a person's, whose outlines are not second-guessed by the image's edges. What the field of
    view cuts has no heights and takes no part as a neighbour.
    """
    axes = column_axes(masks)

    def look(at: int) -> tuple[Heights | None, str | None]:
        cut = masks[at].touches_edge
        edges = None if drawn_by_hand else volume
        heights = None if cut else measure_heights(masks[at], axes[at], edges)
        return heights, _obstacle(volume, masks[at], heights)

    looked = computing(look, range(len(masks)))
    heights, obstacles = [h for h, _ in looked], [why for _, why in looked]
    if doubt := _doubtful_column(masks, axes):
        obstacles = [why or doubt for why in obstacles]
    usable = [None if why else h for h, why in zip(heights, obstacles, strict=True)]
    levels = [mask.vertebra.level for mask in masks]
    losses = height_losses(levels, usable)
    behind = height_losses(levels, usable, read=(1,))
    # what a mask that left the body in front says of the front is no reason for suspicion
    doubtful = [
        deep and rest is not None and rest < suspected_from
        for deep, rest in zip(_too_deep(levels, usable), behind, strict=True)
    ]
    return tuple(
        _measurement(level, h, loss, why, suspected_from, unsure)
        for level, h, loss, why, unsure in zip(
            levels, usable, losses, obstacles, doubtful, strict=True
        )
    )


def _measurement(
    level: Level,
    heights: Heights | None,
    loss: float | None,
    obstacle: str | None,
    suspected_from: float,
    doubtful: bool,
) -> Measurement:
    if loss is None:
        return Measurement(heights, None, None, None, obstacle or "no_norm_for_level")
    doubtful |= level < FIRST_VALIDATED and loss < SURE_FROM
    if doubtful and loss >= suspected_from:
        return Measurement(heights, loss, None, None, "low_confidence")
    return Measurement(heights, loss, genant_grade(loss), loss >= suspected_from)
