"""The headers of the slices that a volume was read from, as DICOM results refer to them.

A result carries the patient and the study of its source (DICOM PS3.3 C.7.1, C.7.2) and names its
instances, so what was a plain number to the reader is wanted here as the source said it.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from vfx_edge.errors import InputError, OutputError
from vfx_edge.inputs.bounded import read_file
from vfx_edge.inputs.files import listed, state_of
from vfx_edge.inputs.repeated import KEYWORDS, add_place, has_uid, is_uid, repeated
from vfx_edge.parallel import map_reading
from vfx_edge.quiet import quiet
from vfx_edge.study import DicomSource, Plane, Scan

_HEAD_BYTES = 2**12
"""Group 8 comes first; a file that was written to, or whose instance UID does not stand here, is
parsed again."""
_SOP_INSTANCE = b"\x08\0\x18\0"
"""Its tag, little endian."""
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
        first = _checked(scan.sources[0], paths[0])
        planes = scan.planes if len(scan.planes) == len(paths) else (None,) * len(paths)
        unchanged = map_reading(_is_same, zip(paths, scan.sources, planes, strict=True))
        return DicomSource(tuple(_instances(scan.sources, paths, planes, first, unchanged)))


def _instances(
    sources: Sequence[tuple[str, str]],
    paths: Sequence[Path],
    planes: Sequence[Plane | None],
    first: Dataset,
    unchanged: Sequence[bool],
) -> Iterator[Dataset]:
    """Headers in the order of `sources`. Of a slice that the reader found like the first but
    for its place, all that can be told is known: its file is not parsed again."""
    yield first
    others = zip(sources, paths, planes, unchanged, strict=True)
    for source, path, plane, same in islice(others, 1, None):
        alike = plane is not None and planes[0] is not None and plane.shared == planes[0].shared
        made = _like(first, source[1], plane) if alike and same and plane is not None else None
        yield _checked(source, path) if made is None else made


def _is_same(file: tuple[Path, tuple[str, str], Plane | None]) -> bool:
    """Whether nobody wrote to the file, and it begins with the header of this instance, still.
    False where it may not."""
    path, (_, sop_uid), plane = file
    uid = sop_uid.encode()
    uid += b"\0" * (len(uid) % 2)
    size = len(uid).to_bytes(4, "little")
    # as a whole, length and all: other UIDs may begin like this one
    explicit, implicit = (_SOP_INSTANCE + form + uid for form in (b"UI" + size[:2], size))
    try:
        with path.open("rb", buffering=0) as stream:
            if plane is None or state_of(stream) != plane.file:
                return False
            head = stream.read(_HEAD_BYTES) or b""
            return explicit in head or implicit in head
    except OSError:
        return False


def _like(first: Dataset, sop_uid: str, plane: Plane) -> Dataset | None:
    """The header of a slice that differs in its place alone; None where it states none."""
    if plane.position_mm is None or not is_uid(sop_uid):
        return None
    made = Dataset(dict(first.items()))
    for keyword in ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient"):
        made.pop(keyword, None)  # set anew: changed in place it would change in the first as well
    made.SOPInstanceUID = UID(sop_uid)
    add_place(made, plane.position_mm, plane.instance)
    return made


def _checked(source: tuple[str, str], path: Path) -> Dataset:
    """What results repeat of a file. SourceChanged, SourceLacks."""
    name, sop_uid = source
    header = _header(path)
    if header is None:
        raise SourceChanged(name)
    for keyword, what in _MUST_STATE.items():
        if not has_uid(header, keyword):
            raise SourceLacks(name, what)
    if header.SOPInstanceUID != sop_uid:
        raise SourceChanged(name)
    return header


def _header(path: Path) -> Dataset | None:
    """What results repeat of the file; None where it can no longer be read."""
    try:
        return repeated(read_file(path, _OF_EACH))
    except Exception:  # noqa: BLE001  a broken file makes pydicom raise nearly anything
        return None
