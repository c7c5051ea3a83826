"""What the labeller's looks count for, fitted on CT left out of training.

A column is named by the shift of all its names for which the looks speak together. How surely,
depends on how far they are believed: the level and the rib each have a vote, and n looks at
neighbouring vertebrae, which overlap and err together, count as n ** (1 - overlap). These three
numbers make the stated probability true on random cuts of the field of view. They stand in the
manifest (`evidence_weight`, `rib_weight`, `overlap_exponent`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from models.recipes.folds import REFERENCES
from models.recipes.scorecard.chain import choose, opened, read_folds
from models.recipes.scorecard.cuts import cut, field_of, random_boxes
from models.recipes.scorecard.names import known_bodies, places_of
from vfx_edge.backends import OpenModels
from vfx_edge.evaluation.calibration import expected_error, reliability
from vfx_edge.image import Image
from vfx_edge.inference.patches import as_points
from vfx_edge.inputs import load_scan
from vfx_edge.spine.column import EVIDENCE_FLOOR, LEVELS, Candidates, Weights, rib_evidence
from vfx_edge.spine.find import Bodies
from vfx_edge.spine.label import candidates_of, read_levels, weight_in_view
from vfx_edge.study import Level
from vfx_edge.vocabulary import PLAIN

SHIFTS = np.arange(-5, 6)
NUMBERS = [LEVELS.index(level) for level in PLAIN]
FLOOR = 1e-4  # of a probability that was wrong: one scan must not decide everything
SEED = 7


@dataclass(frozen=True, eq=False)
class Glimpse:
    """What the looks say of the known vertebrae in one cut. evidence, rib: log likelihoods (n,
    plain levels), weighed by how much the cut shows; truth (n,): which of them is right."""

    study: str
    evidence: np.ndarray
    rib: np.ndarray
    truth: np.ndarray


def glimpses(
    study: str,
    image: Image,
    places: Mapping[str, Sequence[float]],
    models: OpenModels,
    cuts: int,
) -> list[Glimpse]:
    """The whole scan and so many cuts of it, looked at by a set whose labeller never saw it.
    places: name -> LPS mm of the bodies known to be there."""
    bodies, names = known_bodies(image, places, models)
    field, labeller = field_of(image), models.network("labeller")
    out = []
    for low, high in [field, *random_boxes(*field, bodies.centres_lps_mm, cuts, SEED)]:
        inside = ((bodies.centres_lps_mm >= low) & (bodies.centres_lps_mm <= high)).all(1)
        if not inside.any():
            continue
        at = as_points(bodies.centres_lps_mm[inside])
        part = cut(image, (low, high))
        candidates = candidates_of(
            Bodies(bodies.centres_lps_mm[inside], bodies.score[inside]),
            read_levels(part, at, labeller),
            weight_in_view(part, bodies.centres_lps_mm[inside]),
            labeller.spec,
        )
        truth = [PLAIN.index(Level(n)) for n in names[inside]]
        out.append(_glimpse(study, candidates, np.array(truth)))
    return out


def read_glimpses(data: Path, folds: Path, cuts: int, backend: str) -> list[Glimpse]:
    """Of every CT with known levels that a fold's labeller has not seen."""
    out: list[Glimpse] = []
    for path, entry in json.loads(REFERENCES.read_text(encoding="utf-8")).items():
        chosen = choose(path.split("/")[0], read_folds(folds), folds)
        if chosen.trained_on or entry.get("bad_input"):
            continue
        with opened(chosen.folder, backend, ("locator", "finder", "labeller")) as models:
            image = load_scan(data / path).image
            out += glimpses(path.split("/")[0], image, places_of(entry), models, cuts)
    return out


def report(seen: Sequence[Glimpse]) -> str:
    """The weights, and what they are worth on studies that were kept from the fit."""
    weights = fitted(seen)
    said, right = [], []
    for study in sorted({one.study for one in seen}):
        others = fitted([one for one in seen if one.study != study])
        for one in (one for one in seen if one.study == study):
            share = posterior(one, others)
            said += [share.max()] * len(one.truth)
            right += [SHIFTS[share.argmax()] == 0] * len(one.truth)
    error = expected_error(reliability(said, right))
    assert error is not None
    return (
        f"evidence_weight = {weights.evidence}\nrib_weight = {weights.rib}\n"
        f"overlap_exponent = {weights.overlap}\n"
        f"# each study by the weights of the others: {np.mean(right):.1%} of {len(right)} names "
        f"right, {np.mean(said):.1%} said, expected calibration error {error:.3f}"
    )


def _glimpse(study: str, seen: Candidates, truth: np.ndarray) -> Glimpse:
    assert seen.rib is not None
    assert seen.seen is not None
    levels = np.log(seen.evidence[:, NUMBERS] + EVIDENCE_FLOOR / len(LEVELS))
    ribs = np.log(rib_evidence(seen.rib)[:, NUMBERS])
    return Glimpse(study, seen.seen[:, None] * levels, seen.seen[:, None] * ribs, truth)


def posterior(seen: Glimpse, weights: Weights) -> np.ndarray:
    """Probability of each of SHIFTS."""
    told = weights.evidence * seen.evidence + weights.rib * seen.rib
    score = np.full(len(SHIFTS), -60.0)
    for i, shift in enumerate(SHIFTS):
        named = seen.truth + shift
        if (named >= 0).all() and (named < len(PLAIN)).all():
            score[i] = weights.of(len(named)) * told[np.arange(len(named)), named].sum()
    share = np.exp(score - score.max())
    return np.asarray(share / share.sum())


def fitted(seen: Sequence[Glimpse]) -> Weights:
    """The weights under which the right names are likeliest, every study counting alike."""
    studies = sorted({one.study for one in seen})

    def cost(votes: np.ndarray) -> float:
        weights = Weights(*(float(vote) for vote in np.abs(votes)))
        surprise: dict[str, list[float]] = {study: [] for study in studies}
        for one in seen:
            right = posterior(one, weights)[len(SHIFTS) // 2]
            surprise[one.study].append(-float(np.log(right + FLOOR)))
        return float(np.mean([np.mean(values) for values in surprise.values()]))

    found = minimize(cost, [0.6, 2.0, 0.1], method="Nelder-Mead", options={"maxfev": 200})
    return Weights(*(round(float(vote), 2) for vote in np.abs(found.x)))
