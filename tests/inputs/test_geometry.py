"""Whatever way a scan lies in its files, it comes out upright and in its place."""

from itertools import permutations, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.examples import examples
from tests.inputs.world import Scan, assert_shows_patient, only, write_scan
from vfx_edge.image.orientation import turn_to_spl
from vfx_edge.inputs import load_scan

TURNS = [
    np.array([np.eye(3)[axis] * sign for axis, sign in zip(order, signs, strict=True)])
    for order in permutations(range(3))
    for signs in product((-1, 1), repeat=3)
]
RIGHT_HANDED = [t for t in TURNS if np.linalg.det(t) > 0]


def rotated(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """Rodrigues' rotation."""
    k = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """Any stored orientation, a little oblique, either direction of the table, maybe tilted."""
    unit = st.floats(-1, 1)
    axis = draw(st.tuples(unit, unit, unit).filter(lambda v: np.linalg.norm(v) > 0.1))
    turn = rotated(axis, draw(st.floats(0, 25))) @ draw(st.sampled_from(RIGHT_HANDED))
    row, column, normal = turn.T
    step = normal * draw(st.floats(1.5, 4.0)) * draw(st.sampled_from([-1, 1]))
    tilt = np.tan(np.radians(draw(st.sampled_from([0.0, 0.0, -18.5, 9.0, 25.0]))))
    drift = draw(st.sampled_from([row, column])) * tilt * np.linalg.norm(step)
    return Scan(
        row=tuple(row),
        column=tuple(column),
        step=tuple(step + drift),
        centre=tuple(draw(st.tuples(*[st.floats(-20, 20)] * 3))),
        rows=draw(st.integers(36, 50)),
        columns=draw(st.integers(36, 50)),
        rows_mm=draw(st.floats(1.4, 3.0)),
        columns_mm=draw(st.floats(1.4, 3.0)),
        places=tuple(range(draw(st.integers(24, 40)))),
    )


@examples(60, suppress_health_check=list(HealthCheck))
@given(scans())
def test_any_orientation_shows_the_patient_in_place(scan: Scan) -> None:
    with TemporaryDirectory() as folder:
        write_scan(Path(folder), scan)
        volume = load_scan(Path(folder))
    tilted = bool(volume.series.warnings)
    assert_shows_patient(volume.image, tolerance_hu=30 if tilted else 1)
    assert tilted or volume.image.values.size == scan.rows * scan.columns * len(scan.places)


@pytest.mark.parametrize("turn", TURNS, ids=range(len(TURNS)))
def test_turning_never_mirrors(turn: np.ndarray) -> None:
    """Left-handed grids included: every index keeps its place."""
    shape = (3, 4, 5)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * (1.0, 2.0, 3.0), (7, 8, 9)
    stored = np.arange(60).reshape(shape)
    turned = turn_to_spl(affine, shape)
    for index in np.ndindex(*turned.shape):
        place = turned.affine @ (*index, 1)
        back = np.rint(np.linalg.solve(affine, place)[:3]).astype(int)
        assert turned.apply(stored)[index] == stored[tuple(back)]
    assert np.all(np.diag(turned.affine[:3, :3][::-1]) > 0)
    assert np.array_equal(turned.as_stored(turned.apply(stored).copy()), stored)


def test_tilt_is_undone_and_said(tmp_path: Path) -> None:
    write_scan(tmp_path, Scan(step=(0, 3 * np.tan(np.radians(18.5)), 3.0)))
    volume = load_scan(tmp_path)
    assert "18.5 degrees" in only(volume.series.warnings, "tilted")
    assert volume.image.valid is not None
    assert not volume.image.valid.all()
    assert_shows_patient(volume.image, tolerance_hu=20)
    steps = volume.image.affine_zyx_to_lps[:3, :3] / volume.image.spacing_zyx_mm
    assert np.allclose(steps.T @ steps, np.eye(3), atol=1e-6)


def test_missing_slices_are_bridged_and_said(tmp_path: Path) -> None:
    write_scan(tmp_path, Scan(places=tuple(p for p in range(40) if p != 20), step=(0, 0, 2.0)))
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert volume.image.valid is None
    assert "missing" in only(volume.series.warnings, "2.00 to 4.00 mm")
    assert_shows_patient(volume.image, tolerance_hu=30)


def test_a_wide_gap_is_not_valid(tmp_path: Path) -> None:
    write_scan(tmp_path, Scan(places=tuple(p for p in range(60) if not 20 <= p < 28)))
    volume = load_scan(tmp_path)
    assert volume.image.valid is not None
    assert volume.image.values.shape[0] == 60
    assert np.flatnonzero(~volume.image.valid[:, 0, 0]).tolist() == list(range(20, 28))
    assert_shows_patient(volume.image)


def test_spacing_that_changes_half_way_is_evened_out(tmp_path: Path) -> None:
    places = (*np.arange(0, 20, 1.0), *np.arange(20, 40, 1.7))
    write_scan(tmp_path, Scan(places=places))
    volume = load_scan(tmp_path)
    assert only(volume.series.warnings, "unevenly")
    assert_shows_patient(volume.image, tolerance_hu=35)


def test_rounded_positions_are_no_unevenness(tmp_path: Path) -> None:
    def rounded(one, _index) -> None:
        one.ImagePositionPatient = [f"{float(v):.1f}" for v in one.ImagePositionPatient]

    write_scan(tmp_path, Scan(step=(0, 0, 1.25), places=tuple(range(60))), rounded)
    volume = load_scan(tmp_path)
    assert volume.series.warnings == ()
    assert volume.image.spacing_zyx_mm[0] == pytest.approx(1.25, abs=0.002)


@pytest.mark.parametrize(
    "name",
    [
        "ct_chest_2p5mm_lung_kernel_dicom",
        "ct_head_to_thorax_4mm_dicom",
        "ct_thoracic_1mm_dicom",
        "ct_thoracolumbar_4mm_dicom",
        "ct_whole_spine_sagittal_dicom",
        "ct_chest_2p5mm_contrast/ct_spine_crop_native.nii.gz",
        "ct_abdomen_3mm_labelled/ct.nii.gz",
        "crop_l3_1p5mm/sub-ct_label-22_ct.nii.gz",
    ],
)
def test_real_cts_agree_with_itk_at_the_same_places(name: str, shared_data: Path) -> None:
    volume = load_scan(shared_data / name)
    if name.endswith("gz"):
        image = sitk.ReadImage(str(shared_data / name))
    else:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(shared_data / name)))
        image = reader.Execute()
    chance = np.random.default_rng(0)
    index = np.stack([chance.integers(0, n, 5000) for n in volume.image.values.shape], 1)
    step = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    at = np.linalg.solve(step, (volume.image.to_lps(index.astype(float)) - image.GetOrigin()).T)
    assert np.abs(at - np.rint(at)).max() < 0.02
    x, y, z = np.rint(at).astype(int)
    theirs = np.clip(np.rint(sitk.GetArrayViewFromImage(image)[z, y, x]), -1024, 3071)
    assert np.array_equal(theirs, volume.image.values[tuple(index.T)])
