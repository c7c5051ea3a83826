"""An image with what it takes to read it: places, modality, unit.

Arrays are z, y, x with z towards the head, y towards the back, x towards the patient's left.
Places are millimetres in the DICOM patient frame LPS, as (x, y, z) = (left, posterior, superior).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1024.0
Point = tuple[float, float, float]
"""Millimetres (left, posterior, superior)."""


def frozen_array(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same array, made read-only."""
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Image:
    """One three-dimensional image, axes turned to the nearest of (S, P, L).

    values: (z, y, x), read-only. index -> LPS mm: `affine_zyx_to_lps @ (z, y, x, 1)`.
    """

    values: NDArray[Any]
    affine_zyx_to_lps: NDArray[np.float64]
    modality: str
    """As DICOM names it: "CT", "MR", "NM", "SEG" …"""
    unit: str
    """Of the values: "HU" for CT, "1" for masks and probabilities."""
    valid: NDArray[np.bool_] | None = None
    """(z, y, x) False where nothing was measured (padding of a resampled stack); None: all."""

    def __post_init__(self) -> None:
        frozen_array(self.values)
        frozen_array(self.affine_zyx_to_lps)

    @property
    def outside(self) -> float:
        """What is taken for the values beyond the image's end: air, or nothing."""
        return AIR_HU if self.unit == "HU" else 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = self.values.shape
        return z, y, x

    @property
    def spacing_zyx_mm(self) -> NDArray[np.float64]:
        """Voxel edge lengths (z, y, x) in mm."""
        return np.asarray(np.linalg.norm(self.affine_zyx_to_lps[:3, :3], axis=0))

    def to_lps(self, zyx: NDArray[Any]) -> NDArray[np.float64]:
        """(n, 3) voxel indices (z, y, x) -> (n, 3) LPS mm."""
        return np.asarray(zyx @ self.affine_zyx_to_lps[:3, :3].T + self.affine_zyx_to_lps[:3, 3])

    def to_zyx(self, lps_mm: NDArray[Any]) -> NDArray[np.float64]:
        """(n, 3) LPS mm -> (n, 3) voxel indices (z, y, x)."""
        inverse = np.linalg.inv(self.affine_zyx_to_lps)
        return np.asarray(lps_mm @ inverse[:3, :3].T + inverse[:3, 3])


@dataclass(frozen=True)
class Grid:
    """An isotropic LPS-aligned lattice: `shape` (z, y, x), voxel (0, 0, 0) at `origin_lps_mm`."""

    origin_lps_mm: Point
    spacing_mm: float
    shape: tuple[int, int, int]

    @property
    def affine_zyx_to_lps(self) -> NDArray[np.float64]:
        """(4, 4): index (z, y, x, 1) -> LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[::-1] * self.spacing_mm
        affine[:3, 3] = self.origin_lps_mm
        return affine

    def to_zyx(self, lps_mm: NDArray[Any]) -> NDArray[np.float64]:
        """(n, 3) LPS mm -> (n, 3) indices z, y, x."""
        return np.asarray((lps_mm - np.array(self.origin_lps_mm))[..., ::-1] / self.spacing_mm)

    def to_lps(self, zyx: NDArray[Any]) -> NDArray[np.float64]:
        """(n, 3) indices z, y, x -> (n, 3) LPS mm."""
        return np.asarray(zyx[..., ::-1] * self.spacing_mm + np.array(self.origin_lps_mm))
