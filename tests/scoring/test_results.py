"""Results that are there already, in place of a run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.outputs.fakes import (
    EXAMPLE_CASES,
    LEVELS,
    SERIES,
    analysis_of,
    curved_centres,
    ellipsoid_volume,
)
from vfx_edge.outputs.nifti import write_nifti
from vfx_edge.outputs.result_json import write_result_json
from vfx_edge.scoring.analyse import answer
from vfx_edge.scoring.answers import Task
from vfx_edge.scoring.results import (
    ResultMissing,
    ResultUnreadable,
    read_result,
    result_of,
)
from vfx_edge.study import Analysis, Scan

FEW = LEVELS[-6:]
"""T12 to L5, of which the last is metal."""


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    centres = curved_centres(FEW)
    image = ellipsoid_volume(centres)
    values = image.values.copy()
    values[:, :4] = -1000  # a CT has air
    return analysis_of(Scan(replace(image, values=values), SERIES), centres, EXAMPLE_CASES)


def test_a_result_says_what_the_analysis_said(tmp_path: Path, analysis: Analysis) -> None:
    write_result_json(analysis.result, tmp_path / "result.json")
    found = read_result(tmp_path / "result.json", analysis.scan)
    assert [one.level for one in found.seen] == FEW
    by_level = {one.level: one for one in found.seen}
    assert (by_level["T12"].tier, by_level["T12"].reason) == (
        "uncertain",
        "level_outside_model_range",
    )
    assert (by_level["L2"].tier, by_level["L2"].p_osteoporotic) == ("osteoporotic", 0.97)
    assert (by_level["L5"].tier, by_level["L5"].reason) == ("not_assessable", "metal")
    assert (by_level["L1"].tier, by_level["L1"].suspected) == ("", False)
    assert (found.tier, found.labels) == (analysis.triage.tier, None)


def test_features_and_signs_that_a_run_measured_come_along(
    tmp_path: Path, analysis: Analysis
) -> None:
    path = write_result_json(analysis.result, tmp_path / "result.json")
    result = json.loads(path.read_text("utf-8"))
    signs = [{"name": "convexity", "value": 1.5}, {"name": "gas", "value": None}]
    result["findings"][0]["signs"] = signs
    path.write_text(json.dumps(result), encoding="utf-8")
    table = "level,reason,morph_volume,stat_mean\nT12,,2e4,\nL1,truncated,,\n"
    (tmp_path / "features.csv").write_text(table, encoding="utf-8")
    first, second, *others = read_result(path, analysis.scan).seen
    assert first.features == {"morph_volume": 2e4, "sign_convexity": 1.5}
    assert not any(one.features for one in (second, *others))
    result["findings"][0]["signs"] = [{"name": "=cmd()", "value": 1.0}]
    path.write_text(json.dumps(result), encoding="utf-8")
    with pytest.raises(ResultUnreadable):
        read_result(path, analysis.scan)


def test_its_masks_are_compared_with_the_experts(tmp_path: Path, analysis: Analysis) -> None:
    """The expert's mask is the result's own: nothing differs."""
    ct, mask, _ = write_nifti(analysis, tmp_path / "s")
    write_result_json(analysis.result, tmp_path / "s" / "result.json")
    expert = tmp_path / "expert.nii.gz"
    expert.write_bytes(mask.read_bytes())
    told = answer(Task(ct, expert, result=result_of(tmp_path, "s")), None, "chain")
    assert [one.level for one in told.known] == FEW
    assert all(one.identified and one.dice == 1 for one in told.known)
    assert all((one.distance_mm or 0) < 8 for one in told.known)  # arches here are blocks


def test_a_study_without_a_result_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "b.json").write_text("{}", encoding="utf-8")
    for name in ("a", "../b"):
        with pytest.raises(ResultMissing):
            result_of(tmp_path / "results", name)


@pytest.mark.parametrize(
    "change",
    [{"schema": "vfx-edge/result/1"}, {"findings": 3}, {"findings": [{}]}, {"triage": None},
     {"run": {"seconds": {}}}, {"triage": {"tier": "bad", "coverage": {"cut": []}}}],
)  # fmt: skip
def test_what_is_no_result_is_refused(
    tmp_path: Path, analysis: Analysis, change: dict[str, object]
) -> None:
    path = write_result_json(analysis.result, tmp_path / "result.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **change}), "utf-8")
    with pytest.raises(ResultUnreadable, match="no result"):
        read_result(path, analysis.scan)
