"""NIfTI files read back by SimpleITK say what the analysis said."""

import errno
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.outputs.fakes import (
    EXAMPLE_CASES,
    LEVELS,
    SERIES,
    analysis_of,
    axis_aligned,
    curved_centres,
    ellipsoid_volume,
    half_axes,
    mask_of,
    tilted,
)
from tests.outputs.maps import explained
from vfx_edge.errors import OutputError
from vfx_edge.image import Image
from vfx_edge.outputs.labels import label_map
from vfx_edge.outputs.nifti import write_nifti
from vfx_edge.study import Analysis, Level, Point

SPACING_ZYX_MM = (2.5, 1.5, 1.25)


def _turned(place: Point, degrees: float) -> Point:
    x, y, z, _ = tilted(np.eye(4), degrees) @ [*place, 1]
    return float(x), float(y), float(z)


def _analysis(degrees: float = 0.0) -> Analysis:
    centres = curved_centres(LEVELS, 20)
    volume = ellipsoid_volume(centres, SPACING_ZYX_MM)
    if degrees:
        turned = tilted(volume.affine_zyx_to_lps, degrees)
        volume = Image(volume.values, turned, "CT", "HU")
        centres = {level: _turned(centre, degrees) for level, centre in centres.items()}
    return analysis_of(volume, centres, EXAMPLE_CASES)


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_files_read_back(degrees: float, tmp_path: Path) -> None:
    analysis = _analysis(degrees)
    paths = write_nifti(analysis, tmp_path)
    stem = SERIES.series_uid
    assert [path.name for path in paths] == [
        f"{stem}_ct.nii.gz",
        f"{stem}_seg-vert_msk.nii.gz",
        f"{stem}_seg-vert_ctd.json",
    ]
    ct, mask = (sitk.ReadImage(str(path)) for path in paths[:2])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ct), analysis.scan.image.values)
    assert ct.GetSpacing() == pytest.approx(SPACING_ZYX_MM[::-1], abs=1e-4)
    labels = sitk.GetArrayFromImage(mask)
    assert labels.dtype == np.uint8
    for finding in analysis.result.findings:
        centre = finding.vertebra.centroid_lps_mm
        assert mask[mask.TransformPhysicalPointToIndex(centre)] == finding.vertebra.level.verse
        index = np.array(ct.TransformPhysicalPointToContinuousIndex(centre))
        zyx = analysis.scan.image.to_zyx(np.array([centre]))[0]
        np.testing.assert_allclose(index[::-1], zyx, atol=0.01)


def test_masks_keep_their_volume() -> None:
    level = Level.L2
    mask = mask_of(level, (0.3, 0.2, 60.0))
    volume = ellipsoid_volume({level: (0.3, 0.2, 60.0)}, (1.0, 1.0, 1.0))
    labels = label_map(volume, (mask,))
    inside = labels == level.verse
    front = volume.to_lps(np.argwhere(inside).astype(float))[:, 1] < half_axes(level)[1]
    # |x|^4 + |y|^4 + |z|^4 < 1 has volume 6.48
    assert front.sum() == pytest.approx(6.48 * half_axes(level).prod(), rel=0.03)


def test_the_likelier_vertebra_wins() -> None:
    low, high = mask_of(Level.L2, (0.0, 0.0, 60.0)), mask_of(Level.L1, (0.0, 0.0, 70.0))
    volume = ellipsoid_volume({Level.L2: (0.0, 0.0, 60.0)})
    labels = label_map(volume, (high, low))
    index = tuple(np.round(volume.to_zyx(np.array([[0.0, 0.0, 52.0]]))[0]).astype(int))
    assert labels[index] == Level.L2.verse
    assert set(np.unique(labels)) == {0, Level.L1.verse, Level.L2.verse}


def test_a_mask_outside_the_scan_is_left_out() -> None:
    volume = Image(np.zeros((9, 9, 9), np.int16), axis_aligned((0, 0, 0), (1, 1, 1)), "CT", "HU")
    assert not label_map(volume, (mask_of(Level.L1, (500.0, 0.0, 0.0)),)).any()


def test_centroids_in_verse_format(tmp_path: Path) -> None:
    analysis = _analysis()
    path = write_nifti(analysis, tmp_path)[2]
    first, *rest = json.loads(path.read_text())
    assert first == {"direction": ["L", "P", "S"]}
    assert [entry["label"] for entry in rest] == [level.verse for level in LEVELS]
    z, y, x = analysis.scan.image.to_zyx(
        np.array([analysis.result.findings[0].vertebra.centroid_lps_mm])
    )[0]
    assert rest[0] == {"label": 13, "X": pytest.approx(x, abs=0.051)} | {
        "Y": pytest.approx(y, abs=0.051),
        "Z": pytest.approx(z, abs=0.051),
    }


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="a file is in the way"):
        write_nifti(_analysis(), tmp_path / "out")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "write", refuse)
    with pytest.raises(OutputError, match="the disk is full"):
        write_nifti(_analysis(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"results \xe9\n")
    paths = write_nifti(_analysis(), folder)
    assert sorted(os.listdir(os.fsencode(folder))) == sorted(os.fsencode(p.name) for p in paths)


def test_maps_lie_in_the_patients_frame(tmp_path: Path) -> None:
    analysis = explained(_analysis(), T10=0.8)
    *_, path = write_nifti(analysis, tmp_path)
    assert path.name == f"{SERIES.series_uid}_explain-T10.nii.gz"
    stored = sitk.ReadImage(str(path))
    (said,) = (f.explained for f in analysis.findings if f.explained is not None)
    index = stored.TransformPhysicalPointToIndex(said.largest_at_lps_mm)
    values = sitk.GetArrayFromImage(stored)
    top = np.argwhere(values == np.nanmax(values))[:, ::-1]
    assert np.abs(top.mean(0) - index).max() <= 1


def test_maps_of_an_earlier_run_of_the_series_are_gone(tmp_path: Path) -> None:
    """Named anew or not asked for, a map would stay beside a result that it does not belong to."""
    other = tmp_path / "other_explain-L2.nii.gz"
    other.touch()
    write_nifti(explained(_analysis(), T10=0.8, L2=0.2), tmp_path)
    written = write_nifti(explained(_analysis(), T10=0.8), tmp_path)
    assert set(tmp_path.glob("*_explain-*")) == {written[-1], other}
