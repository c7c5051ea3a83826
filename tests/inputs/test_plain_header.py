"""A plain header is read without pydicom's loop, and says the same as with it."""

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from vfx_edge.inputs import headers
from vfx_edge.inputs.files import Source
from vfx_edge.inputs.headers import Slice, Unusable, read_header
from vfx_edge.inputs.plain_header import plain_header


def _file() -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "1.2.3"
    ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 192", "Müller^Ä"
    item, inner = Dataset(), Dataset()
    inner.CodeValue, item.PurposeOfReferenceCodeSequence = "x", Sequence([Dataset(), inner])
    ds.ReferencedImageSequence = Sequence([item])
    for sequence in (ds.ReferencedImageSequence, item.PurposeOfReferenceCodeSequence):
        sequence.is_undefined_length = True
        for one in sequence:
            one.is_undefined_length_sequence_item = True
    ds.ImagePositionPatient, ds.PixelSpacing = [1, 2, 3.5], [0.7, 0.7]
    ds.Rows = ds.Columns = 2
    ds.BitsAllocated, ds.PixelPaddingValue, ds.PixelRepresentation = 16, -2000, 1
    ds.PixelData = bytes(8)
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


_FILE = _file()


def _read(path: Path, *, plain: bool) -> tuple[Slice, ...] | Unusable:
    with pytest.MonkeyPatch.context() as patch:
        if not plain:
            patch.setattr(headers, "plain_header", lambda *_: None)
        return read_header(Source(path, "x"))


def test_it_is_plain() -> None:
    assert plain_header(_FILE, {0x00080016}) is not None


@pytest.mark.parametrize(("depth", "is_plain"), [(20, True), (900, False)])
def test_a_well_of_sequences_is_as_deep_for_both(
    depth: int, is_plain: bool, tmp_path: Path
) -> None:
    """pydicom gives up where Python's stack ends."""
    item, ends = b"\xfe\xff\x00\xe0" + b"\xff" * 4, b"\xfe\xff%b\xe0" + bytes(4)
    opened = b"\x40\x00\x30\xa7SQ\0\0" + b"\xff" * 4
    well = (opened + item) * depth + (ends % b"\x0d" + ends % b"\xdd") * depth
    at = _FILE.index(b"\xe0\x7f\x10\x00OW")
    path = tmp_path / "deep.dcm"
    path.write_bytes(_FILE[:at] + well + _FILE[at:])
    assert (plain_header(path.read_bytes(), {0x00080016}) is not None) == is_plain
    assert _comparable(_read(path, plain=True)) == _comparable(_read(path, plain=False))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(132, len(_FILE) - 1), st.integers(0, 255)), max_size=4),
       st.integers(200, len(_FILE)))  # fmt: skip
def test_whatever_is_damaged_both_ways_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    damaged = bytearray(_FILE)
    for at, value in changes:
        damaged[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged.dcm"
    path.write_bytes(damaged if changes else damaged[:end])
    by_hand, by_pydicom = _read(path, plain=True), _read(path, plain=False)
    assert _comparable(by_hand) == _comparable(by_pydicom)


def _comparable(read: tuple[Slice, ...] | Unusable) -> object:
    """NaN is not equal to itself; its text is."""
    if isinstance(read, Unusable):
        return read
    return [{name: repr(getattr(s, name)) if name == "pixels" else getattr(s, name)
             for name in s.__dataclass_fields__} for s in read]  # fmt: skip
