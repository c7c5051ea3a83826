"""Slices that were filed twice: the same pixels at the same place, whatever the file is called.

A UID is no proof of it: some anonymisers give every slice the same one. So the stored pixels are
compared, where a place is taken twice.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vfx_edge.inputs.bounded import DEFLATED
from vfx_edge.inputs.headers import UNCOMPRESSED, PixelElement, Slice
from vfx_edge.inputs.stack import Stack, sorted_stack

_NOWHERE = PixelElement("pixels", 0, 0)
Files = dict[Path, bytes]
"""Digests of compressed files: one of many frames is read once, not once a frame."""
DOUBLES_AT_MOST = 0.05
"""Share of a stack's places that may hold two different slices: more is another scan."""


def without_copies(slices: Iterable[Slice]) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """The slices without copies of the same object, and what is to be said about it."""
    listed = list(slices)
    taken: dict[object, list[Slice]] = {}
    for s in listed:
        taken.setdefault((s.sop_uid, s.position_mm, s.frame), []).append(s)
    files: Files = {}
    kept = [one for alike in taken.values() for one in _different(alike, files)]
    copies = len(listed) - len(kept)
    return tuple(kept), (f"{copies} slice(s) were there more than once.",) if copies else ()


def without_doubles(stack: Stack) -> Stack:
    """A stack that no attribute divides, with one slice at each place.

    Of slices with the same pixels one is kept. Where two differ, nobody knows which is right: both
    are left out, if there are few. Of many the stack stays as it is, and is refused.
    """
    if not stack.doubles:
        return stack
    kept: list[Slice] = []
    files: Files = {}
    same = differing = places = 0
    for alike in _by_place(stack):
        different = _different(alike, files)
        same += len(alike) - len(different)
        if len(different) == 1:
            kept += different
        else:
            differing += len(different)
            places += 1
    if places > max(1, DOUBLES_AT_MOST * len(stack.slices)) or not kept:
        return stack
    notes = list(stack.warnings)
    if same:
        notes.append(f"{same} slice(s) at the place of another one, with its pixels, were dropped.")
    if differing:
        notes.append(
            f"{differing} slice(s) that share {places} place(s) and differ, without an attribute "
            "that tells which belongs to the scan, were left out."
        )
    return sorted_stack(tuple(kept), tuple(notes), stack.told_by)


def _by_place(stack: Stack) -> list[list[Slice]]:
    places: list[list[Slice]] = []
    for s, shares in zip(stack.slices, (False, *stack.shares_place), strict=True):
        if shares:
            places[-1].append(s)
        else:
            places.append([s])
    return places


def _different(alike: list[Slice], files: Files) -> list[Slice]:
    """One of each that differ in their pixels or in what turns them into values."""
    if len(alike) == 1:
        return alike
    return list({_content(s, files): s for s in reversed(alike)}.values())[::-1]


def _content(s: Slice, files: Files) -> object:
    """What the slice shows, to be compared."""
    return replace(s.pixels, element=_NOWHERE), s.rows, s.columns, _digest(s, files)


def _digest(s: Slice, files: Files) -> object:
    """Of the stored pixels; of what can't be read, something that nothing else equals."""
    p = s.pixels
    native = p.syntax in UNCOMPRESSED - {DEFLATED}
    size = s.rows * s.columns * p.bits_allocated // 8
    if not native and s.source.path in files:
        return s.frame, files[s.source.path]
    try:
        with s.source.path.open("rb") as file:
            file.seek(p.element.offset + (s.frame or 0) * size if native else 0)
            if native:
                return hashlib.sha256(file.read(size)).digest()
            if p.syntax != DEFLATED:
                file.seek(p.element.offset)
            files[s.source.path] = hashlib.file_digest(file, "sha256").digest()
            return s.frame, files[s.source.path]
    except OSError:
        return id(s)
