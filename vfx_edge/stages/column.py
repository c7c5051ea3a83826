"""The whole column named at once: which candidates are vertebrae, and of which level.

A chain over candidates from head to feet. Each has evidence for every level (from the network);
neighbours in the chain must be neighbouring levels, at a distance that suits them. So one badly
seen vertebra cannot shift the rest. T13, L6 and a missing T12 are possible, at a price.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.study import Level

Array = NDArray[np.float64]

# Median distance from each level's centre to the next below, mm: 113 VerSe'20 cases.
_NEXT_MM: dict[Level, float] = dict(
    zip(
        [level for level in Level if level not in (Level.T13, Level.L6)],
        [
            17.0,
            18.5,
            16.2,
            16.1,
            16.3,
            17.6,
            18.8,
            20.9,
            21.9,
            22.2,
            22.5,
            23.0,
            23.6,
            24.2,
            24.8,
            25.4,
            27.4,
            29.7,
            32.4,
            33.5,
            34.2,
            33.9,
            31.4,
            31.4,
        ],
        strict=True,
    )
)
_NEXT_MM[Level.T13] = 32.4
_NEXT_MM[Level.L6] = 31.4

SCALES = np.exp(np.linspace(np.log(0.74), np.log(1.26), 15))  # patients' statures
DISTANCE_SIGMA = 0.11  # of the expected distance, beyond 2 mm
MISSED_COST = 3.5  # for each vertebra that must have been overlooked between two
MAX_MISSED = 2
T13_COST, L6_COST, NO_T12_COST = 4.0, 3.0, 4.5
EVIDENCE_FLOOR = 0.01
EVIDENCE_WEIGHT = 0.5  # neighbours are looked at through overlapping crops: half a vote each
LEVELS = tuple(Level)
_INDEX = {level: i for i, level in enumerate(LEVELS)}


@dataclass(frozen=True, eq=False)
class Candidates:
    """Possible vertebrae from head to feet.

    centres_lps_mm (n, 3); score (n,) 0..1; evidence (n, len(LEVELS)) probabilities.
    """

    centres_lps_mm: Array
    score: Array
    evidence: Array


@dataclass(frozen=True)
class Named:
    """Candidate number `index` is `level`; probability is the chain's marginal."""

    index: int
    level: Level
    probability: float


def level_evidence(classes: Array, names: Sequence[str]) -> Array:
    """(…, classes) probabilities -> (…, len(LEVELS)), each row summing to 1.

    Classes that name no level are left out; without any level among them, all are alike.
    Transitional vertebrae that a network was not taught look like their neighbours.
    """
    column = {name: i for i, name in enumerate(names)}
    out = np.full((*classes.shape[:-1], len(LEVELS)), 1e-9)
    for i, level in enumerate(LEVELS):
        alike = {"T13": ("T12", "L1"), "L6": ("L5",)}.get(level.value, ())
        known = [
            column[n] for n in ((level.value,) if level.value in column else alike) if n in column
        ]
        if known:
            out[..., i] += classes[..., known].mean(-1)
    return np.asarray(out / out.sum(-1, keepdims=True))


def _successors() -> list[tuple[int, int, float, float]]:
    """(from level, to level, expected mm, cost) for all allowed neighbours in the chain."""
    steps: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(LEVELS))}
    for level, nxt in itertools.pairwise(LEVELS):
        steps[_INDEX[level]].append((_INDEX[nxt], 0.0))
    # the plain spine has no T13, and L6 only where it is paid for
    steps[_INDEX[Level.T12]] = [(_INDEX[Level.L1], 0.0), (_INDEX[Level.T13], T13_COST)]
    steps[_INDEX[Level.T11]].append((_INDEX[Level.L1], NO_T12_COST))
    steps[_INDEX[Level.L5]] = [(_INDEX[Level.L6], L6_COST)]
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for start in range(len(LEVELS)):
        reach = [(start, 0.0, 0.0)]
        for missed in range(MAX_MISSED + 1):
            reach = [
                (after, mm + _NEXT_MM[LEVELS[at]], cost + price)
                for at, mm, cost in reach
                for after, price in steps[at]
            ]
            for after, mm, cost in reach:
                total = cost + missed * MISSED_COST
                if total < found.get((start, after), (0.0, np.inf))[1]:
                    found[start, after] = (mm, total)
    return [(a, b, mm, cost) for (a, b), (mm, cost) in found.items()]


_SUCCESSORS = _successors()
_FROM = np.array([s[0] for s in _SUCCESSORS])
_TO = np.array([s[1] for s in _SUCCESSORS])
_MM = np.array([s[2] for s in _SUCCESSORS])
_COST = np.array([s[3] for s in _SUCCESSORS])


def _unary(candidates: Candidates) -> Array:
    """(n, levels) log evidence plus what including the candidate is worth."""
    mixed = (1 - EVIDENCE_FLOOR) * candidates.evidence + EVIDENCE_FLOOR / len(LEVELS)
    worth = 2.0 * np.log(np.clip(candidates.score, 1e-3, 1) / 0.2)
    told = EVIDENCE_WEIGHT * (np.log(mixed) - np.log(1 / len(LEVELS)))
    return np.asarray(told + worth[:, None])


def _links(distance_mm: float, scale: float) -> Array:
    """(levels, levels) log weight of two candidates at this distance being neighbours."""
    expected = _MM * scale
    sigma = DISTANCE_SIGMA * expected + 2.0
    out = np.full((len(LEVELS), len(LEVELS)), -np.inf)
    out[_FROM, _TO] = -0.5 * ((distance_mm - expected) / sigma) ** 2 - _COST
    return out


def _logsumexp(values: Array, axis: int) -> Array:
    top = values.max(axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(values - top).sum(axis)) + top.squeeze(axis))


def _chain(
    unary: Array, links: dict[tuple[int, int], Array]
) -> tuple[float, list[tuple[int, int]]]:
    """Best chain: (score, [(candidate, level), …])."""
    n = len(unary)
    best = unary.copy()
    back: dict[tuple[int, int], tuple[int, int]] = {}
    for k in range(n):
        for j in range(k):
            if (j, k) not in links:
                continue
            through = best[j][:, None] + links[j, k] + unary[k][None]
            source = through.argmax(0)
            value = through.max(0)
            for level in np.flatnonzero(value > best[k]):
                best[k, level] = value[level]
                back[k, int(level)] = (j, int(source[level]))
    end = np.unravel_index(int(best.argmax()), best.shape)
    path = [(int(end[0]), int(end[1]))]
    while path[-1] in back:
        path.append(back[path[-1]])
    return float(best.max()), path[::-1]


def _marginals(unary: Array, links: dict[tuple[int, int], Array], members: list[int]) -> Array:
    """(members, levels): posterior of each member's level, the membership being given."""
    pairs = list(itertools.pairwise(members))
    forward = [unary[members[0]]]
    for a, b in pairs:
        forward.append(unary[b] + _logsumexp(forward[-1][:, None] + links[a, b], 0))
    backward = [np.zeros(len(LEVELS))]
    for a, b in reversed(pairs):
        backward.append(_logsumexp(links[a, b] + (unary[b] + backward[-1])[None], 1))
    joint = np.array(forward) + np.array(backward[::-1])
    return np.asarray(np.exp(joint - _logsumexp(joint, 1)[:, None]))


def name_column(candidates: Candidates) -> list[Named]:
    """The likeliest chain of vertebrae, head to feet; empty when there is none."""
    n = len(candidates.score)
    if n == 0:
        return []
    unary = _unary(candidates)
    best: tuple[float, list[tuple[int, int]], dict[tuple[int, int], Array]] | None = None
    gaps = np.linalg.norm(
        candidates.centres_lps_mm[:, None] - candidates.centres_lps_mm[None], axis=-1
    )
    for scale in SCALES:
        prior = -0.5 * (np.log(scale) / 0.13) ** 2
        links = {
            (j, k): _links(float(gaps[j, k]), float(scale))
            for k in range(n)
            for j in range(k)
            if gaps[j, k] < 125
        }
        score, path = _chain(unary, links)
        if best is None or score + prior > best[0]:
            best = (score + prior, path, links)
    assert best is not None
    _, path, links = best
    members = [k for k, _ in path]
    posterior = _marginals(unary, links, members)
    return [
        Named(k, LEVELS[level], float(posterior[i, level])) for i, (k, level) in enumerate(path)
    ]
