"""Numbers that are plain to see are read, however a writer put them; nonsense is refused."""

import struct
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.inputs.world import Scan, assert_shows_patient, enhanced, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

SCAN = Scan(places=tuple(range(15)), rows=18, columns=20, rows_mm=6.0, columns_mm=6.0)
SPACING, POSITION, AXES = (0x28, 0x30), (0x20, 0x32), (0x20, 0x37)
SLOPE, INTERCEPT, ROWS, STORED = (0x28, 0x1053), (0x28, 0x1052), (0x28, 0x10), (0x28, 0x101)
Tag = tuple[int, int]
LONG = (b"UT", b"UN", b"OB", b"UC", b"UR", b"SQ", b"OD", b"OF")


def element(tag: Tag, vr: bytes, value: bytes, undefined: bool = False) -> bytes:
    value += b" " * (len(value) % 2)
    length = 0xFFFFFFFF if undefined else len(value)
    head = struct.pack("<HH", *tag) + vr
    if vr in LONG:
        return head + b"\0\0" + struct.pack("<I", length) + value
    return head + struct.pack("<H", length) + value


def rewritten(folder: Path, tag: Tag, make: Callable[[bytes], bytes], vr: bytes) -> None:
    """Every file with the element's value as `make` gives it, under another representation."""
    for path in folder.iterdir():
        data = path.read_bytes()
        at = data.index(struct.pack("<HH", *tag), 132)
        size = struct.unpack("<H", data[at + 6 : at + 8])[0]
        new = element(tag, vr, make(data[at + 8 : at + 8 + size].rstrip(b" ")))
        path.write_bytes(data[:at] + new + data[at + 8 + size :])


def same(text: bytes) -> bytes:
    return text


def doubles(text: bytes) -> bytes:
    return b"".join(struct.pack("<d", float(v)) for v in text.split(b"\\"))


def singles(text: bytes) -> bytes:
    return b"".join(struct.pack("<f", float(v)) for v in text.split(b"\\"))


def comma(text: bytes) -> bytes:
    return b"\\".join(v.replace(b".", b",") if b"." in v else v + b",0" for v in text.split(b"\\"))


def blanks(text: bytes) -> bytes:
    return b" " + b" \\ ".join(text.split(b"\\")) + b" "


def plus(text: bytes) -> bytes:
    return b"\\".join(v if v[:1] == b"-" else b"+" + v for v in text.split(b"\\"))


@pytest.mark.parametrize("tag", [SPACING, POSITION, INTERCEPT], ids=str)
@pytest.mark.parametrize(
    ("make", "vr"),
    [(same, b"UT"), (same, b"LO"), (same, b"SH"), (same, b"UN"), (same, b"LT"), (doubles, b"FD"),
     (comma, b"DS"), (comma, b"LO"), (blanks, b"DS"), (blanks, b"UT"), (plus, b"DS"),
     (doubles, b"OD"), (singles, b"OF"),
     (lambda v: v + b"\0", b"DS"), (lambda v: v + b"\0\0", b"UN")],
)  # fmt: skip
def test_numbers_under_another_representation(tmp_path: Path, tag: Tag, make, vr) -> None:
    write_scan(tmp_path, SCAN)
    rewritten(tmp_path, tag, make, vr)
    assert_shows_patient(load_scan(tmp_path).image)


@pytest.mark.parametrize(("tag", "value"), [(ROWS, b"18"), (STORED, b"16")])
@pytest.mark.parametrize("vr", [b"IS", b"UT", b"LO"])
def test_whole_numbers_as_text(tmp_path: Path, tag: Tag, value: bytes, vr: bytes) -> None:
    write_scan(tmp_path, SCAN)
    rewritten(tmp_path, tag, lambda _old: value, vr)
    assert_shows_patient(load_scan(tmp_path).image)


@pytest.mark.parametrize(
    "value",
    [b"1e400", b"-1e400", b"nan", b"inf", b"1" * 60_000, b"1,2,3", b"1.2.3", b"\xff\xfe", b"six"],
)  # fmt: skip
@pytest.mark.parametrize(("tag", "vr"), [(SPACING, b"DS"), (INTERCEPT, b"UT")], ids=str)
def test_numbers_that_are_none(tmp_path: Path, tag: Tag, value: bytes, vr: bytes) -> None:
    write_scan(tmp_path, SCAN)
    text = value + b"\\" + value if tag == SPACING else value
    rewritten(tmp_path, tag, lambda _old: text[:65_000], vr)
    with pytest.raises(InputError, match=r"pixel spacing|intercept makes no sense"):
        load_scan(tmp_path)


def undefined_un(sequence: pydicom.Sequence, tag: Tag) -> bytes:
    """The sequence as UN of undefined length: its items are in implicit form (CP-246)."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_sequence_item

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, True
    for item in sequence:
        write_sequence_item(out, item, ["utf-8"])
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(tag, b"UN", out.getvalue() + end, undefined=True)


@pytest.mark.parametrize("which", ["Shared", "PerFrame"])
def test_sequences_as_unknown_of_undefined_length(tmp_path: Path, which: str) -> None:
    keyword = f"{which}FunctionalGroupsSequence"
    one = enhanced(SCAN)
    one.save_as(tmp_path / "one", enforce_file_format=True)
    data = (tmp_path / "one").read_bytes()
    tag = (0x5200, 0x9229 if which == "Shared" else 0x9230)
    at = data.index(struct.pack("<HH", *tag) + b"SQ")
    length = struct.unpack("<I", data[at + 8 : at + 12])[0]
    new = undefined_un(one[keyword].value, tag)
    (tmp_path / "one").write_bytes(data[:at] + new + data[at + 12 + length :])
    assert_shows_patient(load_scan(tmp_path).image)


def test_contrast_as_unknown_sequence_spoils_nothing(tmp_path: Path) -> None:
    def edit(one: Dataset, _index: int) -> None:
        one.ContrastBolusAgentSequence = Sequence([Dataset()])

    write_scan(tmp_path, SCAN, edit)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        tag = (0x18, 0x12)
        at = data.index(struct.pack("<HH", *tag) + b"SQ")
        length = struct.unpack("<I", data[at + 8 : at + 12])[0]
        new = undefined_un(pydicom.Sequence([Dataset()]), tag)
        path.write_bytes(data[:at] + new + data[at + 12 + length :])
    scan = load_scan(tmp_path)
    assert_shows_patient(scan.image)
    assert scan.series.contrast is True
