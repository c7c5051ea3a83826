"""Of which study a file is: the first bytes of its header, and nothing else, are read."""

import io
import re
from pathlib import Path

from pydicom.tag import Tag

from vfx_edge.errors import InputError
from vfx_edge.inputs.bounded import DEFLATED, read_dicom, read_file
from vfx_edge.inputs.disc import is_directory_head
from vfx_edge.inputs.files import archive_starts
from vfx_edge.inputs.plain_header import plain_header
from vfx_edge.quiet import quiet

UNREADABLE = "?"
"""Stands for the UID of a file of DICOM that can't be read: no UID is like it."""
_HEAD_BYTES = 2**13
_WANTED = [Tag("StudyInstanceUID"), Tag("SOPClassUID")]
_TAGS = frozenset(map(int, _WANTED))
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_NAMED_DICOM = (".dcm", ".ima")


def is_uid(text: str) -> bool:
    """Whether it is a UID, fit for a folder's name and an address."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def study_uid(path: Path) -> str | None:
    """The StudyInstanceUID as it stands there, "" where there is none; None of what is no DICOM
    image, or can't be read: a disc's directory is none either."""
    found = study_key(path)
    return None if found == UNREADABLE else found


def study_key(path: Path) -> str | None:
    """As `study_uid`, but UNREADABLE where it should be an image and can't be read."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD_BYTES) or b""
    except OSError:
        return UNREADABLE
    found = _from_head(head)
    if found is not None:
        return found
    if not head and path.name.lower().endswith(_NAMED_DICOM):
        return UNREADABLE
    if not _may_be_dicom(head):
        return None
    try:
        with quiet():
            stated = read_file(path, _WANTED)
            if head[128:132] != b"DICM" and not stated.get("SOPClassUID"):
                return None
            return str(stated.get("StudyInstanceUID") or "").strip("\0 ")
    except Exception:  # noqa: BLE001  a damaged header may raise nearly anything
        return UNREADABLE if head[128:132] == b"DICM" else None


def studies_in(archive: Path) -> set[str]:
    """The UIDs of the studies in a zip; empty where it can't be read, which the run says."""
    try:
        return {uid for head in archive_starts(archive, _HEAD_BYTES) if (uid := _of_member(head))}
    except (InputError, OSError):
        return set()


def _of_member(head: bytes) -> str | None:
    """None also where the first bytes do not suffice."""
    found = _from_head(head)
    if found is not None or not _may_be_dicom(head) or DEFLATED.encode() in head:
        return found
    try:
        with quiet():
            found = str(
                read_dicom(io.BytesIO(head), _WANTED, head)[0].get("StudyInstanceUID") or ""
            )
    except Exception:  # noqa: BLE001  cut, or damaged
        return None
    return found if is_uid(found) else None


def _from_head(head: bytes) -> str | None:
    """The UID of a plain header: nearly every file has one."""
    plain = plain_header(head, _TAGS, last=_LAST)
    element = plain[0].get_item(_WANTED[0]) if plain else None
    if element is None or not isinstance(element.value, bytes):
        return None
    found = element.value.decode("latin-1").strip("\0 ")
    return found if is_uid(found) else None


_LAST = int(_WANTED[0])


def _may_be_dicom(head: bytes) -> bool:
    """An image, with the preamble, or a bare data set that begins as one."""
    if head[128:132] == b"DICM":
        return not is_directory_head(head)
    return len(head) > 132 and head[:2] in (b"\x08\x00", b"\x02\x00") and head[3:4] == b"\x00"
