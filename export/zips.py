"""A stranger's zip, looked through before anything of it is read.

Nothing is ever unpacked: members are read one by one, so no name in a zip leads anywhere.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

MAX_BYTES = 8 << 30
"""Of a file, and of what a member becomes."""
MAX_MEMBERS = 100_000  # with all predictions of its validation an nnU-Net has some thousands
MAX_DEPTH = 16  # folders
MAX_SHRUNK = 100  # times: weights and JSON hardly shrink
KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SMALL = 64 << 20  # bytes: however far it was shrunk
NO_ZIP = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError,
)  # fmt: skip
"""What opening or reading a damaged, encrypted or odd zip raises, beside OSError."""


class OddZip(ValueError):
    """It is made as nothing that saves networks makes one; the text says how."""


def open_zip(source: Path | IO[bytes]) -> zipfile.ZipFile:
    """OddZip for one that may do harm; OSError and others of NO_ZIP where it can't be read."""
    archive = zipfile.ZipFile(source)
    if problem := _problem(archive):
        archive.close()
        raise OddZip(problem)
    return archive


def names_in(source: Path | IO[bytes]) -> list[str]:
    """Of its members; none where it can't be read."""
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    except (OSError, *NO_ZIP):
        return []


def is_script(names: Iterable[str]) -> bool:
    """Whether a zip with members of these names is TorchScript, which holds its code."""
    return any("/code/" in name for name in names)


def _problem(archive: zipfile.ZipFile) -> str:
    """What no zip of a network has; empty when all is well."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        return f"it holds {len(members)} files"
    for member in members:
        parts = member.filename.removesuffix("/").split("/")
        if len(parts) > MAX_DEPTH or not all(parts) or {".", ".."} & set(parts):
            return f"it holds a file with the odd name {member.filename[:80]!r}"
        if member.flag_bits & 1 or member.compress_type not in KINDS:
            return "it is encrypted, or packed in an uncommon way"
        if member.file_size > min(MAX_BYTES, max(SMALL, MAX_SHRUNK * member.compress_size)):
            size = f"{member.file_size >> 20} MB, and such a file never is"
            return f"{member.filename[:80]!r} would be {size}"
    return ""
