"""A pydicom data set -> plain Python values, whatever nonsense the file holds."""

import hashlib
import math
import re
import struct
from collections.abc import Callable
from typing import Any, TypeVar, cast

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_Made = TypeVar("_Made")
Facts = dict[str, Any]
"""Keyword -> value of a data set."""
_UID = re.compile(r"\d+(\.\d+)+")
_BROKEN = "not readable"
"""Stands for a value that can't be parsed: stated, but no number."""
_NUMBERS = {"DS", "IS", "UN"}
_SMALLEST = 1e-20
"""Text or another byte order, taken for binary numbers, comes out smaller or larger."""
_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_LONGEST = 1024
"""Characters of a text that is worth a look as numbers; six decimals of 16 make 101."""


_AS_THE_PIXELS = {Tag("PixelPaddingValue"), Tag("PixelPaddingRangeLimit")}
"""Signed or not as the pixels are, in some files."""


class Values:
    """Raw values as they were parsed once: the slices of a series state nearly the same.

    Good for one reading, and let go with it: it holds what identifies the patient.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Any] = {}

    def element(self, dataset: Dataset, tag: BaseTag) -> tuple[str, Any]:
        """(keyword, value); pydicom raises nearly anything on nonsense."""
        raw: Any = dataset.get_item(tag)
        if not isinstance(raw, RawDataElement) or raw.VR == "SQ" or tag in _AS_THE_PIXELS:
            return _keyword_and_value(dataset, tag)
        charset: Any = dataset.original_character_set
        charset = charset if isinstance(charset, str) else str(charset)
        key = (tag, raw.VR, raw.value, raw.is_little_endian, charset)
        if key not in self._known:
            self._known[key] = _keyword_and_value(dataset, tag)
        return cast(tuple[str, Any], self._known[key])

    def once(self, make: Callable[..., _Made], *stated: object) -> _Made:
        """`make` of what is stated, made once."""
        key = (make, *stated)
        if key not in self._known:
            self._known[key] = make(*stated)
        return cast(_Made, self._known[key])


def _keyword_and_value(dataset: Dataset, tag: BaseTag) -> tuple[str, Any]:
    element = dataset[tag]
    return element.keyword, element.value


def parsed(dataset: Dataset, values: Values | None = None) -> Facts:
    """Every value, parsed once; one that can't be parsed does not spoil the others."""
    values = values or Values()
    facts: Facts = {}
    for tag in list(dataset.keys()):
        try:
            keyword, value = values.element(dataset, tag)
            facts[keyword] = value
        except Exception:  # noqa: BLE001  pydicom raises nearly anything on nonsense
            facts[keyword_for_tag(tag)] = _as_written(dataset, tag)
    return facts


def _as_written(dataset: Dataset, tag: BaseTag) -> str:
    """The text of a number that pydicom takes for none: it may have a decimal comma."""
    raw: Any = dataset.get_item(tag)
    if raw is None or raw.VR not in _NUMBERS or not isinstance(raw.value, bytes):
        return _BROKEN
    return raw.value[:_LONGEST].decode("ascii", "replace")


def items(facts: Facts, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is absent or no sequence."""
    value = facts.get(keyword)
    return list(value) if isinstance(value, pydicom.Sequence) else []


def macros(group: Dataset) -> list[Facts]:
    """The first items of an enhanced file's functional group macros."""
    sequences = [v for v in parsed(group).values() if isinstance(v, pydicom.Sequence)]
    return [parsed(sequence[0]) for sequence in sequences if len(sequence)]


def printable(value: str) -> str:
    """The text on one line, without control characters."""
    if value.isprintable():
        return " ".join(value.split())
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def text(facts: Facts, keyword: str) -> str:
    """The value as text; empty where absent."""
    value = facts.get(keyword)
    return "" if value is None or isinstance(value, bytes) else str(value).strip("\0 ")


def letters(facts: Facts, keyword: str) -> str:
    """The value's letters and digits alone, in capitals."""
    stated = text(facts, keyword)
    return (stated if stated.isalnum() else "".join(filter(str.isalnum, stated))).upper()


def image_type(where: list[Facts]) -> tuple[str, ...]:
    """Frame type of an enhanced file, image type otherwise."""
    for keyword in ("FrameType", "ImageType"):
        for facts in where:
            if value := facts.get(keyword):
                words = [value] if isinstance(value, str) else value
                return tuple(str(word).strip().upper() for word in words)
    return ()


def integer(facts: Facts, keyword: str) -> int | None:
    """The value as a whole number; None where absent or none."""
    found = number([facts], keyword)
    return int(found) if found is not None else None


def number(where: list[Facts], keyword: str) -> float | None:
    """A finite number from the first of `where` that states the keyword, else None."""
    found = numbers(where, keyword, 1)
    return found[0] if found else None


def stated(where: list[Facts], keyword: str) -> bool:
    """Whether any of `where` states the keyword, be it nonsense."""
    for facts in where:
        value = facts.get(keyword)
        if isinstance(value, float) or (value is not None and str(value).strip("\0 ")):
            return True
    return False


def number_or(where: list[Facts], keyword: str, default: float) -> float:
    """The number; `default` where none is stated, NaN where nonsense is."""
    if not stated(where, keyword):
        return default
    found = number(where, keyword)
    return math.nan if found is None else found


def numbers(where: list[Facts], keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers from the first that states the keyword, else None.

    However they are written: as one text with backslashes, with blanks, with a decimal comma.
    """
    value = next((v for f in where if (v := f.get(keyword)) not in (None, "")), None)
    if value is None:
        return None
    try:
        values = _plain(value)
    except (TypeError, ValueError, OverflowError):
        values = _binary(value, count)
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _binary(value: Any, count: int) -> tuple[float, ...]:
    """Numbers under a representation of bytes (OD, OF); empty unless they can be some."""
    size = len(value) // count if isinstance(value, bytes) else 0
    if size not in (4, 8) or len(value) != size * count:
        return ()
    found = struct.unpack(f"<{count}{'f' if size == 4 else 'd'}", value)
    return found if all(v == 0 or _SMALLEST < abs(v) < 1 / _SMALLEST for v in found) else ()


def _plain(value: Any) -> tuple[float, ...]:
    if isinstance(value, (int, float)):
        return (float(value),)
    if not isinstance(value, (str, bytes)):
        try:
            return tuple(map(float, value))  # nearly always
        except ValueError:
            pass
    listed = [value] if isinstance(value, (str, bytes)) else list(value)
    return tuple(_float(part) for v in listed for part in _parts(v))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, bytes):
        value = value.decode("ascii")
    return value[:_LONGEST].split("\\") if isinstance(value, str) else [value]


def _float(value: Any) -> float:
    if not isinstance(value, str):
        return float(value)
    plain = value.strip("\0 \t\r\n")
    return float(plain.replace(",", ".") if _COMMA.fullmatch(plain) else plain)


def uid(facts: Facts, keyword: str) -> str:
    """The UID, or one made from it where it isn't one: UIDs become names of folders."""
    stated = text(facts, keyword)
    if len(stated) <= 64 and _UID.fullmatch(stated):
        return stated
    digest = hashlib.sha256(stated.encode("utf-8", "replace")).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
