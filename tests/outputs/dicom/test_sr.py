"""sr.dcm as others read it: the validator of dicom3tools, DCMTK, and pydicom on the bytes.

What is compared with is `result.json`: both must say the same of every vertebra.
"""

import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.outputs.dicom.reading import (
    Study,
    as_result,
    code_of,
    covered,
    groups,
    level_in,
    named,
    place,
    plane_of,
    studies,
    validated,
)
from tests.outputs.fakes import EXAMPLE_CASES, RUN, analysis_of
from vfx_edge.outputs.dicom.codes import SCHEME
from vfx_edge.outputs.result_json import result_to_dict
from vfx_edge.study import Analysis, Calibration, Detection, DicomSource, Level, NotClassified

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.outputs.dicom.sr import write_sr

Written = tuple[Analysis, DicomSource, Path]


@pytest.fixture(scope="module", params=["axial", "sagittal", "tilted", "enhanced"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp(request.param)
    analysis, source = studies(request.param, folder / "ct")
    return analysis, source, write_sr(analysis, source, folder / "sr.dcm")


def test_read_back_it_says_what_result_json_says(written: Written) -> None:
    analysis, _, path = written
    expected: Any = result_to_dict(analysis.result)
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


def test_a_networks_word_and_a_calibration_are_in_it(axial: Study, tmp_path: Path) -> None:
    """T10 by the network and its heights, L3 by the network alone; L2's heights alone."""
    analysis, source = axial
    said = {Level.T10: Detection(0.9, True), Level.L3: Detection(0.75, True),
            Level.L2: Detection(0.25, False)}  # fmt: skip
    findings = tuple(
        replace(f, measurement=replace(f.measurement, detection=said.get(f.vertebra.level)))
        for f in analysis.result.findings
    )
    made = Calibration("spine clinic", "2026-03-01", 150, 60, "sensitivity 0.95", 1.4)
    run = replace(analysis.run, calibration=made)
    changed = replace(analysis, result=replace(analysis.result, findings=findings, run=run))
    path = write_sr(changed, source, tmp_path / "sr.dcm")
    document = pydicom.dcmread(path)
    expected: Any = result_to_dict(changed.result)["findings"]
    for group, finding in zip(groups(document), expected, strict=True):
        for key in ("detector", "suspected_fracture", "unmeasured"):
            assert as_result(group)[key] == finding[key]
    (overall,) = named(document.ContentSequence, "Qualitative Evaluations")
    notes = named(overall.ContentSequence, "Algorithm Parameters")
    assert "spine clinic, 2026-03-01: 150 fractures" in notes[-1].TextValue
    assert validated(path) == []


def test_a_suspicion_that_the_classifier_does_not_share_is_in_it(
    axial: Study, tmp_path: Path
) -> None:
    """L2 has lost height and is seen intact: both are read back, and what is suspected drops."""
    analysis, source = axial
    findings = tuple(
        replace(f, assessment=NotClassified("intact", 0.91)) if f.vertebra.level is Level.L2 else f
        for f in analysis.result.findings
    )
    changed = replace(analysis, result=replace(analysis.result, findings=findings))
    path = write_sr(changed, source, tmp_path / "sr.dcm", "de")
    written: Any = result_to_dict(changed.result)
    (wanted,) = [f for f in written["findings"] if f["level"] == "L2"]
    said = {as_result(group)["level"]: group for group in groups(pydicom.dcmread(path))}["L2"]
    assert as_result(said)["assessment"] == wanted["assessment"]
    assert as_result(said)["suspected_fracture"] is True
    (why,) = [i for i in said.ContentSequence if "WHY_ASSESSMENT" in str(i.ConceptNameCodeSequence)]
    assert "sieht keine Fraktur" in why.ConceptCodeSequence[0].CodeMeaning
    assert validated(path) == []


def test_it_is_valid_and_belongs_to_its_study(written: Written) -> None:
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
    assert "StudyDescription" not in document, "free text"
    assert document.SeriesInstanceUID != first.SeriesInstanceUID
    assert document.SeriesNumber > 103
    assert document.SeriesDescription == "vfx-edge SR"
    assert place(groups(document)[0]).ReferencedFrameOfReferenceUID == first.FrameOfReferenceUID
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_every_source_instance_is_in_the_evidence(written: Written) -> None:
    _, source, path = written
    (evidence,) = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.first.SeriesInstanceUID
    named_there = {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
    assert named_there == {header.SOPInstanceUID for header in source.instances}


def test_the_image_library_shows_the_slice_through_each_vertebra(written: Written) -> None:
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


def test_levels_are_snomed_codes_where_there_are_any(axial: Study, tmp_path: Path) -> None:
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
    axial: Study, language: str, tmp_path: Path
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


def test_german_changes_the_words_and_no_code(axial: Study, tmp_path: Path) -> None:
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
def test_times_are_those_of_this_machine_s_clock(
    axial: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's start is kept with its zone, 03:12:45+01:00; DICOM's times have none."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    try:
        document = pydicom.dcmread(write_sr(axial[0], axial[1], tmp_path / "sr.dcm"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (document.ContentDate, document.ContentTime) == ("20260304", "111245")
    assert document.SeriesTime == document.ContentTime


def test_two_runs_are_two_documents(axial: Study, tmp_path: Path) -> None:
    analysis, source = axial
    first, second = (
        pydicom.dcmread(write_sr(analysis, source, tmp_path / name)) for name in ("a.dcm", "b.dcm")
    )
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_no_vertebra_at_all_is_a_report_too(axial: Study, tmp_path: Path) -> None:
    analysis, source = axial
    nothing = analysis_of(analysis.scan, {}, {})
    path = write_sr(nothing, source, tmp_path / "sr.dcm")
    assert validated(path) == []
    document = pydicom.dcmread(path)
    assert not named(document.ContentSequence, "Imaging Measurements")
    (overall,) = named(document.ContentSequence, "Qualitative Evaluations")
    (tier,) = named(overall.ContentSequence, "TRIAGE")
    assert tier.ConceptCodeSequence[0].CodeValue == "NOT_ASSESSABLE"


def test_the_verdict_comes_first_and_limits_and_models_last(axial: Study, tmp_path: Path) -> None:
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


def test_it_refers_to_the_segments_that_were_measured(axial: Study, tmp_path: Path) -> None:
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
            assert segment is not None
            assert reference.ReferencedSegmentNumber == segment.SegmentNumber
            referred += 1
    assert referred > 3


def test_it_names_the_report_that_it_takes_the_place_of(axial: Study, tmp_path: Path) -> None:
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


def test_an_unknown_reason_keeps_its_words(axial: Study, tmp_path: Path) -> None:
    analysis, source = axial
    finding = analysis.result.findings[0]
    measurement = replace(finding.measurement, reason="the moon was in the way")
    result = replace(analysis.result, findings=(replace(finding, measurement=measurement),))
    path = write_sr(replace(analysis, result=result), source, tmp_path / "sr.dcm")
    (group,) = groups(pydicom.dcmread(path))
    (why,) = named(group.ContentSequence, "WHY_MEASUREMENT")
    assert code_of(why.ConceptCodeSequence[0]) == ("OTHER", "the moon was in the way")
