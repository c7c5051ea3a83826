"""The vertebral body as an implicit solid in its own frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vfx_edge.phantom.canvas import F32, F64, Patch, smooth_max
from vfx_edge.phantom.column import Frame, Vertebra
from vfx_edge.phantom.endplates import Endplates
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.noise import NoiseField

# The outline is an ellipse this much deeper than the body, cut off behind.
_STRETCH = 1.18


@dataclass(frozen=True)
class Lip:
    """A local bulge of the wall: rim spur, or buckled cortex of a fracture."""

    angle_rad: float
    end: float
    size_mm: float
    length_mm: float


@dataclass(frozen=True, eq=False)
class Body:
    """Vertebral body; ``low``/``high`` bound it in (L,P,S) mm."""

    frame: Frame
    half_width_mm: float
    half_depth_mm: float
    plates: Endplates
    waist: float
    taper: float
    hollow_mm: float
    lips: tuple[Lip, ...] = ()
    rough: NoiseField | None = None
    rough_mm: float = 0.0

    @cached_property
    def half_height_mm(self) -> float:
        """Largest distance of an endplate from the mid-plane."""
        return 0.5 * max(self.plates.rim_front_mm, self.plates.rim_back_mm)

    def _reach(self) -> F64:
        spare = 4.0 + max((lip.size_mm for lip in self.lips), default=0.0)
        size = (self.half_width_mm, self.half_depth_mm, self.half_height_mm)
        return np.asarray((np.asarray(size) + spare) @ np.abs(self.frame.axes))

    @property
    def low(self) -> F64:
        """Lower corner of the bounding box."""
        return self.frame.centre_mm - self._reach()

    @property
    def high(self) -> F64:
        """Upper corner of the bounding box."""
        return self.frame.centre_mm + self._reach()

    def distance(self, patch: Patch) -> F32:
        """Approximate signed distance on ``patch``, (nz,ny,nx) mm."""
        left, back, up = (patch.along(axis, self.frame.centre_mm) for axis in self.frame.axes)
        uneven = None
        if self.rough is not None and self.rough_mm > 0:
            uneven = self.rough.on(patch) * np.float32(self.rough_mm)
        return self.local_distance(left, back, up, uneven)

    def local_distance(self, left: F32, back: F32, up: F32, uneven: F32 | None = None) -> F32:
        """Signed distance from coordinates in the vertebra's frame, mm."""
        a, b = np.float32(self.half_width_mm), np.float32(self.half_depth_mm)
        t, s = left / a, back / b
        top, bottom = self.plates.surfaces(s, t)
        rel = up / np.float32(self.half_height_mm)
        narrow = 1 - np.float32(self.waist) * np.clip(1 - rel * rel, 0, 1)
        wall = self._wall(t, s, up, narrow)
        hollow = np.float32(self.hollow_mm) * (1 - np.float32(1.6) * t * t)
        behind = back - b * (np.float32(0.4) * narrow + np.float32(0.6)) + hollow
        ends = np.maximum(up - top, bottom - up)
        if uneven is not None:
            ends += uneven
        round_mm = 0.14 * self.half_depth_mm
        return smooth_max(smooth_max(wall, behind, 2.5 * round_mm), ends, round_mm)

    def _wall(self, t: F32, s: F32, up: F32, narrow: F32) -> F32:
        """Distance to the front and side wall."""
        a, b = self.half_width_mm, self.half_depth_mm * _STRETCH
        s_e = (s - np.float32(_STRETCH - 1)) / np.float32(_STRETCH) / narrow
        t_e = t / (narrow * (1 + np.float32(self.taper) * s_e))
        near = np.asarray(np.sqrt(s_e * s_e + t_e * t_e + np.float32(1e-6)), dtype=np.float32)
        slope = np.sqrt((s_e / b) ** 2 + (t_e / a) ** 2 + np.float32(1e-9))
        wall = near * (near - 1) / slope
        for lip in self.lips:
            wall -= _lip_height(lip, s_e, np.asarray(t_e), near, up, self.half_height_mm)
        return np.asarray(wall, dtype=np.float32)

    def inside_points_mm(self, step_mm: float = 1.0) -> F64:
        """(n,3) L,P,S positions of a regular sample of the interior."""
        a, b, h = self.half_width_mm + 5, self.half_depth_mm + 5, self.half_height_mm + 1
        lines = [np.arange(-r, r + step_mm, step_mm, dtype=np.float32) for r in (a, b, h)]
        left, back, up = np.meshgrid(*lines, indexing="ij")
        inside = self.local_distance(left, back, up) <= 0
        local = np.stack([left[inside], back[inside], up[inside]], axis=1).astype(np.float64)
        return np.asarray(self.frame.centre_mm + local @ self.frame.axes)


def _lip_height(lip: Lip, s_e: F32, t_e: F32, near: F32, up: F32, half: float) -> F32:
    facing = (np.cos(lip.angle_rad) * t_e + np.sin(lip.angle_rad) * s_e) / near
    facing = np.clip(facing, 0, 1) ** 4
    place = (up - np.float32(lip.end * half)) / np.float32(lip.length_mm)
    return np.asarray(np.float32(lip.size_mm) * facing * np.exp(-place * place))


def _lips(vertebra: Vertebra, degeneration: float, jitter: Jitter) -> tuple[Lip, ...]:
    lips: list[Lip] = []
    for end in (-1.0, 1.0):
        for _ in range(2):
            # Spurs grow in front and at the sides, seldom behind.
            angle = float(np.deg2rad(-90 + jitter.between(-110, 110)))
            size = degeneration * jitter.between(0.0, 7.0) * jitter.rng.random()
            if jitter.strength > 0 and size > 0.4:
                lips.append(Lip(angle, end, size, jitter.between(2.0, 4.0)))
    broken = vertebra.plates.collapse
    if broken is not None and broken.kind != "biconcave":
        lost = broken.top_mm + broken.bottom_mm
        lips.append(Lip(-np.pi / 2, 0.35, min(0.22 * lost, 2.5), 3.0))
        if broken.kind == "crush":
            lips += [Lip(side, 0.0, min(0.2 * lost, 2.0), 6.0) for side in (0.0, np.pi)]
    return tuple(lips)


def make_body(
    vertebra: Vertebra,
    degeneration: float,
    convex_mm: float,
    jitter: Jitter,
    rough: NoiseField | None,
) -> Body:
    """The body of ``vertebra``; ``convex_mm`` pushes its back wall outward."""
    size = vertebra.size
    level = vertebra.level
    thoracic, lumbar = level.startswith("T"), level.startswith("L")
    hollow = (1.4 if thoracic else 1.9 if lumbar else 0.4) * jitter.scale(0.3)
    broken = vertebra.plates.collapse
    if broken is not None and broken.kind == "crush":
        hollow -= 0.25 * (broken.top_mm + broken.bottom_mm)
    return Body(
        vertebra.frame,
        size.width_mm / 2,
        size.depth_mm / 2,
        vertebra.plates,
        waist=(0.185 if lumbar else 0.12 if thoracic else 0.05) * jitter.scale(0.3),
        taper=(0.20 if thoracic else 0.08 if lumbar else 0.02) + jitter.shift(0.03),
        hollow_mm=hollow - convex_mm,
        lips=_lips(vertebra, degeneration, jitter),
        rough=rough,
        rough_mm=0.25 * min(jitter.strength, 1.5) * (1 + degeneration),
    )
