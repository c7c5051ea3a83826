"""Where does the spine run? Coarsely, over the whole scan."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.image.components import largest_piece
from vfx_edge.image.grids import FloatArray, Grid, box_about, grid_covering, sample
from vfx_edge.inference.patches import blended, our_shape, tile_answers, tile_starts

OVERLAP = 16  # voxels that neighbouring tiles share
BODY_HU = -300.0
LEAST_BODY, LEAST_OF_TISSUE = 0.05, 0.9  # shares: less is no body as it should look in a CT
SLAB = 24  # voxels from front to back: fewer show too little for any look to be spared
MIDST = 8  # voxels from a tile's side: where it holds the body's middle so far within, it is asked
RIM = 6  # voxels of a tile's side that see too little beside them
SEEN_PLANES = 0.5  # share of a row's planes: with spine in fewer, it may run beside the tile
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


_Start = tuple[int, ...]  # a tile's first voxel: z, y, x


@dataclass(frozen=True, eq=False)
class SpineRegion:
    """The spine's course. centreline_lps_mm: (n, 3) from head to feet, one point per coarse
    plane; of the vertebrae's bone, arch included."""

    centreline_lps_mm: NDArray[np.float64]


def spine_probability(image: Image, locator: Network) -> tuple[FloatArray, Grid]:
    """Probability (z, y, x) that a coarse voxel is spine, and its grid; zero where no tile lies.

    The scan is cut into rows of tiles. Of a row first those at the body's back and middle are
    asked; the others only where these do not show the spine well within their sides, or where no
    body is told from air for sure.
    """
    spec = locator.spec
    grid = grid_covering(image, spec.input.spacing_mm)
    values, size = sample(image, grid), our_shape(spec.input)
    classes = spec.classes
    # whatever else a network knows, is no spine
    alone = set(spec.means) == {"background", "spine"}
    wanted = classes.index("background" if alone else "spine")
    answers: dict[_Start, FloatArray] = {}

    def ask(starts: list[_Start]) -> None:
        found = tile_answers(locator, values, starts, wanted, image.outside)
        answers.update(zip(starts, found, strict=True))

    def spine(starts: list[_Start]) -> FloatArray:
        parts = [answers[start] for start in starts]
        found = blended(grid.shape, starts, parts, beside=float(alone))
        return 1 - found if alone else found

    rows = _rows(values, size, _body(values) if image.unit == "HU" else None)
    ask([start for row in rows for start in row.first])
    doubtful = [row for row in rows if row.rest and not _well_inside(spine(row.first), row, size)]
    ask([start for row in doubtful for start in row.rest])
    return spine(sorted(answers)), grid


def _body(values: FloatArray) -> NDArray[np.bool_] | None:
    """What of (z, y, x) HU is the patient; None where that can't be told for sure, or where no
    more than a slab of him is seen."""
    if values.shape[1] < SLAB:
        return None
    tissue = values > BODY_HU
    body = largest_piece(tissue)
    sure = body.sum() >= max(LEAST_BODY * body.size, LEAST_OF_TISSUE * tissue.sum())
    return body if sure else None


@dataclass(frozen=True)
class _Row:
    """Tiles at one height, by their first voxels. first: those to ask at once; rest: the others.
    box: of the body there."""

    first: list[_Start]
    rest: list[_Start]
    box: tuple[slice, slice, slice]


def _rows(
    values: FloatArray, size: tuple[int, int, int], body: NDArray[np.bool_] | None
) -> list[_Row]:
    """size: of a tile. body: where the spine lies; None: anywhere."""
    along = [tile_starts(n, tile, OVERLAP) for n, tile in zip(values.shape, size, strict=True)]
    rows = []
    for z in along[0]:
        row = [*product([z], *along[1:])]
        here = slice(max(z, 0), z + size[0])
        box = box_about(np.ones_like(values[here], np.bool_) if body is None else body[here], 0)
        if box[0].start == box[0].stop:
            continue
        middle = (box[2].start + box[2].stop) / 2
        back = next(y for y in along[1] if y + size[1] >= box[1].stop)
        first = [
            start
            for start in row
            if body is None
            or (start[1] == back and abs(start[2] + size[2] / 2 - middle) <= size[2] / 2 - MIDST)
        ]
        rows.append(_Row(first, [start for start in row if start not in first], box))
    return rows


def _well_inside(spine: FloatArray, row: _Row, size: tuple[int, int, int]) -> bool:
    """Whether a row's first tiles show the spine, and not at a side beyond which the body goes
    on."""
    likely = spine > 0.5
    if likely.any((1, 2)).sum() < SEEN_PLANES * (row.box[0].stop - row.box[0].start):
        return False
    for axis in (1, 2):
        line = np.flatnonzero(likely.any((0, 3 - axis)))
        start = min(first[axis] for first in row.first)
        stop = max(first[axis] for first in row.first) + size[axis]
        if start > row.box[axis].start and line[0] < start + RIM:
            return False
        if stop < row.box[axis].stop and line[-1] >= stop - RIM:
            return False
    return True


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
