"""Findings against known vertebrae: found, mislabelled, doubled, invented, suspected.

A finding is one vertebra that the chain reports; a place is one that is known to be there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from vfx_edge.study import Analysis, Point

FOUND_MM = 10.0
VERSE_MM = 20.0  # VerSe's identification rate; farther from every vertebra a finding is invented
WITHIN_BODY = 0.6  # of the way to the next vertebra: past the annotated ends lies another one
THORACOLUMBAR = (*(f"T{i}" for i in range(1, 14)), *(f"L{i}" for i in range(1, 7)))
CERVICAL = tuple(f"C{i}" for i in range(2, 8))  # C1 has no body, so no centre to be near to


@dataclass(frozen=True)
class Found:
    """One finding. suspected: None where it could not be judged, for this reason."""

    level: str
    lps_mm: Point
    suspected: bool | None
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """One known vertebra. whole: its body lies wholly in view."""

    lps_mm: Point
    whole: bool


@dataclass(frozen=True)
class Counts:
    """Figures of one scan, or their sum over several.

    whole: vertebrae wholly in view; near: with a finding within 10 mm; near_20: within 20 mm;
    right: of `near`, those with the right level; identified: with a finding of their level within
    20 mm whose nearest vertebra they are (VerSe). doubled: findings beyond the first in one body
    or of one level; invented: farther than 20 mm from every vertebra. distance_mm: summed over
    `near_20`. judged: of `near_20`, those where the chain decides whether a fracture is suspected.
    """

    whole: int = 0
    near: int = 0
    near_20: int = 0
    right: int = 0
    identified: int = 0
    doubled: int = 0
    invented: int = 0
    distance_mm: float = 0.0
    judged: int = 0


@dataclass(frozen=True)
class Comparison:
    """Counts, whose finding is whose (vertebra -> number of its finding), and what went wrong.

    identified: every vertebra that is, whether it is scored and wholly in view or not.
    """

    counts: Counts
    finding_of: Mapping[str, int]
    errors: tuple[str, ...]
    identified: frozenset[str] = frozenset()


def findings_of(analysis: Analysis) -> list[Found]:
    """The findings of one analysis, head to feet."""
    return [
        Found(
            f.vertebra.level.value,
            f.vertebra.centroid_lps_mm,
            f.suspected_fracture,
            f.measurement.reason or "",
        )
        for f in analysis.result.findings
    ]


def total(parts: Iterable[Counts]) -> Counts:
    """Field by field."""
    every = list(parts)
    return Counts(**{f.name: sum(getattr(c, f.name) for c in every) for f in fields(Counts)})


def compare(
    findings: Sequence[Found], places: Mapping[str, Place], scored: Sequence[str] = THORACOLUMBAR
) -> Comparison:
    """Score the vertebrae of `scored` that are wholly in view; doubled and invented ones are
    counted over all findings and places."""
    hits, invented = _hits(findings, places)
    finding_of = {name: of[0][1] for name, of in hits.items()}
    whole = [n for n in places if n in scored and places[n].whole]
    near_20 = [n for n in whole if n in hits and hits[n][0][0] <= VERSE_MM]
    near = [n for n in near_20 if hits[n][0][0] <= FOUND_MM]
    right = [n for n in near if findings[finding_of[n]].level == n]
    identified = frozenset(
        n for n in hits if any(findings[i].level == n for d, i in hits[n] if d <= VERSE_MM)
    )
    twice = _doubled(findings, hits)
    errors = [
        *(f"{n} missed" for n in whole if n not in near),
        *(f"{n} called {findings[finding_of[n]].level}" for n in near if n not in right),
        *(f"{findings[i].level} doubled" for i in twice),
        *(f"{findings[i].level} invented" for i in invented),
    ]
    counts = Counts(
        len(whole), len(near), len(near_20), len(right), len(identified.intersection(near_20)),
        len(twice), len(invented), sum(hits[n][0][0] for n in near_20),
        sum(findings[finding_of[n]].suspected is not None for n in near_20),
    )  # fmt: skip
    return Comparison(counts, finding_of, tuple(errors), identified)


Hits = dict[str, list[tuple[float, int]]]


def _hits(findings: Sequence[Found], places: Mapping[str, Place]) -> tuple[Hits, list[int]]:
    """Vertebra -> (mm, number) of the findings within its body, nearest first; and the numbers of
    those that are near to none."""
    at = {name: place.lps_mm for name, place in places.items()}
    reach_mm = _reach_mm(at)
    hits: Hits = {}
    invented = []
    for i, finding in enumerate(findings):
        name, gap_mm = _own_cut_place(finding, places) or nearest_place(finding.lps_mm, at)
        if gap_mm > VERSE_MM:
            invented.append(i)
        elif gap_mm <= reach_mm[name]:
            hits.setdefault(name, []).append((gap_mm, i))
    return {n: sorted(of) for n, of in hits.items()}, invented


def nearest_place(
    lps_mm: Sequence[float], places: Mapping[str, Sequence[float]]
) -> tuple[str, float]:
    """Name of the nearest of the places (name -> LPS mm), and its distance in mm."""
    gaps = np.linalg.norm(np.array(list(places.values())) - np.array(lps_mm), axis=1)
    return list(places)[int(gaps.argmin())], float(gaps.min())


def _own_cut_place(finding: Found, places: Mapping[str, Place]) -> tuple[str, float] | None:
    """The place of the finding's own level, if near, where the scan cuts that vertebra: what is
    seen of it has its centre elsewhere, and may lie nearer to the neighbour's."""
    known = places.get(finding.level)
    if known is None or known.whole:
        return None
    name, gap_mm = nearest_place(finding.lps_mm, {finding.level: known.lps_mm})
    return (name, gap_mm) if gap_mm <= VERSE_MM else None


def _reach_mm(places: Mapping[str, Point]) -> dict[str, float]:
    """How far from its centre a finding still belongs to each vertebra."""
    at = np.array(list(places.values())).reshape(-1, 3)
    gaps = np.linalg.norm(at[:, None] - at[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    reach = np.minimum(WITHIN_BODY * gaps.min(1), VERSE_MM)
    return dict(zip(places, reach.tolist(), strict=True))


def _doubled(findings: Sequence[Found], hits: Hits) -> list[int]:
    """Numbers of the findings that share a body, or a level, with a better one."""
    twice = {i for of in hits.values() for _, i in of[1:]}
    seen: set[str] = set()
    for i, finding in enumerate(findings):
        if finding.level in seen:
            twice.add(i)
        seen.add(finding.level)
    return sorted(twice)
