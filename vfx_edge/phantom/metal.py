"""Pedicle screws and the streaks they cast."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vfx_edge.phantom.canvas import F32, F64, Canvas
from vfx_edge.phantom.column import Column, Vertebra
from vfx_edge.phantom.solids import LEFT, SIDES, UP, Beam, beam, fill

_METAL_HU = 6500.0
_STREAK_FROM_HU = 3500.0


def _screw(vertebra: Vertebra, side: float) -> tuple[Beam, F64]:
    s, frame = vertebra.size, vertebra.frame
    at = s.canal_width_mm / 2 + s.pedicle_width_mm / 2
    b, up = s.depth_mm / 2, s.height_mm / 2 - s.pedicle_height_mm / 2
    head = frame.world(side * (at + 5.0), b + s.canal_depth_mm + 10.0, up)
    tip = frame.world(side * at * 0.55, -0.55 * b, up)
    radius = min(2.8, 0.42 * s.pedicle_width_mm)
    return beam(head, tip, (radius, radius), frame.left), head


def paint_metal(canvas: Canvas, column: Column, levels: Sequence[str]) -> None:
    """Draw screws at ``levels`` joined by a rod on each side."""
    if not levels:
        return
    chosen = [v for v in column.vertebrae if v.level in levels]
    for side in SIDES:
        screws = [_screw(v, side) for v in chosen]
        rods = [screw for screw, _ in screws]
        for (_, a), (_, b) in pairwise(screws):
            rods.append(beam(a, b, (2.9, 2.9), LEFT))
        rods += [beam(head - 3 * UP, head + 3 * UP, (5.5, 5.5), LEFT) for _, head in screws]
        fill(canvas, rods, _METAL_HU)


def streak_slice(hu: F32, pixel_mm: float, rng: np.random.Generator) -> None:
    """Add star streaks to one (y,x) slice in place, if it holds metal."""
    rows, columns = np.nonzero(hu > _STREAK_FROM_HU)
    if len(rows) == 0:
        return
    left = columns < np.median(columns) + 0.5
    y = np.arange(hu.shape[0], dtype=np.float32)[:, None]
    x = np.arange(hu.shape[1], dtype=np.float32)[None, :]
    for part in (left, ~left):
        if not part.any():
            continue
        dy, dx = y - rows[part].mean(), x - columns[part].mean()
        angle = np.arctan2(dy, dx)
        far = np.hypot(dy, dx) * np.float32(pixel_mm)
        star = np.zeros_like(hu)
        for k in rng.integers(3, 22, size=6):
            star += np.cos(k * angle + rng.uniform(0, 6.28)).astype(np.float32)
        strength = 90.0 * min(1.0, part.sum() * pixel_mm**2 / 40.0)
        hu += np.float32(strength) * star / (1 + far / 18.0) * (hu > -950)
