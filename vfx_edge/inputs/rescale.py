"""Slices whose header doesn't say what turns their numbers into Hounsfield units.

Where the other slices of the scan say it, a slice's neighbours show which rescale is meant: one
that is wrong by the usual 1024 leaves hardly a voxel as the next slice has it. What is not plain
is left out, and said.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.inputs.headers import Slice
from vfx_edge.inputs.modality import Modality
from vfx_edge.inputs.pixels import probe, read_into
from vfx_edge.inputs.stack import FEWEST_SLICES, Stack, sorted_stack

FAR, OTHER_SLOPE = 50.0, 0.1
"""An intercept this far from the usual one of its scan, or a slope that differs by this share, is
compared with the neighbours."""
CONTINUES, CLEARLY = 250.0, 0.4
"""Median difference to the next slice up to which one continues the other, and how much smaller
than with any other rescale it must be."""
DOUBTED = 100.0
"""Median difference up to which a rescale that is stated is believed whatever others would give:
neighbouring slices of one scan differ by less."""
LEFT_OUT_AT_MOST = 0.1
_STEP = 3
"""Every so many pixels are compared."""

Rescale = tuple[float, float]
"""(slope, intercept)"""
Sample = NDArray[np.int16]


class RescaleMissing(InputError):
    """Too many slices of which nobody knows what their numbers mean."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(
            f"{count} slice(s) state no rescale slope or intercept, or a wrong one, and their "
            f"neighbours don't show which is meant; the first is {name}: send the series again, "
            "with these attributes."
        )


def with_rescale(stack: Stack, modality: Modality) -> Stack:
    """The stack, each slice with the rescale that turns its numbers into the modality's unit."""
    if modality.rescale_types is None:
        return stack  # its numbers have no unit
    usual = _usual(stack)
    if usual is None:
        return _nowhere_stated(stack)
    doubtful = [i for i, s in enumerate(stack.slices) if _doubtful(s, usual)]
    if not doubtful:
        return stack
    mended = _mended(stack, usual, doubtful, modality)
    if probe(mended, modality):  # what most slices state may be what is wrong
        raise RescaleMissing(stack.slices[doubtful[0]].source.name, len(doubtful))
    return mended


def _usual(stack: Stack) -> Rescale | None:
    """The rescale that most slices state; None where none does."""
    counts = Counter(_rescale(s) for s in stack.slices if all(s.pixels.rescale_stated))
    return max(sorted(counts), key=lambda pair: counts[pair], default=None)


def _rescale(s: Slice) -> Rescale:
    return s.pixels.slope, s.pixels.intercept


def _doubtful(s: Slice, usual: Rescale) -> bool:
    if not all(s.pixels.rescale_stated):
        return _rescale(s) != usual
    slope, intercept = _rescale(s)
    return abs(intercept - usual[1]) > FAR or abs(slope / usual[0] - 1) > OTHER_SLOPE


def _nowhere_stated(stack: Stack) -> Stack:
    intercept = any(s.pixels.rescale_stated[1] for s in stack.slices)
    what = "slope" if intercept else "intercept"
    meant = (
        "it was taken as 1" if intercept else "the numbers look like Hounsfield units as they are"
    )
    return replace(stack, warnings=(*stack.warnings, f"No rescale {what} is stated: {meant}."))


def _mended(stack: Stack, usual: Rescale, doubtful: list[int], modality: Modality) -> Stack:
    slices = list(stack.slices)
    known = sorted(set(range(len(slices))) - set(doubtful))
    restored, unclear = 0, []
    for i in sorted(doubtful, key=lambda i: min((abs(i - k) for k in known), default=0)):
        nearest = min(
            known, key=lambda k: abs(stack.offsets_mm[i] - stack.offsets_mm[k]), default=i
        )
        settled = _settled(slices[i], slices[nearest], usual, modality)
        if settled is None:
            unclear.append(i)
            continue
        restored += _rescale(settled) != _rescale(slices[i])
        slices[i] = settled
        known.append(i)
    if len(unclear) > max(1, LEFT_OUT_AT_MOST * len(slices)):
        raise RescaleMissing(slices[min(unclear)].source.name, len(unclear))
    kept = tuple(s for i, s in enumerate(slices) if i not in unclear)
    if len(kept) < FEWEST_SLICES:
        raise RescaleMissing(slices[min(unclear)].source.name, len(unclear))
    return sorted_stack(kept, (*stack.warnings, *_said(restored, len(unclear))), stack.told_by)


def _said(restored: int, left_out: int) -> tuple[str, ...]:
    notes = []
    if restored:
        notes.append(
            f"{restored} slice(s) state no rescale slope or intercept, or a wrong one: that of the "
            "others was used, with which they continue their neighbours."
        )
    if left_out:
        notes.append(
            f"{left_out} slice(s) without a usable rescale slope and intercept were left out."
        )
    return tuple(notes)


def _settled(s: Slice, known: Slice, usual: Rescale, modality: Modality) -> Slice | None:
    """The slice with the rescale by which it continues `known`; None where that is not plain."""
    beside = _sample(known, modality)
    tried = {pair: _with(s, pair) for pair in (_rescale(s), usual, _rescale(known))}
    off = {
        pair: _difference(_sample(one, modality), beside, modality) for pair, one in tried.items()
    }
    own = off[_rescale(s)]
    # wrong by 200, it nearly continues; nearer than that, chance decides which comes closer
    better = own > DOUBTED and any(off[pair] <= CLEARLY * own for pair in off)
    if all(s.pixels.rescale_stated) and own <= CONTINUES and not better:
        return s
    best, *others = sorted(off, key=lambda pair: off[pair])
    plain = off[best] <= CONTINUES and all(off[best] <= CLEARLY * off[o] for o in others)
    return tried[best] if plain and others else None


def _with(s: Slice, pair: Rescale) -> Slice:
    return replace(s, pixels=replace(s.pixels, slope=pair[0], intercept=pair[1]))


def _sample(s: Slice, modality: Modality) -> Sample | None:
    place = np.empty((1, s.rows, s.columns), np.int16)
    failed = read_into([(s, place[0])], modality)
    return None if failed else place[0, ::_STEP, ::_STEP]


def _difference(a: Sample | None, b: Sample | None, modality: Modality) -> float:
    """Median over what is measured in both."""
    if a is None or b is None or a.shape != b.shape:
        return np.inf
    measured = (a > modality.lowest) & (b > modality.lowest)
    if np.count_nonzero(measured) < a.size // 20:
        return np.inf
    return float(np.median(np.abs(a[measured].astype(np.int32) - b[measured])))
