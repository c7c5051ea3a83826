"""Names that anatomy contradicts: a mask's own, before anything is measured against their norms.

A viewer numbers its segments from 1, and 1 is C1 in VerSe labels: T1 to L5 would be read as C1 to
T10. Sizes and distances alone do not tell these apart, as a child's spine is a small adult's; the
shape of a cervical vertebra, broad and flat, does. So the whole column is laid beside every stretch
of a normal spine, at any stature, and the names must fit nearly as well as the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.spine.body_and_arch import vertebra_frame
from vfx_edge.spine.column import NEXT_MM
from vfx_edge.study import Level, VertebraMask
from vfx_edge.vocabulary import PLAIN, TRANSITIONAL

Array = NDArray[np.float64]

# Of nine expert masks; breadth over height of the whole vertebra, along its own axes.
_BREADTH = (2.6, 1.27, 2.25, 2.27, 2.2, 2.28, 2.3, 2.4, 1.8, 1.6, 1.45, 1.35, 1.35, 1.2, 1.3, 1.4,
            1.45, 1.35, 1.2, 1.5, 1.5, 1.65, 1.6, 2.1)  # fmt: skip
_CM3 = (13, 17, 11.5, 11.3, 12, 13.3, 16.8, 20, 20.5, 20, 21, 21.5, 23, 25, 27, 30, 32, 36, 40.5,
        46, 53, 56, 60, 60)  # fmt: skip
_BREADTH_SIGMA, _CM3_SIGMA, _GAP_SIGMA = 0.2, 0.3, 0.12  # of the logarithm
_MOST_COST = 4.5  # of one value: a fracture or a leaking outline must not decide
_STATURES = np.log(np.linspace(0.45, 2.2, 60))
_SMALLEST, _LARGEST = np.log(0.55), np.log(1.3)  # children; the largest adult masks seen
WORSE = 9.0  # than the best stretch, in log likelihood: the true names are at most 7
TOO_LARGE = 2.5
ONLY_BODIES = 0.15  # share of arch below which a mask has none
ENOUGH_VOXELS = 5000  # to tell a vertebra's extent
RISE_MM = 5.0  # a strongly bent column may rise so far; numbers in a wrong order rise by more
FRAGMENT = 0.15  # of a usual vertebra's bone: less, at the scan's edge, tells no place
HOLE, CROWDED = 1.7, 0.62  # of the distance to expect in this column


class NamesContradictAnatomy(InputError):
    """The segmentation's names can't be right."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the segmentation can't be used, for {why} (a viewer's own numbering?): give VerSe "
            "labels or segments that are named L1, L2 …, or say which vertebra is which with "
            "--anchor L5=Z_MM or --shift-levels N (0 keeps the names)."
        )


class NamesOutOfOrder(InputError):
    """The segmentation's names do not run from head to feet."""

    def __init__(self, upper: Level, lower: Level) -> None:
        super().__init__(
            f"the segmentation can't be used, for what it names {upper} lies below what it names "
            f"{lower} (a viewer's own numbering?): give VerSe labels, or name one vertebra with "
            "--anchor L5=Z_MM, and the others are counted from it."
        )


@dataclass(frozen=True, eq=False)
class _Column:
    """From head to feet: names, breadth over height, cm3, distance to the next; whether the edge
    of the scan cuts it, and whether the masks have arches at all."""

    levels: tuple[Level, ...]
    breadth: Array
    cm3: Array
    gaps: Array
    cut: NDArray[np.bool_]
    arches: bool


def head_to_feet(masks: Sequence[VertebraMask]) -> list[VertebraMask]:
    """By where they lie, not by what they are called."""
    return sorted(masks, key=lambda mask: -mask.vertebra.centroid_lps_mm[2])


def body_span_mm(mask: VertebraMask) -> tuple[float, float]:
    """Lowest and highest z (LPS) of the body."""
    planes = np.flatnonzero((mask.body > 0.5).any((1, 2)))
    centre = mask.vertebra.centroid_lps_mm[2]
    if not len(planes):
        return centre, centre
    z = mask.origin_lps_mm[2] + planes * mask.spacing_mm
    return float(z[0]), float(z[-1])


def without_fragments(masks: Sequence[VertebraMask]) -> list[VertebraMask]:
    """Those that are more than a piece which the scan's edge leaves: the tip of a spinous process
    hangs below the next body, and says nothing of where its vertebra is."""
    bone = [float(mask.body.sum(dtype=np.float64) + mask.arch.sum(dtype=np.float64))
            for mask in masks]  # fmt: skip
    least = FRAGMENT * float(np.median(bone)) if bone else 0.0
    pairs = zip(masks, bone, strict=True)
    return [mask for mask, own in pairs if own >= least or not mask.touches_edge]


def out_of_order(masks: Sequence[VertebraMask]) -> tuple[Level, Level] | None:
    """(upper, lower) by name of two vertebrae that lie the other way round."""
    named = sorted((mask.vertebra for mask in without_fragments(masks)), key=lambda v: v.level.rank)
    for a, b in pairwise(named):
        if b.centroid_lps_mm[2] > a.centroid_lps_mm[2] + RISE_MM:
            return a.level, b.level
    return None


def contradiction(masks: Sequence[VertebraMask]) -> str | None:
    """What speaks against the names, as the end of "…, for"; None where they can be right.

    masks: in the order of their names, which is that from head to feet.
    """
    if not masks or set(TRANSITIONAL) & {m.vertebra.level for m in masks}:
        return None  # who names these has counted
    column = _column(masks)
    first, last = column.levels[0], column.levels[-1]
    where = f"{first}" if first == last else f"{first} to {last}"
    return _hole(column) or (
        f"the shape, size and distances of what it names {where} are not those of such vertebrae"
        if _too_large(column) or _unlike(column) > WORSE
        else None
    )


def _column(masks: Sequence[VertebraMask]) -> _Column:
    centres = np.array([m.vertebra.centroid_lps_mm for m in masks])
    body = np.array([m.body.sum(dtype=np.float64) for m in masks])
    arch = np.array([m.arch.sum(dtype=np.float64) for m in masks])
    mm3 = np.array([m.spacing_mm**3 for m in masks])
    above, below = np.vstack([centres[:1], centres[:-1]]), np.vstack([centres[1:], centres[-1:]])
    ups = (above - below)[:, ::-1] if len(masks) > 1 else np.array([[1.0, 0.0, 0.0]])
    return _Column(
        levels=tuple(m.vertebra.level for m in masks),
        breadth=np.array([_breadth(m, up) for m, up in zip(masks, ups, strict=True)]),
        cm3=np.maximum((body + arch) * mm3 / 1000, 0.1),
        gaps=np.maximum(np.linalg.norm(np.diff(centres, axis=0), axis=1), 1.0),
        cut=np.array([m.touches_edge for m in masks]),
        arches=bool(np.median(arch / (body + arch)) > ONLY_BODIES),
    )


def _breadth(mask: VertebraMask, up: Array) -> float:
    """Side to side over head to feet, but for the outermost spikes of bone."""
    bone = np.argwhere(mask.bone)
    bone = bone[:: len(bone) // ENOUGH_VOXELS + 1]
    low, high = np.quantile(bone @ vertebra_frame(up).T, (0.005, 0.995), axis=0)
    tall, _, broad = np.maximum(high - low, 1.0)
    return float(broad / tall)


def _expected_mm(upper: int, lower: int) -> float:
    """Between two levels of the plain spine, a missing T12 allowed for."""
    return sum(NEXT_MM[level] for level in PLAIN[upper:lower])


def _hole(column: _Column) -> str | None:
    """Neighbours by name that are none by place, or the other way round."""
    at = [PLAIN.index(level) for level in column.levels]
    expected = np.array([_expected_mm(a, b) for a, b in pairwise(at)])
    if not len(expected):
        return None
    ratio = column.gaps / expected
    ratio /= np.clip(np.median(ratio), 0.5, 1.45)
    for i, (a, b) in enumerate(pairwise(column.levels)):
        apart = f"what it names {a} and {b} lie {column.gaps[i]:.0f} mm apart"
        if at[i + 1] - at[i] == 1 and ratio[i] > HOLE:
            return f"{apart}, with room for a vertebra between them"
        no_t12 = (a, b) == (Level.T11, Level.L1)
        if at[i + 1] - at[i] > 1 and ratio[i] < CROWDED and not no_t12:
            return f"{apart}, without room for what is missing between them"
    return None


def _too_large(column: _Column) -> bool:
    """Larger than any patient has them; a cut one can only be larger still."""
    usual = np.array([_CM3[PLAIN.index(level)] for level in column.levels])
    return bool(np.median(column.cm3 / usual) > TOO_LARGE)


def _unlike(column: _Column) -> float:
    """How much worse the names fit than the best stretch of a normal spine."""
    at = np.array([PLAIN.index(level) for level in column.levels])
    at -= at[0]
    costs = [_cost(column, at + first) for first in range(len(PLAIN) - int(at[-1]))]
    return costs[PLAIN.index(column.levels[0])] - min(costs)


def _cost(column: _Column, at: NDArray[np.intp]) -> float:
    """Minus log likelihood of the column being these levels, at the stature that suits best."""
    total = 0.5 * (np.maximum(0, _STATURES - _LARGEST) / 0.06) ** 2
    total += 0.5 * (np.maximum(0, _SMALLEST - _STATURES) / 0.08) ** 2
    if column.arches:
        broad = np.log(column.breadth / np.array(_BREADTH)[at])[~column.cut]
        total += _costs(broad / _BREADTH_SIGMA).sum()
        size = np.log(column.cm3 / np.array(_CM3)[at])[:, None] - 3 * _STATURES
        size = np.where(column.cut[:, None], np.maximum(size, 0), size)
        total += _costs(size / _CM3_SIGMA).sum(0)
    expected = np.array([_expected_mm(int(a), int(b)) for a, b in pairwise(at)])
    if len(expected):
        gap = np.log(column.gaps / expected)[:, None] - _STATURES
        total += _costs(gap / _GAP_SIGMA).sum(0)
    return float(total.min())


def _costs(z: Array) -> Array:
    return np.asarray(np.minimum(0.5 * z * z, _MOST_COST))


def name_remarks(masks: Sequence[VertebraMask], *, settled: bool) -> tuple[str, ...]:
    """Remarks on the names of a given segmentation; `settled`: a person or the file itself stated
    them. Raises NamesOutOfOrder, and NamesContradictAnatomy unless settled."""
    masks = without_fragments(masks)
    if (crossed := out_of_order(masks)) is not None:
        raise NamesOutOfOrder(*crossed)
    why = contradiction(masks)
    if why is not None and not settled:
        raise NamesContradictAnatomy(why)
    if why is not None:
        return (f"The names of the levels were kept as stated, but {why}.",)
    if masks and not settled and masks[0].vertebra.level is Level.C1:
        last = masks[-1].vertebra.level
        return (f"The segmentation's numbers from 1 on were read as VerSe labels, C1 to {last}.",)
    return ()
