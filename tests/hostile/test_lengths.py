"""Lengths, sizes and code streams that lie: that slice is damaged, and no memory is spent on it."""

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.inputs.world import (
    Scan,
    assert_shows_patient,
    enhanced,
    only,
    reread,
    stored,
    write_scan,
)
from vfx_edge.errors import InputError
from vfx_edge.inputs import bounded, load_scan
from vfx_edge.inputs.codestream import checked
from vfx_edge.inputs.files import Source
from vfx_edge.inputs.headers import read_header

SCAN = Scan(step=(0, 0, 2))
MiB = 2**20


def compressed(one: Dataset, _index: int) -> None:
    one.compress(RLELossless)


def code_of(one: Dataset) -> bytes:
    return next(generate_frames(one.PixelData, number_of_frames=1))


def first_item(data: bytes | bytearray) -> int:
    """Where the offset table's length stands."""
    return data.rindex(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0") + 16


def table_of_4_gib(data: bytearray) -> None:
    data[first_item(data) : first_item(data) + 4] = b"\xf8\xff\xff\xff"


def fragment(data: bytearray) -> int:
    """Where the first code stream's item starts."""
    at = first_item(data)
    return at + 4 + int.from_bytes(data[at : at + 4], "little")


def fragment_of_4_gib(data: bytearray) -> None:
    at = fragment(data)
    data[at + 4 : at + 8] = b"\xf8\xff\xff\xff"


def cut_in_half(data: bytearray) -> None:
    del data[(first_item(data) + len(data)) // 2 :]


def of_code(change: Callable[[bytearray], object]) -> Callable[[bytearray], None]:
    def edit(data: bytearray) -> None:
        at = fragment(data)
        code = data[at + 8 :]
        change(code)
        data[at + 8 :] = code

    return edit


def no_segments(code: bytearray) -> None:
    code[0] = 0


def sixteen_segments(code: bytearray) -> None:
    code[0] = 16


def offset_beyond(code: bytearray) -> None:
    code[8:12] = b"\xff\xff\xff\x7f"


def offsets_that_fall(code: bytearray) -> None:
    code[8:12] = struct.pack("<I", 60)


def runs_without_end(code: bytearray) -> None:
    second = int.from_bytes(code[8:12], "little")
    code[64 : second - 2] = b"\x81\x07" * ((second - 66) // 2) + b"\0" * (second % 2)


def segment_that_ends_early(code: bytearray) -> None:
    second = int.from_bytes(code[8:12], "little")
    code[64:second] = b"\x80" * (second - 64)


DAMAGE = [
    table_of_4_gib,
    fragment_of_4_gib,
    cut_in_half,
    *map(of_code, (no_segments, sixteen_segments, offset_beyond, offsets_that_fall)),
    *map(of_code, (runs_without_end, segment_that_ends_early)),
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: getattr(d, "__name__", ""))
def test_one_damaged_slice_is_left_out_and_said(tmp_path: Path, damage) -> None:
    write_scan(tmp_path, SCAN, compressed)
    victim = sorted(tmp_path.iterdir())[13]
    data = bytearray(victim.read_bytes())
    damage(data)
    victim.write_bytes(data)
    before = psutil.Process().memory_info().vms
    volume = load_scan(tmp_path)
    assert psutil.Process().memory_info().vms - before < 1000 * MiB
    assert volume.image.values.shape[0] == 40
    assert only(volume.series.warnings, "1 damaged slice")
    assert_shows_patient(volume.image, tolerance_hu=30)


def test_a_damaged_byte_of_the_meta_information(tmp_path: Path) -> None:
    """Byte 197 of compressed files: a decoder that saw it kept 1.6 GB of our memory."""
    write_scan(tmp_path, SCAN, compressed)
    for path in sorted(tmp_path.iterdir()):
        data = bytearray(path.read_bytes())
        data[197] = 79
        path.write_bytes(data)
    before = psutil.Process().memory_info().rss
    with suppress(InputError):
        assert_shows_patient(load_scan(tmp_path).image)
    assert psutil.Process().memory_info().rss - before < 100 * MiB


def test_pixels_longer_than_stated_are_not_taken_from_what_follows(tmp_path: Path) -> None:
    def short(one: Dataset, _index: int) -> None:
        one.PixelData = one.PixelData[:-400]
        one.DataSetTrailingPadding = bytes(1000)

    write_scan(tmp_path, SCAN, short)
    with pytest.raises(InputError, match="can't be decoded"):
        load_scan(tmp_path)


def in_fragments(code: bytes, syntax: pydicom.uid.UID, one: Dataset) -> None:
    one.file_meta.TransferSyntaxUID = syntax
    one.PixelData = encapsulate([code], fragments_per_frame=5)
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True


@pytest.mark.parametrize("table", ["basic", "none", "extended"])
def test_frames_are_found_by_any_table_or_none(tmp_path: Path, table: str) -> None:
    one = enhanced(Scan())
    one.compress(RLELossless)
    frames = list(generate_frames(one.PixelData, number_of_frames=40))
    if table == "extended":
        parts = encapsulate_extended(frames)
        one.PixelData, one.ExtendedOffsetTable, one.ExtendedOffsetTableLengths = parts
    else:
        one.PixelData = encapsulate(frames, has_bot=table == "basic")
    one.save_as(tmp_path / "one.dcm", enforce_file_format=True)
    assert_shows_patient(load_scan(tmp_path / "one.dcm").image)


def test_a_slice_in_pieces(tmp_path: Path) -> None:
    def cut(one: Dataset, _index: int) -> None:
        one.compress(RLELossless)
        in_fragments(code_of(one), RLELossless, one)

    write_scan(tmp_path, SCAN, cut)
    assert_shows_patient(load_scan(tmp_path).image)


def deflated(path: Path, behind: bytes = b"") -> None:
    """The file anew, deflated, with something behind its pixels."""
    one = reread(path)
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if behind:
        one.DataSetTrailingPadding = behind
    one.save_as(path, enforce_file_format=True)


def test_a_deflate_bomb_behind_the_pixels_is_not_inflated(tmp_path: Path) -> None:
    write_scan(tmp_path, Scan(places=tuple(range(10)), rows=64))
    for path in tmp_path.iterdir():
        deflated(path, bytes(100 * MiB) if path.name.endswith("0") else b"")
    before = psutil.Process().memory_info().rss
    load_scan(tmp_path)
    assert psutil.Process().memory_info().rss - before < 60 * MiB


def bomb(path: Path, element: bytes) -> None:
    """A deflated file whose header holds 128 MiB of `element`."""
    data = path.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    old, new = ExplicitVRLittleEndian.encode() + b"\0", DeflatedExplicitVRLittleEndian.encode()
    meta = bytearray(data[:end])
    at = meta.index(old)
    meta[at - 2 : at + len(old)] = len(new).to_bytes(2, "little") + new
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(data[end : end + 70] + element)
    body += b"".join(packer.compress(bytes(MiB)) for _ in range(128)) + packer.flush()
    path.write_bytes(bytes(meta) + body)


@pytest.mark.parametrize("keyword", ["private", "read by us"])
def test_a_deflated_header_without_end_is_refused(tmp_path: Path, keyword: str) -> None:
    write_scan(tmp_path, Scan(places=(0,)))
    path = next(tmp_path.iterdir())
    tag = b"\x09\x00\x10\x10UN\0\0" if keyword == "private" else b"\x08\x00\x08\x00UN\0\0"
    bomb(path, tag + struct.pack("<I", 2**27))
    before = psutil.Process().memory_info().rss
    with pytest.raises(InputError, match="damaged DICOM files"):
        load_scan(tmp_path)
    with pytest.raises(ValueError, match="header"):
        bounded.read_file(path)
    assert psutil.Process().memory_info().rss - before < 60 * MiB


def test_pydicom_never_inflates_by_itself(tmp_path: Path) -> None:
    """The transfer syntax stands where only pydicom finds it: behind 64 KiB of meta information."""
    write_scan(tmp_path, Scan(places=(0,)))
    path = next(tmp_path.iterdir())
    bomb(path, b"")
    data = path.read_bytes()
    filler = b"\x02\x00\x02\x01OB\0\0" + struct.pack("<I", 2**16) + bytes(2**16)
    at = data.index(b"\x02\x00\x10\x00UI")
    path.write_bytes(data[:132] + filler + data[at:])
    assert not isinstance(read_header(Source(path, path.name)), tuple)


SIZE = (40, 44)


def jpeg(rows: int, columns: int, bits: int = 12, values: int = 1, frame: int = 0xC3) -> bytes:
    length = 8 + 3 * values
    head = struct.pack(">BBHBHHB", 0xFF, frame, length, bits, rows, columns, values)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"
    return b"\xff\xd8" + head + b"\x01\x11\x00" * values + scan + b"data\xff\xd9"


def jpeg_2000(rows: int, columns: int, tile: int = 4096, bits: int = 12, values: int = 1) -> bytes:
    sizes = struct.pack(">8I", columns, rows, 0, 0, tile, tile, 0, 0)
    parts = bytes([bits - 1, 1, 1]) * values
    siz = (
        struct.pack(">HHH", 0xFF51, 38 + 3 * values, 0) + sizes + struct.pack(">H", values) + parts
    )
    return b"\xff\x4f" + siz + b"\xff\x93data\xff\xd9"


def boxed(code: bytes) -> bytes:
    start = b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a"
    return start + struct.pack(">I4s", 0, b"jp2c") + code


GOOD = [
    (JPEGLossless, jpeg(*SIZE)),
    (JPEGLossless, jpeg(*SIZE) + b"\0"),
    (JPEGLSLossless, jpeg(*SIZE, frame=0xF7)),
    (JPEG2000Lossless, jpeg_2000(*SIZE)),
    (JPEG2000Lossless, boxed(jpeg_2000(*SIZE))),
]
BAD = [
    (JPEGLossless, jpeg(41, 44)),
    (JPEGLossless, jpeg(40, 65535)),
    (JPEGLossless, jpeg(0, 44)),
    (JPEGLossless, jpeg(*SIZE, values=3)),
    (JPEGLossless, jpeg(*SIZE, bits=17)),
    (JPEGLossless, jpeg(*SIZE, frame=0xF7)),
    (JPEGLSLossless, jpeg(*SIZE)),
    (JPEGLossless, jpeg(*SIZE)[:-2]),
    (JPEGLossless, b"\xff\xd8\xff\xda\x00\x02\xff\xd9"),
    (JPEGLossless, jpeg(*SIZE)[:8]),
    (JPEGLossless, b"\xff\xd8" + b"\xff" * 100),
    (JPEGLossless, b""),
    (JPEG2000Lossless, jpeg_2000(41, 44)),
    (JPEG2000Lossless, jpeg_2000(*SIZE, tile=0)),
    (JPEG2000Lossless, jpeg_2000(*SIZE, values=3)),
    (JPEG2000Lossless, jpeg_2000(*SIZE, bits=31)),
    (JPEG2000Lossless, jpeg_2000(*SIZE)[:-2]),
    (JPEG2000Lossless, jpeg_2000(*SIZE)[:30]),
    (JPEG2000Lossless, boxed(b"")),
    (JPEG2000Lossless, boxed(jpeg_2000(*SIZE))[:14]),
]


@pytest.mark.parametrize(("syntax", "code"), GOOD)
def test_a_stream_that_fits_its_header(syntax: str, code: bytes) -> None:
    stream = checked(code, syntax, *SIZE, 16)
    assert (stream.bits, stream.signed) == (12, False)
    assert stream.code[:2] in (b"\xff\xd8", b"\xff\x4f")


@pytest.mark.parametrize(("syntax", "code"), BAD)
def test_a_stream_that_does_not(syntax: str, code: bytes) -> None:
    with pytest.raises(ValueError, match=" "):
        checked(code, syntax, *SIZE, 16)


def test_too_many_tiles() -> None:
    with pytest.raises(ValueError, match="tiles"):
        checked(jpeg_2000(512, 512, tile=1), JPEG2000Lossless, 512, 512, 16)


def test_uncompressed_pixels_without_a_length(tmp_path: Path) -> None:
    """What is encapsulated though its syntax says plain is not read as numbers."""
    write_scan(tmp_path, SCAN, compressed)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        old, new = RLELossless.encode() + b"\0", ExplicitVRLittleEndian.encode() + b"\0"
        at = data.index(old)
        end = at - 2 + 2 + len(old)
        meta = bytearray(data[: at - 2] + len(new).to_bytes(2, "little") + new)
        meta[140:144] = (int.from_bytes(meta[140:144], "little") + len(new) - len(old)).to_bytes(
            4, "little"
        )
        path.write_bytes(bytes(meta) + data[end:])
    with pytest.raises(InputError, match="can't be decoded"):
        load_scan(tmp_path)


def rle_of(pixels: np.ndarray) -> bytes:
    """All bytes as literal runs, the highest of each number first."""
    planes = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(pixels.size, -1).T
    segments = []
    for plane in planes:
        data = plane.tobytes()
        runs = (data[at : at + 128] for at in range(0, len(data), 128))
        segments.append(b"".join(bytes([len(run) - 1]) + run for run in runs))
    starts = [64 + sum(map(len, segments[:n])) for n in range(len(segments))]
    return struct.pack(f"<I{len(starts)}I", len(starts), *starts).ljust(64, b"\0") + b"".join(
        segments
    )


@pytest.mark.parametrize("kind", [np.uint32, np.int32])
def test_rle_of_four_bytes_with_others_above_the_high_bit(tmp_path: Path, kind) -> None:
    def in_32_bits(one: Dataset, _index: int) -> None:
        pixels = np.frombuffer(one.PixelData, np.int16).astype(kind) | kind(0x7F000000)
        stored(one, pixels.reshape(one.Rows, one.Columns))
        one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 15, 1
        in_fragments(rle_of(pixels), RLELossless, one)

    write_scan(tmp_path, Scan(), in_32_bits)
    assert_shows_patient(load_scan(tmp_path).image)
