"""Slices of a study -> the stacks in it: what shares a series and a geometry, each scan by itself.

What only keeps books (frame of reference, image type, kernel, the last digits of a spacing) parts
nothing that completes each other on one grid.
"""

from dataclasses import replace

import numpy as np

from vfx_edge.inputs.copies import without_copies, without_doubles
from vfx_edge.inputs.headers import Slice
from vfx_edge.inputs.marks import MARKS
from vfx_edge.inputs.stack import FEWEST_SLICES, Stack, sorted_stack
from vfx_edge.inputs.told_apart import told_apart

APART_MM = 40.0
"""A wider gap ends a stack: what lies beyond is another one."""
SAME_SPACING = 2e-4
"""As a share: less than an eighth of a pixel over 512."""
SAME_COSINES = 2e-3

_BOOKS = ("FrameOfReferenceUID", "ImageType", "FrameType", "ConvolutionKernel")
"""What is said where it differs within one scan."""
_BOOK_MARKS = {i: m.keyword for i, m in enumerate(MARKS) if m.keyword in _BOOKS}


def stacks_of(slices: list[Slice]) -> list[Stack]:
    """Every stack in slices without a fault, whatever their order and their files' names."""
    ordered = sorted(slices, key=_content)
    by_series: dict[tuple[str, str], list[Slice]] = {}
    for s in ordered:
        by_series.setdefault((s.study_uid, s.series_uid), []).append(s)
    single = [s for mine in by_series.values() if len(mine) < FEWEST_SLICES for s in mine]
    found, joined = _across_series(single)
    for mine in by_series.values():
        rest = [s for s in mine if id(s) not in joined]
        for alike in _same_geometry(rest):
            found += _stacks(alike)
    return found


def _content(s: Slice) -> tuple[object, ...]:
    """An order that nobody's file names or folders have a part in."""
    return (s.study_uid, s.series_uid, s.position_mm, s.sop_uid, s.frame or 0, s.instance or 0,
            s.marks)  # fmt: skip


def _stacks(slices: list[Slice]) -> list[Stack]:
    """The stacks in slices of one geometry; usually one. Gaps over APART_MM part them, too."""
    whole = sorted_stack(*without_copies(slices))
    found: list[Stack] = []
    for part in told_apart(whole):
        found += _blocks(without_doubles(part))
    return [_with_books(s) for s in found]


def complete_each_other(a: Stack, b: Stack) -> bool:
    """Whether two stacks of one study lie on one grid, side by side or between each other, as the
    pieces of one scan do."""
    first, other = a.slices[0], b.slices[0]
    if first.study_uid != other.study_uid or not _alike(first, other):
        return False
    return _whole(sorted_stack(a.slices + b.slices))


def _across_series(slices: list[Slice]) -> tuple[list[Stack], set[int]]:
    """Slices of which each names a series of its own, where they make a scan together; and which
    they are."""
    found: list[Stack] = []
    studies: dict[str, list[Slice]] = {}
    for s in slices:
        studies.setdefault(s.study_uid, []).append(s)
    for mine in studies.values():
        for alike in _same_geometry(mine):
            if len({s.series_uid for s in alike}) >= FEWEST_SLICES:
                found += [s for s in _stacks(alike) if _whole(s)]
    return found, {id(s) for stack in found for s in stack.slices}


def _whole(stack: Stack) -> bool:
    return len(stack.slices) >= FEWEST_SLICES and not stack.doubles and stack.on_grid


def _same_geometry(slices: list[Slice]) -> list[list[Slice]]:
    """Slices of one size, spacing and orientation, but for what rounding does to them."""
    groups: list[list[Slice]] = []
    for s in slices:
        home = next((g for g in groups if _alike(g[0], s)), None)
        if home is None:
            groups.append([s])
        else:
            home.append(s)
    return groups


def _alike(a: Slice, b: Slice) -> bool:
    if (a.rows, a.columns) != (b.rows, b.columns):
        return False
    if a.pixel_spacing_mm != b.pixel_spacing_mm and not np.allclose(
        a.pixel_spacing_mm or (), b.pixel_spacing_mm or (), rtol=SAME_SPACING, atol=0
    ):
        return False
    if a.orientation == b.orientation:
        return True
    return bool(np.abs(np.subtract(a.orientation or (), b.orientation or ())).max() < SAME_COSINES)


def _blocks(stack: Stack) -> list[Stack]:
    """The pieces between gaps that are too wide to bridge."""
    cuts = np.flatnonzero(stack.gaps_mm > max(APART_MM, 2.5 * stack.step_mm)) + 1
    if not len(cuts):
        return [stack]
    pieces = np.split(np.arange(len(stack.slices)), cuts)
    return [
        sorted_stack(tuple(stack.slices[i] for i in piece), stack.warnings, stack.told_by)
        for piece in pieces
    ]


def _with_books(stack: Stack) -> Stack:
    """The stack, saying which attributes differ within it."""
    first = stack.slices[0]
    names = [
        n for i, n in _BOOK_MARKS.items() if any(s.marks[i] != first.marks[i] for s in stack.slices)
    ]
    if any(s.series_uid != first.series_uid for s in stack.slices):
        names.insert(0, "SeriesInstanceUID")
    if not names or len(stack.slices) < FEWEST_SLICES:
        return stack
    note = (
        f"Slices that complete each other differ in {', '.join(names)}: they were read as one scan."
    )
    return replace(stack, warnings=(*stack.warnings, note))
