"""A DICOM Segmentation (PS3.3 A.51), as 3D Slicer and OHIF write it -> VerSe labels on its planes.

Frames come in any order and for some slices only; each says where it lies. They are laid on the
even stack that their places make.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID

from vfx_edge.errors import InputError
from vfx_edge.inputs.bounded import DEFLATED, Inflating, inflated_from, read_dicom
from vfx_edge.inputs.build import MAX_VOXELS
from vfx_edge.inputs.decoders import Decoders, decoders
from vfx_edge.inputs.facts import parsed
from vfx_edge.inputs.faults import SEGMENTATIONS, SPACING_MM
from vfx_edge.inputs.headers import (
    BIG_ENDIAN,
    DECODABLE,
    UNCOMPRESSED,
    PixelElement,
    pixel_element,
)
from vfx_edge.inputs.segment_names import coded_label
from vfx_edge.inputs.stored import Ahead, Frame, StoredNumbers
from vfx_edge.level_names import vertebra_label
from vfx_edge.study import Scan

Floats = NDArray[np.float64]
KINDS = ("BINARY", "FRACTIONAL", "LABELMAP")
SAME_AXES = 1e-3
SAME_PLANE_MM = 0.01
MAX_FRAMES = 200_000
MOST_BYTES = 2**30
FINEST = 16  # a stated distance this much smaller than that of the planes is none


class SegUnreadable(InputError):
    """The file can't be read as a segmentation."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} can't be read as a DICOM segmentation ({why}): export it again, or as "
            "a .nii.gz or .nrrd."
        )


class SegOfAnotherScan(InputError):
    """The segmentation says that it belongs elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} was drawn on another series than this CT (it names neither this series "
            "nor its frame of reference): give the segmentation of this series, or, where only "
            "UIDs were changed, export it as a .nii.gz or .nrrd."
        )


@dataclass(frozen=True, eq=False)
class SegStack:
    """numbers: (planes, rows, columns) segment numbers. affine: (plane, row, column, 1) -> LPS
    mm. labels: segment number -> VerSe label, where it has one."""

    numbers: NDArray[np.uint16]
    affine: Floats
    labels: dict[int, int]
    source_is_known: bool


@dataclass(frozen=True)
class _Frame:
    """at: position along normal, row direction, column direction in mm. segment: None where the
    pixels say it (LABELMAP)."""

    index: int
    segment: int | None
    at: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class _Stack:
    """axes: unit vectors (row direction, column direction, normal). pixel_mm: rows, columns."""

    frames: tuple[_Frame, ...]
    axes: Floats
    pixel_mm: tuple[float, float]
    step_mm: float
    even: bool


def read_dicom_seg(path: Path, like: Scan) -> SegStack:
    """SegUnreadable; SegOfAnotherScan where it was not drawn on `like`."""
    try:
        seg, pixels = _opened(path)
        known = _check_source(seg, like, path)
        stack = _stack(seg, path)
        with decoders() as processes:
            numbers, origin = _painted(
                seg, stack, _pixels(seg, stack.frames, path, pixels, processes), path
            )
        labels = _segments(seg)
    except InputError:
        raise
    except MemoryError:
        raise SegUnreadable(path, "it is too large") from None
    except Exception:  # noqa: BLE001  pydicom raises nearly anything on nonsense
        raise SegUnreadable(path, "it is damaged") from None
    affine = np.eye(4)
    row, column, normal = stack.axes
    affine[:3, :3] = np.column_stack(
        [normal * stack.step_mm, column * stack.pixel_mm[0], row * stack.pixel_mm[1]]
    )
    affine[:3, 3] = origin
    return SegStack(numbers, affine, labels, known)


def _opened(path: Path) -> tuple[Dataset, PixelElement]:
    with path.open("rb") as file:
        seg, stream = read_dicom(file)
        size = os.fstat(file.fileno()).st_size
        syntax = str(seg.file_meta.TransferSyntaxUID)
        if deflated := isinstance(stream, Inflating):
            seg.file_meta.TransferSyntaxUID, size = UID(DEFLATED), sys.maxsize
        element = pixel_element(parsed(seg), syntax, stream, size)
    if not str(seg.SOPClassUID).startswith(SEGMENTATIONS):
        known = UID(seg.SOPClassUID, IGNORE).type == "SOP Class"
        kind = seg.SOPClassUID.name if known else "file of another kind"
        raise SegUnreadable(path, f"it is a {kind}")
    if seg.get("SegmentationType") not in KINDS:
        raise SegUnreadable(path, "it states no known segmentation type")
    if element.kind != "pixels" or (element.bytes_missing and not deflated):
        raise SegUnreadable(path, "it is truncated")
    return seg, element


def _check_source(seg: Dataset, like: Scan, path: Path) -> bool:
    """Whether it can be checked: a CT that was no DICOM has no UIDs to compare."""
    if like.frame_of_reference is None:
        return False
    series = {str(s.get("SeriesInstanceUID", "")) for s in seg.get("ReferencedSeriesSequence", ())}
    same_frame = str(seg.get("FrameOfReferenceUID", "")) == like.frame_of_reference != ""
    if like.series.series_uid not in series and not same_frame:
        raise SegOfAnotherScan(path)
    return True


def _group(seg: Dataset, frame: Dataset, name: str) -> Dataset:
    """The first item of a functional group, of the frame or shared. LookupError."""
    for groups in (frame, *seg.get("SharedFunctionalGroupsSequence", ())):
        if name in groups:
            item: Dataset = groups[name].value[0]
            return item
    raise LookupError(name)


def _numbers(values: Sequence[Any], count: int) -> Floats:
    out = np.array([float(v) for v in values])
    if out.shape != (count,) or not np.isfinite(out).all():
        raise ValueError("not the numbers wanted")
    return out


def _stack(seg: Dataset, path: Path) -> _Stack:
    described = seg.PerFrameFunctionalGroupsSequence
    if len(described) != int(seg.NumberOfFrames) or not 0 < len(described) <= MAX_FRAMES:
        raise SegUnreadable(path, f"{seg.NumberOfFrames} frames, {len(described)} described")
    axes, pixel_mm = _grid(seg, described[0], path)
    frames = []
    for index, frame in enumerate(described):
        if np.abs(_grid(seg, frame, path)[0] - axes).max() > SAME_AXES:
            raise SegUnreadable(path, "its frames lie in several directions")
        corner = _numbers(_group(seg, frame, "PlanePositionSequence").ImagePositionPatient, 3)
        right, down, along = (float(v) for v in axes @ corner)
        frames.append(_Frame(index, _segment_of(seg, frame), (along, down, right)))
    measures = _group(seg, described[0], "PixelMeasuresSequence")
    step, even = _step(sorted({f.at[0] for f in frames}), measures)
    return _Stack(tuple(frames), axes, pixel_mm, step, even)


def _grid(seg: Dataset, frame: Dataset, path: Path) -> tuple[Floats, tuple[float, float]]:
    """Directions of a row and a column, the normal; distance of rows and of columns."""
    cosines = _numbers(_group(seg, frame, "PlaneOrientationSequence").ImageOrientationPatient, 6)
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(n - 1) for n in lengths) > 0.05 or abs(row @ column) > 0.02:
        raise SegUnreadable(path, "its orientation makes no sense")
    row = row / lengths[0]
    column = column - row * (row @ column)
    column /= np.linalg.norm(column)
    rows_mm, columns_mm = _numbers(_group(seg, frame, "PixelMeasuresSequence").PixelSpacing, 2)
    if not all(SPACING_MM[0] <= v <= SPACING_MM[1] for v in (rows_mm, columns_mm)):
        raise SegUnreadable(path, "its pixel spacing makes no sense")
    return np.stack([row, column, np.cross(row, column)]), (float(rows_mm), float(columns_mm))


def _segment_of(seg: Dataset, frame: Dataset) -> int | None:
    if seg.SegmentationType == "LABELMAP":
        return None
    return int(_group(seg, frame, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _stated(measures: Dataset, keyword: str) -> float | None:
    value = abs(float(measures.get(keyword) or 0))
    return value if SPACING_MM[0] <= value <= SPACING_MM[1] else None


def _step(places: list[float], measures: Dataset) -> tuple[float, bool]:
    """Of the even stack that the planes lie on, of which not all need be there; where they lie
    unevenly, a fine one, and False."""
    apart = _stated(measures, "SpacingBetweenSlices")
    gaps = [gap for gap in np.diff(places).tolist() if gap > SAME_PLANE_MM]
    if not gaps:
        return apart or _stated(measures, "SliceThickness") or 1.0, True
    whole = places[-1] - places[0]
    for guess in (apart, min(gaps)):
        if guess is not None and guess > min(gaps) / FINEST:
            step = whole / max(round(whole / guess), 1)
            rungs = (np.array(places) - places[0]) / step
            if np.abs(rungs - np.rint(rungs)).max() < 0.1:
                return float(step), True
    return float(max(min(gaps) / 2, SPACING_MM[0])), False


def _painted(
    seg: Dataset, stack: _Stack, images: Iterator[tuple[_Frame, NDArray[Any]]], path: Path
) -> tuple[NDArray[np.uint16], Floats]:
    """Segment numbers on the even stack, and where its first voxel lies. Where segments overlap
    the larger fraction wins, then the lower number. Frames may drift within their plane (tilt)."""
    at = np.array([frame.at for frame in stack.frames])
    first = at.min(0)
    mm = np.array([stack.step_mm, *stack.pixel_mm])
    shift = np.rint((at - first) / mm).astype(int)
    rows, columns = int(seg.Rows), int(seg.Columns)
    shape = shift.max(0) + np.array([1, rows, columns])
    if min(rows, columns) < 1 or np.prod(shape.astype(float)) > MAX_VOXELS:
        raise SegUnreadable(path, "it has too many voxels")
    numbers = np.zeros(tuple(int(n) for n in shape), np.uint16)
    best = np.zeros(numbers.shape if seg.SegmentationType == "FRACTIONAL" else (0,), np.uint8)
    for frame, pixels in images:
        plane, down, right = (int(n) for n in shift[frame.index])
        box = (plane, slice(down, down + rows), slice(right, right + columns))
        if frame.segment is None:
            numbers[box] = np.where(numbers[box] == 0, pixels, numbers[box])
        elif not len(best):
            numbers[box][(pixels > 0) & (numbers[box] == 0)] = frame.segment
        else:
            wins = (pixels >= _half(seg)) & (pixels > best[box])
            numbers[box][wins], best[box][wins] = frame.segment, pixels[wins]
    row, column, normal = stack.axes
    along, down_mm, right_mm = first
    if not stack.even:
        _fill(numbers, sorted(set(shift[:, 0].tolist())))
    return numbers, normal * along + column * down_mm + row * right_mm


def _half(seg: Dataset) -> float:
    return float(seg.get("MaximumFractionalValue", 255)) / 2


def _fill(numbers: NDArray[np.uint16], planes: list[int]) -> None:
    """On a grid finer than the planes, those between take after the nearest, across a usual gap."""
    usual = float(np.median(np.diff(planes)))
    for lower, upper in pairwise(planes):
        if upper - lower <= 1.5 * usual:
            middle = (upper + lower + 1) // 2
            numbers[lower + 1 : middle] = numbers[lower]
            numbers[middle:upper] = numbers[upper]


def _pixels(
    seg: Dataset,
    frames: Sequence[_Frame],
    path: Path,
    element: PixelElement,
    processes: Decoders,
) -> Iterator[tuple[_Frame, NDArray[Any]]]:
    """Each frame (rows, columns), by plane and segment; never all of them at once."""
    bits, rows, columns = int(seg.BitsAllocated), int(seg.Rows), int(seg.Columns)
    syntax = str(seg.file_meta.TransferSyntaxUID)
    if bits not in (1, 8, 16) or (bits == 1 and seg.SegmentationType != "BINARY"):
        raise SegUnreadable(path, "its bit depth makes no sense")
    if syntax not in UNCOMPRESSED and (bits == 1 or syntax not in DECODABLE):
        raise SegUnreadable(path, "its compression can't be read here")
    plain = _bytes(path, element, syntax, (rows * columns * bits * len(frames) + 7) // 8)
    numbers = StoredNumbers(processes)
    for frame in sorted(frames, key=lambda f: (f.at[0], f.segment or 0, f.index)):
        if syntax in UNCOMPRESSED:
            size = rows * columns
            flat = _stored(plain, frame.index * size, size, bits, syntax == BIG_ENDIAN)
            yield frame, flat.reshape(rows, columns)
        else:
            one = Frame(path, frame.index, rows, columns, syntax, element, bits, signed=False)
            yield frame, next(numbers.of([one]))


def _bytes(path: Path, element: PixelElement, syntax: str, needed: int) -> bytes | bytearray:
    """All pixels of an uncompressed file; none of a compressed one."""
    if syntax not in UNCOMPRESSED:
        return b""
    if needed > MOST_BYTES:
        raise SegUnreadable(path, "it is too large")
    with path.open("rb") as file:
        if syntax == DEFLATED:
            return Ahead(inflated_from(file, element.offset)).take(needed)
        file.seek(element.offset)
        found = bytearray(min(needed, os.fstat(file.fileno()).st_size))
        if file.readinto(found) != needed:
            raise SegUnreadable(path, "it is truncated")
        return found


def _stored(
    data: bytes | bytearray, first: int, size: int, bits: int, swapped: bool
) -> NDArray[Any]:
    """`size` pixels from number `first`; single bits run on across frames (PS3.5 8.1.1)."""
    if bits == 1:
        part = np.frombuffer(data[first // 8 : (first + size + 7) // 8], np.uint8)
        return np.unpackbits(part, bitorder="little")[first % 8 : first % 8 + size]
    kind = np.dtype(f"{'>' if swapped else '<'}u{bits // 8}")
    return np.frombuffer(data, kind, size, first * bits // 8)


def _segments(seg: Dataset) -> dict[int, int]:
    """Number -> VerSe label where name or code say a vertebra."""
    labels = {}
    for segment in seg.SegmentSequence:
        number = int(segment.SegmentNumber)
        label = next(filter(None, _meanings(segment)), None)
        if label is not None:
            labels[number] = label
    return labels


def _meanings(segment: Dataset) -> Iterator[int | None]:
    """What a person typed comes first: programs keep the code when a segment is renamed."""
    yield vertebra_label(str(segment.get("SegmentLabel", "")))
    yield vertebra_label(str(segment.get("SegmentDescription", "")))
    for keyword in ("SegmentedPropertyTypeCodeSequence", "AnatomicRegionSequence"):
        for code in segment.get(keyword, ()):
            value, scheme = (
                str(code.get("CodeValue", "")),
                str(code.get("CodingSchemeDesignator", "")),
            )
            yield coded_label(value, scheme)
            yield vertebra_label(str(code.get("CodeMeaning", "")))
