"""Upper and lower surfaces of a vertebral body, intact or collapsed.

Positions across the body are ``s`` = back/half-depth (-1 front edge, +1 back
edge) and ``t`` = left/half-width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vfx_edge.phantom.canvas import F32
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.levels import Size
from vfx_edge.phantom.spec import FractureKind, FractureSpec

# Heights are read a little inside the wall: the very edge is rounded off.
EDGE = 0.85
_TOP_SHARE: dict[FractureKind, float] = {"wedge": 0.75, "biconcave": 0.55, "crush": 0.7}


@dataclass(frozen=True)
class Collapse:
    """Height lost at the worst place from above and from below, mm."""

    kind: FractureKind
    top_mm: float
    bottom_mm: float
    hinge: float
    steepness: float
    side_lean: float
    step: float
    recent: bool

    def shape(self, s: F32, t: F32) -> F32:
        """Share of the loss at (s, t); 1 where the fracture kind is worst."""
        lean = 1.0 + self.side_lean * t
        if self.kind == "wedge":
            fall = np.clip((self.hinge - s) / (self.hinge + EDGE), 0.0, 1.0)
            fall = fall**self.steepness * (1 - self.step)
            fall += self.step * np.clip((self.hinge - s) * 8, 0.0, 1.0)
            return np.asarray(fall * lean, dtype=np.float32)
        if self.kind == "biconcave":
            bowl = np.clip(1.0 - (s / 0.9) ** 2, 0, 1) * np.clip(1.12 - t * t, 0, 1)
            return np.asarray(np.minimum(bowl * 1.05, 1.0) * lean, dtype=np.float32)
        return np.asarray((1.0 - 0.1 * np.clip(s, -1, 1)) * lean, dtype=np.float32)


@dataclass(frozen=True)
class Endplates:
    """Surface model; heights are at the front, centre and back of the body."""

    rim_front_mm: float
    rim_back_mm: float
    dip_top_mm: float
    dip_bottom_mm: float
    depth_mm: float
    collapse: Collapse | None = None

    def _rim(self, s: F32) -> F32:
        mean = 0.5 * (self.rim_front_mm + self.rim_back_mm)
        slope = 0.5 * (self.rim_back_mm - self.rim_front_mm) / EDGE
        return np.asarray(0.5 * (mean + slope * s), dtype=np.float32)

    def surfaces(self, s: F32, t: F32) -> tuple[F32, F32]:
        """Heights (top, bottom) of the two surfaces above the mid-plane, mm."""
        rim = self._rim(s)
        # The lower surface is deepest behind the middle, the upper one centrally.
        up = np.clip(1.0 - (s * s + t * t) / np.float32(0.7), 0, 1)
        down = np.clip(1.0 - ((s - 0.15) ** 2 + t * t) / np.float32(0.7), 0, 1)
        top = rim - np.float32(self.dip_top_mm) * up
        bottom = np.float32(self.dip_bottom_mm) * down - rim
        if self.collapse is not None:
            lost = self.collapse.shape(s, t)
            top = top - np.float32(self.collapse.top_mm) * lost
            bottom = bottom + np.float32(self.collapse.bottom_mm) * lost
        return np.asarray(top, dtype=np.float32), np.asarray(bottom, dtype=np.float32)

    def intact(self) -> Endplates:
        """The same vertebra before it broke."""
        return replace(self, collapse=None)

    def heights_mm(self) -> tuple[float, float, float]:
        """Front, middle and back height, perpendicular to the mid-plane, mm."""
        s = np.array([-EDGE, 0.0, EDGE], np.float32)
        top, bottom = self.surfaces(s, np.zeros(3, np.float32))
        front, middle, back = (float(h) for h in top - bottom)
        return front, middle, back

    @property
    def mid_centre_mm(self) -> float:
        """Offset of the body's middle above the frame origin, mm (collapse is uneven)."""
        zero = np.zeros(1, np.float32)
        top, bottom = self.surfaces(zero, zero)
        before_top, before_bottom = self.intact().surfaces(zero, zero)
        return float((top + bottom - before_top - before_bottom)[0]) / 2

    @property
    def centre_loss_mm(self) -> tuple[float, float]:
        """How far neighbours sink from above and from below, mm."""
        if self.collapse is None:
            return 0.0, 0.0
        share = {"wedge": 0.45, "biconcave": 0.15, "crush": 1.0}[self.collapse.kind]
        return share * self.collapse.top_mm, share * self.collapse.bottom_mm

    @property
    def wedging_deg(self) -> float:
        """Angle by which the column above leans forward over this fracture."""
        now, before = self.heights_mm(), self.intact().heights_mm()
        lost = (before[0] - now[0]) - (before[2] - now[2])
        return float(np.rad2deg(np.arctan2(lost, 2 * EDGE * self.depth_mm / 2)))


def _collapse(fracture: FractureSpec, plates: Endplates, jitter: Jitter) -> Collapse:
    place = {"wedge": 0, "biconcave": 1, "crush": 0}[fracture.kind]
    lost = fracture.loss * plates.heights_mm()[place]
    if fracture.kind == "crush":
        lost /= 1.0 + 0.1 * EDGE
    top = float(np.clip(_TOP_SHARE[fracture.kind] + jitter.shift(0.12), 0.3, 1.0))
    return Collapse(
        fracture.kind,
        top * lost,
        (1 - top) * lost,
        hinge=float(np.clip(0.55 + jitter.shift(0.15), 0.2, 0.84)),
        steepness=1.25 * jitter.scale(0.15),
        side_lean=jitter.shift(0.08),
        step=0.12 if fracture.recent else 0.04,
        recent=fracture.recent,
    )


def endplates_for(size: Size, fracture: FractureSpec | None, jitter: Jitter) -> Endplates:
    """Endplates of one vertebra; a fracture makes it lose exactly its ``loss``."""
    ratio = size.front_to_back
    back = 2 * size.height_mm / (1 + ratio)
    dip = 0.045 * size.height_mm * jitter.scale(0.3)
    intact = Endplates(back * ratio, back, dip, 1.15 * dip, size.depth_mm)
    if fracture is None:
        return intact
    return replace(intact, collapse=_collapse(fracture, intact, jitter))
