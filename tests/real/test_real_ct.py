"""The chain on real CT against centroids set by eye. Skips where the CTs are not at hand."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vfx_edge.evaluation.matching import Comparison, Found, Place, compare, total

DATA = Path(__file__).parents[3] / "shared" / "data"
REFERENCE = Path(__file__).parents[1] / "data" / "reference_centroids.json"
REFERENCES: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
"""Path below DATA -> annotated vertebrae: level -> {lps_mm, whole}."""
SCORED = (*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)))

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="real CTs are not in ../shared/data: they are never shipped"
)


def score(findings: list[dict[str, Any]], vertebrae: dict[str, Any]) -> Comparison:
    """findings: `result.json`'s. Scored are T1 to L5."""
    found = [Found(f["level"], tuple(f["centroid_lps_mm"]), None) for f in findings]
    places = {n: Place(tuple(v["lps_mm"]), v["whole"]) for n, v in vertebrae.items()}
    return compare(found, places, SCORED)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Comparison]:
    """Every CT once through the command, as a user would."""
    out = tmp_path_factory.mktemp("real")
    found = {}
    for number, (path, reference) in enumerate(REFERENCES.items()):
        folder = out / str(number)
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "vfx_edge", "run", str(DATA / path), "--out", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (path, done.stderr)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found[path] = score(result["findings"], reference["vertebrae"])
        assert result["run"]["peak_rss_mib"] <= 3072, path
        seconds = time.perf_counter() - begin
        peak_mib = result["run"]["peak_rss_mib"]
        print(f"{path}: {found[path].counts}, {seconds:.1f} s, {peak_mib:.0f} MiB")
    return found


@pytest.mark.parametrize("path", list(REFERENCES))
def test_three_quarters_are_found_in_every_ct(scores: dict[str, Comparison], path: str) -> None:
    counts = scores[path].counts
    assert counts.near_20 >= 0.75 * counts.whole, scores[path]


@pytest.mark.parametrize("path", list(REFERENCES))
def test_no_vertebra_is_found_twice_or_beside_the_spine(
    scores: dict[str, Comparison], path: str
) -> None:
    assert scores[path].counts.doubled == 0, scores[path]
    if "bad_input" not in REFERENCES[path]:  # there the spine itself leaves the field
        assert scores[path].counts.invented == 0, scores[path]


def test_nine_tenths_are_found_over_all(scores: dict[str, Comparison]) -> None:
    every = total(one.counts for one in scores.values())
    assert every.near >= 0.9 * every.whole


def test_levels_are_right_for_four_fifths(scores: dict[str, Comparison]) -> None:
    every = total(one.counts for one in scores.values())
    assert every.right >= 0.8 * every.near
