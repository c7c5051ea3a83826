"""The chain on real CT against centroids set by eye. Skips where the CTs are not at hand."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.scoring import Score, references, score

DATA = Path(__file__).parents[3] / "shared" / "data"
REFERENCES = references()

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="real CTs are not in ../shared/data: they are never shipped"
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Score]:
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
        print(f"{path}: {found[path]}, {seconds:.1f} s, {result['run']['peak_rss_mib']:.0f} MiB")
    return found


@pytest.mark.parametrize("path", list(REFERENCES))
def test_three_quarters_are_found_in_every_ct(scores: dict[str, Score], path: str) -> None:
    assert scores[path].found >= 0.75 * scores[path].whole, scores[path]


@pytest.mark.parametrize("path", list(REFERENCES))
def test_no_vertebra_is_found_twice_or_beside_the_spine(
    scores: dict[str, Score], path: str
) -> None:
    assert scores[path].doubled == 0, scores[path]
    if "bad_input" not in REFERENCES[path]:  # there the spine itself leaves the field
        assert scores[path].outside == 0, scores[path]


def test_nine_tenths_are_found_over_all(scores: dict[str, Score]) -> None:
    whole = sum(s.whole for s in scores.values())
    assert sum(s.found for s in scores.values()) >= 0.9 * whole


def test_levels_are_right_for_four_fifths(scores: dict[str, Score]) -> None:
    found = sum(s.found for s in scores.values())
    assert sum(s.named for s in scores.values()) >= 0.8 * found
