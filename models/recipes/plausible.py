"""Which pseudo-masks are kept for training: those that the column and the shape prior believe.

A mask made by a network teaches its mistakes if it is taken as it comes.
"""

from itertools import pairwise

import numpy as np
from scipy import ndimage as ndi

from models.recipes.shapes import BODY, Case

MIN_BODY_CM3 = 2.5
MAX_BODY_CM3 = 90.0
TO_NEIGHBOURS = (0.45, 2.0)  # of the median body volume of up to three neighbours on each side
ONE_PIECE = 0.93  # share of the mask that hangs together
MIN_ARCH_SHARE = 0.12  # of the body's volume; a cut-off arch has less
APART_MM = (10.0, 52.0)  # between neighbouring bodies, C2 to L5, children to giants


def plausible(case: Case, centres: dict[int, np.ndarray]) -> set[int]:
    """VerSe labels of `centres` whose masks look like vertebrae of one column."""
    volumes = {v: _body_cm3(case, v) for v in centres}
    order = sorted(centres, key=lambda v: -centres[v][0])
    kept = {
        v
        for i, v in enumerate(order)
        if MIN_BODY_CM3 <= volumes[v] <= MAX_BODY_CM3
        and _like_neighbours(i, [volumes[w] for w in order])
        and _is_whole(case, v, volumes[v])
    }
    return kept - _crowded(order, centres, case.spacing_mm)


def _body_cm3(case: Case, value: int) -> float:
    voxels = int(((case.verse == value) & (case.part == BODY)).sum())
    return voxels * case.spacing_mm**3 / 1000


def _like_neighbours(i: int, volumes: list[float]) -> bool:
    near = volumes[max(i - 3, 0) : i] + volumes[i + 1 : i + 4]
    if not near or float(np.median(near)) == 0:
        return True
    return TO_NEIGHBOURS[0] <= volumes[i] / float(np.median(near)) <= TO_NEIGHBOURS[1]


def _is_whole(case: Case, value: int, body_cm3: float) -> bool:
    """In one piece, and with an arch; a vertebra that the scan cuts may lack it."""
    mask = case.verse == value
    box = ndi.find_objects(mask.astype(np.uint8))[0]
    if any(s.start == 0 or s.stop == n for s, n in zip(box, mask.shape, strict=True)):
        return True
    pieces, count = ndi.label(mask[box])
    sizes = ndi.sum_labels(mask[box], pieces, range(1, count + 1))
    arch = mask[box].sum() * case.spacing_mm**3 / 1000 - body_cm3
    return bool(sizes.max() >= ONE_PIECE * sizes.sum() and arch >= MIN_ARCH_SHARE * body_cm3)


def _crowded(order: list[int], centres: dict[int, np.ndarray], spacing_mm: float) -> set[int]:
    """Labels whose distance to the next is no vertebra's."""
    out: set[int] = set()
    for a, b in pairwise(order):
        gap = float(np.linalg.norm(centres[a] - centres[b])) * spacing_mm
        if not APART_MM[0] <= gap <= APART_MM[1] and abs(a - b) == 1:
            out |= {a, b}
    return out
