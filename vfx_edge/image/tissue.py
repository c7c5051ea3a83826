"""Whether a CT's numbers can be Hounsfield units of a body: by where fat and soft tissue lie.

Fat has -100 HU and soft tissue 45 HU in everybody; contrast medium and bone only add a tail. So a
histogram is laid over fat, soft tissue and tail, moved by any number of HU, and must fit nearly as
well where it is as where it fits best.
"""

import numpy as np
from numpy.typing import NDArray

LOWEST_HU, HIGHEST_HU, BIN_HU = -250, 1550, 10
FAT_HU, FAT_SD, SOFT_HU, SOFT_SD, TAIL_FROM_HU, TAIL_HU = -100, 22, 45, 28, 60, 180
MOST_BETWEEN, MOST_TAIL, REST = 0.5, 0.45, 0.01
"""Shares of tissue that may lie between air and soft tissue, in the tail, and anywhere."""
ROUNDS = 30
NEAR_HU = 40
"""So far fat and soft tissue may lie from where they should: kernels, voltages, calibration."""
MOVED_HU, BETTER, BETTER_UP = 60, 0.06, 0.12
"""A shift by more counts where it fits so much better (log likelihood a voxel), downwards and
upwards. Sound CTs, tight crops of the spine among them, reach 0.043; a slim patient whose organs
are full of contrast medium looks 120 HU too bright by 0.074. 200 HU too many reach 0.13 and more.
"""
DENSE_HU, MOST_DENSE = 900, 0.08
LEAST_TISSUE = 0.015
DARK_HU, SOME_DARK, DARKEST_HU, DARKEST = -500, 0.02, -880, 0.001
SHIFTS = np.concatenate([np.arange(-300, 420, 20), np.arange(440, 1120, 60)])

_Array = NDArray[np.float64]
_MIDDLES = np.arange(LOWEST_HU + BIN_HU / 2, HIGHEST_HU, BIN_HU)


def not_hounsfield(means_hu: NDArray[np.float32]) -> str | None:
    """Why these can be no Hounsfield units of a body, as the end of "…, as"; None where they can.

    means_hu: of blocks of some millimetres, over the whole scan.
    """
    dense = float((means_hu > DENSE_HU).mean())
    if dense > MOST_DENSE:
        return f"{dense:.0%} of the scan is denser than {DENSE_HU} HU"
    tissue = means_hu[(means_hu > LOWEST_HU) & (means_hu < HIGHEST_HU)]
    if len(tissue) < LEAST_TISSUE * means_hu.size:
        return "hardly any of it is tissue"
    shift = tissue_shift(tissue)
    if shift:
        return f"fat and soft tissue lie some {abs(shift)} HU too {'high' if shift > 0 else 'low'}"
    dark = (means_hu < DARK_HU).mean() > SOME_DARK
    lowest = float(np.quantile(means_hu, DARKEST)) if dark else LOWEST_HU - 1000.0
    return f"air has {lowest:.0f} HU" if lowest > DARKEST_HU else None


def tissue_shift(tissue_hu: NDArray[np.float32]) -> int:
    """By how many HU fat and soft tissue lie too high (or too low); 0 where they lie right."""
    counts, _ = np.histogram(tissue_hu, np.arange(LOWEST_HU, HIGHEST_HU + 1, BIN_HU))
    share = counts / counts.sum()
    fits = np.array([_fit(share, int(shift)) for shift in SHIFTS])
    best, near = int(SHIFTS[fits.argmax()]), fits[np.abs(SHIFTS) <= NEAR_HU].max()
    needed = BETTER_UP if best > 0 else BETTER
    return best if abs(best) >= MOVED_HU and fits.max() - near > needed else 0


def _fit(share: _Array, shift: int) -> float:
    """Mean log likelihood of a voxel, with tissues in the proportions that suit best."""
    parts = _parts(shift)
    weights = np.array([0.2, 0.25, 0.3, 0.25 - REST, REST])
    for _ in range(ROUNDS):
        weights = (weights[:, None] * parts / (weights @ parts)) @ share
        for at, most in ((0, MOST_BETWEEN), (3, MOST_TAIL)):
            if weights[at] > most:
                weights *= (1 - most) / (weights.sum() - weights[at])
                weights[at] = most
        weights[-1] = REST
        weights /= weights.sum()
    return float(share @ np.log(weights @ parts))


def _parts(shift: int) -> _Array:
    """(5, bins): between air and soft tissue, fat, soft tissue, the tail, anything."""
    hu = _MIDDLES - shift
    found = [
        (hu < TAIL_FROM_HU + SOFT_SD).astype(float),
        np.exp(-0.5 * ((hu - FAT_HU) / FAT_SD) ** 2),
        np.exp(-0.5 * ((hu - SOFT_HU) / SOFT_SD) ** 2),
        np.where(hu > TAIL_FROM_HU, np.exp(-(hu - TAIL_FROM_HU) / TAIL_HU), 0.0),
        np.ones(len(hu)),
    ]
    # a tissue that is moved out of sight is nowhere
    return np.array([p / p.sum() if p.sum() > 1e-3 else np.full(len(hu), 1e-9) for p in found])
