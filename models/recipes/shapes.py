"""Labelled vertebrae from VerSe-format masks: canonical grid, body and arch apart.

Arrays are z, y, x with z to the head, y to the back, x to the patient's left.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from vfx_edge.image import Image
from vfx_edge.image.grids import Grid, grid_covering, sample
from vfx_edge.spine.body_and_arch import ARCH, BODY, centroids, split_parts

__all__ = ["ARCH", "BODY", "Case", "centroids", "load_case", "split_parts"]
SUBREGION_BODY = (49, 50)  # TPTBox: corpus border and corpus


@dataclass(frozen=True, eq=False)
class Case:
    """One training volume on an isotropic LPS-aligned grid.

    hu (z, y, x) int16 or None for a mask without CT; verse (z, y, x) uint8 VerSe labels;
    part (z, y, x) uint8: 0 none, 1 body, 2 arch and processes. soft (2, z, y, x) uint8, where a
    mask finer than the grid was at hand: how many 255ths of the voxel are bone, and whose, as
    verse * 4 + part, also where that is less than one half.
    """

    name: str
    spacing_mm: float
    origin_lps_mm: np.ndarray
    hu: np.ndarray | None
    verse: np.ndarray
    part: np.ndarray
    soft: np.ndarray | None = None

    def keep_only(self, labels: Collection[int]) -> None:
        """Takes the masks of all other vertebrae out, in place."""
        others = ~np.isin(self.verse, list(labels))
        self.verse[others], self.part[others] = 0, 0


def canonical_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """An empty LPS-aligned isotropic image that covers `image`."""
    size = np.array(image.GetSize()) - 1
    corners = np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint([float(v) for v in size * np.array(bits)])
            for bits in np.ndindex(2, 2, 2)
        ]
    )
    low, high = corners.min(0), corners.max(0)
    count = np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1
    grid = sitk.Image([int(c) for c in count], sitk.sitkUInt8)
    grid.SetOrigin([float(v) for v in low])
    grid.SetSpacing([spacing_mm] * 3)
    return grid


def resample(
    image: sitk.Image, grid: sitk.Image, linear: bool, outside: float = -1024.0
) -> np.ndarray:
    method = sitk.sitkLinear if linear else sitk.sitkNearestNeighbor
    out = sitk.Resample(image, grid, sitk.Transform(), method, outside)
    return sitk.GetArrayFromImage(out)


def on_grid(image: Image, spacing_mm: float) -> tuple[Grid, np.ndarray]:
    """A grid over a CT, and its HU (z, y, x) int16 there."""
    grid = grid_covering(image, spacing_mm)
    return grid, np.clip(sample(image, grid), -1024, 3071).astype(np.int16)


def shares(image: sitk.Image, grid: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """(how much of each voxel of `grid` the label fills that fills most of it, 0..1; that label).

    Processes and laminae are a voxel or two thick: cut at one half they lose a twentieth of the
    whole vertebra, and a network that learns them so draws them too thin.
    """
    return _largest_shares(image, grid, least=0.0, smooth_steps=False)


def resample_labels(image: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """Labels resampled by the largest linearly interpolated indicator: no stair steps."""
    return _largest_shares(image, grid, least=0.5, smooth_steps=True)[1]


def _largest_shares(
    image: sitk.Image, grid: sitk.Image, least: float, smooth_steps: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(the largest share above `least` that a label has of each voxel, that label)."""
    labels = sitk.Cast(image, sitk.sitkUInt8)
    most = np.full(sitk.GetArrayViewFromImage(grid).shape, least, np.float32)
    whose = np.zeros(most.shape, np.uint8)
    step, fine, coarse = grid.GetSpacing()[0], min(image.GetSpacing()), max(image.GetSpacing())
    for value in (int(v) for v in np.unique(sitk.GetArrayViewFromImage(labels)) if v):
        indicator = sitk.Cast(labels == value, sitk.sitkFloat32)
        if step > 1.5 * fine:  # anti-alias before going coarser
            indicator = sitk.SmoothingRecursiveGaussian(indicator, 0.4 * step)
        elif smooth_steps and coarse > 1.5 * step:
            indicator = sitk.SmoothingRecursiveGaussian(indicator, 0.5 * coarse)
        share = resample(indicator, grid, linear=True, outside=0.0)
        wins = share > most
        most[wins], whose[wins] = share[wins], value
    return most, whose


def load_case(
    name: str, mask: Path, ct: Path | None, spacing_mm: float, subregions: Path | None = None
) -> Case:
    """Read a VerSe-format mask (and its CT) onto a canonical grid of `spacing_mm`."""
    image = sitk.ReadImage(str(mask))
    grid = canonical_grid(image, spacing_mm)
    verse = resample_labels(image, grid)
    if subregions is not None:
        sub = resample_labels(sitk.ReadImage(str(subregions)), grid)
        part = np.where(np.isin(sub, SUBREGION_BODY), BODY, ARCH).astype(np.uint8)
        part[verse == 0] = 0
    else:
        part = split_parts(verse)
    hu = None
    if ct is not None:
        volume = sitk.Cast(sitk.ReadImage(str(ct)), sitk.sitkFloat32)
        hu = np.clip(resample(volume, grid, linear=True), -1024, 3071).astype(np.int16)
    soft = _soft(*shares(image, grid), part)
    return Case(name, spacing_mm, np.array(grid.GetOrigin()), hu, verse, part, soft)


def _soft(share: np.ndarray, whose: np.ndarray, part: np.ndarray) -> np.ndarray:
    """See `Case.soft`; a voxel that is no part's belongs to the nearest part."""
    nearest = ndi.distance_transform_edt(part == 0, return_distances=False, return_indices=True)
    whose = whose * np.uint8(4) + part[tuple(nearest)]
    return np.stack([np.round(share * 255).astype(np.uint8), whose])
