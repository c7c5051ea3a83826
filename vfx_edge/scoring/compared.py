"""Findings against the experts' vertebrae: whose is whose, and how alike the outlines are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.evaluation.matching import VERSE_MM, Comparison, Found, compare, nearest_place
from vfx_edge.evaluation.overlap import Likeness, likeness
from vfx_edge.image import Image
from vfx_edge.scoring.answers import Known, Seen
from vfx_edge.scoring.truth import Truth
from vfx_edge.study import Level

Labels = NDArray[np.uint8]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Compared:
    """The known vertebrae head to feet, and findings that are too many."""

    known: tuple[Known, ...]
    doubled: int = 0
    invented: int = 0


def compared(seen: Sequence[Seen], outlined: Labels | None, truth: Truth, image: Image) -> Compared:
    """outlined: (z, y, x) VerSe labels of the findings on the scan's grid, None where they are not
    known. What the scan's edge cuts, experts need not have drawn: where nothing known is near, it
    is not invented."""
    if not truth.places:
        return Compared(())
    at = {name: place.lps_mm for name, place in truth.places.items()}
    counts = [
        (i, Found(one.level, lps_mm, None))
        for i, one in enumerate(seen)
        if (lps_mm := one.lps_mm) is not None
        and (one.whole or nearest_place(lps_mm, at)[1] <= VERSE_MM)
    ]
    numbers, placed = [i for i, _ in counts], [one for _, one in counts]
    found = compare(placed, truth.places, tuple(truth.places))
    outlines = _Outlines(outlined, truth.labels, image)
    known = (
        _known(name, placed, numbers, found, truth, outlines)
        for name in sorted(truth.places, key=lambda name: Level(name).rank)
    )
    return Compared(tuple(known), found.counts.doubled, found.counts.invented)


def _known(
    name: str,
    placed: Sequence[Found],
    numbers: Sequence[int],
    found: Comparison,
    truth: Truth,
    outlines: "_Outlines",
) -> Known:
    place = truth.places[name]
    mine = found.finding_of.get(name)
    named = [_gap_mm(one, place.lps_mm) for one in placed if one.level == name]
    one = Known(
        level=name,
        whole=place.whole,
        finding=None if mine is None else numbers[mine],
        distance_mm=None if mine is None else _gap_mm(placed[mine], place.lps_mm),
        named_distance_mm=min(named, default=None),
        identified=name in found.identified,
    )
    return outlines.added(one, None if mine is None else placed[mine].level)


def _gap_mm(finding: Found, lps_mm: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(finding.lps_mm, lps_mm)))


class _Outlines:
    """Both label maps on one grid; each vertebra is looked for once in each."""

    def __init__(self, mine: Labels | None, true: Labels | None, image: Image) -> None:
        self._mine, self._true = mine, true
        self._spacing = tuple(float(v) for v in image.spacing_zyx_mm)
        self._boxes: tuple[Mapping[int, Box], Mapping[int, Box]] = (_boxes(mine), _boxes(true))

    def added(self, known: Known, called: str | None) -> Known:
        """With the figures of the outlines, where both are known and the vertebra is drawn."""
        label = Level(known.level).verse
        if self._mine is None or label not in self._boxes[1]:
            return known
        same = self._likeness(label, label)
        there = None if called is None else self._likeness(Level(called).verse, label)
        return replace(
            known,
            dice=same.dice,
            assd_mm=same.mean_mm,
            hd_mm=same.hausdorff_mm,
            hd95_mm=same.hausdorff95_mm,
            place_dice=None if there is None else there.dice,
        )

    def _likeness(self, mine: int, true: int) -> Likeness:
        if mine not in self._boxes[0]:
            return Likeness(0.0, None, None, None)
        assert self._mine is not None
        assert self._true is not None
        box = _around(self._boxes[0][mine], self._boxes[1][true])
        return likeness(self._mine[box] == mine, self._true[box] == true, self._spacing)


def _boxes(labels: Labels | None) -> dict[int, Box]:
    """Label -> the least box about it."""
    if labels is None:
        return {}
    found = ndimage.find_objects(labels)
    return {number: box for number, box in enumerate(found, 1) if box is not None}


def _around(one: Box, other: Box) -> Box:
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
