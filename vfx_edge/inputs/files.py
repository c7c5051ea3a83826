"""Which files a path stands for: a folder of any depth, one file, or a zip archive.

Zip members are unpacked under numbers of our own making, never under the names the archive
gives, so no archive can write outside the temporary folder.
"""

import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, BinaryIO

from vfx_edge.errors import InputError
from vfx_edge.inputs.disc import is_directory, named_files
from vfx_edge.scratch import SHOWN, private_folder, sweep

MAX_FILES = 100_000
MAX_UNPACKED_BYTES = 8 * 2**30
MAX_RATIO = 200
"""Air compresses well: whole CTs reach 10:1, single empty slices 1000:1. Only a whole archive
beyond this, and beyond RATIO_APPLIES_FROM_BYTES, is taken for a bomb."""
RATIO_APPLIES_FROM_BYTES = 2**28
MAX_DEPTH = 32
_CHUNK = 2**20
MOST_LISTING_BYTES = MAX_FILES * 300
"""What names the members of an archive: 46 bytes and the name for each."""
MOST_LZMA_BYTES = 2**28
"""LZMA keeps as much of what it unpacked in memory as the archive asks for."""
SPARED_SHARE = 0.1
"""Of the free space of the temporary folder's disk, left to others."""


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
    """A file to read, and how to call it to people (the name inside an archive). state: as it was
    when its header was read."""

    path: Path
    name: str
    state: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Listing:
    """What a path stands for. `unreadable`: names of folders that could not be listed; `missing`:
    how many files a disc's directory names that are not there."""

    root: Path
    files: tuple[Source, ...]
    unreadable: tuple[str, ...] = ()
    missing: int = 0


def state_of(file: IO[bytes]) -> tuple[int, ...]:
    """Its size first. Not the same once the file was written to, or another took its place."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_ino, found.st_dev, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def listed(path: Path) -> Iterator[Listing]:
    """The files behind `path`; those of an archive live until the block ends."""
    kind = _kind(path)
    if kind == "folder":
        yield _list_folder(path)
    elif kind == "file" and _is_zip(path):
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
    """A temporary folder that vanishes with the block. NoScratch."""
    with ExitStack() as stack:
        try:
            parent = Path(tempfile.gettempdir())
            folder = stack.enter_context(private_folder(parent, SHOWN))
        except OSError as error:
            raise NoScratch(error.strerror or type(error).__name__) from None
        yield folder


def sweep_scratch() -> None:
    """Removes what killed runs have left in the folder for temporary files."""
    with suppress(OSError):
        sweep(Path(tempfile.gettempdir()))


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


def _is_zip(path: Path) -> bool:
    """By its first bytes, too: other files may have an archive behind them."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one of several parts
        return True


def archive_starts(archive: Path, count: int) -> Iterator[bytes]:
    """The first bytes of each file in a zip; nothing where it is none. InputError leaves, OSError,
    and nothing else."""
    if not _is_zip(archive):
        return
    try:
        _check_listing(archive)
        with zipfile.ZipFile(archive) as unpacker:
            members = [m for m in unpacker.infolist() if m.file_size and m.filename[-1:] != "/"]
            _check_sizes(archive, members)
            for member in members:
                with unpacker.open(member) as packed:
                    yield packed.read(count)
    except (InputError, OSError):
        raise
    except Exception:  # noqa: BLE001  zip, zlib, lzma: no common base
        raise ArchiveBroken(archive, "it is damaged") from None


def _unpack(archive: Path, folder: Path) -> Iterator[Source]:
    try:
        _check_listing(archive)
        with zipfile.ZipFile(archive) as unpacker:
            members = [m for m in unpacker.infolist() if m.file_size and m.filename[-1:] != "/"]
            _check_sizes(archive, members)
            left = min(MAX_UNPACKED_BYTES, _room(folder, sum(m.file_size for m in members)))
            for number, member in enumerate(members):
                target = folder / f"{number:06d}"
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
        why = error.strerror or type(error).__name__
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoScratch(why) from None
        raise ArchiveBroken(archive, why) from None
    except Exception as error:  # zlib.error, lzma.LZMAError: no common base
        if isinstance(error, InputError) or type(error).__module__ not in {"zlib", "_lzma", "lzma"}:
            raise
        raise ArchiveBroken(archive, "it is damaged") from None


def _check_listing(archive: Path) -> None:
    """The list of members is held in memory whole: how long it is, is stated at the end."""
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16 - 22))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0:
            raise zipfile.BadZipFile("its end is missing")
        listing = int.from_bytes(tail[at + 12 : at + 16], "little")
        if tail[max(0, at - 20) : max(0, at - 16)] == b"PK\x06\x07":  # zip64
            file.seek(min(size, int.from_bytes(tail[at - 12 : at - 4], "little")) + 40)
            listing = int.from_bytes(file.read(8), "little")
    if listing > MOST_LISTING_BYTES:
        raise ArchiveTooLarge(archive, f"holds more than {MAX_FILES} files")


def room_in(folder: Path) -> int:
    """Bytes that may be written there; some are left to others."""
    return int(shutil.disk_usage(folder).free * (1 - SPARED_SHARE))


def _room(folder: Path, needed: int) -> int:
    """Bytes that may be unpacked into `folder`. NoScratch."""
    free = room_in(folder)
    if needed > free:
        raise NoScratch(f"it has room for {free >> 20} MiB, {needed >> 20} are needed")
    return free


def _check_sizes(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise ArchiveTooLarge(archive, f"holds {len(members)} files")
    total = sum(m.file_size for m in members)
    packed = min(sum(m.compress_size for m in members), archive.stat().st_size) or 1
    if total > MAX_UNPACKED_BYTES:
        raise ArchiveTooLarge(archive, f"would unpack to {total / 2**30:.0f} GiB")
    if total > RATIO_APPLIES_FROM_BYTES and total > MAX_RATIO * packed:
        raise ArchiveTooLarge(archive, f"would unpack to {total // packed} times its size")
    if any(m.compress_type == zipfile.ZIP_LZMA and m.file_size > MOST_LZMA_BYTES for m in members):
        raise ArchiveTooLarge(archive, "holds a file that takes too much memory to unpack")
    by_place = sorted(members, key=lambda m: m.header_offset)
    if any(a.header_offset + a.compress_size > b.header_offset for a, b in pairwise(by_place)):
        raise ArchiveBroken(archive, "its members lie over each other")


def _copy(packed: BinaryIO, unpacked: BinaryIO, limit: int, archive: Path) -> int:
    """Bytes copied; the sizes an archive states may be lies, so they are counted again."""
    copied = 0
    while chunk := packed.read(_CHUNK):
        copied += len(chunk)
        if copied > limit:
            raise ArchiveTooLarge(archive, f"unpacks to over {MAX_UNPACKED_BYTES >> 30} GiB")
        unpacked.write(chunk)
    return copied
