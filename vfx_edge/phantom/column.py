"""The spinal column as a chain of vertebral frames in patient millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F64
from vfx_edge.phantom.endplates import Endplates, endplates_for
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.levels import (
    SACRAL_HEIGHTS_MM,
    SACRAL_TILTS_DEG,
    Size,
    column_levels,
    size_of,
)
from vfx_edge.phantom.solids import unit
from vfx_edge.phantom.spec import PhantomSpec

# Lengths that go with a person's height, and with the girth; how much some vary by themselves.
_ALONG = ("gap_below_mm", "height_mm", "pedicle_height_mm", "spinous_up_mm", "spinous_height_mm")
_ACROSS = ("width_mm", "depth_mm", "canal_width_mm", "canal_depth_mm", "pedicle_width_mm",
           "transverse_span_mm", "spinous_back_mm", "facet_half_span_mm")  # fmt: skip
_UNEVEN = {"spinous_up_mm": 0.12, "spinous_back_mm": 0.04, "pedicle_width_mm": 0.08,
           "transverse_span_mm": 0.05}  # fmt: skip
MOST_LEAN_DEG = 85.0
"""No vertebra leans further forward: the trunk is drawn as sections that lie one above the other,
and where a column turned down again, it would fold."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A vertebra's own axes: rows of ``axes`` are left, back, up unit vectors
    in (L,P,S); ``centre_mm`` is the (L,P,S) body centre."""

    centre_mm: F64
    axes: F64

    def world(self, left: float, back: float, up: float) -> F64:
        """(L,P,S) mm of a point given in this frame (mm)."""
        return np.asarray(self.centre_mm + np.array([left, back, up]) @ self.axes)

    @property
    def left(self) -> F64:
        """Unit vector to the vertebra's left."""
        return np.asarray(self.axes[0])

    @property
    def back(self) -> F64:
        """Unit vector to the vertebra's back."""
        return np.asarray(self.axes[1])

    @property
    def up(self) -> F64:
        """Unit vector to the vertebra's head side."""
        return np.asarray(self.axes[2])


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One level placed in space: its sizes, frame and endplates."""

    level: str
    size: Size
    frame: Frame
    plates: Endplates


@dataclass(frozen=True, eq=False)
class Column:
    """All mobile vertebrae from head to foot and the sacral segment frames."""

    vertebrae: tuple[Vertebra, ...]
    sacrum: tuple[Frame, ...]
    scale: float

    def get(self, level: str) -> Vertebra:
        """The vertebra called ``level``."""
        return next(v for v in self.vertebrae if v.level == level)

    def has(self, level: str) -> bool:
        """Whether ``level`` exists here."""
        return any(v.level == level for v in self.vertebrae)

    @property
    def line_mm(self) -> F64:
        """Body centres from foot to head, (n,3) L,P,S mm, for interpolation by height."""
        return np.array([v.frame.centre_mm for v in self.vertebrae])[::-1]

    @property
    def last_thoracic(self) -> Vertebra:
        """The lowest rib-bearing vertebra."""
        return [v for v in self.vertebrae if v.level.startswith("T")][-1]

    def anchor(self, level: str, left: float = 0.0, back: float = 0.0, up: float = 0.0) -> F64:
        """(L,P,S) mm of a point beside a level's body centre, or beside a sacral
        segment ``S1``-``S6``; offsets are for the median adult, along the patient.

        Levels that this column lacks resolve to the nearest one it has.
        """
        return self._frame(level).centre_mm + self.scale * np.array([left, back, up])

    def _frame(self, level: str) -> Frame:
        if level.startswith("S"):
            return self.sacrum[int(level[1:]) - 1]
        if self.has(level):
            return self.get(level).frame
        return self.last_thoracic.frame if level.startswith("T") else self.vertebrae[-1].frame


def _tilts(levels: Sequence[str], spec: PhantomSpec, jitter: Jitter) -> F64:
    """Forward lean of every mobile level and sacral segment, degrees, head to foot."""
    table = np.array([*(size_of(name).tilt_deg for name in levels), *SACRAL_TILTS_DEG])
    hinge = size_of("T12").tilt_deg
    first_t, last_t = levels.index("T1"), levels.index("L1") - 1
    kyphosis = spec.kyphosis_scale * jitter.scale(0.15)
    lordosis = spec.lordosis_scale * jitter.scale(0.15)
    out = table.copy()
    out[first_t : last_t + 1] = hinge + (table[first_t : last_t + 1] - hinge) * kyphosis
    out[:first_t] = table[:first_t] * jitter.scale(0.2) + out[first_t] - table[first_t]
    lumbar = table[last_t + 1 :] - hinge
    # The lower sacrum keeps its own bend; only its base follows the lordosis.
    out[last_t + 1 :] = hinge + lumbar + np.minimum(lumbar, 53.0) * (lordosis - 1)
    out += jitter.shift(3.0)
    return np.asarray(out + np.array([jitter.shift(1.0) for _ in out]))


def _wedge_angles(plates: Sequence[Endplates], n_sacral: int) -> F64:
    """Extra forward lean from fractures: half in the bone, all of it above."""
    own = np.array([0.7 * p.wedging_deg for p in plates] + [0.0] * n_sacral)
    below = np.cumsum(own[::-1])[::-1] - own
    return np.asarray(below + 0.5 * own)


def _upright(tilts: F64, above: int) -> F64:
    """The same bends, of a patient who holds the head up: where a bent back and fractures together
    lean too far, the levels from the head down to `above` lean less, each by the same share."""
    upper = tilts[:above]
    share = min(1.0, MOST_LEAN_DEG / max(float(upper.max()), 1.0))
    return np.concatenate([upper * share, tilts[above:]])


def _gaps(
    vertebrae: Sequence[tuple[Size, Endplates]], spec: PhantomSpec, jitter: Jitter, n_sacral: int
) -> F64:
    """Distance from each centre to the next one down, mm."""
    gaps = []
    for i, (size, plates) in enumerate(vertebrae):
        lost = plates.centre_loss_mm[1]
        if i + 1 < len(vertebrae):
            lost += vertebrae[i + 1][1].centre_loss_mm[0]
        disc = size.gap_below_mm - size.height_mm
        narrowed = abs(jitter.shift(0.10)) + 0.6 * spec.degeneration * jitter.rng.random() ** 2
        gaps.append(size.gap_below_mm - 0.9 * lost - min(narrowed, 0.55) * disc * 0.8)
    scale = spec.stature
    sacral = np.array(SACRAL_HEIGHTS_MM[:n_sacral]) * scale
    gaps[-1] = 0.5 * (vertebrae[-1][0].height_mm + sacral[0]) + 8.0 * scale
    return np.array([*gaps, *(0.5 * (sacral[:-1] + sacral[1:]))])


def _frames(tilt_deg: F64, gap_mm: F64, scoliosis: F64, twist_deg: F64) -> list[Frame]:
    """Integrate tilts and gaps from the first frame downward."""
    tilt, side, twist = np.deg2rad(tilt_deg), np.deg2rad(scoliosis), np.deg2rad(twist_deg)
    ups = np.stack([np.sin(side), -np.sin(tilt), np.cos(tilt) * np.cos(side)], axis=1)
    ups /= np.linalg.norm(ups, axis=1, keepdims=True)
    at, frames = np.zeros(3), []
    for i, up in enumerate(ups):
        back = np.array([np.sin(twist[i]), np.cos(twist[i]), 0.0])
        back = unit(back - (back @ up) * up)
        frames.append(Frame(at.copy(), np.stack([np.cross(back, up), back, up])))
        if i < len(gap_mm):
            at = at - gap_mm[i] * unit(up + ups[i + 1])
    return frames


def _scoliosis(gap_mm: F64, count: int, spec: PhantomSpec, jitter: Jitter) -> tuple[F64, F64]:
    """Sideways tilt and axial twist per frame, degrees, for a bell-shaped curve."""
    s = np.concatenate([[0.0], np.cumsum(gap_mm)])[:count]
    cobb = spec.scoliosis_deg + jitter.shift(3.0)
    apex = s[-1] * (0.55 + jitter.shift(0.10))
    width = 75.0 * spec.stature * jitter.scale(0.15)
    sway = width * np.tan(np.deg2rad(cobb / 2)) / 0.607
    bell = np.exp(-0.5 * ((s - apex) / width) ** 2)
    tilt = np.rad2deg(np.arctan(sway * (s - apex) / width**2 * bell))
    return tilt, 0.4 * cobb * bell


def _scaled(size: Size, spec: PhantomSpec, jitter: Jitter, girth: float) -> Size:
    """Sizes of one person's vertebra."""
    tall, wide = spec.stature * jitter.scale(0.012), spec.stature * girth * jitter.scale(0.012)
    changed = {name: getattr(size, name) * tall for name in _ALONG}
    changed |= {name: getattr(size, name) * wide for name in _ACROSS}
    for name, spread in _UNEVEN.items():
        changed[name] *= jitter.scale(spread)
    front = size.front_to_back * jitter.scale(0.02)
    return Size(tilt_deg=size.tilt_deg, front_to_back=front, **changed)


def build_column(spec: PhantomSpec) -> Column:
    """Place every level; the first lumbar body centre is the origin (0, 0, 0)."""
    jitter = Jitter(stream(spec.seed, "column"), spec.randomness)
    names = column_levels(spec.thoracic_count, spec.lumbar_count)
    broken = {f.level: f for f in spec.fractures}
    girth = jitter.scale(0.05)
    sizes = [_scaled(size_of(name), spec, jitter, girth) for name in names]
    plates = [
        endplates_for(size, broken.get(name), jitter)
        for name, size in zip(names, sizes, strict=True)
    ]
    n_sacral = len(SACRAL_TILTS_DEG)
    gaps = _gaps(list(zip(sizes, plates, strict=True)), spec, jitter, n_sacral)
    tilts = _tilts(names, spec, jitter) + _wedge_angles(plates, n_sacral)
    tilts = _upright(tilts, names.index("L1"))
    side, twist = _scoliosis(gaps, len(tilts), spec, jitter)
    frames = _frames(tilts, gaps, side, twist)
    origin = frames[names.index("L1")].centre_mm
    placed = [Frame(f.centre_mm - origin, f.axes) for f in frames]
    vertebrae = tuple(
        Vertebra(name, size, frame, plate)
        for name, size, frame, plate in zip(names, sizes, placed[: len(names)], plates, strict=True)
    )
    return Column(vertebrae, tuple(placed[len(names) :]), spec.stature)
