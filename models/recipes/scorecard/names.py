"""Names under random cuts of the field of view, and whether the stated certainty is true.

Two ways. `cuts`: bodies are found once in the whole scan, and each cut is named from what it
shows of them, many times. `chain`: the whole chain as far as the names, on cuts as if they were
scans, fewer times: it costs a second each.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as chains
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from models.recipes.folds import REFERENCES
from models.recipes.scorecard.chain import Fold, choose, opened
from models.recipes.scorecard.cuts import cut, field_of, random_boxes
from models.recipes.scorecard.real import Row, Say
from vfx_edge.backends import OpenModels
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.spine.find import Bodies, find_bodies
from vfx_edge.spine.label import label_vertebrae
from vfx_edge.spine.locate import NoSpineInView, locate_spine
from vfx_edge.study import Vertebra

NEAR_MM = 12.0
INSIDE_MM = 10.0  # a body nearer to the cut's end is not counted
BINS = 10
SURE = 0.9
SEED = 20
UNCOUNTED = ("C1", "S1")


Places = Mapping[str, Sequence[float]]
"""Name -> LPS mm."""


@dataclass(frozen=True)
class Told:
    """One vertebra of one cut: what it is called, how surely, and what else it may be."""

    vertebra: str
    called: str
    probability: float
    alternatives: tuple[str, ...]

    @property
    def right(self) -> bool:
        return self.called == self.vertebra

    @property
    def named(self) -> bool:
        """Right, or named as an alternative."""
        return self.right or self.vertebra in self.alternatives


def score_names(
    data: Path,
    model: Path,
    folds: tuple[Fold, ...],
    backend: str,
    say: Say,
    cuts: int = 200,
    chain: int = 20,
) -> dict[str, Any]:
    """{"rows": one a CT, "total": ...}, every CT by a labeller that has not seen it where there
    is one."""
    rows: list[Row] = []
    every: list[Told] = []
    for path, entry in json.loads(REFERENCES.read_text(encoding="utf-8")).items():
        chosen = choose(path.split("/")[0], folds, model)
        image = load_scan(data / path).image
        places, every_place = places_of(entry), _all_places(entry)
        with opened(chosen.folder, backend, ("locator", "finder", "labeller")) as models:
            short = [list(told) for told in _named_cuts(image, places, every_place, models, cuts)]
            whole = [
                list(told) for told in _chained_cuts(image, places, every_place, models, chain)
            ]
        row = {
            "name": path.split("/")[0], "note": chosen.note, "trained_on": chosen.trained_on,
            "scan": counted(short[0]), "cuts": counted(flat(short[1:])),
            "agreement": agreement(short[1:]), "chain": counted(flat(whole)),
        }  # fmt: skip
        rows.append(row)
        every += flat(short[1:])
        say(f"names: {row['name']}: {row['cuts']}")
    return {"rows": rows, "total": {"cuts": counted(every), "bins": reliability(every)}}


def places_of(entry: Mapping[str, Any]) -> dict[str, list[float]]:
    """Name -> LPS mm of the annotated bodies: C1 has none, and S1 is no vertebra."""
    return {n: at for n, at in _all_places(entry).items() if n not in UNCOUNTED}


def _all_places(entry: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: place["lps_mm"] for name, place in entry["vertebrae"].items()}


def _named_cuts(
    image: Image, places: Places, every_place: Places, models: OpenModels, count: int
) -> Iterator[Iterator[Told]]:
    """The whole scan first, then the cuts, all from the same bodies."""
    bodies = _bodies(image, models)
    at = np.array(list(places.values()))
    field = field_of(image)
    for box in [field, *random_boxes(*field, at, count, SEED)]:
        low, high = box
        inside = ((bodies.centres_lps_mm >= low) & (bodies.centres_lps_mm <= high)).all(1)
        part = Bodies(bodies.centres_lps_mm[inside], bodies.score[inside])
        try:
            named = label_vertebrae(cut(image, box), part, models.network("labeller"))
        except NoSpineInView:
            named = ()
        yield matched(named, every_place, (low, high))


def _chained_cuts(
    image: Image, places: Places, every_place: Places, models: OpenModels, count: int
) -> Iterator[Iterator[Told]]:
    """The chain as far as the names on each cut."""
    field = field_of(image)
    for box in random_boxes(*field, np.array(list(places.values())), count, SEED + 1):
        part = cut(image, box)
        try:
            named = label_vertebrae(part, _bodies(part, models), models.network("labeller"))
        except NoSpineInView:
            named = ()
        yield matched(named, every_place, box)


def known_bodies(
    image: Image, places: Mapping[str, Sequence[float]], models: OpenModels
) -> tuple[Bodies, np.ndarray]:
    """The bodies that are found of known vertebrae, and their names (n,)."""
    bodies = _bodies(image, models)
    gaps = np.linalg.norm(
        bodies.centres_lps_mm[:, None] - np.array(list(places.values()))[None], axis=2
    )
    known = gaps.min(1) < NEAR_MM
    names = np.array(list(places))[gaps.argmin(1)]
    return Bodies(bodies.centres_lps_mm[known], bodies.score[known]), names[known]


def _bodies(image: Image, models: OpenModels) -> Bodies:
    region = locate_spine(image, models.network("locator"))
    return find_bodies(image, region, models.network("finder"))


def matched(
    named: Sequence[Vertebra],
    places: Places,
    box: tuple[np.ndarray, np.ndarray],
) -> Iterator[Told]:
    """What known vertebrae, well inside the cut, are called."""
    low, high = (end[2] + step for end, step in zip(box, (INSIDE_MM, -INSIDE_MM), strict=True))
    names, at = list(places), np.array(list(places.values()))
    for one in named:
        gaps = np.linalg.norm(at - np.array(one.centroid_lps_mm), axis=1)
        nearest = int(gaps.argmin())
        counts = names[nearest] not in UNCOUNTED and gaps[nearest] < NEAR_MM
        if counts and low < at[nearest, 2] < high:
            others = tuple(level.value for level, _ in one.alternatives)
            yield Told(names[nearest], one.level.value, one.label_probability, others)


def flat(cuts: Iterable[Iterable[Told]]) -> list[Told]:
    """All that was told of all cuts."""
    return list(chains.from_iterable(cuts))


def counted(told: Sequence[Told]) -> dict[str, Any]:
    """Counts of vertebrae: told, right, right or named as an alternative, and wrong though sure."""
    return {
        "vertebrae": len(told),
        "right": sum(one.right for one in told),
        "named": sum(one.named for one in told),
        "sure": sum(one.probability >= SURE for one in told),
        "wrong_though_sure": sum(one.probability >= SURE and not one.right for one in told),
        "mean_probability": float(np.mean([one.probability for one in told])) if told else None,
    }


def agreement(cuts: Sequence[Sequence[Told]]) -> dict[str, int]:
    """Of the vertebrae that a cut shares with the next one, those called the same in both."""
    shared = same = 0
    for one, other in pairwise(cuts):
        called = {told.vertebra: told.called for told in other}
        both = [told for told in one if told.vertebra in called]
        shared += len(both)
        same += sum(told.called == called[told.vertebra] for told in both)
    return {"shared": shared, "same": same}


def reliability(told: Sequence[Told]) -> list[dict[str, Any]]:
    """Bins of equal width: how many, what was said on average, and what share was right."""
    said = np.array([one.probability for one in told])
    right = np.array([one.right for one in told])
    bin_of = np.minimum((said * BINS).astype(int), BINS - 1)
    return [
        {"count": int(there.sum()), "said": float(said[there].mean()),
         "right": float(right[there].mean())}
        for there in (bin_of == number for number in range(BINS)) if there.any()
    ]  # fmt: skip


def expected_error(bins: Sequence[Mapping[str, Any]]) -> float | None:
    """Expected calibration error: the gaps between said and right, weighted by their counts."""
    whole = sum(one["count"] for one in bins)
    if not whole:
        return None
    return float(sum(abs(one["said"] - one["right"]) * one["count"] for one in bins) / whole)
