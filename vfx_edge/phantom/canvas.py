"""The picture being painted: a voxel grid cut into small tiles.

Everything is drawn in patient millimetres (L, P, S). A tile holds its three
axes as broadcastable vectors, so a plane or a rotated coordinate costs two
additions per voxel, and tiles are small enough to stay in the processor cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Slices = tuple[slice, slice, slice]

TILE_VOXELS = 300_000
FAR_MM = 60.0


class Part:
    """Values of the ``parts`` array; 0 for what is none of these."""

    BODY = 1
    POSTERIOR = 2
    DISC = 3
    RIB = 4
    SACRUM = 5
    PELVIS = 6
    OTHER_BONE = 7
    CANAL = 8


@dataclass(frozen=True, eq=False)
class Patch:
    """A box of voxels. ``x_mm`` (1,1,nx), ``y_mm`` (1,ny,1), ``z_mm`` (nz,1,1)
    are L, P, S positions; ``hu``, ``labels``, ``parts`` are writable (z,y,x) views.
    ``edge_mm`` is the width over which a surface fades (one voxel)."""

    x_mm: F32
    y_mm: F32
    z_mm: F32
    hu: F32
    labels: U8
    parts: U8
    edge_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nz, ny, nx)."""
        return self.hu.shape[0], self.hu.shape[1], self.hu.shape[2]

    def along(self, direction: F64, origin: F64) -> F32:
        """Coordinate along a unit ``direction`` from ``origin``, (nz,ny,nx) mm."""
        n = direction.astype(np.float32)
        flat = self.x_mm * n[0] + (self.y_mm * n[1] - np.float32(direction @ origin))
        return np.asarray(flat + self.z_mm * n[2], dtype=np.float32)

    def slices(self, low: F64, high: F64) -> Slices | None:
        """Index box covering the (L,P,S) box from ``low`` to ``high``, or None."""
        found = []
        for axis, a, b in (
            (self.z_mm, low[2], high[2]),
            (self.y_mm, low[1], high[1]),
            (self.x_mm, low[0], high[0]),
        ):
            line = axis.ravel()
            start, stop = np.searchsorted(line, (a, b))
            if start >= stop:
                return None
            found.append(slice(int(start), int(stop)))
        return found[0], found[1], found[2]

    def at(self, box: Slices) -> Patch:
        """The sub-box ``box`` as views."""
        return Patch(
            self.x_mm[:, :, box[2]],
            self.y_mm[:, box[1]],
            self.z_mm[box[0]],
            self.hu[box],
            self.labels[box],
            self.parts[box],
            self.edge_mm,
        )

    def coverage(self, distance: F32, grow_mm: float = 0.0) -> F32:
        """Share of each voxel inside the surface ``distance`` = ``grow_mm``."""
        share = distance * np.float32(-1.0 / self.edge_mm)
        share += np.float32(0.5 + grow_mm / self.edge_mm)
        return np.clip(share, 0.0, 1.0, out=share)

    def blend(self, share: F32, value: F32 | float) -> None:
        """Mix ``value`` HU into the picture by ``share``."""
        self.hu[...] += share * (value - self.hu)


@dataclass(frozen=True, eq=False)
class Canvas:
    """The whole volume while it is painted."""

    whole: Patch

    @staticmethod
    def empty(x_mm: F64, y_mm: F64, z_mm: F64, edge_mm: float) -> Canvas:
        """Air everywhere; axes are 1-D increasing voxel centres in mm."""
        shape = (len(z_mm), len(y_mm), len(x_mm))
        return Canvas(
            Patch(
                x_mm.astype(np.float32)[None, None, :],
                y_mm.astype(np.float32)[None, :, None],
                z_mm.astype(np.float32)[:, None, None],
                np.full(shape, -1000.0, np.float32),
                np.zeros(shape, np.uint8),
                np.zeros(shape, np.uint8),
                edge_mm,
            )
        )

    @property
    def edge_mm(self) -> float:
        """Width over which a surface fades."""
        return self.whole.edge_mm

    def tiles(self, low: F64, high: F64) -> Iterator[Patch]:
        """Tiles covering the (L,P,S) mm box, stacked along z."""
        pad = self.edge_mm
        box = self.whole.slices(low - pad, high + pad)
        if box is None:
            return
        patch = self.whole.at(box)
        nz, ny, nx = patch.shape
        step = max(1, TILE_VOXELS // (ny * nx))
        for start in range(0, nz, step):
            yield patch.at((slice(start, start + step), slice(None), slice(None)))


def smooth_min(a: F32, b: F32, round_mm: float) -> F32:
    """Union of two distances, the crease rounded over ``round_mm``."""
    if round_mm <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(np.float32(round_mm) - np.abs(a - b), np.float32(0))
    overlap *= overlap
    overlap *= np.float32(0.25 / round_mm)
    return np.asarray(np.minimum(a, b) - overlap, dtype=np.float32)


def smooth_max(a: F32, b: F32, round_mm: float) -> F32:
    """Intersection of two distances, the edge rounded over ``round_mm``."""
    return -smooth_min(-a, -b, round_mm)
