"""Radiomics of one vertebra: its body on a grid of 1 mm, given to mirp.

The body alone: the study that radiomics stand beside outlined whole vertebrae, but the arch is
thin against the grid and the outline's error, and its texture is mostly cortex and surroundings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Grid, Image
from vfx_edge.image.grids import box_about, grid_between, sample
from vfx_edge.radiomics.settings import (
    BIN_HU,
    FEATURES,
    GRID_MM,
    LEAST_VOXELS,
    MARGIN,
    RANGE_HU,
)
from vfx_edge.study import VertebraMask
from vfx_edge.vocabulary import Reason

NO_FEATURES: dict[str, float] = dict.fromkeys(FEATURES, float("nan"))
INSIDE = 0.5


@dataclass(frozen=True)
class Measured:
    """Features of a vertebra; NaN where one is not defined. reason: why none is, "" where there
    are some."""

    features: dict[str, float]
    reason: str = ""


def features_of(image: Image, mask: VertebraMask) -> dict[str, float]:
    """The features of `FEATURES`, of the vertebra's body; all NaN where it was not outlined, or
    the scan's edge cuts it. Lengths in mm, grey values in HU or bins. RadiomicsMissing."""
    return measured(image, mask).features


def measured(image: Image, mask: VertebraMask, moved_by: int | None = None) -> Measured:
    """The same, with the reason where there is none. moved_by: the seed by which the outline is
    drawn anew, as another reader could have drawn it (`moved`). RadiomicsMissing."""
    from vfx_edge.radiomics.mirp_features import mirp_features

    if not mask.is_outlined:
        return Measured(NO_FEATURES, Reason.NOT_OUTLINED)
    if mask.touches_edge or not mask.vertebra.wholly_in_view:
        return Measured(NO_FEATURES, Reason.TRUNCATED)
    grid, chance = _fine(mask)
    inside = (chance if moved_by is None else moved(chance, moved_by)) > INSIDE
    hu = sample(image, grid)
    if np.count_nonzero(inside & (hu >= RANGE_HU[0]) & (hu <= RANGE_HU[1])) < LEAST_VOXELS:
        return Measured(NO_FEATURES, Reason.LOW_CONFIDENCE)
    return Measured(mirp_features(hu, inside, BIN_HU, RANGE_HU))


def _fine(mask: VertebraMask) -> tuple[Grid, NDArray[np.float32]]:
    """The grid about the body, and the chance that a voxel of it is body."""
    own = mask.grid
    box = box_about(mask.body > 0, 1)
    stop = np.minimum([side.stop for side in box], own.shape) - 1
    ends = own.to_lps(np.array([[side.start for side in box], stop], np.float64))
    reach = MARGIN * GRID_MM
    grid = grid_between(ends[0] - reach, ends[1] + reach, GRID_MM)
    whole = Image(mask.body.astype(np.float32), own.affine_zyx_to_lps, "SEG", "1")
    return grid, _largest(sample(whole, grid))


def _largest(chance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without islands: a body is one piece, and its shape would be measured across the gap."""
    pieces, count = ndimage.label(chance > INSIDE)
    if count < 2:
        return chance
    sizes = np.bincount(pieces.ravel())[1:]
    islands = (pieces > 0) & (pieces != 1 + int(sizes.argmax()))
    return np.where(islands, np.float32(0), chance)


MOVED_MM, MOVED_GRAIN_MM = 0.5, 4.0
"""An outline that is drawn again lies elsewhere by this (standard deviation), in dents and bulges
of about this size."""


def moved(chance: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """(z, y, x) the chance that a voxel is inside, where the outline is moved in and out by a
    smooth random field of MOVED_MM: what another reader, or another network, may do. The same seed
    gives the same outline. 0 or 1."""
    inside = chance > INSIDE
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    depth -= np.where(inside, 0.5, -0.5)  # from the surface, not from the next voxel's middle
    noise = np.random.default_rng(seed).standard_normal(chance.shape)
    field = ndimage.gaussian_filter(noise, MOVED_GRAIN_MM / GRID_MM / 2)
    field *= MOVED_MM / GRID_MM / max(float(field.std()), 1e-9)
    return _largest((depth + field > 0).astype(np.float32))
