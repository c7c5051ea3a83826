"""What DICOM results repeat of their source, each value checked against the standard or left out.

A closed list: patient and study as far as an archive files by them, and where the slices lie. No
sequence of the source is repeated, nor any text that is not needed: what a file holds may be
broken at any depth, and a result that repeats it is broken, too.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, TM, PersonName, format_number_as_ds

from vfx_edge.inputs.facts import Facts, integer, items, macros, numbers, parsed, text

UTF_8 = "ISO_IR 192"
_LONG, _SHORT = 64, 16
_AGE = re.compile(r"\d{3}[DWMY]", re.ASCII)
_DATE, _TIME = (
    re.compile(r"\d{8}", re.ASCII),
    re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", re.ASCII),
)
_UID = re.compile(r"\d+(\.\d+)+", re.ASCII)


def _line(value: str, longest: int) -> str:
    """A text of one value (PS3.5 6.2, LO and SH); empty where it is none."""
    return value if len(value) <= longest and value.isprintable() and "\\" not in value else ""


def _name(value: str) -> str:
    """A person's name: up to three groups of up to 64 characters in five parts (PS3.5 6.2, PN)."""
    groups = [group.rstrip("^ ") for group in value.split("=")]
    fits = all(_line(group, _LONG) == group and group.count("^") < 5 for group in groups)
    return "=".join(groups).rstrip("=") if fits and len(groups) <= 3 else ""


def _date(value: str) -> str:
    return value if _DATE.fullmatch(value) and _parses(DA, value) else ""


def _time(value: str) -> str:
    return value if _TIME.fullmatch(value) and _parses(TM, value) else ""


def _parses(kind: Callable[[str], object], value: str) -> bool:
    try:
        return kind(value) is not None
    except ValueError:
        return False


_REQUIRED: dict[str, Callable[[str], str]] = {
    "PatientName": _name,
    "PatientID": lambda value: _line(value, _LONG),
    "PatientBirthDate": _date,
    "PatientSex": lambda value: value if value in ("M", "F", "O") else "",
    "StudyDate": _date,
    "StudyTime": _time,
    "StudyID": lambda value: _line(value, _SHORT),
    "AccessionNumber": lambda value: _line(value, _SHORT),
    "ReferringPhysicianName": _name,
}
"""Type 2 (PS3.3 C.7.1.1, C.7.2.1): there in every result, empty where the source has none that is
valid."""
_OPTIONAL: dict[str, Callable[[str], str]] = {
    "IssuerOfPatientID": lambda value: _line(value, _LONG),
    "PatientAge": lambda value: value if _AGE.fullmatch(value) else "",
}
_MEASURED = ("PatientSize", "PatientWeight")
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
         "FrameOfReferenceUID")  # fmt: skip
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_PLANE = {"ImageOrientationPatient": 6, "PixelSpacing": 2}
KEYWORDS = (
    *("SpecificCharacterSet", *_UIDS, *_REQUIRED, *_OPTIONAL, *_MEASURED),
    *("PatientIdentityRemoved", "Modality", "SeriesNumber", "InstanceNumber", "Rows", "Columns"),
    *("NumberOfFrames", *_PLANE, "ImagePositionPatient", "SliceThickness", *_GROUPS, *_LOSSY),
)
"""What is read of a header for it."""
DEIDENTIFIED = "as the source images"


def repeated(header: Dataset) -> Dataset:
    """A header with nothing but that, as Unicode, whatever `header` is like."""
    facts, made = parsed(header), Dataset()
    made.SpecificCharacterSet = UTF_8
    for keyword in _UIDS:
        if _UID.fullmatch(value := text(facts, keyword)):
            setattr(made, keyword, UID(value))
    made.Modality = "CT" if text(facts, "Modality") != "MR" else "MR"
    made.PositionReferenceIndicator = ""
    _add_people(made, facts)
    _add_lossy(made, facts)
    for keyword in ("SeriesNumber", "InstanceNumber", "Rows", "Columns", "NumberOfFrames"):
        number = integer(facts, keyword)
        if number is not None and abs(number) < 2**31:
            setattr(made, keyword, number)
    _add_places(made, facts)
    return made


def is_uid(value: str) -> bool:
    """Whether it can be one (PS3.5 9.1)."""
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def add_place(made: Dataset, position_mm: Sequence[float], instance: int | None) -> None:
    """What a slice of a series has by itself, but for its UID."""
    if instance is not None and abs(instance) < 2**31:
        made.InstanceNumber = instance
    made.ImagePositionPatient = _decimals(position_mm)


def has_uid(header: Dataset, keyword: str) -> bool:
    """Whether the source states a UID that can be one."""
    return len(header.get(keyword, "")) in range(1, 65)


def _add_people(made: Dataset, facts: Facts) -> None:
    for keyword, checked in _REQUIRED.items():
        value = checked(_single(facts, keyword))
        setattr(made, keyword, PersonName(value) if checked is _name else value)
    for keyword, checked in _OPTIONAL.items():
        if value := checked(_single(facts, keyword)):
            setattr(made, keyword, value)
    for keyword in _MEASURED:
        found = numbers([facts], keyword, 1)
        if found and 0 < found[0] < 1000:
            setattr(made, keyword, _decimals(found)[0])
    if _single(facts, "PatientIdentityRemoved") == "YES":
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = DEIDENTIFIED  # type 1C: there where the identity was removed


def _single(facts: Facts, keyword: str) -> str:
    """The value as text; empty where there are several, or it is no text."""
    value = facts.get(keyword)
    return text(facts, keyword).strip() if isinstance(value, str | PersonName) else ""


def _add_lossy(made: Dataset, facts: Facts) -> None:
    """That the source was compressed with loss, where it says how (PS3.3 C.7.6.1.1.5)."""
    methods = facts.get(_LOSSY[2])
    named = [methods] if isinstance(methods, str) else list(methods or ())
    valid = [str(name) for name in named if re.fullmatch("[A-Z0-9_ ]{1,16}", str(name))]
    ratios = numbers([facts], _LOSSY[1], len(named)) if named and len(valid) == len(named) else None
    if text(facts, _LOSSY[0]) == "01" and ratios and min(ratios) > 0:
        values = ("01", _decimals(ratios), valid)
        for keyword, value in zip(_LOSSY, values, strict=True):
            setattr(made, keyword, value)


def _add_places(made: Dataset, facts: Facts) -> None:
    """Where the slices lie; of an enhanced file in its functional groups."""
    groups = [macros(group) for group in items(facts, _GROUPS[1])]
    if not groups:
        _add_numbers(made, [facts], {**_PLANE, "ImagePositionPatient": 3, "SliceThickness": 1})
        return
    shared = [found for item in items(facts, _GROUPS[0]) for found in macros(item)]
    frames = [[*group, *shared, facts] for group in groups]
    alike = all(_plane(frame) == _plane(frames[0]) for frame in frames)
    common = Dataset()
    if alike:
        _add_plane(common, frames[0])
    made.SharedFunctionalGroupsSequence = [common]
    made.PerFrameFunctionalGroupsSequence = [
        _group(frame, with_plane=not alike) for frame in frames
    ]


def _group(frame: list[Facts], *, with_plane: bool) -> Dataset:
    position, group = Dataset(), Dataset()
    _add_numbers(position, frame, {"ImagePositionPatient": 3})
    group.PlanePositionSequence = [position]
    if with_plane:
        _add_plane(group, frame)
    return group


def _plane(frame: list[Facts]) -> list[tuple[float, ...] | None]:
    return [
        numbers(frame, keyword, count) for keyword, count in {**_PLANE, "SliceThickness": 1}.items()
    ]


def _add_plane(group: Dataset, frame: list[Facts]) -> None:
    """The macros PS3.3 C.7.6.16.2.1 and C.7.6.16.2.4."""
    orientation, measures = Dataset(), Dataset()
    _add_numbers(orientation, frame, {"ImageOrientationPatient": 6})
    _add_numbers(measures, frame, {"PixelSpacing": 2, "SliceThickness": 1})
    group.PlaneOrientationSequence, group.PixelMeasuresSequence = [orientation], [measures]


def _add_numbers(made: Any, where: list[Facts], counts: dict[str, int]) -> None:
    for keyword, count in counts.items():
        found = numbers(where, keyword, count)
        if found is not None:
            values = _decimals(found)
            setattr(made, keyword, values if count > 1 else values[0])


def _decimals(values: Sequence[float]) -> list[str]:
    """As decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value)) for value in values]
