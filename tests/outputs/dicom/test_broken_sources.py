"""Whatever a source's header holds, the results are valid: dciodvfy finds no error in them."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.examples import examples
from tests.inputs.world import Scan, ct_slice, write_scan
from tests.outputs.dicom.reading import PATIENT, Study, found_in, validated
from tests.outputs.fakes import analysis_of
from vfx_edge.inputs.repeated import DEIDENTIFIED, repeated
from vfx_edge.study import DicomSource, Level

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom import sc
from vfx_edge.outputs.dicom.captures import Capture
from vfx_edge.outputs.dicom.kos import write_kos
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.outputs.dicom.sr import write_sr

Break = Callable[[Dataset], None]
SECRET = "Geheimnis"


def stated(**values: object) -> Break:
    def edit(header: Dataset) -> None:
        with pydicom.config.disable_value_validation():
            for keyword, value in values.items():
                setattr(header, keyword, value)

    return edit


def raw(keyword: str, vr: str, value: bytes) -> Break:
    """An element byte by byte, in a VR that it must not have."""

    def edit(header: Dataset) -> None:
        tag = Tag(keyword)
        header[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    return edit


def several(*breaks: Break) -> Break:
    def edit(header: Dataset) -> None:
        for one in breaks:
            one(header)

    return edit


def item(**values: object) -> Dataset:
    made = Dataset()
    stated(**values)(made)
    return made


def nested(depth: int) -> Dataset:
    made = item(CodeMeaning=SECRET)
    for _ in range(depth):
        made = item(PurposeOfReferenceCodeSequence=[made])
    return made


def private(header: Dataset) -> None:
    block = header.private_block(0x0011, SECRET, create=True)
    block.add_new(0x01, "LO", SECRET)
    block.add_new(0x02, "SQ", [item(PatientName=SECRET), nested(5)])


# fmt: off
BROKEN: dict[str, Break] = {
    "items without what they must have": stated(
        OtherPatientIDsSequence=[item(PatientID="4711"), Dataset()],
        ReferencedStudySequence=[item(ReferencedSOPClassUID="1.2.3")],
        ReferringPhysicianIdentificationSequence=[Dataset()],
        ReferencedPatientSequence=[Dataset()],
        IssuerOfAccessionNumberSequence=[Dataset()],
        IssuerOfPatientIDQualifiersSequence=[item(IdentifierTypeCode="X" * 40)],
    ),
    "code sequences with parts missing": stated(
        ProcedureCodeSequence=[item(CodeValue="1"), item(CodeMeaning=SECRET)],
        PatientSpeciesCodeSequence=[Dataset()],
        AdmittingDiagnosesCodeSequence=[item(CodeMeaning=SECRET)],
        PatientSizeCodeSequence=[item(CodeValue=["1", "2"])],
    ),
    "deep nesting": stated(RequestAttributesSequence=[nested(30)],
                           ReasonForVisitCodeSequence=[nested(8)]),
    "clinical trial in part": stated(ClinicalTrialSponsorName="", ClinicalTrialSiteName=SECRET,
                                     ClinicalTrialTimePointID="T" * 80),
    "private": private,
    "too many values": stated(
        PatientID=["A", "B"], PatientName=["Doe^Jane", SECRET], PatientSex=["F", "M"],
        StudyID=["1", "2"], AccessionNumber=["A", "B"], StudyDate=["20260301", "20260302"],
        PatientAge=["086Y", "087Y"], ReferringPhysicianName=["A^B", "C^D"],
        PatientWeight=["61", "62"],
    ),
    "too long": stated(
        PatientID="Y" * 300, PatientName="X" * 300, StudyID="S" * 80, AccessionNumber="A" * 80,
        ReferringPhysicianName="R" * 300, IssuerOfPatientID="I" * 90, StudyDescription=SECRET * 90,
        PatientComments=SECRET * 2000, PatientAge="86 years",
    ),
    "names of too many parts": stated(PatientName="A^B^C^D^E^F^G",
                                      ReferringPhysicianName="A=B=C=D"),
    "values of no form": stated(
        PatientBirthDate="1950-01-02", StudyDate="yesterday", StudyTime="noon", PatientSex="MALE",
        PatientAge="old", PatientWeight="1e99", PatientBirthTime="25:61",
        PatientIdentityRemoved="perhaps", QualityControlSubject="SOMETIMES",
        SmokingStatus="often", PregnancyStatus=77,
    ),
    "empty where a value must be": stated(
        PatientIdentityRemoved="YES", DeidentificationMethod="", PatientName=None, PatientID=None,
        StudyID=None, IssuerOfPatientID="", OtherPatientIDsSequence=[], StudyDate=None,
    ),
    "another VR": several(
        raw("PatientBirthDate", "LO", b"the second of January "),
        raw("PatientID", "US", b"\x01\x00\x02\x00"),
        raw("PatientName", "SQ", b""),
        raw("StudyTime", "UN", b"\xff\xfe\x00\x01"),
        raw("AccessionNumber", "DS", b"one two "),
        raw("PatientWeight", "OB", b"\x00" * 4),
        raw("PatientSex", "FD", b"\x00" * 8),
        raw("PatientSize", "DS", b"tall"),
        raw("PositionReferenceIndicator", "UT", SECRET.encode() * 20),
    ),
    "character set": stated(SpecificCharacterSet="KLINGON", PatientName="Doe^Jane"),
    "bytes of another character set": several(
        stated(SpecificCharacterSet="ISO_IR 192"),
        raw("PatientName", "PN", b"M\xfcller^J\xfcrgen "),
        raw("PatientID", "LO", b"\x1b$B;3ED\x1b(B^x"),
        raw("ReferringPhysicianName", "PN", b"A\r\nB\x00\x07"),
    ),
    "lossy without saying how": stated(LossyImageCompression="01", LossyImageCompressionRatio=[],
                                       LossyImageCompressionMethod="like a JPEG"),
    "specimen": stated(ContainerIdentifier="", SpecimenDescriptionSequence=[Dataset()],
                       ContainerTypeCodeSequence=[Dataset()]),
    "place": stated(PositionReferenceIndicator=SECRET * 20),
}
# fmt: on


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("sound")
    write_scan(folder, Scan(places=tuple(range(12))), PATIENT)
    analysis, source = found_in(folder)
    masks = analysis_of(analysis.scan, {Level.L1: (5.0, 5.0, 5.0)}, {}).masks
    return replace(analysis, masks=masks), source


def reread(header: Dataset) -> Dataset:
    """Written as it is, and read as the product reads it."""
    stream = BytesIO()
    with pydicom.config.disable_value_validation():
        header.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return repeated(pydicom.dcmread(stream, stop_before_pixels=True))


def broken(source: DicomSource, *breaks: Break) -> DicomSource:
    """The source with its first header broken."""
    first = source.first
    uids = str(first.StudyInstanceUID), str(first.SeriesInstanceUID), str(first.FrameOfReferenceUID)
    header = ct_slice(Scan(), 0.0, 0, uids)
    PATIENT(header, 0)
    header.SOPInstanceUID = first.SOPInstanceUID
    with pydicom.config.disable_value_validation():
        for edit in breaks:
            edit(header)
    return DicomSource((reread(header), *source.instances[1:]))


def results(analysis, source: DicomSource, folder: Path, monkeypatch) -> list[Path]:
    """SR, SEG, SC and KOS; the picture itself is not what this is about."""
    page = Capture("overview", np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setattr(sc, "captures", lambda *_: [page])
    folder.mkdir()
    seg = write_seg(analysis, source, folder / "seg.dcm")
    made = [seg, write_sr(analysis, source, folder / "sr.dcm", segmentation=seg)]
    made += sc.write_sc(analysis, source, folder / "sc")
    key = write_kos(analysis, source, folder / "kos.dcm")
    return [*made, *([key] if key else [])]


VALUES = ("too many values", "too long", "values of no form", "empty where a value must be",
          "another VR", "bytes of another character set")  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_value_is_repeated_that_is_broken(
    name: str, sound: Study, tmp_path: Path, monkeypatch
) -> None:
    _assert_valid(sound, tmp_path, monkeypatch, BROKEN[name])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_sequence_and_no_free_text_is_repeated(
    sound: Study, tmp_path: Path, monkeypatch
) -> None:
    others = [edit for name, edit in BROKEN.items() if name not in VALUES]
    _assert_valid(sound, tmp_path, monkeypatch, *others)


def _assert_valid(sound: Study, folder: Path, monkeypatch, *breaks: Break) -> None:
    analysis, source = sound
    for path in results(analysis, broken(source, *breaks), folder / "results", monkeypatch):
        assert [line for line in validated(path) if "Error" in line] == [], path.name
        assert SECRET.encode() not in path.read_bytes(), path.name


def test_what_is_sound_is_repeated_and_nothing_else(sound: Study) -> None:
    _, source = sound
    odd = broken(source, BROKEN["deep nesting"], stated(PatientIdentityRemoved="YES")).first
    assert odd.PatientName == "Müller^Jürgen"
    assert (odd.PatientID, odd.StudyID, odd.AccessionNumber) == ("SECRET-4711", "S1", "A-17")
    assert odd.DeidentificationMethod == DEIDENTIFIED
    assert not [element.keyword for element in odd if element.VR == "SQ"]


PEOPLE = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
          "StudyID", "AccessionNumber", "ReferringPhysicianName", "PatientAge", "PatientWeight",
          "IssuerOfPatientID")  # fmt: skip


@examples(60)
@given(st.dictionaries(st.sampled_from(PEOPLE), st.binary(max_size=90), min_size=1))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_bytes_become_values_that_the_standard_allows(values: dict[str, bytes]) -> None:
    header = ct_slice(Scan(), 0.0, 0, ("1.2.3", "1.2.3.4", "1.2.3.5"))
    for keyword, value in values.items():
        raw(keyword, pydicom.datadict.dictionary_VR(keyword), value + b" " * (len(value) % 2))(
            header
        )
    made = reread(header)
    stream = BytesIO()
    made.file_meta = header.file_meta
    with pydicom.config.strict_reading():
        made.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        for element in pydicom.dcmread(stream):
            assert element.VM <= 1 or element.keyword in (
                *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"),
            )
