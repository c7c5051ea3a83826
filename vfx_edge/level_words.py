"""Levels in a few words: "T2–T11", "T12 or L1"."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from vfx_edge.study import Level
from vfx_edge.vocabulary import PLAIN

MOST_NAMED = 6
"""More levels than this are named as ranges."""
_NEIGHBOURS = {*pairwise(PLAIN), *pairwise(Level)}
"""T12 and L1 follow each other unless there is a T13."""

Others = Mapping[str, Sequence[str]]
"""Level -> the other names that its vertebra could as well have."""


def level_ranges(levels: Sequence[str]) -> str:
    """C3, C4, C5, T2 -> "C3–C5, T2"."""
    runs: list[list[str]] = []
    for level in levels:
        if runs and (runs[-1][-1], level) in _NEIGHBOURS:
            runs[-1].append(level)
        else:
            runs.append([level])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def with_alternatives(level: str, others: Sequence[str], or_: str = "or") -> str:
    """ "T12 or L1"."""
    return f" {or_} ".join([level, *others])


def as_ranges(levels: Sequence[str], others: Others, or_: str = "or") -> str:
    """Any number of levels as ranges; where names are in doubt, the other naming of them all:
    "T2–T11 (or T3–T12)"."""
    if not any(others.get(level) for level in levels):
        return level_ranges(levels)
    likeliest = [next(iter(others.get(level, ())), level) for level in levels]
    return f"{level_ranges(levels)} ({or_} {level_ranges(likeliest)})"


def one_by_one(levels: Sequence[str], others: Others, or_: str = "or") -> list[str]:
    """A few levels one by one, "T12 (or L1)"; many as one item."""
    if len(levels) > MOST_NAMED:
        return [as_ranges(levels, others, or_)]
    return [
        f"{level} ({or_} {f' {or_} '.join(others[level])})" if others.get(level) else level
        for level in levels
    ]


def grouped_by_reason(unread: Iterable[tuple[str, str]], worded: Callable[[str, str], str]) -> str:
    """What could not be read, a clause a reason; worded(levels, reason): the clause."""
    groups: dict[str, list[str]] = {}
    for level, reason in unread:
        groups.setdefault(reason, []).append(level)
    return "; ".join(worded(level_ranges(levels), reason) for reason, levels in groups.items())
