"""Tissue in the canal, against the neighbours'."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from vfx_edge.spine.signs.local import STEP_MM, Local

SHARE = 0.4
CANAL_BACK_MM, CANAL_SIDE_MM = 13.0, 9.0
USUAL, DENSER_HU = 0.6, 8.0
"""Of a canal so much is the sac and fat; tissue is denser than that by this. The cord and the
walls of bone are left out by what the neighbours show beyond the limit, too."""


def canal_ml(own: Local, neighbours: Sequence[Local]) -> float | None:
    """How many ml of the canal are denser than the neighbours' canals. None where no back wall
    can be read, here or there."""
    canals = [hu for n in neighbours if (hu := _canal(n)) is not None]
    mine = _canal(own)
    if mine is None or not canals:
        return None
    limit = float(np.median([np.quantile(hu, USUAL) for hu in canals])) + DENSER_HU
    share = float((mine > limit).mean()) - float(np.median([(hu > limit).mean() for hu in canals]))
    return share * len(mine) * STEP_MM**3 / 1000


def _canal(local: Local) -> np.ndarray | None:
    """HU of what lies in the canal behind the body."""
    wall = local.back_wall_mm
    if wall is None:
        return None
    rows = local.rows(SHARE)
    back, left = local.back_mm[:, None], local.left_mm[None]
    middle = wall + CANAL_BACK_MM / 2
    oval = ((back - middle) / (CANAL_BACK_MM / 2)) ** 2 + (left / CANAL_SIDE_MM) ** 2 < 1
    clear = ndimage.binary_erosion((local.bone[rows] < 0.2) & ~local.others[rows])
    inside = clear & oval
    return local.smooth_hu[rows][inside] if inside.sum() > 200 else None
