"""Slices that share a plane -> a stack: sorted along the normal, its gaps and drift known.

Positions are projected on the slice normal; names, instance numbers and slice locations are not
believed. A gantry tilt shows as a drift of the positions within the slice plane.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vfx_edge.inputs.headers import Slice

Floats = NDArray[np.float64]

FEWEST_SLICES = 3
SAME_PLACE_MM = 0.02
EVEN_MM, EVEN_SHARE = 0.06, 0.04
"""A stack is even when no slice lies further than this from its place on a regular grid."""
DRIFT_PIXELS = 0.25
"""In-plane drift over the whole stack below which it counts as straight."""
STEEPEST_TILT = 0.75
"""Drift per mm along the normal: gantries tilt by up to 30 degrees (0.58)."""
APART_MM = 40.0
"""A wider gap ends a stack: what lies beyond is another one."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices along one normal, in order.

    offsets_mm: (n,) along `normal`, rising. drift_mm: (n, 2) of each slice's first pixel within
    the plane, along the row and the column direction, against the first slice.
    """

    slices: tuple[Slice, ...]
    row: Floats
    column: Floats
    normal: Floats
    offsets_mm: Floats
    drift_mm: Floats
    warnings: tuple[str, ...] = ()

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
    def interleaved(self) -> bool:
        """Whether slices share a place, or narrow and wide gaps take turns: several scans."""
        if self.gaps_mm.min(initial=np.inf) < SAME_PLACE_MM:
            return True
        if len(self.slices) < 6:
            return False
        narrow, wide = np.percentile(self.gaps_mm, [10, 90])
        if narrow > 0.3 * wide:
            return False
        turns = np.diff(self.gaps_mm > (narrow + wide) / 2)
        return bool(np.count_nonzero(turns) > len(self.slices) / 3)

    @property
    def sheared(self) -> bool:
        """Whether the slices drift within their plane (gantry tilt)."""
        pixel = min(self.slices[0].pixel_spacing_mm or (1.0,))
        return bool(np.ptp(self.drift_mm, axis=0).max() > DRIFT_PIXELS * pixel)

    @property
    def tilt(self) -> float:
        """Drift per mm along the normal."""
        reach = float(self.offsets_mm[-1] - self.offsets_mm[0])
        return float(np.ptp(self.drift_mm, axis=0).max()) / reach if reach else 0.0

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


def stacked(slices: tuple[Slice, ...]) -> list[Stack]:
    """The stacks in slices of one series and geometry; usually one.

    Slices at the same place are split into scans (acquisition, origin, order of recording);
    gaps over APART_MM split too. What stays double is dropped with a warning.
    """
    whole = sorted_stack(*_one_of_each(slices))
    found: list[Stack] = []
    for part in _scans(whole):
        found.extend(_blocks(_without_doubles(part)))
    return found


def _one_of_each(slices: tuple[Slice, ...]) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """The same object filed twice is no scan of its own. Positions count: some anonymisers give
    every slice the same UID."""
    different = {(s.sop_uid or s.source.name, s.position_mm, s.frame): s for s in slices}
    copies = len(slices) - len(different)
    note = f"{copies} slice(s) were there more than once."
    return tuple(different.values()), (note,) if copies else ()


def sorted_stack(slices: tuple[Slice, ...], warnings: tuple[str, ...] = ()) -> Stack:
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
    )


def _scans(stack: Stack) -> list[Stack]:
    """Splits a stack that holds several slices at the same places, or a comb of two scans."""
    if stack.even and not _doubles(stack):
        return [stack]
    for key in (_by_acquisition, _by_origin, _by_run):
        parts = [sorted_stack(part, stack.warnings) for part in key(stack)]
        if 1 < len(parts) <= 12 and all(_regular(p) for p in parts) and _overlapping(parts):
            return _joined(parts)
    return [stack]


def _doubles(stack: Stack) -> bool:
    """Whether a fair share of the slices shares its place with another."""
    return bool((stack.gaps_mm < SAME_PLACE_MM).sum() >= max(2, len(stack.slices) // 8))


def _regular(stack: Stack) -> bool:
    return len(stack.slices) >= 3 and stack.even and stack.step_mm > SAME_PLACE_MM


def _by_acquisition(stack: Stack) -> list[tuple[Slice, ...]]:
    return _grouped(stack, [s.acquisition for s in stack.slices])


def _by_origin(stack: Stack) -> list[tuple[Slice, ...]]:
    return _grouped(stack, [tuple(np.round(d, 1)) for d in stack.drift_mm])


def _by_run(stack: Stack) -> list[tuple[Slice, ...]]:
    """In order of recording, a new scan begins where the table jumps back."""
    recorded = sorted(
        range(len(stack.slices)),
        key=lambda i: (stack.slices[i].instance or 0, stack.slices[i].source.name),
    )
    moves = np.diff(stack.offsets_mm[recorded])
    forward = np.median(moves) > 0
    run = np.concatenate([[0], np.cumsum((moves > 0) != forward)])
    if len(set(run)) > len(stack.slices) // 3:  # recorded place by place: one of each in turn
        seen: dict[float, int] = {}
        run = np.zeros(len(recorded), int)
        for at, i in enumerate(recorded):
            place = round(float(stack.offsets_mm[i]), 1)
            run[at] = seen[place] = seen.get(place, -1) + 1
    label = dict(zip(recorded, run.tolist(), strict=True))
    return _grouped(stack, [label[i] for i in range(len(stack.slices))])


def _grouped(stack: Stack, keys: list[object]) -> list[tuple[Slice, ...]]:
    parts: dict[object, list[Slice]] = {}
    for key, slice_ in zip(keys, stack.slices, strict=True):
        parts.setdefault(key, []).append(slice_)
    return [tuple(part) for part in parts.values()]


def _overlapping(parts: list[Stack]) -> bool:
    """Whether any two parts cover some of the same range: else they are one stack in pieces."""
    ends = sorted((p.offsets_mm[0], p.offsets_mm[-1]) for p in parts)
    return any(b[0] < a[1] for a, b in pairwise(ends))


def _joined(parts: list[Stack]) -> list[Stack]:
    """Scans that overlap by less than half are joined where the second goes on alone."""
    parts = sorted(parts, key=lambda p: -len(p.slices))
    main, rest = parts[0], []
    for part in parts[1:]:
        low, high = main.offsets_mm[0], main.offsets_mm[-1]
        clear = main.step_mm / 2
        outside = (part.offsets_mm < low - clear) | (part.offsets_mm > high + clear)
        if outside.mean() < 0.5:
            rest.append(part)
            continue
        more = tuple(s for s, out in zip(part.slices, outside, strict=True) if out)
        note = "Two scans that overlap share this series: they were joined at the overlap."
        main = sorted_stack(main.slices + more, (*main.warnings, note))
    return [main, *rest]


def _without_doubles(stack: Stack) -> Stack:
    keep = np.concatenate([[True], stack.gaps_mm >= SAME_PLACE_MM])
    dropped = int((~keep).sum())
    if not dropped:
        return stack
    if dropped > len(stack.slices) // 3:
        return stack  # `interleaved` says so
    note = f"{dropped} slice(s) at the place of another one were dropped."
    kept = tuple(s for s, k in zip(stack.slices, keep, strict=True) if k)
    return sorted_stack(kept, (*stack.warnings, note))


def _blocks(stack: Stack) -> list[Stack]:
    """The pieces between gaps that are too wide to bridge."""
    cuts = np.flatnonzero(stack.gaps_mm > max(APART_MM, 2.5 * stack.step_mm)) + 1
    if not len(cuts):
        return [stack]
    pieces = np.split(np.arange(len(stack.slices)), cuts)
    return [sorted_stack(tuple(stack.slices[i] for i in piece), stack.warnings) for piece in pieces]
