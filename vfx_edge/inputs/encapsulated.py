"""Encapsulated pixel data (PS3.5 A.4): where the code stream of each frame lies in the file.

Every length is compared with what is there before anything is read.
"""

from typing import BinaryIO

Piece = tuple[int, int]
"""(byte it starts at, bytes)"""
Pieces = list[Piece]

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"
MOST_PIECES, MOST_OF_A_FRAME = 1_000_000, 1000


def code_streams(file: BinaryIO, start: int, size: int, frames: int) -> list[Pieces]:
    """The pieces of each frame, in order; fewer frames where the file is cut.

    start: byte behind the element's length. size: of the file. ValueError: no such structure.
    """
    table, first, pieces, whole = _items(file, start, size, frames)
    if frames == 1:
        if not whole or not pieces:
            raise ValueError("the file ends within the code stream")
        return [pieces]
    if whole and len(pieces) == frames:
        return [[piece] for piece in pieces]
    starts = [int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4)]
    if len(starts) == frames:
        return _by_table(starts, first, pieces, whole)
    return _by_ends(file, pieces)


def read_pieces(file: BinaryIO, pieces: Pieces, most: int) -> bytes:
    """The code stream, joined. ValueError beyond `most` bytes."""
    if sum(length for _, length in pieces) > most:
        raise ValueError("more bytes than the frame can need")
    parts = []
    for start, length in pieces:
        file.seek(start)
        parts.append(file.read(length))
        if len(parts[-1]) != length:
            raise ValueError("the file ends within the code stream")
    return b"".join(parts)


def _items(file: BinaryIO, start: int, size: int, frames: int) -> tuple[bytes, int, Pieces, bool]:
    """The basic offset table, where the first item behind it starts, the items, and whether the
    last one is complete."""
    most = min(MOST_PIECES, MOST_OF_A_FRAME * frames)
    pieces: Pieces = []
    at = start
    while True:
        file.seek(at)
        head = file.read(8)
        at += 8
        length = int.from_bytes(head[4:], "little")
        if head[:4] != _ITEM:
            if head[:4] != _END and len(head) == 8:
                raise ValueError("neither an item nor the end of the items")
            break
        if at + length > size:
            return _split(file, pieces, whole=False)
        if len(pieces) > most:
            raise ValueError("too many items")
        pieces.append((at, length))
        at += length
    return _split(file, pieces, whole=True)


def _split(file: BinaryIO, pieces: Pieces, *, whole: bool) -> tuple[bytes, int, Pieces, bool]:
    if not pieces:
        raise ValueError("no offset table")
    at, length = pieces[0]
    file.seek(at)
    return file.read(length), at + length, pieces[1:], whole


def _by_table(starts: list[int], first: int, pieces: Pieces, whole: bool) -> list[Pieces]:
    """By the offset table, which counts from the first item; what lies behind a cut is left out."""
    number = {at - 8 - first: index for index, (at, _) in enumerate(pieces)}
    found: list[Pieces] = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        if end is not None and end not in number:
            if whole:
                raise ValueError("an offset that is none of an item")
            break
        if end is None and not whole:
            break
        stop = len(pieces) if end is None else number[end]
        if start not in number or number[start] >= stop:
            raise ValueError("offsets that do not rise")
        found.append(pieces[number[start] : stop])
    return found


def _by_ends(file: BinaryIO, pieces: Pieces) -> list[Pieces]:
    """By the marker that ends a JPEG or JPEG 2000 stream."""
    found: list[Pieces] = []
    waiting: Pieces = []
    for start, length in pieces:
        waiting.append((start, length))
        file.seek(start + max(0, length - 16))
        if _END_OF_IMAGE in file.read(min(length, 16)):
            found.append(waiting)
            waiting = []
    return found
