"""Ways to spoil a data set, or the bytes of a file."""

import struct
from collections.abc import Callable
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.hostile.corpus.case import MIDDLE, Base, Make, write, write_bytes

Edit = Callable[[Dataset, int], None]
"""Of a slice, with its number from the feet."""
EditBytes = Callable[[bytes, int], bytes]


def put(**values: object) -> Edit:
    """Sets the keywords; None deletes one."""

    def edit(one: Dataset, _index: int) -> None:
        for keyword, value in values.items():
            if value is not None:
                setattr(one, keyword, value)
            elif keyword in one:
                del one[keyword]

    return edit


def raw(keyword: str, value: bytes, vr: str | None = None) -> Edit:
    """Sets bytes that no library would write, in the VR given or in the element's own."""
    number = tag_for_keyword(keyword)
    assert number is not None, keyword
    tag = Tag(number)
    vr = vr or dictionary_VR(tag).split(" ")[0]
    padded = value + (b"\0" if vr in ("UI", "OB", "UN", "OW") else b" ") * (len(value) % 2)

    def edit(one: Dataset, _index: int) -> None:
        one[tag] = RawDataElement(tag, vr, len(padded), padded, 0, False, True)

    return edit


def each(*edits: Edit) -> Make:
    """The base with every slice edited."""

    def make(base: Base, folder: Path) -> Path:
        slices = base.slices()
        for index, one in enumerate(slices):
            for edit in edits:
                edit(one, index)
        return write(folder / "in", slices)

    return make


def only(edit: Edit, *which: int) -> Make:
    """The base with some slices edited, the middle one where none is named."""
    chosen = which or (MIDDLE,)
    return each(lambda one, index: edit(one, index) if index in chosen else None)


def each_bytes(edit: EditBytes, *which: int) -> Make:
    """The base with the bytes of every file, or of some, edited."""

    def make(base: Base, folder: Path) -> Path:
        contents = [
            edit(content, index) if not which or index in which else content
            for index, content in enumerate(base.contents)
        ]
        return write_bytes(folder / "in", contents)

    return make


def numbers(fmt: str, *values: float) -> bytes:
    """Little-endian binary values."""
    return struct.pack(f"<{len(values)}{fmt}", *values)


def pixel_element(content: bytes) -> int:
    """Where the pixel data element begins, in explicit little endian."""
    return content.rindex(b"\xe0\x7f\x10\x00O")
