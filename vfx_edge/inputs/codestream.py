"""What a compressed image says of itself, compared with its header before a decoder sees it.

A stream may claim a size that has nothing to do with the header's, and decoders reserve memory for
what it claims. A size that is not stated fits nothing.
"""

import struct
from dataclasses import dataclass

RLE = "1.2.840.10008.1.2.5"
JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91)}
_JPEG_FRAMES, _JPEG_LS_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3}, {0xF7}
"""Start of frame. Of JPEG any: the header often names another process, and a decoder goes by the
stream."""
_JPEG_START, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_ANY_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_JPEG_2000, _JP2 = b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
MOST_TILES = 4096
MOST_BITS = 16


@dataclass(frozen=True)
class Stream:
    """A code stream whose structure holds. bits: of a number. signed: as the stream knows it."""

    code: bytes
    rows: int
    columns: int
    values: int
    bits: int
    signed: bool


def checked(code: bytes, syntax: str, rows: int, columns: int, bits_allocated: int) -> Stream:
    """The bare stream, if it is one of `rows` x `columns` single numbers. ValueError."""
    try:
        stream = _of_jpeg_2000(code) if syntax in JPEG_2000 else _of_jpeg(code, syntax in JPEG_LS)
    except (struct.error, IndexError):
        raise ValueError("a code stream that ends too early") from None
    if (stream.rows, stream.columns, stream.values) != (rows, columns, 1):
        raise ValueError("another size than the header says")
    if not 1 <= stream.bits <= min(MOST_BITS, bits_allocated):
        raise ValueError("another depth than the header says")
    return stream


def check_rle(code: bytes, planes: int) -> None:
    """ValueError unless the header of an RLE stream names so many segments within it."""
    if len(code) <= 64:
        raise ValueError("no RLE header")
    count, *starts = struct.unpack_from("<16I", code)
    if count != planes:
        raise ValueError("another number of segments than bytes of a pixel")
    if starts[0] != 64 or any(starts[count:]):
        raise ValueError("segments that do not follow the header")
    ends = [*starts[1:count], len(code)]
    if any(end - start < 2 for start, end in zip(starts[:count], ends, strict=True)):
        raise ValueError("segments that do not follow each other")


def _of_jpeg(code: bytes, is_ls: bool) -> Stream:
    """JPEG and JPEG-LS: markers up to the first scan, and an end behind it."""
    wanted = _JPEG_LS_FRAMES if is_ls else _JPEG_FRAMES
    if code[:2] != _JPEG_START:
        raise ValueError("no JPEG stream")
    frame: Stream | None = None
    at = 2
    while True:
        if code[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = code[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = _number(code, at + 2, 2)
        if length < 2 or at + 2 + length > len(code):
            raise ValueError("a segment beyond the end")
        if marker in _ANY_FRAME:
            if frame or marker not in wanted or length < 11:
                raise ValueError("another kind of JPEG than the header says")
            size = _number(code, at + 5, 2), _number(code, at + 7, 2)
            frame = Stream(code, *size, values=code[at + 9], bits=code[at + 4], signed=False)
        at += 2 + length
        if marker == _START_OF_SCAN:
            break
    if frame is None or code.find(_END_OF_IMAGE, at) < 0:
        raise ValueError("a stream without its frame or its end")
    return frame


def _of_jpeg_2000(code: bytes) -> Stream:
    code = _unboxed(code) if code[: len(_JP2)] == _JP2 else code
    if code[:4] != _JPEG_2000:
        raise ValueError("no JPEG 2000 stream")
    length, _, right, bottom, left, top, wide, tall, tile_left, tile_top, values = (
        struct.unpack_from(">HHIIIIIIIIH", code, 4)
    )
    if length != 38 + 3 * values or values != 1:
        raise ValueError("more than one number a pixel")
    depth, across, down = code[42:45]
    if (across, down) != (1, 1):
        raise ValueError("a component of another size")
    inside = tile_left <= left < right and tile_top <= top < bottom
    if not (inside and wide > 0 and tall > 0 and left < tile_left + wide and top < tile_top + tall):
        raise ValueError("tiles outside the image")
    if -(-(right - tile_left) // wide) * -(-(bottom - tile_top) // tall) > MOST_TILES:
        raise ValueError("too many tiles")
    if code.find(_END_OF_IMAGE, 45) < 0:
        raise ValueError("a stream without its end")
    signed = bool(depth & 0x80)
    return Stream(code, bottom - top, right - left, values, (depth & 0x7F) + 1, signed)


def _unboxed(code: bytes) -> bytes:
    """The code stream within the boxes of a JP2 file."""
    at = 0
    while at + 8 <= len(code):
        length, kind, header = _number(code, at, 4), code[at + 4 : at + 8], 8
        if length == 1:
            length, header = _number(code, at + 8, 8), 16
        end = len(code) if length == 0 else at + length
        if end > len(code) or end - at < header:
            break
        if kind == b"jp2c":
            return code[at + header : end]
        at = end
    raise ValueError("boxes without a code stream")


def _number(code: bytes, at: int, length: int) -> int:
    if at + length > len(code):
        raise IndexError
    return int.from_bytes(code[at : at + length], "big")
