"""Which files a path stands for: a folder of any depth, one file, or a zip archive.

Zip members are unpacked under numbers of our own making, never under the names the archive
gives, so no archive can write outside the temporary folder.
"""

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vfx_edge.errors import InputError
from vfx_edge.inputs.disc import is_directory, named_files

MAX_FILES = 100_000
MAX_UNPACKED_BYTES = 8 * 2**30
MAX_RATIO = 200
"""Air compresses well: whole CTs reach 10:1, single empty slices 1000:1. Only a whole archive
beyond this, and beyond RATIO_APPLIES_FROM_BYTES, is taken for a bomb."""
RATIO_APPLIES_FROM_BYTES = 2**28
MAX_DEPTH = 32
_CHUNK = 2**20
_SUFFIX = re.compile(r"\.nii(\.gz)?$")


class PathMissing(InputError, FileNotFoundError):
    """Nothing lies at the path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} does not exist: check the path.")


class PathUnreadable(InputError, PermissionError):
    """The operating system refuses to read the path."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} can't be read ({why}): give this account permission to read it, "
            "or copy the study to a folder it may read."
        )


class NotAFileOrFolder(InputError):
    """A device, a pipe, a socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is neither a file nor a folder: give a folder of DICOM files, "
            "a .zip of one, or a .nii.gz."
        )


class TooManyFiles(InputError):
    """The folder is no study but an archive."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} holds more than {MAX_FILES} files: give the folder of one study.")


class ArchiveBroken(InputError):
    """The zip can't be unpacked."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} can't be unpacked ({why}): unpack it yourself and give the folder."
        )


class ArchiveTooLarge(InputError):
    """The zip would unpack to more than a study can be."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} {why}, which no CT study does: "
            "if it really is one, unpack it yourself and give the folder."
        )


class NoScratch(InputError):
    """Compressed input needs a temporary folder, and there is none, or no room in it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The temporary folder can't be used ({why}): free some space there, "
            "or name another one in the environment variable TMPDIR (TEMP on Windows)."
        )


@dataclass(frozen=True)
class Source:
    """A file to read, and how to call it to people (the name inside an archive)."""

    path: Path
    name: str


@dataclass(frozen=True)
class Listing:
    """What a path stands for. `unreadable`: names of folders that could not be listed; `missing`:
    how many files a disc's directory names that are not there."""

    root: Path
    files: tuple[Source, ...]
    unreadable: tuple[str, ...] = ()
    missing: int = 0


@contextmanager
def listed(path: Path) -> Iterator[Listing]:
    """The files behind `path`; those of an archive live until the block ends."""
    kind = _kind(path)
    if kind == "folder":
        yield _list_folder(path)
    elif kind == "file" and zipfile.is_zipfile(path):
        with scratch() as folder:
            yield Listing(path, tuple(_unpack(path, folder)))
    elif kind == "file" and is_directory(path):
        named, missing = named_files(path)
        yield Listing(path, tuple(Source(one, str(one)) for one in named), missing=missing)
    elif kind == "file":
        yield Listing(path, (Source(path, path.name),))
    else:
        raise NotAFileOrFolder(path)


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that vanishes with the block."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="vfx-edge-", ignore_cleanup_errors=True)
    except OSError as error:
        raise NoScratch(error.strerror or type(error).__name__) from None
    with folder as name:
        yield Path(name)


def _kind(path: Path) -> str:
    try:
        if path.is_dir():
            return "folder"
        if path.is_file():
            with path.open("rb"):
                return "file"
        if path.exists():
            return "other"
    except OSError as error:
        raise PathUnreadable(path, error.strerror or type(error).__name__) from None
    raise PathMissing(path)


def _list_folder(root: Path) -> Listing:
    """Every regular file below `root`, sorted; links are followed, loops are not."""
    files: list[Source] = []
    unreadable: list[str] = []
    seen: set[str] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            real = os.path.realpath(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise PathUnreadable(root, error.strerror or type(error).__name__) from None
            unreadable.append(str(folder.relative_to(root)))
            continue
        if real in seen or depth > MAX_DEPTH:
            continue
        seen.add(real)
        for entry in entries:
            if _is(entry, "dir"):
                waiting.append((Path(entry.path), depth + 1))
            elif _is(entry, "file"):
                files.append(Source(Path(entry.path), str(Path(entry.path))))
        if len(files) > MAX_FILES:
            raise TooManyFiles(root)
    return Listing(root, tuple(files), tuple(unreadable))


def _is(entry: "os.DirEntry[str]", kind: str) -> bool:
    """False for a link that leads nowhere, in a circle, or where we may not look."""
    try:
        return entry.is_dir() if kind == "dir" else entry.is_file()
    except OSError:
        return False


def _unpack(archive: Path, folder: Path) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(archive) as unpacker:
            members = [m for m in unpacker.infolist() if not m.is_dir() and m.file_size]
            _check_sizes(archive, members)
            left = MAX_UNPACKED_BYTES
            for number, member in enumerate(members):
                suffix = _SUFFIX.search(member.filename.lower())
                target = folder / f"{number:06d}{suffix.group() if suffix else ''}"
                with unpacker.open(member) as packed, target.open("wb") as unpacked:
                    left -= _copy(packed, unpacked, left, archive)  # type: ignore[arg-type]
                yield Source(target, f"{archive}/{member.filename}")
    except (zipfile.BadZipFile, EOFError, ValueError):  # their words quote names within
        raise ArchiveBroken(archive, "it is damaged") from None
    except NotImplementedError:
        raise ArchiveBroken(archive, "it is packed in a way that is not known here") from None
    except RuntimeError:
        raise ArchiveBroken(archive, "it is encrypted") from None
    except OSError as error:
        raise ArchiveBroken(archive, error.strerror or type(error).__name__) from None
    except Exception as error:  # zlib.error, lzma.LZMAError: no common base
        if isinstance(error, InputError) or type(error).__module__ not in {"zlib", "_lzma", "lzma"}:
            raise
        raise ArchiveBroken(archive, "it is damaged") from None


def _check_sizes(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise ArchiveTooLarge(archive, f"holds {len(members)} files")
    total = sum(m.file_size for m in members)
    packed = sum(m.compress_size for m in members) or 1
    if total > MAX_UNPACKED_BYTES:
        raise ArchiveTooLarge(archive, f"would unpack to {total / 2**30:.0f} GiB")
    if total > RATIO_APPLIES_FROM_BYTES and total > MAX_RATIO * packed:
        raise ArchiveTooLarge(archive, f"would unpack to {total // packed} times its size")


def _copy(packed: BinaryIO, unpacked: BinaryIO, limit: int, archive: Path) -> int:
    """Bytes copied; the sizes an archive states may be lies, so they are counted again."""
    copied = 0
    while chunk := packed.read(_CHUNK):
        copied += len(chunk)
        if copied > limit:
            raise ArchiveTooLarge(archive, f"unpacks to over {MAX_UNPACKED_BYTES >> 30} GiB")
        unpacked.write(chunk)
    return copied
