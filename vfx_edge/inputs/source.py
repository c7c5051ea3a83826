"""The headers of the slices that a volume was read from, as DICOM results refer to them.

A result carries the patient and the study of its source (DICOM PS3.3 C.7.1, C.7.2) and names its
instances, so what was a plain number to the reader is wanted here as the source said it.
"""

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from vfx_edge.errors import InputError, OutputError
from vfx_edge.inputs.bounded import read_file
from vfx_edge.inputs.files import listed
from vfx_edge.inputs.repeated import KEYWORDS, has_uid, repeated
from vfx_edge.quiet import quiet
from vfx_edge.study import DicomSource, Scan

_OF_EACH: list[Any] = [Tag(keyword) for keyword in KEYWORDS]
_MUST_STATE = {
    "StudyInstanceUID": "study UID",
    "SeriesInstanceUID": "series UID",
    "SOPInstanceUID": "instance UID",
    "FrameOfReferenceUID": "frame of reference UID",
}


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
        self.names = (name,)


class SourceLacks(OutputError):
    """A header without what every result must repeat."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"{name} states no usable {what}, without which no DICOM result can refer to it: "
            "leave sr, seg and sc out of --outputs, or send the series again."
        )
        self.names = (name,)


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
        headers = [_header(path) for path in paths]
    for (name, sop_uid), header in zip(scan.sources, headers, strict=True):
        if header is None:
            raise SourceChanged(name)
        for keyword, what in _MUST_STATE.items():
            if not has_uid(header, keyword):
                raise SourceLacks(name, what)
        if header.SOPInstanceUID != sop_uid:
            raise SourceChanged(name)
    return DicomSource(tuple(header for header in headers if header is not None))


def _header(path: Path) -> Dataset | None:
    """What results repeat of the file; None where it can no longer be read."""
    try:
        return repeated(read_file(path, _OF_EACH))
    except Exception:  # noqa: BLE001  a broken file makes pydicom raise nearly anything
        return None
