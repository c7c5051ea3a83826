"""The body about the column, from the outside in."""

from __future__ import annotations

from collections.abc import Callable

from vfx_edge.phantom.bone import BoneTissue
from vfx_edge.phantom.canvas import Canvas
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.organs import paint_organs
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.pelvis import paint_pelvis
from vfx_edge.phantom.ribcage import paint_ribs, paint_sternum
from vfx_edge.phantom.spec import PhantomSpec
from vfx_edge.phantom.table import paint_table
from vfx_edge.phantom.torso import Tissues, make_diaphragm, make_tissues, paint_lungs, paint_torso
from vfx_edge.phantom.upper import paint_arms, paint_girdle, paint_head


def paint_soft(
    canvas: Canvas,
    spec: PhantomSpec,
    column: Column,
    outline: Outline,
    bone: BoneTissue,
    paint_throat: Callable[[Canvas, Column, Tissues], None] | None = None,
) -> None:
    """Draw table, flesh, head and organs; ``paint_throat`` adds to the neck before the head."""
    jitter = Jitter(stream(spec.seed, "soft"), spec.randomness)
    soft = make_tissues(jitter, spec.body_size)
    dome = make_diaphragm(column, outline, jitter)
    paint_table(canvas, outline, jitter)
    paint_arms(canvas, column, outline, soft, spec.arms)
    paint_torso(canvas, outline, column, soft, dome)
    if paint_throat is not None:
        paint_throat(canvas, column, soft)
    paint_head(canvas, column, bone, soft)
    paint_lungs(canvas, outline, column, soft, dome, jitter)
    paint_organs(canvas, column, outline, dome, soft, spec.contrast, spec.degeneration, jitter)


def paint_frame(
    canvas: Canvas,
    spec: PhantomSpec,
    column: Column,
    outline: Outline,
    tissue: BoneTissue,
    flat: BoneTissue,
    jitter: Jitter,
) -> None:
    """Draw the skeleton about the spine; ``flat`` is the tissue of girdle and ribs."""
    paint_sternum(canvas, column, outline, tissue)
    paint_girdle(canvas, column, outline, flat, spec.arms)
    paint_pelvis(canvas, column, tissue)
    paint_ribs(canvas, column, outline, flat, jitter)
