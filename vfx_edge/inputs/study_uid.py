"""Of which study a file is: one element of its header, and nothing else, is read."""

from pathlib import Path

from pydicom.tag import Tag

from vfx_edge.inputs.bounded import is_dicom, read_file
from vfx_edge.inputs.disc import is_directory
from vfx_edge.quiet import quiet

_WANTED = [Tag("StudyInstanceUID")]


def study_uid(path: Path) -> str | None:
    """The StudyInstanceUID as it stands there, "" where there is none; None of what is no DICOM
    image, or can't be read: a disc's directory is none either."""
    try:
        if not is_dicom(path) or is_directory(path):
            return None
        with quiet():
            return str(read_file(path, _WANTED).get("StudyInstanceUID") or "").strip("\0 ")
    except Exception:  # noqa: BLE001  a damaged header may raise nearly anything
        return None
