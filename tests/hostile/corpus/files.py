"""Files as bytes: plain syntaxes, lengths that lie, deflated bombs, what stands around."""

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.hostile.corpus.case import (
    BASE,
    MIDDLE,
    ONE_BROKEN,
    READ,
    Base,
    Case,
    Make,
    Outcome,
    Reads,
    Refused,
    write,
    write_bytes,
)
from tests.hostile.corpus.codes import plane_of
from tests.hostile.corpus.edits import each_bytes, pixel_element

BROKEN = Refused("truncated|damaged|without pixel data|none of its|no DICOM|can't be|pixel data")
LOST = Reads(but_for=(MIDDLE,))
"""One that can't be told from a file that never was DICOM."""
EditFile = Callable[[bytes], bytes]


def _syntax(uid: UID) -> Make:
    def make(base: Base, folder: Path) -> Path:
        slices = base.slices()
        for one in slices:
            if uid == ExplicitVRBigEndian:
                one.PixelData = plane_of(one).astype(">u2").tobytes()
            one.file_meta.TransferSyntaxUID = uid
        return write(folder / "in", map(_anew, slices))

    return make


def _anew(one: Dataset) -> Dataset:
    """The same data set, free of how it was read: pydicom turns no byte order round."""
    fresh = Dataset()
    for element in one:
        fresh.add(element)
    fresh.file_meta = one.file_meta
    return fresh


def deflated(content: bytes, zeros_mib: int = 0, level: int = 9) -> bytes:
    """A plain file as a deflated one, with so many zeros behind its data set: a thousand of them
    take a byte."""
    end = 144 + int.from_bytes(content[140:144], "little")
    old, new = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    meta = bytearray(content[:end])
    at = meta.index(b"\x02\x00\x10\x00UI") + 8
    assert bytes(meta[at : at + 20]) == old
    meta[at - 2 : at + 20] = struct.pack("<H", len(new)) + new
    meta[140:144] = struct.pack("<I", len(meta) - 144)
    more = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", zeros_mib << 20) if zeros_mib else b""
    return bytes(meta) + packed_with_zeros(content[end:] + more, zeros_mib, level)


def packed_with_zeros(content: bytes, zeros_mib: int, level: int = 9) -> bytes:
    """Deflated content, and zeros behind it, one mebibyte of which is packed once and repeated."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    head = packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * zeros_mib + packer.flush(zlib.Z_FINISH)


def _bombed(content: bytes) -> bytes:
    return deflated(content, zeros_mib=1023)


def _cut(share: float) -> EditFile:
    return lambda content: content[: int(len(content) * share)]


def _length(value: int) -> EditFile:
    """Another length of the pixel data."""

    def edit(content: bytes) -> bytes:
        at = pixel_element(content) + 8
        return content[:at] + struct.pack("<I", value & 0xFFFFFFFF) + content[at + 4 :]

    return edit


def _inserted(element: bytes) -> EditFile:
    """An element of our own before the pixels."""

    def edit(content: bytes) -> bytes:
        at = pixel_element(content)
        return content[:at] + element + content[at:]

    return edit


def _replaced(old: bytes, new: bytes) -> EditFile:
    def edit(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return edit


PRIVATE = b"\x29\x00\x10\x10"
LONG = struct.Struct("<I")
META_END = b"\x02\x00\x00\x00UL\x04\x00"

ALL: dict[str, tuple[EditFile, tuple[Outcome, ...]]] = {
    **{f"cut to {share:.3g}": (_cut(share), (BROKEN,)) for share in (0.999, 0.9, 0.5, 0.2, 0.05)},
    "cut to 132 bytes": (lambda c: c[:132], (BROKEN,)),
    "cut to 131 bytes": (lambda c: c[:131], (BROKEN,)),
    "cut to 140 bytes": (lambda c: c[:140], (BROKEN,)),
    "cut at the pixels": (lambda c: c[: pixel_element(c)], (BROKEN,)),
    "cut behind the pixels' tag": (lambda c: c[: pixel_element(c) + 6], (BROKEN,)),
    "cut behind the pixels' length": (lambda c: c[: pixel_element(c) + 12], (BROKEN,)),
    "pixels of 4 GiB stated": (_length(0xFFFFFFF0), (BASE, BROKEN)),
    "pixels of 2 GiB stated": (_length(0x7FFFFFFE), (BASE, BROKEN)),
    "pixels of 0 stated": (_length(0), (BASE, BROKEN)),
    "pixels of 100 stated": (_length(100), (BASE, BROKEN)),
    "pixels of undefined length": (_length(-1), (BASE, BROKEN)),
    "pixels of VR UT": (
        lambda c: c[: pixel_element(c) + 4] + b"UT" + c[pixel_element(c) + 6 :], (BASE, BROKEN),
    ),
    "pixels twice": (lambda c: c + c[pixel_element(c) :], (BASE,)),
    "garbage behind": (lambda c: c + b"\x5a" * 9999, (BASE,)),
    "zeros behind": (lambda c: c + bytes(3), (BASE,)),
    "padding behind": (lambda c: c + b"\xfc\xff\xfc\xffOB\0\0\x20\0\0\0" + bytes(32), (BASE,)),
    "an element of 4 GiB": (
        _inserted(PRIVATE + b"OB\0\0" + LONG.pack(0xFFFFFFF0)), (BROKEN,),
    ),
    "an element past the end": (
        _inserted(PRIVATE + b"OB\0\0" + LONG.pack(1 << 20)), (BROKEN,),
    ),
    "a sequence without end": (_inserted(PRIVATE + b"SQ\0\0" + LONG.pack(0xFFFFFFFF)), (BROKEN,)),
    "an item of 4 GiB": (
        _inserted(PRIVATE + b"SQ\0\0" + LONG.pack(0xFFFFFFFF) + b"\xfe\xff\0\xe0"
                  + LONG.pack(0xFFFFFFF0)), (BROKEN,),
    ),
    "sequences 3,000 deep": (
        _inserted((PRIVATE + b"SQ\0\0" + LONG.pack(0xFFFFFFFF) + b"\xfe\xff\0\xe0"
                   + LONG.pack(0xFFFFFFFF)) * 3000), (BROKEN, BASE),
    ),
    "an element of an unknown VR": (_inserted(PRIVATE + b"ZZ\x04\0abcd"), (BASE, BROKEN)),
    "no preamble": (lambda c: c[132:], (BASE, BROKEN)),
    "a preamble of TIFF": (lambda c: b"II*\0\x08\0\0\0" + bytes(120) + c[128:], (BASE,)),
    "a preamble of a program": (lambda c: b"MZ" + b"\x90" * 126 + c[128:], (BASE,)),
    "meta length 0": (lambda c: c[:140] + bytes(4) + c[144:], (BASE, BROKEN)),
    "meta length 4 GiB": (lambda c: c[:140] + b"\xff" * 4 + c[144:], (BASE, BROKEN)),
    "meta length short": (lambda c: c[:140] + LONG.pack(20) + c[144:], (BASE, BROKEN)),
    "DICM in lower case": (lambda c: c[:128] + b"dicm" + c[132:], (BROKEN,)),
    "all of FF behind DICM": (lambda c: c[:132] + b"\xff" * 4000, (BROKEN,)),
    "all of zeros behind DICM": (lambda c: c[:132] + bytes(4000), (BROKEN,)),
    "text behind DICM": (lambda c: c[:132] + b"Dear colleague, " * 300, (BROKEN,)),
    "every byte turned round": (lambda c: c[::-1], (BROKEN,)),
    "deflated": (lambda c: deflated(c), (BASE,)),
    "deflated, not packed": (lambda c: deflated(c, level=0), (BASE,)),
    "deflated, bytes behind": (lambda c: deflated(c) + b"\0", (BASE, BROKEN)),
    "deflated, cut": (lambda c: deflated(c)[:-900], (BROKEN,)),
    "deflated, garbage": (lambda c: deflated(c)[:600] + b"\x5a" * 4000, (BROKEN,)),
    "said to be deflated": (
        lambda c: deflated(c)[: 146 + int.from_bytes(c[140:144], "little")] + c[600:], (BROKEN,),
    ),
}  # fmt: skip
"""All files damaged alike."""

ONE: dict[str, tuple[EditFile, tuple[Outcome, ...]]] = {
    "cut to half": (_cut(0.5), (ONE_BROKEN,)),
    "cut to 200 bytes": (lambda c: c[:200], (ONE_BROKEN,)),
    "cut at the pixels": (lambda c: c[: pixel_element(c)], (ONE_BROKEN,)),
    "empty": (lambda c: b"", (ONE_BROKEN, LOST)),
    "zeros": (lambda c: bytes(len(c)), (ONE_BROKEN, LOST)),
    "text": (lambda c: b"Dear colleague, " * 300, (ONE_BROKEN, LOST)),
    "FF behind DICM": (lambda c: c[:132] + b"\xff" * 4000, (ONE_BROKEN,)),
    "an element of 4 GiB": (_inserted(PRIVATE + b"OB\0\0" + LONG.pack(0xFFFFFFF0)), (ONE_BROKEN,)),
    "deflated bomb of 1 GiB": (_bombed, (ONE_BROKEN, BASE)),
    "deflated, cut": (lambda c: deflated(c)[:-900], (ONE_BROKEN,)),
    "deflated, whole": (lambda c: deflated(c), (BASE,)),
    "20,000 private elements": (
        _inserted(b"".join(b"\x29\x00" + struct.pack("<H", 0x1000 + n) + b"LO\x02\0ab"
                           for n in range(20_000))), (BASE,),
    ),
}  # fmt: skip
"""One file damaged: it is left out, which is said."""


def _bombs(base: Base, folder: Path) -> Path:
    """Four bombs at once, of a gigabyte each."""
    bomb = _bombed(base.contents[0])
    return write_bytes(folder / "in", [bomb] * 4)


def _bombs_of_pixels(base: Base, folder: Path) -> Path:
    """The same where the bomb is what the header asks for: 4096 x 4096 and four bytes each."""
    slices = base.slices()[:4]
    for one in slices:
        one.Rows = one.Columns = 4096
        one.BitsAllocated, one.BitsStored, one.HighBit = 32, 32, 31
        one.PixelData = bytes(4096 * 4096 * 4)
        one["PixelData"].VR = "OW"
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return write(folder / "in", slices)


def _eight_bits_big_endian(base: Base, folder: Path) -> Path:
    slices = base.slices()
    for one in slices:
        one.PixelData = (plane_of(one) >> 4).astype("u1").tobytes()
        one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
        one.RescaleSlope = "16"
        one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    return write(folder / "in", map(_anew, slices))


def _thirty_two_bits(base: Base, folder: Path) -> Path:
    slices = base.slices()
    for one in slices:
        one.PixelData = plane_of(one).astype("<u4").tobytes()
        one["PixelData"].VR = "OW"
        one.BitsAllocated, one.BitsStored, one.HighBit = 32, 16, 15
    return write(folder / "in", slices)


def _many_items(base: Base, folder: Path) -> Path:
    slices = base.slices()
    for one in slices:
        items = []
        for number in range(2000 if one is slices[MIDDLE] else 0):
            item = Dataset()
            item.ReferencedSOPClassUID = one.SOPClassUID
            item.ReferencedSOPInstanceUID = f"1.2.3.{number}"
            items.append(item)
        one.ReferencedImageSequence = Sequence(items)
    return write(folder / "in", slices)


def cases() -> Iterator[Case]:
    names = {
        "explicit little endian": ExplicitVRLittleEndian,
        "implicit little endian": ImplicitVRLittleEndian,
        "big endian": ExplicitVRBigEndian,
    }
    for name, uid in names.items():
        yield _case(name, _syntax(uid), BASE)
    for name, (edit, outcomes) in ALL.items():
        yield _case(name, _every(edit), *outcomes)
    for name, (edit, outcomes) in ONE.items():
        yield _case(f"one {name}", _every(edit, MIDDLE), *outcomes)
    yield _case("four deflated bombs of 1 GiB", _bombs, BROKEN, Refused("single slice"))
    yield _case("four deflated bombs of pixels", _bombs_of_pixels,
                BROKEN, Refused("every voxel|too|mm of the body|air"))  # fmt: skip
    yield _case("8 bits big endian", _eight_bits_big_endian, Refused("8-bit big-endian"), READ)
    yield _case("32 bits", _thirty_two_bits, BASE)
    yield _case("2,000 items", _many_items, BASE)


def _every(edit: EditFile, *which: int) -> Make:
    return each_bytes(lambda content, _: edit(content), *which)


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("file", name, make, outcomes)
