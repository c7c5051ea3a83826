"""The report's pictures: every side where its letter stands, names inside, any scan."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests.outputs.fakes import (
    LEVELS,
    MALIGNANT,
    SERIES,
    analysis_of,
    ellipsoid_volume,
    example,
    finding_of,
    tilted,
)
from tests.outputs.page import Page
from vfx_edge.image import Image as Volume
from vfx_edge.outputs.report.page import render_report, write_report
from vfx_edge.outputs.report.pictures import crop_pictures, spine_pictures
from vfx_edge.study import Analysis, Level, Point, Scan


def _gray(data_uri: str) -> NDArray[np.uint8]:
    stream = io.BytesIO(base64.b64decode(data_uri.partition(",")[2]))
    return np.asarray(Image.open(stream).convert("L"))


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_crops_follow_the_vertebra_and_show_every_side_where_its_letter_stands(
    degrees: float,
) -> None:
    """Bright spots 30 mm to the left, behind and above, in the axes of a tilted vertebra."""
    centre = np.array([0.0, 0.0, 40.0])
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    own = {"L": (1, 0, 0), "P": (0, c, s), "H": (0, -s, c)}  # head leans forward
    volume = ellipsoid_volume({Level.T4: (0.0, 0.0, 40.0)}, (1.0, 1.0, 1.0))
    places = volume.to_lps(np.argwhere(np.ones(volume.values.shape)).astype(float)).reshape(
        *volume.values.shape, 3
    )
    hu = np.zeros(volume.values.shape, np.int16)
    for axis in own.values():
        hu[np.linalg.norm(places - centre - 30 * np.array(axis), axis=-1) < 5] = 1000
    finding = finding_of(Level.T4, (0.0, 0.0, 40.0), MALIGNANT)
    heights = finding.measurement.heights
    assert heights is not None
    turn = np.array([own["L"], own["P"], own["H"]]).T

    def turned(place: Point) -> Point:
        x, y, z = turn @ (np.array(place) - centre) + centre
        return float(x), float(y), float(z)

    landmarks = tuple((turned(top), turned(end)) for top, end in heights.landmarks_lps_mm)
    measured = replace(finding.measurement, heights=replace(heights, landmarks_lps_mm=landmarks))
    finding = replace(finding, measurement=measured)
    result = replace(example().result, findings=(finding,))
    scan = Volume(hu, volume.affine_zyx_to_lps.copy(), "CT", "HU")
    crops = {p.name: p for p in crop_pictures(Analysis(result, Scan(scan, SERIES), ()), finding)}
    seen = {"sagittal": "HP", "coronal": "HL", "axial": "LP"}
    for name, sides in seen.items():
        gray = _gray(crops[name].data_uri)
        spots, count = ndimage.label(gray > 128)
        found = np.array(ndimage.center_of_mass(gray > 128, spots, range(1, count + 1)))
        offsets = (found - (np.array(gray.shape) - 1) / 2) * crops[name].width_mm / gray.shape[1]
        tilt = np.array([[c, -s], [s, c]]) if name == "sagittal" else np.eye(2)
        expected = {"H": (-30, 0), "P": (30, 0) if name == "axial" else (0, 30), "L": (0, 30)}
        assert count == len(sides), name
        for side in sides:
            wanted = tilt @ np.array(expected[side])
            assert np.linalg.norm(offsets - wanted, axis=1).min() < 2.5, (name, side, offsets)


def test_sides_are_marked(page: Page) -> None:
    for letters in ("A P H F", "R L H F", "R L A P"):
        assert letters in page.text


def test_no_contours_without_masks(analysis: Analysis) -> None:
    page = Page(render_report(replace(analysis, masks=())))
    assert "No segmentation: contours are not shown." in page.text
    assert not [a for a in page.of("path") if "body" in (a.get("class") or "")]


@pytest.mark.parametrize("spacing", [(4.25, 0.98, 0.98), (1.0, 0.8, 0.8)])
@pytest.mark.parametrize("degrees", [0.0, 12.0])
def test_one_vertebra_in_any_scan(
    spacing: tuple[float, float, float], degrees: float, tmp_path: Path
) -> None:
    centres = {Level.L1: (0.0, 0.0, 40.0)}
    volume = ellipsoid_volume(centres, spacing)
    volume = Volume(volume.values, tilted(volume.affine_zyx_to_lps, degrees), "CT", "HU")
    path = write_report(analysis_of(volume, centres, {Level.L1: MALIGNANT}), tmp_path / "r.html")
    assert Page(path.read_text(encoding="utf-8")).of("article")


def test_a_sliver_at_the_end_of_the_scan_does_not_bend_the_view(analysis: Analysis) -> None:
    """Of a vertebra cut away but for its arch, the centroid lies far behind the bodies."""
    top = analysis.result.findings[0]
    left, posterior, superior = top.vertebra.centroid_lps_mm
    moved = replace(top.vertebra, centroid_lps_mm=(left, posterior + 60, superior))
    findings = (replace(top, vertebra=moved), *analysis.result.findings[1:])
    bent = replace(analysis, result=replace(analysis.result, findings=findings))
    before, after = spine_pictures(analysis)[1], spine_pictures(bent)[1]
    assert after.height_mm == before.height_mm
    assert after.data_uri == before.data_uri
    assert [tag.text for tag in after.tags] == [level.value for level in LEVELS[1:]]


def test_level_names_stay_inside_the_picture_and_clear_of_the_sides_marks(
    analysis: Analysis,
) -> None:
    for picture in spine_pictures(analysis):
        for tag in picture.tags:
            assert 0 <= tag.left <= picture.width_mm - tag.width
            assert 6 <= tag.y <= picture.height_mm - 6
            assert abs(tag.y - picture.sides_mm) > 8


def test_heights_without_landmarks_are_no_trouble(analysis: Analysis) -> None:
    finding = finding_of(Level.T10, (0.0, 0.0, 40.0), MALIGNANT)
    heights = finding.measurement.heights
    assert heights is not None
    bare = replace(
        finding,
        measurement=replace(finding.measurement, heights=replace(heights, landmarks_lps_mm=())),
    )
    result = replace(analysis.result, findings=(bare,))
    assert "Lines A, M, P" not in Page(render_report(replace(analysis, result=result))).text
