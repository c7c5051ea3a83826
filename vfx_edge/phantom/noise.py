"""Smooth random fields fixed in patient space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F32, Patch

_LATTICE = 40


@dataclass(frozen=True, eq=False)
class NoiseField:
    """Periodic cubic-spline noise, zero mean, unit deviation.

    ``lattice`` is a random cube; neighbouring nodes lie ``scale_mm`` apart along
    (z, y, x), so elongated grain is possible.
    """

    lattice: F32
    scale_mm: tuple[float, float, float]

    def on(self, patch: Patch) -> F32:
        """Field on ``patch``, (nz,ny,nx)."""
        lines = (patch.z_mm.ravel(), patch.y_mm.ravel(), patch.x_mm.ravel())
        (iz, wz), (iy, wy), (ix, wx) = (
            _weights(line / np.float32(scale))
            for line, scale in zip(lines, self.scale_mm, strict=True)
        )
        nodes = self.lattice[np.ix_(iz, iy, ix)]
        rows = wy @ (nodes @ wx.T)
        flat = wz @ rows.reshape(len(iz), -1)
        return np.asarray(flat.reshape(patch.shape), dtype=np.float32)


def _weights(at: F32) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], F32]:
    """Wrapped node numbers and the (n, nodes) cubic B-spline weights for them."""
    base = np.floor(at).astype(np.intp)
    t = (at - base).astype(np.float32)
    first = int(base.min()) - 1
    count = int(base.max()) + 3 - first
    weights = np.zeros((len(at), count), np.float32)
    rows = np.arange(len(at))
    cubic = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, value in enumerate(cubic):
        weights[rows, base - 1 + k - first] = value / 6
    return (np.arange(first, first + count) % _LATTICE).astype(np.intp), weights


def noise_field(rng: np.random.Generator, scale_mm: float, stretch_z: float = 1.0) -> NoiseField:
    """A new field with grain about ``scale_mm`` wide (``stretch_z`` taller)."""
    lattice = rng.standard_normal((_LATTICE,) * 3).astype(np.float32)
    # Spline smoothing shrinks the spread by this much along each axis.
    lattice *= np.float32(3.05)
    return NoiseField(lattice, (scale_mm * stretch_z, scale_mm, scale_mm))
