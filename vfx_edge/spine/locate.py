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


@dataclass(frozen=True, eq=False)
class SpineRegion:
    """The spine's course. centreline_lps_mm: (n, 3) from head to feet, one point per coarse
    plane; of the vertebrae's bone, arch included."""

    centreline_lps_mm: NDArray[np.float64]


def spine_probability(image: Image, locator: Network) -> tuple[FloatArray, Grid]:
    """Probability (z, y, x) that a coarse voxel is spine, and its grid; zero beside the body.

    Tile by tile from head to feet, first one in the middle of the body and at its back; all over
    the body only where that one does not show the spine well within its sides. Where no body is
    told from air for sure, all over the scan.
    """
    spec = locator.spec
    grid = grid_covering(image, spec.input.spacing_mm)
    values, size = sample(image, grid), our_shape(spec.input)
    classes = spec.classes
    # whatever else a network knows, is no spine
    alone = set(spec.means) == {"background", "spine"}
    wanted = classes.index("background" if alone else "spine")

    def ask(starts: list[tuple[int, ...]]) -> list[FloatArray]:
        found = tile_answers(locator, values, starts, wanted, image.outside)
        return [1 - part for part in found] if alone else found

    rows = _rows(values, size, _body(values) if image.unit == "HU" else None)
    tried = [row for row in rows if row.middle]
    starts = [row.middle for row in tried]
    parts = ask(starts)
    done = [row for row, part in zip(tried, parts, strict=True) if _well_inside(part, row)]
    rest = [start for row in rows if row not in done for start in row.everywhere]
    return blended(grid.shape, starts + rest, parts + ask(rest)), grid


def _body(values: FloatArray) -> NDArray[np.bool_] | None:
    """What of (z, y, x) HU is the patient; None where that can't be told for sure."""
    tissue = values > BODY_HU
    body = largest_piece(tissue)
    sure = body.sum() >= max(LEAST_BODY * body.size, LEAST_OF_TISSUE * tissue.sum())
    return body if sure else None


@dataclass(frozen=True)
class _Row:
    """Tiles at one height: where each begins, (z, y, x). everywhere: those that cover the body.
    middle: the one to ask first; empty where one is all. box: of the body there."""

    everywhere: list[tuple[int, ...]]
    middle: tuple[int, ...]
    box: tuple[slice, slice, slice]


def _rows(
    values: FloatArray, size: tuple[int, int, int], body: NDArray[np.bool_] | None
) -> list[_Row]:
    """size: of a tile. body: where tiles have to lie; None: everywhere."""
    rows = []
    for z in tile_starts(len(values), size[0], OVERLAP):
        here = np.s_[max(z, 0) : z + size[0]]
        box = box_about(np.ones_like(values[here], np.bool_) if body is None else body[here], 0)
        if box[0].start == box[0].stop:
            continue
        along = [_starts(box[axis], values.shape[axis], size[axis]) for axis in (1, 2)]
        everywhere = list(product([z], *along))
        first: tuple[int, ...] = ()
        if body is not None and len(everywhere) > 1:
            behind, between = box[1].stop - size[1], (box[2].start + box[2].stop - size[2]) // 2
            first = (
                z,
                _inside(behind, values.shape[1], size[1]),
                _inside(between, values.shape[2], size[2]),
            )
        rows.append(_Row(everywhere, first, box))
    return rows


def _starts(side: slice, length: int, tile: int) -> list[int]:
    """First voxels of tiles that cover a side of the body's box, within the scan."""
    starts = tile_starts(side.stop - side.start, tile, OVERLAP)
    return [_inside(side.start + start, length, tile) for start in starts]


def _inside(start: int, length: int, tile: int) -> int:
    """The start moved so that the tile lies within the scan, or in its middle."""
    return min(max(start, 0), length - tile) if length > tile else -((tile - length) // 2)


def _well_inside(part: FloatArray, row: _Row) -> bool:
    """Whether a row's first tile shows the spine, and not at a side beyond which the body goes
    on."""
    spine = part > 0.5
    planes = row.box[0].stop - row.box[0].start
    if spine.any((1, 2)).sum() < SEEN_PLANES * planes:
        return False
    for axis, start, side in zip((1, 2), row.middle[1:], row.box[1:], strict=True):
        line = np.flatnonzero(spine.any((0, 3 - axis)))
        stop = start + part.shape[axis]
        if start > side.start and line[0] < RIM:
            return False
        if stop < side.stop and line[-1] >= part.shape[axis] - RIM:
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
