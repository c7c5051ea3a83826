"""Where the source's slices lie, to name those that show a place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.study import DicomSource, Point

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """A slice as a result refers to it. frame: from 1, of an enhanced file; None: the whole file.

    position_mm: the centre of its first pixel; normal: unit vector across it; both in LPS.
    steps_mm: (2, 3) from a pixel to the next column's, and to the next row's.
    """

    sop_class: str
    sop_instance: str
    frame: int | None
    position_mm: Floats
    normal: Floats
    steps_mm: Floats
    size: tuple[int, int]
    """Columns, rows."""

    def pixel(self, place_mm: Point) -> Floats:
        """(column, row) of the place, moved along the normal into the slice: the first pixel
        reaches from 0 to 1 (PS3.3 C.18.6.1.1), and what lies beside the picture is at its edge."""
        along = np.array(place_mm) - self.position_mm
        at = (self.steps_mm @ along) / (self.steps_mm**2).sum(axis=1) + 0.5
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


def _slices(header: Any) -> Iterator[SourceSlice]:
    groups = header.get("PerFrameFunctionalGroupsSequence") or ()
    if not groups:
        yield _slice(
            header,
            None,
            header.ImageOrientationPatient,
            header.ImagePositionPatient,
            header.PixelSpacing,
        )
        return
    for number, group in enumerate(groups, start=1):
        yield _slice(
            header,
            number,
            _of(header, group, "PlaneOrientationSequence").ImageOrientationPatient,
            group.PlanePositionSequence[0].ImagePositionPatient,
            _of(header, group, "PixelMeasuresSequence").PixelSpacing,
        )


def _of(header: Any, group: Any, name: str) -> Any:
    """The frame's own functional group, or the one that all frames share."""
    where = group if name in group else header.SharedFunctionalGroupsSequence[0]
    return where[name].value[0]


def _slice(
    header: Any, frame: int | None, orientation: Any, position: Any, spacing: Any
) -> SourceSlice:
    row, column = directions = np.array(orientation, float).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in spacing)
    across = np.cross(row, column)
    return SourceSlice(
        sop_class=str(header.SOPClassUID),
        sop_instance=str(header.SOPInstanceUID),
        frame=frame,
        position_mm=np.array(position, float),
        normal=np.asarray(across / np.linalg.norm(across)),
        steps_mm=directions * [[between_columns], [between_rows]],
        size=(int(header.Columns), int(header.Rows)),
    )
