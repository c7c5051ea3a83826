"""What an earlier start has read of the headers in each folder, so that the next one need not.

A folder is known again by names, sizes and times of its files; nothing that names a patient is
kept: of paths only digests, of files only their places in the order of names.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from vfx_edge.files import write_bytes

SCHEMA = "vfx-edge/batch-index/1"
"""To be counted up whenever headers are read otherwise."""
HOME = "index"
LEAST = 2000
"""Headers that must have been read, or nothing is kept: reading them again costs no second."""
PART = 200_000
"""Headers after which what was read is kept, though the look is not through."""
MOST_PARTS = 32
MOST_BYTES = 2**31
File = tuple[str, int, int]
"""Name, bytes, time of change in ns."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Of a folder's files, or of an archive. listing: digest of their names, sizes and times.
    studies: their UIDs, "" where files have none. which: for each file the number of its study, -1
    for what is no image; empty where all images are of one. damaged: files that can't be read."""

    listing: bytes
    studies: tuple[str, ...]
    which: tuple[int, ...] = ()
    damaged: int = 0


class _Part(msgspec.Struct, frozen=True):
    schema: str
    seen: dict[bytes, Seen]


@dataclass
class Index:
    """out: the batch's folder; None: nothing is kept. on_files: told how many files are known by
    now."""

    out: Path | None = None
    on_files: Callable[[int], None] = lambda _: None
    _files: int = 0
    _seen: dict[bytes, Seen] = field(default_factory=dict)
    _new: dict[bytes, Seen] = field(default_factory=dict)
    _parts: list[Path] = field(default_factory=list)
    _read: int = 0
    _kept: int = 0

    def __post_init__(self) -> None:
        if self.out is None:
            return
        self._parts = sorted((self.out / HOME).glob("*.msgpack"))
        left = MOST_BYTES
        for part in self._parts:
            with suppress(OSError, ValueError, RecursionError):
                left -= part.stat().st_size
                if not part.is_file() or left < 0:  # a pipe would never end
                    break
                found = msgspec.msgpack.decode(part.read_bytes(), type=_Part)
                if found.schema == SCHEMA:
                    self._seen |= found.seen

    def get(self, place: str, files: Sequence[File]) -> Seen | None:
        """What was read there, if it is as it was."""
        key = _digest(place)
        found = self._new.get(key) or self._seen.get(key)
        if found is None or found.listing != listing_of(files):
            return None
        self._count(len(files))
        return found

    def put(self, place: str, seen: Seen, headers: int) -> None:
        """OutputError where it can't be written."""
        self._count(headers)
        if self.out is None:
            return
        self._new[_digest(place)] = seen
        self._read += headers
        if self._read - self._kept >= PART:
            self._keep()

    def close(self) -> None:
        """Keeps what is worth it, in one file where there are many. OutputError."""
        if self.out is None or not (self._read >= LEAST or len(self._parts) > MOST_PARTS):
            return
        before = list(self._parts) if len(self._parts) > MOST_PARTS else []
        if before:
            self._new = {**self._seen, **self._new}
        self._keep()
        for part in before:
            with suppress(OSError):
                part.unlink()

    def _count(self, files: int) -> None:
        self._files += files
        self.on_files(self._files)

    def _keep(self) -> None:
        self._kept = self._read
        if self.out is None or not self._new:
            return
        # several shards may look at once: each writes files of its own
        path = self.out / HOME / f"{len(self._parts):06d}-{secrets.token_hex(8)}.msgpack"
        write_bytes(path, msgspec.msgpack.encode(_Part(SCHEMA, self._new)))
        self._parts.append(path)
        self._seen |= self._new
        self._new = {}


def listing_of(files: Iterable[File]) -> bytes:
    """A digest of them, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for name, size, changed in files:
        digest.update(f"{name}\0{size}\0{changed}\0".encode("utf-8", "surrogateescape"))
    return digest.digest()


def _digest(place: str) -> bytes:
    return hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=16).digest()
