"""Posterior elements: pedicles, laminae, joints, processes and the canal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vfx_edge.phantom.canvas import F64
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.solids import Beam, beam

SIDES = (1.0, -1.0)
JOINT_GAP_MM = 1.3


@dataclass(frozen=True, eq=False)
class Arch:
    """Everything behind one vertebral body, as rods in patient space."""

    rods: tuple[Beam, ...]
    upper_joints: tuple[Beam, ...]
    lower_joints: tuple[Beam, ...]
    holes: tuple[Beam, ...]


class _Draft:
    """Places rods in one vertebra's frame; lengths in mm."""

    def __init__(self, vertebra: Vertebra) -> None:
        s = vertebra.size
        self.frame, self.size, self.level = vertebra.frame, s, vertebra.level
        self.b, self.h = s.depth_mm / 2, s.height_mm / 2
        self.cw, self.cd = s.canal_width_mm / 2, s.canal_depth_mm
        self.disc = max(s.gap_below_mm - s.height_mm, 2.0)
        self.pedicle_at = self.cw + s.pedicle_width_mm / 2
        self.pedicle_up = max(self.h - s.pedicle_height_mm / 2 - 0.5, 0.1 * self.h)

    def rod(
        self,
        start: tuple[float, float, float],
        end: tuple[float, float, float],
        radii: tuple[float, float],
        side: F64,
        end_radii: tuple[float, float] | None = None,
        cap_mm: float | None = None,
    ) -> Beam:
        return beam(
            self.frame.world(*start), self.frame.world(*end), radii, side, end_radii, cap_mm
        )


def _pedicles(d: _Draft) -> list[Beam]:
    radii = (d.size.pedicle_width_mm / 2, d.size.pedicle_height_mm / 2)
    at, up = d.pedicle_at, d.pedicle_up
    return [
        d.rod(
            (k * at * 0.96, 0.7 * d.b, up),
            (k * at, d.b + 0.6 * d.cd, up),
            radii,
            d.frame.left,
            cap_mm=radii[0],
        )
        for k in SIDES
    ]


def _laminae(d: _Draft, half_height: float, lean: float, up: float) -> list[Beam]:
    tilted = d.frame.up - lean * d.frame.back
    return [
        d.rod(
            (k * (d.cw + 2.5), d.b + 0.68 * d.cd, up + 1.5),
            (k * 0.5, d.b + d.cd + 4.0, up - 2.0),
            (half_height, 2.9),
            tilted,
            (half_height * 0.92, 3.2),
        )
        for k in SIDES
    ]


def _spinous(d: _Draft, start_up: float, thick: float, jitter: Jitter) -> list[Beam]:
    tall, s = d.size.spinous_height_mm, d.size
    drift = jitter.shift(1.2)
    start = (0.0, d.b + d.cd + 3.0, start_up)
    tip = (drift, s.spinous_back_mm - 2.0, s.spinous_up_mm)
    return [
        d.rod(
            start,
            tip,
            (tall * 0.5, thick * 0.8),
            d.frame.up,
            (tall * 0.42, thick),
            cap_mm=thick + 1.0,
        )
    ]


def _lumbar_upper(d: _Draft) -> list[Beam]:
    f, tip = d.size.facet_half_span_mm, d.h + 0.5 * d.disc + 5.5
    return [
        d.rod(
            (k * (d.pedicle_at + 0.5), d.b + 0.72 * d.cd, 0.1 * d.h),
            (k * (f + 4.0), d.b + 0.75 * d.cd + 2.5, tip),
            (5.4, 6.4),
            d.frame.left,
            (4.0, 6.2),
            cap_mm=3.5,
        )
        for k in SIDES
    ]


def _lumbar_lower(d: _Draft) -> list[Beam]:
    f, tip = d.size.facet_half_span_mm, -d.h - d.disc - 5.0
    return [
        d.rod(
            (k * (f * 0.92 + 1.0), d.b + 0.85 * d.cd + 1.5, 0.1 * d.h),
            (k * (f - 3.0), d.b + d.cd + 3.5, tip),
            (5.0, 5.6),
            d.frame.left,
            (4.6, 5.6),
            cap_mm=4.0,
        )
        for k in SIDES
    ]


def _thoracic_upper(d: _Draft) -> list[Beam]:
    f = d.size.facet_half_span_mm
    return [
        d.rod(
            (k * f, d.b + 0.82 * d.cd, 0.0),
            (k * f, d.b + 0.72 * d.cd, d.h + 5.0),
            (5.2, 3.0),
            d.frame.left,
            (4.6, 2.0),
            cap_mm=2.0,
        )
        for k in SIDES
    ]


def _thoracic_lower(d: _Draft) -> list[Beam]:
    f = d.size.facet_half_span_mm
    return [
        d.rod(
            (k * (f - 1), d.b + d.cd - 0.5, 0.0),
            (k * (f - 1.5), d.b + 0.98 * d.cd + 2.0, -d.h - d.disc - 4.0),
            (5.2, 3.0),
            d.frame.left,
            (4.6, 2.2),
            cap_mm=2.5,
        )
        for k in SIDES
    ]


def _cervical_pillars(d: _Draft) -> tuple[list[Beam], list[Beam]]:
    f = d.size.facet_half_span_mm
    upper = [
        d.rod(
            (k * f, d.b + 5.5, 0.0),
            (k * f, d.b + 3.5, d.h * 0.8),
            (5.4, 4.6),
            d.frame.left,
            (5.2, 3.6),
            cap_mm=2.5,
        )
        for k in SIDES
    ]
    lower = [
        d.rod(
            (k * f, d.b + 6.5, 0.0),
            (k * f, d.b + 9.0, -d.h * 1.1),
            (5.4, 4.6),
            d.frame.left,
            (5.2, 3.6),
            cap_mm=2.5,
        )
        for k in SIDES
    ]
    return upper, lower


def _lumbar_transverse(d: _Draft, jitter: Jitter) -> list[Beam]:
    thick = 4.2 if d.level in ("L5", "L6") else 2.5
    rods = []
    for k in SIDES:
        half = d.size.transverse_span_mm / 2 * jitter.scale(0.05)
        rods.append(
            d.rod(
                (k * d.pedicle_at, d.b + 0.55 * d.cd, 0.2 * d.h),
                (k * half, d.b + 0.6 * d.cd + 4.0, 0.3 * d.h + jitter.shift(2.0)),
                (thick * 2.2, thick),
                d.frame.up,
                (3.8, 1.7),
            )
        )
    return rods


def _thoracic_transverse(d: _Draft) -> list[Beam]:
    half = d.size.transverse_span_mm / 2
    club = 3.2 if d.level in ("T11", "T12", "T13") else 4.8
    return [
        d.rod(
            (k * (d.pedicle_at - 1), d.b + 0.75 * d.cd, 0.5),
            (k * (half - club + 1), d.b + d.cd + 3.0, 3.0),
            (club * 1.1, club * 0.8),
            d.frame.up,
            (club, club),
        )
        for k in SIDES
    ]


def _cervical_transverse(d: _Draft) -> tuple[list[Beam], list[Beam]]:
    half, a = d.size.transverse_span_mm / 2, d.size.width_mm / 2
    front = [
        d.rod((k * a * 0.8, 0.0, 0.0), (k * (half - 2), 2.0, -2.0), (3.0, 2.4), d.frame.up)
        for k in SIDES
    ]
    rear = [
        d.rod(
            (k * d.size.facet_half_span_mm, d.b + 5.0, 0.0),
            (k * (half - 2), 3.5, -2.0),
            (3.0, 2.4),
            d.frame.up,
        )
        for k in SIDES
    ]
    holes = [
        d.rod((k * (a + 4.0), 2.5, -20.0), (k * (a + 4.0), 2.5, 20.0), (2.7, 2.7), d.frame.left)
        for k in SIDES
    ]
    return front + rear, holes


def _canal(d: _Draft) -> Beam:
    half = d.size.height_mm + d.disc
    middle = d.b + d.cd / 2
    return d.rod((0, middle, -half), (0, middle, half), (d.cw, d.cd / 2), d.frame.left)


def canal_point_mm(vertebra: Vertebra) -> F64:
    """(L,P,S) mm of the middle of the spinal canal at this level."""
    size = vertebra.size
    return vertebra.frame.world(0.0, size.depth_mm / 2 + size.canal_depth_mm / 2, 0.0)


def make_arch(vertebra: Vertebra, jitter: Jitter, last_thoracic: bool) -> Arch:
    """Posterior elements of ``vertebra`` (C1 and C2 included)."""
    d = _Draft(vertebra)
    if vertebra.level == "C1":
        return _atlas(d)
    if vertebra.level.startswith("C"):
        return _cervical(d, jitter)
    if vertebra.level.startswith("T"):
        return _thoracic(d, jitter, last_thoracic)
    up = -0.35 * d.h
    rods = [
        *_pedicles(d),
        *_laminae(d, 0.34 * d.size.gap_below_mm * 0.85, 0.35, up),
        *_spinous(d, up, 3.6, jitter),
        *_lumbar_transverse(d, jitter),
    ]
    return Arch(tuple(rods), tuple(_lumbar_upper(d)), tuple(_lumbar_lower(d)), (_canal(d),))


def _thoracic(d: _Draft, jitter: Jitter, last: bool) -> Arch:
    up = -0.25 * d.h
    rods = [
        *_pedicles(d),
        *_laminae(d, 0.40 * d.size.gap_below_mm, 0.30, up),
        *_spinous(d, up - 2.0, 3.2, jitter),
        *_thoracic_transverse(d),
    ]
    lower = _lumbar_lower(d) if last else _thoracic_lower(d)
    return Arch(tuple(rods), tuple(_thoracic_upper(d)), tuple(lower), (_canal(d),))


def _cervical(d: _Draft, jitter: Jitter) -> Arch:
    upper, lower = _cervical_pillars(d)
    across, holes = _cervical_transverse(d)
    rods = [
        *_pedicles(d),
        *_laminae(d, 0.30 * d.size.gap_below_mm, 0.4, 0.0),
        *_spinous(d, 0.0, 2.8, jitter),
        *across,
    ]
    if d.level == "C2":
        rods.append(d.rod((0, -1, 0.6 * d.h), (0, -1.5, d.h + 14), (5.2, 5.2), d.frame.left))
        upper = [
            d.rod(
                (k * 15, 2.0, 0.3 * d.h),
                (k * 15, 1.0, d.h + 1.5),
                (7.5, 7.0),
                d.frame.left,
                cap_mm=2.5,
            )
            for k in SIDES
        ]
    return Arch(tuple(rods), tuple(upper), tuple(lower), (_canal(d), *holes))


def _atlas(d: _Draft) -> Arch:
    """C1 is a ring around the dens; it has no body."""
    ring: list[Beam] = []
    for k in SIDES:
        front = [(0.0, -10.5, 0.0), (k * 10, -8.0, 0.0), (k * 17, -2.0, 0.0)]
        rear = [(k * 19, 6.0, 0.0), (k * 19, 16.0, 0.0), (k * 12, 28.0, 0.0), (0.0, 34.0, 0.0)]
        for path, radii in ((front, (5.0, 2.8)), (rear, (4.5, 3.0))):
            ring += [d.rod(p, q, radii, d.frame.up) for p, q in pairwise(path)]
        ring.append(
            d.rod((k * 18, 0.0, -5.0), (k * 18, 1.0, 5.0), (7.0, 8.0), d.frame.left, cap_mm=4.0)
        )
        ring.append(
            d.rod(
                (k * 22, 2.0, 0.0),
                (k * (d.size.transverse_span_mm / 2 - 3), 4.0, -1.0),
                (4.0, 3.5),
                d.frame.up,
            )
        )
    joints = [
        d.rod((k * 17, 1.0, -4.0), (k * 17, 1.5, -8.5), (7.0, 7.5), d.frame.left, cap_mm=2.5)
        for k in SIDES
    ]
    return Arch(tuple(ring), (), tuple(joints), ())
