"""The patient table behind the back."""

from __future__ import annotations

import numpy as np

from vfx_edge.phantom.canvas import Canvas
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.outline import Outline


def paint_table(canvas: Canvas, outline: Outline, jitter: Jitter) -> None:
    """Draw a shallow trough: mattress, thin shell, light core."""
    low, high = outline.box()
    back = float(high[1]) + 4.0 + abs(jitter.shift(4.0))
    bend, thick = jitter.between(0.0, 1 / 1400), jitter.between(25.0, 60.0)
    half = jitter.between(190.0, 225.0)
    shell_hu = jitter.between(-150.0, 250.0)
    low, high = np.array([-half, back - 75.0, -2000.0]), np.array([half, back + thick + 5, 2000.0])
    for patch in canvas.tiles(low, high):
        top = back - np.float32(bend) * patch.x_mm**2
        deep = np.broadcast_to(patch.y_mm - top, patch.shape).astype(np.float32)
        patch.blend(patch.coverage(np.maximum(-3 - deep, deep)), -880.0)
        shell = np.minimum(np.abs(deep) - 1.0, np.abs(deep - np.float32(thick)) - 1.0)
        core = np.maximum(-deep, deep - np.float32(thick))
        patch.blend(patch.coverage(core), -960.0)
        patch.blend(patch.coverage(shell), shell_hu)
