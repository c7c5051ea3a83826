"""Segmentations read back: every voxel lies where the soft masks say, on the CT's own pixels."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.inputs.world import BLOBS, Scan, enhanced, put, write_scan
from tests.outputs.fakes import RUN, analysis_of, mask_of
from vfx_edge.errors import OutputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import read_source
from vfx_edge.outputs.dicom import seg
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.study import Analysis, DicomSource, Level, VertebraMask

TURNED = np.array([[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
OWN_PLANES = {
    "axial": Scan(),
    "axial, feet first, table the other way": Scan(row=(-1, 0, 0), step=(0, 0, -3), rows=40),
    "sagittal": Scan(row=(0, 1, 0), column=(0, 0, -1), step=(3, 0, 0), rows=50),
    "coronal, oblique": Scan(
        row=tuple(TURNED[0]), column=(0, 0, -1), step=tuple(3 * TURNED[1]), columns=50
    ),
}
RESAMPLED = {
    "tilted": Scan(step=(0.0, 0.9, 3.0), rows=50),
    "sagittal, off the grid": replace(
        OWN_PLANES["sagittal"], places=(*range(12), *(n + 0.4 for n in range(12, 42)))
    ),
}
GAP = replace(OWN_PLANES["sagittal"], places=(*range(12), *range(13, 30), *range(32, 42)))


Floats = NDArray[np.float64]


def _analysed(path: Path) -> tuple[Analysis, DicomSource]:
    """The bony blob on the left as L1, the one towards the feet as L3: no two directions alike."""
    volume = load_scan(path)
    bone, _, feet = (centre for centre, _, _ in BLOBS)
    return analysis_of(volume, {Level.L1: bone, Level.L3: feet}, {}), read_source(path, volume)


def _chance(mask: VertebraMask, lps_mm: Floats) -> Floats:
    """The soft mask at (…, 3) places, straight from its own grid."""
    zyx = np.moveaxis((lps_mm - np.array(mask.origin_lps_mm)) / mask.spacing_mm, -1, 0)[::-1]
    return np.asarray(ndimage.map_coordinates(_whole(mask), zyx, order=1))


def _whole(mask: VertebraMask) -> Floats:
    return np.minimum(mask.body.astype(float) + mask.arch, 1)


def _frame_places(seg: pydicom.Dataset, frame: int) -> Floats:
    """(rows, columns, 3) LPS mm by the file's own words (PS3.3 C.7.6.2.1.1)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows_mm, columns_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    group = seg.PerFrameFunctionalGroupsSequence[frame]
    corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
    r, c = np.mgrid[: seg.Rows, : seg.Columns][..., None]
    return np.asarray(corner + r * rows_mm * cosines[3:] + c * columns_mm * cosines[:3])


def _assert_in_place(path: Path, analysis: Analysis, *, whole: bool = True) -> hd.seg.Segmentation:
    seg = hd.seg.segread(path)
    masks = {mask.vertebra.level: mask for mask in analysis.masks}
    levels = [Level(segment.SegmentLabel) for segment in seg.SegmentSequence]
    assert levels == list(masks)
    voxels = dict.fromkeys(levels, 0)
    for frame, group in enumerate(seg.PerFrameFunctionalGroupsSequence):
        level = levels[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]
        expected = _chance(masks[level], _frame_places(seg, frame))
        pixels = seg.get_stored_frame(frame + 1).astype(bool)
        # the masks are rounded to 255ths before they are cut at one half
        assert (expected[pixels] > 0.49).all()
        assert (expected[~pixels] < 0.51).all()
        voxels[level] += int(pixels.sum())
    voxel_mm3 = abs(np.linalg.det(analysis.scan.image.affine_zyx_to_lps))
    for level, mask in masks.items() if whole else ():  # and no slice is missing
        wanted = (_whole(mask) >= 0.5).sum() * mask.spacing_mm**3
        assert voxels[level] * voxel_mm3 == pytest.approx(wanted, rel=0.1)
    return seg


def _assert_valid(path: Path) -> None:
    """By dicom3tools, where it is installed."""
    if shutil.which("dciodvfy") is None:
        return
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert "Segmentation" in said
    assert not [line for line in said if "Error" in line]


@pytest.mark.parametrize("name", OWN_PLANES)
def test_on_the_sources_own_planes(name: str, tmp_path: Path) -> None:
    """The CT's pixels under each segment, found by the instances' UIDs alone, are bone."""
    write_scan(tmp_path / "ct", OWN_PLANES[name])
    analysis, source = _analysed(tmp_path / "ct")
    path = write_seg(analysis, source, tmp_path / "seg.dcm")
    seg = _assert_in_place(path, analysis)
    _assert_valid(path)
    ct = [pydicom.dcmread(file) for file in (tmp_path / "ct").iterdir()]
    uids = [str(one.SOPInstanceUID) for one in ct]
    segments = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    hu = np.stack([one.pixel_array.astype(int) - 1024 for one in ct])
    assert segments.shape[:3] == hu.shape
    for number, (centre, _, peak) in enumerate((BLOBS[0], BLOBS[2])):
        inside = segments[..., number].astype(bool)
        assert hu[inside].max() > peak - 100, centre
        assert hu[inside].mean() > hu[~inside].mean() + 200


def test_slices_that_are_missing_have_no_frames(tmp_path: Path) -> None:
    """A viewer that lays segments over slices waits for ever for a slice that is not there."""
    slices = write_scan(tmp_path / "ct", GAP)
    analysis, source = _analysed(tmp_path / "ct")
    assert len(analysis.scan.image.values) or len(slices) < max(analysis.scan.image.values.shape)
    path = write_seg(analysis, source, tmp_path / "seg.dcm")
    seg = _assert_in_place(path, analysis, whole=False)
    _assert_valid(path)
    there = {tuple(map(float, one.ImagePositionPatient)) for one in slices}
    for group in seg.PerFrameFunctionalGroupsSequence:
        assert tuple(map(float, group.PlanePositionSequence[0].ImagePositionPatient)) in there


@pytest.mark.parametrize("name", RESAMPLED)
def test_on_the_volumes_planes_where_it_was_resampled(name: str, tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", RESAMPLED[name])
    analysis, source = _analysed(tmp_path / "ct")
    path = write_seg(analysis, source, tmp_path / "seg.dcm")
    seg = _assert_in_place(path, analysis)
    _assert_valid(path)
    # one even grid, parallel to the source's slices
    assert seg.get_volume_geometry() is not None
    shared = seg.SharedFunctionalGroupsSequence[0]
    stated = list(map(float, shared.PlaneOrientationSequence[0].ImageOrientationPatient))
    assert stated == pytest.approx([*RESAMPLED[name].row, *RESAMPLED[name].column], abs=1e-6)


def _everything_by_frame(one: pydicom.Dataset) -> None:
    """What real enhanced files say of each frame, though it is the same in all."""
    shared = one.SharedFunctionalGroupsSequence[0]
    for group in one.PerFrameFunctionalGroupsSequence:
        group.PlaneOrientationSequence = shared.PlaneOrientationSequence
        group.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence


@pytest.mark.parametrize("by_frame", [False, True])
def test_an_enhanced_file_with_its_frames_in_disorder(by_frame: bool, tmp_path: Path) -> None:
    one = enhanced(Scan(row=(0, 1, 0), column=(0, 0, -1), step=(3, 0, 0), rows=50))
    if by_frame:
        _everything_by_frame(one)
    file = tmp_path / "enhanced.dcm"
    one.save_as(file, enforce_file_format=True)
    analysis, source = _analysed(file)
    path = write_seg(analysis, source, tmp_path / "seg.dcm")
    seg = _assert_in_place(path, analysis)
    _assert_valid(path)
    for at, group in enumerate(seg.PerFrameFunctionalGroupsSequence):
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == one.SOPInstanceUID
        frame = one.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        corner = _frame_places(seg, at)[0, 0]
        assert corner == pytest.approx(frame.PlanePositionSequence[0].ImagePositionPatient)


ODD = {
    "axial, feet first": OWN_PLANES["axial, feet first, table the other way"],
    "gaps, and frames that share bytes": replace(GAP, rows=45, columns=43),
}
OWN_TO_AN_OBJECT = (
    *("SOPInstanceUID", "SeriesInstanceUID", "TrackingUID", "DimensionOrganizationUID"),
    *("InstanceCreationTime", "ContributionDateTime"),
)


@pytest.mark.parametrize("masks", [1, 2])
@pytest.mark.parametrize("name", ODD)
def test_all_frames_at_once_are_what_highdicom_makes_one_by_one(
    name: str, masks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(tmp_path / "ct", ODD[name])
    analysis, source = _analysed(tmp_path / "ct")
    analysis = replace(analysis, masks=analysis.masks[:masks])
    ours = pydicom.dcmread(write_seg(analysis, source, tmp_path / "ours.dcm"))
    monkeypatch.setattr(seg, "_first_placed", seg._placed)
    monkeypatch.setattr(seg, "add_frames", lambda *_: None)
    theirs = pydicom.dcmread(write_seg(analysis, source, tmp_path / "theirs.dcm"))
    for one in (ours, theirs):
        one.walk(lambda within, element: _blank(within, element.keyword))
    # a byte that makes the length even is no pixel; highdicom's is the letter 0
    pixels = ours.NumberOfFrames * ours.Rows * ours.Columns
    assert ours.PixelData[: pixels // 8] == theirs.PixelData[: pixels // 8]
    assert (ours.pixel_array == theirs.pixel_array).all()
    del ours.PixelData, theirs.PixelData
    assert ours == theirs
    assert len(ours.PerFrameFunctionalGroupsSequence) > 4


def _blank(within: pydicom.Dataset, keyword: str) -> None:
    if keyword in OWN_TO_AN_OBJECT:
        del within[keyword]


def test_what_the_object_says_of_itself(tmp_path: Path) -> None:
    name = "Müller^Zoë"
    one = write_scan(
        tmp_path / "ct",
        None,
        put(SpecificCharacterSet="ISO_IR 100", PatientName=name, StudyID="7", SeriesNumber=9950),
        put(StudyDate="20260301", StudyDescription="Wirbelsäule", PatientAge="081Y"),
        put(PatientIdentityRemoved="YES", DeidentificationMethod=""),
    )[0]
    analysis, source = _analysed(tmp_path / "ct")
    beside = (mask_of(Level.T13, BLOBS[1][0]), mask_of(Level.L5, (500.0, 0.0, 0.0)))
    analysis = replace(analysis, masks=(*beside, *analysis.masks))
    first, second = (
        pydicom.dcmread(write_seg(analysis, source, tmp_path / file)) for file in ("a.dcm", "b.dcm")
    )
    _assert_valid(tmp_path / "a.dcm")
    for keyword in (
        *("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientBirthDate", "StudyID"),
        *("PatientName", "PatientAge", "StudyDate"),
    ):
        assert first[keyword].value == one[keyword].value, keyword
    assert first.SeriesInstanceUID not in (one.SeriesInstanceUID, second.SeriesInstanceUID)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesNumber > 9950
    assert (first.SeriesDescription, first.Modality) == ("vfx-edge SEG", "SEG")
    assert (first.SegmentationType, first.SegmentsOverlap) == ("BINARY", "NO")
    referenced = first.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == one.SeriesInstanceUID
    assert len(referenced.ReferencedInstanceSequence) == len(Scan().places)
    segments = first.SegmentSequence  # L5 lies outside the scan
    assert [s.SegmentLabel for s in segments] == ["T13", "L1", "L3"]
    assert [s.SegmentNumber for s in segments] == [1, 2, 3]
    (scheme,) = first.CodingSchemeIdentificationSequence
    private = segments[0].SegmentedPropertyTypeCodeSequence[0]
    assert private.CodingSchemeDesignator == scheme.CodingSchemeDesignator
    assert segments[1].SegmentedPropertyTypeCodeSequence[0].CodeValue == "66794005"
    assert {s.SegmentAlgorithmType for s in segments} == {"AUTOMATIC"}
    assert len({tuple(s.RecommendedDisplayCIELabValue) for s in segments}) == 3


def test_a_mask_that_was_given_is_not_called_automatic(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    analysis, source = _analysed(tmp_path / "ct")
    run = replace(RUN, seconds={"read": 1.0, "segment": 0.1})
    given = replace(analysis, result=replace(analysis.result, run=run))
    seg = pydicom.dcmread(write_seg(given, source, tmp_path / "seg.dcm"))
    assert {s.SegmentAlgorithmType for s in seg.SegmentSequence} == {"SEMIAUTOMATIC"}


def test_headers_that_differ_in_the_last_digit_or_state_no_thickness(tmp_path: Path) -> None:
    """highdicom takes them for different series, or stumbles; the source is left as it was."""
    write_scan(tmp_path / "ct")
    analysis, source = _analysed(tmp_path / "ct")
    for at, header in enumerate(source.instances):
        header.ImageOrientationPatient = [1, at * 1e-7, 0, 0, 1, 0]
        del header.SliceThickness
    before = [header.to_json() for header in source.instances]
    _assert_in_place(write_seg(analysis, source, tmp_path / "seg.dcm"), analysis)
    assert [header.to_json() for header in source.instances] == before


def test_a_header_that_can_not_be_repeated_ends_in_one_sentence(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    analysis, source = _analysed(tmp_path / "ct")
    for header in source.instances:
        header.SOPClassUID = "1.2.3.4"
    with pytest.raises(OutputError, match=r"leave seg out of --outputs\.$"):
        write_seg(analysis, source, tmp_path / "out" / "seg.dcm")
    assert not list(tmp_path.glob("out/*"))
