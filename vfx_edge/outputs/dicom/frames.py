"""The frames of a Segmentation on the planes of its source, all at once.

highdicom makes the object of one plane. The others differ from it in their pixels, their place and
the slice that they lie on; made one by one they would cost more than all the rest of the results.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from highdicom.spatial import VOLUME_INDEX_CONVENTION, get_normal_vector, get_volume_positions
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from vfx_edge.outputs.dicom.encoded import element, encoded, put, reference, sequence
from vfx_edge.outputs.dicom.slices import SourceSlice
from vfx_edge.outputs.dicom.write import Unplaceable
from vfx_edge.outputs.labels import Box
from vfx_edge.study import DicomSource

_ALIKE = ("StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "FrameOfReferenceUID")
Floats = NDArray[np.float64]
Numbers = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Shown:
    """planes: indices of those with any segment, along the slices' normal. there: (planes,
    segments) whether the segment is on it."""

    planes: NDArray[np.intp]
    there: NDArray[np.bool_]

    def of(self, segment: int) -> NDArray[np.intp]:
        """The planes of a segment, which is counted from 0."""
        return self.planes[self.there[:, segment]]


def check_alike(source: DicomSource) -> None:
    """Unplaceable where the slices can't be the planes of one object."""
    first = [source.first.get(keyword) for keyword in _ALIKE]
    if any([header.get(keyword) for keyword in _ALIKE] != first for header in source.instances):
        raise Unplaceable("its slices differ in series, size or frame of reference")


def add_frames(
    segmentation: Any, numbers: Numbers, box: Box, slices: Sequence[SourceSlice]
) -> None:
    """Fills a Segmentation that was made of one plane, and is to be written as it is then.

    numbers: (planes, rows, columns) segment numbers, 0 beyond the box. slices: of each plane.
    Frames come segment by segment, in each along the slices' normal; where a segment is not on a
    plane there is none.
    """
    positions = np.array([s.position_mm for s in slices])
    across = get_normal_vector(
        slices[0].directions.ravel(), index_convention=VOLUME_INDEX_CONVENTION
    )
    shown = _shown(numbers, box, np.argsort(positions @ across), len(segmentation.SegmentSequence))
    segmentation.NumberOfFrames = int(shown.there.sum())
    segmentation.PixelData = _packed(numbers, box, shown)
    _add_distances(segmentation, positions, slices[0].directions.ravel(), shown)
    template = segmentation.PerFrameFunctionalGroupsSequence[0]
    named = [reference(s.sop_class, s.sop_instance) for s in slices]
    (series,) = segmentation.ReferencedSeriesSequence
    its_uid = element("SeriesInstanceUID", "UI", series.SeriesInstanceUID)
    put(
        segmentation,
        PerFrameFunctionalGroupsSequence=_groups(template, slices, shown),
        SourceImageSequence=named,
        ReferencedSeriesSequence=[sequence("ReferencedInstanceSequence", named) + its_uid],
    )


def _shown(numbers: Numbers, box: Box, order: NDArray[np.intp], count: int) -> _Shown:
    pixels = np.zeros((len(numbers), count + 1), np.intp)
    for at in range(box[0].start, box[0].stop):
        pixels[at] = np.bincount(numbers[at, box[1], box[2]].ravel(), minlength=count + 1)
    there = pixels[order, 1:] > 0
    some = there.any(axis=1)
    return _Shown(order[some], there[some])


def _packed(numbers: Numbers, box: Box, shown: _Shown) -> bytes:
    """One bit a pixel, without a gap between frames (PS3.5 8.1.1), of even length."""
    if numbers.shape[2] % 8 == 0:
        return _packed_rows(numbers, box, shown)
    parts, rest = [], np.empty(0, np.bool_)
    for segment in range(shown.there.shape[1]):
        bits = (numbers[shown.of(segment)] == segment + 1).ravel()
        bits = np.concatenate([rest, bits]) if rest.size else bits
        whole = bits.size - bits.size % 8
        parts.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        rest = bits[whole:]
    packed = b"".join([*parts, np.packbits(rest, bitorder="little").tobytes()])
    return packed + b"\0" * (len(packed) % 2)


def _packed_rows(numbers: Numbers, box: Box, shown: _Shown) -> bytes:
    """The same where a row fills whole bytes: those beyond the box stay as they are."""
    _, rows, columns = numbers.shape
    first, after = box[2].start // 8, -(-box[2].stop // 8)
    column = numbers[:, box[1], 8 * first : 8 * after]
    packed = np.zeros((int(shown.there.sum()), rows, columns // 8), np.uint8)
    at = 0
    for segment in range(shown.there.shape[1]):
        on = shown.of(segment)
        bits = np.packbits(column[on] == segment + 1, axis=2, bitorder="little")
        packed[at : at + len(on), box[1], first:after] = bits
        at += len(on)
    data = packed.tobytes()
    return data + b"\0" * (len(data) % 2)


def _groups(template: Dataset, slices: Sequence[SourceSlice], shown: _Shown) -> Iterator[bytes]:
    """Items of the Per-Frame Functional Groups Sequence (PS3.3 A.51.5), elements by their tags."""
    single = shown.there.shape[1] == 1
    derivation = _derivation(template)
    planes = {
        plane: (rank, derivation(slices[plane]), _place(slices[plane]))
        for rank, plane in enumerate(shown.planes.tolist(), start=1)
    }
    for number in range(1, shown.there.shape[1] + 1):
        segment = element("ReferencedSegmentNumber", "US", struct.pack("<H", number))
        # of a single one the frames share it, and highdicom has stated that
        named = b"" if single else sequence("SegmentIdentificationSequence", [segment])
        for plane in shown.of(number - 1).tolist():
            rank, made_from, place = planes[plane]
            index = element("DimensionIndexValues", "UL", struct.pack("<II", number, rank))
            yield made_from + sequence("FrameContentSequence", [index]) + place + named


def _derivation(template: Dataset) -> Callable[[SourceSlice], bytes]:
    """The template's Derivation Image Macro (PS3.3 C.7.6.16.2.6), made from another slice."""
    (derivation,) = template.DerivationImageSequence
    (image,) = derivation.SourceImageSequence
    del image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID, derivation.SourceImageSequence
    how, after = encoded(derivation), encoded(image)

    def made_from(slice_: SourceSlice) -> bytes:
        named = reference(slice_.sop_class, slice_.sop_instance)
        images = sequence("SourceImageSequence", [named + after])
        return sequence("DerivationImageSequence", [images + how])

    return made_from


def _place(slice_: SourceSlice) -> bytes:
    """The Plane Position Macro (PS3.3 C.7.6.16.2.3)."""
    place = "\\".join(format_number_as_ds(float(value)) for value in slice_.position_mm)
    return sequence("PlanePositionSequence", [element("ImagePositionPatient", "DS", place)])


def _add_distances(segmentation: Any, positions: Floats, directions: Floats, shown: _Shown) -> None:
    """What highdicom could not see in one plane: whether the planes are even, and their step."""
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices
    step, _ = get_volume_positions(positions, directions)
    if step is not None:
        measures.SpacingBetweenSlices = format_number_as_ds(step)
    if shown.there.shape[1] == 1 and len(shown.planes) > 1:
        step, _ = get_volume_positions(positions[np.sort(shown.planes)], directions, sort=False)
        if step:
            segmentation.DimensionOrganizationType = "3D"
