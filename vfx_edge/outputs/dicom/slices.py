"""Where the source's slices lie, to name those that show a place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.study import DicomSource, Point

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """A slice as a result refers to it. frame: from 1, of an enhanced file; None: the whole file.

    position_mm: the centre of its first pixel, LPS. directions: (2, 3) of a row and of a column,
    as stated. spacing_mm: between rows, between columns. size: columns, rows.
    """

    sop_class: str
    sop_instance: str
    frame: int | None
    position_mm: Floats
    directions: Floats
    spacing_mm: tuple[float, float]
    size: tuple[int, int]

    @cached_property
    def normal(self) -> Floats:
        """Unit vector across the slice."""
        (a, b, c), (d, e, f) = self.directions
        across = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
        return np.asarray(across / np.linalg.norm(across))

    def pixel(self, place_mm: Point) -> Floats:
        """(column, row) of the place, moved along the normal into the slice: the first pixel
        reaches from 0 to 1 (PS3.3 C.18.6.1.1), and what lies beside the picture is at its edge."""
        along = np.array(place_mm) - self.position_mm
        between_rows, between_columns = self.spacing_mm
        steps_mm = self.directions * [[between_columns], [between_rows]]
        at = (steps_mm @ along) / (steps_mm**2).sum(axis=1) + 0.5
        return np.asarray(np.clip(at, 0, self.size))


def source_slices(source: DicomSource) -> tuple[SourceSlice, ...]:
    """Every slice of the source, those of enhanced files frame by frame.

    AttributeError, ValueError where a header lacks the plane (PS3.3 C.7.6.2, C.7.6.16.2.3).
    """
    return tuple(slice_ for header in source.instances for slice_ in _slices(header))


def slices_at(
    slices: Sequence[SourceSlice], place_mm: Point, offsets_mm: Sequence[float] = (0.0,)
) -> tuple[SourceSlice, ...]:
    """The slices nearest to the place, and to it moved along the slices' normal; each once."""
    positions = np.array([s.position_mm for s in slices])
    normals = np.array([s.normal for s in slices])
    found: dict[int, SourceSlice] = {}
    for offset in offsets_mm:
        places = np.array(place_mm) + normals * offset
        at = int(np.abs(((places - positions) * normals).sum(axis=1)).argmin())
        found[at] = slices[at]
    return tuple(found.values())


def is_enhanced(header: Any) -> bool:
    """Whether one file holds all slices, as frames (PS3.3 C.7.6.16)."""
    return bool(header.get("PerFrameFunctionalGroupsSequence"))


def _slices(header: Any) -> Iterator[SourceSlice]:
    if not is_enhanced(header):
        yield _slice(header, None, header, header, header)
        return
    for number, group in enumerate(header.PerFrameFunctionalGroupsSequence, start=1):
        yield _slice(
            header,
            number,
            _of(header, group, "PlaneOrientationSequence"),
            group.PlanePositionSequence[0],
            _of(header, group, "PixelMeasuresSequence"),
        )


def _of(header: Any, group: Any, name: str) -> Any:
    """The frame's own functional group, or the one that all frames share."""
    where = group if name in group else header.SharedFunctionalGroupsSequence[0]
    return where[name].value[0]


def _slice(
    header: Any, frame: int | None, orientation: Any, position: Any, measures: Any
) -> SourceSlice:
    between_rows, between_columns = (float(v) for v in measures.PixelSpacing)
    return SourceSlice(
        sop_class=str(header.SOPClassUID),
        sop_instance=str(header.SOPInstanceUID),
        frame=frame,
        position_mm=np.array(position.ImagePositionPatient, float),
        directions=np.array(orientation.ImageOrientationPatient, float).reshape(2, 3),
        spacing_mm=(between_rows, between_columns),
        size=(int(header.Columns), int(header.Rows)),
    )
