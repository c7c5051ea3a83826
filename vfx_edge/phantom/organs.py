"""Organs and vessels, asymmetric on purpose so that any flip shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F64, Canvas
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.solids import LEFT, SIDES, Solid, beam, bounds, chain, ellipsoid, union
from vfx_edge.phantom.spec import Contrast
from vfx_edge.phantom.torso import Diaphragm, Tissues

# HU of blood in arteries, veins; of liver, spleen, kidney.
_PHASES: dict[Contrast, tuple[float, float, float, float, float]] = {
    "none": (42, 40, 58, 50, 33),
    "arterial": (320, 110, 75, 120, 170),
    "venous": (155, 160, 115, 125, 190),
}

_AORTA_LEFT_MM = {"T6": 24, "T7": 23, "T8": 21, "T9": 18, "T10": 15, "T11": 12, "T12": 9,
                  "L1": 7, "L2": 6, "L3": 5, "L4": 3}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scene:
    """What the organ painters share."""

    canvas: Canvas
    column: Column
    outline: Outline
    dome: Diaphragm
    tissue: Tissues
    jitter: Jitter
    hu: tuple[float, float, float, float, float]


def _spot(scene: Scene, level: str, left: float, back: float, up: float = 0.0) -> F64:
    """(L,P,S) mm relative to a body centre, scaled with the person."""
    wobble = np.array([scene.jitter.shift(4.0) for _ in range(3)])
    return np.asarray(scene.column.anchor(level, left, back, up) + wobble)


def _fill(
    scene: Scene, solids: Sequence[Solid], hu: float, warp_mm: float = 0.0, inside: bool = False
) -> None:
    """Paint a union, its surface roughened; ``inside`` keeps it under the ribs."""
    low, high = bounds(solids)
    field = scene.tissue.loops
    for patch in scene.canvas.tiles(low - warp_mm, high + warp_mm):
        d = union(patch, solids, 6.0)
        if warp_mm:
            d += field.on(patch) * np.float32(warp_mm)
        if inside:
            np.maximum(d, scene.outline.ribs.distance(patch, -9.0), out=d)
        patch.blend(patch.coverage(d), hu)


def _tube(
    scene: Scene, points: list[F64], radii: list[float], hu: float, warp_mm: float = 0.0
) -> None:
    wide = np.stack([np.array(radii), np.array(radii)], axis=1)
    rods = chain(np.array(points), wide, np.tile(LEFT, (len(points), 1)))
    _fill(scene, rods, hu, warp_mm)


def paint_organs(
    canvas: Canvas,
    column: Column,
    outline: Outline,
    dome: Diaphragm,
    tissue: Tissues,
    contrast: Contrast,
    degeneration: float,
    jitter: Jitter,
) -> None:
    """Draw abdominal organs, heart, vessels, airways and psoas."""
    values = tuple(v * jitter.scale(0.1) for v in _PHASES[contrast])
    hu = (values[0], values[1], values[2], values[3], values[4])
    scene = Scene(canvas, column, outline, dome, tissue, jitter, hu)
    _psoas(scene)
    _abdomen(scene)
    _pelvis(scene)
    _heart(scene)
    _vessels(scene, degeneration)
    _airways(scene)


def _psoas(scene: Scene) -> None:
    c = scene.column
    hu = scene.tissue.muscle_hu
    bulk = 1.1 * scene.jitter.scale(0.15)
    _paraspinal(scene, bulk)
    for k in SIDES:
        points = [
            c.anchor("L1", k * 24, 8, 0),
            c.anchor("L2", k * 31, 6, 0),
            c.anchor("L4", k * 42, -1, 0),
            c.anchor("S1", k * 62, -42, 0),
            c.anchor("S3", k * 84, -90, -20),
        ]
        radii = [6 * bulk, 13 * bulk, 21 * bulk, 22 * bulk, 15.0]
        _tube(scene, points, [r + 2.0 for r in radii], scene.tissue.fat_hu, 1.5)
        _tube(scene, points, radii, hu, 1.5)
        crus = [c.anchor("T11", k * 14, -26, 0), c.anchor("L2", k * 12, -24, 0)]
        _tube(scene, crus, [4.5, 3.5], hu)


def _paraspinal(scene: Scene, bulk: float) -> None:
    """Two columns of back muscle on each side, sheathed in fat."""
    levels = [v for v in scene.column.vertebrae if not v.level.startswith("C")]
    for k in SIDES:
        for out, wide, deep in ((0.42, 11.0, 13.0), (1.15, 17.0, 12.0)):
            points, radii = [], []
            for i, v in enumerate(levels):
                s = v.size
                low = i / len(levels)
                back = 0.5 * s.depth_mm + s.canal_depth_mm + (12.0 + 5.0 * low)
                aside = out * (20.0 + 12.0 * low)
                points.append(v.frame.world(k * aside, back, 0.0))
                grow = bulk * (0.75 + 0.5 * low)
                radii.append((wide * grow, deep * grow))
            for extra, hu in ((1.3, scene.tissue.fat_hu), (0.0, scene.tissue.muscle_hu)):
                rods = chain(
                    np.array(points), np.array(radii) + extra, np.tile(LEFT, (len(points), 1))
                )
                _fill(scene, rods, hu, 1.2)


def _abdomen(scene: Scene) -> None:
    _, _, liver, spleen, kidney = scene.hu
    low, high = scene.outline.box()
    low[2], high[2] = scene.column.anchor("L3")[2] - 10, scene.dome.right[2] + 5
    high[0] = 90.0
    edge = _spot(scene, "L1", 5, -60)
    spine = _spot(scene, "T12", -26, -26)
    for patch in scene.canvas.tiles(low, high):
        d = np.maximum(
            scene.outline.ribs.distance(patch, -9.0), patch.z_mm - scene.dome.height(patch) + 3
        )
        # The free edge climbs from the right flank to the left dome.
        np.maximum(d, patch.along(np.array([0.62, 0.12, -0.77]), edge), out=d)
        np.maximum(d, patch.along(np.array([0.62, 0.78, 0.0]), spine), out=d)
        d += scene.tissue.loops.on(patch) * np.float32(1.5)
        patch.blend(patch.coverage(d), liver + np.float32(3) * scene.tissue.grain.on(patch))
    _fill(scene, [ellipsoid(_spot(scene, "T11", 98, 12, -4), (30, 42, 52))], spleen, 2.0, True)
    _kidneys(scene, kidney)
    stomach = [
        ellipsoid(_spot(scene, "T11", 62, -52, 5), (42, 40, 40)),
        ellipsoid(_spot(scene, "L1", 28, -78, 0), (40, 24, 22)),
    ]
    _fill(scene, stomach, 30.0, 2.0, True)
    bubble = [ellipsoid(_spot(scene, "T11", 62, -70, 12), (27, 18, 21))]
    _fill(scene, bubble, -960.0, 1.0, True)


def _kidneys(scene: Scene, hu: float) -> None:
    for level, side in (("L1", 1.0), ("L2", -1.0)):
        centre = _spot(scene, level, side * 62, 8, -4 if side > 0 else 6)
        tilt = np.deg2rad(16) * side
        axes = np.array(
            [[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]]
        )
        _fill(scene, [ellipsoid(centre, (27, 25, 54), axes)], hu, 1.5)
        sinus = centre - np.array([side * 14.0, 3.0, 0.0])
        _fill(scene, [ellipsoid(sinus, (13, 9, 24), axes)], scene.tissue.fat_hu + 30, 1.5)


def _pelvis(scene: Scene) -> None:
    bladder = [ellipsoid(_spot(scene, "S4", 2, -118, -34), (38, 30, 28))]
    _fill(scene, bladder, 8.0, 1.5)
    rectum = [beam(_spot(scene, "S3", 4, -24), _spot(scene, "S5", 0, -26, -20), (19, 15), LEFT)]
    _fill(scene, rectum, 25.0, 2.0)
    if scene.jitter.rng.random() < 0.7:
        _fill(scene, [ellipsoid(_spot(scene, "S4", 4, -26), (10, 8, 17))], -850.0, 1.5)


def _heart(scene: Scene) -> None:
    blood = 0.75 * scene.hu[0] + 0.25 * scene.hu[1]
    chambers = [
        ellipsoid(_spot(scene, "T8", 26, -80, -2), (48, 38, 42)),
        ellipsoid(_spot(scene, "T7", -14, -76, 0), (34, 34, 40)),
        ellipsoid(_spot(scene, "T7", 2, -46, 2), (34, 20, 26)),
    ]
    _fill(scene, chambers, 45.0, 2.0)
    inner = [
        ellipsoid(_spot(scene, "T8", 26, -80, -2), (36, 27, 30)),
        ellipsoid(_spot(scene, "T7", -14, -76, 0), (29, 29, 34)),
    ]
    _fill(scene, inner, blood, 1.5)


def _aorta_points(scene: Scene) -> tuple[list[F64], list[float]]:
    c = scene.column
    points = [
        c.anchor("T7", -8, -68, 0),
        c.anchor("T5", -14, -62, -4),
        c.anchor("T4", -4, -46, 4),
        c.anchor("T4", 14, -22, 4),
        c.anchor("T5", 22, -12, -2),
    ]
    radii = [15.0, 15.0, 14.0, 13.0, 12.5]
    for level, left in _AORTA_LEFT_MM.items():
        if not c.has(level):
            continue
        v = c.get(level)
        r = float(np.interp(v.frame.centre_mm[2], [-100, 150], [8.5, 12.0]))
        # Clear of the body's wall: beside it high up, in front of it lower down.
        free = v.size.depth_mm / 2 * np.sqrt(max(0.0, 1 - (left / (v.size.width_mm / 2 + r)) ** 2))
        points.append(v.frame.centre_mm + np.array([left, -(free + r + 2.0), 0.0]))
        radii.append(r)
    return points, radii


def _vessels(scene: Scene, degeneration: float) -> None:
    c, (artery, vein, *_rest) = scene.column, scene.hu
    points, radii = _aorta_points(scene)
    end = points[-1]
    _tube(scene, points, radii, artery)
    for k in SIDES:
        iliac = [
            end - np.array([0.0, 0.0, 8.0]),
            c.anchor("S1", k * 38, -46, 0),
            c.anchor("S4", k * 72, -115, -20),
        ]
        _tube(scene, iliac, [6.5, 5.5, 5.0], artery)
        drain = [
            c.anchor("L5", -12, -26, 10),
            c.anchor("S1", k * 40, -34, 0),
            c.anchor("S4", k * 66, -105, -20),
        ]
        _tube(scene, drain, [8.0, 7.0, 6.0], vein)
        neck = [
            c.anchor("T4", k * 6, -46, 12),
            c.anchor("T1", k * 22, -28, 0),
            c.anchor("C3", k * 26, -12, 0),
        ]
        _tube(scene, neck, [6.0, 4.0, 3.5], artery)
        _tube(scene, [p + np.array([k * 9.0, -3.0, 0.0]) for p in neck], [7.0, 6.0, 5.0], vein)
    cava = [
        c.anchor("L5", -14, -28, 8),
        c.anchor("L3", -19, -29, 0),
        c.anchor("L1", -20, -30, 0),
        c.anchor("T10", -22, -48, 0),
        c.anchor("T8", -24, -62, 0),
    ]
    _tube(scene, cava, [9.0, 11.0, 11.0, 12.0, 13.0], vein)
    _tube(scene, [c.anchor("T6", -26, -60, 0), c.anchor("T3", -22, -52, 0)], [10, 8.5], vein)
    _tube(
        scene,
        [c.anchor("T6", -42, -34, 0), c.anchor("T6", 4, -56, 4), c.anchor("T6", 40, -34, 4)],
        [9, 13, 9],
        0.6 * artery + 0.4 * vein,
    )
    _plaques(scene, points, radii, degeneration)


def _plaques(scene: Scene, points: list[F64], radii: list[float], degeneration: float) -> None:
    """Calcified spots in the aortic wall of older patients."""
    rng = scene.jitter.rng
    count = round(22 * degeneration * float(rng.random()))
    for _ in range(count):
        i = int(rng.integers(5, len(points)))
        turn = rng.uniform(0, 2 * np.pi)
        wall = np.array([np.cos(turn), np.sin(turn), 0.0]) * radii[i]
        at = points[i] + wall + np.array([0.0, 0.0, rng.uniform(-12, 12)])
        spot = beam(at, at + rng.normal(0, 3.0, 3), (1.6, 1.2), LEFT)
        _fill(scene, [spot], float(rng.uniform(400, 1100)))


def _airways(scene: Scene) -> None:
    c = scene.column
    gap = 22.0
    line = [
        c.anchor("C5", 0, -gap, 0),
        c.anchor("C7", 0, -gap - 4, 0),
        c.anchor("T2", 0, -gap - 8, 0),
        c.anchor("T4", -1, -gap - 12, -8),
    ]
    gullet = [
        c.anchor("C6", 2, -14, 0),
        c.anchor("T2", 5, -17, 0),
        c.anchor("T7", 4, -24, 0),
        c.anchor("T10", 14, -36, 0),
    ]
    _tube(scene, gullet, [6.0, 6.0, 6.5, 7.0], 40.0)
    _tube(scene, line, [10.5, 10.0, 10.0, 10.0], 50.0)
    _tube(scene, line, [8.5, 8.0, 8.0, 8.0], -990.0)
    for k in SIDES:
        branch = [line[-1], c.anchor("T6", k * 30, -32, 4), c.anchor("T7", k * 50, -24, 0)]
        _tube(scene, branch, [7.0, 6.0, 4.0], -985.0)
