"""The body about the column: the phantom's torso, organs, ribs and pelvis, on a 1.5 mm grid."""

from dataclasses import replace

import numpy as np

from models.recipes.generator.soft import roughen
from vfx_edge.phantom.body import make_body
from vfx_edge.phantom.bone import BoneTissue
from vfx_edge.phantom.canvas import F64, Canvas
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.lesion import Lesion, paint_mass
from vfx_edge.phantom.organs import paint_organs
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.pelvis import paint_pelvis
from vfx_edge.phantom.ribcage import paint_ribs, paint_sternum
from vfx_edge.phantom.sacrum import paint_sacrum
from vfx_edge.phantom.solids import Solid, bounds, ellipsoid, union
from vfx_edge.phantom.spec import PhantomSpec
from vfx_edge.phantom.table import paint_table
from vfx_edge.phantom.torso import Tissues, make_diaphragm, make_tissues, paint_lungs, paint_torso
from vfx_edge.phantom.upper import paint_arms, paint_girdle, paint_head
from vfx_edge.phantom.vertebra import paint_canal, paint_disc


def empty_canvas(spec: PhantomSpec, column: Column, outline: Outline) -> Canvas:
    """Air on the grid that the plan's levels and margins ask for."""
    first, last = column.get(spec.levels[0]), column.get(spec.levels[1])
    top = first.frame.centre_mm[2] + first.size.height_mm / 2 + spec.margin_mm[0]
    low = last.frame.centre_mm[2] - last.size.height_mm / 2 - spec.margin_mm[1]
    step = spec.spacing_mm
    z = low + np.arange(max(16, round(float(top - low) / step))) * step
    _, _, x0, y0 = outline.muscle.at(z)
    spine = np.array([v.frame.centre_mm for v in column.vertebrae])[::-1]
    at_x, at_y = (np.interp(z, spine[:, 2], spine[:, k]).mean() for k in (0, 1))
    # A small field is aimed at the spine, a large one at the patient.
    aim = float(np.clip((max(spec.matrix) * step - 220) / 100, 0, 1))
    x = _line(spec.matrix[1], step, aim * x0.mean() + (1 - aim) * at_x + spec.fov_shift_mm[0])
    y = _line(
        spec.matrix[0], step, aim * y0.mean() + (1 - aim) * (at_y + 15) + spec.fov_shift_mm[1]
    )
    return Canvas.empty(x, y, np.asarray(z, dtype=np.float64), step)


def _line(count: int, step_mm: float, middle_mm: float) -> F64:
    return np.asarray((np.arange(count) - (count - 1) / 2) * step_mm + middle_mm)


def paint_surroundings(
    canvas: Canvas,
    spec: PhantomSpec,
    column: Column,
    outline: Outline,
    tissue: BoneTissue,
    lesions: list[Lesion],
) -> None:
    """Everything but the vertebrae, from the outside in."""
    jitter = Jitter(stream(spec.seed, "soft"), spec.randomness)
    soft = make_tissues(jitter, spec.body_size)
    dome = make_diaphragm(column, outline, jitter)
    paint_table(canvas, outline, jitter)
    paint_arms(canvas, column, outline, soft, spec.arms)
    paint_torso(canvas, outline, column, soft, dome)
    _paint_throat(canvas, column, soft)
    paint_head(canvas, column, tissue, soft)
    paint_lungs(canvas, outline, column, soft, dome, jitter)
    paint_organs(canvas, column, outline, dome, soft, spec.contrast, spec.degeneration, jitter)
    for lesion in lesions:
        paint_mass(canvas, lesion)
    roughen(canvas.whole.hu, spec.spacing_mm, stream(spec.seed, "rough"))
    jitter = Jitter(stream(spec.seed, "skeleton"), spec.randomness)
    # Flat bones are mostly cortex: at this resolution they look filled.
    flat = replace(
        tissue,
        shell_mm=tissue.shell_mm * jitter.between(1.5, 3.2),
        spongy_hu=tissue.spongy_hu + jitter.between(30, 220),
    )
    paint_sternum(canvas, column, outline, tissue)
    paint_girdle(canvas, column, outline, flat, spec.arms)
    paint_pelvis(canvas, column, tissue)
    paint_ribs(canvas, column, outline, flat, jitter)
    _paint_discs(canvas, spec, column)
    paint_canal(canvas, column, jitter)
    paint_sacrum(canvas, column, tissue)


def _paint_throat(canvas: Canvas, column: Column, soft: Tissues) -> None:
    """Floor of the mouth: without it the jaw would hang in the air before the neck."""
    c3, c5 = column.anchor("C3"), column.anchor("C5")
    solids: list[Solid] = [
        ellipsoid(c3 + np.array([0.0, -46.0, 14.0]), (46.0, 44.0, 30.0)),
        ellipsoid(c5 + np.array([0.0, -28.0, 0.0]), (44.0, 30.0, 34.0)),
    ]
    low, high = bounds(solids)
    for patch in canvas.tiles(low - 8, high + 8):
        d = union(patch, solids, 12.0)
        patch.blend(patch.coverage(d, 6.0) * (patch.hu < -500), soft.fat_hu)
        patch.blend(patch.coverage(d), soft.muscle_hu)


def _paint_discs(canvas: Canvas, spec: PhantomSpec, column: Column) -> None:
    """Discs of 60 to 120 HU between the bodies; vacuum in worn ones."""
    jitter = Jitter(stream(spec.seed, "discs"), spec.randomness)
    base = jitter.between(60.0, 115.0)
    bodies = [
        make_body(v, spec.degeneration, 0.0, jitter, None) if v.level != "C1" else None
        for v in column.vertebrae
    ]
    for body, below in zip(bodies, [*bodies[1:], None], strict=True):
        hu, gas = base + jitter.shift(8.0), jitter.chance(0.25 * spec.degeneration)
        bulge = abs(jitter.shift(0.8)) + spec.degeneration * jitter.between(0, 2.0)
        if body is None:
            continue
        if below is None:
            point = column.sacrum[0].world(0, 0, 8.0)
        else:
            point = below.frame.world(0, 0.06 * below.half_depth_mm, 0.55 * below.half_height_mm)
        paint_disc(canvas, body, below, point, hu, gas, bulge)
