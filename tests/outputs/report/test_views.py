"""The views show the right side on the right side, and millimetres stay millimetres."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from tests.outputs.fakes import (
    LEVELS,
    axis_aligned,
    curved_centres,
    ellipsoid_volume,
    half_axes,
    mask_of,
    tilted,
)
from tests.outputs.page import outline_points
from vfx_edge.image import Image
from vfx_edge.outputs.report import views
from vfx_edge.outputs.report.contours import outline
from vfx_edge.study import Level

STEP_MM = 0.6
View = Callable[[Image, views.FloatArray, float], views.Sheet]
CENTRES = curved_centres(LEVELS, scoliosis_mm=30)


def _line(volume: Image) -> views.FloatArray:
    return views.midline(volume, list(CENTRES.values()))


def _area(points: np.ndarray) -> float:
    x, y = points.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


@pytest.mark.parametrize("make", [views.sagittal, views.coronal])
def test_every_body_of_a_scoliotic_spine_lies_on_the_view(make: View) -> None:
    volume = ellipsoid_volume(CENTRES)
    sheet = make(volume, _line(volume), STEP_MM)
    gray = views.sample(volume, sheet)
    for centre in CENTRES.values():
        x, y = sheet.project(np.array([centre]))[0] / STEP_MM
        assert gray[int(y), int(x)] > 90
        nearest = sheet.points_lps_mm(slice(int(y), int(y) + 1), slice(int(x), int(x) + 1))
        assert np.linalg.norm(nearest - centre) < 2.5


@pytest.mark.parametrize("make", [views.sagittal, views.coronal])
def test_the_view_unrolls_without_stretching(make: View) -> None:
    volume = ellipsoid_volume(CENTRES)
    sheet = make(volume, _line(volume), STEP_MM)
    points = sheet.points_lps_mm(slice(None), slice(None))
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(points, axis=axis), axis=2)
        np.testing.assert_allclose(steps, STEP_MM, rtol=0.01)


def test_sides_of_the_views() -> None:
    """Sagittal: front on the viewer's left. Coronal: the patient's left on the viewer's right."""
    volume = ellipsoid_volume(CENTRES)
    line = _line(volume)
    front_to_back = views.sagittal(volume, line, STEP_MM).points_lps_mm(slice(0, 1), slice(None))
    assert (np.diff(front_to_back[0, :, 1]) > 0).all()
    right_to_left = views.coronal(volume, line, STEP_MM).points_lps_mm(slice(0, 1), slice(None))
    assert (np.diff(right_to_left[0, :, 0]) > 0).all()
    for make in (views.sagittal, views.coronal):
        down = make(volume, line, STEP_MM).points_lps_mm(slice(None), slice(0, 1))
        assert (np.diff(down[:, 0, 2]) < 0).all()


def test_an_oblique_scan_gives_the_same_picture() -> None:
    straight = ellipsoid_volume(CENTRES)
    affine = tilted(straight.affine_zyx_to_lps, 15.0)
    to_straight = np.linalg.inv(straight.affine_zyx_to_lps) @ affine
    hu = ndimage.affine_transform(
        straight.values, to_straight[:3, :3], to_straight[:3, 3], order=1, cval=-1024
    )
    oblique = Image(hu, affine, "CT", "HU")
    centre = list(CENTRES.values())[6]
    for across, down in (
        (views.FRONT_TO_BACK, views.HEAD_TO_FEET),
        (views.RIGHT_TO_LEFT, views.FRONT_TO_BACK),
    ):
        sheet = views.plane(centre, across, down, 60.0, 1.0)
        one, other = views.sample(straight, sheet), views.sample(oblique, sheet)
        assert np.abs(one.astype(int) - other).mean() < 3


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_vertebrae(count: int) -> None:
    volume = ellipsoid_volume(CENTRES)
    line = views.midline(volume, list(CENTRES.values())[:count])
    assert len(line) > 60
    assert (np.diff(line[:, 2]) < 0).all()
    for make in (views.sagittal, views.coronal):
        sheet = make(volume, line, STEP_MM)
        assert sheet.width_mm > 90
        assert views.sample(volume, sheet).std() > 1


def test_two_vertebrae_at_one_place_do_not_break_the_line() -> None:
    volume = ellipsoid_volume(CENTRES)
    twice = [place for place in CENTRES.values() for _ in range(2)]
    assert np.isfinite(views.midline(volume, twice)).all()


def test_the_line_ends_where_the_scan_ends() -> None:
    hu = np.zeros((40, 60, 60), np.int16)
    volume = Image(hu, axis_aligned((-45, -45, 0), (2.0, 1.5, 1.5)), "CT", "HU")
    line = views.midline(volume, [(0.0, 0.0, 70.0), (0.0, 0.0, 10.0)])
    assert line[:, 2].max() <= 79.01
    assert line[:, 2].min() >= -1.01


@pytest.mark.parametrize("down", [views.HEAD_TO_FEET, views.FRONT_TO_BACK])
def test_outlines_have_the_size_of_what_they_outline(down: views.FloatArray) -> None:
    level = Level.L3
    mask = mask_of(level, (3.0, -4.0, 50.0))
    across = views.RIGHT_TO_LEFT
    sheet = views.plane((3.0, -4.0, 50.0), across, down, 100.0, 0.4)
    cut = outline(mask, sheet)
    assert cut.body.box_mm is not None
    half = half_axes(level)
    tall = half[2] if down is views.HEAD_TO_FEET else half[1]
    left, top, right, bottom = cut.body.box_mm
    assert right - left == pytest.approx(2 * half[0], abs=0.8)
    assert bottom - top == pytest.approx(2 * tall, abs=0.8)
    assert (left + right) / 2 == pytest.approx(50.0, abs=0.5)
    assert (top + bottom) / 2 == pytest.approx(50.0, abs=0.5)
    # |x|^4 + |y|^4 < 1 has area 3.708
    (line,) = outline_points(cut.body.path)
    assert _area(line) == pytest.approx(3.708 * half[0] * tall, rel=0.03)


def test_what_a_sheet_misses_has_no_outline() -> None:
    mask = mask_of(Level.L3, (0.0, 0.0, 50.0))
    for away in ((0.0, 0.0, 300.0), (60.0, 0.0, 50.0), (0.0, 500.0, 50.0)):
        sheet = views.plane(away, views.FRONT_TO_BACK, views.HEAD_TO_FEET, 40.0, 0.4)
        cut = outline(mask, sheet)
        assert cut.body.path == ""
        assert cut.arch.path == ""
