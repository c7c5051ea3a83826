"""Which series is read, what is left out of it, and what is said about the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.inputs.world import Scan, assert_shows_patient, only, put, stored, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

THIN = Scan(step=(0, 0, 1.5), places=tuple(range(80)))
THICK = Scan(step=(0, 0, 5.0), places=tuple(range(24)))
SAGITTAL = Scan(row=(0, 1, 0), column=(0, 0, -1), step=(3.0, 0, 0), places=tuple(range(30)))
SHORT = replace(THIN, places=tuple(range(30)))

LUNG, BONE = put(ConvolutionKernel="LUNG"), put(ConvolutionKernel="BONE")
DERIVED = put(ImageType=["DERIVED", "SECONDARY", "AXIAL"])
HEAD = put(BodyPartExamined="HEAD")
NOTHING = put()


@pytest.mark.parametrize(
    ("winner", "loser", "reason"),
    [
        ((THIN, put(SliceThickness=1.5)), (THICK, put(SliceThickness=5)), "thicker slices"),
        ((Scan(), NOTHING), (SAGITTAL, NOTHING), "no axial slices"),
        ((Scan(), NOTHING), (Scan(), DERIVED), "computed from other images"),
        ((Scan(), BONE), (Scan(), LUNG), "a lung or very sharp kernel"),
        ((Scan(), NOTHING), (Scan(), HEAD), "another part of the body"),
        ((THICK, put(SliceThickness=5)), (SHORT, NOTHING), "shows less of the body"),
        ((THICK, NOTHING), (Scan(), put(Modality="MR")), "of modality MR, not CT (40 images)"),
        ((THICK, NOTHING), (Scan(), put(Modality="SEG")), "a segmentation, not a CT (40 images)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", ["winner", "loser"])
def test_the_better_series_is_read_and_the_other_listed(
    tmp_path: Path, winner, loser, reason: str, first: str
) -> None:
    folders = {"winner": tmp_path / "b", "loser": tmp_path / ("a" if first == "loser" else "c")}
    good = write_scan(folders["winner"], *winner)
    bad = write_scan(folders["loser"], *loser)
    series = load_scan(tmp_path).series
    assert series.series_uid == good[0].SeriesInstanceUID
    assert [(o.series_uid, o.reason) for o in series.others] == [(bad[0].SeriesInstanceUID, reason)]


def test_facts_of_the_series(tmp_path: Path) -> None:
    ones = write_scan(tmp_path, Scan(), put(
        ConvolutionKernel="Br40d", ContrastBolusAgent="IOMERON", ManufacturerModelName="X",
        SeriesDescription="Spine DOE jane 4711 SECRET-4711 1940-01-02 venous"))  # fmt: skip
    volume = load_scan(tmp_path)
    series = volume.series
    assert series.study_uid == ones[0].StudyInstanceUID
    assert series.spacing_mm == (2.4, 2.9, 3.0)
    assert (series.modality, series.slices, series.orientation) == ("CT", 40, "axial")
    assert (series.kernel, series.contrast, series.slice_thickness_mm) == ("Br40d", True, 3.0)
    assert series.description == "Spine venous"
    assert [uid for _, uid in volume.sources] == [one.SOPInstanceUID for one in ones]
    assert all(Path(name).is_file() for name, _ in volume.sources)


@pytest.mark.parametrize(("agent", "contrast"), [("", None), (None, None), ("none", False)])
def test_contrast_is_unknown_unless_stated(tmp_path: Path, agent, contrast) -> None:
    write_scan(tmp_path, Scan(), put(ContrastBolusAgent=agent))
    assert load_scan(tmp_path).series.contrast is contrast


def test_a_named_series_is_read_though_another_is_better(tmp_path: Path) -> None:
    write_scan(tmp_path / "a", THIN)
    thick = write_scan(tmp_path / "b", THICK)[0].SeriesInstanceUID
    series = load_scan(tmp_path, series_uid=thick).series
    assert series.series_uid == thick
    assert [o.reason for o in series.others] == ["another series was asked for"]


def test_a_series_that_is_not_there_lists_what_is(tmp_path: Path) -> None:
    there = write_scan(tmp_path, Scan())[0].SeriesInstanceUID
    with pytest.raises(InputError, match=f"1.2.3 is not in the input.*{there}"):
        load_scan(tmp_path, series_uid="1.2.3")


def test_a_scout_in_the_same_series_is_left_out(tmp_path: Path) -> None:
    uid = write_scan(tmp_path / "a", Scan())[0].SeriesInstanceUID
    scout = Scan(row=(0, 1, 0), column=(0, 0, -1), places=(0,), rows=40, columns=90)
    for name, kind in (("b", "LOCALIZER"), ("c", "AXIAL")):
        write_scan(tmp_path / name, scout, put(
            SeriesInstanceUID=uid, ImageType=["ORIGINAL", "PRIMARY", kind]))  # fmt: skip
    volume = load_scan(tmp_path)
    assert_shows_patient(volume.image)
    assert only(volume.series.warnings, "scout")
    assert only(volume.series.warnings, "a single slice")


def test_copies_are_dropped(tmp_path: Path) -> None:
    write_scan(tmp_path)
    for path in list(tmp_path.iterdir())[:7]:
        (tmp_path / f"copy of {path.name}").write_bytes(path.read_bytes())
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert only(volume.series.warnings, "7 slice(s)")


def test_two_slices_at_one_place_are_one(tmp_path: Path) -> None:
    write_scan(tmp_path, Scan(places=(*range(40), 12)))
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert only(volume.series.warnings, "1 image(s) of the same series left out")


def second_breath_hold(offset: float, places: range, acquisition: int | None, uids) -> tuple:
    """Another scan of the same series, its patient 400 HU denser."""

    def edit(one: Dataset, index: int) -> None:
        for keyword, value in uids.items():
            setattr(one, keyword, value)
        one.RescaleIntercept = -624
        one.AcquisitionNumber = acquisition
        one.InstanceNumber = 200 + index

    return Scan(places=tuple(p + offset for p in places), centre=(0, 0, 0)), edit


@pytest.mark.parametrize("acquisition", [2, None], ids=["by acquisition", "by recording"])
@pytest.mark.parametrize("offset", [0.0, 0.3], ids=["same places", "comb"])
def test_two_scans_in_one_series_are_told_apart(tmp_path: Path, acquisition, offset) -> None:
    first = write_scan(tmp_path / "a", Scan(), put(AcquisitionNumber=acquisition and 1))[0]
    uids = {k: first.get(k) for k in
            ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")}  # fmt: skip
    scan, edit = second_breath_hold(offset, range(1, 39), acquisition, uids)
    middle = replace(scan, places=scan.places, centre=(0, 0, 3 * offset))
    write_scan(tmp_path / "b", middle, edit)
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert_shows_patient(volume.image)
    assert [o.series_uid for o in volume.series.others] == [first.SeriesInstanceUID]


def test_scans_that_overlap_a_little_are_joined(tmp_path: Path) -> None:
    everything = Scan()
    low = replace(everything, places=tuple(range(25)), centre=(0, 0, -3 * 7.5))
    high = replace(everything, places=tuple(range(22, 40)), centre=(0, 0, 3 * 11.0))
    first = write_scan(tmp_path / "a", low, put(AcquisitionNumber=1))[0]
    same = put(AcquisitionNumber=2, SeriesInstanceUID=first.SeriesInstanceUID,
               StudyInstanceUID=first.StudyInstanceUID,
               FrameOfReferenceUID=first.FrameOfReferenceUID)  # fmt: skip
    write_scan(tmp_path / "b", high, same)
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert only(volume.series.warnings, "joined")
    assert_shows_patient(volume.image)


def test_interleaved_scans_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    places = sorted([*range(30), *(p + 0.1 for p in range(30))])
    with pytest.raises(InputError, match="can't be told apart"):
        load_scan(write_and_return(tmp_path, Scan(places=tuple(places)),
                                     put(InstanceNumber=1)))  # fmt: skip


def write_and_return(folder: Path, *what) -> Path:
    write_scan(folder, *what)
    return folder


@pytest.mark.parametrize(
    ("scan", "why"),
    [(Scan(places=(0,)), "a single slice"), (Scan(places=(0, 1)), "too few slices"),
     (Scan(places=(0, 1, 2, 3)), "only 12 mm"),
     (Scan(step=(0, 3.0, 3.0)), "drift sideways")],
)  # fmt: skip
def test_too_little_is_refused(tmp_path: Path, scan: Scan, why: str) -> None:
    write_scan(tmp_path, scan)
    with pytest.raises(InputError, match=why):
        load_scan(tmp_path)


def test_a_mask_stored_as_ct_gives_way_to_the_ct(tmp_path: Path) -> None:
    """Its header says CT in every respect; only its numbers tell."""

    def mask(one: Dataset, _index: int) -> None:
        stored(one, (np.arange(48 * 56).reshape(48, 56) % 29).astype(np.uint8))
        one.RescaleIntercept = 0

    write_scan(tmp_path / "mask", THIN, mask)
    with pytest.raises(InputError, match="a mask or an overlay"):
        load_scan(tmp_path)
    ct = write_scan(tmp_path / "ct", THICK)[0].SeriesInstanceUID
    series = load_scan(tmp_path).series
    assert series.series_uid == ct
    assert "mask" in series.others[0].reason


def test_another_patient_in_the_folder_is_said(tmp_path: Path) -> None:
    write_scan(tmp_path / "a", THIN)
    write_scan(tmp_path / "b", THICK, put(PatientID="SECRET-2", PatientName="Roe^Rita"))
    volume = load_scan(tmp_path)
    assert only(volume.series.warnings, "more than one patient")
    assert "SECRET" not in repr(volume.series)


def test_a_series_that_holds_two_patients_is_refused(tmp_path: Path) -> None:
    """A result would be filed under one of them, and may speak of the other."""
    uid = "1.2.3.4"
    write_scan(tmp_path / "a", THIN, put(SeriesInstanceUID=uid))
    write_scan(tmp_path / "b", THICK, put(SeriesInstanceUID=uid, PatientID="SECRET-2"))
    with pytest.raises(InputError, match="different patients under one series UID") as refused:
        load_scan(tmp_path)
    assert "SECRET" not in str(refused.value)
    alone = write_scan(tmp_path / "c", THICK)[0].SeriesInstanceUID
    assert load_scan(tmp_path).series.series_uid == alone


def test_a_uid_that_is_a_path_never_gets_out(tmp_path: Path) -> None:
    write_scan(tmp_path, Scan(), put(SeriesInstanceUID="9.8.7.6.5.4"))
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"9.8.7.6.5.4", b"../../../aa"))
    series = load_scan(tmp_path).series
    assert series.series_uid.startswith("2.25.")
    assert len(series.series_uid) <= 64
