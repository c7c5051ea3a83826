"""Where does the spine run? Coarsely, over the whole scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.image.grids import FloatArray, Grid
from vfx_edge.inference.patches import run_everywhere

OVERLAP = 16  # voxels that neighbouring tiles share
FARTHEST = 8  # planes; over a longer gap no spine strays farther to the side: a hip does
MIN_SPINE_CM3 = 12.0  # less bone than one thoracic vertebra is no spine
MIN_LENGTH_MM = 24.0


class NoSpineInView(InputError):
    """The scan shows no spine, or too little of it."""

    def __init__(self, what: str = "no spine was found in the scan") -> None:
        super().__init__(
            f"{what}: this tool reads CT that shows at least one vertebra from T1 to L5; "
            "choose such a series with --series"
        )


@dataclass(frozen=True, eq=False)
class SpineRegion:
    """The spine's course. centreline_lps_mm: (n, 3) from head to feet, one point per coarse
    plane; of the vertebrae's bone, arch included."""

    centreline_lps_mm: NDArray[np.float64]


def spine_probability(image: Image, locator: Network) -> tuple[FloatArray, Grid]:
    """Probability (z, y, x) that a coarse voxel is spine, and its grid."""
    classes = locator.spec.classes
    if set(locator.spec.means) != {"background", "spine"}:  # what else there is, is no spine
        return run_everywhere(locator, image, classes.index("spine"), OVERLAP)
    background, grid = run_everywhere(locator, image, classes.index("background"), OVERLAP)
    return 1 - background, grid


def _main_column(probability: FloatArray) -> NDArray[np.bool_]:
    """The largest piece of likely spine and those that continue it above or below."""
    labels, count = ndimage.label(probability > 0.5, np.ones((3, 3, 3)))
    if count == 0:
        return np.zeros(probability.shape, np.bool_)
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    order = np.argsort(-sizes)
    column = np.asarray(labels == order[0] + 1)
    for piece in order[1:]:
        if sizes[piece] < max(4, 0.03 * sizes[order[0]]):
            break
        if _continues(column, labels == piece + 1):
            column |= labels == piece + 1
    return column


def _continues(column: NDArray[np.bool_], piece: NDArray[np.bool_]) -> bool:
    """Whether a piece lies along the column's own line rather than beside it."""
    planes = np.flatnonzero(column.any((1, 2)))
    own = np.flatnonzero(piece.any((1, 2)))
    near = planes[np.argmin(np.abs(planes - own.mean()))]
    here = np.argwhere(column[near]).mean(0)
    there = np.argwhere(piece)[:, 1:].mean(0)
    gap = min(abs(near - own.mean()), FARTHEST)
    return bool(np.hypot(*(there - here)) < 4 + 1.2 * gap)


def locate_spine(image: Image, locator: Network) -> SpineRegion:
    """The spine's centreline. Raises NoSpineInView."""
    probability, grid = spine_probability(image, locator)
    column = _main_column(probability)
    planes = np.flatnonzero(column.any((1, 2)))
    cm3 = float(probability[column].sum()) * grid.spacing_mm**3 / 1000
    if cm3 < MIN_SPINE_CM3 or len(planes) * grid.spacing_mm < MIN_LENGTH_MM:
        raise NoSpineInView
    mass = np.where(column, probability, 0)[planes]
    y, x = np.indices(mass.shape[1:])
    weight = mass.sum((1, 2))
    every = np.arange(planes[0], planes[-1] + 1)
    line = [
        ndimage.gaussian_filter1d(np.interp(every, planes, (mass * axis).sum((1, 2)) / weight), 2.0)
        for axis in (y, x)
    ]
    zyx = np.stack([every.astype(np.float64), *line], axis=1)[::-1]
    return SpineRegion(grid.to_lps(zyx))
