"""Several scans under one series UID -> each by itself, told apart by what their headers say.

A file's name, its place in a folder and a frame's number are no evidence. Each way to divide a
stack is tried, and one counts only if every part is by itself a scan: one slice at each place, on
a grid.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import chain, combinations, pairwise

import numpy as np

from vfx_edge.inputs.headers import Slice
from vfx_edge.inputs.marks import INSTANCE, MARKS, NOT_STATED, Mark, Value
from vfx_edge.inputs.stack import (
    DRIFT_PIXELS,
    FEWEST_SLICES,
    SAME_PLACE_MM,
    Floats,
    Stack,
    sorted_stack,
)

SMALL_SHARE = 0.1
"""Share of the slices that may lie in parts of one or two slices."""
LONG = 0.5
"""A part of so much of the whole length is a scan rather than a piece of one."""
COMB = 1.5
"""Slices of a comb's part lie this much further from each other than those of the whole."""
MOST_OF_A_STEP = 0.75
MOST_COMBS = 12
AT_ONCE = 3
"""Attributes that are combined where one alone does not do."""
MOST_COMBINED = 12

Parts = list[Stack]
_IN_TIME = tuple(i for i, m in enumerate(MARKS) if m.in_time)
_ACQUIRED = tuple(i for i in _IN_TIME if MARKS[i].keyword.endswith(("DateTime", "AcquisitionTime")))
_ACQUIRED += tuple(i for i in _IN_TIME if MARKS[i].keyword == "TriggerTime")
_REPEATED_WORDS = {"ConvolutionKernel"}
"""Words that divide a comb, too, where every slice states one."""
_BLOCKS = {"ImageType", "FrameType", "ConvolutionKernel", "FrameOfReferenceUID", "SliceThickness"}
"""Words that divide what lies on no common grid, be it side by side."""


def told_apart(stack: Stack) -> Parts:
    """The scans in a stack, in the order of what tells them apart; [stack] where it is one, or
    where nothing tells."""
    if not stack.doubles and stack.on_grid:
        return _comb(stack) or [stack]
    if _contradicted(stack):
        return [stack]
    for strict in (True, False):
        for parts, joinable in _ways(stack, strict):
            return _joined(parts) if joinable else parts
    return [stack]


def _ways(stack: Stack, strict: bool) -> Iterator[tuple[Parts, bool]]:
    """Valid divisions, the best evidence first, and whether parts that overlap may be joined."""
    varying = _varying(stack)
    for i in varying:
        if _divides(stack, parts := _by(stack, (i,)), MARKS[i], strict):
            yield parts, MARKS[i].in_time
    for i in (i for i in varying if MARKS[i].in_time):
        if _one_after_another(stack, parts := _in_turn_of_time(stack, i), strict):
            yield parts, True
    if _valid(stack, parts := _by_origin(stack), strict) and _overlapping(parts):
        yield parts, True
    for several in _combined(varying):
        if _valid(stack, parts := _by(stack, several), strict) and _overlapping(parts):
            yield parts, False
    if _one_after_another(stack, parts := _by_number(stack), strict):
        yield parts, True
    if _valid(stack, parts := _counted_anew(stack), strict) and _overlapping(parts):
        yield parts, False
    for i in (i for i in _ACQUIRED if i in varying):
        if _valid(stack, parts := _place_by_place(stack, i), strict):
            yield parts, False


def _divides(stack: Stack, parts: Parts, mark: Mark, strict: bool) -> bool:
    """Whether the values of one mark make scans. Times and numbers of acquisition may make pieces
    of scans, too: there a long one is asked for."""
    if not _valid(stack, parts, strict):
        return False
    long = max(p.reach_mm for p in parts) >= LONG * stack.reach_mm
    return (long or not mark.in_time) and (_overlapping(parts) or mark.keyword in _BLOCKS)


def _combined(varying: list[int]) -> Iterator[tuple[int, ...]]:
    some = varying[:MOST_COMBINED]
    return chain.from_iterable(combinations(some, count) for count in range(2, AT_ONCE + 1))


def _comb(stack: Stack) -> Parts | None:
    """Scans whose slices lie evenly between each other's, as if they were one of half the
    distance."""
    varying = _varying(stack)
    for i in varying:
        mark = MARKS[i]
        words = mark.keyword in _REPEATED_WORDS
        if words and _one_spelling({s.marks[i] for s in stack.slices}):
            continue
        parts = _by(stack, (i,))
        any_word = not stack.even and all(p.even for p in parts)  # a word more spoils no distance
        if (mark.splits_combs or words or any_word) and _is_comb(stack, parts):
            return parts
    for i in (i for i in _ACQUIRED if i in varying):
        if _is_comb(stack, parts := _in_turn_of_time(stack, i)):
            return parts
    for parts in (_by_origin(stack), _counted_anew(stack), _by_number(stack)):
        if _is_comb(stack, parts):
            return parts
    return None


def _one_spelling(values: set[Value]) -> bool:
    """Whether one is not stated, or goes on where another ends, as "Br40d" and "Br40d 3" do."""
    listed = [text.replace("\\", " ").split() for _, _, text in values]
    return NOT_STATED in values or any(
        long[: len(short)] == short for short in listed for long in listed if short is not long
    )


def _is_comb(stack: Stack, parts: Parts) -> bool:
    if not (_valid(stack, parts, strict=True) and len(parts) <= MOST_COMBS):
        return False
    large = sorted((p for p in parts if len(p.slices) >= FEWEST_SLICES), key=lambda p: -p.reach_mm)
    if len(large) < 2:
        return False
    low = max(p.offsets_mm[0] for p in large[:2])
    high = min(p.offsets_mm[-1] for p in large[:2])
    inside = (stack.offsets_mm >= low) & (stack.offsets_mm <= high)
    if np.count_nonzero(inside) < 2 * FEWEST_SLICES:
        return False
    together = stack.offsets_mm[inside]
    mean = float(together[-1] - together[0]) / (len(together) - 1)
    apart = min(mean, float(np.median(np.diff(together))))  # nearer to one neighbour: uneven gaps
    return all(float(np.median(p.gaps_mm)) >= COMB * apart for p in large)


def _varying(stack: Stack) -> list[int]:
    """Marks of which the slices state several values, but not each its own."""
    seen = [{s.marks[i] for s in stack.slices} for i in range(len(MARKS))]
    return [
        i
        for i, values in enumerate(seen)
        if len(values) > 1 and (MARKS[i].in_time or len(values) <= len(stack.slices) // 2)
    ]


def _contradicted(stack: Stack) -> bool:
    """Whether two attributes divide the stack into scans, each in its own way."""
    found: list[list[frozenset[int]]] = []
    for i in _varying(stack):
        parts = _by(stack, (i,))
        if MARKS[i].splits_combs and _divides(stack, parts, MARKS[i], strict=True):
            found.append([frozenset(map(id, p.slices)) for p in parts])
    return any(not _finer(a, b) and not _finer(b, a) for a, b in combinations(found, 2))


def _finer(a: list[frozenset[int]], b: list[frozenset[int]]) -> bool:
    return all(any(mine <= its for its in b) for mine in a)


def _valid(stack: Stack, parts: Parts, strict: bool) -> bool:
    """Whether every part is a scan by itself; not strict: its slices may be unevenly spaced."""
    small = [p for p in parts if len(p.slices) < FEWEST_SLICES]
    few = _few(sum(len(p.slices) for p in small), stack)
    sound = all(not p.doubles and (p.on_grid if strict else p.plain) for p in parts)
    return len(parts) > 1 and few and sound


def _few(lost: int, stack: Stack) -> bool:
    """Whether so many slices may lie in parts that are no scans."""
    return lost <= max(1, SMALL_SHARE * len(stack.slices))


def _one_after_another(stack: Stack, parts: Parts, strict: bool) -> bool:
    """Whether parts that were begun anew wherever a place came again are whole scans."""
    most = max(Counter(_places(stack)).values())
    large = [p for p in parts if len(p.slices) >= FEWEST_SLICES]
    enough = len(large) <= max(2, most) if stack.doubles else len(large) <= MOST_COMBS
    return enough and _valid(stack, parts, strict) and _overlapping(parts)


def _by(stack: Stack, several: tuple[int, ...]) -> Parts:
    """Parts of the same values of some marks, in the order of these."""
    keys = [tuple(s.marks[i] for i in several) for s in stack.slices]
    return _parts(stack, keys, tuple(MARKS[i].keyword for i in several))


def _by_origin(stack: Stack) -> Parts:
    """By the first pixel's place within the plane."""
    pixel = min(stack.slices[0].pixel_spacing_mm or (1.0,)) * DRIFT_PIXELS
    across, down = (_clusters(values, pixel) for values in stack.drift_mm.T)
    keys = list(zip(across, down, strict=True))
    return _parts(stack, keys, ("ImagePositionPatient",))


def _by_number(stack: Stack) -> Parts:
    """By the order of recording, where every slice has a number of its own."""
    numbers = [s.instance for s in stack.slices]
    if None in numbers or len(set(numbers)) < len(numbers):
        return [stack]
    return _anew(stack, [(1, float(n or 0), "") for n in numbers], INSTANCE)


def _in_turn_of_time(stack: Stack, mark: int) -> Parts:
    values = [s.marks[mark] for s in stack.slices]
    return [stack] if NOT_STATED in values else _anew(stack, values, MARKS[mark].keyword)


def _anew(stack: Stack, values: list[Value], name: str) -> Parts:
    """A new scan begins where, in the order of the values, the table is back where it was."""
    blocks: dict[Value, list[int]] = {}
    for i, v in enumerate(values):
        blocks.setdefault(v, []).append(i)
    near = _near(stack, blocks)
    number, low, high = -1, np.inf, -np.inf
    label = [0] * len(values)
    for v in sorted(blocks):
        at = stack.offsets_mm[blocks[v]]
        begins, ends = float(at.min()), float(at.max())
        if number < 0 or (begins < high + near and ends > low - near):
            number, low, high = number + 1, begins, ends
        low, high = min(low, begins), max(high, ends)
        for i in blocks[v]:
            label[i] = number
    return _parts(stack, label, (name,))


def _near(stack: Stack, blocks: dict[Value, list[int]]) -> float:
    """Within how many mm the table counts as back: where each slice was recorded by itself, within
    most of a step, since the way back may begin between two places of the way there."""
    if len(blocks) < len(stack.slices):
        return SAME_PLACE_MM
    steps = np.abs(np.diff([stack.offsets_mm[blocks[v][0]] for v in sorted(blocks)]))
    return max(SAME_PLACE_MM, MOST_OF_A_STEP * float(np.median(steps)))


def _place_by_place(stack: Stack, mark: int) -> Parts:
    """Where each place was recorded several times before the table went on: the first of each,
    the second of each."""
    places = _places(stack)
    label = [0] * len(places)
    for place in set(places):
        mine = [i for i, p in enumerate(places) if p == place]
        values = [stack.slices[i].marks[mark] for i in mine]
        if NOT_STATED in values or len(set(values)) < len(values):
            return [stack]
        for rank, i in enumerate(sorted(mine, key=lambda i: stack.slices[i].marks[mark])):
            label[i] = rank
    return _parts(stack, label, (MARKS[mark].keyword,)) if _all_alike(places) else [stack]


def _counted_anew(stack: Stack) -> Parts:
    """Where every number occurs as often as every other: the first of each, the second of each."""
    numbers = [s.instance for s in stack.slices]
    often = set(Counter(numbers).values())
    if stack.doubles or None in numbers or len(often) > 1 or often == {1}:
        return [stack]
    seen: Counter[int | None] = Counter()
    label = []
    for n in numbers:
        label.append(seen[n])
        seen[n] += 1
    return _parts(stack, label, (INSTANCE,))


def _all_alike(places: list[int]) -> bool:
    return len(set(Counter(places).values())) == 1


def _places(stack: Stack) -> list[int]:
    """The number of each slice's place: slices at the same one share it."""
    return [0, *np.cumsum(stack.gaps_mm >= SAME_PLACE_MM).tolist()]


def _clusters(values: Floats, apart: float) -> list[int]:
    """Numbers of groups between which the values leave a gap."""
    order = np.argsort(values)
    groups = np.concatenate([[0], np.cumsum(np.diff(values[order]) > apart)])
    label = np.empty(len(values), int)
    label[order] = groups
    return list(map(int, label))


def _parts(stack: Stack, keys: Iterable[Hashable], names: tuple[str, ...]) -> Parts:
    parts: dict[Hashable, list[Slice]] = {}
    for key, slice_ in zip(keys, stack.slices, strict=True):
        parts.setdefault(key, []).append(slice_)
    if not _few(sum(len(p) for p in parts.values() if len(p) < FEWEST_SLICES), stack):
        return [stack]  # no division: times that differ in every slice would be hundreds of parts
    ordered = sorted(parts.items(), key=lambda item: item[0])  # type: ignore[arg-type,return-value]
    return [sorted_stack(tuple(part), stack.warnings, names) for _, part in ordered]


def _overlapping(parts: Parts) -> bool:
    """Whether any two parts cover some of the same range: else they are one stack in pieces."""
    ends = sorted((p.offsets_mm[0], p.offsets_mm[-1]) for p in parts)
    return any(b[0] < a[1] + SAME_PLACE_MM for a, b in pairwise(ends))


def _joined(parts: Parts) -> Parts:
    """Scans that overlap by less than half are joined where the second goes on alone."""
    first = max(parts, key=lambda p: len(p.slices))
    main, rest = first, []
    for part in (p for p in parts if p is not first):
        clear = main.step_mm / 2
        low, high = main.offsets_mm[0] - clear, main.offsets_mm[-1] + clear
        outside = (part.offsets_mm < low) | (part.offsets_mm > high)
        if outside.mean() < LONG or len(part.slices) < FEWEST_SLICES:
            rest.append(part)
            continue
        more = tuple(s for s, out in zip(part.slices, outside, strict=True) if out)
        note = (
            "Two scans that overlap share this series: they were joined at the overlap, of which "
            f"{len(part.slices) - len(more)} slice(s) were left out."
        )
        main = sorted_stack(main.slices + more, (*main.warnings, note), main.told_by)
    # in the order of what tells them apart; the joined one where its first part was
    return [main if p is first else p for p in parts if p is first or any(p is r for r in rest)]
