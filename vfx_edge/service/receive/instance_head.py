"""The UIDs of a received instance, from its first elements.

Nothing that the instance says of its own lengths is believed: values are passed over, not read;
sequences too, in one loop, however deep they lie in each other. Deflated data is inflated only as
far as needed.
"""

import mmap
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom.filereader import read_file_meta_info

from vfx_edge.inputs.headers import BIG_ENDIAN, DEFLATED
from vfx_edge.service.store.identifiers import MAX_UID

MAX_INFLATED_BYTES = 4 * 2**20
"""The head of a CT takes some kilobytes, with everything that makers add before the study's UID."""
MAX_DEFLATED_BYTES = MAX_INFLATED_BYTES
MAX_ELEMENTS = 100_000
"""So many are passed over, those of sequences included."""
_META_LENGTH_AT, _META_AT = 140, 144
_SOP_CLASS, _INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_VR = re.compile(rb"[A-Z]{2}")
Data = bytes | mmap.mmap


class Unreadable(Exception):
    """It is no data set, or not one of an image."""


@dataclass(frozen=True)
class InstanceHead:
    """UIDs as they are written. `stray`: from..to in the file, elements of group 2 that the sender
    put into the data set (PS3.10 has them before it); empty where there are none."""

    study: str
    instance: str
    sop_class: str
    stray: range


def read_head(file: Path) -> InstanceHead:
    """The head of a DICOM file. Unreadable, OSError."""
    try:
        syntax = str(read_file_meta_info(file).get("TransferSyntaxUID", ""))
    except Exception:  # noqa: BLE001  its values come from outside
        raise Unreadable from None
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        begin = _META_AT + int.from_bytes(whole[_META_LENGTH_AT:_META_AT], "little")
        if syntax == DEFLATED:
            return _head(_inflated(whole, begin), 0, big=False)
        return _head(whole, begin, big=syntax == BIG_ENDIAN)


def _inflated(whole: mmap.mmap, begin: int) -> bytes:
    """The first bytes of the data set."""
    try:
        packed = whole[begin : begin + MAX_DEFLATED_BYTES]
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, MAX_INFLATED_BYTES)
    except zlib.error:
        raise Unreadable from None


def _head(data: Data, begin: int, *, big: bool) -> InstanceHead:
    found: dict[int, str] = {}
    after_stray = begin
    for tag, value_at, length in _Walk(data, begin, big=big).elements():
        if tag >> 16 == 2:
            after_stray = value_at + length
        if tag in (_SOP_CLASS, _INSTANCE, _STUDY) and tag not in found:
            if length > MAX_UID + 2 or value_at + length > len(data):
                raise Unreadable
            found[tag] = data[value_at : value_at + length].decode("latin-1").strip("\0 ")
        if len(found) == 3 or tag >> 16 >= 0x7FE0:
            break
    if len(found) < 3 or not found[_SOP_CLASS]:
        raise Unreadable
    stray = range(begin, after_stray)
    return InstanceHead(found[_STUDY], found[_INSTANCE], found[_SOP_CLASS], stray)


class _Walk:
    """From element to element of a data set; Unreadable where there is none."""

    def __init__(self, data: Data, begin: int, *, big: bool) -> None:
        self._data = data
        self._at = begin
        self._order: Literal["big", "little"] = "big" if big else "little"
        self._left = MAX_ELEMENTS

    def elements(self) -> Iterator[tuple[int, int, int]]:
        """(tag, offset of the value, its length) of each outer element; a sequence without a stated
        length has 0."""
        while self._at + 8 <= len(self._data):
            tag, vr, length = self._next()
            if length == _UNDEFINED:
                self._pass_sequence(implicit=vr in (b"", b"UN"))
                length = 0
            yield tag, self._at, length
            self._at += length

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
        if vr not in _LONG:
            self._at += 8
            return tag, vr, self._number(head[6:8])
        self._at += 12
        return tag, vr, self._number(head[8:12])

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, self._order)
