"""Sacrum, pelvis and hips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfx_edge.phantom.bone import BoneTissue, mark, paint_bone
from vfx_edge.phantom.canvas import F64, Canvas, Part, smooth_max
from vfx_edge.phantom.column import Column, Frame
from vfx_edge.phantom.levels import SACRAL_HEIGHTS_MM, SACRUM_NUMBER
from vfx_edge.phantom.solids import Beam, Solid, beam, bounds, ellipsoid, union

_SIDES = (1.0, -1.0)
# Sacral segments: half-width and half-depth of the body, reach of the wing, mm.
_SEGMENTS = ((25.0, 16.0, 52.0), (19.0, 12.0, 47.0), (15.5, 9.5, 38.0), (13.0, 8.0, 30.0),
             (11.0, 6.5, 20.0), (6.0, 4.5, 0.0))


def _sacral_solids(frames: Sequence[Frame], scale: float) -> tuple[list[Solid], list[Solid]]:
    """(bone, holes) of the fused sacrum and the tail bone."""
    bone: list[Solid] = []
    holes: list[Solid] = []
    for i, frame in enumerate(frames):
        a, b, wing = (v * scale for v in _SEGMENTS[i])
        h = SACRAL_HEIGHTS_MM[i] / 2 * scale
        below = frames[i + 1] if i + 1 < len(frames) else frame
        foot = below.centre_mm if i + 1 < len(frames) else frame.world(0, 0, -h)
        wide, deep, _ = (v * scale for v in _SEGMENTS[min(i + 1, 5)])
        bone.append(Beam(frame.world(0, 0, h - 2.0 if i == 0 else h * 0.5), foot, frame.left,
                         (a, b), (wide, deep), 2.0))
        if i > 3:
            continue
        for k in _SIDES:
            reach, back = k * wing, 10.0 - 1.5 * i
            bone.append(Beam(frame.world(k * a * 0.6, 3.0, 0.0), frame.world(reach, back, -5.0),
                             frame.up, (h * 1.1, b * 0.9), (h * 0.95, 7.5), 4.0))
            bone.append(Beam(frame.world(reach * 0.55, b + 14 - 2 * i, 0), below.world(
                reach * 0.5, b + 11 - 2 * i, 0), frame.left, (9.0, 4.0), (8.0, 3.5), 4.0))
            bone.append(beam(frame.world(reach * 0.45, b + 15 - 2 * i, -2), frame.world(
                0, b + 19 - 3 * i, -4), (h * 0.75, 3.2), frame.up))
            if i < 4:
                gate = k * (a + wide) * 0.52
                holes.append(beam(frame.world(gate, -b - 4, -h - 1), frame.world(
                    gate * 1.05, b + 26, -h - 3), (4.6 - 0.4 * i, 4.2 - 0.4 * i), frame.left))
        bone.append(beam(frame.world(0, b + 17 - 3 * i, 0), frame.world(0, b + 23 - 3.5 * i, -6),
                         (h * 0.8, 2.6), frame.up))
    path = [f.world(0, 18.5 - 2.2 * i, 0) for i, f in enumerate(frames[:4])]
    path.insert(0, frames[0].world(0, 22.0, 30.0))
    for i, (p, q) in enumerate(zip(path, path[1:], strict=False)):
        holes.append(beam(p, q, (13.0 - 1.8 * i, 7.0 - 0.9 * i), frames[0].left))
    return bone, holes


def paint_sacrum(canvas: Canvas, column: Column, tissue: BoneTissue) -> None:
    """Draw S1 to the coccyx as one bone, label 26."""
    bone, holes = _sacral_solids(column.sacrum, column.scale)
    for patch in canvas.tiles(*bounds(bone)):
        d = union(patch, bone, 3.0)
        if float(d.min()) > patch.edge_mm:
            continue
        d = smooth_max(d, -union(patch, holes, 1.0), 1.0)
        spongy = tissue.texture(patch)
        # The wings hold mostly fatty marrow.
        aside = np.clip((np.abs(patch.x_mm - column.sacrum[0].centre_mm[0]) - 18) / 20, 0, 1)
        spongy = np.asarray(spongy * (1.0 - np.float32(0.45) * aside), dtype=np.float32)
        paint_bone(patch, d, tissue, spongy, tissue.shell_mm, 0.85 * tissue.cortex_hu)
        mark(patch, d, Part.SACRUM, SACRUM_NUMBER)


def _hip_points(column: Column, k: float) -> dict[str, F64]:
    """Landmarks of one hip bone, (L,P,S) mm; ``k`` is +1 left, -1 right."""
    s1 = column.sacrum[0].centre_mm
    z = column.scale

    def at(left: float, back: float, up: float) -> F64:
        return np.asarray(s1 + np.array([k * left, back, up]) * z)

    return {
        "hip": at(88, -8, -92), "joint_top": at(52, 26, 8), "joint_low": at(44, 44, -38),
        "rear": at(44, 58, 2), "crest1": at(68, 48, 30), "crest2": at(103, 18, 48),
        "crest3": at(126, -18, 42), "crest4": at(134, -45, 22), "front": at(128, -66, -8),
        "front_low": at(105, -55, -48), "pubis": at(9, -62, -108), "sit": at(58, 30, -142),
        "arch": at(22, -38, -135), "trochanter": at(146, 8, -92), "shaft": at(132, 4, -150),
        "foot": at(118, 4, -320),
    }


def _hip_solids(p: dict[str, F64]) -> list[Solid]:
    """Iliac fan, crest, rami and socket."""
    roof = p["hip"] + np.array([0.0, 4.0, 30.0])
    rim = ["joint_low", "joint_top", "rear", "crest1", "crest2", "crest3", "crest4", "front",
           "front_low"]
    bone: list[Solid] = []
    for a, b in zip(rim, rim[1:], strict=False):
        bone.append(beam(p[a], p[b], (4.6, 4.6), np.array([0.0, 0.0, 1.0]), cap_mm=4.6))
        middle, along = 0.5 * (p[a] + p[b]), p[b] - p[a]
        half = 0.5 * float(np.linalg.norm(along)) + 3.0
        bone.append(Beam(roof, middle, along, (14.0, 6.5), (half, 2.4), 2.5))
    bone.append(ellipsoid(p["hip"] + np.array([0.0, 3.0, 6.0]), (31.0, 31.0, 33.0)))
    up = np.array([0.0, 0.0, 1.0])
    bone += [
        beam(p["hip"] + np.array([0.0, -12, -6]), p["pubis"], (9.0, 6.5), up, (10.0, 6.0)),
        beam(p["hip"] + np.array([0.0, 18, -14]), p["sit"], (13.0, 10.0), p["pubis"] - p["sit"],
             (14.0, 10.0)),
        beam(p["sit"], p["arch"], (8.0, 5.0), up), beam(p["arch"], p["pubis"], (9.0, 5.0), up),
    ]
    return bone


def _femur(p: dict[str, F64]) -> list[Solid]:
    side = np.array([0.0, 1.0, 0.0])
    return [
        ellipsoid(p["hip"], (23.0, 23.0, 23.0)),
        beam(p["hip"], p["trochanter"] + np.array([0, 0, -14.0]), (15.0, 13.0), side),
        beam(p["trochanter"], p["shaft"], (19.0, 17.0), side, (14.5, 14.5)),
        beam(p["shaft"], p["foot"], (14.5, 14.5), side),
    ]


def paint_pelvis(canvas: Canvas, column: Column, tissue: BoneTissue) -> None:
    """Draw both hip bones and femora."""
    for k in _SIDES:
        points = _hip_points(column, k)
        bone, femur = _hip_solids(points), _femur(points)
        socket = ellipsoid(points["hip"] + np.array([k * 6.0, -1.0, -3.0]), (28.0, 26.0, 27.0))
        for patch in canvas.tiles(*bounds(bone)):
            d = union(patch, bone, 4.0)
            d = smooth_max(d, -union(patch, [socket]), 1.0)
            paint_bone(patch, d, tissue, 0.7 * tissue.texture(patch), 1.5 * tissue.shell_mm,
                       tissue.cortex_hu)
            mark(patch, d, Part.PELVIS)
        for patch in canvas.tiles(*bounds(femur)):
            d = union(patch, femur, 5.0)
            low = np.clip((points["trochanter"][2] - patch.z_mm) / 40, 0, 1)
            shell = np.broadcast_to(1.5 + 5.0 * low, d.shape).astype(np.float32)
            paint_bone(patch, d, tissue, 0.8 * tissue.texture(patch), shell,
                       1.2 * tissue.cortex_hu)
            mark(patch, d, Part.OTHER_BONE)
