"""Bone as a cortical shell around a textured spongy interior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F32, Canvas, Mask, Patch
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.noise import NoiseField, noise_field
from vfx_edge.phantom.solids import Solid, bounds, union


@dataclass(frozen=True, eq=False)
class BoneTissue:
    """Densities of one patient's skeleton.

    ``plate_share`` is the endplate's thickness relative to ``shell_mm``;
    ``rise`` how much denser the marrow gets towards the cortex.
    """

    cortex_hu: float
    spongy_hu: float
    shell_mm: float
    coarse: NoiseField
    fine: NoiseField
    coarse_share: float
    fine_hu: float
    plate_share: float
    rise: float

    def texture(self, patch: Patch) -> F32:
        """Spongy HU on ``patch``, (nz,ny,nx)."""
        out = self.coarse.on(patch)
        out *= np.float32(self.coarse_share * self.spongy_hu)
        if patch.edge_mm < 2.2:
            # Below voxel size the grain would only alias.
            out += self.fine.on(patch) * np.float32(self.fine_hu)
        out += np.float32(self.spongy_hu)
        return out


def bone_tissue(density: float, jitter: Jitter) -> BoneTissue:
    """Tissue for ``density`` (1 young adult, 0.4 osteoporotic)."""
    return BoneTissue(
        cortex_hu=(620.0 + 300.0 * density) * jitter.scale(0.18),
        spongy_hu=max(20.0, 225.0 * density - 15.0) * jitter.scale(0.10),
        shell_mm=(0.75 + 0.4 * density) * jitter.scale(0.2),
        coarse=noise_field(jitter.rng, 6.0),
        fine=noise_field(jitter.rng, 1.5, 1.8),
        coarse_share=0.15 * jitter.scale(0.4),
        fine_hu=(26.0 + 14.0 * density) * jitter.scale(0.4),
        plate_share=float(np.clip(0.55 + jitter.shift(0.18), 0.25, 1.1)),
        rise=float(np.clip(0.55 + jitter.shift(0.3), 0.0, 1.3)),
    )


def paint_bone(
    patch: Patch,
    distance: F32,
    spongy: F32 | float,
    shell_mm: F32 | float,
    cortex_hu: F32 | float,
) -> None:
    """Draw a shell and its interior where ``distance`` is negative.

    The shares of shell and interior in each voxel are exact for a flat wall, so
    a thin cortex keeps its mass at any voxel size.
    """
    near = distance < patch.edge_mm
    if not near.any():
        return
    d = distance[near]
    whole = patch.coverage(d)
    inner = patch.coverage(d + _cut(shell_mm, near))
    cortex, core = _cut(cortex_hu, near), _cut(spongy, near)
    hu = patch.hu[near]
    hu *= 1 - whole
    hu += cortex * (whole - inner) + core * inner
    patch.hu[near] = hu


def _cut(value: F32 | float, near: Mask) -> F32 | np.float32:
    return np.asarray(value[near]) if isinstance(value, np.ndarray) else np.float32(value)


def mark(patch: Patch, distance: F32, part: int, label: int = 0) -> None:
    """Write ``part`` (and ``label``) where ``distance`` is negative."""
    inside = distance <= 0
    patch.parts[inside] = part
    patch.labels[inside] = label


def paint_bones(
    canvas: Canvas,
    solids: Sequence[Solid],
    round_mm: float,
    part: int,
    spongy_hu: float,
    shell_mm: float,
    cortex_hu: float,
) -> None:
    """Draw the union of ``solids`` as bone of one part, its interior without texture."""
    for patch in canvas.tiles(*bounds(solids)):
        distance = union(patch, solids, round_mm)
        paint_bone(patch, distance, spongy_hu, shell_mm, cortex_hu)
        mark(patch, distance, part)
