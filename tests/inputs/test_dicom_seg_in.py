"""DICOM segmentations as a mask that is given: ours, dcmqi's (3D Slicer), and what is wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from tests.inputs.world import Scan, enhanced, write_scan
from tests.outputs.fakes import analysis_of
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.segmentation import GivenMask, read_segmentation
from vfx_edge.inputs.source import read_source
from vfx_edge.study import Level

pytest.importorskip("highdicom", reason="needs the extra service, to write what is read here")
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.outputs.labels import label_map

AXIAL = Scan(rows=90, columns=80)
SCANS = {
    "axial": AXIAL,
    "feet first": Scan(row=(-1, 0, 0), step=(0, 0, -3), rows=90, columns=80),
    "sagittal": Scan(row=(0, 1, 0), column=(0, 0, -1), step=(3, 0, 0), rows=90),
    "gap": Scan(rows=90, columns=80, places=(*range(19), *range(21, 42))),
    "tilted": Scan(step=(0.0, 0.9, 3.0), rows=90),
    "enhanced": None,
}


class Drawn:
    """A scan, its segmentation by us, and the VerSe labels that the segmentation was made of."""

    def __init__(self, folder: Path, scan: Scan | None) -> None:
        self.ct = folder / "ct"
        if scan is None:
            self.ct.mkdir(parents=True)
            enhanced(AXIAL).save_as(self.ct / "ct.dcm", enforce_file_format=True)
        else:
            write_scan(self.ct, scan)
        self.volume = load_scan(self.ct)
        middle = self.volume.image.to_lps(
            np.array([[n / 2 for n in self.volume.image.values.shape]])
        )[0]
        # to the left of the middle and not one above the other, so that no flip can pass
        centres = {
            level: (float(middle[0] + 7 + 2 * i), float(middle[1] - 5 - i), float(middle[2] + z))
            for i, (level, z) in enumerate(
                {Level.T12: 25.0, Level.L1: 0.0, Level.L2: -25.0}.items()
            )
        }
        analysis = analysis_of(self.volume, centres, {})
        self.labels = label_map(self.volume.image, analysis.masks)
        self.seg = write_seg(analysis, read_source(self.ct, self.volume), folder / "seg.dcm")

    def changed(self, edit: Callable[[Dataset], object], name: str = "changed.dcm") -> Path:
        seg = pydicom.dcmread(self.seg)
        edit(seg)
        seg.save_as(self.seg.with_name(name))
        return self.seg.with_name(name)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn"), SCANS["axial"])


@pytest.mark.parametrize("name", SCANS)
def test_every_voxel_of_our_own_comes_back(tmp_path: Path, name: str) -> None:
    made = Drawn(tmp_path, SCANS[name])
    given = read_segmentation(made.seg, made.volume)
    assert given.named
    assert not given.remarks
    if name == "gap":  # where no slice was, the segmentation has no plane
        there = (given.labels > 0).any((1, 2))
        assert np.array_equal(given.labels[there], made.labels[there])
        assert (made.labels > 0).any((1, 2)).sum() - there.sum() == 2
    else:
        assert np.array_equal(given.labels, made.labels)


def dcmqi(*arguments: object) -> None:
    beside = Path(sys.executable).with_name("itkimage2segimage")
    program = shutil.which("itkimage2segimage") or (beside if beside.exists() else None)
    if program is None:
        pytest.skip("needs dcmqi: make peers installs it")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def by_slicer(made: Drawn, folder: Path, labels: list[str]) -> Path:
    """The segmentation as 3D Slicer exports it: by dcmqi, tissue as its type, names by hand."""
    order = (Level.L2, Level.T12, Level.L1)  # not from head to feet
    whole = sitk.GetImageFromArray(np.select([made.labels == v.verse for v in order], [1, 2, 3]))
    affine = made.volume.image.affine_zyx_to_lps
    whole.SetSpacing(made.volume.image.spacing_zyx_mm[::-1].tolist())
    whole.SetOrigin(affine[:3, 3].tolist())
    whole.SetDirection(
        (affine[:3, 2::-1] / made.volume.image.spacing_zyx_mm[::-1]).ravel().tolist()
    )
    sitk.WriteImage(sitk.Cast(whole, sitk.sitkUInt8), str(folder / "m.nrrd"))

    def coded(value: str, meaning: str) -> dict[str, str]:
        return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}

    segments = [
        {
            "labelID": at,
            "SegmentLabel": label,
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": coded("85756007", "Tissue"),
            "SegmentedPropertyTypeCodeSequence": coded("85756007", "Tissue"),
        }
        for at, label in enumerate(labels, 1)
    ]
    meta = {
        "ContentCreatorName": "Reader",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "BodyPartExamined": "SPINE",
        "segmentAttributes": [segments],
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    out = folder / "slicer.dcm"
    dcmqi(
        *("--inputImageList", folder / "m.nrrd", "--inputDICOMDirectory", made.ct),
        *("--inputMetadata", folder / "meta.json", "--outputDICOM", out, "--skip"),
    )
    return out


def test_every_voxel_that_slicer_stored_lands_in_place(drawn: Drawn, tmp_path: Path) -> None:
    seg = by_slicer(drawn, tmp_path, ["LWK2", "vertebrae_T12", "L1 vertebra"])
    given = read_segmentation(seg, drawn.volume)
    assert given.named
    assert np.array_equal(given.labels, drawn.labels)


def test_segments_without_a_telling_name_are_only_numbers(drawn: Drawn, tmp_path: Path) -> None:
    given = read_segmentation(by_slicer(drawn, tmp_path, ["a", "b", "c"]), drawn.volume)
    assert not given.named
    assert set(np.unique(given.labels)) == {0, 1, 2, 3}


def shuffled(seg: Dataset) -> None:
    """Frames from last to first, and of L2 only every other one."""
    frames = list(seg.PerFrameFunctionalGroupsSequence)
    pixels = seg.pixel_array
    kept = [
        at for at in range(len(frames) - 1, -1, -1) if not (_segment(frames[at]) == 3 and at % 2)
    ]
    seg.PerFrameFunctionalGroupsSequence = [frames[at] for at in kept]
    seg.NumberOfFrames = len(kept)
    seg.PixelData = np.packbits(pixels[kept].ravel(), bitorder="little").tobytes() + b"\0"
    seg.PixelData = seg.PixelData[: len(seg.PixelData) // 2 * 2]


def _segment(frame: Dataset) -> int:
    return int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def test_frames_come_in_any_order_and_need_not_be_all(drawn: Drawn) -> None:
    given = read_segmentation(drawn.changed(shuffled), drawn.volume)
    for level in (Level.T12, Level.L1):
        assert np.array_equal(given.labels == level.verse, drawn.labels == level.verse)
    planes = np.flatnonzero((given.labels == Level.L2.verse).any((1, 2)))
    assert len(planes) > 2
    assert (np.diff(planes) == 2).all()


def fractional(seg: Dataset) -> None:
    """Bytes instead of bits; everything that belongs to no segment at 40 %."""
    seg.PixelData = np.where(seg.pixel_array > 0, 200, 80).astype(np.uint8).tobytes()
    seg.SegmentationType, seg.MaximumFractionalValue = "FRACTIONAL", 200
    seg.SegmentationFractionalType = "PROBABILITY"
    seg.BitsAllocated = seg.BitsStored = 8
    seg.HighBit = 7


def compressed(seg: Dataset) -> None:
    fractional(seg)
    seg.compress(pydicom.uid.RLELossless)


@pytest.mark.parametrize("edit", [fractional, compressed])
def test_fractions_count_from_one_half(drawn: Drawn, edit: Callable[[Dataset], None]) -> None:
    given = read_segmentation(drawn.changed(edit), drawn.volume)
    assert np.array_equal(given.labels, drawn.labels)


def renamed_by_hand(seg: Dataset) -> None:
    """The label that a person sees is changed, the code behind it stays."""
    for segment, label in zip(seg.SegmentSequence, ("L1", "L2", "L3"), strict=True):
        segment.SegmentLabel = label


def coded_only(seg: Dataset) -> None:
    for segment in seg.SegmentSequence:
        segment.SegmentLabel = f"Segment_{segment.SegmentNumber}"
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "?"


@pytest.mark.parametrize(
    ("edit", "labels"), [(renamed_by_hand, {0, 20, 21, 22}), (coded_only, {0, 19, 20, 21})]
)
def test_the_name_comes_before_the_code(drawn: Drawn, edit, labels: set[int]) -> None:
    given = read_segmentation(drawn.changed(edit), drawn.volume)
    assert given.named
    assert set(np.unique(given.labels)) == labels


def one_is_a_kidney(seg: Dataset) -> None:
    segment = seg.SegmentSequence[0]
    segment.SegmentLabel = "left kidney"
    del segment.SegmentedPropertyTypeCodeSequence


def test_what_is_no_vertebra_is_left_out_and_said(drawn: Drawn) -> None:
    given = read_segmentation(drawn.changed(one_is_a_kidney), drawn.volume)
    assert set(np.unique(given.labels)) == {0, 20, 21}
    assert "left out: number 1." in given.remarks[0]
    assert "kidney" not in given.remarks[0], "a person has typed it"


def other_scan(seg: Dataset) -> None:
    seg.FrameOfReferenceUID = "1.2.3"
    seg.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.4"


def far_away(seg: Dataset) -> None:
    for frame in seg.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence[0].ImagePositionPatient[2] += 5000


def two_directions(seg: Dataset) -> None:
    orientation = Dataset()
    orientation.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
    seg.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [orientation]


def nowhere(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def no_numbers(seg: Dataset) -> None:
    at = seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    at.ImagePositionPatient = [0, 0, "1e400"]


def cut_off(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[: len(seg.PixelData) // 4 * 2]


def huge(seg: Dataset) -> None:
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[2] -= 3e7


def of_another_kind(seg: Dataset) -> None:
    seg.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (other_scan, "another series"),
        (far_away, "does not overlap"),
        (two_directions, "several directions"),
        (nowhere, "damaged"),
        (no_numbers, "damaged"),
        (cut_off, "truncated"),
        (huge, "too many voxels"),
        (of_another_kind, "CT Image Storage"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(drawn: Drawn, edit, match: str) -> None:
    with pytest.raises(InputError, match=match) as refused:
        read_segmentation(drawn.changed(edit), drawn.volume)
    assert str(refused.value).endswith(".")


def test_damage_anywhere_is_refused_or_harmless(drawn: Drawn, tmp_path: Path) -> None:
    """Bytes overwritten in the header: a sentence, or a mask on the CT's grid."""
    whole = bytearray(drawn.seg.read_bytes())
    draw = np.random.default_rng(4)
    for _ in range(25):
        broken = bytearray(whole)
        at = int(draw.integers(132, min(len(whole), 12_000)))
        broken[at : at + 4] = draw.bytes(4)
        (tmp_path / "b.dcm").write_bytes(broken)
        try:
            given = read_segmentation(tmp_path / "b.dcm", drawn.volume)
        except InputError:
            continue
        assert given.labels.shape == drawn.volume.image.values.shape


def test_a_ct_that_is_no_dicom_takes_it_by_its_places_and_says_so(drawn: Drawn) -> None:
    nifti = replace(drawn.volume, frame_of_reference=None)
    given: GivenMask = read_segmentation(drawn.seg, nifti)
    assert np.array_equal(given.labels, drawn.labels)
    assert "can't be told" in given.remarks[0]
