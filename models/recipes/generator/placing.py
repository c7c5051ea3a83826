"""A bank's shape brought to a place of another column: scaled, warped, broken."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from models.recipes.generator.bank import GRID_MM, Shape
from vfx_edge.phantom.canvas import F32, F64, Patch
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.noise import NoiseField

Array = np.ndarray
FAR_MM = 8.0
REACH_MM = 4.0


@dataclass(frozen=True, eq=False)
class Spurs:
    """Osteophytes: how far the rim of each endplate sticks out, and where around it."""

    size_mm: float
    where: NoiseField
    bridge_up: bool = False
    bridge_down: bool = False


@dataclass(frozen=True, eq=False)
class Placed:
    """A shape and where it goes.

    vertebra: the plan's level whose frame it takes; scale: (left, back, up) of the plan against
    the donor; warp: three smooth fields and their strength.
    """

    shape: Shape
    vertebra: Vertebra
    verse: int
    scale: F64
    warp: tuple[NoiseField, NoiseField, NoiseField]
    warp_mm: float
    spurs: Spurs | None

    def bounds_mm(self) -> tuple[F64, F64]:
        """Box (L, P, S) mm around the placed shape."""
        size = np.array(self.shape.sdf.shape) - 1
        corners = np.array(list(np.ndindex(2, 2, 2))) * size * GRID_MM
        local = (corners - self.shape.frame.centre) @ self.shape.frame.axes.T  # up, back, left
        plan = local[:, ::-1] * self.scale
        world = self.vertebra.frame.centre_mm + plan @ self.vertebra.frame.axes
        return world.min(0) - REACH_MM, world.max(0) + REACH_MM

    def on(self, patch: Patch) -> "Field":
        """The shape on a patch of the picture."""
        frame = self.vertebra.frame
        left, back, up = (patch.along(axis, frame.centre_mm) for axis in frame.axes)
        for coordinate, field in zip((left, back, up), self.warp, strict=True):
            coordinate += field.on(patch) * np.float32(self.warp_mm)
        whole_up = self._unbroken(left, back, up)
        at = self._donor_index(left, back, whole_up)
        volume = self.shape.sdf.astype(np.float32)
        sdf = ndi.map_coordinates(volume, at, order=1, mode="nearest")
        sdf *= np.float32(self.scale.mean())
        front = back - np.float32(self.shape.frame.canal_mm * self.scale[1])
        if self.spurs is not None:
            sdf = self._with_spurs(patch, sdf, left, back, up)
        return Field(sdf, front, left, back, up)

    def _donor_index(self, left: F32, back: F32, up: F32) -> F32:
        """Voxels (3, z, y, x) of the donor's grid for places in the plan's frame."""
        axes, centre = self.shape.frame.axes, self.shape.frame.centre
        local = (up / self.scale[2], back / self.scale[1], left / self.scale[0])
        out = np.empty((3, *left.shape), np.float32)
        for k in range(3):
            out[k] = sum(
                (v * np.float32(a) for v, a in zip(local, axes[:, k], strict=True)),
                np.float32(centre[k]),
            )
        return out

    def _unbroken(self, left: F32, back: F32, up: F32) -> F32:
        """Heights as they were before the plan's fracture: the collapse undone, column-wise."""
        plates = self.vertebra.plates
        if plates.collapse is None:
            return up
        size = self.vertebra.size
        s = np.clip(back * np.float32(2 / size.depth_mm), -1.2, 1.2)
        t = np.clip(left * np.float32(2 / size.width_mm), -1.2, 1.2)
        now_top, now_bottom = plates.surfaces(s, t)
        top, bottom = plates.intact().surfaces(s, t)
        least = np.float32(0.15 * size.height_mm)
        ratio = np.where(
            up > 0, top / np.maximum(now_top, least), bottom / np.minimum(now_bottom, -least)
        )
        # The arch behind the canal keeps its height.
        share = np.clip(1.5 - (back - size.depth_mm / 2) / 6.0, 0, 1)
        return np.asarray(up * (1 + (ratio - 1) * share), dtype=np.float32)

    def _with_spurs(self, patch: Patch, sdf: F32, left: F32, back: F32, up: F32) -> F32:
        assert self.spurs is not None
        size = self.vertebra.size
        rim = np.abs(up) * np.float32(2 / size.height_mm)
        near = np.exp(-(((rim - 1.0) / 0.28) ** 2))
        reach = near * np.clip(self.spurs.where.on(patch) + 0.1, 0, 1.6)
        s, t = back * np.float32(2 / size.depth_mm), left * np.float32(2 / size.width_mm)
        reach *= np.clip((0.75 - s) * 3, 0, 1) * np.clip((np.hypot(s, t) - 0.55) * 3, 0, 1)
        out = sdf - np.float32(self.spurs.size_mm) * reach
        for wanted, sign in ((self.spurs.bridge_up, 1), (self.spurs.bridge_down, -1)):
            if wanted:
                bony = np.hypot((s + 0.95) * 5.0, (t - 0.25) * 1.6) - 1.0
                end = np.abs(up * sign - 0.5 * size.height_mm) - 7.0
                bridge = np.maximum(bony * np.float32(size.depth_mm / 10), end)
                out = np.minimum(out, bridge)
        return np.asarray(out, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Field:
    """A placed shape on a patch: distance to its surface, distance behind the canal's front
    wall (negative in the body), and the plan's coordinates left, back, up; all mm."""

    sdf: F32
    behind: F32
    left: F32
    back: F32
    up: F32


def part_neighbours(fields: list[tuple[tuple[slice, slice, slice], Field]], gap_mm: Array) -> None:
    """Cut joint spaces where two neighbours meet: each voxel goes to the nearer one, in place.

    fields: (box in the picture, field) from head to foot; gap_mm: space between i and i + 1.
    """
    for i in range(len(fields) - 1):
        (box_a, a), (box_b, b) = fields[i], fields[i + 1]
        both = [
            slice(max(p.start, q.start), min(p.stop, q.stop))
            for p, q in zip(box_a, box_b, strict=True)
        ]
        if any(s.start >= s.stop for s in both):
            continue
        in_a, in_b = (
            tuple(
                slice(s.start - p.start, s.stop - p.start) for s, p in zip(both, box, strict=True)
            )
            for box in (box_a, box_b)
        )
        half = np.float32(0.5 * gap_mm[i])
        middle = 0.5 * (a.sdf[in_a] - b.sdf[in_b])
        a.sdf[in_a] = np.maximum(a.sdf[in_a], middle + half)
        b.sdf[in_b] = np.maximum(b.sdf[in_b], half - middle)
