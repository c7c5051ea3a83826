"""Posterior elements: pedicles, laminae, joints, processes and the canal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vfx_edge.phantom.canvas import F64
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.solids import SIDES, Beam, beam

JOINT_GAP_MM = 1.3
Point = tuple[float, float, float]
Radii = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Arch:
    """Everything behind one vertebral body, as rods in patient space."""

    rods: tuple[Beam, ...]
    upper_joints: tuple[Beam, ...]
    lower_joints: tuple[Beam, ...]
    holes: tuple[Beam, ...]

    @property
    def bone(self) -> tuple[Beam, ...]:
        """All but the holes."""
        return (*self.rods, *self.upper_joints, *self.lower_joints)


class _Draft:
    """Places rods in one vertebra's frame; lengths in mm."""

    def __init__(self, vertebra: Vertebra) -> None:
        s = vertebra.size
        self.frame, self.size, self.level = vertebra.frame, s, vertebra.level
        self.left, self.up = vertebra.frame.left, vertebra.frame.up
        self.b, self.h = s.depth_mm / 2, s.height_mm / 2
        self.cw, self.cd = s.canal_width_mm / 2, s.canal_depth_mm
        self.disc = max(s.gap_below_mm - s.height_mm, 2.0)
        self.pedicle_at = self.cw + s.pedicle_width_mm / 2
        self.pedicle_up = max(self.h - s.pedicle_height_mm / 2 - 0.5, 0.1 * self.h)

    def rod(
        self,
        start: Point,
        end: Point,
        radii: Radii,
        side: F64,
        end_radii: Radii | None = None,
        cap_mm: float | None = None,
    ) -> Beam:
        place = self.frame.world
        return beam(place(*start), place(*end), radii, side, end_radii, cap_mm)

    def pair(
        self,
        start: Point,
        end: Point,
        radii: Radii,
        side: F64,
        end_radii: Radii | None = None,
        cap_mm: float | None = None,
    ) -> list[Beam]:
        """A rod on the left, as given, and its mirror image."""
        return [
            self.rod(
                (k * start[0], *start[1:]), (k * end[0], *end[1:]), radii, side, end_radii, cap_mm
            )
            for k in SIDES
        ]


def _pedicles(d: _Draft) -> list[Beam]:
    radii = (d.size.pedicle_width_mm / 2, d.size.pedicle_height_mm / 2)
    at, up = d.pedicle_at, d.pedicle_up
    start, end = (at * 0.96, 0.7 * d.b, up), (at, d.b + 0.6 * d.cd, up)
    return d.pair(start, end, radii, d.left, cap_mm=radii[0])


def _laminae(d: _Draft, half_height: float, lean: float, up: float) -> list[Beam]:
    tilted = d.up - lean * d.frame.back
    start = (d.cw + 2.5, d.b + 0.68 * d.cd, up + 1.5)
    end = (0.5, d.b + d.cd + 4.0, up - 2.0)
    return d.pair(start, end, (half_height, 2.9), tilted, (half_height * 0.92, 3.2))


def _spinous(d: _Draft, start_up: float, thick: float, jitter: Jitter) -> Beam:
    tall, s = d.size.spinous_height_mm, d.size
    start = (0.0, d.b + d.cd + 3.0, start_up)
    tip = (jitter.shift(1.2), s.spinous_back_mm - 2.0, s.spinous_up_mm)
    return d.rod(start, tip, (tall * 0.5, thick * 0.8), d.up, (tall * 0.42, thick), thick + 1.0)


def _lumbar_upper(d: _Draft) -> list[Beam]:
    f, tip = d.size.facet_half_span_mm, d.h + 0.5 * d.disc + 5.5
    start = (d.pedicle_at + 0.5, d.b + 0.72 * d.cd, 0.1 * d.h)
    end = (f + 4.0, d.b + 0.75 * d.cd + 2.5, tip)
    return d.pair(start, end, (5.4, 6.4), d.left, (4.0, 6.2), 3.5)


def _lumbar_lower(d: _Draft) -> list[Beam]:
    f, tip = d.size.facet_half_span_mm, -d.h - d.disc - 5.0
    start = (f * 0.92 + 1.0, d.b + 0.85 * d.cd + 1.5, 0.1 * d.h)
    end = (f - 3.0, d.b + d.cd + 3.5, tip)
    return d.pair(start, end, (5.0, 5.6), d.left, (4.6, 5.6), 4.0)


def _thoracic_upper(d: _Draft) -> list[Beam]:
    f = d.size.facet_half_span_mm
    start, end = (f, d.b + 0.82 * d.cd, 0.0), (f, d.b + 0.72 * d.cd, d.h + 5.0)
    return d.pair(start, end, (5.2, 3.0), d.left, (4.6, 2.0), 2.0)


def _thoracic_lower(d: _Draft) -> list[Beam]:
    f = d.size.facet_half_span_mm
    start = (f - 1, d.b + d.cd - 0.5, 0.0)
    end = (f - 1.5, d.b + 0.98 * d.cd + 2.0, -d.h - d.disc - 4.0)
    return d.pair(start, end, (5.2, 3.0), d.left, (4.6, 2.2), 2.5)


def _cervical_pillars(d: _Draft) -> tuple[list[Beam], list[Beam]]:
    """Upper and lower halves."""
    f, radii, last = d.size.facet_half_span_mm, (5.4, 4.6), (5.2, 3.6)
    top, tip = (f, d.b + 3.5, d.h * 0.8), (f, d.b + 9.0, -d.h * 1.1)
    return (
        d.pair((f, d.b + 5.5, 0.0), top, radii, d.left, last, 2.5),
        d.pair((f, d.b + 6.5, 0.0), tip, radii, d.left, last, 2.5),
    )


def _lumbar_transverse(d: _Draft, jitter: Jitter) -> list[Beam]:
    thick = 4.2 if d.level in ("L5", "L6") else 2.5
    rods = []
    for k in SIDES:
        half = d.size.transverse_span_mm / 2 * jitter.scale(0.05)
        start = (k * d.pedicle_at, d.b + 0.55 * d.cd, 0.2 * d.h)
        end = (k * half, d.b + 0.6 * d.cd + 4.0, 0.3 * d.h + jitter.shift(2.0))
        rods.append(d.rod(start, end, (thick * 2.2, thick), d.up, (3.8, 1.7)))
    return rods


def _thoracic_transverse(d: _Draft) -> list[Beam]:
    half = d.size.transverse_span_mm / 2
    club = 3.2 if d.level in ("T11", "T12", "T13") else 4.8
    start = (d.pedicle_at - 1, d.b + 0.75 * d.cd, 0.5)
    end = (half - club + 1, d.b + d.cd + 3.0, 3.0)
    return d.pair(start, end, (club * 1.1, club * 0.8), d.up, (club, club))


def _cervical_transverse(d: _Draft) -> tuple[list[Beam], list[Beam]]:
    """Front and rear bars, and the holes of the vertebral arteries."""
    half, a, radii = d.size.transverse_span_mm / 2, d.size.width_mm / 2, (3.0, 2.4)
    front = d.pair((a * 0.8, 0.0, 0.0), (half - 2, 2.0, -2.0), radii, d.up)
    rear_start = (d.size.facet_half_span_mm, d.b + 5.0, 0.0)
    rear = d.pair(rear_start, (half - 2, 3.5, -2.0), radii, d.up)
    holes = d.pair((a + 4.0, 2.5, -20.0), (a + 4.0, 2.5, 20.0), (2.7, 2.7), d.left)
    return front + rear, holes


def _canal(d: _Draft) -> Beam:
    half = d.size.height_mm + d.disc
    middle = d.b + d.cd / 2
    return d.rod((0, middle, -half), (0, middle, half), (d.cw, d.cd / 2), d.left)


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
        _spinous(d, up, 3.6, jitter),
        *_lumbar_transverse(d, jitter),
    ]
    return Arch(tuple(rods), tuple(_lumbar_upper(d)), tuple(_lumbar_lower(d)), (_canal(d),))


def _thoracic(d: _Draft, jitter: Jitter, last: bool) -> Arch:
    up = -0.25 * d.h
    rods = [
        *_pedicles(d),
        *_laminae(d, 0.40 * d.size.gap_below_mm, 0.30, up),
        _spinous(d, up - 2.0, 3.2, jitter),
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
        _spinous(d, 0.0, 2.8, jitter),
        *across,
    ]
    if d.level == "C2":
        rods.append(d.rod((0, -1, 0.6 * d.h), (0, -1.5, d.h + 14), (5.2, 5.2), d.left))
        start, end = (15, 2.0, 0.3 * d.h), (15, 1.0, d.h + 1.5)
        upper = d.pair(start, end, (7.5, 7.0), d.left, cap_mm=2.5)
    return Arch(tuple(rods), tuple(upper), tuple(lower), (_canal(d), *holes))


def _atlas(d: _Draft) -> Arch:
    """C1 is a ring around the dens; it has no body."""
    front = ((0.0, -10.5, 0.0), (10, -8.0, 0.0), (17, -2.0, 0.0))
    rear = ((19, 6.0, 0.0), (19, 16.0, 0.0), (12, 28.0, 0.0), (0.0, 34.0, 0.0))
    halves = [
        d.pair(p, q, radii, d.up)
        for path, radii in ((front, (5.0, 2.8)), (rear, (4.5, 3.0)))
        for p, q in pairwise(path)
    ]
    halves.append(d.pair((18, 0.0, -5.0), (18, 1.0, 5.0), (7.0, 8.0), d.left, cap_mm=4.0))
    tip = (d.size.transverse_span_mm / 2 - 3, 4.0, -1.0)
    halves.append(d.pair((22, 2.0, 0.0), tip, (4.0, 3.5), d.up))
    ring = tuple(half[side] for side in (0, 1) for half in halves)
    joints = d.pair((17, 1.0, -4.0), (17, 1.5, -8.5), (7.0, 7.5), d.left, cap_mm=2.5)
    return Arch(ring, (), tuple(joints), ())
