"""What heights mean. Height loss, Genant grade, suspicion.

A vertebra's heights are compared with what its own greatest height and its neighbours' heights
lead one to expect at its level: a normal L5 is a wedge and a normal T7 is lower in front, so
plain ratios of millimetres would call them fractured.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.image import Image
from vfx_edge.parallel import map_computing
from vfx_edge.spine.measure import PLACES, column_axes, depth_mm, measure_heights
from vfx_edge.spine.slice_distance import NARROW, WIDE, usual_share, width_shares
from vfx_edge.study import Heights, Level, Measurement, VertebraMask
from vfx_edge.vocabulary import TRANSITIONAL, Reason

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
# A height is off by this much (standard deviations; slices add in squares: mean errors of the
# scorecard's phantoms, 0.8 mm at 1 mm and 1.2 mm at 3 mm slices), and intact bodies depart from
# their norm by this share. Names given with less than NAME_SURE may as well be the next level's.
HEIGHT_SD_MM, SLICE_SHARE, NORM_SD, NINE_TENTHS = 0.9, 0.4, 0.04, 1.645
NAME_SURE = 0.9
GENANT_FROM = (0.20, 0.25, 0.40)  # grades 1, 2, 3 (Genant et al. 1993)
# Genant's method was validated from T4 to L4. Above, bodies lie oblique to the slices and are
# outlined less well: a loss that is not beyond doubt is told, but not judged.
FIRST_VALIDATED, SURE_FROM = Level.T4, 0.35
REACH = 2  # neighbours above and below that are asked
METAL_HU, METAL_SHARE = 2200, 0.004
MAX_SPACING_MM = 6.0
# Depth over what the neighbours lead one to expect, from which it is too much for a body that
# has lost height in front alone; crushed ones do grow broad.
DEEP, DEPTH_REACH = 1.15, 3
MIN_JUDGED = 3  # bodies
# Width over depth, of the column's own, beyond which an outline is not that of a body (logarithm);
# those of one column lie within 0.15, and a wrong name adds 0.25.
ODD_SHAPE, MANY_ODD = 0.45, 0.35
# An endplate this far within the scan is seen, and a front or back wall, which an outline may
# well put where the scan ends.
INSIDE_MM, WALL_MM = 0.5, 5.0


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


def _per_cent(loss: float) -> float:
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
            None
            if own is None
            else _per_cent(1 - own[list(read)].min() / _expected(i, scales, broken))
            for i, own in enumerate(scales)
        ]
    return losses


def loss_ranges(
    levels: Sequence[Level], heights: Sequence[Heights | None], slice_mm: float, sure: bool = True
) -> list[tuple[float, float] | None]:
    """For each loss what it may as well be: nine in ten true losses lie within.

    Besides the error of a height, the upper end knows the other way to read: against the body's
    own greatest height, as a reader does who has no norm at hand. sure: whether the names are;
    else the norms of the levels above and below are asked, too.
    """
    sd_mm = float(np.hypot(HEIGHT_SD_MM, SLICE_SHARE * slice_mm))
    readings = [height_losses(levels, heights)]
    if not sure:
        readings += [height_losses([_beside(v, by) for v in levels], heights) for by in (-1, 1)]
    return [
        _range([r[i] for r in readings], level, h, sd_mm) if h and level in NORMAL_MM else None
        for i, (level, h) in enumerate(zip(levels, heights, strict=True))
    ]


def _range(
    losses: Sequence[float | None], level: Level, heights: Heights, sd_mm: float
) -> tuple[float, float] | None:
    known = [loss for loss in losses if loss is not None]
    if not known:
        return None
    own = _scales(level, heights)
    usual_mm = float(np.mean(NORMAL_MM[level])) * float(own.max())
    sd = float(np.hypot(sd_mm / usual_mm, NORM_SD))
    by_own = 1 - float(own[:2].min() / own.max()) + sd
    off = NINE_TENTHS * sd
    return _per_cent(min(known) - off), _per_cent(max(max(known) + off, by_own))


def _beside(level: Level, by: int) -> Level:
    """The level `by` steps further down that every spine has; its own where there is none."""
    usual = [v for v in NORMAL_MM if v not in TRANSITIONAL]
    if level not in usual:
        return level
    return usual[min(max(usual.index(level) + by, 0), len(usual) - 1)]


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


def _obstacle(
    image: Image, mask: VertebraMask, heights: Heights | None, slice_mm: float
) -> str | None:
    """Why this vertebra's heights can't be judged, or None. slice_mm: as of
    `measure_vertebrae`."""
    if not mask.is_outlined:
        return Reason.NOT_OUTLINED
    if mask.touches_edge and not (heights and _ends_in_view(image, heights)):
        return Reason.TRUNCATED
    if max(float(image.spacing_zyx_mm.max()), slice_mm) > MAX_SPACING_MM:
        return Reason.SPACING_TOO_COARSE
    if heights is None:
        return Reason.LOW_CONFIDENCE
    return Reason.METAL if _has_metal(image, mask) else None


def _ends_in_view(image: Image, heights: Heights) -> bool:
    """Whether a cut body's heights end within the scan: no more than a rim is missing."""
    pairs = np.array(heights.landmarks_lps_mm)
    if len(pairs) != len(PLACES):
        return False
    up = pairs[:, 0] - pairs[:, 1]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    back = pairs[2].mean(0) - pairs[0].mean(0)
    back *= WALL_MM / np.linalg.norm(back)
    middle = pairs.mean(1)
    ends = np.concatenate([
        pairs[:, 0] + INSIDE_MM * up, pairs[:, 1] - INSIDE_MM * up,
        [middle[0] - back, middle[2] + back],
    ])  # fmt: skip
    index = np.round(image.to_zyx(ends)).astype(int)
    if ((index < 0) | (index >= image.shape)).any():
        return False
    return image.valid is None or bool(image.valid[tuple(index.T)].all())


def _doubtful_shapes(masks: Sequence[VertebraMask]) -> list[str | None]:
    """For each body why its shape can't be trusted, or None.

    All of a column are too narrow or too wide for their depth where the file's slice distances
    can't be right. One that departs from all others is badly outlined; where many do, what was
    outlined is no spine.
    """
    shares = width_shares(masks)
    usual = usual_share(shares, masks)
    if usual is None:
        return [None] * len(masks)
    if not NARROW <= usual <= WIDE:
        return [Reason.IMPLAUSIBLE_SPACING] * len(masks)
    judged = [not m.touches_edge and np.isfinite(s) for m, s in zip(masks, shares, strict=True)]
    odd = [
        judge and abs(float(np.log(share / usual))) > ODD_SHAPE
        for judge, share in zip(judged, shares, strict=True)
    ]
    everything = sum(odd) > MANY_ODD * sum(judged)
    return [Reason.LOW_CONFIDENCE if everything or one else None for one in odd]


def _has_metal(image: Image, mask: VertebraMask) -> bool:
    lps = mask.grid.to_lps(np.argwhere(mask.body > 0.5))
    index = np.round(image.to_zyx(lps)).astype(int)
    index = np.clip(index, 0, np.array(image.shape) - 1)
    return bool((image.values[tuple(index.T)] > METAL_HU).mean() > METAL_SHARE)


def measure_vertebrae(
    image: Image,
    masks: Sequence[VertebraMask],
    suspected_from: float,
    drawn_by_hand: bool = False,
    slice_mm: float = 0.0,
) -> tuple[Measurement, ...]:
    """Heights, height loss, grade and suspicion for each mask (head to feet).

    suspected_from: height loss 0..1 from which a fracture is suspected. drawn_by_hand: the masks
    are a person's, whose outlines are not second-guessed by the image's edges. slice_mm: distance
    of the slices that were measured, where copies or means lie between them. What the field of
    view cuts has no heights and takes no part as a neighbour.
    """
    axes = column_axes(masks)

    def look(at: int) -> tuple[Heights | None, str | None]:
        edges = None if drawn_by_hand else image
        known = masks[at].is_outlined
        heights = measure_heights(masks[at], axes[at], edges) if known else None
        return heights, _obstacle(image, masks[at], heights, slice_mm)

    looked = map_computing(look, range(len(masks)))
    heights, obstacles = [h for h, _ in looked], [why for _, why in looked]
    doubts = _doubtful_shapes(masks)
    obstacles = [why or doubt for why, doubt in zip(obstacles, doubts, strict=True)]
    usable = [None if why else h for h, why in zip(heights, obstacles, strict=True)]
    levels = [mask.vertebra.level for mask in masks]
    losses = height_losses(levels, usable)
    sure = min((m.vertebra.label_probability for m in masks), default=1.0) >= NAME_SURE
    apart_mm = max(float(image.spacing_zyx_mm[0]), slice_mm)
    ranges = loss_ranges(levels, usable, apart_mm, sure)
    behind = height_losses(levels, usable, read=(1,))
    # what a mask that left the body in front says of the front is no reason for suspicion
    doubtful = [
        deep and rest is not None and rest < suspected_from
        for deep, rest in zip(_too_deep(levels, usable), behind, strict=True)
    ]
    return tuple(
        _measurement(masks[i], usable[i], losses[i], ranges[i], obstacles[i],
                     suspected_from, doubtful[i])
        for i in range(len(masks))
    )  # fmt: skip


def _measurement(
    mask: VertebraMask,
    heights: Heights | None,
    loss: float | None,
    between: tuple[float, float] | None,
    obstacle: str | None,
    suspected_from: float,
    doubtful: bool,
) -> Measurement:
    if loss is None or between is None:
        return Measurement(heights, None, None, None, obstacle or Reason.NO_NORM_FOR_LEVEL)
    suspected = loss >= suspected_from
    if suspected and mask.touches_edge:  # what the edge cut off is no lost height
        return Measurement(None, None, None, None, Reason.TRUNCATED)
    doubtful |= mask.vertebra.level < FIRST_VALIDATED and loss < SURE_FROM
    if doubtful and suspected:
        return Measurement(heights, loss, None, None, Reason.LOW_CONFIDENCE, between)
    grades = genant_grade(between[0]), genant_grade(between[1])
    return Measurement(heights, loss, genant_grade(loss), suspected, None, between, grades)
