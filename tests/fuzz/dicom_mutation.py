"""Mutations that keep a DICOM file a DICOM file: one element is changed, not any byte."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.target import packed, unpacked

LONG = {b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR", b"OD", b"OL"}
KINDS = (
    *(b"DS", b"IS", b"US", b"SS", b"LO", b"UI", b"CS", b"FD", b"UN", b"UT", b"SQ", b"OW", b"OB"),
    *(b"PN", b"UL", b"TM", b"DA", b"AT", b"ZZ"),
)
VALUES = (
    *(b"", b"0", b"-1", b"1e999", b"nan", b"inf", b"1e-30", b"0.001", b"4096", b"65535", b"-1024"),
    *(
        b"1\\0\\0\\0\\1\\0",
        b"0\\0\\0",
        b"nan\\nan\\nan",
        b"1\\1",
        b"12\\12",
        b"\\\\\\",
        b"2147483648",
    ),
    *(b"\xff\xff", b"\0\0", b"\x10\0", b"\x08\0", b"\x20\0", b"CT", b"MR", b"HU", b"LOCALIZER"),
    *(b"ORIGINAL\\PRIMARY\\AXIAL", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"1.2.3", b"\x1b$B\x1b(J"),
    *(b"9" * 300, b"\xff" * 64, b" " * 8, b"RGB", b"MONOCHROME1"),
)
INTERESTING = (0, 1, 2, 12, 255, 256, 4095, 65535, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True)
class Element:
    """tag: its four bytes."""

    tag: bytes
    kind: bytes
    value: bytes

    def written(self, length: int | None = None) -> bytes:
        stated = len(self.value) if length is None else length
        if self.kind in LONG:
            head = self.kind + b"\0\0" + struct.pack("<I", stated & 0xFFFFFFFF)
        else:
            head = self.kind + struct.pack("<H", stated & 0xFFFF)
        return self.tag + head + self.value


def elements(data: bytes) -> tuple[bytes, list[Element]]:
    """What stands before the first element, and the elements; the last may be no real one."""
    start = 132 if data[128:132] == b"DICM" else 0
    found, at = [], start
    while at + 8 <= len(data):
        tag, kind = data[at : at + 4], data[at + 4 : at + 6]
        if kind in LONG:
            length, begin = int.from_bytes(data[at + 8 : at + 12], "little"), at + 12
        else:
            length, begin = int.from_bytes(data[at + 6 : at + 8], "little"), at + 8
        end = min(begin + length, len(data))
        found.append(Element(tag, kind, data[begin:end]))
        at = end
    return data[:start], found


def mutated_file(data: bytes, rng: random.Random) -> bytes:
    """One element, or the bytes of one, changed."""
    head, found = elements(data)
    if len(found) < 3:
        return bytes_changed(data, rng)
    which = rng.randrange(len(found))
    written = [one.written() for one in found]
    written[which] = _changed(found, which, rng)
    return head + b"".join(written)


def _changed(found: list[Element], which: int, rng: random.Random) -> bytes:
    one = found[which]
    match rng.randrange(8):
        case 0:
            return b""
        case 1:
            return one.written() + found[rng.randrange(len(found))].written()
        case 2:
            return Element(one.tag, rng.choice(KINDS), one.value).written()
        case 3:
            return one.written(rng.choice(INTERESTING))
        case 4:
            number = rng.choice(INTERESTING)
            return Element(
                one.tag, one.kind, number.to_bytes(4, "little")[: rng.choice((2, 4))]
            ).written()
        case 5 | 6:
            value = rng.choice(VALUES)
            return Element(one.tag, one.kind, value + b" " * (len(value) % 2)).written()
        case _:
            return Element(one.tag, one.kind, bytes_changed(one.value, rng)).written()


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """Any bytes: some overwritten, taken out, repeated, or a number put in."""
    if not data:
        return rng.randbytes(2)
    at = rng.randrange(len(data))
    end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 64)))
    match rng.randrange(5):
        case 0:
            return data[:at] + rng.randbytes(end - at) + data[end:]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:end] + data[at:end] * rng.choice((1, 2, 30)) + data[end:]
        case 3:
            number = rng.choice(INTERESTING).to_bytes(4, rng.choice(("little", "big")))
            return data[:at] + number + data[at + 4 :]
        case _:
            return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def mutator(*, folder: bool) -> Callable[[bytes, int, int], bytes]:
    """Of one file, or of the files of an input: one of them, or all alike."""

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.2:
            return bytes_changed(data, rng)[:most]
        if not folder:
            return mutated_file(data, rng)[:most]
        files = list(unpacked(data))
        if not files:
            return bytes_changed(data, rng)[:most]
        if rng.random() < 0.5:
            which = rng.randrange(len(files))
            files[which] = mutated_file(files[which], rng)
        else:
            state = rng.getstate()
            for number, content in enumerate(files):
                rng.setstate(state)
                files[number] = mutated_file(content, rng)
        return packed(files)[:most]

    return mutate
