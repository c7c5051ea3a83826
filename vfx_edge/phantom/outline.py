"""Cross-sections of the trunk as functions of height: skin, muscle, cavity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F32, F64, Patch
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.spec import PhantomSpec

# level: half-width, front, back (mm; front and back from the body centre).
_RIBS: dict[str, tuple[float, float, float]] = {
    "C7": (22, -38, 22),
    "T1": (46, -46, 33),
    "T2": (72, -53, 41),
    "T3": (91, -62, 46),
    "T4": (104, -75, 49),
    "T6": (121, -101, 50),
    "T8": (131, -121, 49),
    "T10": (135, -132, 47),
    "T12": (133, -134, 45),
    "L2": (127, -125, 45),
    "L3": (124, -118, 45),
}
_MUSCLE: dict[str, tuple[float, float, float]] = {
    "C2": (52, -42, 52),
    "C5": (54, -42, 55),
    "C7": (66, -46, 66),
    "T1": (100, -58, 70),
    "T2": (140, -68, 70),
    "T3": (155, -80, 70),
    "T4": (155, -92, 68),
    "T6": (150, -116, 66),
    "T8": (147, -134, 65),
    "T10": (145, -144, 65),
    "T12": (142, -145, 68),
    "L2": (135, -134, 74),
    "L4": (132, -118, 76),
    "L5": (138, -114, 72),
    "S1": (148, -128, 62),
    "S3": (160, -160, 42),
    "S5": (164, -170, 45),
    "S6": (160, -168, 45),
}
_CAVITY: dict[str, tuple[float, float, float]] = {
    "L2": (118, -118, 36),
    "L4": (112, -106, 28),
    "S1": (88, -112, 8),
    "S3": (62, -120, -12),
    "S5": (55, -105, -14),
    "S6": (52, -95, -12),
}


@dataclass(frozen=True, eq=False)
class Profile:
    """Half-width, front and back (P mm) at increasing heights ``z_mm``."""

    z_mm: F64
    half_width_mm: F64
    front_mm: F64
    back_mm: F64
    middle_mm: F64

    def at(self, z_mm: F64 | F32, grow_mm: float = 0.0) -> tuple[F64, F64, F64, F64]:
        """(half-width, half-depth, centre L, centre P) in mm at ``z_mm``."""
        wide, front, back, middle = (
            np.interp(z_mm, self.z_mm, v)
            for v in (self.half_width_mm, self.front_mm, self.back_mm, self.middle_mm)
        )
        return wide + grow_mm, 0.5 * (back - front) + grow_mm, middle, 0.5 * (front + back)

    def distance(self, patch: Patch, grow_mm: float = 0.0) -> F32:
        """Signed distance to the section enlarged by ``grow_mm``, (nz,ny,nx) mm."""
        wide, deep, x0, y0 = (np.asarray(v, dtype=np.float32) for v in self.at(patch.z_mm, grow_mm))
        power = np.float32(2.5)
        wide, deep = np.maximum(wide, 3), np.maximum(deep, 3)
        total = (np.abs(patch.x_mm - x0) / wide) ** power + (
            np.abs(patch.y_mm - y0) / deep
        ) ** power
        # sqrt is far cheaper than the exact root and agrees at the surface.
        np.sqrt(total, out=total)
        total -= 1
        total *= np.float32(2 / power) * (0.4 * wide + 0.6 * deep)
        return np.asarray(total, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Outline:
    """The nested sections of one patient."""

    ribs: Profile
    muscle: Profile
    cavity: Profile
    fat_mm: float
    top_mm: float
    bottom_mm: float

    def fat(self, patch: Patch) -> F32:
        """Thickness of the fat under the skin, thin over the spine, (nz,ny,nx) mm."""
        _, deep, _, y0 = self.muscle.at(patch.z_mm)
        rear = np.clip((patch.y_mm - y0) / deep, -1, 1)
        return np.asarray(self.fat_mm * (1.0 - 0.4 * rear), dtype=np.float32)

    def box(self) -> tuple[F64, F64]:
        """Bounding box of the trunk, (L,P,S) mm."""
        grow = 1.4 * self.fat_mm + 3
        m = self.muscle
        wide = float(np.max(m.half_width_mm)) + grow + float(np.abs(m.middle_mm).max())
        return (
            np.array([-wide, float(m.front_mm.min()) - grow, self.bottom_mm]),
            np.array([wide, float(m.back_mm.max()) + grow, self.top_mm]),
        )


def _profile(
    table: dict[str, tuple[float, float, float]], column: Column, size: tuple[float, float]
) -> Profile:
    at = np.array([column.anchor(level) for level in table])
    wide, front, back = (np.array(v) for v in zip(*table.values(), strict=True))
    order = np.argsort(at[:, 2])
    # The trunk itself stays straighter than a scoliotic spine.
    middle = 0.35 * at[:, 0]
    return Profile(
        at[order, 2],
        wide[order] * size[0],
        (at[:, 1] + front * size[1])[order],
        (at[:, 1] + back * size[1])[order],
        middle[order],
    )


def _flat_back(profile: Profile, bed_mm: float, from_z: float, to_z: float) -> Profile:
    """Press the trunk's back onto the table."""
    on_bed = (profile.z_mm >= from_z) & (profile.z_mm <= to_z)
    back = np.where(on_bed, 0.25 * profile.back_mm + 0.75 * bed_mm, profile.back_mm)
    return Profile(profile.z_mm, profile.half_width_mm, profile.front_mm, back, profile.middle_mm)


def build_outline(spec: PhantomSpec, column: Column) -> Outline:
    """Sections for this patient's column and body size."""
    jitter = Jitter(stream(spec.seed, "outline"), spec.randomness)
    build = spec.stature * (0.75 + 0.25 * spec.body_size)
    wide, deep = build * jitter.scale(0.05), build * jitter.scale(0.06)
    ribs = _profile(_RIBS, column, (wide, deep))
    muscle = _profile(_MUSCLE, column, (wide * jitter.scale(0.03), deep))
    tips = [
        v.frame.world(0, v.size.spinous_back_mm, 0)[1]
        for v in column.vertebrae
        if not v.level.startswith("C")
    ]
    t2, low = column.anchor("T2")[2], column.anchor("S5")[2]
    muscle = _flat_back(muscle, max(tips) + 4.0, low, t2)
    cavity = _join(ribs, _profile(_CAVITY, column, (wide, deep)), column.anchor("L1")[2])
    fat = 16.0 * spec.body_size**2.2 * jitter.scale(0.25)
    c1, s6 = column.anchor("C1")[2], column.anchor("S6")[2]
    return Outline(ribs, muscle, cavity, fat, c1 + 22.0, s6 - 160.0)


def _join(ribs: Profile, belly: Profile, split_mm: float) -> Profile:
    keep, low = ribs.z_mm >= split_mm, belly.z_mm < split_mm
    inner = 6.0

    def both(a: F64, b: F64) -> F64:
        return np.concatenate([b[low], a[keep]])

    return Profile(
        both(ribs.z_mm, belly.z_mm),
        both(ribs.half_width_mm - inner, belly.half_width_mm),
        both(ribs.front_mm + inner, belly.front_mm),
        both(ribs.back_mm - inner, belly.back_mm),
        both(ribs.middle_mm, belly.middle_mm),
    )
