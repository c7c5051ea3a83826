"""`sr.dcm`: the findings as a Comprehensive 3D SR by TID 1500 "Measurement Report".

One measurement group (TID 1410) a vertebra: a point where its body lies, and what is known of it.
The study's verdict stands in "Qualitative Evaluations" at the report's level. Imported only when
DICOM results are wanted: highdicom belongs to an extra.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from highdicom import sr
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from vfx_edge.outputs.dicom import codes as code
from vfx_edge.outputs.dicom.encoded import element, put, references, sequence
from vfx_edge.outputs.dicom.items import coding_scheme, device_observer, image_item
from vfx_edge.outputs.dicom.kos import write_kos
from vfx_edge.outputs.dicom.slices import SourceSlice, slices_at, source_slices
from vfx_edge.outputs.dicom.sr_parts import part_measurements
from vfx_edge.outputs.dicom.sr_signs import sign_answers, sign_measurements
from vfx_edge.outputs.dicom.write import PRODUCT, identity, refusing, save
from vfx_edge.outputs.kinds import Request
from vfx_edge.outputs.report.facts import calibrated, limits
from vfx_edge.outputs.verdict import (
    advice,
    banner,
    conclusion,
    label_doubt,
    remarks,
    verdict_of,
)
from vfx_edge.outputs.vertebra_status import status_of, suspected_by
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import (
    Analysis,
    CauseNotClassified,
    Classified,
    Coverage,
    DicomSource,
    Finding,
    NotAssessable,
    NotClassified,
    StudyResult,
    tier_of,
)

_MM_DIGITS, _PERCENT_DIGITS, _PIXEL_DIGITS = 2, 2, 2
_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_PROPERTIES = sr.RelationshipTypeValues.HAS_PROPERTIES
_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT


@dataclass(frozen=True, eq=False)
class _Report:
    """What every part of the document needs. through: for each finding the slice through it.
    segments: level -> item of the Segment Sequence."""

    result: StudyResult
    t: Wording
    frame_of_reference: str
    slices: tuple[SourceSlice, ...]
    through: tuple[SourceSlice, ...]
    segmentation: Any
    segments: dict[str, Any]

    @property
    def language(self) -> str:
        return self.t.language


def write(request: Request) -> tuple[Path, ...]:
    """The kind `sr`: the report and, where a fracture is suspected, the key images."""
    analysis, source, language = request.analysis, request.headers, request.language
    segmentation = next(iter(request.written.get("seg", ())), None)
    path, previous = request.folder / "sr.dcm", request.previous_report
    report = write_sr(analysis, source, path, language, segmentation, previous)
    images = write_kos(analysis, source, request.folder / "kos.dcm", language)
    return (report, images) if images else (report,)


def write_sr(
    analysis: Analysis,
    source: DicomSource,
    path: Path,
    language: str = "en",
    segmentation: Path | None = None,
    previous: Path | None = None,
) -> Path:
    """Writes the report; `segmentation`: the seg.dcm of the same analysis, to be referred to;
    `previous`: the sr.dcm that this one takes the place of (Predecessor Documents Sequence).

    Findings and their order are those of `result.json`, lengths in mm and shares in percent with
    its digits. OutputError when the place can't be written or a header can't be repeated.
    """
    result = analysis.result
    with refusing(path):
        segments, slices = _header(segmentation), source_slices(source)
        places = [finding.vertebra.centroid_lps_mm for finding in result.findings]
        report = _Report(
            result=result,
            t=Wording(language),
            frame_of_reference=str(source.first.FrameOfReferenceUID),
            slices=slices,
            through=tuple(slice_ for place in places for slice_ in slices_at(slices, place)),
            segmentation=segments,
            segments={s.SegmentLabel: s for s in segments.SegmentSequence} if segments else {},
        )
        content = _content(report)
        document = sr.Comprehensive3DSR(
            evidence=[source.first],
            content=_root(content[:1]),
            is_complete=True,
            previous_versions=None if previous is None else [_header(previous)],
            coding_schemes=[coding_scheme(result.run)],
            **identity(source, result.run, "sr"),
        )
        # A tree that it is given, highdicom copies and searches twice, for longer than all the
        # rest takes: for the evidence of what the tree names, which here is the whole series.
        document.ContentSequence = sr.ContentSequence(content)
        evidence = [*source.instances, *([segments] if segments else [])]
        put(document, CurrentRequestedProcedureEvidenceSequence=[_evidence(evidence)])
    return save(document, path)


def _evidence(evidence: list[Any]) -> bytes:
    """All of it as one study's item (PS3.3 C.17.2): the whole series, and the segmentation."""
    by_series: dict[str, list[Any]] = {}
    for header in evidence:
        by_series.setdefault(str(header.SeriesInstanceUID), []).append(header)
    series = [
        sequence("ReferencedSOPSequence", references(headers))
        + element("SeriesInstanceUID", "UI", uid)
        for uid, headers in by_series.items()
    ]
    study = element("StudyInstanceUID", "UI", str(evidence[0].StudyInstanceUID))
    return sequence("ReferencedSeriesSequence", series) + study


def _header(path: Path | None) -> Any:
    return None if path is None else pydicom.dcmread(path, stop_before_pixels=True)


def _root(content: list[Any]) -> Any:
    root = sr.ContainerContentItem(
        codes.DCM.ImagingMeasurementReport, is_content_continuous=False, template_id="1500"
    )
    root.ContentSequence = sr.ContentSequence(content)
    return root


def _content(report: _Report) -> list[Any]:
    """Below the root: TID 1500 rows 1 to 12, in their order. The template is extensible: the
    verdict stands first, too; else it would come below every measurement."""
    language = sr.LanguageOfContentItemAndDescendants(code.LANGUAGES[report.language])
    procedure = sr.CodeContentItem(
        codes.DCM.ProcedureReported,
        code.CT_PROCEDURE,
        sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    parts = [*language, *sr.ObservationContext(device_observer()), procedure, *_first(report)]
    parts.append(_image_library(report))
    if report.result.findings:
        pairs = zip(report.result.findings, report.through, strict=True)
        groups = [_group(report, finding, slice_) for finding, slice_ in pairs]
        parts.append(_container(codes.DCM.ImagingMeasurements, groups))
    parts.append(_container(code.QUALITATIVE_EVALUATIONS, list(_evaluations(report))))
    return parts


def _first(report: _Report) -> Iterator[Any]:
    """What must be read before anything else."""
    t = report.t
    yield _text(code.CONCLUSION, conclusion(report.result, t))
    if use := banner(report.result.run.intended_use, t):
        yield _text(code.private("INTENDED_USE", t.language), use)


def _container(name: Code, items: list[Any]) -> Any:
    container = sr.ContainerContentItem(
        name, is_content_continuous=False, relationship_type=_CONTAINS
    )
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _image_library(report: _Report) -> Any:
    """TID 1600: the slice through each vertebra, what they share stated once.

    The whole series stands in the evidence; hundreds of entries here would hide the findings.
    """
    shown = {(s.sop_instance, s.frame): s for s in report.through or report.slices[:1]}
    group = _container(
        codes.DCM.ImageLibraryGroup,
        [
            sr.CodeContentItem(codes.DCM.Modality, codes.DCM.ComputedTomography, _CONTEXT),
            sr.UIDRefContentItem(
                codes.DCM.FrameOfReferenceUID, report.frame_of_reference, _CONTEXT
            ),
            *map(image_item, shown.values()),
        ],
    )
    return _container(codes.DCM.ImageLibrary, [group])


def _group(report: _Report, finding: Finding, slice_: SourceSlice) -> Any:
    """TID 1410: one vertebra."""
    level, run = finding.vertebra.level, report.result.run
    segment = report.segments.get(level.value)
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=segment.TrackingUID if segment else generate_uid(), identifier=level.value
        ),
        referenced_region=_region(finding, slice_),
        geometric_purpose=code.CENTER,
        finding_type=code.status_code(status_of(finding), report.language),
        finding_sites=[sr.FindingSite(code.level_code(level))],
        algorithm_id=sr.AlgorithmIdentification(
            PRODUCT, run.version, parameters=[f"model set {run.model_set}"]
        ),
        measurements=list(_measurements(report, finding, segment)),
        qualitative_evaluations=list(_answers(finding, report.language)),
    )
    group[0].ContinuityOfContent = "SEPARATE"  # else viewers run its lines together
    for item in group[0].ContentSequence:
        if item.ValueType == "NUM":
            item.ContentSequence = [_centre(report, finding), *item.get("ContentSequence", [])]
    if doubt := label_doubt(finding, report.t):
        group[0].ContentSequence.append(_text(code.COMMENT, doubt))
    return group[0]


def _region(finding: Finding, slice_: SourceSlice) -> Any:
    """The pixel at the body's centre: viewers jump to an image and mark it there; at a place in
    space few do. The place itself stands below every measurement."""
    centre = finding.vertebra.centroid_lps_mm
    return sr.ImageRegion(
        sr.GraphicTypeValues.POINT,
        np.round([slice_.pixel(centre)], _PIXEL_DIGITS),
        sr.SourceImageForRegion(
            slice_.sop_class,
            slice_.sop_instance,
            None if slice_.frame is None else [slice_.frame],
        ),
    )


def _centre(report: _Report, finding: Finding) -> Any:
    """Where in the source's frame of reference it was measured. No row of TID 1419, but the IOD
    allows it (dciodvfy agrees); OHIF takes over no measurement without it."""
    place = sr.CoordinatesForMeasurement3D(
        sr.GraphicTypeValues3D.POINT,
        np.round([finding.vertebra.centroid_lps_mm], _MM_DIGITS),
        report.frame_of_reference,
        purpose=codes.DCM.ImageRegion,
    )
    place.RelationshipType = sr.RelationshipTypeValues.INFERRED_FROM.value
    return place


def _measurements(report: _Report, finding: Finding, segment: Any) -> Iterator[Any]:
    measured = finding.measurement
    if measured.heights is not None:
        outlined = _outline(report, segment)
        for value, height in (
            ("HEIGHT_ANTERIOR", measured.heights.anterior_mm),
            ("HEIGHT_MIDDLE", measured.heights.middle_mm),
            ("HEIGHT_POSTERIOR", measured.heights.posterior_mm),
        ):
            yield sr.Measurement(
                name=code.private(value, report.language),
                value=round(float(height), _MM_DIGITS),
                unit=code.MM,
                referenced_images=outlined,
            )
    shares = {"HEIGHT_LOSS": measured.height_loss, "P_LEVEL": finding.vertebra.label_probability}
    if measured.detection is not None:
        shares["P_FRACTURE"] = measured.detection.p_fractured
    match finding.assessment:
        case Classified(p_osteoporotic=p_osteoporotic, p_malignant=p_malignant):
            shares |= {"P_MALIGNANT": p_malignant, "P_OSTEOPOROTIC": p_osteoporotic}
        case NotClassified(p_intact=p_intact):
            shares["P_INTACT"] = p_intact
    for value, share in shares.items():
        if share is not None:
            yield sr.Measurement(
                name=code.private(value, report.language),
                value=round(float(share) * 100, _PERCENT_DIGITS),
                unit=code.PERCENT,
            )
    yield from part_measurements(finding, report.language)
    yield from sign_measurements(finding, report.language)


def _outline(report: _Report, segment: Any) -> list[Any] | None:
    """The segment that the heights were measured on."""
    if segment is None:
        return None
    item = sr.SourceImageForMeasurement(
        report.segmentation.SOPClassUID, report.segmentation.SOPInstanceUID
    )
    item.ReferencedSOPSequence[0].ReferencedSegmentNumber = segment.SegmentNumber
    return [item]


def _answers(finding: Finding, language: str) -> Iterator[Any]:
    """What is known of the vertebra in codes."""
    measured, assessment = finding.measurement, finding.assessment

    def answer(question: str, value: Code) -> Any:
        return sr.QualitativeEvaluation(code.private(question, language), value)

    yield answer("FRACTURE", _suspicion(measured.suspected_fracture, language))
    if by := suspected_by(finding):
        yield answer("SUSPECTED_BY", code.private(f"BY_{by.upper()}", language))
    if measured.genant_grade is not None:
        yield answer("GENANT", code.private(f"GENANT_{measured.genant_grade}", language))
    if measured.reason is not None:
        yield answer("WHY_MEASUREMENT", code.reason_code(measured.reason, language))
    if tier := tier_of(assessment):
        yield answer("ASSESSMENT", code.tier_code(tier, language))
    else:
        yield answer("ASSESSMENT", code.private(assessment.kind.upper(), language))
    match assessment:
        case (
            CauseNotClassified(because=why) | NotClassified(reason=why) | NotAssessable(reason=why)
        ):
            yield answer("WHY_ASSESSMENT", code.reason_code(why, language))
    yield from sign_answers(finding, language)


def _suspicion(suspected: bool | None, language: str) -> Code:
    if suspected is None:
        return code.UNDETERMINED
    return code.SUSPECTED if suspected else code.private("NOT_SUSPECTED", language)


def _evaluations(report: _Report) -> Iterator[Any]:
    """The study's tier, what to do, and what must be known to judge it."""
    triage, t, run = report.result.triage, report.t, report.result.run
    tier = sr.CodeContentItem(
        code.private("TRIAGE", t.language), code.tier_code(triage.tier, t.language), _CONTAINS
    )
    if triage.levels:
        tier.ContentSequence = sr.ContentSequence(
            [sr.FindingSite(code.level_code(level)) for level in triage.levels]
        )
    yield tier
    yield from _coverage(triage.coverage, t.language)
    yield _text(code.RECOMMENDATION, advice(verdict_of(report.result), t))
    for remark in (*limits(report.result, t), *remarks(report.result)):
        yield _text(code.COMMENT, remark)
    for model in run.models:
        words = f"{model.role}: {model.name}, SHA-256 {model.sha256}"
        yield _text(codes.DCM.AlgorithmParameters, words)
    if run.calibration is not None:
        words = f"{t('fact.calibration')}: {calibrated(run, t)}"
        yield _text(codes.DCM.AlgorithmParameters, words)


def _coverage(coverage: Coverage, language: str) -> Iterator[Any]:
    """Whether all in view was judged; below it each level: judged, cut, or not read and why."""

    def has(question: str, value: Code) -> Any:
        return sr.CodeContentItem(code.private(question, language), value, _PROPERTIES)

    answer = code.private("COMPLETE" if coverage.complete else "INCOMPLETE", language)
    cover = sr.CodeContentItem(code.private("COVERAGE", language), answer, _CONTAINS)
    levels = [has("LEVEL_ASSESSED", code.level_code(level)) for level in coverage.assessed]
    levels += [has("LEVEL_CUT", code.level_code(level)) for level in coverage.cut]
    for level, reason in coverage.unread:
        levels.append(has("LEVEL_UNREAD", code.level_code(level)))
        why = has("WHY_UNREAD", code.reason_code(reason, language))
        levels[-1].ContentSequence = sr.ContentSequence([why])
    if levels:
        cover.ContentSequence = sr.ContentSequence(levels)
    yield cover


def _text(name: Code, words: str) -> Any:
    return sr.TextContentItem(name, words, _CONTAINS)
