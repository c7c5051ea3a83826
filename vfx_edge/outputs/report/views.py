"""Flat pictures through a curved spine.

A `Sheet` is a surface made of parallel straight rows. Bent along the smooth curve through the
vertebral bodies it shows a scoliotic spine whole, and because such a surface unrolls without
stretching, millimetres in the picture are millimetres in the patient. A plane is the sheet whose
rows follow a straight line. Only the points of the picture are read from the scan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image, Point

FloatArray = NDArray[np.float64]

WINDOW_HU = (-250.0, 1050.0)
"""Bone: black to white."""

_CURVE_STEP_MM = 0.5
_SMOOTH_MM = 12.0
"""Sigma along the curve: one that followed every centroid's wobble would blur the view."""
_TANGENT_MM = 25.0
_BEYOND_ENDS_MM = 38.0
_ANTERIOR_MM, _POSTERIOR_MM, _SIDE_MM = 55.0, 75.0, 62.0
_LEAST_MM = 52.0
"""At least this much beside the line, even where the scan ends: level names need the room."""
_TALLEST_MM = 1200.0

RIGHT_TO_LEFT = np.array([1.0, 0.0, 0.0])
FRONT_TO_BACK = np.array([0.0, 1.0, 0.0])
HEAD_TO_FEET = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True, eq=False)
class Sheet:
    """rows_lps_mm: (rows, 3), the left end of each row; across: unit vector along every row."""

    rows_lps_mm: FloatArray
    across: FloatArray
    columns: int
    step_mm: float

    @property
    def width_mm(self) -> float:
        """Picture width."""
        return self.columns * self.step_mm

    @property
    def height_mm(self) -> float:
        """Picture height."""
        return len(self.rows_lps_mm) * self.step_mm

    def points_lps_mm(self, rows: slice, columns: slice) -> FloatArray:
        """(rows, columns, 3) places of the pixel centres; the slices may stride."""
        steps = np.arange(self.columns)[columns] * self.step_mm
        return np.asarray(self.rows_lps_mm[rows][:, None, :] + steps[None, :, None] * self.across)

    def project(self, lps_mm: FloatArray) -> FloatArray:
        """(n, 3) LPS mm -> (n, 2) picture mm (right, down), by the nearest row."""
        along, off = self._from_rows(lps_mm)
        row = off.argmin(axis=1)
        column = along[np.arange(len(lps_mm)), row] / self.step_mm
        return np.column_stack([(column + 0.5) * self.step_mm, (row + 0.5) * self.step_mm])

    def off_mm(self, lps_mm: FloatArray) -> FloatArray:
        """(n, 3) LPS mm -> (n,) distance from the nearest row's line."""
        return np.asarray(self._from_rows(lps_mm)[1].min(axis=1))

    def _from_rows(self, lps_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, rows): how far along each row a point lies, and how far off it."""
        apart = lps_mm[:, None, :] - self.rows_lps_mm[None, :, :]
        along = apart @ self.across
        return along, np.linalg.norm(apart - along[..., None] * self.across, axis=2)


def sample(
    image: Image, sheet: Sheet, window_hu: tuple[float, float] = WINDOW_HU
) -> NDArray[np.uint8]:
    """(rows, columns) grey values of the scan on the sheet. window_hu: black to white."""
    inverse = np.linalg.inv(image.affine_zyx_to_lps)
    first = sheet.rows_lps_mm @ inverse[:3, :3].T + inverse[:3, 3]
    along = inverse[:3, :3] @ sheet.across * sheet.step_mm
    zyx = first.T[:, :, None] + along[:, None, None] * np.arange(sheet.columns)
    hu = ndimage.map_coordinates(
        image.values, zyx, output=np.float32, order=1, mode="constant", cval=image.outside
    )
    low, high = window_hu
    return np.asarray((np.clip((hu - low) / (high - low), 0, 1) * 255).round(), dtype=np.uint8)


def plane(
    centre_lps_mm: Point, across: FloatArray, down: FloatArray, side_mm: float, step_mm: float
) -> Sheet:
    """A square plane about a point; `across` and `down` are unit vectors."""
    count = round(side_mm / step_mm)
    steps = (np.arange(count) - (count - 1) / 2) * step_mm
    rows = np.array(centre_lps_mm) + steps[:, None] * down + steps[0] * across
    return Sheet(rows, across, count, step_mm)


def midline(image: Image, centroids_lps_mm: Sequence[Point]) -> FloatArray:
    """(n, 3) LPS mm every half millimetre from head to feet, through the bodies and a little on.

    Without any centroid: straight down through the middle of the scan.
    """
    if not centroids_lps_mm:
        line = _straight_through(image)
    else:
        line = _extended(_smooth(np.array(centroids_lps_mm, dtype=np.float64)))
    return _inside(image, line)


def sagittal(image: Image, line: FloatArray, step_mm: float) -> Sheet:
    """The view from the patient's left: anterior on the viewer's left."""
    return _curtain(image, line, FRONT_TO_BACK, (_ANTERIOR_MM, _POSTERIOR_MM), step_mm)


def coronal(image: Image, line: FloatArray, step_mm: float) -> Sheet:
    """The view from in front: the patient's left on the viewer's right."""
    return _curtain(image, line, RIGHT_TO_LEFT, (_SIDE_MM, _SIDE_MM), step_mm)


def _smooth(centroids: FloatArray) -> FloatArray:
    """A smooth curve along the centroids, one row every half millimetre.

    Not a smoothing spline: importing SciPy's takes longer than drawing the whole page.
    """
    if len(centroids) == 1:
        return centroids
    gaps = np.linalg.norm(np.diff(centroids, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(np.maximum(gaps, 1.0))])
    wanted = np.linspace(0, along[-1], max(2, round(along[-1] / _CURVE_STEP_MM)))
    line = np.column_stack([np.interp(wanted, along, axis) for axis in centroids.T])
    room = min(len(line) - 1, round(4 * _SMOOTH_MM / _CURVE_STEP_MM))
    # reflected through its ends: these stay where they are
    longer = np.pad(line, ((room, room), (0, 0)), "reflect", reflect_type="odd")
    smooth = ndimage.gaussian_filter1d(longer, _SMOOTH_MM / _CURVE_STEP_MM, axis=0, mode="nearest")
    return np.asarray(smooth[room : room + len(line)])


def _extended(line: FloatArray) -> FloatArray:
    """Both ends go on straight, in the direction of their last piece."""
    steps = np.arange(_CURVE_STEP_MM, _BEYOND_ENDS_MM, _CURVE_STEP_MM)[:, None]
    if len(line) == 1:
        return np.concatenate(
            [line - steps[::-1] * HEAD_TO_FEET, line, line + steps * HEAD_TO_FEET]
        )
    reach = min(len(line) - 1, round(_TANGENT_MM / _CURVE_STEP_MM))
    top = _unit(line[0] - line[reach])
    bottom = _unit(line[-1] - line[-1 - reach])
    return np.concatenate([line[0] + steps[::-1] * top, line, line[-1] + steps * bottom])


def _straight_through(image: Image) -> FloatArray:
    low, high = _bounds(image)
    middle = (low + high) / 2
    tall = min(high[2] - low[2], _TALLEST_MM)
    steps = np.arange(0.0, tall + _CURVE_STEP_MM, _CURVE_STEP_MM)[:, None]
    top = np.array([middle[0], middle[1], middle[2] + tall / 2])
    return np.asarray(top + steps * HEAD_TO_FEET)


def _inside(image: Image, line: FloatArray) -> FloatArray:
    """Without the ends that lie above or below the scan."""
    z = image.to_zyx(line)[:, 0]
    within = np.flatnonzero((z >= -0.5) & (z <= image.shape[0] - 0.5))
    if len(within) < 2:
        return line
    return line[within[0] : within[-1] + 1]


def _curtain(
    image: Image,
    line: FloatArray,
    across: FloatArray,
    margins_mm: tuple[float, float],
    step_mm: float,
) -> Sheet:
    """The surface that hangs `across` the line, cut to the scan's own width."""
    place = line @ across
    low, high = _bounds(image)
    start = max(place.min() - margins_mm[0], min(float(low @ across), place.min() - _LEAST_MM))
    end = min(place.max() + margins_mm[1], max(float(high @ across), place.max() + _LEAST_MM))
    flat = line - place[:, None] * across
    rows = _evenly(flat, step_mm) + start * across
    return Sheet(rows, across, max(2, int((end - start) / step_mm)), step_mm)


def _evenly(line: FloatArray, step_mm: float) -> FloatArray:
    """The same line with points `step_mm` apart along it."""
    gaps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    wanted = np.arange(0, along[-1], step_mm)
    return np.column_stack([np.interp(wanted, along, axis) for axis in line.T])


def _bounds(image: Image) -> tuple[FloatArray, FloatArray]:
    last = np.array(image.shape, dtype=np.float64) - 1
    corners = image.to_lps(np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64) * last)
    return corners.min(0), corners.max(0)


def _unit(vector: FloatArray) -> FloatArray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else HEAD_TO_FEET
