"""Pelvis and hips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vfx_edge.phantom.bone import BoneTissue, mark, paint_bone
from vfx_edge.phantom.canvas import F64, Canvas, Part, smooth_max
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.solids import BACK, SIDES, UP, Beam, Solid, beam, bounds, ellipsoid, union

_RIM = ("joint_low", "joint_top", "rear", "crest1", "crest2", "crest3", "crest4", "front",
        "front_low")  # fmt: skip


def _hip_points(column: Column, k: float) -> dict[str, F64]:
    """Landmarks of one hip bone, (L,P,S) mm; ``k`` is +1 left, -1 right."""
    s1 = column.sacrum[0].centre_mm
    z = column.scale

    def at(left: float, back: float, up: float) -> F64:
        return np.asarray(s1 + np.array([k * left, back, up]) * z)

    return {
        "hip": at(88, -8, -92),
        "joint_top": at(52, 26, 8),
        "joint_low": at(44, 44, -38),
        "rear": at(44, 58, 2),
        "crest1": at(68, 48, 30),
        "crest2": at(103, 18, 48),
        "crest3": at(126, -18, 42),
        "crest4": at(134, -45, 22),
        "front": at(128, -66, -8),
        "front_low": at(105, -55, -48),
        "pubis": at(9, -62, -108),
        "sit": at(58, 30, -142),
        "arch": at(22, -38, -135),
        "trochanter": at(143, 8, -92),
        "shaft": at(132, 4, -150),
        "foot": at(118, 4, -320),
    }


def _hip_solids(p: dict[str, F64]) -> list[Solid]:
    """Iliac fan, crest, rami and socket."""
    roof = p["hip"] + np.array([0.0, 4.0, 30.0])
    bone: list[Solid] = []
    for a, b in pairwise(_RIM):
        bone.append(beam(p[a], p[b], (4.6, 4.6), UP, cap_mm=4.6))
        middle, along = 0.5 * (p[a] + p[b]), p[b] - p[a]
        half = 0.5 * float(np.linalg.norm(along)) + 3.0
        bone.append(Beam(roof, middle, along, (14.0, 6.5), (half, 2.4), 2.5))
    bone.append(ellipsoid(p["hip"] + np.array([0.0, 3.0, 6.0]), (31.0, 31.0, 33.0)))
    seat = p["hip"] + np.array([0.0, 18, -14])
    bone += [
        beam(p["hip"] + np.array([0.0, -12, -6]), p["pubis"], (9.0, 6.5), UP, (10.0, 6.0)),
        beam(seat, p["sit"], (13.0, 10.0), p["pubis"] - p["sit"], (14.0, 10.0)),
        beam(p["sit"], p["arch"], (8.0, 5.0), UP),
        beam(p["arch"], p["pubis"], (9.0, 5.0), UP),
    ]
    return bone


def _femur(p: dict[str, F64]) -> list[Solid]:
    return [
        ellipsoid(p["hip"], (23.0, 23.0, 23.0)),
        beam(p["hip"], p["trochanter"] + np.array([0, 0, -14.0]), (15.0, 13.0), BACK),
        beam(p["trochanter"], p["shaft"], (16.0, 15.0), BACK, (14.5, 14.5)),
        beam(p["shaft"], p["foot"], (14.5, 14.5), BACK),
    ]


def paint_pelvis(canvas: Canvas, column: Column, tissue: BoneTissue) -> None:
    """Draw both hip bones and femora."""
    for k in SIDES:
        points = _hip_points(column, k)
        bone, femur = _hip_solids(points), _femur(points)
        socket = ellipsoid(points["hip"] + np.array([k * 6.0, -1.0, -3.0]), (28.0, 26.0, 27.0))
        for patch in canvas.tiles(*bounds(bone)):
            d = union(patch, bone, 4.0)
            d = smooth_max(d, -union(patch, [socket]), 1.0)
            spongy = 0.7 * tissue.texture(patch)
            paint_bone(patch, d, spongy, 1.5 * tissue.shell_mm, tissue.cortex_hu)
            mark(patch, d, Part.PELVIS)
        for patch in canvas.tiles(*bounds(femur)):
            d = union(patch, femur, 5.0)
            low = np.clip((points["trochanter"][2] - patch.z_mm) / 40, 0, 1)
            shell = np.broadcast_to(1.5 + 5.0 * low, d.shape).astype(np.float32)
            spongy = 0.8 * tissue.texture(patch)
            paint_bone(patch, d, spongy, shell, 1.2 * tissue.cortex_hu)
            mark(patch, d, Part.OTHER_BONE)
