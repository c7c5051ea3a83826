"""What an answer depends on, place by place: the nouns of `--explain`."""

from dataclasses import dataclass

from vfx_edge.image.image import Image, Point
from vfx_edge.vocabulary import Level

OCCLUSION = "occlusion"
TISSUE = "median_of_tissue"


@dataclass(frozen=True)
class Explained:
    """How a map was made, and its largest change; holds no voxels.

    box_mm, stride_mm: edge of the box that hides a part of the crop, and how far it moves.
    places: where it was put. p_malignant: the answer with nothing hidden. largest_change: of
    p(malignant), with its sign, as of `Explanation.change`; largest_at_lps_mm: middle of that
    box. unlike: 0..1, at how many of the places the network called the crop unlike all that it
    was taught, so that what it said there means little; None of a network that can't say so.
    """

    box_mm: float
    stride_mm: float
    places: int
    p_malignant: float
    largest_change: float
    largest_at_lps_mm: Point
    unlike: float | None
    method: str = OCCLUSION
    fill: str = TISSUE


@dataclass(frozen=True, eq=False)
class Explanation:
    """The map of one vertebra.

    change: (z, y, x) of unit "1", -1..1: by how much p(malignant) falls where this place is
    hidden. Above 0, what lies here speaks for malignant; below, against it. NaN where no box was
    put near.
    """

    level: Level
    change: Image
    said: Explained
