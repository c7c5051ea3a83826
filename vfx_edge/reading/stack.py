"""The pictures of a case: planes through and about one vertebra, in two windows."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow

from vfx_edge.errors import InputError
from vfx_edge.image import Image, Point
from vfx_edge.inputs import load_scan
from vfx_edge.outputs.report import views
from vfx_edge.reading.case import Case
from vfx_edge.scoring.truth import read_truth

SIDE_MM, STEP_MM = 140.0, 0.5
"""Of a picture, and of its pixels."""
APART_MM, EACH_WAY = 1.0, 40
"""Between neighbouring planes, and how many there are on each side of the vertebra's centre."""
PLANES = {
    "sagittal": (views.FRONT_TO_BACK, views.HEAD_TO_FEET, views.RIGHT_TO_LEFT),
    "coronal": (views.RIGHT_TO_LEFT, views.HEAD_TO_FEET, views.FRONT_TO_BACK),
    "axial": (views.RIGHT_TO_LEFT, views.FRONT_TO_BACK, views.HEAD_TO_FEET),
}
"""Directions along a picture's rows, down its columns, and from plane to plane."""
WINDOWS_HU = {"bone": views.WINDOW_HU, "soft": (-160.0, 240.0)}
"""Black to white."""
COUNT = 2 * EACH_WAY + 1
_FASTEST = 1


class PlaceUnknown(InputError):
    """Neither an expert nor the program says where the vertebra is."""

    def __init__(self) -> None:
        super().__init__(
            "nobody says where the vertebra lies: give outlines or centres, or results of a "
            "program that found it."
        )


@dataclass(frozen=True, eq=False)
class Stack:
    """image: what of the scan lies about the vertebra."""

    image: Image
    centre_lps_mm: Point

    def png(self, plane: str, number: int, window: str) -> bytes:
        """A picture, grey, without any text. plane, window: of PLANES, WINDOWS_HU; number: from 0
        to COUNT - 1. KeyError, IndexError."""
        across, down, onward = PLANES[plane]
        if not 0 <= number < COUNT:
            raise IndexError(number)
        off = (number - EACH_WAY) * APART_MM * onward
        x, y, z = (float(v) for v in np.array(self.centre_lps_mm) + off)
        sheet = views.plane((x, y, z), across, down, SIDE_MM, STEP_MM)
        grey = views.sample(self.image, sheet, WINDOWS_HU[window])
        stream = io.BytesIO()
        Pillow.fromarray(grey).save(stream, "PNG", compress_level=_FASTEST)
        return stream.getvalue()


def stack_of(case: Case) -> Stack:
    """The expert's place of the vertebra counts before the program's: pictures do not depend on
    what is to be judged. InputError leaves."""
    scan = load_scan(case.study.path)
    known = read_truth(case.study.mask, case.study.centres, scan).places.get(case.row.level)
    place = case.lps_mm if known is None else known.lps_mm
    if place is None:
        raise PlaceUnknown
    return Stack(cut_out(scan.image, place, SIDE_MM / 2 + STEP_MM), place)


def cut_out(image: Image, centre_lps_mm: Point, half_mm: float) -> Image:
    """A box of the image about a place, so that the rest can be forgotten. PlaceUnknown where the
    box lies beside the image."""
    ends = np.array(list(np.ndindex(2, 2, 2)), float) * 2 - 1
    zyx = image.to_zyx(np.array(centre_lps_mm) + ends * half_mm)
    first = np.maximum(np.floor(zyx.min(0)).astype(int) - 1, 0)
    last = np.minimum(np.ceil(zyx.max(0)).astype(int) + 2, image.shape)
    if (first >= last).any():
        raise PlaceUnknown
    (a, b, c), (d, e, f) = first.tolist(), last.tolist()
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, 3] = image.to_lps(first[None].astype(float))[0]
    return Image(image.values[a:d, b:e, c:f].copy(), affine, image.modality, image.unit)
