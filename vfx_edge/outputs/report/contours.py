"""Outlines of the segmented vertebrae on a sheet, as SVG paths in picture millimetres."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.outputs.report.views import FloatArray, Sheet
from vfx_edge.study import VertebraMask

_INSIDE = 0.5
_COARSE_MM = 0.8
"""Outlines are traced on points at least this far apart: finer would only make the file large."""
_ROOM_MM = 6.0
_SHORTEST_POINTS = 6


@dataclass(frozen=True)
class Outline:
    """`path`: SVG path data in picture mm; box_mm: left, top, right, bottom. Empty: not in view."""

    path: str
    box_mm: tuple[float, float, float, float] | None


NOTHING = Outline("", None)


@dataclass(frozen=True)
class VertebraOutline:
    """Where a sheet cuts a vertebra."""

    body: Outline
    arch: Outline


def outline(mask: VertebraMask, sheet: Sheet) -> VertebraOutline:
    """Cuts the vertebra's soft masks with the sheet at one half."""
    window = _window(mask, sheet)
    if window is None:
        return VertebraOutline(NOTHING, NOTHING)
    rows, columns = window
    points = sheet.points_lps_mm(rows, columns)
    zyx = ((points - np.array(mask.origin_lps_mm)) / mask.spacing_mm)[..., ::-1]
    # One axis after the other in memory: its extremes and lookups are several times faster so.
    coordinates = np.ascontiguousarray(np.moveaxis(zyx, -1, 0))
    corner = np.array([columns.start, rows.start]) + 0.5
    scale = np.array([columns.step, rows.step]) * sheet.step_mm
    return VertebraOutline(
        *(
            _trace(_cut(part, coordinates), corner * sheet.step_mm, scale)
            for part in (mask.body, mask.arch)
        )
    )


def _window(mask: VertebraMask, sheet: Sheet) -> tuple[slice, slice] | None:
    """The rows and columns of the sheet that can meet the mask's box."""
    size = np.array(mask.body.shape[::-1]) * mask.spacing_mm
    corners = np.array(mask.origin_lps_mm) + np.array(list(np.ndindex(2, 2, 2))) * size
    flat = sheet.project(corners)
    low = np.floor((flat.min(0) - _ROOM_MM) / sheet.step_mm).astype(int)
    high = np.ceil((flat.max(0) + _ROOM_MM) / sheet.step_mm).astype(int)
    limit = np.array([sheet.columns, len(sheet.rows_lps_mm)])
    low, high = np.maximum(low, 0), np.minimum(high, limit)
    if (high - low < 2).any():
        return None
    stride = max(1, int(_COARSE_MM / sheet.step_mm + 1e-6))
    return (
        slice(int(low[1]), int(high[1]), stride),
        slice(int(low[0]), int(high[0]), stride),
    )


def _cut(part: NDArray[np.float16], zyx: FloatArray) -> NDArray[np.float32] | None:
    """The part's probability at the points; a rim of zeros closes what the window cuts.

    None when the part is nowhere inside. Only the slab that the points touch is widened to
    single precision: most sheets cut a vertebra in a thin slice.
    """
    low = np.maximum(np.floor(zyx.min(axis=(1, 2))).astype(int), 0)
    high = np.minimum(np.ceil(zyx.max(axis=(1, 2))).astype(int) + 1, part.shape)
    if (high <= low).any():
        return None
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    slab = part[box].astype(np.float32)
    if slab.max() <= _INSIDE:
        return None
    values = ndimage.map_coordinates(
        slab,
        zyx - low[:, None, None],
        output=np.float32,
        order=1,
        mode="constant",
        cval=0.0,
    )
    return np.asarray(np.pad(values, 1))


def rim(inside: NDArray[np.bool_], step_mm: float) -> str:
    """SVG path data, picture mm, about what is set in (rows, columns) pixels of `step_mm`."""
    field = np.pad(inside.astype(np.float32), 1)
    corner, scale = (np.full(2, mm) for mm in (step_mm / 2, step_mm))
    return _trace(field, corner, scale).path


def _trace(
    field: NDArray[np.float32] | None, corner_mm: FloatArray, scale_mm: FloatArray
) -> Outline:
    if field is None:
        return NOTHING
    lines = contour_generator(z=field, line_type=LineType.Separate).lines(_INSIDE)
    kept = [
        (np.asarray(line) - 1) * scale_mm + corner_mm
        for line in lines
        if len(line) >= _SHORTEST_POINTS
    ]
    if not kept:
        return NOTHING
    points = np.concatenate(kept)
    left, top = (float(v) for v in points.min(0))
    right, bottom = (float(v) for v in points.max(0))
    return Outline("".join(_path(line) for line in kept), (left, top, right, bottom))


def _path(line: FloatArray) -> str:
    """Relative moves in tenths of a millimetre: half the length of absolute ones."""
    tenths = np.round(line * 10).astype(int)
    moves = np.diff(tenths, axis=0)
    moves = moves[(moves != 0).any(axis=1)]
    start = f"M{tenths[0, 0] / 10:g} {tenths[0, 1] / 10:g}l"
    return start + " ".join(_numbers(moves.ravel() / 10)) + "z"


def _numbers(values: Iterable[float]) -> list[str]:
    return [f"{value:.1f}".removesuffix(".0") for value in values]
