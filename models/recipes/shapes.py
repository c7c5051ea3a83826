"""Labelled vertebrae from VerSe-format masks: canonical grid, and body told from arch.

Arrays are z, y, x with z to the head, y to the back, x to the patient's left.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from vfx_edge.spine.parts import ARCH, BODY, centroids, split_parts

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


def shares(image: sitk.Image, grid: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """(how much of each voxel of `grid` the label fills that fills most of it, 0..1; that label).

    Processes and laminae are a voxel or two thick: cut at one half they lose a twentieth of the
    whole vertebra, and a network that learns them so draws them too thin.
    """
    labels = sitk.Cast(image, sitk.sitkUInt8)
    most = np.zeros(sitk.GetArrayViewFromImage(grid).shape, np.float32)
    whose = np.zeros(most.shape, np.uint8)
    for value in (int(v) for v in np.unique(sitk.GetArrayViewFromImage(labels)) if v):
        indicator = sitk.Cast(labels == value, sitk.sitkFloat32)
        if grid.GetSpacing()[0] > 1.5 * min(image.GetSpacing()):  # anti-alias
            indicator = sitk.SmoothingRecursiveGaussian(indicator, 0.4 * grid.GetSpacing()[0])
        share = resample(indicator, grid, linear=True, outside=0.0)
        wins = share > most
        most[wins], whose[wins] = share[wins], value
    return most, whose


def resample_labels(image: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """Labels resampled by the largest linearly interpolated indicator: no stair steps."""
    labels = sitk.Cast(image, sitk.sitkUInt8)
    values = [int(v) for v in np.unique(sitk.GetArrayViewFromImage(labels)) if v]
    best = np.full(sitk.GetArrayViewFromImage(grid).shape, 0.5, np.float32)
    out = np.zeros(best.shape, np.uint8)
    spacing = min(image.GetSpacing())
    for value in values:
        indicator = sitk.Cast(labels == value, sitk.sitkFloat32)
        if grid.GetSpacing()[0] > 1.5 * spacing:  # anti-alias before going coarser
            indicator = sitk.SmoothingRecursiveGaussian(indicator, 0.4 * grid.GetSpacing()[0])
        elif max(image.GetSpacing()) > 1.5 * grid.GetSpacing()[0]:
            indicator = sitk.SmoothingRecursiveGaussian(indicator, 0.5 * max(image.GetSpacing()))
        soft = resample(indicator, grid, linear=True, outside=0.0)
        wins = soft > best
        best[wins] = soft[wins]
        out[wins] = value
    return out


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
