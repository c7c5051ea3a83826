"""Long sequences as the bytes of a file (PS3.5 7.5, explicit VR little endian).

A result names every slice of its source, and a segmentation has an item for each of a thousand
frames: pydicom takes a good part of a millisecond for each. Put in as bytes, pydicom writes them as
they are, and parses them where somebody reads them.
"""

import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import correct_ambiguous_vr, write_dataset
from pydicom.tag import Tag

_ITEM = struct.Struct("<HHI")
_PADDING = {"UI": b"\0"}
"""What makes a value's length even; a blank with all others."""


def element(keyword: str, vr: str, value: str | bytes) -> bytes:
    """A data element with a short length; text has to be ASCII."""
    data = value.encode("ascii") if isinstance(value, str) else value
    data += _PADDING.get(vr, b" ") * (len(data) % 2)
    return _tag(keyword) + vr.encode("ascii") + struct.pack("<H", len(data)) + data


def sequence(keyword: str, items: Iterable[bytes]) -> bytes:
    """A sequence of encoded items."""
    data = _joined(items)
    return _tag(keyword) + b"SQ\0\0" + struct.pack("<I", len(data)) + data


def put(dataset: Dataset, **sequences: Iterable[bytes]) -> None:
    """Sets sequences, by keyword, of encoded items: the last thing before `dataset` is written."""
    # Told that it was read in this very encoding, pydicom does not parse what it is to write.
    correct_ambiguous_vr(dataset, is_little_endian=True)
    for keyword, items in sequences.items():
        data, tag = _joined(items), Tag(keyword)
        dataset[tag] = RawDataElement(tag, "SQ", len(data), data, 0, False, True)
    charset = convert_encodings(dataset.get("SpecificCharacterSet"))
    dataset.set_original_encoding(False, True, charset)


def encoded(dataset: Dataset) -> bytes:
    """What pydicom writes for a data set."""
    file: Any = DicomFileLike(BytesIO())
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset)
    return bytes(file.parent.getvalue())


def reference(sop_class: str, sop_instance: str) -> bytes:
    """The SOP Instance Reference Macro (PS3.3 Table 10-11)."""
    return element("ReferencedSOPClassUID", "UI", sop_class) + element(
        "ReferencedSOPInstanceUID", "UI", sop_instance
    )


def references(headers: Iterable[Dataset]) -> list[bytes]:
    """An item for each instance, once."""
    named = {str(header.SOPInstanceUID): str(header.SOPClassUID) for header in headers}
    return [reference(sop_class, sop_instance) for sop_instance, sop_class in named.items()]


def _joined(items: Iterable[bytes]) -> bytes:
    return b"".join(
        part for item in items for part in (_ITEM.pack(0xFFFE, 0xE000, len(item)), item)
    )


def _tag(keyword: str) -> bytes:
    tag = tag_for_keyword(keyword)
    assert tag is not None, "keywords are our own"
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)
