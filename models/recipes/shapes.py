"""Labelled vertebrae from VerSe-format masks: canonical grid, and body told from arch.

Arrays are z, y, x with z to the head, y to the back, x to the patient's left.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

BODY, ARCH = 1, 2
SUBREGION_BODY = (49, 50)  # TPTBox: corpus border and corpus


@dataclass(frozen=True, eq=False)
class Case:
    """One training volume on an isotropic LPS-aligned grid.

    hu (z, y, x) int16 or None for a mask without CT; verse (z, y, x) uint8 VerSe labels;
    part (z, y, x) uint8: 0 none, 1 body, 2 arch and processes.
    """

    name: str
    spacing_mm: float
    origin_lps_mm: np.ndarray
    hu: np.ndarray | None
    verse: np.ndarray
    part: np.ndarray


def canonical_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """An empty LPS-aligned isotropic image that covers `image`."""
    size = np.array(image.GetSize()) - 1
    corners = np.array([
        image.TransformContinuousIndexToPhysicalPoint([float(v) for v in size * np.array(bits)])
        for bits in np.ndindex(2, 2, 2)
    ])
    low, high = corners.min(0), corners.max(0)
    count = np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1
    grid = sitk.Image([int(c) for c in count], sitk.sitkUInt8)
    grid.SetOrigin([float(v) for v in low])
    grid.SetSpacing([spacing_mm] * 3)
    return grid


def resample(image: sitk.Image, grid: sitk.Image, linear: bool, outside: float = -1024.0) -> np.ndarray:
    method = sitk.sitkLinear if linear else sitk.sitkNearestNeighbor
    out = sitk.Resample(image, grid, sitk.Transform(), method, outside)
    return sitk.GetArrayFromImage(out)


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


def centroids(verse: np.ndarray) -> dict[int, np.ndarray]:
    """VerSe label -> centroid (z, y, x) in voxels."""
    values = [int(v) for v in np.unique(verse) if v]
    found = ndi.center_of_mass(np.ones_like(verse), verse, values)
    return {v: np.array(c) for v, c in zip(values, found, strict=True)}


def _rotate_upright(crop: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation (3x3, rows = new axes in z, y, x) that makes `up` the first axis."""
    up = up / np.linalg.norm(up)
    back = np.array([0.0, 1.0, 0.0]) - up * up[1]
    back /= np.linalg.norm(back)
    left = np.cross(up, back)
    left *= np.sign(left[2]) or 1.0
    matrix = np.stack([up, back, left])
    centre = (np.array(crop.shape) - 1) / 2
    turned = ndi.affine_transform(
        crop.astype(np.float32), matrix.T, centre - matrix.T @ centre, order=1
    )
    return turned > 0.5, matrix, centre


def front_of_canal(mask: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Plane (normal in z, y, x, offset in voxels of `mask`) along the front of the canal.

    Seen along the column the vertebra is a ring; the largest hole is the canal.
    """
    turned, matrix, centre = _rotate_upright(mask, up)
    silhouette = turned.sum(0) >= 1
    closed = ndi.binary_closing(silhouette, iterations=2)
    holes = ndi.binary_fill_holes(closed) & ~closed
    parts, count = ndi.label(holes)
    if not count:
        return None
    sizes = ndi.sum_labels(holes, parts, range(1, count + 1))
    canal = parts == 1 + int(np.argmax(sizes))
    if sizes.max() < 12:
        return None
    columns = np.flatnonzero(canal.any(0))
    middle = columns[len(columns) // 4 : len(columns) - len(columns) // 4]
    front = float(np.median([np.flatnonzero(canal[:, c]).min() for c in middle]))
    normal = matrix[1]
    point = centre + matrix.T @ (np.array([centre[0], front - 0.5, centre[2]]) - centre)
    return normal, float(normal @ point)


def _padded_box(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    box = ndi.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in box)


def _canal_planes(verse: np.ndarray) -> dict[int, tuple[np.ndarray, float]]:
    """VerSe label -> (normal, offset from the vertebra's centroid) of the canal's front wall."""
    centre = {v: c for v, c in centroids(verse).items() if 1 <= v <= 25 or v == 28}
    order = sorted(centre, key=lambda v: -centre[v][0])
    found: dict[int, tuple[np.ndarray, float]] = {}
    for i, value in enumerate(order):
        above, below = centre[order[max(i - 1, 0)]], centre[order[min(i + 1, len(order) - 1)]]
        up = above - below if len(order) > 1 else np.array([1.0, 0.0, 0.0])
        box = _padded_box(verse == value, 8)
        corner = np.array([s.start for s in box])
        plane = front_of_canal(verse[box] == value, up)
        if plane is not None:
            normal, offset = plane
            found[value] = (normal, offset - float(normal @ (centre[value] - corner)))
    for value in order:  # a vertebra whose ring is cut borrows its nearest neighbour's plane
        if value not in found and found:
            found[value] = found[min(found, key=lambda v: float(np.abs(centre[v] - centre[value]).sum()))]
    return found


def split_parts(verse: np.ndarray) -> np.ndarray:
    """Body (1) and arch with processes (2) of every vertebra, by the front wall of the canal."""
    part = np.zeros_like(verse)
    centre = centroids(verse)
    for value, (normal, offset) in _canal_planes(verse).items():
        box = _padded_box(verse == value, 0)
        mask = verse[box] == value
        point = centre[value] - np.array([s.start for s in box])
        depth = np.tensordot(normal, np.indices(mask.shape) - point[:, None, None, None], 1)
        part[box][mask] = ARCH
        part[box][mask & (depth < offset)] = BODY
    return part


def load_case(name: str, mask: Path, ct: Path | None, spacing_mm: float, subregions: Path | None = None) -> Case:
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
    return Case(name, spacing_mm, np.array(grid.GetOrigin()), hu, verse, part)
