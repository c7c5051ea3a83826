"""The shipped networks on a phantom: levels, places, and which side is left."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.spine.world import Floats, phantom
from vfx_edge.backends import OpenModels, open_models
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.manifest import load_model_set
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.outputs.result_json import result_to_dict
from vfx_edge.phantom import FractureSpec, Phantom, PhantomSpec
from vfx_edge.spine.chain import analyze

# Curved and off the middle, so that a flip or a shift shows.
SPEC = PhantomSpec(
    levels=("T8", "L5"), spacing_mm=2.0, scoliosis_deg=12.0, fov_shift_mm=(18.0, 0.0),
    fractures=(FractureSpec("L1", "wedge", 0.45),), seed=3,
)  # fmt: skip
NEAR_MM = 8.0
SCORED = tuple(f"T{i}" for i in range(1, 13)) + tuple(f"L{i}" for i in range(1, 6))


@dataclass(frozen=True, eq=False)
class Run:
    """A phantom, and what the chain said of it."""

    made: Phantom
    result: dict[str, Any]
    volume: Image

    @property
    def places(self) -> dict[str, Floats]:
        return {f["level"]: np.array(f["centroid_lps_mm"]) for f in self.result["findings"]}


@pytest.fixture(scope="module")
def networks() -> Iterator[OpenModels]:
    with open_models(load_model_set()) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The phantom through the command."""
    folder = tmp_path_factory.mktemp("chain")
    made = phantom(SPEC)
    write_ct_series(made.hu, made.affine_zyx_to_lps, folder / "ct")
    command = ["run", str(folder / "ct"), "--out", str(folder / "out"), "--outputs", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "vfx_edge", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return Run(made, result, load_scan(folder / "ct").image)


def test_every_whole_vertebra_is_named_and_near_its_place(run: Run) -> None:
    whole = [t for t in run.made.truth.levels if t.whole_in_view and t.level in SCORED]
    assert len(whole) == 10
    gaps = {
        t.level: float(np.linalg.norm(run.places[t.level] - np.array(t.centroid_lps_mm)))
        for t in whole
        if t.level in run.places
    }
    assert set(gaps) == {t.level for t in whole}, f"found only {sorted(run.places)}"
    assert max(gaps.values()) < NEAR_MM, gaps


def test_no_vertebra_is_made_up(run: Run) -> None:
    true = np.array([t.centroid_lps_mm for t in run.made.truth.levels])
    for level, place in run.places.items():
        assert np.linalg.norm(true - place, axis=1).min() < 20, level


def test_the_wedge_is_suspected_and_no_intact_vertebra(run: Run) -> None:
    suspected = {f["level"] for f in run.result["findings"] if f["suspected_fracture"]}
    assert "L1" in suspected
    assert suspected <= {"T12", "L1", "L2"}, suspected  # endplates beside a wedge bend with it


def test_left_and_right_are_not_lost(run: Run, networks: OpenModels, tmp_path: Path) -> None:
    """The mirrored patient's vertebrae lie at the mirrored places."""
    write_ct_series(run.made.hu[:, :, ::-1], run.made.affine_zyx_to_lps, tmp_path / "ct")
    scan = load_scan(tmp_path / "ct")
    found = {
        f.vertebra.level.value: np.array(f.vertebra.centroid_lps_mm)
        for f in analyze(scan, networks).result.findings
    }
    ends = scan.image.to_lps(np.array([[0.0, 0, 0], [0.0, 0, scan.image.values.shape[2] - 1]]))
    sides = ends[:, 0].sum()
    whole = [t.level for t in run.made.truth.levels if t.whole_in_view]
    assert set(whole) <= set(found)
    for level in whole:
        there = run.places[level] * (-1, 1, 1) + (sides, 0, 0)
        assert np.linalg.norm(found[level] - there) < 5, level
    lopsided = [abs(run.places[level][0] - sides / 2) for level in whole]
    assert max(lopsided) > 12  # else this test would tell nothing


def test_feet_first_and_upside_down_files_give_the_same_result(
    run: Run, networks: OpenModels, tmp_path: Path
) -> None:
    """Stored from head to feet with the patient's left at the left of the picture."""
    affine = run.made.affine_zyx_to_lps.copy()
    last = np.array(run.made.hu.shape) - 1
    affine[:3, 3] += affine[:3, 0] * last[0] + affine[:3, 2] * last[2]
    affine[:3, [0, 2]] *= -1
    write_ct_series(run.made.hu[::-1, :, ::-1], affine, tmp_path / "ct")
    scan = load_scan(tmp_path / "ct")
    np.testing.assert_array_equal(scan.image.values, run.volume.values)
    np.testing.assert_allclose(
        scan.image.affine_zyx_to_lps, run.volume.affine_zyx_to_lps, atol=1e-4
    )
    again: dict[str, Any] = result_to_dict(analyze(scan, networks).result)
    for one, other in zip(again["findings"], run.result["findings"], strict=True):
        assert one["level"] == other["level"]
        np.testing.assert_allclose(one["centroid_lps_mm"], other["centroid_lps_mm"], atol=0.2)
        assert one["assessment"]["kind"] == other["assessment"]["kind"]
    assert again["triage"] == run.result["triage"]
