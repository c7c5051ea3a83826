"""The elements that are wanted of a plain header, found in half the time that pydicom takes.

Most files state explicit little endian elements of known kinds, one after another. Where a header
holds anything else, be it legal or not, the answer is None, and pydicom reads it. What the values
mean is pydicom's to say in both cases.
"""

import struct
from collections.abc import Container

from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from vfx_edge.inputs.bounded import DEFLATED, EXPLICIT_LITTLE_ENDIAN, LONG_FORMS

_SHORT_FORMS = {
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"),
    *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
}
_ELEMENT, _LONG = struct.Struct("<HH2sH").unpack_from, struct.Struct("<I").unpack_from
_OPEN = 0xFFFFFFFF
"""The length of what is ended by a delimiter."""
_ITEM, _ITEM_ENDS, _SEQUENCE_ENDS = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 32
"""No image has so many sequences within each other; of what has more pydicom may say what it is."""
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_SYNTAX, _SOP_CLASS = 0x00020010, 0x00080016


def plain_header(
    head: bytes, wanted: Container[int], last: int = 0xFFFFFFFF
) -> tuple[Dataset, str, int] | None:
    """What a file's first bytes state of the tags that are wanted, its transfer syntax, and where
    the element of its pixels starts, or the first beyond `last`; None where that is not plain."""
    if head[128:132] != b"DICM":
        return None
    try:
        return _walked(head, wanted, last)
    except struct.error:  # the header is longer
        return None


def _walked(head: bytes, wanted: Container[int], last: int) -> tuple[Dataset, str, int] | None:
    found: dict[BaseTag, DataElement | RawDataElement] = {}
    at, syntax, first_group = 132, "", 2
    while True:
        group, element, kind, length = _ELEMENT(head, at)
        tag, first = group << 16 | element, at + 8
        if kind in LONG_FORMS:
            (length,) = _LONG(head, first)
            first += 4
        elif kind not in _SHORT_FORMS:
            return None
        if tag > last or tag in _PIXELS:
            break
        if group < 8 and group != first_group:
            return None  # of the file's own description nothing stands behind or beside it
        first_group = first_group if group == 2 else -1
        if length == _OPEN:
            if kind != b"SQ" or tag in wanted:
                return None
            at = _behind_sequence(head, first)
            continue
        at = first + length
        if tag == _SYNTAX:
            syntax = head[first:at].decode("latin-1").strip("\0 ")
        elif tag in wanted:
            if kind in (b"SQ", b"UN") or at > len(head):
                return None
            found[BaseTag(tag)] = _raw(tag, kind.decode(), head[first:at], first)
    explicit = syntax == EXPLICIT_LITTLE_ENDIAN or syntax.startswith("1.2.840.10008.1.2.4.")
    if not explicit or syntax == DEFLATED or _SOP_CLASS not in found:
        return None
    dataset = Dataset(found)
    dataset.set_original_encoding(False, True, dataset._character_set)
    return dataset, syntax, at


def _raw(tag: int, kind: str, value: bytes, at: int) -> RawDataElement:
    stated = value or empty_value_for_VR(kind, raw=True)
    return RawDataElement(BaseTag(tag), kind, len(value), stated, at, False, True)  # type: ignore[arg-type]


def _behind_sequence(head: bytes, at: int) -> int:
    """The place behind a sequence without a stated length, all of whose items have none either;
    struct.error for any other."""
    open_ = [_SEQUENCE_ENDS]
    while open_:
        group, element, kind, length = _ELEMENT(head, at)
        tag = group << 16 | element
        if group == 0xFFFE:
            (length,) = _LONG(head, at + 4)
            at += 8
            if tag == open_[-1] and length == 0:
                open_.pop()
            elif tag == _ITEM and open_[-1] == _SEQUENCE_ENDS and length == _OPEN:
                open_.append(_ITEM_ENDS)
            else:
                raise struct.error("not plain")
            continue
        at += 8
        if kind in LONG_FORMS:
            (length,) = _LONG(head, at)
            at += 4
        plain = kind in LONG_FORMS or kind in _SHORT_FORMS
        if open_[-1] != _ITEM_ENDS or not plain or group >= 0x7FE0 or group < 8:
            raise struct.error("not plain")
        if length != _OPEN:
            at += length
        elif kind == b"SQ" and len(open_) < 2 * _DEEPEST:
            open_.append(_SEQUENCE_ENDS)
        else:
            raise struct.error("not plain")
    return at
