"""sr.dcm as others read it: the validator of dicom3tools, DCMTK, and pydicom on the bytes.

What is compared with is `result.json`: both must say the same of every vertebra.
"""

import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.inputs.world import Edit, Scan, enhanced, put, write_scan
from tests.outputs.fakes import (
    EXAMPLE_CASES,
    RUN,
    analysis_of,
    curved_centres,
)
from vfx_edge.errors import OutputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import NoDicomSource, SourceChanged, SourceLacks, read_source
from vfx_edge.outputs import result_to_dict
from vfx_edge.outputs.dicom.codes import PRIVATE, REASONS, SCHEME
from vfx_edge.study import Analysis, DicomSource, Level

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.outputs.dicom.sr import write_sr

LEVELS = [*EXAMPLE_CASES, Level.T13, Level.L6]
PLACES = {Level.L1: (5.0, 5.0, 5.0)}
SAGITTAL = Scan(row=(0.0, 1.0, 0.0), column=(0.0, 0.0, -1.0), step=(-4.0, 0.0, 0.0))
TILTED = Scan(step=(0.0, 0.9, 3.0))
PATIENT = put(
    SpecificCharacterSet="ISO_IR 100",
    PatientName="Müller^Jürgen",
    PatientSex="M",
    PatientAge="086Y",
    StudyDate="20260304",
    StudyTime="031245.5",
    StudyID="S1",
    AccessionNumber="A-17",
    StudyDescription="Wirbelsäule nativ",
    ReferringPhysicianName="Groß^Änne",
    SeriesNumber=3,
)


def study(
    folder: Path, scan: Scan | None = None, *edits: Edit, **cases
) -> tuple[Analysis, DicomSource]:
    """A CT read from files, with made-up findings in its frame: no chain has to run."""
    write_scan(folder, scan, PATIENT, *edits)
    return found_in(folder, **cases)


def found_in(path: Path, **cases) -> tuple[Analysis, DicomSource]:
    volume = load_scan(path)
    # Left of the middle, in front of it and not symmetric up and down: a flip can't pass.
    centres = {
        level: (x + 17.25, y - 9.5, z / 4 - 60.125)
        for level, (x, y, z) in curved_centres(sorted(LEVELS), scoliosis_mm=12.0).items()
    }
    analysis = analysis_of(volume, centres, cases or EXAMPLE_CASES, with_masks=False)
    return analysis, read_source(path, volume)


def named(items, meaning_or_value: str) -> list[Dataset]:
    """The content items of that concept."""
    return [i for i in items if meaning_or_value in _code(i.ConceptNameCodeSequence[0])]


def _code(item: Dataset) -> tuple[str, str]:
    return item.CodeValue, item.CodeMeaning


def answer(group: Dataset, question: str) -> str | None:
    found = named(group.ContentSequence, question)
    assert len(found) <= 1
    return found[0].ConceptCodeSequence[0].CodeValue if found else None


def number(group: Dataset, name: str, unit: str) -> float | None:
    found = named(group.ContentSequence, name)
    if not found:
        return None
    (measured,) = found[0].MeasuredValueSequence
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
    return float(measured.NumericValue)


def share(group: Dataset, name: str) -> float | None:
    percent = number(group, name, "%")
    return None if percent is None else round(percent / 100, 4)


def groups(document: Dataset) -> list[Dataset]:
    (measurements,) = named(document.ContentSequence, "Imaging Measurements")
    return named(measurements.ContentSequence, "Measurement Group")


def place(group: Dataset) -> Dataset:
    """The centre in space: every measurement says it."""
    measured = [item for item in group.ContentSequence if item.ValueType == "NUM"]
    points = [item for one in measured for item in named(one.ContentSequence, "Image Region")]
    assert len(points) == len(measured) > 0
    assert all((p.ValueType, p.GraphicType) == ("SCOORD3D", "POINT") for p in points)
    assert len({tuple(p.GraphicData) for p in points}) == 1
    return points[0]


def as_result(group: Dataset) -> dict:
    """A measurement group in the words of result.json, from nothing but the document."""
    point = place(group)
    level = named(group.ContentSequence, "Tracking Identifier")[0].TextValue
    heights = {
        name: number(group, f"HEIGHT_{name.upper()}", "mm")
        for name in ("anterior", "middle", "posterior")
    }
    grade = answer(group, "GENANT")
    return {
        "level": level,
        "verse_label": Level(level).verse,
        "centroid_lps_mm": [round(float(v), 2) for v in point.GraphicData],
        "label_probability": share(group, "P_LEVEL"),
        "alternatives": [],
        "heights_mm": None if None in heights.values() else heights,
        "height_loss": share(group, "HEIGHT_LOSS"),
        "genant_grade": None if grade is None else int(grade.removeprefix("GENANT_")),
        "suspected_fracture": {"415684004": True, "NOT_SUSPECTED": False, "373068000": None}[
            answer(group, "FRACTURE")
        ],
        "assessment": _assessment(group),
    }


def covered(overall: Dataset) -> dict:
    """What the verdict rests on, in the words of result.json."""
    (cover,) = named(overall.ContentSequence, "COVERAGE")
    levels = {
        name: named(cover.ContentSequence, f"LEVEL_{name.upper()}")
        for name in ("assessed", "cut", "unread")
    }
    reasons = {value: reason for reason, value in REASONS.items()}
    unread = [
        {
            "level": level_in(item),
            "reason": reasons[item.ContentSequence[0].ConceptCodeSequence[0].CodeValue],
        }
        for item in levels["unread"]
    ]
    return {
        "assessed": [level_in(item) for item in levels["assessed"]],
        "cut": [level_in(item) for item in levels["cut"]],
        "unread": unread,
        "complete": cover.ConceptCodeSequence[0].CodeValue == "COMPLETE",
    }


def level_in(item: Dataset) -> str:
    return item.ConceptCodeSequence[0].CodeMeaning.removesuffix(" vertebra")


def _assessment(group: Dataset) -> dict:
    kind, why = answer(group, "ASSESSMENT").lower(), answer(group, "WHY_ASSESSMENT")
    reason = {value: reason for reason, value in REASONS.items()}.get(why)
    if kind in ("not_classified", "not_assessable"):
        return {"kind": kind, "reason": reason}
    if reason:
        return {"kind": "not_classified", "tier": kind, "reason": "cause_not_classified",
                "because": reason}  # fmt: skip
    probabilities = {
        "osteoporotic": share(group, "P_OSTEOPOROTIC"),
        "malignant": share(group, "P_MALIGNANT"),
    }
    return {"kind": "classified", "tier": kind, "probabilities": probabilities}


def validated(path: Path) -> list[str]:
    """What dicom3tools objects to; private code schemes are none of its business."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy of dicom3tools")
    said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    lines = said.stderr.splitlines() + said.stdout.splitlines()
    return [line for line in lines if re.search("Error|Warning", line) and SCHEME not in line]


SOURCES = {"axial": None, "sagittal": SAGITTAL, "tilted": TILTED}


@pytest.fixture(scope="module", params=[*SOURCES, "enhanced"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Analysis, DicomSource, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "enhanced":
        one = enhanced(Scan())
        PATIENT(one, 0)
        one.save_as(folder / "enhanced.dcm", enforce_file_format=True)
        analysis, source = found_in(folder)
    else:
        analysis, source = study(folder / "ct", SOURCES[request.param])
    return analysis, source, write_sr(analysis, source, folder / "sr.dcm")


@pytest.fixture(scope="module")
def axial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, DicomSource]:
    return study(tmp_path_factory.mktemp("axial") / "ct")


def test_read_back_it_says_what_result_json_says(written) -> None:
    analysis, _, path = written
    expected = result_to_dict(analysis.result)
    document = pydicom.dcmread(path)
    for finding in expected["findings"]:  # the ranges stand in result.json and the report alone
        del finding["height_loss_range"], finding["genant_range"]
    assert [as_result(group) for group in groups(document)] == expected["findings"]
    (overall,) = named(document.ContentSequence, "Qualitative Evaluations")
    (tier,) = named(overall.ContentSequence, "TRIAGE")
    assert tier.ConceptCodeSequence[0].CodeValue.lower() == expected["triage"]["tier"]
    sites = [i.ConceptCodeSequence[0].CodeMeaning for i in tier.ContentSequence]
    assert sites == [f"{level} vertebra" for level in expected["triage"]["levels"]]
    assert covered(overall) == expected["triage"]["coverage"]
    (what_to_do,) = named(overall.ContentSequence, "Recommendation")
    assert what_to_do.TextValue == expected["triage"]["recommendation"]


def test_it_is_valid_and_belongs_to_its_study(written) -> None:
    _, source, path = written
    document, first = pydicom.dcmread(path), source.first
    assert validated(path) == []
    assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    for keyword in (
        *("StudyInstanceUID", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
        *("StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    ):
        assert document[keyword].value == first[keyword].value, keyword
    assert document.PatientName == "Müller^Jürgen"
    assert document.ReferringPhysicianName == "Groß^Änne"
    assert document.StudyDescription == "Wirbelsäule nativ"
    assert document.SeriesInstanceUID != first.SeriesInstanceUID
    assert document.SeriesNumber > 103
    assert document.SeriesDescription == "vfx-edge SR"
    assert place(groups(document)[0]).ReferencedFrameOfReferenceUID == first.FrameOfReferenceUID
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_every_source_instance_is_in_the_evidence(written) -> None:
    _, source, path = written
    (evidence,) = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.first.SeriesInstanceUID
    named_there = {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
    assert named_there == {header.SOPInstanceUID for header in source.instances}


def test_the_image_library_shows_the_slice_through_each_vertebra(written) -> None:
    """Looked up in the files themselves: the plane of the entry passes the vertebra's centre."""
    analysis, source, path = written
    (library,) = named(pydicom.dcmread(path).ContentSequence, "Image Library")
    (group,) = library.ContentSequence
    places = [plane_of(item, source) for item in named(group.ContentSequence, "Source")]
    assert places
    for finding in analysis.result.findings:
        centre = np.array(finding.vertebra.centroid_lps_mm)
        off = [abs((centre - position) @ normal) for position, normal in places]
        assert min(off) <= 2.01  # half the widest slice distance


def plane_of(item: Dataset, source: DicomSource) -> tuple[np.ndarray, np.ndarray]:
    (reference,) = item.ReferencedSOPSequence
    uid = reference.ReferencedSOPInstanceUID
    (header,) = [h for h in source.instances if h.SOPInstanceUID == uid]
    where, orientation = header, header
    if "ReferencedFrameNumber" in reference:
        group = header.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        where = group.PlanePositionSequence[0]
        orientation = header.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    axes = np.array(orientation.ImageOrientationPatient, float)
    return np.array(where.ImagePositionPatient, float), np.cross(axes[:3], axes[3:])


def test_levels_are_snomed_codes_where_there_are_any(axial, tmp_path: Path) -> None:
    analysis, source = axial
    document = pydicom.dcmread(write_sr(analysis, source, tmp_path / "sr.dcm"))
    sites = {}
    for group in groups(document):
        (site,) = named(group.ContentSequence, "Finding Site")
        (concept,) = site.ConceptCodeSequence
        sites[as_result(group)["level"]] = (concept.CodingSchemeDesignator, concept.CodeValue)
    assert sites["T12"] == ("SCT", "23215003")
    assert sites["L2"] == ("SCT", "14293000")
    assert sites["T13"] == (SCHEME, "T13")
    assert sites["L6"] == (SCHEME, "L6")


@pytest.mark.parametrize("language", ["en", "de"])
def test_another_name_is_said_in_words_beside_the_likelier_code(
    axial, language: str, tmp_path: Path
) -> None:
    analysis, source = axial
    findings = [
        replace(f, vertebra=replace(f.vertebra, alternatives=((Level.T11, 0.38),)))
        if f.vertebra.level is Level.T10
        else f
        for f in analysis.result.findings
    ]
    changed = replace(analysis, result=replace(analysis.result, findings=tuple(findings)))
    path = write_sr(changed, source, tmp_path / "sr.dcm", language)
    assert validated(path) == []
    document = pydicom.dcmread(path)
    (doubtful,) = [g for g in groups(document) if named(g.ContentSequence, "Comment")]
    (said,) = named(doubtful.ContentSequence, "Comment")
    or_ = {"en": "or", "de": "oder"}[language]
    assert f"T10 (97 %) {or_} T11 (38 %)" in said.TextValue
    (site,) = named(doubtful.ContentSequence, "Finding Site")
    assert level_in(site) == "T10"
    texts = [item.TextValue for item in document.ContentSequence if item.ValueType == "TEXT"]
    assert any(f"T10 ({or_} T11)" in words for words in texts)


def test_german_changes_the_words_and_no_code(axial, tmp_path: Path) -> None:
    analysis, source = axial
    documents = [
        pydicom.dcmread(write_sr(analysis, source, tmp_path / f"{t}.dcm", t)) for t in ("en", "de")
    ]
    english, german = ([as_result(g) for g in groups(document)] for document in documents)
    assert english == german
    shown = subprocess.run(
        ["dsrdump", "+Pl", tmp_path / "de.dcm"], capture_output=True, check=True
    ).stdout.decode("utf-8")
    for words in ("Verdacht auf maligne Fraktur", "Hinterkantenhöhe", "Höhenverlust", "Müller"):
        assert words in shown
    assert "Malignant fracture suspected" not in shown


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="POSIX")
def test_times_are_those_of_this_machine_s_clock(axial, tmp_path: Path, monkeypatch) -> None:
    """The run's start is kept with its zone, 03:12:45+01:00; DICOM's times have none."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    try:
        document = pydicom.dcmread(write_sr(*axial, tmp_path / "sr.dcm"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (document.ContentDate, document.ContentTime) == ("20260304", "111245")
    assert document.SeriesTime == document.ContentTime


def test_two_runs_are_two_documents(axial, tmp_path: Path) -> None:
    analysis, source = axial
    first, second = (
        pydicom.dcmread(write_sr(analysis, source, tmp_path / name)) for name in ("a.dcm", "b.dcm")
    )
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_no_vertebra_at_all_is_a_report_too(axial, tmp_path: Path) -> None:
    analysis, source = axial
    nothing = analysis_of(analysis.scan, {}, {})
    path = write_sr(nothing, source, tmp_path / "sr.dcm")
    assert validated(path) == []
    document = pydicom.dcmread(path)
    assert not named(document.ContentSequence, "Imaging Measurements")
    (overall,) = named(document.ContentSequence, "Qualitative Evaluations")
    (tier,) = named(overall.ContentSequence, "TRIAGE")
    assert tier.ConceptCodeSequence[0].CodeValue == "NOT_ASSESSABLE"


def test_the_verdict_comes_first_and_limits_and_models_last(axial, tmp_path: Path) -> None:
    analysis, source = axial
    document = pydicom.dcmread(write_sr(analysis, source, tmp_path / "sr.dcm"))
    texts = [i for i in document.ContentSequence if i.ValueType in ("TEXT", "CONTAINER")]
    verdict, use = texts[-5].TextValue, texts[-4].TextValue
    assert verdict.startswith("Malignant fracture suspected: T10 (")
    assert "; L5 could not be read: metal in or beside the vertebra)" in verdict
    assert ". A fracture is also suspected at " in verdict
    assert "Cut off by the edge of the scan and not judged: T6." in verdict
    others = {f.vertebra.level.value for f in analysis.result.findings
              if f.measurement.suspected_fracture} - {"T10"}  # fmt: skip
    assert all(level in verdict for level in others)
    assert others
    assert "not for diagnosis" in use
    overall = texts[-1]
    assert "does not replace" in named(overall.ContentSequence, "Comment")[0].TextValue
    models = [i.TextValue for i in named(overall.ContentSequence, "Algorithm Parameters")]
    assert len(models) == len(RUN.models)
    assert RUN.models[0].sha256 in models[0]


def test_codes_fit_and_have_both_languages() -> None:
    """SH of at most 16 and LO of at most 64 characters: longer ones some archives cut."""
    for value, meanings in PRIVATE.items():
        assert len(value) <= 16
        assert set(meanings) == {"en", "de"}
        assert all(0 < len(meaning) <= 64 for meaning in meanings.values()), value


def test_it_refers_to_the_segments_that_were_measured(axial, tmp_path: Path) -> None:
    analysis, source = axial
    centres = {f.vertebra.level: f.vertebra.centroid_lps_mm for f in analysis.result.findings}
    analysis = analysis_of(analysis.scan, centres, EXAMPLE_CASES)
    segmentation = write_seg(analysis, source, tmp_path / "seg.dcm")
    path = write_sr(analysis, source, tmp_path / "sr.dcm", segmentation=segmentation)
    assert validated(path) == []
    seg, document = pydicom.dcmread(segmentation), pydicom.dcmread(path)
    segments = {item.SegmentLabel: item for item in seg.SegmentSequence}
    assert len(segments) > 3
    referred = 0
    for group in groups(document):
        segment = segments.get(as_result(group)["level"])
        (tracking,) = named(group.ContentSequence, "Tracking Unique Identifier")
        assert segment is None or segment.TrackingUID == tracking.UID
        for height in named(group.ContentSequence, "HEIGHT_ANTERIOR") if segment else []:
            (image,) = (item for item in height.ContentSequence if item.ValueType == "IMAGE")
            (reference,) = image.ReferencedSOPSequence
            assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
            assert reference.ReferencedSegmentNumber == segment.SegmentNumber
            referred += 1
    assert referred > 3


def test_it_names_the_report_that_it_takes_the_place_of(axial, tmp_path: Path) -> None:
    analysis, source = axial
    old = write_sr(analysis, source, tmp_path / "old.dcm")
    path = write_sr(analysis, source, tmp_path / "sr.dcm", previous=old)
    assert validated(path) == []
    (study,) = pydicom.dcmread(path).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (before,) = series.ReferencedSOPSequence
    first = pydicom.dcmread(old)
    assert study.StudyInstanceUID == first.StudyInstanceUID
    assert before.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_every_private_code_is_in_the_documents() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dicom.md").read_text("utf-8")
    rows = set(page.splitlines())
    for value, meanings in PRIVATE.items():
        assert f"| `{value}` | {meanings['en']} | {meanings['de']} |" in rows


def test_an_unknown_reason_keeps_its_words(axial, tmp_path: Path) -> None:
    analysis, source = axial
    finding = analysis.result.findings[0]
    measurement = replace(finding.measurement, reason="the moon was in the way")
    result = replace(analysis.result, findings=(replace(finding, measurement=measurement),))
    path = write_sr(replace(analysis, result=result), source, tmp_path / "sr.dcm")
    (group,) = groups(pydicom.dcmread(path))
    (why,) = named(group.ContentSequence, "WHY_MEASUREMENT")
    assert _code(why.ConceptCodeSequence[0]) == ("OTHER", "the moon was in the way")


NONSENSE = {
    "sex": put(PatientSex="MALE"),
    "dates": put(PatientBirthDate="1940-02-31", StudyDate="yesterday", StudyTime="noon"),
    "no type 2": put(PatientBirthDate=None, StudyID=None, AccessionNumber=None, StudyTime=None),
    "no patient": put(PatientName=None, PatientID=None),
    "character set": put(SpecificCharacterSet="KLINGON", PatientName="Doe^Jane"),
    "series number": put(SeriesNumber="2147483647"),
    "long name": put(PatientName="X" * 300, PatientID="Y" * 300),
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
def test_nonsense_in_the_header_ends_in_a_report_or_in_one_sentence(
    name: str, tmp_path: Path
) -> None:
    analysis, source = study(tmp_path / "ct", None, NONSENSE[name])
    path = tmp_path / "sr.dcm"
    sentence = ""
    try:
        write_sr(analysis, source, path)
    except OutputError as error:
        sentence = str(error)
    if path.exists():
        assert len(groups(pydicom.dcmread(path))) == len(analysis.result.findings)
    else:
        assert "--outputs" in sentence
        assert sorted(p.name for p in tmp_path.iterdir()) == ["ct"]


def test_what_a_result_must_repeat_and_the_source_lacks_is_said(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", None, put(FrameOfReferenceUID=None))
    volume = load_scan(tmp_path / "ct")
    with pytest.raises(SourceLacks, match="frame of reference"):
        read_source(tmp_path / "ct", volume)


def test_files_that_went_or_are_others_are_noticed(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    volume = load_scan(tmp_path / "ct")
    file = sorted((tmp_path / "ct").iterdir())[3]
    other = sorted((tmp_path / "ct").iterdir())[4].read_bytes()
    file.write_bytes(other)
    with pytest.raises(SourceChanged, match=file.name):
        read_source(tmp_path / "ct", volume)
    file.unlink()
    with pytest.raises(SourceChanged, match=file.name):
        read_source(tmp_path / "ct", volume)


def test_a_zip_is_read_again_and_nothing_of_it_stays(tmp_path: Path, monkeypatch) -> None:
    write_scan(tmp_path / "ct")
    archive = Path(shutil.make_archive(str(tmp_path / "ct"), "zip", tmp_path / "ct"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    analysis, source = found_in(archive)
    assert len(source.instances) == analysis.scan.series.slices
    assert list((tmp_path / "scratch").iterdir()) == []


def test_results_beside_the_ct_are_not_taken_for_it(tmp_path: Path) -> None:
    """An archive sends a study back with all that was ever written into it."""
    analysis, source = study(tmp_path / "ct")
    segmentation = write_seg(
        replace(analysis, masks=analysis_of(analysis.scan, PLACES, {}).masks),
        source,
        tmp_path / "ct" / "seg.dcm",
    )
    write_sr(analysis, source, tmp_path / "ct" / "sr.dcm", segmentation=segmentation)
    again = load_scan(tmp_path / "ct")
    assert again.series.series_uid == source.first.SeriesInstanceUID
    assert len(again.series.others) == 2
    assert len(read_source(tmp_path / "ct", again).instances) == len(source.instances)


def test_nifti_has_no_study_to_belong_to(axial, tmp_path: Path) -> None:
    analysis, _ = axial
    with pytest.raises(NoDicomSource, match="no DICOM"):
        read_source(tmp_path / "ct.nii.gz", replace(analysis.scan, sources=()))
