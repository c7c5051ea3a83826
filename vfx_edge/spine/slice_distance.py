"""Slice distances that cannot be right, told by the shape of the vertebral bodies.

A stack from which every third slice was kept and whose file states the old distance shows
bodies half as wide as they are. Where the slices are sagittal or coronal, heights lie in the
slices and are right all the same: the spine is looked at once more at the distance that its
proportions ask for, and what is found is put back where the file has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
from vfx_edge.inference.patches import as_points
from vfx_edge.spine.body_and_arch import vertebra_frame
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.spine.measure import column_axes
from vfx_edge.study import Explanation, Finding, Level, SeriesInfo, VertebraMask

# Spread of an adult body from side to side over that from front to back, medians of expert masks
# and good outlines of 15 patients. Half of a level's values lie within 0.05 of it.
NORMAL_WIDTH: dict[Level, float] = {
    Level.T1: 1.86,
    Level.T2: 1.63,
    Level.T3: 1.30,
    Level.T4: 1.16,
    Level.T5: 1.09,
    Level.T6: 1.07,
    Level.T7: 1.07,
    Level.T8: 1.08,
    Level.T9: 1.11,
    Level.T10: 1.16,
    Level.T11: 1.24,
    Level.T12: 1.31,
    Level.T13: 1.31,
    Level.L1: 1.32,
    Level.L2: 1.33,
    Level.L3: 1.36,
    Level.L4: 1.40,
    Level.L5: 1.58,
    Level.L6: 1.58,
}
MIN_POINTS = 200  # voxels of a body
MIN_JUDGED = 3  # bodies
NARROW, WIDE = 0.8, 1.25  # beyond this it is no build of a body
CLOSE = 0.1  # near enough, once slices are moved
LOOKS = 6  # each look at a squeezed spine sees it better than the last…
OVERSTEP = 1.5  # …and the first, whose outlines spill over, makes too little of it
SLICE_AXIS = {"sagittal": 2, "coronal": 1}  # of an image's array (z, y, x)
Find = Callable[[Image], tuple[VertebraMask, ...]]


def width_shares(masks: Sequence[VertebraMask]) -> list[float]:
    """Each body's width over depth as a multiple of its level's normal one; NaN where it can't
    be told."""
    return [
        _width_share(mask, up) if mask.vertebra.level in NORMAL_WIDTH else float("nan")
        for mask, up in zip(masks, column_axes(masks), strict=True)
    ]


def _width_share(mask: VertebraMask, up_lps: NDArray[np.float64]) -> float:
    points = np.argwhere(mask.body > 0.5) * mask.spacing_mm
    if len(points) < MIN_POINTS:
        return float("nan")
    _, depth, width = ((points - points.mean(0)) @ vertebra_frame(up_lps[::-1]).T).std(0)
    return float(width / depth / NORMAL_WIDTH[mask.vertebra.level])


def usual_share(shares: Sequence[float], masks: Sequence[VertebraMask]) -> float | None:
    """The median of those that are not cut, or of all where few are whole; None if too few."""
    known = [(s, m.touches_edge) for s, m in zip(shares, masks, strict=True) if np.isfinite(s)]
    whole = [s for s, cut in known if not cut]
    chosen = whole if len(whole) >= MIN_JUDGED else [s for s, _ in known]
    return float(np.median(chosen)) if len(chosen) >= MIN_JUDGED else None


def at_true_distance(
    image: Image, plane: str, find: Find
) -> tuple[Image, tuple[VertebraMask, ...]]:
    """What `find` sees, and the image in which it sees it: the given one, or one whose slices
    lie as far apart as the bodies' proportions ask for. plane: of the stored slices."""
    first = find(image)
    axis = SLICE_AXIS.get(plane)
    step = _step(first, axis, NARROW, WIDE)
    if axis is None or step is None:
        return image, first
    stretch = step**OVERSTEP
    for _ in range(LOOKS):
        seen = _stretched(image, axis, stretch)
        try:
            masks = find(seen)
        except NoSpineInView:
            stretch *= step
            continue
        step = _step(masks, axis, 1 - CLOSE, 1 + CLOSE)
        if step is None:
            return seen, masks
        stretch *= step
    return image, first


def _step(
    masks: Sequence[VertebraMask], axis: int | None, narrow: float, wide: float
) -> float | None:
    """How much farther apart slices along this axis must lie; None where widths are right."""
    usual = usual_share(width_shares(masks), masks)
    if usual is None or narrow <= usual <= wide:
        return None
    return 1 / usual if axis == SLICE_AXIS["sagittal"] else usual


def _stretched(image: Image, axis: int, factor: float) -> Image:
    """The same voxels, `factor` times as far apart along one axis of the array."""
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, axis] *= factor
    return replace(image, affine_zyx_to_lps=affine)


def with_warning(series: SeriesInfo, image: Image, seen: Image) -> SeriesInfo:
    """The series' facts, and that its slices were taken to lie farther apart than stated."""
    stated, used = image.spacing_zyx_mm, seen.spacing_zyx_mm
    axis = int(np.argmax(np.abs(np.log(used / stated))))
    words = (
        f"The file says that its {series.orientation} slices lie {stated[axis]:.2f} mm "
        f"apart, the vertebrae's proportions say about {used[axis]:.1f} mm: they were found and "
        "measured at that distance; places in the results keep to the file."
    )
    return replace(series, warnings=(*series.warnings, words))


def put_back(
    findings: Sequence[Finding], masks: Sequence[VertebraMask], seen: Image, image: Image
) -> tuple[tuple[Finding, ...], tuple[VertebraMask, ...]]:
    """Places and masks as the file has them; what was measured stays."""
    return (
        tuple(_finding_back(finding, seen, image) for finding in findings),
        tuple(_mask_back(mask, seen, image) for mask in masks),
    )


def _finding_back(finding: Finding, seen: Image, image: Image) -> Finding:
    def back(*points: tuple[float, float, float]) -> list[tuple[float, float, float]]:
        return list(as_points(image.to_lps(seen.to_zyx(np.array(points)))))

    (centre,) = back(finding.vertebra.centroid_lps_mm)
    measured, heights = finding.measurement, finding.measurement.heights
    if heights is not None and heights.landmarks_lps_mm:
        pairs = [back(*pair) for pair in heights.landmarks_lps_mm]
        landmarks = tuple((upper, lower) for upper, lower in pairs)
        measured = replace(measured, heights=replace(heights, landmarks_lps_mm=landmarks))
    vertebra = replace(finding.vertebra, centroid_lps_mm=centre)
    if (said := finding.explained) is not None:
        (largest,) = back(said.largest_at_lps_mm)
        finding = replace(finding, explained=replace(said, largest_at_lps_mm=largest))
    return replace(finding, vertebra=vertebra, measurement=measured)


def maps_back(
    maps: Sequence[Explanation], findings: Sequence[Finding], seen: Image, image: Image
) -> tuple[Explanation, ...]:
    """Maps as the file has them, and what `findings`, put back already, say of them."""
    move = image.affine_zyx_to_lps @ np.linalg.inv(seen.affine_zyx_to_lps)
    said = {finding.vertebra.level: finding.explained for finding in findings}
    return tuple(
        replace(
            one,
            change=replace(one.change, affine_zyx_to_lps=move @ one.change.affine_zyx_to_lps),
            said=said[one.level] or one.said,
        )
        for one in maps
    )


def _mask_back(mask: VertebraMask, seen: Image, image: Image) -> VertebraMask:
    """The mask resampled to a grid that is isotropic in the file's own millimetres."""
    shape = np.array(mask.body.shape)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (shape - 1)
    there = image.to_lps(seen.to_zyx(mask.grid.to_lps(corners)))
    low, high = there.min(0), there.max(0)
    size = np.ceil((high - low) / mask.spacing_mm).astype(int)[::-1] + 1
    # index of the new grid -> the file's LPS -> voxel -> LPS as seen -> index of the old grid
    ends = np.vstack([np.zeros(3), np.eye(3)])
    new_lps = ends[:, ::-1] * mask.spacing_mm + low
    old = (seen.to_lps(image.to_zyx(new_lps)) - np.array(mask.origin_lps_mm)) / mask.spacing_mm
    old = old[:, ::-1]
    matrix, offset = (old[1:] - old[0]).T, old[0]
    body, arch = (
        ndimage.affine_transform(
            soft.astype(np.float32), matrix, offset, tuple(size), np.float32, order=1
        ).astype(np.float16)
        for soft in (mask.body, mask.arch)
    )
    (centre,) = as_points(image.to_lps(seen.to_zyx(np.array([mask.vertebra.centroid_lps_mm]))))
    vertebra = replace(mask.vertebra, centroid_lps_mm=centre)
    (origin,) = as_points(low[None])
    return replace(mask, vertebra=vertebra, body=body, arch=arch, origin_lps_mm=origin)
