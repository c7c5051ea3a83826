"""Slices that share a plane -> a stack: sorted along the normal, its gaps and drift known.

Positions are projected on the slice normal; names, instance numbers and slice locations are not
believed. A gantry tilt shows as a drift of the positions within the slice plane.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.inputs.headers import Slice

Floats = NDArray[np.float64]

FEWEST_SLICES = 3
SAME_PLACE_MM = 0.02
EVEN_MM, EVEN_SHARE = 0.06, 0.04
"""A stack is even when no slice lies further than this from its place on a regular grid."""
FULL_SHARE = 0.5
"""Of a grid's places, to be taken for one."""
DRIFT_PIXELS = 0.25
"""In-plane drift over the whole stack below which it counts as straight."""
STEEPEST_TILT = 0.75
"""Drift per mm along the normal: gantries tilt by up to 30 degrees (0.58)."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices along one normal, in order.

    offsets_mm: (n,) along `normal`, rising. drift_mm: (n, 2) of each slice's first pixel within
    the plane, along the row and the column direction, against the first slice. told_by: the
    attributes that tell it from other scans in its series; empty where it is the only one.
    """

    slices: tuple[Slice, ...]
    row: Floats
    column: Floats
    normal: Floats
    offsets_mm: Floats
    drift_mm: Floats
    warnings: tuple[str, ...] = ()
    told_by: tuple[str, ...] = ()

    @property
    def gaps_mm(self) -> Floats:
        """(n - 1,) between neighbouring slices."""
        return np.diff(self.offsets_mm)

    @property
    def step_mm(self) -> float:
        """The slice distance: the mean of an even stack, the median of an uneven one."""
        if len(self.slices) < 2:
            return 0.0
        mean = float(self.offsets_mm[-1] - self.offsets_mm[0]) / (len(self.slices) - 1)
        if self._residual_mm(mean) <= _tolerance(mean):
            return mean
        return float(np.median(self.gaps_mm))

    @property
    def even(self) -> bool:
        """Whether the slices lie on a regular grid."""
        return len(self.slices) < 3 or self._residual_mm(self.step_mm) <= _tolerance(self.step_mm)

    @property
    def on_grid(self) -> bool:
        """Whether the slices lie on a regular grid of which not too many places are empty."""
        if self.even or len(self.slices) < FEWEST_SLICES:
            return True
        step = float(np.median(self.gaps_mm))
        if step < SAME_PLACE_MM:
            return False
        at = np.concatenate([[0], np.cumsum(np.rint(self.gaps_mm / step))])
        slope, start = np.polyfit(at, self.offsets_mm, 1)
        off = np.abs(self.offsets_mm - slope * at - start).max()
        full = len(at) >= FULL_SHARE * (at[-1] + 1)
        return bool(full and off <= _tolerance(step) and np.diff(at).min() >= 1)

    @property
    def shares_place(self) -> list[bool]:
        """(n - 1,) whether each slice but the first lies where the one before does."""
        return [bool(gap < SAME_PLACE_MM) for gap in self.gaps_mm]

    @property
    def doubles(self) -> int:
        """Slices at the place of the one before."""
        return sum(self.shares_place)

    @property
    def plain(self) -> bool:
        """Whether nothing speaks against its being one scan."""
        if self.doubles or (self._two_distances and not self._lost_between):
            return False
        return self.on_grid or not self.interleaved

    @property
    def _two_distances(self) -> bool:
        """Whether two distances take turns, as between the slices of two scans."""
        odd, even = self.gaps_mm[::2], self.gaps_mm[1::2]
        if self.even or len(even) < FEWEST_SLICES:
            return False
        apart = abs(float(np.median(odd) - np.median(even)))
        spread = max(float(np.ptp(odd)), float(np.ptp(even)))
        return apart > _tolerance(self.step_mm) and spread < apart / 2

    @property
    def _lost_between(self) -> bool:
        """Whether the slices' numbers leave out as many as their places do."""
        numbers = [s.instance for s in self.slices]
        if None in numbers:
            return False
        counted = np.abs(np.diff([float(n or 0) for n in numbers]))
        per_slice = self.gaps_mm / np.maximum(counted, 1)
        return bool(counted.min() >= 1 and np.ptp(per_slice) <= 2 * _tolerance(self.step_mm))

    @property
    def reach_mm(self) -> float:
        """From the first slice to the last, along the normal."""
        return float(self.offsets_mm[-1] - self.offsets_mm[0])

    @property
    def interleaved(self) -> bool:
        """Whether slices share a place, or narrow and wide gaps take turns: several scans."""
        if self.gaps_mm.min(initial=np.inf) < SAME_PLACE_MM:
            return True
        if len(self.slices) < 6:
            return False
        narrow, wide = np.percentile(self.gaps_mm, [10, 90])
        turns = np.count_nonzero(np.diff(self.gaps_mm > (narrow + wide) / 2)) / len(self.slices)
        return bool(
            (narrow < 0.3 * wide and turns > 1 / 3) or (narrow < 0.75 * wide and turns > 0.8)
        )

    @property
    def sheared(self) -> bool:
        """Whether the slices drift within their plane (gantry tilt)."""
        pixel = min(self.slices[0].pixel_spacing_mm or (1.0,))
        return bool(np.ptp(self.drift_mm, axis=0).max() > DRIFT_PIXELS * pixel)

    @property
    def tilt(self) -> float:
        """Drift per mm along the normal."""
        drift = float(np.ptp(self.drift_mm, axis=0).max())
        return drift / self.reach_mm if self.reach_mm else 0.0

    @property
    def extent_mm(self) -> Floats:
        """Edge lengths of the box along (x, y, z) of the patient."""
        first = self.slices[0]
        rows_mm, columns_mm = first.pixel_spacing_mm or (0.0, 0.0)
        edges = (
            self.row * columns_mm * first.columns,
            self.column * rows_mm * first.rows,
            self.normal * (self.offsets_mm[-1] - self.offsets_mm[0] + self.step_mm),
        )
        return np.asarray(np.abs(edges).sum(axis=0))

    @property
    def plane(self) -> str:
        """axial, sagittal or coronal where the normal is within 45 degrees, else oblique."""
        share = np.abs(self.normal)
        names = ("sagittal", "coronal", "axial")
        return names[int(share.argmax())] if share.max() > 0.71 else "oblique"

    def _residual_mm(self, step: float) -> float:
        ideal = self.offsets_mm[0] + step * np.arange(len(self.slices))
        off = self.offsets_mm - ideal
        return float(np.abs(off - (off.max() + off.min()) / 2).max())


def _tolerance(step: float) -> float:
    return max(EVEN_MM, EVEN_SHARE * step)


def axes(orientation: tuple[float, ...]) -> tuple[Floats, Floats, Floats]:
    """Row direction (towards higher columns), column direction and normal, made orthonormal."""
    row = np.array(orientation[:3]) / np.linalg.norm(orientation[:3])
    column = np.array(orientation[3:]) - row * (row @ np.array(orientation[3:]))
    column /= np.linalg.norm(column)
    return row, column, np.cross(row, column)


def sorted_stack(
    slices: tuple[Slice, ...], warnings: tuple[str, ...] = (), told_by: tuple[str, ...] = ()
) -> Stack:
    """Slices of one orientation, by their place on the normal."""
    row, column, normal = axes(slices[0].orientation or ())
    places = np.array([s.position_mm for s in slices])
    order = np.argsort(places @ normal, kind="stable")
    places = places[order]
    drift = np.stack([places @ row, places @ column], axis=1)
    return Stack(
        slices=tuple(slices[i] for i in order),
        row=row,
        column=column,
        normal=normal,
        offsets_mm=places @ normal,
        drift_mm=drift - drift[0],
        warnings=warnings,
        told_by=told_by,
    )
