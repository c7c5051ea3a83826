"""Soft tissue beside the body and in the canal, against the neighbours'."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from vfx_edge.spine.signs.local import HALF, STEP_MM, Bool, Local

SHARE = 0.4
NEAR_MM, FAR_MM, THICK_MM = 1.5, 14.0, 8.0
SOFT_HU = (10.0, 110.0)
CANAL_BACK_MM, CANAL_SIDE_MM = 13.0, 9.0
DENSER_HU = 14.0


def beside_ml(own: Local, neighbours: Sequence[Local]) -> float | None:
    """By how many ml there is more soft tissue than beside the neighbours, on the side where it is
    more. None without neighbours."""
    if not neighbours:
        return None
    mine = np.array(_beside(own))
    theirs = np.array([_beside(neighbour) for neighbour in neighbours])
    excess = np.max(mine - np.median(theirs, axis=0))
    return float(excess) * _slab_mm(own) / 1000


def _slab_mm(local: Local) -> float:
    rows = local.rows(SHARE)
    return float(rows.stop - rows.start) * STEP_MM


def _beside(local: Local) -> tuple[float, float]:
    """(left, right) area of thick soft tissue near the body, mm2 a slice: levels differ in
    height. Thin sheets (crura, vessels, the pleura) are left out: a mass is as thick as deep."""
    rows = local.rows(SHARE)
    wall = local.back_wall_mm if local.back_wall_mm is not None else 12.0
    near = _about(local.body[rows] > HALF) & (local.back_mm <= wall)[None, :, None]
    area = (_thick(local)[rows] & near).sum((0, 1)) * STEP_MM**2 / len(near)
    return float(area[local.left_mm > 0].sum()), float(area[local.left_mm < 0].sum())


def _thick(local: Local) -> Bool:
    """Soft tissue that a ball of THICK_MM fits into."""
    soft = (local.smooth_hu > SOFT_HU[0]) & (local.smooth_hu < SOFT_HU[1])
    soft &= (local.bone <= HALF) & ~local.others
    core = ndimage.distance_transform_edt(soft) * STEP_MM > THICK_MM
    if not core.any():
        return np.zeros_like(soft)
    return np.asarray(soft & (ndimage.distance_transform_edt(~core) * STEP_MM <= THICK_MM))


def _about(body: Bool) -> Bool:
    away = np.stack([ndimage.distance_transform_edt(~part) * STEP_MM for part in body])
    return np.asarray((away > NEAR_MM) & (away <= FAR_MM))


def canal_ml(own: Local, neighbours: Sequence[Local]) -> float | None:
    """How many ml of the canal are denser than the neighbours' canals. None where no back wall
    can be read, here or there."""
    canals = [hu for n in neighbours if (hu := _canal(n)) is not None]
    mine = _canal(own)
    if mine is None or not canals:
        return None
    limit = float(np.median([np.quantile(hu, 0.9) for hu in canals])) + DENSER_HU
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
