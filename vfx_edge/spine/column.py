"""The whole column named at once: which candidates are vertebrae, and of which level.

A chain over candidates from head to feet. Each has evidence for every level (from the network);
neighbours in the chain must be neighbouring levels, at a distance that suits them. So one badly
seen vertebra cannot shift the rest. T13, L6 and a missing T12 are possible, at a price.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vfx_edge.study import Level
from vfx_edge.vocabulary import PLAIN

Array = NDArray[np.float64]

# Median distance from each level's centre to the next below, mm: 113 VerSe'20 cases.
NEXT_MM: dict[Level, float] = dict(
    zip(
        PLAIN,
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
NEXT_MM[Level.T13] = 32.4
NEXT_MM[Level.L6] = 31.4

SCALES = np.exp(np.linspace(np.log(0.74), np.log(1.26), 15))  # patients' statures
STATURE_SIGMA = 0.13
MAX_GAP_MM = 125.0
DISTANCE_SIGMA = 0.11  # of the expected distance, beyond 2 mm
MISSED_COST = 3.5  # for each vertebra that must have been overlooked between two
MAX_MISSED = 2
T13_COST, L6_COST, NO_T12_COST = 4.0, 3.0, 4.5
EVIDENCE_FLOOR = 0.01
RIB_DOUBT = 0.03  # a rib can be short, or cut off by the field of view
WITHIN = 0.9  # the names that are shown hold this share of the probability
LEVELS = tuple(Level)
_INDEX = {level: i for i, level in enumerate(LEVELS)}


@dataclass(frozen=True, eq=False)
class Candidates:
    """Possible vertebrae from head to feet.

    centres_lps_mm (n, 3); score (n,) 0..1; evidence (n, len(LEVELS)) probabilities; rib (n,):
    probability that it carries a rib, where the labeller tells; seen (n,): 0..1, how much of it
    the scan shows, where that is known.
    """

    centres_lps_mm: Array
    score: Array
    evidence: Array
    rib: Array | None = None
    seen: Array | None = None


@dataclass(frozen=True)
class Weights:
    """What a look counts for. Looks at neighbours overlap, and a column's errors go the same way:
    n looks count as n ** (1 - overlap) independent ones, with a vote of their own for the level
    and for the rib."""

    evidence: float
    rib: float
    overlap: float

    def of(self, looks: int) -> float:
        """What each of so many looks counts for."""
        return float(max(looks, 1) ** -self.overlap)


@dataclass(frozen=True)
class Named:
    """Candidate number `index` is `level`; probability is the chain's marginal. alternatives:
    other names it could as well have, likeliest first. fit: the column's, as of `_chain`."""

    index: int
    level: Level
    probability: float
    alternatives: tuple[tuple[Level, float], ...] = ()
    fit: float | None = None


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


def rib_evidence(rib: Array) -> Array:
    """(n,) probabilities that a vertebra carries a rib -> (n, len(LEVELS)) likelihoods: a rib, or
    none, tells T1 to T13 from all others."""
    likely = np.clip(rib, RIB_DOUBT, 1 - RIB_DOUBT)[:, None]
    bears = np.array([Level.T1 <= level <= Level.T13 for level in LEVELS])
    return np.where(bears, likely, 1 - likely)


def _successors() -> list[tuple[int, int, float, float]]:
    """(from level, to level, expected mm, cost) for all allowed neighbours in the chain."""
    steps: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(LEVELS))}
    for level, nxt in itertools.pairwise(LEVELS):
        steps[_INDEX[level]].append((_INDEX[nxt], 0.0))
    # the plain spine has no T13, and L6 only where it is paid for
    steps[_INDEX[Level.T12]] = [(_INDEX[Level.L1], 0.0), (_INDEX[Level.T13], T13_COST)]
    steps[_INDEX[Level.T11]].append((_INDEX[Level.L1], NO_T12_COST))
    steps[_INDEX[Level.L5]] = [(_INDEX[Level.L6], L6_COST)]
    found: dict[tuple[int, int, float], float] = {}
    for start in range(len(LEVELS)):
        reach = [(start, 0.0, 0.0)]
        for missed in range(MAX_MISSED + 1):
            reach = [
                (after, mm + NEXT_MM[LEVELS[at]], cost + price)
                for at, mm, cost in reach
                for after, price in steps[at]
            ]
            for after, mm, cost in reach:
                # the same two levels can be a step apart or two: each has its own distance
                key = (start, after, round(mm, 3))
                found[key] = min(cost + missed * MISSED_COST, found.get(key, np.inf))
    return [(a, b, mm, cost) for (a, b, mm), cost in found.items()]


_SUCCESSORS = _successors()
_FROM = np.array([s[0] for s in _SUCCESSORS])
_TO = np.array([s[1] for s in _SUCCESSORS])
_MM = np.array([s[2] for s in _SUCCESSORS])
_COST = np.array([s[3] for s in _SUCCESSORS])
_STATURE_PRIOR = -0.5 * (np.log(SCALES) / STATURE_SIGMA) ** 2
_ALLOWED = {(s[0], s[1]) for s in _SUCCESSORS}


def _unary(candidates: Candidates, weights: Weights) -> Array:
    """(n, levels) log evidence plus what including the candidate is worth."""
    mixed = (1 - EVIDENCE_FLOOR) * candidates.evidence + EVIDENCE_FLOOR / len(LEVELS)
    worth = 2.0 * np.log(np.clip(candidates.score, 1e-3, 1) / 0.2)
    support = weights.evidence * (np.log(mixed) - np.log(1 / len(LEVELS)))
    if candidates.rib is not None:
        support += weights.rib * np.log(2 * rib_evidence(candidates.rib))
    if candidates.seen is not None:
        support *= candidates.seen[:, None]
    support *= weights.of(len(mixed))
    return np.asarray(support + worth[:, None])


def _links(distance_mm: float) -> Array:
    """(statures, levels, levels) log weight of two candidates at this distance being
    neighbours."""
    expected = SCALES[:, None] * _MM
    sigma = DISTANCE_SIGMA * expected + 2.0
    weight = -0.5 * ((distance_mm - expected) / sigma) ** 2 - _COST
    out = np.full((len(SCALES), len(LEVELS), len(LEVELS)), -np.inf)
    for i, each in enumerate(weight):
        np.maximum.at(out[i], (_FROM, _TO), each)
    return out


def _all_links(centres_lps_mm: Array) -> dict[tuple[int, int], Array]:
    """`_links` of every two candidates that are near enough."""
    gaps = np.linalg.norm(centres_lps_mm[:, None] - centres_lps_mm[None], axis=-1)
    near = ((j, k) for k in range(len(gaps)) for j in range(k) if gaps[j, k] < MAX_GAP_MM)
    return {(j, k): _links(float(gaps[j, k])) for j, k in near}


def _logsumexp(values: Array, axis: int) -> Array:
    top = values.max(axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(values - top).sum(axis)) + top.squeeze(axis))


def _chain(
    unary: Array, links: dict[tuple[int, int], Array]
) -> tuple[list[tuple[int, int]], float]:
    """The best chain over all statures: [(candidate, level), …], and how well a spine explains what
    was found, those outside the chain too: its log weight a candidate."""
    n, statures = len(unary), np.arange(len(SCALES))[:, None]
    levels = np.arange(len(LEVELS))[None]
    best = np.repeat(unary[:, None], len(SCALES), axis=1)
    back = np.full((*best.shape, 2), -1)
    for k in range(n):
        for j in range(k):
            if (j, k) not in links:
                continue
            through = best[j][:, :, None] + links[j, k]
            source = through.argmax(1)
            value = through[statures, source, levels] + unary[k]
            better = value > best[k]
            best[k][better] = value[better]
            back[k][better] = np.stack([np.full_like(source, j), source], -1)[better]
    total = best + _STATURE_PRIOR[None, :, None]
    at, stature, level = np.unravel_index(int(total.argmax()), total.shape)
    path = [(int(at), int(level))]
    while (before := back[path[-1][0], stature, path[-1][1]])[0] >= 0:
        path.append((int(before[0]), int(before[1])))
    return path[::-1], float(total.max()) / n


def _marginals(unary: Array, links: dict[tuple[int, int], Array], members: list[int]) -> Array:
    """(members, levels): posterior of each member's level, over all statures, the membership
    being given."""
    pairs = list(itertools.pairwise(members))
    flat = np.zeros((len(SCALES), len(LEVELS)))
    forward = [flat + unary[members[0]]]
    for a, b in pairs:
        forward.append(unary[b] + _logsumexp(forward[-1][:, :, None] + links[a, b], 1))
    backward = [flat]
    for a, b in reversed(pairs):
        backward.append(_logsumexp(links[a, b] + (unary[b] + backward[-1])[:, None], 2))
    joint = np.array(forward) + np.array(backward[::-1]) + _STATURE_PRIOR[:, None]
    each = _logsumexp(joint, 1)
    return np.asarray(np.exp(each - _logsumexp(each, 1)[:, None]))


def name_column(candidates: Candidates, weights: Weights) -> list[Named]:
    """The likeliest chain of vertebrae, head to feet; empty when there is none."""
    if len(candidates.score) == 0:
        return []
    unary = _unary(candidates, weights)
    links = _all_links(candidates.centres_lps_mm)
    path, fit = _chain(unary, links)
    members = [k for k, _ in path]
    posterior = _marginals(unary, links, members)
    levels = _in_order(posterior) or [level for _, level in path]
    rows = zip(members, levels, posterior, strict=True)
    return [replace(_named(k, at, row), fit=fit) for k, at, row in rows]


def _in_order(posterior: Array) -> list[int] | None:
    """Each member's likeliest level, where these make a column."""
    levels = [int(at) for at in posterior.argmax(1)]
    steps = itertools.pairwise(levels)
    return levels if all((a, b) in _ALLOWED for a, b in steps) else None


def _named(index: int, level: int, posterior: Array) -> Named:
    """With as many other names as it takes to hold most of the probability."""
    others, held = [], float(posterior[level])
    for at in np.argsort(-posterior, kind="stable"):
        if held >= WITHIN or posterior[at] < 0.01:
            break
        if at != level:
            others.append((LEVELS[at], float(posterior[at])))
            held += float(posterior[at])
    return Named(index, LEVELS[level], float(posterior[level]), tuple(others))
