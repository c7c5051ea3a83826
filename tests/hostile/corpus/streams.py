"""Transfer syntaxes, code streams and what wraps them: right, damaged and lying."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended

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
from tests.hostile.corpus.codes import (
    CODECS,
    EditCode,
    Wrap,
    codes_of,
    compressed,
    encode,
    even,
    file_with,
    held,
    item,
    plane_of,
    size_claimed,
)

BROKEN = Refused("can't be decoded|damaged|truncated|cut off|every voxel is")

DAMAGE: dict[str, tuple[EditCode, tuple[Outcome, ...]]] = {
    "start overwritten": (lambda c: bytes(8) + c[8:], (BROKEN,)),
    "header of FF": (lambda c: c[:4] + b"\xff" * 40 + c[44:], (BROKEN,)),
    "header of zeros": (lambda c: c[:2] + bytes(60) + c[62:], (BROKEN,)),
    "middle of FF": (
        lambda c: c[: len(c) // 2] + b"\xff" * 64 + c[len(c) // 2 + 64 :],
        (BROKEN, READ, Refused("numbers run")),
    ),
    "middle of zeros": (
        lambda c: c[: len(c) // 2] + bytes(200) + c[len(c) // 2 + 200 :],
        (BROKEN, READ, Refused("numbers run")),
    ),
    "cut in the middle": (lambda c: c[: len(c) // 2], (BROKEN,)),
    "cut in the header": (lambda c: c[:20], (BROKEN,)),
    "last bytes missing": (lambda c: c[:-4], (BROKEN, BASE, Reads(like=None, warns="left out"))),
    "empty": (lambda c: b"", (BROKEN,)),
    "two bytes": (lambda c: c[:2], (BROKEN,)),
    "zeros": (lambda c: bytes(len(c)), (BROKEN,)),
    "FF": (lambda c: b"\xff" * len(c), (BROKEN,)),
    "text": (lambda c: b"Dear colleague, " * 40, (BROKEN,)),
    "garbage behind": (lambda c: even(c) + b"\x5a" * 4000, (BROKEN, BASE)),
    "twice": (lambda c: even(c) + c, (BROKEN, BASE)),
}
"""What happens to every slice's code stream, and what may come of it. Damage amid the compressed
numbers can give other numbers: no decoder can know."""


def _rle(count: int, *offsets: int) -> EditCode:
    """Another header: how many segments, and where they begin."""
    head = struct.pack("<16I", count, *offsets, *[0] * (15 - len(offsets)))
    return lambda code: head + code[64:]


RLE: dict[str, EditCode] = {
    "no segment": _rle(0),
    "no segment, offsets kept": lambda c: bytes(4) + c[4:],
    "one segment": _rle(1, 64),
    "three segments": lambda c: b"\3" + c[1:],
    "15 segments": _rle(15, *[64] * 15),
    "16 segments": lambda c: b"\x10" + c[1:],
    "255 segments": lambda c: b"\xff" + c[1:],
    "4 billion segments": lambda c: b"\xff\xff\xff\xff" + c[4:],
    "offsets of zero": _rle(2, 0, 0),
    "offsets in the header": _rle(2, 4, 8),
    "offsets past the end": _rle(2, 64, 1 << 30),
    "offsets of 4 GiB": _rle(2, 0xFFFFFFF0, 0xFFFFFFFE),
    "offsets backwards": lambda c: c[:4] + c[8:12] + c[4:8] + c[12:],
    "header alone": lambda c: c[:64],
    "runs without end": lambda c: c[:64] + b"\x81\x00" * 40000,
    "literals past the end": lambda c: c[:64] + b"\x7f" * 200,
    "no operations only": lambda c: c[:64] + b"\x80" * 4000,
}


def _jpeg_quirk(marker: bytes) -> EditCode:
    """A marker segment put behind the start of the image."""
    return lambda code: code[:2] + marker + code[2:]


MARKERS: dict[str, tuple[str, EditCode, tuple[Outcome, ...]]] = {
    "JPEG comment": ("JPEG", _jpeg_quirk(b"\xff\xfe\0\x06abcd"), (BASE,)),
    "JPEG comment of 64 kB stated": ("JPEG", _jpeg_quirk(b"\xff\xfe\xff\xff"), (BROKEN,)),
    "JPEG segment of length 0": ("JPEG", _jpeg_quirk(b"\xff\xe0\0\0"), (BROKEN, BASE)),
    "JPEG segment of length 1": ("JPEG", _jpeg_quirk(b"\xff\xe0\0\1"), (BROKEN, BASE)),
    "JPEG fill bytes": ("JPEG", _jpeg_quirk(b"\xff" * 30), (BROKEN, BASE)),
    "JPEG second frame header": (
        "JPEG", _jpeg_quirk(b"\xff\xc3\0\x0b\x10\xff\xff\xff\xff\1\1\x11\0"), (BROKEN,),
    ),
    "JPEG without a scan": ("JPEG", lambda c: c[: c.index(b"\xff\xda")] + b"\xff\xd9", (BROKEN,)),
    "JPEG-LS segment of length 0": ("JPEG-LS", _jpeg_quirk(b"\xff\xe8\0\0"), (BROKEN, BASE)),
    "JPEG-LS preset of nonsense": (
        "JPEG-LS", _jpeg_quirk(b"\xff\xf8\0\x0d\1\xff\xff\xff\xff\0\0\0\0\0\0"), (BROKEN, READ),
    ),
    "JPEG2000 tile of 1 pixel": (
        "JPEG2000",
        lambda c: c[:24] + struct.pack(">II", 1, 1) + c[32:], (BROKEN,),
    ),
    "JPEG2000 16384 components": (
        "JPEG2000",
        lambda c: c[:40] + struct.pack(">H", 16384) + c[42:], (BROKEN,),
    ),
    "JPEG2000 38 bits": ("JPEG2000", lambda c: c[:42] + b"\x25" + c[43:], (BROKEN, READ)),
    "JPEG2000 subsampled": ("JPEG2000", lambda c: c[:43] + b"\xff\xff" + c[45:], (BROKEN,)),
    "JPEG2000 33 levels": (
        "JPEG2000",
        lambda c: c[: c.index(b"\xff\x52") + 9] + b"\x21" + c[c.index(b"\xff\x52") + 10 :],
        (BROKEN,),
    ),
    "JPEG2000 in a JP2 box": (
        "JPEG2000", lambda c: b"\0\0\0\x0cjP  \r\n\x87\n" + c, (BROKEN, BASE),
    ),
}  # fmt: skip


def _wrapped(*, table: bytes = b"", lie: int | None = None, after: bytes = b"") -> Wrap:
    """An offset table and one fragment; `lie`: the length stated for the fragment."""
    return lambda code: item(table) + item(even(code), lie) + after


WRAPS: dict[str, tuple[Wrap, tuple[Outcome, ...]]] = {
    "a table of one": (lambda c: encapsulate([c], has_bot=True), (BASE,)),
    "no table": (lambda c: encapsulate([c], has_bot=False), (BASE,)),
    "a table of nonsense": (_wrapped(table=b"\xff" * 40), (BASE, BROKEN)),
    "a table of 4000": (_wrapped(table=bytes(16000)), (BASE, BROKEN)),
    "a table of 3 bytes": (_wrapped(table=b"\0\0\0"), (BASE, BROKEN)),
    "a table of 4 GiB": (lambda c: item(b"\0\0\0\0", 0xFF000004) + item(even(c)), (BROKEN,)),
    "a table past the end": (lambda c: item(b"", 100_000) + item(even(c)), (BROKEN,)),
    "a table of undefined length": (lambda c: item(b"", 0xFFFFFFFF) + item(even(c)), (BROKEN,)),
    "a fragment of 4 GiB": (_wrapped(lie=0xFFFFFFF0), (BROKEN,)),
    "a fragment of undefined length": (_wrapped(lie=0xFFFFFFFF), (BROKEN,)),
    "a fragment past the end": (_wrapped(lie=500_000), (BROKEN,)),
    "a fragment of 0": (_wrapped(lie=0), (BROKEN,)),
    "a fragment of 8": (_wrapped(lie=8), (BROKEN,)),
    "an odd fragment": (lambda c: item(b"") + item(even(c)[:-1] or b"\0"), (BASE, BROKEN)),
    "fragments of 64 bytes": (
        lambda c: item(b"") + b"".join(item(even(c)[i : i + 64]) for i in range(0, len(c), 64)),
        (BASE,),
    ),
    "10,000 empty fragments": (
        lambda c: item(b"") + item(b"") * 10_000 + item(even(c)),
        (BASE, BROKEN),
    ),
    "an item inside an item": (lambda c: item(b"") + item(item(even(c))), (BROKEN,)),
    "no item at all": (lambda c: even(c), (BROKEN,)),
    "a table alone": (lambda c: item(b""), (BROKEN,)),
    "nothing": (lambda c: b"", (BROKEN,)),
    "two images": (lambda c: encapsulate([c, c]), (BASE, BROKEN)),
}

UNKNOWN = {
    "MPEG-4": "1.2.840.10008.1.2.4.102",
    "HTJ2K": "1.2.840.10008.1.2.4.201",
    "JPIP": "1.2.840.10008.1.2.4.94",
    "private": "1.3.6.1.4.1.99999.7",
    "text": "SECRET^PERSON",
    "long": "1.3.6.1.4.1." + "9" * 50,
}


def cases() -> Iterator[Case]:
    for codec in CODECS:
        yield _case(f"{codec} as it should be", compressed(codec), BASE)
        for name, (edit, outcomes) in DAMAGE.items():
            yield _case(f"{codec} {name}", compressed(codec, edit), *outcomes)
        spoilt = compressed(codec, lambda c: bytes(len(c)), (MIDDLE,))
        yield _case(f"{codec} one slice of zeros", spoilt, ONE_BROKEN)
        cut = compressed(codec, lambda c: c[: len(c) // 2], (MIDDLE,))
        yield _case(f"{codec} one slice cut", cut, ONE_BROKEN)
        for other in CODECS.keys() - {codec}:
            lying = compressed(codec, syntax=CODECS[other])
            yield _case(f"{codec} said to be {other}", lying, BROKEN)
    for name, edit in RLE.items():
        yield _case(f"RLE {name}", compressed("RLE", edit), BROKEN)
        yield _case(f"RLE {name} in one", compressed("RLE", edit, (MIDDLE,)), ONE_BROKEN)
    for codec in ("JPEG", "JPEG-LS", "JPEG2000"):
        for rows, columns in ((65535, 65535), (1, 1), (0, 0), (64, 63), (128, 64), (64, 65535)):
            lying = compressed(codec, size_claimed(codec, rows, columns))
            yield _case(f"{codec} claims {rows} x {columns}", lying, BROKEN)
    huge = compressed("JPEG2000", size_claimed("JPEG2000", 2**31, 2**31))
    yield _case("JPEG2000 claims 2^31 a side", huge, BROKEN)
    for name, (codec, edit, outcomes) in MARKERS.items():
        yield _case(name, compressed(codec, edit), *outcomes)
    for name, (wrap, outcomes) in WRAPS.items():
        yield _case(f"wrapped in {name}", compressed("JPEG2000", wrap=wrap), *outcomes)
        if outcomes == (BROKEN,):
            yield _case(f"wrapped in {name}, RLE", compressed("RLE", wrap=wrap), *outcomes)
            one = compressed("JPEG-LS", which=(MIDDLE,), wrap=wrap)
            yield _case(f"wrapped in {name}, one slice", one, ONE_BROKEN)
    for name, syntax in UNKNOWN.items():
        unknown = compressed("JPEG2000", syntax=syntax)
        yield _case(f"syntax {name}", unknown, Refused("can't be read here|damaged|DICOM"))
    yield from _lies()
    yield from _bits()


def _lies() -> Iterator[Case]:
    for codec in CODECS:
        other = compressed(codec, change=lambda one: setattr(one, "Rows", 32))
        yield _case(f"{codec} of another size than the header", other, BROKEN)
        wider = compressed(codec, change=lambda one: setattr(one, "BitsAllocated", 32))
        yield _case(f"{codec} of other bits than the header", wider, BROKEN, BASE, Refused("bit"))
    plain = compressed("JPEG2000", syntax="1.2.840.10008.1.2.1")
    yield _case("compressed, said to be plain", plain, BROKEN, Refused("pixel data|can't be used"))
    yield _case("plain, said to be compressed", _plain_said_compressed, BROKEN)
    yield _case("an extended offset table", _extended, BASE)


def _plain_said_compressed(base: Base, folder: Path) -> Path:
    slices = base.slices()
    for one in slices:
        one.file_meta.TransferSyntaxUID = CODECS["JPEG2000"]
    return write_bytes(folder / "in", [file_with(one, one.PixelData) for one in slices])


def _extended(base: Base, folder: Path) -> Path:
    slices = base.slices()
    for one, code in zip(slices, codes_of(base, "JPEG2000"), strict=True):
        value, one.ExtendedOffsetTable, one.ExtendedOffsetTableLengths = encapsulate_extended(
            [code]
        )
        held(one, value)
        one.file_meta.TransferSyntaxUID = CODECS["JPEG2000"]
    return write(folder / "in", slices)


def _bits() -> Iterator[Case]:
    """What lies above the high bit, and signs that stream and header see differently."""
    for codec in (None, "RLE", "JPEG-LS", "JPEG2000", "JPEG"):
        name = codec or "plain"
        yield _case(f"{name}, 12 bits with a drawing above", _stored(codec, dirty=True), BASE)
        yield _case(f"{name}, 13 bits signed", _stored(codec, signed=True), BASE)
        yield _case(f"{name}, 16 bits signed", _stored(codec, signed=True, bits=16), BASE)


def _stored(
    codec: str | None, *, dirty: bool = False, signed: bool = False, bits: int | None = None
) -> Make:
    """The base's numbers in 12 bits and a drawing in the four above, or signed."""
    bits = bits or (13 if signed else 12)

    def make(base: Base, folder: Path) -> Path:
        slices = base.slices()
        for one in slices:
            numbers = np.clip(plane_of(one).astype(np.int32), 0, 4095) - (1024 if signed else 0)
            plane = (numbers & ((1 << bits) - 1)).astype(np.uint16)
            if dirty:
                plane[20:40, 20:40] |= np.uint16(0xF000)
            one.RescaleIntercept = "0" if signed else "-1024"
            one.BitsStored, one.HighBit, one.PixelRepresentation = bits, bits - 1, int(signed)
            _put_plane(one, codec, plane, 16 if dirty else bits)
        return write(folder / "in", slices)

    return make


def _put_plane(one: Dataset, codec: str | None, plane: "np.ndarray", bits: int) -> None:
    if codec is None:
        one.PixelData = plane.tobytes()
        return
    held(one, encapsulate([encode(codec, plane, bits)]))
    one.file_meta.TransferSyntaxUID = CODECS[codec]


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("stream", name, make, outcomes)
