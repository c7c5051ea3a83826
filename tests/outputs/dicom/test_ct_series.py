"""The phantom's DICOM files: valid, complete, and the same every time."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.outputs.fakes import axis_aligned, tilted
from vfx_edge.errors import OutputError
from vfx_edge.outputs.dicom import ct_series as dicom_series
from vfx_edge.outputs.dicom.ct_series import write_ct_series

RNG = np.random.default_rng(7)
HU = RNG.integers(-1024, 3072, (6, 20, 30)).astype(np.int16)
AFFINE = axis_aligned((-30.5, -20.25, 100.125), (1.25, 0.75, 0.5))


def test_a_reader_gets_back_what_was_written(tmp_path: Path) -> None:
    assert write_ct_series(HU, AFFINE, tmp_path) == tmp_path
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), HU)
    assert image.GetSpacing() == pytest.approx((0.5, 0.75, 1.25))
    assert image.GetOrigin() == pytest.approx((-30.5, -20.25, 100.125))
    assert image.GetDirection() == pytest.approx(np.eye(3).ravel())


def test_an_oblique_phantom_keeps_its_place(tmp_path: Path) -> None:
    affine = tilted(AFFINE, 17.0)
    write_ct_series(HU, affine, tmp_path)
    last = pydicom.dcmread(tmp_path / "CT0006.dcm")
    expected = affine @ [5, 0, 0, 1]
    assert [float(v) for v in last.ImagePositionPatient] == pytest.approx(expected[:3], abs=1e-4)
    across, down = np.array(last.ImageOrientationPatient, dtype=float).reshape(2, 3)
    np.testing.assert_allclose(across, affine[:3, 2] / 0.5, atol=1e-5)
    np.testing.assert_allclose(down, affine[:3, 1] / 0.75, atol=1e-5)
    assert last.PixelSpacing == [0.75, 0.5]


def test_the_same_phantom_is_the_same_files(tmp_path: Path) -> None:
    folders = [write_ct_series(HU, AFFINE, tmp_path / name, seed=3) for name in ("a", "b")]
    files = [sorted(folder.iterdir()) for folder in folders]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
    other = write_ct_series(HU, AFFINE, tmp_path / "c", seed=4)
    uids = {pydicom.dcmread(next(f.iterdir())).SeriesInstanceUID for f in (folders[0], other)}
    assert len(uids) == 2


def test_uids_are_unique_and_shared_where_they_must_be(tmp_path: Path) -> None:
    write_ct_series(HU, AFFINE, tmp_path, description="x" * 90)
    slices = [pydicom.dcmread(path) for path in sorted(tmp_path.iterdir())]
    assert len({s.SOPInstanceUID for s in slices}) == len(HU)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({s[keyword].value for s in slices}) == 1
    assert all(s.PatientName == "PHANTOM^VFX-EDGE" for s in slices)
    assert all(s.file_meta.MediaStorageSOPInstanceUID == s.SOPInstanceUID for s in slices)
    assert len(slices[0].SeriesDescription) == 64


def test_values_below_the_stored_range_are_clipped(tmp_path: Path) -> None:
    hu = np.array([[[-3024, -1024], [0, 20000]]], dtype=np.int16)
    write_ct_series(hu, AFFINE, tmp_path)
    one = pydicom.dcmread(tmp_path / "CT0001.dcm")
    np.testing.assert_array_equal(one.pixel_array.astype(int) - 1024, [[-1024, -1024], [0, 20000]])


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = dicom_series._slice

    def fail_at_three(shared: Any, plane: Any, affine: Any, index: int, digest: str) -> Any:
        if index == 3:
            raise OSError(28, "No space left on device")
        return original(shared, plane, affine, index, digest)

    monkeypatch.setattr(dicom_series, "_slice", fail_at_three)
    with pytest.raises(OutputError, match="disk is full"):
        write_ct_series(HU, AFFINE, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy of dicom3tools")
def test_an_independent_checker_finds_no_error(tmp_path: Path) -> None:
    write_ct_series(HU, AFFINE, tmp_path)
    done = subprocess.run(
        ["dciodvfy", tmp_path / "CT0001.dcm"], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert "Error" not in said, said
