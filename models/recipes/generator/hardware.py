"""Metal: pedicle screws as the phantom has them, and wires about the breast bone."""

import numpy as np

from vfx_edge.phantom.canvas import Canvas
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.metal import paint_metal
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.solids import UP, chain, fill

WIRE_LEVELS = ("T4", "T5", "T6", "T7", "T8")
WIRE_HU = 5200.0


def paint_wires(canvas: Canvas, column: Column, outline: Outline, rng: np.random.Generator) -> None:
    """Rings of steel about the breast bone, as heart surgery leaves them."""
    for level in WIRE_LEVELS:
        z = float(column.anchor(level)[2] + rng.uniform(-4, 4))
        _, deep, x0, y0 = (float(v) for v in outline.ribs.at(np.array(z)))
        turn = np.linspace(0, 2 * np.pi, 15)
        ring = np.column_stack(
            [
                x0 + rng.uniform(11, 15) * np.sin(turn),
                y0 - deep + 1.0 + 8.0 * np.cos(turn),
                z + rng.uniform(-2, 2) * np.sin(turn),
            ]
        )
        rods = chain(ring, np.full((len(ring), 2), 0.6), np.tile(UP, (len(ring), 1)))
        fill(canvas, rods, WIRE_HU)


def paint_hardware(
    canvas: Canvas,
    column: Column,
    outline: Outline,
    screws: tuple[str, ...],
    wires: bool,
    rng: np.random.Generator,
) -> None:
    """Draw what a surgeon left."""
    paint_metal(canvas, column, screws)
    if wires:
        paint_wires(canvas, column, outline, rng)
