"""How a result compares with centroids that were set by eye."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).parents[1] / "data" / "reference_centroids.json"
SCORED = tuple(f"T{i}" for i in range(1, 13)) + tuple(f"L{i}" for i in range(1, 6))
FOUND_MM = 15.0
OUTSIDE_MM = 20.0  # C1 has no body: its centre is a matter of taste, by more than 15 mm


@dataclass(frozen=True)
class Score:
    """Counts over T1 to L5. whole: bodies wholly in view; found: one finding within 15 mm;
    named: of those found, with the right level; doubled: references with two findings nearest
    to them; outside: findings farther than 20 mm from any annotated vertebra or sacrum."""

    whole: int
    found: int
    named: int
    doubled: int
    outside: int
    mean_mm: float
    errors: tuple[str, ...]


def references() -> dict[str, Any]:
    """Path below the data folder -> annotated vertebrae."""
    out: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return out


def score(findings: list[dict[str, Any]], vertebrae: dict[str, Any]) -> Score:
    """findings: `result.json`'s. vertebrae: level -> {lps_mm, whole}."""
    names = list(vertebrae)
    places = np.array([vertebrae[n]["lps_mm"] for n in names])
    taken: dict[str, list[tuple[float, str]]] = {}
    errors, outside = [], 0
    for finding in findings:
        distance = np.linalg.norm(places - np.array(finding["centroid_lps_mm"]), axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] > FOUND_MM:
            place = np.array(finding["centroid_lps_mm"])
            if distance[nearest] > OUTSIDE_MM and _between(place, places):
                outside += 1
                errors.append(f"{finding['level']} lies {distance[nearest]:.0f} mm off")
            continue
        taken.setdefault(names[nearest], []).append((float(distance[nearest]), finding["level"]))
    whole = [n for n in names if n in SCORED and vertebrae[n]["whole"]]
    found = [n for n in whole if n in taken]
    named = [n for n in found if n in [level for _, level in taken[n]]]
    errors += [f"{n} missed" for n in whole if n not in found]
    errors += [f"{n} called {taken[n][0][1]}" for n in found if n not in named]
    doubled = sum(len(hits) > 1 for hits in taken.values())
    gaps = [min(taken[n])[0] for n in found]
    return Score(
        len(whole), len(found), len(named), doubled, outside,
        float(np.mean(gaps)) if gaps else 0.0, tuple(errors),
    )  # fmt: skip


def _between(place: np.ndarray, places: np.ndarray) -> bool:
    """Whether a finding lies within the annotated stretch: beyond it nothing is known."""
    margin = 25.0
    return bool(places[:, 2].min() - margin < place[2] < places[:, 2].max() + margin)
