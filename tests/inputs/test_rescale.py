"""What turns stored numbers into Hounsfield units: each slice's own, or none is believed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.examples import examples
from tests.inputs.world import (
    Edit,
    Scan,
    assert_shows_patient,
    enhanced,
    only,
    put,
    stored,
    write_scan,
)
from tests.second_reader import assert_reads, plain_slices
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.modality import CT

SCAN = Scan(places=tuple(range(24)), rows=36, columns=40, rows_mm=3.4, columns_mm=3.4)
LACKS: dict[str, Edit] = {
    "both": put(RescaleSlope=None, RescaleIntercept=None),
    "both empty": put(RescaleSlope="", RescaleIntercept=""),
    "the intercept": put(RescaleIntercept=None),
    "the intercept, 0 instead": put(RescaleIntercept=0),
    "the intercept, 200 higher": put(RescaleIntercept=-824),
    "the slope, 0.5 instead": put(RescaleSlope="0.5"),
}


def some(edit: Edit, *which: int) -> Edit:
    return lambda one, index: edit(one, index) if index in which else None


@pytest.mark.parametrize(
    ("lacks", "which"),
    [
        *((lacks, tuple(range(0, 24, 3))) for lacks in LACKS),
        *(("both", which) for which in ((7,), (0,), (23,), (5, 6, 7), tuple(range(0, 24, 2)))),
        ("both", tuple(range(1, 24))),
    ],
)
def test_slices_without_rescale_get_that_of_their_neighbours(tmp_path: Path, lacks, which) -> None:
    write_scan(tmp_path, SCAN, some(LACKS[lacks], *which))
    scan = load_scan(tmp_path)
    assert_shows_patient(scan.image)
    assert only(scan.series.warnings, f"{len(which)} slice(s) state no rescale")


def already_hounsfield(one: Dataset, _index: int) -> None:
    stored(one, np.frombuffer(one.PixelData, np.int16).reshape(one.Rows, one.Columns) - 1024)
    del one.RescaleSlope, one.RescaleIntercept


def test_slices_that_are_in_hounsfield_units_already(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, some(already_hounsfield, 3, 4, 11))
    assert_shows_patient(load_scan(tmp_path).image)


def noise(one: Dataset, index: int) -> None:
    LACKS["both"](one, index)
    chance = np.random.default_rng(index)
    stored(one, chance.integers(0, 4000, (one.Rows, one.Columns)).astype(np.int16))


def test_a_slice_of_which_nothing_shows_what_it_means_is_left_out(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, some(noise, 8))
    scan = load_scan(tmp_path)
    assert only(scan.series.warnings, "1 slice(s) without a usable rescale")
    assert scan.series.slices == 23
    assert_shows_patient(scan.image, tolerance_hu=60)


def test_a_wrong_rescale_that_most_slices_state_is_not_given_to_the_others(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, some(LACKS["the intercept, 0 instead"], *range(14)))
    with pytest.raises(InputError, match=r"^10 slice\(s\) state no rescale"):
        load_scan(tmp_path)


def test_many_such_slices_are_refused(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, some(noise, *range(4, 12)))
    with pytest.raises(InputError, match=r"8 slice\(s\) state no rescale slope or intercept"):
        load_scan(tmp_path)


@pytest.mark.parametrize("padding", [None, 0, -2000, 63536])
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("lacks", ["both", "the intercept, 0 instead"])
def test_a_ct_without_its_intercept_is_never_taken_as_1024_too_high(
    tmp_path: Path, padding, declared, lacks
) -> None:
    def edit(one: Dataset, index: int) -> None:
        LACKS[lacks](one, index)
        pixels = np.frombuffer(one.PixelData, np.int16).reshape(one.Rows, one.Columns).copy()
        y, x = np.mgrid[: one.Rows, : one.Columns]
        outside = (x - 19.5) ** 2 + (y - 17.5) ** 2 > 17.5**2
        if padding is not None:
            kind = np.int16 if padding <= 0 else np.uint16
            pixels = pixels.astype(kind)
            pixels[outside] = padding
        stored(one, pixels)
        if padding is not None and declared:
            one.add_new(0x00280120, "SS" if padding <= 0 else "US", padding)

    write_scan(tmp_path, SCAN, edit)
    with pytest.raises(InputError, match="the rescale intercept is missing"):
        load_scan(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_noise_below_air_hides_no_missing_intercept(seed: int) -> None:
    chance = np.random.default_rng(seed)
    tissue, air = chance.normal(1080, 30, 4000), chance.normal(24, 60, 6000)
    sample = np.concatenate([tissue, air, np.full(3000, -1024.0)]).astype(np.int16)
    assert "intercept is missing" in str(CT.implausible(sample.reshape(1, 130, 100)))
    assert CT.implausible((sample - 1000).clip(-1024).reshape(1, 130, 100)) is None


def test_what_is_not_stated_but_looks_like_hounsfield_units_is_said(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, already_hounsfield)
    scan = load_scan(tmp_path)
    assert_shows_patient(scan.image)
    assert only(scan.series.warnings, "No rescale intercept is stated")


def test_a_slope_that_is_missing_is_one_and_said(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, put(RescaleSlope=None))
    scan = load_scan(tmp_path)
    assert_shows_patient(scan.image)
    assert only(scan.series.warnings, "No rescale slope is stated")


@examples(6, suppress_health_check=list(HealthCheck))
@given(
    slopes=st.lists(st.sampled_from([0.25, 0.5, 1, 1.5]), min_size=24, max_size=24),
    intercepts=st.lists(st.integers(-1600, -1024), min_size=24, max_size=24),
)
def test_each_slice_has_its_own(tmp_path_factory, slopes: list[float], intercepts) -> None:
    def edit(one: Dataset, index: int) -> None:
        hu = np.frombuffer(one.PixelData, np.int16).reshape(one.Rows, one.Columns) - 1024.0
        stored(one, np.rint((hu - intercepts[index]) / slopes[index]).astype(np.uint16))
        one.RescaleSlope, one.RescaleIntercept = slopes[index], intercepts[index]

    folder = tmp_path_factory.mktemp("own")
    write_scan(folder, SCAN, edit)
    scan = load_scan(folder)
    assert_reads(scan, plain_slices(folder))
    assert scan.series.warnings == ()


@pytest.mark.parametrize("place", ["shared", "frame", "top", "another macro"])
def test_wherever_an_enhanced_file_states_it(tmp_path: Path, place: str) -> None:
    one = enhanced(SCAN)
    shared = one.SharedFunctionalGroupsSequence[0]
    values = shared.PixelValueTransformationSequence[0]
    if place != "shared":
        del shared.PixelValueTransformationSequence
    if place == "frame":
        for group in one.PerFrameFunctionalGroupsSequence:
            group.PixelValueTransformationSequence = Sequence([values])
    elif place == "top":
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
    elif place == "another macro":
        shared.PixelMeasuresSequence[0].RescaleSlope = 1
        shared.PixelMeasuresSequence[0].RescaleIntercept = -1024
    one.save_as(tmp_path / "one", enforce_file_format=True)
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(tmp_path))
    assert_shows_patient(scan.image)


@pytest.mark.parametrize("word", ["Hu", "hu", "HU ", "HOUNSFIELD UNITS", "Hounsfield", "[HU]", ""])
def test_hounsfield_however_it_is_spelt(tmp_path: Path, word: str) -> None:
    write_scan(tmp_path, SCAN, put(RescaleType=word))
    assert_shows_patient(load_scan(tmp_path).image)
