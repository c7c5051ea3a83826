"""Names under random cuts of the field of view, and whether the stated certainty is true.

Two ways. `cuts`: bodies are found once in the whole scan, and each cut is named from what it
shows of them, many times. `chain`: the whole chain as far as the names, on cuts as if they were
scans, fewer times: it costs a second each.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain as chains
from pathlib import Path
from typing import Any

import numpy as np

from models.recipes.folds import REFERENCES
from models.recipes.scorecard.chain import Fold, choose, opened
from models.recipes.scorecard.cuts import cut, field_of, random_boxes
from models.recipes.scorecard.real import Row, Say
from vfx_edge.backends import OpenModels
from vfx_edge.evaluation.level_names import (
    NEAR_MM,
    UNCOUNTED,
    Named,
    Places,
    agreement,
    counted,
    matched,
    reliability,
)
from vfx_edge.evaluation.matching import nearest_place
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.spine.find import Bodies, find_bodies
from vfx_edge.spine.label import label_vertebrae
from vfx_edge.spine.locate import NoSpineInView, locate_spine

SEED = 20


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
    every: list[Named] = []
    for path, entry in json.loads(REFERENCES.read_text(encoding="utf-8")).items():
        chosen = choose(path.split("/")[0], folds, model)
        image = load_scan(data / path).image
        places, every_place = places_of(entry), _all_places(entry)
        with opened(chosen.folder, backend, ("locator", "finder", "labeller")) as models:
            short = [list(names) for names in _named_cuts(image, places, every_place, models, cuts)]
            whole = [
                list(names) for names in _chained_cuts(image, places, every_place, models, chain)
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
) -> Iterator[Iterator[Named]]:
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
) -> Iterator[Iterator[Named]]:
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
    nearest = [nearest_place(centre, places) for centre in bodies.centres_lps_mm]
    known = np.array([gap_mm < NEAR_MM for _, gap_mm in nearest], bool)
    names = np.array([name for name, _ in nearest])
    return Bodies(bodies.centres_lps_mm[known], bodies.score[known]), names[known]


def _bodies(image: Image, models: OpenModels) -> Bodies:
    region = locate_spine(image, models.network("locator"))
    return find_bodies(image, region, models.network("finder"))


def flat(cuts: Iterable[Iterable[Named]]) -> list[Named]:
    """The names of all cuts in one list."""
    return list(chains.from_iterable(cuts))
