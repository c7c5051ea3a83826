"""Sacrum and tail bone, fused from segments along the column's lower end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vfx_edge.phantom.bone import BoneTissue, mark, paint_bone
from vfx_edge.phantom.canvas import Canvas, Part, smooth_max
from vfx_edge.phantom.column import Column, Frame
from vfx_edge.phantom.levels import SACRAL_HEIGHTS_MM
from vfx_edge.phantom.solids import SIDES, Beam, Solid, beam, bounds, ellipsoid, union
from vfx_edge.vocabulary import SACRUM

# Segments: half-width and half-depth of the body, reach of the wing, mm.
_SEGMENTS = (
    (25.0, 16.0, 52.0),
    (19.0, 12.0, 47.0),
    (15.5, 9.5, 38.0),
    (13.0, 8.0, 30.0),
    (11.0, 6.5, 20.0),
    (6.0, 4.5, 0.0),
)


def _sizes(i: int, scale: float) -> tuple[float, float, float, float]:
    """Half-width, half-depth, wing reach and half-height of segment ``i``, mm."""
    a, b, wing = _SEGMENTS[min(i, len(_SEGMENTS) - 1)]
    height = SACRAL_HEIGHTS_MM[min(i, len(_SEGMENTS) - 1)]
    return a * scale, b * scale, wing * scale, height / 2 * scale


def _bodies(frames: Sequence[Frame], scale: float) -> list[Solid]:
    made: list[Solid] = []
    for i, frame in enumerate(frames):
        a, b, _, h = _sizes(i, scale)
        wide, deep, _, _ = _sizes(i + 1, scale)
        foot = frames[i + 1].centre_mm if i + 1 < len(frames) else frame.world(0, 0, -h)
        top = frame.world(0, 0, h - 2.0 if i == 0 else h * 0.5)
        made.append(Beam(top, foot, frame.left, (a, b), (wide, deep), 2.0))
    return made


def _wing(frame: Frame, below: Frame, i: int, side: float, scale: float) -> list[Solid]:
    """One side of a segment: wing, joint pillar and half of the roof."""
    a, b, reach, h = _sizes(i, scale)
    far, back = side * reach, b + 14 - 2 * i
    root, tip = frame.world(side * a * 0.6, 3.0, 0.0), frame.world(far, 10.0 - 1.5 * i, -5.0)
    pillar = frame.world(far * 0.55, back, 0), below.world(far * 0.5, back - 3, 0)
    roof = frame.world(far * 0.45, back + 1, -2), frame.world(0, back + 5 - i, -4)
    return [
        Beam(root, tip, frame.up, (h * 1.1, b * 0.9), (h * 0.95, 7.5), 4.0),
        Beam(*pillar, frame.left, (9.0, 4.0), (8.0, 3.5), 4.0),
        beam(*roof, (h * 0.75, 3.2), frame.up),
    ]


def _crest(frame: Frame, i: int, scale: float) -> Solid:
    _, b, _, h = _sizes(i, scale)
    ends = frame.world(0, b + 17 - 3 * i, 0), frame.world(0, b + 23 - 3.5 * i, -6)
    return beam(*ends, (h * 0.8, 2.6), frame.up)


def _bone(frames: Sequence[Frame], scale: float) -> list[Solid]:
    made = _bodies(frames, scale)
    for i, (frame, below) in enumerate(pairwise(frames[:5])):
        made += [s for side in SIDES for s in _wing(frame, below, i, side, scale)]
        made.append(_crest(frame, i, scale))
    return made


def _foramina(frame: Frame, i: int, scale: float) -> list[Solid]:
    a, b, _, h = _sizes(i, scale)
    wide = _sizes(i + 1, scale)[0]
    radii = (4.6 - 0.4 * i, 4.2 - 0.4 * i)
    made: list[Solid] = []
    for side in SIDES:
        at = side * (a + wide) * 0.52
        front, rear = frame.world(at, -b - 4, -h - 1), frame.world(at * 1.05, b + 26, -h - 3)
        made.append(beam(front, rear, radii, frame.left))
    return made


def _holes(frames: Sequence[Frame], scale: float) -> list[Solid]:
    """Nerve openings, canal and the remains of the sacral discs."""
    made = [hole for i, f in enumerate(frames[:4]) for hole in _foramina(f, i, scale)]
    for i, (frame, below) in enumerate(pairwise(frames[:4])):
        a, b, _, _ = _sizes(i + 1, scale)
        middle = 0.5 * (frame.centre_mm + below.centre_mm)
        made.append(ellipsoid(middle, (0.7 * a, 0.75 * b, 1.7 - 0.4 * i), frame.axes))
    path = [frames[0].world(0, 22.0, 30.0)]
    path += [f.world(0, 18.5 - 2.2 * i, 0) for i, f in enumerate(frames[:4])]
    for i, (start, end) in enumerate(pairwise(path)):
        made.append(beam(start, end, (13.0 - 1.8 * i, 7.0 - 0.9 * i), frames[0].left))
    return made


def paint_sacrum(canvas: Canvas, column: Column, tissue: BoneTissue) -> None:
    """Draw S1 to the coccyx as one bone, label 26."""
    bone, holes = _bone(column.sacrum, column.scale), _holes(column.sacrum, column.scale)
    for patch in canvas.tiles(*bounds(bone)):
        d = union(patch, bone, 3.0)
        if float(d.min()) > patch.edge_mm:
            continue
        d = smooth_max(d, -union(patch, holes, 1.0), 1.0)
        spongy = tissue.texture(patch)
        # The wings hold mostly fatty marrow.
        aside = np.abs(patch.x_mm - column.sacrum[0].centre_mm[0]) - 18
        spongy *= (1 - 0.45 * np.clip(aside / 20, 0, 1)).astype(np.float32)
        paint_bone(patch, d, spongy, tissue.shell_mm, 0.85 * tissue.cortex_hu)
        mark(patch, d, Part.SACRUM, SACRUM)
