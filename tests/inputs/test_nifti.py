"""NIfTI volumes and masks."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.inputs.test_geometry import TURNS, rotated
from tests.inputs.world import assert_shows_patient, only, patient_hu
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan, voxel_file
from vfx_edge.inputs.segmentation import load_segmentation

SHAPE, SPACING = (40, 44, 48), np.array([2.5, 3.0, 3.5])


def written(path: Path, direction: np.ndarray, dtype=np.int16, function=patient_hu) -> Path:
    """The patient as NIfTI with the given axes (columns: x, y, z index steps, LPS)."""
    size = np.array(SHAPE[::-1])
    origin = -direction @ (SPACING * (size - 1) / 2)
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    places = origin + np.stack([x, y, z], -1) @ (direction * SPACING).T
    image = sitk.GetImageFromArray(np.rint(function(places)).astype(dtype))
    image.SetSpacing(SPACING.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("turn", TURNS[::3], ids=range(len(TURNS[::3])))
def test_any_orientation(tmp_path: Path, turn: np.ndarray) -> None:
    direction = rotated((1, 2, 3), 8) @ turn
    volume = load_scan(written(tmp_path / "ct.nii.gz", direction))
    assert_shows_patient(volume.image)
    assert only(volume.series.warnings, "says nothing about modality")


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_number_types_and_a_stable_uid(tmp_path: Path, dtype) -> None:
    one = load_scan(written(tmp_path / "a.nii.gz", np.eye(3), dtype))
    other = load_scan(written(tmp_path / "b.nii", np.eye(3)))
    assert_shows_patient(one.image)
    assert one.series.series_uid == other.series.series_uid != one.series.study_uid
    assert one.series.series_uid.startswith("2.25.")
    assert load_scan(tmp_path / "b.nii", series_uid=one.series.series_uid)


def refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        load_scan(path)


def test_what_is_no_ct_is_refused(tmp_path: Path) -> None:
    def mask(places):
        return (patient_hu(places) > 200) * 20

    def raw_numbers(places):
        return patient_hu(places) + 1024

    def shifted(places):
        return np.maximum(patient_hu(places), -150)

    refused(written(tmp_path / "mask.nii.gz", np.eye(3), function=mask), "a mask")
    refused(written(tmp_path / "raw.nii.gz", np.eye(3), function=raw_numbers), "intercept")
    refused(written(tmp_path / "mr.nii.gz", np.eye(3), function=shifted), "there is no air")


def test_four_dimensions_text_and_stumps_are_refused(tmp_path: Path) -> None:
    image = sitk.JoinSeries([sitk.Image(8, 8, 8, sitk.sitkInt16)] * 3)
    sitk.WriteImage(image, str(tmp_path / "4d.nii.gz"))
    refused(tmp_path / "4d.nii.gz", "4 dimensions")
    (tmp_path / "text.nii.gz").write_text("no image")
    refused(tmp_path / "text.nii.gz", "damaged or no NIfTI")
    (tmp_path / "empty.nii").write_bytes(b"")
    refused(tmp_path / "empty.nii", "damaged or no NIfTI")
    whole = gzip.decompress(written(tmp_path / "ct.nii.gz", np.eye(3)).read_bytes())
    (tmp_path / "cut.nii").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "cut.nii", "truncated")
    packed = gzip.compress(whole)
    (tmp_path / "cut.nii.gz").write_bytes(packed[: len(packed) // 2])
    refused(tmp_path / "cut.nii.gz", "truncated")
    (tmp_path / "two.nii.gz").write_bytes(gzip.compress(whole[:999]) + gzip.compress(whole[999:]))
    assert_shows_patient(load_scan(tmp_path / "two.nii.gz").image)
    huge = bytearray(whole)
    huge[40:56] = struct.pack("<8h", 3, 32000, 32000, 32000, 1, 1, 1, 1)
    (tmp_path / "huge.nii").write_bytes(huge)
    refused(tmp_path / "huge.nii", "too many voxels")


def test_two_orientations_in_one_file_are_said(tmp_path: Path) -> None:
    whole = bytearray(gzip.decompress(written(tmp_path / "ct.nii.gz", np.eye(3)).read_bytes()))
    whole[280:284] = struct.pack("<f", -struct.unpack("<f", whole[280:284])[0])  # srow_x[0]
    struct.pack_into("<hh", whole, 252, 1, 1)
    (tmp_path / "two.nii").write_bytes(whole)
    volume = load_scan(tmp_path / "two.nii")
    assert only(volume.series.warnings, "two different orientations")


def test_content_decides_and_no_neighbour_is_read(tmp_path: Path) -> None:
    plain = written(tmp_path / "o.nii", np.eye(3)).read_bytes()
    upside_down = written(tmp_path / "u.nii", np.diag([1.0, 1.0, -1.0])).read_bytes()
    packed = gzip.compress(plain, 1)
    cases = [
        ("ct.nii.gz", plain, ()), ("ct.nii", packed, ()), ("CT.NII.GZ", packed, ()),
        ("CT.NII", plain, ()), ("a3f0", packed, ()), ("a3f1", plain, ()),
        ("both.nii.gz", packed, ("both.nii", "both.hdr", "both.img")),
        ("two.nii", plain, ("two.nii.gz",)),
    ]  # fmt: skip
    for number, (name, content, beside) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(content)
        for other in beside:
            (folder / other).write_bytes(upside_down)
        assert_shows_patient(load_scan(folder / name).image)
    (tmp_path / "twice.nii.gz").write_bytes(gzip.compress(packed))
    refused(tmp_path / "twice.nii.gz", "compressed twice")


def test_a_pair_is_read_only_where_its_header_was_named(tmp_path: Path) -> None:
    plain = written(tmp_path / "o.nii", np.eye(3)).read_bytes()
    header = bytearray(plain[:348])
    header[344:348] = b"ni1\0"
    struct.pack_into("<f", header, 108, 0)
    (tmp_path / "ct.hdr").write_bytes(header)
    refused(tmp_path / "ct.hdr", "not there")
    (tmp_path / "ct.img").write_bytes(plain[352:])
    assert_shows_patient(load_scan(tmp_path / "ct.hdr").image)
    (tmp_path / "ct.nii").write_bytes(header)
    refused(tmp_path / "ct.nii", "give the .hdr file")


def test_the_second_version_and_the_other_byte_order(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    one = nibabel.load(written(tmp_path / "o.nii", rotated((1, 2, 3), 8)))
    swapped = one.header.as_byteswapped(">")
    nibabel.Nifti1Image(np.asarray(one.dataobj), one.affine, swapped).to_filename(
        tmp_path / "s.nii"
    )
    nibabel.Nifti2Image(np.asarray(one.dataobj), one.affine).to_filename(tmp_path / "2.nii.gz")
    for name in ("s.nii", "2.nii.gz"):
        assert_shows_patient(load_scan(tmp_path / name).image)


@pytest.mark.parametrize(
    ("at", "form", "value", "match"),
    [
        (108, "f", 0.0, "damaged"), (108, "f", float("nan"), "damaged"), (108, "f", 1e9, "damaged"),
        (70, "h", 128, "no plain numbers"), (72, "h", 8, "damaged"), (40, "h", 99, "damaged"),
        (42, "h", -5, "damaged"), (344, "i", 7, "damaged"), (0, "i", 540, "damaged"),
        (80, "f", float("nan"), "places make no sense"), (84, "f", 0.0, "voxel size"),
        (112, "f", 1e30, "slope or intercept"), (112, "f", -1.0, "slope or intercept"),
    ],
)  # fmt: skip
def test_headers_that_lie(tmp_path: Path, at: int, form: str, value: float, match: str) -> None:
    whole = bytearray(written(tmp_path / "o.nii", np.eye(3)).read_bytes())
    struct.pack_into("<hh", whole, 252, 1, 0)
    struct.pack_into("<" + form, whole, at, value)
    (tmp_path / "lie.nii").write_bytes(whole)
    refused(tmp_path / "lie.nii", match)


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_a_slope_that_is_none_leaves_the_numbers(tmp_path: Path, slope: float) -> None:
    whole = bytearray(written(tmp_path / "o.nii", np.eye(3)).read_bytes())
    struct.pack_into("<ff", whole, 112, slope, 500)
    (tmp_path / "s.nii").write_bytes(whole)
    assert_shows_patient(load_scan(tmp_path / "s.nii").image)


def test_a_gzip_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(tmp_path / "o.nii", np.eye(3)).read_bytes()
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(whole[:352] + bytes(len(whole) - 352)))
    monkeypatch.setattr(voxel_file, "RATIO_APPLIES_FROM_BYTES", 2**10)
    refused(tmp_path / "bomb.nii.gz", "times its size")


def vertebra(places: np.ndarray) -> np.ndarray:
    return np.asarray(20 * (np.linalg.norm(places - (28, 4, 10), axis=-1) < 14))


def test_mask_lands_on_the_vertebra_whatever_its_axes(tmp_path: Path) -> None:
    volume = load_scan(written(tmp_path / "ct.nii.gz", np.eye(3)))
    path = written(tmp_path / "m.nii.gz", rotated((1, 1, 0), 12) @ TURNS[17], np.float64, vertebra)
    labels = load_segmentation(path, volume)
    assert labels.dtype == np.uint8
    assert labels.shape == volume.image.values.shape
    where = volume.image.to_lps(np.argwhere(labels == 20).astype(float))
    assert np.abs(where.mean(axis=0) - (28, 4, 10)).max() < 1.0


@pytest.mark.parametrize(
    ("function", "match"),
    [(lambda p: vertebra(p) * 5, "numbers from 0 to 100"), (lambda p: vertebra(p) * 0, "empty"),
     (lambda p: np.rint(patient_hu(p)), "VerSe labels")],
)  # fmt: skip
def test_what_is_no_mask_is_refused(tmp_path: Path, function, match: str) -> None:
    volume = load_scan(written(tmp_path / "ct.nii.gz", np.eye(3)))
    with pytest.raises(InputError, match=match):
        load_segmentation(written(tmp_path / "m.nii.gz", np.eye(3), function=function), volume)


def test_a_mask_of_another_place_is_refused(tmp_path: Path) -> None:
    volume = load_scan(written(tmp_path / "ct.nii.gz", np.eye(3)))
    image = sitk.ReadImage(str(written(tmp_path / "m.nii.gz", np.eye(3), np.uint8, vertebra)))
    image.SetOrigin([5000.0, 0.0, 0.0])
    sitk.WriteImage(image, str(tmp_path / "far.nii.gz"))
    with pytest.raises(InputError, match="does not overlap"):
        load_segmentation(tmp_path / "far.nii.gz", volume)
    with pytest.raises(InputError, match="does not exist"):
        load_segmentation(tmp_path / "none.nii.gz", volume)


def test_real_masks_land_on_their_ct(shared_data: Path) -> None:
    folder = shared_data / "ct_abdomen_3mm_labelled"
    volume = load_scan(folder / "ct.nii.gz")
    labels = load_segmentation(folder / "seg-vert_msk.nii.gz", volume)
    assert {20, 21, 22, 23, 24} <= set(np.unique(labels))
    assert volume.image.values[labels == 22].mean() > 100
