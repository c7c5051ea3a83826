"""The directory of a disc (DICOMDIR, DICOM PS3.3 F): the files it names.

Only what lies in the disc's own folder is followed, wherever its references point.
"""

from pathlib import Path
from typing import Any

from pydicom.tag import Tag

from vfx_edge.errors import InputError
from vfx_edge.inputs.bounded import read_file

DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage."""
_HEAD_BYTES = 2**10
_DEFLATED = b"1.2.840.10008.1.2.1.99"
"""No directory may be, and nobody knows what such a file inflates to."""
_WANTED: list[Any] = [Tag("DirectoryRecordSequence")]


class DiscIncomplete(InputError):
    """A directory without the files it names."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} is the directory of a disc, but none of the images that it names lies "
            "beside it: give the disc's folder, or the folder of its images."
        )


def is_directory(path: Path) -> bool:
    """Whether the file is a disc's directory, by its content."""
    with path.open("rb") as file:
        return is_directory_head(file.read(_HEAD_BYTES))


def is_directory_head(head: bytes) -> bool:
    """The same of a file's first bytes."""
    head = head[:_HEAD_BYTES]
    return (
        head[128:132] == b"DICM"
        and _DEFLATED not in head
        and any(DIRECTORY.encode() + end in head for end in (b"\0", b" ", b"\x02\0"))
    )


def named_files(path: Path) -> tuple[list[Path], int]:
    """The files that a disc's directory names and that are in its folder, and how many of them are
    not. DiscIncomplete."""
    named = dict.fromkeys(_named(path))
    root = path.parent.resolve()
    listed: dict[Path, dict[str, Path]] = {}
    found = [_found(root, parts, listed) for parts in named]
    inside = [f for f in found if f is not None and f.resolve().is_relative_to(root)]
    if not inside:
        raise DiscIncomplete(path)
    return sorted(dict.fromkeys(inside)), len(found) - len(inside)


def _named(path: Path) -> list[tuple[str, ...]]:
    """The parts of each reference; none where the directory is damaged."""
    try:
        header = read_file(path, _WANTED)
        raw: Any = header.get_item(_WANTED[0])
        cut = len(raw.value) < raw.length < 0xFFFFFFFF if hasattr(raw, "length") else False
        records = header.get("DirectoryRecordSequence") or ()
        return [] if cut else [parts for record in records if (parts := _parts(record))]
    except Exception:  # noqa: BLE001  a broken file makes pydicom raise nearly anything
        return []


def _parts(record: Any) -> tuple[str, ...]:
    try:
        stated = record.get("ReferencedFileID")
        return tuple([stated] if isinstance(stated, str) else map(str, stated or ()))
    except Exception:  # noqa: BLE001  a broken record
        return ()


def _found(root: Path, parts: tuple[str, ...], listed: dict[Path, dict[str, Path]]) -> Path | None:
    """The file, whatever the case and the version numbers that the disc's file system gave it."""
    at = root
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part or "\0" in part:
            return None
        if at not in listed:
            listed[at] = _names(at)
        step = listed[at].get(_plain(part))
        if step is None:
            return None
        at = step
    return at if at.is_file() else None


def _names(folder: Path) -> dict[str, Path]:
    try:
        return {_plain(entry.name): entry for entry in sorted(folder.iterdir())}
    except OSError:
        return {}


def _plain(name: str) -> str:
    return name.casefold().split(";")[0].rstrip(". ")
