"""A DICOM file for pydicom: no length that it states is believed before it is compared with what
is there, and a deflated one is inflated only as far as it is read.
"""

import io
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, cast

import pydicom
from pydicom.dataset import Dataset

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
MOST_HEADER_BYTES = 2**27
"""Read of one header in all: an enhanced file's of 5000 frames takes some 10 MB."""
HEADER_RATIO, RATIO_APPLIES_FROM_BYTES = 50, 2**22
"""A header of text deflates to a tenth; pixels behind it, which may be air, are not inflated."""
_META_BYTES = 2**15
_CHUNK = 2**16
LONG_FORMS = {
    *(b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"),
}
"""Value representations whose length takes 4 bytes, behind 2 that are kept free."""
_one_inflates = Lock()


class Bounded:
    """A seekable file whose reads end where it ends.

    `BufferedReader.read(n)` reserves n bytes before it looks. A read of everything, with which
    pydicom inflates without limit, raises ValueError, and so do reads of more than a header has.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._left = MOST_HEADER_BYTES
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes. ValueError."""
        if count < 0:
            raise ValueError("all of the file was asked for")
        count = min(count, max(0, self._size - self._file.tell()))
        self._left -= count
        if self._left < 0:
            raise ValueError("more header than any image has")
        return self._file.read(count)


class Inflating(io.RawIOBase):
    """A deflated file as an explicit little endian one, inflated as far as was read. ValueError
    where its header inflates to more than a header can be."""

    def __init__(self, file: BinaryIO) -> None:
        self._meta, self._chunks = _inflated_chunks(file)
        self._file = file
        self._have = bytearray(self._meta)
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, of which a negative number is refused."""
        if count < 0:
            raise ValueError("all of the file was asked for")
        self._inflate(self._at + count)
        found = bytes(self._have[self._at : self._at + count])
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Within the file; nothing is inflated for it."""
        if whence == 2:
            raise ValueError("its end is not known")
        self._at = max(0, offset + (self._at if whence == 1 else 0))
        return self._at

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def _inflate(self, end: int) -> None:
        while len(self._have) < end and (chunk := next(self._chunks, b"")):
            self._have += chunk
            most = max(RATIO_APPLIES_FROM_BYTES, HEADER_RATIO * self._file.tell())
            if len(self._have) > min(MOST_HEADER_BYTES, most):
                raise ValueError("a deflated header that is none")


def is_dicom(path: Path) -> bool:
    """By its first bytes, not by its name."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def syntax_of(head: bytes) -> str:
    """The transfer syntax that the file meta information states; empty where it has none."""
    return next((value for tag, _, value in _meta_elements(head) if tag == b"\2\0\x10\0"), "")


def read_dicom(
    file: BinaryIO, tags: Sequence[Any] | None = None, head: bytes | None = None
) -> tuple[Dataset, BinaryIO]:
    """What an open file states before its pixels, and the stream, standing before them.

    tags: read these alone. head: the file's first bytes, which hold the whole header. Of deflated
    files one is read at a time. Raises nearly anything on nonsense.
    """
    start = head if head is not None else _start(file)
    if DEFLATED.encode() in start and syntax_of(start) == DEFLATED:
        with _one_inflates:
            return _parsed(cast(BinaryIO, Inflating(file)), tags)
    if head is not None:
        return _parsed(io.BytesIO(head), tags)
    return _parsed(cast(BinaryIO, Bounded(file)), tags)


def read_file(path: Path, tags: Sequence[Any] | None = None) -> Dataset:
    """What a file states before its pixels. Raises nearly anything on nonsense."""
    with path.open("rb") as file:
        return read_dicom(file, tags)[0]


def inflated_from(file: BinaryIO, offset: int) -> Iterator[bytes]:
    """The bytes of a deflated file from `offset` on, as `Inflating` counts, chunk by chunk."""
    meta, chunks = _inflated_chunks(file)
    skip = offset - len(meta)
    for chunk in chunks:
        if len(chunk) > skip:
            yield chunk[max(0, skip) :]
        skip = max(0, skip - len(chunk))


def _parsed(stream: BinaryIO, tags: Sequence[Any] | None) -> tuple[Dataset, BinaryIO]:
    chosen: Any = None if tags is None else list(tags)
    header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=chosen, force=True)
    return header, stream


def _start(file: BinaryIO) -> bytes:
    file.seek(0)
    start = file.read(_META_BYTES)
    file.seek(0)
    return start


def _inflated_chunks(file: BinaryIO) -> tuple[bytes, Iterator[bytes]]:
    """The file meta information as that of a plain file, and what follows it."""
    head = _start(file)
    elements = list(_meta_elements(head))
    end = elements[-1][1] if elements else 0
    plain = EXPLICIT_LITTLE_ENDIAN.encode().ljust(len(DEFLATED), b"\0")
    return head[:end].replace(DEFLATED.encode(), plain), _inflate_from(file, end)


def _inflate_from(file: BinaryIO, start: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    file.seek(start)
    while not unpacker.eof and (packed := file.read(_CHUNK)):
        while packed and not unpacker.eof:
            if chunk := unpacker.decompress(packed, _CHUNK):
                yield chunk
            packed = unpacker.unconsumed_tail


def _meta_elements(head: bytes) -> Iterator[tuple[bytes, int, str]]:
    """Tag, end and value of each element of group 2, as far as they lie in `head`."""
    at = 132 if head[128:132] == b"DICM" else 0
    while head[at : at + 2] == b"\2\0" and at + 12 <= len(head):
        tag, kind = head[at : at + 4], head[at + 4 : at + 6]
        long = kind in LONG_FORMS
        first = at + (12 if long else 8)
        end = first + int.from_bytes(head[first - (4 if long else 2) : first], "little")
        if end > len(head):
            return
        yield tag, end, head[first:end].decode("latin-1").strip("\0 ")
        at = end
