"""The stored numbers of slices, read from their files: plain, deflated or compressed.

No native code of others sees what a file holds: code streams are checked here and decoded in
other processes.
"""

import functools
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vfx_edge.inputs.bounded import DEFLATED, inflated_from
from vfx_edge.inputs.codestream import RLE, Stream, check_rle, checked
from vfx_edge.inputs.decoders import NATIVE, SEGMENTS, Decoders
from vfx_edge.inputs.encapsulated import Pieces, code_streams, read_pieces
from vfx_edge.inputs.headers import BIG_ENDIAN, UNCOMPRESSED, PixelElement, Slice

Numbers = NDArray[Any]
_UNDEFINED = 2**32 - 1
_MOST_EXPANDED, _OVERHEAD_BYTES = 2, 2**16
"""No coding makes noise larger than that; a code stream that is larger holds something else."""


@dataclass(frozen=True)
class Frame:
    """One image in a file, and how its numbers are stored. number: None in a file of one."""

    path: Path
    number: int | None
    rows: int
    columns: int
    syntax: str
    element: PixelElement
    bits_allocated: int
    signed: bool

    @classmethod
    def of(cls, slice_: Slice) -> "Frame":
        """Of a slice whose header was read."""
        p = slice_.pixels
        return cls(
            slice_.source.path, slice_.frame, slice_.rows, slice_.columns, p.syntax, p.element,
            p.bits_allocated, p.signed,
        )  # fmt: skip

    @property
    def kind(self) -> np.dtype[Any]:
        """Of its numbers, in native byte order."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.bits_allocated // 8}")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.rows * self.columns * self.bits_allocated // 8


class StoredNumbers:
    """Reads slices of any syntax; several threads may ask at once."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders
        self._found: dict[Path, list[Pieces]] = {}
        self._lock = Lock()

    def of(self, group: Sequence[Frame]) -> Iterator[Numbers]:
        """(rows, columns) of each frame, in the type that the header allocates, native byte order.

        group: one frame, or deflated frames of one file in their order. Raises OSError, ValueError,
        zlib.error, MemoryError where the rest can't be read.
        """
        syntax = group[0].syntax
        if syntax == DEFLATED:
            yield from _deflated(group)
        elif syntax in UNCOMPRESSED:
            yield _plain(group[0])
        else:
            yield self._decoded(group[0])

    def _decoded(self, frame: Frame) -> Numbers:
        pixels = frame.rows * frame.columns
        with frame.path.open("rb") as file:
            pieces = self._pieces(frame, file)
            code = read_pieces(file, pieces, _MOST_EXPANDED * frame.size + _OVERHEAD_BYTES)
        if frame.syntax == RLE:
            planes = frame.bits_allocated // 8
            check_rle(code, planes)
            data = self._decoders.decode(SEGMENTS, code, pixels, frame.size)
            bytes_ = np.frombuffer(data, np.uint8).reshape(planes, pixels)
            numbers = np.ascontiguousarray(bytes_.T).view(f">u{planes}")
            return numbers.astype(frame.kind).reshape(frame.rows, frame.columns)
        stream = checked(code, frame.syntax, frame.rows, frame.columns, frame.bits_allocated)
        kind = np.dtype(f"{'i' if stream.signed else 'u'}{1 if stream.bits <= 8 else 2}")
        file_ = _as_file(stream, frame.syntax)
        data = self._decoders.decode(NATIVE, file_, pixels, pixels * kind.itemsize)
        numbers = np.frombuffer(data, kind).reshape(frame.rows, frame.columns)
        return _as_allocated(numbers, stream, frame)

    def _pieces(self, frame: Frame, file: BinaryIO) -> Pieces:
        """Where the frame's code stream lies; a file of many frames is looked through once."""
        size = os.fstat(file.fileno()).st_size
        if frame.number is None:
            return code_streams(file, frame.element.offset, size, 1)[0]
        with self._lock:
            found = self._found.get(frame.path)
            if found is None:
                found = code_streams(file, frame.element.offset, size, frame.element.frames)
                self._found[frame.path] = found
        if frame.number >= len(found):
            raise ValueError("a frame behind the end of the file")
        return found[frame.number]


def _plain(frame: Frame) -> Numbers:
    order = ">" if frame.syntax == BIG_ENDIAN else "<"
    data = bytearray(frame.size)
    with frame.path.open("rb") as file:
        file.seek(frame.element.offset - 4)
        _check_length(file.read(4), order, frame.size * frame.element.frames)
        file.seek(frame.element.offset + (frame.number or 0) * frame.size)
        if file.readinto(data) != frame.size:
            raise ValueError("truncated")
    return _native(data, frame, order)


def _deflated(group: Sequence[Frame]) -> Iterator[Numbers]:
    """Inflated once, from one frame to the next; never more of it in memory than a frame."""
    first, size = group[0], group[0].size
    with first.path.open("rb") as file:
        bytes_ = Ahead(inflated_from(file, first.element.offset - 4))
        _check_length(bytes_.take(4), "<", size * first.element.frames)
        done = 0
        for frame in group:
            number = frame.number or 0
            bytes_.skip((number - done) * size)
            yield _native(bytes_.take(size), frame, "<")
            done = number + 1


class Ahead:
    """Bytes that come in chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._have = b""

    def skip(self, count: int) -> None:
        """Leave `count` bytes out. ValueError at the end."""
        while count > len(self._have):
            count -= len(self._have)
            self._have = next(self._chunks, b"")
            if not self._have:
                raise ValueError("truncated")
        self._have = self._have[count:]

    def take(self, count: int) -> bytearray:
        """The next `count` bytes. ValueError at the end."""
        taken = bytearray()
        while len(taken) < count:
            self._have = self._have or next(self._chunks, b"")
            if not self._have:
                raise ValueError("truncated")
            part = self._have[: count - len(taken)]
            taken += part
            self._have = self._have[len(part) :]
        return taken


def _check_length(stated: bytes | bytearray, order: str, needed: int) -> None:
    (length,) = struct.unpack(f"{order}I", stated)
    if length == _UNDEFINED or length < needed:
        raise ValueError("pixels of another length than the header says")


def _native(data: bytearray, frame: Frame, order: str) -> Numbers:
    numbers = np.frombuffer(data, frame.kind.newbyteorder(">" if order == ">" else "<"))
    return numbers.astype(frame.kind, copy=False).reshape(frame.rows, frame.columns)


def _as_allocated(numbers: Numbers, stream: Stream, frame: Frame) -> Numbers:
    """The bits of the stream as numbers of the header's type.

    JPEG and JPEG-LS know no sign, and of JPEG 2000 not all writers tell it: where the header says
    signed and the stream does not, its highest bit is the sign.
    """
    unused = frame.bits_allocated - stream.bits
    if not frame.signed or stream.signed or not unused:
        return numbers.astype(frame.kind)
    return np.asarray((numbers.astype(frame.kind) << unused) >> unused)


def _as_file(stream: Stream, syntax: str) -> bytes:
    """A DICOM file with that code stream and nothing of the source's header."""
    head = _header(syntax, stream.rows, stream.columns, stream.bits, stream.signed)
    pad = b"\0" * (len(stream.code) % 2)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(stream.code) + len(pad))
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return b"".join((head, item, stream.code, pad, end))


@functools.lru_cache(maxsize=8)
def _header(syntax: str, rows: int, columns: int, bits: int, signed: bool) -> bytes:
    """Up to the offset table; the decoder is to hand out all bits of the stream, not rescaled."""
    image = "1.2.840.10008.5.1.4.1.1.2"
    meta = b"".join([
        _element(0x00020001, "OB", b"\0\1"), _element(0x00020002, "UI", image),
        _element(0x00020003, "UI", "2.25.1"), _element(0x00020010, "UI", syntax),
    ])  # fmt: skip
    allocated = 8 if bits <= 8 else 16
    body = [
        _element(0x00080016, "UI", image), _element(0x00080018, "UI", "2.25.1"),
        _element(0x00080060, "CS", "CT"), _element(0x00280002, "US", 1),
        _element(0x00280004, "CS", "MONOCHROME2 "),
        _element(0x00280010, "US", rows), _element(0x00280011, "US", columns),
        _element(0x00280100, "US", allocated), _element(0x00280101, "US", bits),
        _element(0x00280102, "US", bits - 1), _element(0x00280103, "US", int(signed)),
        _element(0x00281052, "DS", "0 "), _element(0x00281053, "DS", "1 "),
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED),
        struct.pack("<HHI", 0xFFFE, 0xE000, 0),
    ]  # fmt: skip
    length = _element(0x00020000, "UL", struct.pack("<I", len(meta)))
    return b"".join([bytes(128), b"DICM", length, meta, *body])


def _element(tag: int, kind: str, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        value = struct.pack("<H", value)
    if isinstance(value, str):
        value = value.encode() + b"\0" * (len(value) % 2)
    form = "<HH2sHI" if kind == "OB" else "<HH2sH"
    sizes = (0, len(value)) if kind == "OB" else (len(value),)
    return struct.pack(form, tag >> 16, tag & 0xFFFF, kind.encode(), *sizes) + value
