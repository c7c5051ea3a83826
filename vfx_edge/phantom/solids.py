"""Solids with signed distances in millimetres (negative inside)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vfx_edge.phantom.canvas import F32, F64, FAR_MM, Canvas, Patch, smooth_min

SIDES = (1.0, -1.0)
"""The patient's left and right."""
LEFT, BACK, UP = np.eye(3)


class Solid(Protocol):
    """Anything with a bounding box (L,P,S mm) and a signed distance."""

    @property
    def low(self) -> F64:
        """Lower corner of the bounding box."""
        ...

    @property
    def high(self) -> F64:
        """Upper corner of the bounding box."""
        ...

    def distance(self, patch: Patch) -> F32:
        """Approximate signed distance, (nz,ny,nx) mm."""
        ...


def unit(vector: F64) -> F64:
    """``vector`` scaled to length one."""
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


@dataclass(frozen=True, eq=False)
class Beam:
    """A rod from ``start`` to ``end`` (L,P,S mm) with an elliptical section.

    Radii are (along ``side``, across it); they change linearly to the end radii.
    The ends are rounded over ``cap_mm``.
    """

    start: F64
    end: F64
    side: F64
    radii_mm: tuple[float, float]
    end_radii_mm: tuple[float, float]
    cap_mm: float

    @property
    def _reach(self) -> float:
        return max(*self.radii_mm, *self.end_radii_mm, self.cap_mm)

    @property
    def low(self) -> F64:
        """Lower corner of the bounding box."""
        return np.minimum(self.start, self.end) - self._reach

    @property
    def high(self) -> F64:
        """Upper corner of the bounding box."""
        return np.maximum(self.start, self.end) + self._reach

    def _axes(self) -> tuple[F64, F64, F64, float]:
        length = float(np.linalg.norm(self.end - self.start))
        along = unit(self.end - self.start) if length > 1e-6 else np.array([0.0, 0.0, 1.0])
        first = self.side - (self.side @ along) * along
        if float(np.linalg.norm(first)) < 1e-3:
            first = np.cross(along, np.array([0.3, 0.5, 0.8]))
        first = unit(first)
        return along, first, np.cross(along, first), length

    def distance(self, patch: Patch) -> F32:
        """Approximate signed distance, (nz,ny,nx) mm."""
        along, first, second, length = self._axes()
        s = patch.along(along, self.start)
        inside = np.clip(s, 0.0, length)
        s -= inside
        r1, r2 = self._radius(inside, 0, length), self._radius(inside, 1, length)
        c1, c2 = patch.along(first, self.start), patch.along(second, self.start)
        return _elliptic(c1, c2, s, r1, r2, self.cap_mm)

    def _radius(self, inside: F32, i: int, length: float) -> F32 | float:
        a, b = self.radii_mm[i], self.end_radii_mm[i]
        if abs(a - b) < 1e-3:
            return a
        return np.asarray(inside * np.float32((b - a) / max(length, 1e-6)) + np.float32(a))


def _elliptic(a: F32, b: F32, c: F32, ra: F32 | float, rb: F32 | float, rc: float) -> F32:
    """First-order distance to an ellipsoid from its three coordinates."""
    a, b, c = a / ra, b / rb, c / np.float32(rc)
    near = a * a + b * b + c * c
    near += np.float32(1e-6)
    a, b, c = a / ra, b / rb, c / np.float32(rc)
    slope = a * a + b * b + c * c
    slope += np.float32(1e-9)
    np.sqrt(near, out=near)
    np.sqrt(slope, out=slope)
    return np.asarray(near * (near - 1) / slope, dtype=np.float32)


def beam(
    start: F64,
    end: F64,
    radii_mm: tuple[float, float],
    side: F64,
    end_radii_mm: tuple[float, float] | None = None,
    cap_mm: float | None = None,
) -> Beam:
    """A :class:`Beam`; end radii default to the start radii, the cap to the smaller."""
    last = end_radii_mm or radii_mm
    cap = cap_mm if cap_mm is not None else min(*radii_mm, *last)
    return Beam(start, end, side, radii_mm, last, max(cap, 0.5))


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """Ellipsoid about ``centre`` (L,P,S mm); rows of ``axes`` are unit axes."""

    centre: F64
    radii_mm: tuple[float, float, float]
    axes: F64

    @property
    def low(self) -> F64:
        """Lower corner of the bounding box."""
        return self.centre - self._reach()

    @property
    def high(self) -> F64:
        """Upper corner of the bounding box."""
        return self.centre + self._reach()

    def _reach(self) -> F64:
        scaled = self.axes * np.asarray(self.radii_mm)[:, None]
        return np.asarray(np.sqrt((scaled**2).sum(axis=0)))

    def distance(self, patch: Patch) -> F32:
        """Approximate signed distance, (nz,ny,nx) mm."""
        a, b, c = (patch.along(axis, self.centre) for axis in self.axes)
        return _elliptic(a, b, c, self.radii_mm[0], self.radii_mm[1], self.radii_mm[2])


def ellipsoid(
    centre: Sequence[float] | F64, radii_mm: tuple[float, float, float], axes: F64 | None = None
) -> Ellipsoid:
    """An :class:`Ellipsoid`, along L, P, S unless ``axes`` says otherwise."""
    return Ellipsoid(np.asarray(centre, float), radii_mm, np.eye(3) if axes is None else axes)


def chain(points: F64, radii_mm: F64, sides: F64) -> list[Beam]:
    """Beams through ``points`` (n,3) with ``radii_mm`` (n,2) and ``sides`` (n,3)."""
    made = []
    for i in range(len(points) - 1):
        first = (float(radii_mm[i, 0]), float(radii_mm[i, 1]))
        last = (float(radii_mm[i + 1, 0]), float(radii_mm[i + 1, 1]))
        # Full caps at the joints, or a bent chain would show notches.
        cap = max(*first, *last) if i + 2 < len(points) else min(*first, *last)
        made.append(Beam(points[i], points[i + 1], sides[i], first, last, min(cap, 2 * last[1])))
    return made


def bounds(solids: Sequence[Solid]) -> tuple[F64, F64]:
    """Common bounding box (low, high) of ``solids``, (L,P,S) mm."""
    low = np.min([s.low for s in solids], axis=0)
    return low, np.max([s.high for s in solids], axis=0)


def union(patch: Patch, solids: Sequence[Solid], round_mm: float = 0.0) -> F32:
    """Distance to the union, each solid evaluated near its own box only."""
    total = np.full(patch.shape, FAR_MM, np.float32)
    margin = 2.0 * patch.edge_mm + round_mm
    for solid in solids:
        box = patch.slices(solid.low - margin, solid.high + margin)
        if box is not None:
            total[box] = smooth_min(total[box], solid.distance(patch.at(box)), round_mm)
    return total


def fill(canvas: Canvas, solids: Sequence[Solid], hu: float, round_mm: float = 0.0) -> None:
    """Draw the union of ``solids`` as one tissue."""
    for patch in canvas.tiles(*bounds(solids)):
        patch.blend(patch.coverage(union(patch, solids, round_mm)), hu)
