"""A person's word on the names: the whole column renamed, by so many levels or from one of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from vfx_edge.errors import InputError
from vfx_edge.spine.column import NEXT_MM
from vfx_edge.spine.name_check import body_span_mm, head_to_feet, out_of_order
from vfx_edge.study import Anchor, ByHand, Level, Shift, VertebraMask

DISC_MM = 12.0  # a place between two bodies still means the nearer one
MOST_BETWEEN = 3  # vertebrae that a hole in the column may hide


class ShiftLeavesSpine(InputError):
    """A name would move beyond C1 or L6."""

    def __init__(self, level: Level, asked: str) -> None:
        super().__init__(
            f"with {asked} the names would leave C1 to L6 (at {level}): shift by fewer levels, or "
            "name one vertebra with --anchor."
        )


class NoVertebraThere(InputError):
    """The anchor's place holds no vertebra."""

    def __init__(self, anchor: Anchor, lowest: float, highest: float) -> None:
        super().__init__(
            f"no vertebra was found at z = {anchor.z_mm:g} mm to be {anchor.level}: give the "
            f"height of a body's centre, between {round(lowest)} and {round(highest)} mm here."
        )


class NotInOrder(InputError):
    """Names that do not run from head to feet cannot be shifted."""

    def __init__(self) -> None:
        super().__init__(
            "the names do not run from head to feet, so a shift has no meaning: name one vertebra "
            "with --anchor, for example --anchor L5=Z_MM."
        )


def renamed(masks: Sequence[VertebraMask], by_hand: ByHand | None) -> tuple[VertebraMask, ...]:
    """The same masks under the names that the person gave, head to feet.

    Gaps stay gaps, and the column keeps its own T13 or want of a T12. ShiftLeavesSpine,
    NoVertebraThere, NotInOrder.
    """
    if by_hand is None or not masks:
        return tuple(masks)
    in_order = out_of_order(masks) is None
    column = list(masks) if in_order else head_to_feet(masks)
    own = _sequence(column if in_order else ())
    steps = [own.index(m.vertebra.level) for m in column] if in_order else _counted(column)
    if isinstance(by_hand, Shift):
        if not in_order:
            raise NotInOrder
        return _named(column, steps, own, by_hand.levels, f"--shift-levels {by_hand.levels}")
    wanted = _sequence(column if in_order else (), by_hand.level)
    by = wanted.index(by_hand.level) - steps[_anchored(column, by_hand)]
    return _named(column, steps, wanted, by, f"--anchor {by_hand.level}={by_hand.z_mm:g}")


def _sequence(column: Sequence[VertebraMask], also: Level | None = None) -> list[Level]:
    """The levels that this spine has: T13 only where one is named, T12 unless it has none."""
    place = {m.vertebra.level: m.vertebra.centroid_lps_mm for m in column}
    without = set() if Level.T13 in {*place, also} else {Level.T13}
    if Level.T12 not in {*place, also} and {Level.T11, Level.L1} <= set(place):
        gap = float(np.linalg.norm(np.subtract(place[Level.T11], place[Level.L1])))
        if gap < 1.5 * NEXT_MM[Level.T11]:
            without.add(Level.T12)
    return [level for level in Level if level not in without]


def _counted(column: Sequence[VertebraMask]) -> list[int]:
    """One by one from the top, whatever they are called; a hole counts as those it hides."""
    gaps = [
        float(np.linalg.norm(np.subtract(a.vertebra.centroid_lps_mm, b.vertebra.centroid_lps_mm)))
        for a, b in pairwise(column)
    ]
    usual = float(np.median(gaps)) if gaps else 1.0
    steps = [1 + min(int(gap / usual - 0.6), MOST_BETWEEN) for gap in gaps]
    return [0, *np.cumsum(steps, dtype=int).tolist()]


def _anchored(column: Sequence[VertebraMask], anchor: Anchor) -> int:
    """Number of the vertebra whose body holds the place; else the nearest, a disc away at most."""
    spans = [body_span_mm(mask) for mask in column]
    centres = [mask.vertebra.centroid_lps_mm[2] for mask in column]
    beyond = [max(low - anchor.z_mm, anchor.z_mm - high, 0.0) for low, high in spans]
    best = min(
        range(len(column)), key=lambda i: (round(beyond[i], 1), abs(centres[i] - anchor.z_mm))
    )
    if beyond[best] > DISC_MM:
        raise NoVertebraThere(anchor, min(centres), max(centres))
    return best


def _named(
    column: Sequence[VertebraMask], steps: list[int], sequence: list[Level], by: int, asked: str
) -> tuple[VertebraMask, ...]:
    out = []
    for mask, step in zip(column, steps, strict=True):
        if not 0 <= step + by < len(sequence):
            raise ShiftLeavesSpine(mask.vertebra.level, asked)
        vertebra = replace(
            mask.vertebra, level=sequence[step + by], label_probability=1.0, alternatives=()
        )
        out.append(replace(mask, vertebra=vertebra))
    return tuple(out)
