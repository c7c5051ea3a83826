"""What an instance is, from its first elements.

Nothing that the instance says of its own lengths is believed: values are passed over, not read;
sequences too, in one loop, however deep they lie in each other. Deflated data is inflated only as
far as needed.
"""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from vfx_edge.inputs.bounded import DEFLATED, LONG_FORMS
from vfx_edge.inputs.headers import BIG_ENDIAN
from vfx_edge.service.store.identifiers import MAX_UID

MAX_INFLATED_BYTES = 4 * 2**20
"""The head of a CT takes some kilobytes, with everything that makers add before the study's UID."""
MAX_DEFLATED_BYTES = MAX_INFLATED_BYTES
MAX_ELEMENTS = 100_000
"""So many are passed over, those of sequences included."""
_PREAMBLE = 128
_META_LENGTH, _SYNTAX = 0x00020000, 0x00020010
_SOP_CLASS, _INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_NEEDED = {_SOP_CLASS, _INSTANCE, _STUDY}
_ACCESSION = 0x00080050
_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_VR = re.compile(rb"[A-Z]{2}")


class Unreadable(Exception):
    """It is no data set, or not one of an image."""


class _File:
    """A file's bytes by offset. No memory map: where the disk fails, that would end the process."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice) -> bytes:
        self._stream.seek(span.start)
        return self._stream.read(max(0, min(span.stop, self._size) - span.start))


Data = bytes | _File


@dataclass(frozen=True)
class InstanceHead:
    """Texts as they are written. `stray`: from..to in the file, elements of group 2 that the sender
    put into the data set (PS3.10 has them before it); empty where there are none."""

    study: str
    instance: str
    sop_class: str
    accession: str
    stray: range


def read_head(file: Path) -> InstanceHead:
    """The head of a DICOM file. Unreadable, OSError."""
    with file.open("rb") as stream:
        whole = _File(stream)
        if whole[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
            raise Unreadable
        syntax, begin = _meta(whole)
        if syntax == DEFLATED:
            return _head(_inflated(whole, begin), 0, big=False)
        return _head(whole, begin, big=syntax == BIG_ENDIAN)


def _meta(whole: Data) -> tuple[str, int]:
    """The transfer syntax, and where the data set begins: after the length that the group states,
    or with the first element of another group."""
    syntax, end = "", 0
    for one in _Walk(whole, _PREAMBLE + 4, big=False).elements():
        if one.tag >> 16 != 2:
            return syntax, one.begin
        if one.tag == _META_LENGTH and one.length == 4:
            end = one.end + int.from_bytes(whole[one.value_at : one.end], "little")
        if one.tag == _SYNTAX:
            syntax = _text(whole, one)
        if 0 < end <= one.end:
            return syntax, end
    raise Unreadable


def _inflated(whole: Data, begin: int) -> bytes:
    """The first bytes of the data set."""
    try:
        packed = whole[begin : begin + MAX_DEFLATED_BYTES]
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, MAX_INFLATED_BYTES)
    except zlib.error:
        raise Unreadable from None


def _head(data: Data, begin: int, *, big: bool) -> InstanceHead:
    found: dict[int, str] = {}
    after_stray = begin
    for one in _Walk(data, begin, big=big).elements():
        if one.tag >> 16 == 2:
            after_stray = one.end
        if one.tag in _NEEDED or one.tag == _ACCESSION:
            found.setdefault(one.tag, _text(data, one))
        if found.keys() >= _NEEDED or one.tag >> 16 >= 0x7FE0:
            break
    if not all(found.get(tag) for tag in _NEEDED):
        raise Unreadable
    return InstanceHead(
        study=found[_STUDY],
        instance=found[_INSTANCE],
        sop_class=found[_SOP_CLASS],
        accession=found.get(_ACCESSION, ""),
        stray=range(begin, after_stray),
    )


@dataclass(frozen=True)
class _Element:
    """Where one lies; a sequence without a stated length ends where it began."""

    tag: int
    begin: int
    value_at: int
    length: int

    @property
    def end(self) -> int:
        return self.value_at + self.length


def _text(data: Data, element: _Element) -> str:
    """A short text; empty where it is longer than any is, or in no encoding of today."""
    if element.length > MAX_UID + 2 or element.end > len(data):
        return ""
    try:
        return data[element.value_at : element.end].decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return ""


class _Walk:
    """From element to element of a data set; Unreadable where there is none."""

    def __init__(self, data: Data, begin: int, *, big: bool) -> None:
        self._data = data
        self._at = begin
        self._order: Literal["big", "little"] = "big" if big else "little"
        self._left = MAX_ELEMENTS

    def elements(self) -> Iterator[_Element]:
        """Each outer element."""
        while self._at + 8 <= len(self._data):
            begin = self._at
            tag, vr, length = self._next()
            value_at = self._at
            if length == _UNDEFINED:
                self._pass_sequence(implicit=vr in (b"", b"UN"))
                value_at, length = self._at, 0
            yield _Element(tag, begin, value_at, length)
            self._at = value_at + length

    def _pass_sequence(self, *, implicit: bool) -> None:
        """To the end of a sequence without a stated length, and of all in it."""
        open_ones = [implicit]
        while open_ones:
            tag, vr, length = self._next(implicit=open_ones[-1])
            if tag in (_ITEM_END, _SEQUENCE_END):
                open_ones.pop()
            elif length == _UNDEFINED:
                open_ones.append(open_ones[-1] or vr == b"UN")
            else:
                self._at += length

    def _next(self, *, implicit: bool = False) -> tuple[int, bytes, int]:
        """(tag, value representation or b"", length); the place is behind them then."""
        self._left -= 1
        head = self._data[self._at : self._at + 12]
        if len(head) < 8 or not self._left:
            raise Unreadable
        tag = self._number(head[:2]) << 16 | self._number(head[2:4])
        vr = head[4:6]
        if tag >> 16 == 0xFFFE or implicit or not _VR.fullmatch(vr):
            self._at += 8
            return tag, b"", self._number(head[4:8])
        if vr not in LONG_FORMS:
            self._at += 8
            return tag, vr, self._number(head[6:8])
        self._at += 12
        return tag, vr, self._number(head[8:12])

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, self._order)
