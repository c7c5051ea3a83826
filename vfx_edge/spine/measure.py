"""Heights of the vertebral body, in its own frame, between its endplates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.image import Image
from vfx_edge.image.components import largest_piece
from vfx_edge.inference.patches import as_points
from vfx_edge.spine.body_and_arch import vertebra_frame
from vfx_edge.spine.endplates import (
    STEP_MM,
    Array,
    Endplates,
    Frame,
    body_width_mm,
    edged,
    middle_strip,
    outlined,
)
from vfx_edge.study import Heights, VertebraMask

MIN_DEPTH_MM = 8.0
CROSS_MM = 1.5
BEYOND_MM = 1.0  # …and ends at most this far beyond the heights it was drawn through
MIN_ROWS = 3
# A node of Schmorl is this much deeper than its endplate is beside it, in this part of the body's
# width, and that is sunk no more than this share of it.
NODE_MM, NODE_SHARE, BESIDE = 3.0, 0.3, (0.27, 0.4)
STEP_OVER_MM, STEP_SHARE = 2.25, 0.72  # a height this much of that so far behind it is a step


@dataclass(frozen=True)
class _Place:
    """A height is read at `at` off the lines that both endplates follow from `low` to `high`.

    Shares of the body's depth at its waist, from front (0) to back (1).
    """

    at: float
    low: float
    high: float


# As in six-point morphometry the outer heights stand just inside the front and the back wall.
# The rims there are rounded and carry osteophytes: the endplate behind them tells more.
PLACES = (_Place(0.02, 0.04, 0.32), _Place(0.5, 0.4, 0.6), _Place(0.98, 0.68, 0.96))


def _lps_frame(up_lps: Array, origin: Array) -> Frame:
    zyx = vertebra_frame(up_lps[::-1])
    return Frame(origin, zyx[:, ::-1].copy())


def _facing_back(frame: Frame, arch_lps: Array | None) -> Frame:
    """Turn the frame about its axis so that the arch lies straight behind (axial rotation)."""
    if arch_lps is None:
        return frame
    up = frame.axes[0]
    back = arch_lps - frame.origin
    back = back - up * (back @ up)
    norm = float(np.linalg.norm(back))
    if norm < 5.0 or back @ frame.axes[1] < 0.6 * norm:  # arch cut off, or not this one's
        return frame
    back /= norm
    left = np.cross(back, up)
    left *= np.sign(left @ frame.axes[2]) or 1.0
    return Frame(frame.origin, np.stack([up, back, left]))


def _tilt(plates: Endplates) -> tuple[float, float] | None:
    """Slopes (per mm back, per mm left) of the plane half way between the endplates."""
    height = plates.upper_mm - plates.lower_mm
    good = _through_the_waist(plates)
    if good.any():
        good &= height > 0.4 * np.median(height[good])
    if good.sum() < 40:
        return None
    b, e = np.meshgrid(plates.back_mm, plates.left_mm, indexing="ij")
    design = np.stack([b[good], e[good], np.ones(int(good.sum()))], axis=1)
    slopes = []
    for surface in (plates.upper_mm[good], plates.lower_mm[good]):
        fit, *_ = np.linalg.lstsq(design, surface, rcond=None)
        rest = np.abs(surface - design @ fit)
        near = rest <= np.quantile(rest, 0.85)  # rims and nodes of Schmorl do not tilt a plane
        fit, *_ = np.linalg.lstsq(design[near], surface[near], rcond=None)
        slopes.append(fit[:2])
    back, left = np.mean(slopes, axis=0)
    return float(back), float(left)


def _through_the_waist(plates: Endplates) -> NDArray[np.bool_]:
    """Which columns cross the body's own middle plane: rims and osteophytes lie above or below."""
    return np.asarray((plates.upper_mm > CROSS_MM) & (plates.lower_mm < -CROSS_MM))


def _depth_range(plates: Endplates) -> tuple[float, float] | None:
    """Front and back edge (mm along `back`) of the body in the middle strip, at its waist."""
    height = plates.upper_mm - plates.lower_mm
    near = middle_strip(plates)
    strip = height[:, near]
    usual = np.nanmedian(strip) if np.isfinite(strip).any() else np.nan
    crosses = _through_the_waist(plates)[:, near]
    present = (crosses & (strip > 0.35 * usual)).mean(1) > 0.5
    if present.sum() * STEP_MM < MIN_DEPTH_MM:
        return None
    rows = np.flatnonzero(largest_piece(present))
    rows = rows[_first_of_body(np.nanmedian(strip[rows], axis=1)) :]
    return float(plates.back_mm[rows[0]]), float(plates.back_mm[rows[-1]])


def _first_of_body(heights: Array) -> int:
    """Which row, from the front, is the first of the body. heights: of each row, mm.

    What an outline has drawn along in front, a vessel most often, is lower by a step; a broken
    body's front is lower too, but slopes.
    """
    apart = round(STEP_OVER_MM / STEP_MM)
    front = heights[: len(heights) // 2]
    steps = np.flatnonzero(front < STEP_SHARE * heights[apart : apart + len(front)])
    return int(steps[-1]) + 1 if len(steps) else 0


def _row_medians(surface: Array, strip: NDArray[np.bool_]) -> Array:
    """The surface from front to back: medians over the strip, NaN where it is mostly absent."""
    part = surface[:, strip]
    seen = np.isfinite(part).mean(1) > 0.5
    return np.where(seen, np.nanmedian(np.where(seen[:, None], part, 0.0), axis=1), np.nan)


def _read(plates: Endplates, frame: Frame) -> Heights | None:
    """The three heights and where they were taken."""
    edges = _depth_range(plates)
    if edges is None:
        return None
    front, depth = edges[0], edges[1] - edges[0]
    strip = middle_strip(plates)
    share = (plates.back_mm - front) / depth
    profiles = [_row_medians(surface, strip) for surface in (plates.upper_mm, plates.lower_mm)]
    ends, rows_of = [], []
    for place in PLACES:
        rows = (share >= place.low) & (share <= place.high) & np.isfinite(sum(profiles))
        if rows.sum() < MIN_ROWS:
            return None
        rows_of.append(rows)
        ends.append([_robust_line(share[rows], profile[rows], place.at) for profile in profiles])
    ends[1] = _without_nodes(plates, rows_of[1], ends)
    if any(upper <= lower for upper, lower in ends):  # no body: both run out into something thin
        return None
    heights, landmarks = [], []
    for place, (upper, lower) in zip(PLACES, ends, strict=True):
        heights.append(upper - lower)
        back = front + place.at * depth
        points = [frame.origin + h * frame.axes[0] + back * frame.axes[1] for h in (upper, lower)]
        pair = as_points(np.array(points))
        landmarks.append((pair[0], pair[1]))
    return Heights(heights[0], heights[1], heights[2], tuple(landmarks))


def _without_nodes(
    plates: Endplates, rows: NDArray[np.bool_], ends: Sequence[Sequence[float]]
) -> list[float]:
    """The middle height's ends, beside what is sunk in the middle alone: a node of Schmorl is no
    lost height, and readers measure beside it. A broken endplate sinks from side to side."""
    reach = np.abs(plates.left_mm) / max(body_width_mm(plates), 1.0)
    out = []
    for number, surface in enumerate((plates.upper_mm, plates.lower_mm)):
        sign = 1 if number == 0 else -1
        rim, middle = (ends[0][number] + ends[2][number]) / 2, ends[1][number]
        sunk = [
            sign * (rim - float(np.median(part[np.isfinite(part)])))
            for side in (plates.left_mm < 0, plates.left_mm > 0)
            if np.isfinite(
                part := surface[rows][:, side & (reach > BESIDE[0]) & (reach < BESIDE[1])]
            ).any()
        ]
        beside, node = max(sunk, default=np.inf), sign * (rim - middle)
        alone = node - beside >= NODE_MM and beside <= NODE_SHARE * node
        out.append(rim - sign * beside if alone else middle)
    return out


def _robust_line(x: Array, y: Array, at: float) -> float:
    """Theil and Sen's line through (x, y), at `at`: a quarter of the points may lie anywhere.

    By hand: importing scipy.stats is slow, and nothing else here needs it.
    """
    i, j = np.triu_indices(len(x), 1)
    slope = np.median((y[j] - y[i]) / (x[j] - x[i]))
    there = np.median(y) + slope * (at - np.median(x))
    # a node in the endplate bends the line: it ends hardly beyond what was seen
    return float(np.clip(there, y.min() - BEYOND_MM, y.max() + BEYOND_MM))


def measure_heights(
    mask: VertebraMask, up_lps: Array, image: Image | None = None
) -> Heights | None:
    """Heights of one body. up_lps: first guess of its axis, from its neighbours. image: the CT,
    whose edges near the outline are then read; without it the outline itself.

    None where the body can't be read (too flat a mask, no depth).
    """
    arch = _centre(mask.arch, mask)
    frame = _facing_back(_lps_frame(up_lps, np.array(mask.vertebra.centroid_lps_mm)), arch)
    for _ in range(3):
        plates = outlined(mask, frame)
        slopes = _tilt(plates)
        if slopes is None:
            return None
        axis = frame.axes[0] - slopes[0] * frame.axes[1] - slopes[1] * frame.axes[2]
        # the middle plane's normal; a tilt beyond any vertebra's is a bad mask, not an axis
        if axis @ up_lps < 0.64 * np.linalg.norm(axis) * np.linalg.norm(up_lps):
            break
        frame = _facing_back(_lps_frame(axis, frame.origin), arch)
        if max(abs(s) for s in slopes) < 0.01:
            break
    plates = outlined(mask, frame)
    return _read(edged(plates, frame, image) if image else plates, frame)


def depth_mm(heights: Heights) -> float:
    """Depth of the body at its waist, mm, from where its outer heights were read; NaN without."""
    if not heights.landmarks_lps_mm:
        return float("nan")
    front, _, back = np.array(heights.landmarks_lps_mm).mean(1)
    return float(np.linalg.norm(back - front)) / (PLACES[2].at - PLACES[0].at)


def _centre(soft: NDArray[np.float16], mask: VertebraMask) -> Array | None:
    points = np.argwhere(soft > 0.5)
    if len(points) < 60:
        return None
    return mask.grid.to_lps(points.mean(0))


def column_axes(masks: Sequence[VertebraMask]) -> list[Array]:
    """For each mask the direction (LPS, unit) from the vertebra below to the one above."""
    centres = np.array([m.vertebra.centroid_lps_mm for m in masks]).reshape(-1, 3)
    axes = []
    for i in range(len(masks)):
        way = centres[max(i - 1, 0)] - centres[min(i + 1, len(masks) - 1)]
        if np.linalg.norm(way) < 1.0:
            way = np.array([0.0, 0.0, 1.0])
        axes.append(way / np.linalg.norm(way))
    return axes
