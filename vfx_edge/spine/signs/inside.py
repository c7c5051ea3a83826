"""What the body holds: gas, marrow denser or thinner than its neighbours', a line through it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.spine.signs.local import STEP_MM, Bool, Local

GAS_HU, GAS_DEEP_MM = -150.0, 3.0
CORE_DEEP_MM, LEAST_ML = 4.0, 0.8
LINE_DEEP_MM, BESIDE_MM, LINE_SHARE = 3.5, 3.0, 0.3
TILTS_DEG = range(-24, 25, 8)
CHANGED_HU, CHANGED_SD = 90.0, 3.0


def gas_ml(own: Local) -> float | None:
    """ml of gas well within the body, where no disc's vacuum reaches; None of a body too thin."""
    deep = own.depth_in_body_mm > GAS_DEEP_MM
    if deep.sum() * STEP_MM**3 / 1000 < LEAST_ML:
        return None
    return float((deep & (own.hu < GAS_HU)).sum()) * STEP_MM**3 / 1000


@dataclass(frozen=True)
class Core:
    """The marrow against its neighbours': by how many HU its middle value differs, and what share
    of it (per cent) is sclerotic and lytic."""

    difference_hu: float
    sclerotic: float
    lytic: float


def core(own: Local, neighbours: Sequence[Local]) -> Core | None:
    """None where the body is too thin for a core, or no neighbour has one."""
    theirs = [hu for n in neighbours if (hu := _core(n)) is not None]
    mine = _core(own)
    if mine is None or not theirs:
        return None
    usual = float(np.median([np.median(hu) for hu in theirs]))
    spread = float(np.median([1.4826 * np.median(np.abs(hu - np.median(hu))) for hu in theirs]))
    apart = max(CHANGED_HU, CHANGED_SD * spread)
    return Core(
        float(np.median(mine)) - usual,
        100 * float((mine > usual + apart).mean()),
        100 * float((mine < usual - apart).mean()),
    )


def _core(local: Local) -> np.ndarray | None:
    deep = _deep(local, CORE_DEEP_MM)
    return local.smooth_hu[deep] if deep.sum() * STEP_MM**3 / 1000 >= LEAST_ML else None


def _deep(local: Local, least_mm: float) -> Bool:
    return np.asarray(local.depth_in_body_mm > least_mm)


def line(own: Local) -> tuple[float, float] | None:
    """The sharpest band across the body: its contrast to what lies above and below, HU (less
    than 0: a gap), and its tilt in degrees, rising to the back. None of a body too thin."""
    deep = _deep(own, LINE_DEEP_MM)
    found = [
        (contrast, float(tilt))
        for tilt in TILTS_DEG
        if (contrast := _sharpest(own, deep, tilt)) is not None
    ]
    return max(found, key=lambda one: abs(one[0]), default=None)


def _sharpest(own: Local, deep: Bool, tilt_deg: float) -> float | None:
    up, back = own.up_mm[:, None, None], own.back_mm[None, :, None]
    place = np.broadcast_to(up - np.tan(np.radians(tilt_deg)) * back, deep.shape)
    row = np.rint(place[deep] / STEP_MM).astype(int)
    if len(row) < LEAST_ML * 1000:
        return None
    row -= row.min()
    count = np.bincount(row)
    mean = np.bincount(row, own.hu[deep]) / np.maximum(count, 1)
    reach = round(BESIDE_MM / STEP_MM)
    full = count >= LINE_SHARE * count.max()
    rows = [i for i in range(reach, len(mean) - reach) if full[i - reach : i + reach + 1].all()]
    contrasts = [float(mean[i] - (mean[i - reach] + mean[i + reach]) / 2) for i in rows]
    return max(contrasts, key=abs, default=None)
