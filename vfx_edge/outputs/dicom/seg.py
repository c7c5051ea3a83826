"""`seg.dcm`: the vertebrae as a DICOM Segmentation (PS3.3 A.51), one binary segment a vertebra.

Viewers that lay segments over the slices of a stack want them on those very planes, pixel for
pixel; viewers that build a volume want even planes. Where the volume is the stack itself both get
what they want: the frames lie on the source's planes and name the source's instances; planes that
fill a gap between slices are left out, as there is no slice to lay them on. Where the volume had to
be resampled for another reason (gantry tilt, slices off the even grid) the planes are those of the
even volume, parallel to the source's. Imported only when DICOM results are wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import (
    UID,
    AlgorithmIdentificationSequence,
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
)
from highdicom import Volume as Grid
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from vfx_edge.image import Image
from vfx_edge.level_words import with_alternatives
from vfx_edge.outputs.dicom.codes import level_code
from vfx_edge.outputs.dicom.frames import add_frames, check_alike
from vfx_edge.outputs.dicom.items import coding_scheme
from vfx_edge.outputs.dicom.slices import SourceSlice, is_enhanced, source_slices
from vfx_edge.outputs.dicom.write import PRODUCT, Unplaceable, identity, refusing, save
from vfx_edge.outputs.kinds import Request
from vfx_edge.outputs.labels import Box, numbered
from vfx_edge.study import Analysis, DicomSource, RunInfo, Scan, VertebraMask

Floats = NDArray[np.float64]

_TURNS = ((88, 196, 221), (199, 155, 242), (123, 216, 143), (240, 210, 120))
"""RGB in turn, by the level's rank: the same level has the same colour in every study, and its
neighbours, one or two away, have others. No red: colours have nothing to do with findings."""
_SAME_PLACE_PIXELS, _SAME_PLANE_STEPS = 0.35, 0.1
"""A slice further than this from its place in the volume was resampled into it. The reader calls
a stack straight up to a drift of a quarter of a pixel, and even up to 0.04 steps."""


@dataclass(frozen=True, eq=False)
class _Planes:
    """numbers: (planes, rows, columns) segment numbers in the source's orientation. box: beyond it
    they are 0. affine: (plane, row, column, 1) -> LPS mm. own: for each plane the index of its
    slice or frame in the source; None where the planes are not the source's."""

    numbers: NDArray[np.uint8]
    box: Box
    affine: Floats
    own: tuple[int, ...] | None


def write(request: Request) -> tuple[Path, ...]:
    """The kind `seg`; nothing where there is no vertebra."""
    if not request.analysis.masks:
        return ()
    return (write_seg(request.analysis, request.headers, request.folder / "seg.dcm"),)


def write_seg(analysis: Analysis, source: DicomSource, path: Path) -> Path:
    """Writes the Segmentation; OutputError leaves when it can't be made or written.

    Segments follow `analysis.masks`, head to feet, numbered from 1; `SegmentLabel` is the level. A
    vertebra without a voxel on the grid gets no segment.
    """
    with refusing(path):
        segmentation = _segmentation(analysis, source)
    return save(segmentation, path)


def _segmentation(analysis: Analysis, source: DicomSource) -> Any:
    run = analysis.result.run
    slices = source_slices(source)
    planes, masks = _planes(analysis.scan.image, analysis.masks, slices)
    repeats = planes.own is not None and not is_enhanced(source.first)
    placed = _first_placed if repeats else _placed
    segmentation = Segmentation(
        **placed(planes, source, slices, analysis.scan),
        segmentation_type="BINARY",
        segment_descriptions=_segments(masks, run),
        content_label="VERTEBRAE",
        content_description=f"Vertebrae outlined by {PRODUCT} ({run.intended_use} model)"[:64],
        coding_schemes=[coding_scheme(run)],  # T13 and L6 have no code in a public one
        **identity(source, run, "seg"),
    )
    # highdicom takes them from the first plane's header, and source.first is the only whole one
    segmentation.copy_patient_and_study_information(source.first)
    segmentation.ContentCreatorName = ""  # required, may be empty (PS3.3 Table 10-12)
    segmentation.BodyPartExamined = "SPINE"
    if repeats:
        own = [slices[at] for at in planes.own or ()]
        add_frames(segmentation, planes.numbers, planes.box, own)
    return segmentation


def _planes(
    image: Image, masks: tuple[VertebraMask, ...], slices: Sequence[SourceSlice]
) -> tuple[_Planes, tuple[VertebraMask, ...]]:
    """And the masks that have a segment."""
    numbers, box, shown = numbered(image, masks, range(1, len(masks) + 1))
    seen = tuple(mask for mask, there in zip(masks, shown, strict=True) if there)
    if not seen:
        raise Unplaceable("no vertebra lies on its slices")
    if seen != masks:
        return _planes(image, seen, slices)
    planes = _as_stored(numbers, box, image.affine_zyx_to_lps, slices[0].directions)
    if planes.numbers.shape[:0:-1] == slices[0].size:
        own = _own_planes(_positions(slices), planes.affine, len(planes.numbers))
        planes = planes if own is None else _with_slices(planes, own)
    return planes, masks


def _with_slices(planes: _Planes, own: tuple[int, ...]) -> _Planes:
    """own: as of `_own_planes`; what is on no slice is left out."""
    if -1 not in own:
        return replace(planes, own=own)
    there = [at for at, index in enumerate(own) if index >= 0]
    box = (slice(0, len(there)), *planes.box[1:])
    slices = tuple(own[at] for at in there)
    return replace(planes, numbers=planes.numbers[there], box=box, own=slices)


def _as_stored(numbers: NDArray[np.uint8], box: Box, affine: Floats, directions: Floats) -> _Planes:
    """The array turned back to (plane, row, column) of its source, as a view.

    directions: (2, 3) of a row, then of a column (PS3.3 C.7.6.2.1.1).
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    row, column = directions
    along_row = int(np.abs(row @ axes).argmax())
    # a row and a column never share an axis, however oblique they lie
    across = np.abs(column @ axes)
    across[along_row] = -1
    along_column = int(across.argmax())
    order = (3 - along_row - along_column, along_column, along_row)
    stored, turned = numbers.transpose(order), affine[:, [*order, 3]].copy()
    edges = [box[axis] for axis in order]
    for axis, direction in ((1, column), (2, row)):
        if direction @ turned[:3, axis] < 0:
            turned[:3, 3] += turned[:3, axis] * (stored.shape[axis] - 1)
            turned[:3, axis] *= -1
            stored = np.flip(stored, axis)
            last = stored.shape[axis]
            edges[axis] = slice(last - edges[axis].stop, last - edges[axis].start)
    return _Planes(stored, (edges[0], edges[1], edges[2]), turned, None)


def _own_planes(positions: Floats, affine: Floats, count: int) -> tuple[int, ...] | None:
    """The source's slice for each of `count` planes, -1 where there is none; None unless every
    slice is one of them."""
    places = np.linalg.solve(affine, np.column_stack([positions, np.ones(len(positions))]).T).T
    nearest = np.rint(places[:, 0]).astype(int)
    in_place = (np.abs(places[:, 1:3]) <= _SAME_PLACE_PIXELS).all(axis=1)
    in_place &= np.abs(places[:, 0] - nearest) <= _SAME_PLANE_STEPS
    if not in_place.all():
        return None
    found = {int(nearest[at]): int(at) for at in np.flatnonzero(in_place)[::-1]}
    return tuple(found.get(plane, -1) for plane in range(count))


def _placed(
    planes: _Planes, source: DicomSource, slices: Sequence[SourceSlice], scan: Scan
) -> dict[str, Any]:
    """Pixels, source and geometry, as highdicom's keyword arguments."""
    images = _consistent(source, slices[0], scan)
    enhanced = is_enhanced(source.first)
    named = {"source_images": images[:1], "further_source_images": images[1:]}
    if not enhanced:
        named = {"source_images": [images[at] for at in planes.own] if planes.own else images}
    if planes.own is None:
        frame = str(source.first.FrameOfReferenceUID)
        grid = Grid(planes.numbers, planes.affine, "PATIENT", frame_of_reference_uid=frame)
        return {**named, "pixel_array": grid}
    thickness, rows_mm, columns_mm = np.linalg.norm(planes.affine[:3, :3], axis=0)
    measures = PixelMeasuresSequence(
        pixel_spacing=(rows_mm, columns_mm),
        slice_thickness=scan.series.slice_thickness_mm or thickness,
        spacing_between_slices=thickness,
    )
    placed = {**named, "pixel_array": planes.numbers, "pixel_measures": measures}
    if enhanced:
        stated = _positions(slices)[list(planes.own)].tolist()
        placed["plane_positions"] = [PlanePositionSequence("PATIENT", at) for at in stated]
    return placed


def _first_placed(
    planes: _Planes, source: DicomSource, slices: Sequence[SourceSlice], scan: Scan
) -> dict[str, Any]:
    """The same for one plane, which the others repeat but for what `add_frames` puts in."""
    check_alike(source)
    column = planes.numbers[planes.box]
    shown = planes.box[0].start + int(column.max(axis=(1, 2)).argmax())
    one = replace(planes, numbers=planes.numbers[[shown]], own=(0,))
    return _placed(one, DicomSource((source.first,)), slices[:1], scan)


def _consistent(source: DicomSource, first: SourceSlice, scan: Scan) -> list[Any]:
    """Copies of the headers that highdicom takes for one series: it compares to the last digit,
    and needs a slice thickness, and in one place what all frames of enhanced files share."""
    thickness = scan.series.slice_thickness_mm or float(scan.image.spacing_zyx_mm.max())
    images = []
    for header in source.instances:
        if is_enhanced(header):
            image = _without(header, "SharedFunctionalGroupsSequence")
            image.SharedFunctionalGroupsSequence = [_shared(header, first, thickness)]
        else:
            image = _without(header, "ImageOrientationPatient", "SliceThickness")
            image.ImageOrientationPatient = first.directions.ravel().tolist()
            image.SliceThickness = thickness
        images.append(image)
    return images


def _shared(header: Any, first: SourceSlice, thickness_mm: float) -> Any:
    """The shared functional groups, with plane orientation and pixel measures among them."""
    stated = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    shared = _without(stated[0], "PlaneOrientationSequence", "PixelMeasuresSequence")
    orientation = first.directions.ravel().tolist()
    shared.PlaneOrientationSequence = PlaneOrientationSequence("PATIENT", orientation)
    shared.PixelMeasuresSequence = PixelMeasuresSequence(first.spacing_mm, thickness_mm)
    return shared


def _without(dataset: Any, *keywords: str) -> Any:
    """A copy less some elements. Set in the copy, they would change in the original as well."""
    copy = Dataset()
    copy.update({element.tag: element for element in dataset if element.keyword not in keywords})
    return copy


def _positions(slices: Sequence[SourceSlice]) -> Floats:
    """(slices or frames, 3) LPS mm of the first pixels."""
    return np.array([s.position_mm for s in slices])


def _segments(masks: Sequence[VertebraMask], run: RunInfo) -> list[Any]:
    # a mask that the user gave was not located
    automatic = "locate" in run.seconds
    algorithm = AlgorithmIdentificationSequence(
        name=PRODUCT if automatic else f"{PRODUCT}, segmentation given by the user",
        family=codes.DCM.ArtificialIntelligence,
        version=run.version,
    )
    segments = [
        SegmentDescription(
            segment_number=at,
            segment_label=mask.vertebra.level.value,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=level_code(mask.vertebra.level),
            algorithm_type="AUTOMATIC" if automatic else "SEMIAUTOMATIC",
            algorithm_identification=algorithm,
            tracking_id=mask.vertebra.level.value,
            tracking_uid=UID(),
            display_color=CIELabColor.from_rgb(*_TURNS[mask.vertebra.level.rank % len(_TURNS)]),
        )
        for at, mask in enumerate(masks, start=1)
    ]
    for segment, mask in zip(segments, masks, strict=True):
        if others := mask.vertebra.alternatives:
            names = [name for name, _ in others]
            segment.SegmentDescription = with_alternatives(mask.vertebra.level, names)
    return segments
