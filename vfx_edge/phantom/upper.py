"""Shoulder girdle, arms, skull and airways above the chest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vfx_edge.phantom.bone import BoneTissue, mark, paint_bone, paint_bones
from vfx_edge.phantom.canvas import F64, Canvas, Part
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.solids import (
    BACK,
    LEFT,
    SIDES,
    UP,
    Beam,
    Solid,
    beam,
    bounds,
    chain,
    ellipsoid,
    fill,
    union,
)
from vfx_edge.phantom.spec import Arms
from vfx_edge.phantom.torso import Tissues


def _girdle_points(column: Column, outline: Outline, k: float, arms: Arms) -> dict[str, F64]:
    """Landmarks of one shoulder, (L,P,S) mm."""
    t1, t3, t7 = (column.anchor(level) for level in ("T1", "T3", "T7"))
    front = float(outline.ribs.front_mm[np.argmin(np.abs(outline.ribs.z_mm - t3[2]))])
    rise = 22.0 if arms == "up" else 0.0
    inward = 14.0 if arms == "up" else 0.0

    def at(left: float, back_mm: float, z_mm: float) -> F64:
        return np.array([k * left, back_mm, z_mm])

    y = t3[1]
    return {
        "sternal": at(17, front - 2, t3[2] + 10),
        "clav1": at(55, front + 6, t3[2] + 24 + rise / 2),
        "clav2": at(105, y - 8, t1[2] + 2 + rise),
        "acromion": at(150 - inward, y + 18, t1[2] + rise),
        "head": at(158 - inward, y - 6, t1[2] - 16 + rise),
        "socket": at(130 - inward, y + 4, t1[2] - 20 + rise),
        "spine_root": at(66 + rise, y + 66, t3[2] + 2),
        "upper": at(62 + rise, y + 50, t1[2] - 2),
        "tip": at(92 + 1.6 * rise, y + 74, t7[2] + rise),
    }


def _girdle_solids(p: dict[str, F64]) -> tuple[list[Solid], list[Solid]]:
    """(clavicle, scapula)."""
    path = np.array([p["sternal"], p["clav1"], p["clav2"], p["acromion"]])
    radii = np.array([(9.0, 8.0), (6.0, 5.5), (6.0, 6.5), (7.0, 5.0)])
    clavicle: list[Solid] = [*chain(path, radii, np.tile(UP, (4, 1)))]
    scapula: list[Solid] = []
    border = [p["upper"], p["spine_root"], p["tip"]]
    for a, b in pairwise(border):
        scapula.append(beam(a, b, (3.0, 3.0), UP))
        middle = 0.5 * (a + b)
        half = 0.5 * float(np.linalg.norm(b - a)) + 2
        scapula.append(Beam(p["socket"], middle, b - a, (9.0, 5.5), (half, 1.7), 2.0))
    scapula += [
        beam(p["socket"], p["tip"], (5.0, 3.6), UP, (4.0, 3.0)),
        Beam(p["spine_root"], p["acromion"], BACK + 0.3 * UP, (5.0, 2.4), (13.0, 4.0), 4.0),
        ellipsoid(p["socket"], (9.0, 13.0, 18.0)),
    ]
    return clavicle, scapula


def _arm(p: dict[str, F64], arms: Arms, k: float) -> tuple[list[Solid], list[Solid]]:
    """(humerus, flesh around it)."""
    way = np.array([k * 0.18, -0.10, 0.97]) if arms == "up" else np.array([k * 0.22, 0.05, -0.97])
    elbow = p["head"] + way * 300
    bone: list[Solid] = [
        ellipsoid(p["head"], (24.0, 24.0, 24.0)),
        beam(p["head"], elbow, (16.0, 16.0), BACK, (11.0, 11.0)),
    ]
    start = p["head"] + way * (60 if arms == "up" else 40)
    flesh: list[Solid] = [
        beam(start, elbow, (42.0, 42.0), BACK, (34.0, 36.0)),
        ellipsoid(p["head"], (50.0, 50.0, 46.0)),
    ]
    return bone, flesh


def paint_arms(
    canvas: Canvas, column: Column, outline: Outline, tissue: Tissues, arms: Arms
) -> None:
    """Draw shoulder and upper-arm flesh (before the trunk)."""
    for k in SIDES:
        _, flesh = _arm(_girdle_points(column, outline, k, arms), arms, k)
        low, high = bounds(flesh)
        for patch in canvas.tiles(low - 12, high + 12):
            d = union(patch, flesh, 15.0)
            patch.blend(patch.coverage(d, 10.0), tissue.fat_hu)
            patch.blend(patch.coverage(d), tissue.muscle_hu)


def paint_girdle(
    canvas: Canvas, column: Column, outline: Outline, tissue: BoneTissue, arms: Arms
) -> None:
    """Draw clavicles, shoulder blades and upper arms."""
    for k in SIDES:
        points = _girdle_points(column, outline, k, arms)
        humerus, _ = _arm(points, arms, k)
        spongy, shell, cortex = 0.8 * tissue.spongy_hu, 1.4 * tissue.shell_mm, tissue.cortex_hu
        for solids in (*_girdle_solids(points), humerus):
            paint_bones(canvas, solids, 2.0, Part.OTHER_BONE, spongy, shell, cortex)


def paint_head(canvas: Canvas, column: Column, bone: BoneTissue, tissue: Tissues) -> None:
    """Draw a simple skull with jaw and teeth; the column is added later."""
    c1, c3 = column.anchor("C1"), column.anchor("C3")
    brain = ellipsoid(c1 + np.array([0.0, -8.0, 92.0]), (70.0, 88.0, 72.0))
    face = ellipsoid(c1 + np.array([0.0, -62.0, 20.0]), (56.0, 48.0, 75.0))
    low, high = bounds([brain, face])
    for patch in canvas.tiles(low - 16, high + 16):
        d = union(patch, [brain, face], 10.0)
        patch.blend(patch.coverage(d, 14.0), 45.0)
        vault = brain.distance(patch)
        paint_bone(patch, vault - 6.0, 36.0, 6.5, 1.25 * bone.cortex_hu)
        shell = np.abs(vault - 3.0) - 3.2
        mark(patch, shell, Part.OTHER_BONE)
    hollow: list[Solid] = [
        ellipsoid(c1 + np.array([k * 13.0, -62.0, 32.0]), (9.0, 20.0, 16.0)) for k in SIDES
    ]
    throat = c1 + np.array([0, -30.0, 25]), c3 + np.array([0, -24.0, -10])
    fill(canvas, [*hollow, beam(*throat, (11.0, 7.0), LEFT)], -950.0, 2.0)
    jaw: list[Solid] = []
    for k in SIDES:
        corner = c1 + np.array([k * 46.0, -35.0, -30.0])
        chin = c1 + np.array([k * 6.0, -98.0, -38.0])
        ear = c1 + np.array([k * 50.0, -22.0, 18.0])
        teeth = c1 + np.array([k * 42.0, -32.0, 4.0]), c1 + np.array([k * 5.0, -98.0, -2.0])
        jaw += [
            beam(corner, ear, (12.0, 4.0), BACK),
            beam(corner, chin, (11.0, 5.5), UP),
            beam(*teeth, (8.0, 5.0), UP),
            ellipsoid(c1 + np.array([k * 44.0, 2.0, 14.0]), (12.0, 14.0, 16.0)),
        ]
    jaw.append(ellipsoid(c1 + np.array([0.0, -12.0, 26.0]), (22.0, 24.0, 8.0)))
    paint_bones(canvas, jaw, 3.0, Part.OTHER_BONE, 250.0, 2.0, 1.4 * bone.cortex_hu)
