"""What a compressed image says of its own size, before a decoder believes it.

A stream may claim a size that has nothing to do with the header's, and decoders reserve memory
for what it claims.
"""

Size = tuple[int, int, int]
"""(rows, columns, values a pixel)"""

_JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG_START = b"\xff\xd8"
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of frame of JPEG and JPEG-LS; the three left out are tables and extensions."""


def stated_size(code: bytes) -> Size | None:
    """The size a JPEG, JPEG-LS or JPEG 2000 stream claims; None where it says nothing readable."""
    if code[:4] == _JPEG_2000:
        right, bottom, left, top = (_number(code, at, 4) for at in (8, 12, 16, 20))
        return bottom - top, right - left, _number(code, 40, 2)
    if code[:2] == _JPEG_START:
        return _jpeg_size(code)
    return None


def first_fragment(pixels: bytes) -> bytes:
    """The start of the first code stream behind the offset table of encapsulated pixel data."""
    table = _number(pixels, 4, 4, "little")
    return pixels[8 + table + 8 :]


def _jpeg_size(code: bytes) -> Size | None:
    at = 2
    while at + 10 <= len(code) and code[at] == 0xFF:
        if code[at + 1] in _FRAME_MARKERS:
            return _number(code, at + 5, 2), _number(code, at + 7, 2), code[at + 9]
        at += 1 if code[at + 1] == 0xFF else 2 + _number(code, at + 2, 2)
    return None


def _number(code: bytes, at: int, length: int, order: str = "big") -> int:
    return int.from_bytes(code[at : at + length], "little" if order == "little" else "big")
