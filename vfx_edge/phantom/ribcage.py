"""Ribs, costal cartilage and sternum."""

from __future__ import annotations

import numpy as np

from vfx_edge.phantom.bone import BoneTissue, paint_bones
from vfx_edge.phantom.canvas import F64, Canvas, Part
from vfx_edge.phantom.column import Column, Vertebra
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.solids import LEFT, SIDES, Beam, chain, fill, unit

# Per rib: how far the front end sinks (mm), angle at which bone ends (degrees
# from the back), half-height and half-thickness of the section (mm).
_RIBS: tuple[tuple[float, float, float, float], ...] = (
    (38, 138, 3.2, 6.5),
    (55, 150, 5.2, 3.8),
    (68, 150, 6.0, 3.6),
    (80, 150, 6.3, 3.6),
    (90, 150, 6.5, 3.6),
    (100, 148, 6.8, 3.7),
    (108, 144, 7.0, 3.8),
    (108, 136, 7.0, 3.7),
    (102, 126, 6.8, 3.6),
    (92, 112, 6.4, 3.5),
    (78, 72, 5.6, 3.2),
    (56, 42, 4.8, 2.9),
    (26, 27, 4.0, 2.6),
)


def _wall_point(outline: Outline, angle: float, z_mm: float, inset_mm: float) -> F64:
    """Point on the rib surface at ``angle`` (0 back, pi front; sign = side)."""
    wide, deep, x0, y0 = (float(v) for v in outline.ribs.at(np.array(z_mm)))
    wide, deep = max(wide - inset_mm, 8), max(deep - inset_mm, 8)
    # Same rounded section as Profile.distance (power 2.5).
    sx, cy = np.sin(angle), np.cos(angle)
    bulge = (abs(sx) ** 2.5 + abs(cy) ** 2.5) ** (-1 / 2.5)
    return np.array([x0 + wide * sx * bulge, y0 + deep * cy * bulge, z_mm])


def _neck(vertebra: Vertebra, side: float, own_body_only: bool) -> list[F64]:
    """Head, neck and tubercle: where the rib meets its vertebra."""
    s = vertebra.size
    a, b, h = s.width_mm / 2, s.depth_mm / 2, s.height_mm / 2
    up = 0.35 * h if own_body_only else h + 0.5
    span, behind = s.transverse_span_mm / 2, b + s.canal_depth_mm
    head = (side * (a * 0.72 + 5.0), 0.82 * b + 2.0, up)
    tubercle = (side * (span + 0.5), behind - 5.0, 3.0)
    middle = (side * (0.5 * (a * 0.78 + span) + 1.0), 0.5 * (b + behind) - 4.0, 0.6 * up + 1.0)
    return [vertebra.frame.world(*p) for p in (head, middle, tubercle)]


def _path(
    vertebra: Vertebra, number: int, side: float, outline: Outline, jitter: Jitter
) -> tuple[F64, int]:
    """Points of one rib from the spine to the sternum; index where bone ends."""
    sink, stop_deg, _, _ = _RIBS[number - 1]
    sink *= 1.08 * jitter.scale(0.12)
    stop = np.deg2rad(stop_deg * jitter.scale(0.03))
    points = _neck(vertebra, side, number in (1, 11, 12, 13))
    start_z, x0 = points[-1][2], abs(points[-1][0] - vertebra.frame.centre_mm[0])
    wide, deep, _, _ = (float(v) for v in outline.ribs.at(np.array(start_z)))
    first = float(np.arctan2((x0 + 16) / wide, 1.0 * deep / deep))
    last = np.deg2rad(172) if number <= 7 else stop
    angles = np.linspace(first, max(last, first + 0.1), 22 if number <= 10 else 10)
    # A floating rib spends its whole descent on its short course.
    reach = (angles - first) / (max(angles[-1] if number > 10 else np.deg2rad(150), 0.3) - first)
    for angle, r in zip(angles, reach, strict=True):
        r = min(r, 1.0)
        z = start_z - 4.0 - sink * (0.55 * r + 0.45 * np.sin(r * np.pi / 2) ** 2)
        if angle > stop:
            # Cartilage climbs back to the breast bone.
            z += (angle - stop) / 0.5 * (22 + 5 * number if number > 2 else 4)
        points.append(_wall_point(outline, side * angle, z, 0.0))
    bone = int(np.sum(angles <= stop)) + 3
    return _smooth(np.array(points)), bone


def _smooth(points: F64) -> F64:
    """Round off corners, ends kept."""
    out = points.copy()
    out[1:-1] = 0.25 * points[:-2] + 0.5 * points[1:-1] + 0.25 * points[2:]
    return out


def _rods(points: F64, number: int, side: float, jitter: Jitter) -> list[Beam]:
    _, _, tall, thick = _RIBS[number - 1]
    tall, thick = tall * jitter.scale(0.08), thick * jitter.scale(0.08)
    n = len(points)
    radii = np.stack([np.full(n, tall), np.full(n, thick)], axis=1)
    radii[:3] = [(4.6, 3.9), (4.2, 3.4), (4.8, 4.2)]
    radii[3] = (5.2, 3.9)
    middle = points[:, :2].mean(axis=0) * [0.0, 1.0]
    out = points - np.array([*middle, 0.0])
    out[:, 2] = 0
    run = np.gradient(points, axis=0)
    # The flat of a rib follows the chest wall: its tall axis is along the wall.
    sides = np.array(
        [unit(np.cross(unit(t), unit(o))) * side for o, t in zip(out, run, strict=True)]
    )
    return chain(points, radii, sides)


def paint_ribs(
    canvas: Canvas, column: Column, outline: Outline, tissue: BoneTissue, jitter: Jitter
) -> None:
    """Draw every rib pair with its cartilage."""
    spongy, calcified = 0.8 * tissue.spongy_hu + 40, jitter.between(60, 130)
    ribbed = [v for v in column.vertebrae if v.level.startswith("T")]
    last = len(ribbed)
    for i, vertebra in enumerate(ribbed):
        # With 11 or 13 pairs the lowest ones are still the floating ones.
        number = i + 1 if last == 12 or i < 9 else i + 1 + (12 - last if last < 12 else 0)
        for side in SIDES:
            points, bone = _path(vertebra, number, side, outline, jitter)
            rods = _rods(points, number, side, jitter)
            if cartilage := rods[bone - 1 :]:
                fill(canvas, cartilage, calcified)
            shell, cortex = 0.9 * tissue.shell_mm, tissue.cortex_hu
            paint_bones(canvas, rods[: bone - 1], 1.0, Part.RIB, spongy, shell, cortex)


def paint_sternum(canvas: Canvas, column: Column, outline: Outline, tissue: BoneTissue) -> None:
    """Draw manubrium, body and tip of the breast bone."""

    def at(level: str, up: float) -> F64:
        return _wall_point(outline, np.pi, column.anchor(level)[2] + up, 1.0)

    top, angle, low = at("T3", 4.0), at("T5", 8.0), at("T9", 4.0)
    rods = [
        Beam(top, angle, LEFT, (29.0, 6.5), (19.0, 5.5), 5.0),
        Beam(angle - np.array([0.0, 0.0, 4.0]), low, LEFT, (17.0, 5.0), (20.0, 5.0), 5.0),
        Beam(low, low + np.array([0.0, 4.0, -25.0]), LEFT, (6.0, 3.0), (3.0, 2.0), 2.0),
    ]
    spongy, cortex = 0.6 * tissue.spongy_hu + 30, 0.85 * tissue.cortex_hu
    paint_bones(canvas, rods, 0.0, Part.OTHER_BONE, spongy, tissue.shell_mm, cortex)
