"""One DICOM file -> the facts of its slices, as plain Python values.

pydicom ends here as far as headers go: whatever a file says is turned into numbers or None,
and the rest of the reader never meets a DataElement.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Literal

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from vfx_edge.inputs.bounded import (
    DEFLATED,
    EXPLICIT_LITTLE_ENDIAN,
    LONG_FORMS,
    Inflating,
    read_dicom,
)
from vfx_edge.inputs.disc import DIRECTORY
from vfx_edge.inputs.facts import (
    Facts,
    Values,
    image_type,
    integer,
    items,
    letters,
    macros,
    number,
    number_or,
    numbers,
    parsed,
    stated,
    text,
    uid,
)
from vfx_edge.inputs.files import Source, state_of
from vfx_edge.inputs.marks import KEYWORDS as MARK_KEYWORDS
from vfx_edge.inputs.marks import Value, marks
from vfx_edge.inputs.patients import AGE_KEYWORD, PATIENT_KEYWORDS, Patient, patient
from vfx_edge.inputs.plain_header import plain_header
from vfx_edge.inputs.words import TYPED, Typed, typed
from vfx_edge.parallel import map_reading

_HEAD_BYTES = 2**15
_AT_ONCE = 256
"""Files whose first bytes are held in memory at a time."""
Vector = tuple[float, float, float]

BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
UNCOMPRESSED = {IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, BIG_ENDIAN, DEFLATED}
DECODABLE = {
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70)),  # JPEG
    *(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91)),  # JPEG-LS, JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE
}

_KEYWORDS = """
SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID
Modality ImageType Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation
BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit
RescaleSlope RescaleIntercept RescaleType PixelSpacing ImageOrientationPatient
ImagePositionPatient SliceThickness InstanceNumber
ContrastBolusAgent ContrastBolusVolume ContrastBolusAgentSequence
BodyPartExamined SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
ModalityLUTSequence SpecificCharacterSet
"""
_ALL = {*_KEYWORDS.split(), *TYPED, *MARK_KEYWORDS, *PATIENT_KEYWORDS, AGE_KEYWORD}
_TAGS: list[Any] = [Tag(k) for k in _ALL]
_WANTED = frozenset(map(int, _TAGS))


@dataclass(frozen=True)
class PixelElement:
    """kind: "pixels", "float" or "none". offset: byte of the first pixel (after inflating, where
    deflated). bytes_missing: how much an uncompressed file lacks. frames: as many as it holds."""

    kind: str
    offset: int
    bytes_missing: int
    frames: int = 1


@dataclass(frozen=True)
class PixelFormat:
    """How a slice's numbers are stored, and what turns them into Hounsfield units.

    padding: stored values from..to that stand for "not measured". rescale_stated: whether the
    header states slope and intercept; where it doesn't, they are 1 and 0.
    """

    syntax: str
    element: PixelElement
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    samples: int
    photometric: str
    slope: float
    intercept: float
    padding: tuple[int, int] | None
    rescale_type: str | None
    lut: bool
    rescale_stated: tuple[bool, bool] = (True, True)


@dataclass(frozen=True)
class Slice:
    """One slice: a file, or one frame of an enhanced file."""

    source: Source
    frame: int | None
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference: str
    modality: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    """(between rows, between columns)"""
    orientation: tuple[float, ...] | None
    position_mm: Vector | None
    thickness_mm: float | None
    instance: int | None
    kernel: str | None
    """As stated, to tell scans apart; never shown."""
    contrast: bool | None
    body_part: str
    typed: Typed
    patient: Patient
    """Tells patients apart; never shown."""
    pixels: PixelFormat
    age: str = field(default="", repr=False)
    """As stated ("071Y"), for a network that wants it; never shown."""
    marks: tuple[Value, ...] = field(default=(), repr=False)
    """Values of `marks.MARKS`: what may tell scans in one series apart."""


@dataclass(frozen=True)
class Unusable:
    """A file that gives no slices. damaged: it is DICOM, but broken."""

    name: str
    damaged: bool
    why: str = ""


def read_headers(sources: Sequence[Source]) -> Iterator[tuple[Slice, ...] | Unusable]:
    """The slices of each file, without their pixels.

    Threads wait for the disk, one parses: parsing is Python, of which only one can run.
    """
    values = Values()
    for at in range(0, len(sources), _AT_ONCE):
        some = sources[at : at + _AT_ONCE]
        for source, start in zip(some, map_reading(_start_of, some), strict=True):
            if isinstance(start, Unusable):
                yield start
            else:
                head, state = start
                yield _header(replace(source, state=state), head, state[0], values)


def read_header(source: Source) -> tuple[Slice, ...] | Unusable:
    """The slices of one file, without their pixels."""
    return next(read_headers((source,)))


def _start_of(source: Source) -> tuple[bytes, tuple[int, ...]] | Unusable:
    """The file's first bytes, where nearly every header lies wholly, and its state."""
    try:
        with source.path.open("rb", buffering=0) as file:
            return file.read(_HEAD_BYTES) or b"", state_of(file)
    except OSError as error:
        return Unusable(source.name, damaged=True, why=error.strerror or "unreadable")


def _header(source: Source, head: bytes, size: int, values: Values) -> tuple[Slice, ...] | Unusable:
    if not _looks_like_dicom(head):
        return Unusable(source.name, damaged=False)
    try:
        if whole := _from_head(source, head, size, values):
            return whole
        with source.path.open("rb") as file:
            return _from_file(source, file, None, size, values)
    except OSError as error:
        return Unusable(source.name, damaged=True, why=error.strerror or "unreadable")
    except Exception as error:  # noqa: BLE001  a broken file makes pydicom raise nearly anything
        return Unusable(source.name, damaged=head[128:132] == b"DICM", why=type(error).__name__)


def _from_head(source: Source, head: bytes, size: int, values: Values) -> tuple[Slice, ...] | None:
    """The slices, where the header lies wholly in the first bytes: one read, not hundreds."""
    stream = io.BytesIO(head)
    try:
        if plain := plain_header(head, _WANTED):
            dataset, syntax, at = plain
            stream.seek(at)
            found = _slices(source, dataset, syntax, stream, size, values)
        else:
            found = _from_file(source, stream, head, size, values)
    except Exception:  # noqa: BLE001  cut in the middle
        return None
    complete = isinstance(found, tuple) and found[0].pixels.element.kind != "none"
    return found if complete and isinstance(found, tuple) else None


def _from_file(
    source: Source, file: BinaryIO, head: bytes | None, size: int, values: Values
) -> tuple[Slice, ...] | Unusable:
    dataset, stream = read_dicom(file, _TAGS, head)
    if not isinstance(stream, Inflating):
        return _slices(source, dataset, _syntax(dataset), stream, size, values)
    found = _slices(
        source, dataset, _syntax(dataset), stream, sys.maxsize, values
    )  # inflated as it is read
    if isinstance(found, Unusable):
        return found
    return tuple(replace(s, pixels=replace(s.pixels, syntax=DEFLATED)) for s in found)


def _looks_like_dicom(head: bytes) -> bool:
    """With the preamble, or a bare data set that starts in group 2 or 8 (little endian)."""
    if head[128:132] == b"DICM":
        return True
    return len(head) > 132 and head[:2] in (b"\x08\x00", b"\x02\x00") and head[3:4] == b"\x00"


def _slices(
    source: Source, ds: Dataset, syntax: str, stream: BinaryIO, size: int, values: Values
) -> tuple[Slice, ...] | Unusable:
    facts = parsed(ds, values)
    if not text(facts, "SOPClassUID"):
        meta = getattr(ds, "file_meta", {})
        other = (
            getattr(ds, "preamble", None) is None
            or meta.get("MediaStorageSOPClassUID") == DIRECTORY
        )
        return Unusable(source.name, damaged=not other, why="no SOP class")
    frames = integer(facts, "NumberOfFrames") or 1
    at = pixel_element(facts, syntax, stream, size)
    groups = [macros(group) for group in items(facts, "PerFrameFunctionalGroupsSequence")]
    if frames == 1 and not groups:
        return (_slice(source, [facts], None, (syntax, at), values),)
    if len(groups) != frames:
        return Unusable(source.name, damaged=True, why=f"{frames} frames, {len(groups)} described")
    shared = [f for item in items(facts, "SharedFunctionalGroupsSequence") for f in macros(item)]
    return tuple(
        _slice(source, [*group, *shared, facts], i, (syntax, at), values)
        for i, group in enumerate(groups)
    )


def pixel_element(facts: Facts, syntax: str, stream: BinaryIO, size: int) -> PixelElement:
    """Where the pixels start, from the element that stopped the header."""
    order: Literal["big", "little"] = "big" if syntax == BIG_ENDIAN else "little"
    head = stream.read(12)
    group, tag = (int.from_bytes(head[i : i + 2], order) for i in (0, 2))
    if len(head) < 8 or group != 0x7FE0:
        return PixelElement("none", 0, 0)
    if tag != 0x0010:
        return PixelElement("float", 0, 0)
    explicit = head[4:6] in LONG_FORMS  # no even length of an implicit element reads like one
    if not explicit and syntax in DECODABLE | UNCOMPRESSED - {IMPLICIT_LITTLE_ENDIAN}:
        return PixelElement("none", 0, 0)
    offset = stream.tell() - len(head) + (12 if explicit else 8)
    frames = max(1, integer(facts, "NumberOfFrames") or 1)
    if (head[8:12] if explicit else head[4:8]) == b"\xff\xff\xff\xff":
        return PixelElement("pixels", offset, 0, frames)
    bits = (integer(facts, "BitsAllocated") or 0) * (integer(facts, "SamplesPerPixel") or 1)
    pixels = (integer(facts, "Rows") or 0) * (integer(facts, "Columns") or 0)
    wanted = pixels * frames * bits // 8
    return PixelElement("pixels", offset, max(0, offset + wanted - size), frames)


def _slice(
    source: Source,
    where: list[Facts],
    frame: int | None,
    pixels: tuple[str, PixelElement],
    known: Values,
) -> Slice:
    """The facts of one slice; `where`: what to look in, the most specific first."""
    facts = where[-1]
    spacing = numbers(where, "PixelSpacing", 2)
    position = numbers(where, "ImagePositionPatient", 3)
    return Slice(
        source=source,
        frame=frame,
        sop_class=text(facts, "SOPClassUID"),
        sop_uid=text(facts, "SOPInstanceUID"),
        study_uid=uid(facts, "StudyInstanceUID"),
        series_uid=uid(facts, "SeriesInstanceUID"),
        frame_of_reference=text(facts, "FrameOfReferenceUID"),
        modality=text(facts, "Modality").upper(),
        image_type=image_type(where),
        rows=integer(facts, "Rows") or 0,
        columns=integer(facts, "Columns") or 0,
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing else None,
        orientation=numbers(where, "ImageOrientationPatient", 6),
        position_mm=(position[0], position[1], position[2]) if position else None,
        thickness_mm=number(where, "SliceThickness"),
        instance=integer(facts, "InstanceNumber") if frame is None else None,
        kernel=_kernel(where),
        contrast=_contrast(facts),
        body_part=text(facts, "BodyPartExamined").upper(),
        typed=typed(where),
        patient=patient(facts, known),
        age=text(facts, AGE_KEYWORD),
        pixels=_pixel_format(where, *pixels),
        marks=marks(where, frame, known),
    )


def _pixel_format(where: list[Facts], syntax: str, at: PixelElement) -> PixelFormat:
    facts = where[-1]
    allocated = integer(facts, "BitsAllocated") or 0
    stored = integer(facts, "BitsStored") or allocated
    high_bit = integer(facts, "HighBit")
    return PixelFormat(
        syntax=syntax,
        element=at,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=integer(facts, "PixelRepresentation") == 1,
        samples=integer(facts, "SamplesPerPixel") or 1,
        photometric=text(facts, "PhotometricInterpretation").upper(),
        slope=number_or(where, "RescaleSlope", 1.0),
        intercept=number_or(where, "RescaleIntercept", 0.0),
        padding=_padding(facts),
        rescale_type=next((t for f in where if (t := letters(f, "RescaleType"))), None),
        lut="ModalityLUTSequence" in facts,
        rescale_stated=(stated(where, "RescaleSlope"), stated(where, "RescaleIntercept")),
    )


def _syntax(ds: Dataset) -> str:
    """The transfer syntax; of a file without a meta header, what pydicom made of it."""
    named = str(ds.file_meta.get("TransferSyntaxUID", "")) if hasattr(ds, "file_meta") else ""
    implicit, little = ds.original_encoding
    guessed = IMPLICIT_LITTLE_ENDIAN if implicit else EXPLICIT_LITTLE_ENDIAN
    return named.strip("\0 ") or (guessed if little else BIG_ENDIAN)


def _padding(facts: Facts) -> tuple[int, int] | None:
    """Padding as stored numbers: files state it signed or unsigned without regard to the pixels."""
    first, last = integer(facts, "PixelPaddingValue"), integer(facts, "PixelPaddingRangeLimit")
    if first is None:
        return None
    bits = min(integer(facts, "BitsAllocated") or 16, 64)
    signed = integer(facts, "PixelRepresentation") == 1

    def wrapped(value: int) -> int:
        value %= 1 << bits
        return value - (1 << bits) if signed and value >> (bits - 1) else value

    ends = sorted((wrapped(first), wrapped(first if last is None else last)))
    return ends[0], ends[1]


def _kernel(where: list[Facts]) -> str | None:
    value = next((v for facts in where if (v := facts.get("ConvolutionKernel"))), None)
    if value is None:
        return None
    words = [value] if isinstance(value, str) else value
    return " ".join(str(word) for word in words) or None


def _contrast(facts: Facts) -> bool | None:
    """True or False where the header says so; an empty agent says nothing."""
    if agent := text(facts, "ContrastBolusAgent").lower():
        return agent not in _NO_CONTRAST
    if items(facts, "ContrastBolusAgentSequence"):
        return True
    return True if (number([facts], "ContrastBolusVolume") or 0) > 0 else None


_NO_CONTRAST = {"no", "none", "without", "without contrast", "no contrast", "nein", "ohne", "n"}
