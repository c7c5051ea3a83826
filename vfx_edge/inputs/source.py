"""The headers of the slices that a volume was read from, as DICOM results refer to them.

A result carries the patient and the study of its source (DICOM PS3.3 C.7.1, C.7.2) and names its
instances, so what was a plain number to the reader is wanted here as the source said it.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import DA, TM, PersonName

from vfx_edge.errors import InputError, OutputError
from vfx_edge.inputs.files import listed
from vfx_edge.inputs.headers import DEFLATED, inflated
from vfx_edge.quiet import quiet
from vfx_edge.study import DicomSource, Scan

UTF_8 = "ISO_IR 192"
_UID = re.compile(r"[0-9.]{1,64}")
_FORMS: dict[str, tuple[re.Pattern[str], Callable[[str], object]]] = {
    "Date": (re.compile(r"\d{8}"), DA),
    "Time": (re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"), TM),
    "PatientSex": (re.compile("[MFO]"), str),
}
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""Type 2: there in every result, without a value where the source states none."""
_KEYWORDS = """
SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID
FrameOfReferenceUID PositionReferenceIndicator Modality InstanceNumber AcquisitionNumber
SeriesNumber StudyDate StudyTime AcquisitionDate AcquisitionTime ContentDate ContentTime
Rows Columns NumberOfFrames PixelSpacing SliceThickness SpacingBetweenSlices
ImageOrientationPatient ImagePositionPatient SharedFunctionalGroupsSequence
PerFrameFunctionalGroupsSequence DimensionOrganizationSequence DimensionIndexSequence
BitsAllocated BitsStored HighBit PixelRepresentation SamplesPerPixel PhotometricInterpretation
PatientID PatientName PatientBirthDate PatientSex StudyID AccessionNumber ReferringPhysicianName
"""
_OF_EACH: list[Any] = [Tag(keyword) for keyword in _KEYWORDS.split()]


class NoDicomSource(OutputError):
    """DICOM results belong to a study; this input is none."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} is no DICOM, so there is no study that a DICOM result could belong to: "
            "leave sr, seg and sc out of --outputs, or give the DICOM series."
        )


class SourceChanged(InputError):
    """The files are not those that were read a moment ago."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} changed while it was read: run again when it is complete.")


class SourceLacks(OutputError):
    """A header without what every result must repeat."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"{name} states no usable {what}, without which no DICOM result can refer to it: "
            "leave sr, seg and sc out of --outputs, or send the series again."
        )


def read_source(path: Path, scan: Scan) -> DicomSource:
    """The headers behind `scan`, which was read from `path`.

    NoDicomSource, SourceLacks: no DICOM result can be written of it. SourceChanged.
    """
    if not scan.sources:
        raise NoDicomSource(path)
    with quiet(), listed(path) as listing:
        by_name = {file.name: file.path for file in listing.files}
        if missing := [name for name, _ in scan.sources if name not in by_name]:
            raise SourceChanged(missing[0])
        paths = [by_name[name] for name, _ in scan.sources]
        headers = [_header(path, None if at == 0 else _OF_EACH) for at, path in enumerate(paths)]
    for (name, sop_uid), header in zip(scan.sources, headers, strict=True):
        if header is None or str(header.get("SOPInstanceUID", "")).strip("\0 ") != sop_uid:
            raise SourceChanged(name)
        _check_uids(name, header)
    return DicomSource(tuple(header for header in headers if header is not None))


def _header(path: Path, tags: Sequence[Any] | None) -> Dataset | None:
    """What the file states before its pixels; None where it can no longer be read."""
    try:
        with path.open("rb") as file:
            deflated = DEFLATED.encode() in file.read(1024)
            file.seek(0)
            stream = inflated(file) if deflated else file
            # pydicom's own type for the tags is narrower than what it takes
            chosen: Any = None if tags is None else list(tags)
            header = pydicom.dcmread(
                stream, stop_before_pixels=True, specific_tags=chosen, force=True
            )
            return _cleaned(header)
    except OSError:
        return None
    except Exception:  # noqa: BLE001  a broken element makes pydicom raise nearly anything
        return None if tags is _OF_EACH else _header(path, _OF_EACH)


def _cleaned(header: Dataset) -> Dataset:
    """Only what can be parsed, as Unicode, and nothing that the standard forbids in a result."""
    _drop_unreadable(header)
    header.remove_private_tags()
    header.decode()
    header.SpecificCharacterSet = UTF_8
    for keyword in _MAY_BE_EMPTY:
        if header.get(keyword) is None or not _allowed(keyword, header.get(keyword)):
            setattr(header, keyword, "")
    _state_deidentification(header)
    for element in header.iterall():
        if element.VR == "PN":  # without the bytes it was read from, which are in another encoding
            element.value = _names(element.value)
    return header


def _state_deidentification(header: Dataset) -> None:
    """Type 1C (PS3.3 C.7.1.1): where a patient's identity was removed, but no one says how, that
    is said; many anonymisers leave the element empty."""
    if header.get("DeidentificationMethod"):
        return
    if "DeidentificationMethod" in header:
        del header.DeidentificationMethod
    method = header.get("DeidentificationMethodCodeSequence")
    if header.get("PatientIdentityRemoved") == "YES" and not method:
        header.DeidentificationMethod = "not stated"


def _names(value: Any) -> Any:
    if isinstance(value, MultiValue):
        return [PersonName(str(name)) for name in value]
    return PersonName(str(value or ""))


def _drop_unreadable(header: Dataset) -> None:
    for tag in list(header.keys()):
        try:
            element = header[tag]
            nested = element.value if element.VR == "SQ" else ()
        except Exception:  # noqa: BLE001  pydicom raises nearly anything on nonsense
            del header[tag]
            continue
        for item in nested:
            _drop_unreadable(item)


def _allowed(keyword: str, value: object) -> bool:
    form = _FORMS.get(keyword[-4:]) or _FORMS.get(keyword)
    if form is None or value == "":
        return True
    pattern, kind = form
    try:
        return bool(pattern.fullmatch(str(value))) and kind(str(value)) is not None
    except ValueError:
        return False


def _check_uids(name: str, header: Dataset) -> None:
    for keyword, what in (
        ("StudyInstanceUID", "study UID"),
        ("SeriesInstanceUID", "series UID"),
        ("SOPInstanceUID", "instance UID"),
        ("FrameOfReferenceUID", "frame of reference UID"),
    ):
        stated = str(header.get(keyword) or "").strip("\0 ")
        if not _UID.fullmatch(stated):
            raise SourceLacks(name, what)
        setattr(header, keyword, UID(stated))
