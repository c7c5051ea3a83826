"""The body about the column: the phantom's torso, organs, ribs and pelvis, on a 1.5 mm grid."""

from dataclasses import replace

import numpy as np

from models.recipes.generator.soft import roughen
from vfx_edge.phantom.body import make_body
from vfx_edge.phantom.bone import BoneTissue
from vfx_edge.phantom.canvas import Canvas
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.field import across, z_range
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.lesion import Lesion, paint_mass
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.sacrum import paint_sacrum
from vfx_edge.phantom.solids import Solid, bounds, ellipsoid, union
from vfx_edge.phantom.spec import PhantomSpec
from vfx_edge.phantom.surroundings import paint_frame, paint_soft
from vfx_edge.phantom.torso import Tissues
from vfx_edge.phantom.vertebra import paint_canal, paint_discs


def empty_canvas(spec: PhantomSpec, column: Column, outline: Outline) -> Canvas:
    """Air on the grid that the plan's levels and margins ask for."""
    low, top = z_range(spec, column)
    step = spec.spacing_mm
    z = np.asarray(low + np.arange(max(16, round(float(top - low) / step))) * step)
    return Canvas.empty(*across(spec, column, outline, z, 15.0), z, step)


def paint_surroundings(
    canvas: Canvas,
    spec: PhantomSpec,
    column: Column,
    outline: Outline,
    tissue: BoneTissue,
    lesions: list[Lesion],
) -> None:
    """Everything but the vertebrae, from the outside in."""
    paint_soft(canvas, spec, column, outline, tissue, _paint_throat)
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
    paint_frame(canvas, spec, column, outline, tissue, flat, jitter)
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
    paint_discs(canvas, column, bodies, spec.degeneration, base, jitter)
