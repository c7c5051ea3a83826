"""Soft tissue beside the body that neither the neighbours nor the other side have."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.spine.signs.local import HALF, STEP_MM, Array, Local, body_middle_mm

SHARE = 0.3
"""Of the height, up and down: the mean of these slices is read."""
ANGLES = np.radians(np.arange(70, 111, 5))
"""From the back, to each side: the psoas lies there, and no vessel and no rib."""
NEAR_MM, FAR_MM = 3.0, 11.0
SOFT_HU, FAT_HU, VESSEL_HU = 0.0, -110.0, 130.0
DENSER_HU = 8.0
FEW, REACH_MM, FINE_MM = 15, 60.0, 0.5


def beside_ml(own: Local, places: Sequence[tuple[float, Local]]) -> float | None:
    """ml of new tissue close beside the body, at the side where it is more: where neighbours and
    the other side have fat or lung, and all of it where it is denser than theirs. How thick the
    layer of muscle is tells no more: healthy sides differ by as much as a mass adds.

    places: neighbours and how many levels below they lie (above: less than 0). None without
    neighbours, and where no body can be read.
    """
    mine = _zones(own)
    theirs = [(down, zone) for down, n in places if (zone := _zones(n)) is not None]
    if mine is None or not theirs:
        return None
    hu, away = mine
    zones = np.array([np.clip(zone[0], FAT_HU, VESSEL_HU) for _, zone in theirs])
    usual = _expected(np.array([down for down, _ in theirs]), zones)
    new = max(_new_mm2(side, hu, away, usual, zones) for side in (0, 1))
    return new * 2 * SHARE * own.height_mm / 1000


def _section(local: Local) -> Array:
    """(back, left) HU: the mean of the middle slices."""
    return np.asarray(ndimage.gaussian_filter(local.hu[local.rows(SHARE)].mean(0), 0.7))


def _edge_mm(local: Local, side: float) -> Array:
    """How far from the middle the body ends, for each angle; REACH_MM where it does not, and 0
    where it is not in the middle."""
    body = (local.hull[local.rows(SHARE)].mean(0) > HALF).astype(np.float64)
    steps = np.arange(0.0, REACH_MM, FINE_MM)
    rays = np.broadcast_to(steps, (len(ANGLES), len(steps)))
    index = _index(local, body_middle_mm(local), side, rays)
    outside = ndimage.map_coordinates(body, index, order=1) <= HALF
    return np.where(outside.any(1), outside.argmax(1) * FINE_MM, REACH_MM)


def _new_mm2(side: int, hu: Array, away: Array, usual: Array, zones: Array) -> float:
    soft = _is_soft(hu[side])
    new = soft & (usual[side] < SOFT_HU) & ~_is_soft(hu[1 - side])
    others = [value for zone in zones if (value := _density(zone[side])) is not None]
    across, density = _density(hu[1 - side]), _density(hu[side])
    known = [float(np.median(others))] if others else []
    known += [] if across is None else [across]
    if density is not None and known and density > max(known) + DENSER_HU:
        new = soft
    return float((new * away[side]).sum()) * float(ANGLES[1] - ANGLES[0]) * STEP_MM


def _is_soft(hu: Array) -> NDArray[np.bool_]:
    return np.asarray((hu > SOFT_HU) & (hu < VESSEL_HU))


def _density(hu: Array) -> float | None:
    soft = hu[_is_soft(hu)]
    return float(np.median(soft)) if len(soft) > FEW else None


def _expected(down: Array, zones: Array) -> Array:
    """What the neighbours' line has at this level: the psoas grows from level to level."""
    if (down > 0).any() and (down < 0).any():
        design = np.stack([np.ones_like(down), down], axis=1)
        fit = np.linalg.lstsq(design, zones.reshape(len(zones), -1), rcond=None)[0]
        return np.asarray(fit[0].reshape(zones.shape[1:]))
    return np.asarray(np.median(zones, axis=0))


def _zones(local: Local) -> tuple[Array, Array] | None:
    """(2 sides left and right, angles, distances) HU close beside the body, and how far each
    place lies from the body's middle, mm; None where no body is."""
    hu, middle = _section(local), body_middle_mm(local)
    beyond = np.arange(NEAR_MM, FAR_MM + STEP_MM / 2, STEP_MM)
    found: list[Array] = []
    places: list[Array] = []
    for side in (1.0, -1.0):
        edge = _edge_mm(local, side)
        if (edge == 0).any() or (edge == REACH_MM).any():
            return None
        away = edge[:, None] + beyond
        index = _index(local, middle, side, away)
        found.append(ndimage.map_coordinates(hu, index, order=1, cval=FAT_HU))
        places.append(away)
    return np.array(found), np.array(places)


def _index(local: Local, middle: tuple[float, float], side: float, away: Array) -> Array:
    """Where on rays from the middle the places `away` mm lie, as index of (back, left)."""
    back = np.cos(ANGLES)[:, None] * away + middle[0] - local.back_mm[0]
    left = side * np.sin(ANGLES)[:, None] * away + middle[1] - local.left_mm[0]
    return np.stack([back, left]) / STEP_MM
