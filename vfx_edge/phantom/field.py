"""Which part of a patient a scan shows: its lines of voxels, in patient millimetres."""

from __future__ import annotations

import numpy as np

from vfx_edge.phantom.canvas import F64
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.spec import PhantomSpec


def z_range(spec: PhantomSpec, column: Column) -> tuple[float, float]:
    """Lowest and highest place (S mm) that the spec's levels and margins ask for."""
    first, last = column.get(spec.levels[0]), column.get(spec.levels[1])
    top = first.frame.centre_mm[2] + first.size.height_mm / 2 + spec.margin_mm[0]
    low = last.frame.centre_mm[2] - last.size.height_mm / 2 - spec.margin_mm[1]
    return low, top


def across(
    spec: PhantomSpec, column: Column, outline: Outline, z_mm: F64, behind_mm: float
) -> tuple[F64, F64]:
    """Voxel centres along x and y for the slices at ``z_mm``.

    A small field is aimed at the spine, or so far behind it, a large one at the patient.
    """
    _, _, x0, y0 = outline.muscle.at(z_mm)
    spine = column.line_mm
    at_x, at_y = (np.interp(z_mm, spine[:, 2], spine[:, k]).mean() for k in (0, 1))
    aim = float(np.clip((max(spec.matrix) * spec.pixel_mm - 220) / 100, 0, 1))
    x = aim * x0.mean() + (1 - aim) * at_x + spec.fov_shift_mm[0]
    y = aim * y0.mean() + (1 - aim) * (at_y + behind_mm) + spec.fov_shift_mm[1]
    rows, columns = spec.matrix
    return _line(columns, spec.pixel_mm, float(x)), _line(rows, spec.pixel_mm, float(y))


def _line(count: int, step_mm: float, middle_mm: float) -> F64:
    """Centres of ``count`` voxels around ``middle_mm``."""
    return np.asarray((np.arange(count) - (count - 1) / 2) * step_mm + middle_mm)
