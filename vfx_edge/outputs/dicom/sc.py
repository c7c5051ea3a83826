"""`sc/*.dcm`: the report's pictures as Secondary Capture images (PS3.3 A.8.1), for any viewer."""

from pathlib import Path
from typing import Any

from highdicom import UID
from highdicom.sc import SCImage
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from vfx_edge.files import as_output_error, replacing_folder
from vfx_edge.outputs.dicom.captures import Capture, captures
from vfx_edge.outputs.dicom.encoded import encoded, put, references
from vfx_edge.outputs.dicom.write import identity, refusing
from vfx_edge.outputs.kinds import KINDS, Request
from vfx_edge.study import Analysis, DicomSource, RunInfo


def write(request: Request) -> tuple[Path, ...]:
    """The kind `sc`."""
    folder = request.folder / "sc"
    return write_sc(request.analysis, request.headers, folder, request.language)


def write_sc(
    analysis: Analysis, source: DicomSource, folder: Path, language: str = "en"
) -> tuple[Path, ...]:
    """Writes `01-overview.dcm`, then one file a vertebra to look at; returns them in that order.

    One series, RGB, uncompressed. Pictures of an earlier run in `folder` are removed, so that what
    lies there is one result. OutputError leaves when they can't be made or written.
    """
    pages = captures(analysis, language)
    names = [f"{at:02d}-{page.name}.dcm" for at, page in enumerate(pages, start=1)]
    with refusing(folder):
        images = _images(pages, analysis.result.run, source)
    with replacing_folder(folder) as temporary, refusing(folder):
        for name, image in zip(names, images, strict=True):
            image.save_as(temporary / name, enforce_file_format=True)
    with as_output_error(folder):
        for file in KINDS["sc"].files_in(folder.parent):
            if file.name not in names:
                file.unlink()
    return tuple(folder / name for name in names)


def _images(pages: list[Capture], run: RunInfo, source: DicomSource) -> list[Any]:
    series = UID()
    made_from = _made_from(source)
    return [
        _image(page, at, series, made_from, run, source) for at, page in enumerate(pages, start=1)
    ]


def _image(
    page: Capture,
    number: int,
    series: str,
    made_from: list[bytes],
    run: RunInfo,
    source: DicomSource,
) -> Any:
    own = identity(source, run, "sc")
    image = SCImage.from_ref_dataset(
        ref_dataset=source.first,
        pixel_array=page.pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **(own | {"series_instance_uid": series, "instance_number": number}),
    )
    image.copy_patient_and_study_information(source.first)
    image.PatientOrientation = ""  # several views in one picture: it has no orientation of its own
    image.ConversionType = "WSD"  # made on a workstation
    image.BodyPartExamined = "SPINE"
    image.BurnedInAnnotation = "YES"
    image.ImageComments = page.name
    put(image, SourceImageSequence=made_from)
    return image


def _made_from(source: DicomSource) -> list[bytes]:
    """Items of the Source Image Sequence (PS3.3 C.7.6.1, CID 7202)."""
    purpose = Dataset()
    code = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    purpose.PurposeOfReferenceCodeSequence = [code]
    why = encoded(purpose)
    return [named + why for named in references(source.instances)]
