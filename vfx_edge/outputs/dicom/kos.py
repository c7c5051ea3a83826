"""`kos.dcm`: a Key Object Selection (TID 2010) of the source slices through suspected fractures.

Imported only when DICOM results are wanted: highdicom belongs to an extra.
"""

from pathlib import Path
from typing import Any

from highdicom import ko, sr
from pydicom.sr.codedict import codes

from vfx_edge.files import as_output_error
from vfx_edge.outputs.dicom.items import device_observer, image_item
from vfx_edge.outputs.dicom.slices import SourceSlice, slices_at, source_slices
from vfx_edge.outputs.dicom.write import identity, refusing, save
from vfx_edge.outputs.verdict import banner, conclusion, name_of
from vfx_edge.outputs.vertebra_status import status_of, to_look_at
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Analysis, DicomSource, Finding

OFFSETS_MM = (-6.0, 0.0, 6.0)
"""Across the slices: a little above, in and below the middle of a vertebra some 25 mm tall, or
beside it where the slices are sagittal."""


def write_kos(
    analysis: Analysis, source: DicomSource, path: Path, language: str = "en"
) -> Path | None:
    """Writes the selection, up to three slices a suspected vertebra; None where none is suspected,
    and then an older file at `path` is removed: it would point at findings that are no more.

    OutputError when the place can't be written or a header can't be repeated.
    """
    suspected = to_look_at(analysis.result)
    if not suspected:
        with as_output_error(path):
            path.unlink(missing_ok=True)
        return None
    with refusing(path):
        slices = source_slices(source)
        chosen = {
            (s.sop_instance, s.frame): s
            for finding in suspected
            for s in slices_at(slices, finding.vertebra.centroid_lps_mm, OFFSETS_MM)
        }
        document = _document(analysis, source, list(chosen.values()), _words(analysis, language))
    return save(document, path)


def _document(
    analysis: Analysis, source: DicomSource, slices: list[SourceSlice], words: str
) -> Any:
    by_uid = {str(header.SOPInstanceUID): header for header in source.instances}
    evidence = [by_uid[uid] for uid in dict.fromkeys(s.sop_instance for s in slices)]
    content = ko.KeyObjectSelection(
        document_title=codes.DCM.OfInterest,
        referenced_objects=evidence,
        observer_device_context=device_observer(),
        description=words,
    )
    items = [item for item in content[0].ContentSequence if item.ValueType != "IMAGE"]
    content[0].ContentSequence = sr.ContentSequence([*items, *map(image_item, slices)])
    document = ko.KeyObjectSelectionDocument(
        evidence=evidence,
        content=content,
        **identity(source, analysis.result.run, "kos"),
    )
    # The first header is the only whole one.
    document.copy_patient_and_study_information(source.first)
    return document


def _words(analysis: Analysis, language: str) -> str:
    """The verdict, each suspected vertebra, and what the model is not for."""
    t, result = Wording(language), analysis.result
    lines = [conclusion(result, t)]
    lines += [_line(finding, t) for finding in to_look_at(result)]
    lines += [use for use in [banner(result.run.intended_use, t)] if use]
    return "\r\n".join(lines)


def _line(finding: Finding, t: Wording) -> str:
    words = f"{name_of(finding.vertebra, t)}: {t(f'status.{status_of(finding)}')}"
    loss = finding.measurement.height_loss
    return words if loss is None else f"{words}, {t('card.loss', loss=t.percent(loss))}"
