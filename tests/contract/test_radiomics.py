"""Radiomics from outside: a run's table, and the same through an evaluation."""

import csv
from pathlib import Path

import pytest

from tests.contract.conftest import call
from vfx_edge.radiomics import FEATURES

pytest.importorskip("mirp", reason="needs the extra `radiomics`")
pytestmark = pytest.mark.thorough


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_a_run_measures_is_what_an_evaluation_collects(tmp_path: Path) -> None:
    assert call("phantom", "cohort", "--studies", 1, "--seed", 3, cwd=tmp_path).code == 0
    (study,) = {row["study"] for row in rows(tmp_path / "cohort" / "labels.csv")}
    (ct,) = (tmp_path / "cohort").rglob("*_ct.nii.gz")
    ran = call("run", ct, "-o", f"runs/{study}", "--outputs", "radiomics,nifti", cwd=tmp_path)
    assert ran.code == 0, ran
    own = {row["level"]: row for row in rows(tmp_path / "runs" / study / "features.csv")}
    assert all(bool(row["reason"]) != bool(row["morph_volume"]) for row in own.values())
    assert sum(bool(row["morph_volume"]) for row in own.values()) >= 3

    read = call("evaluate", "cohort", "--results", "runs", "-o", "read", cwd=tmp_path)
    asked = call(
        *("evaluate", "cohort", "-o", "asked", "--radiomics", "--repeat"),
        *("--perturbations", "outline"),
        cwd=tmp_path,
    )
    assert (read.code, asked.code) == (0, 0), (read, asked)
    for folder in ("read", "asked"):
        found = rows(tmp_path / folder / "features.csv")
        known = [(r["study"], r["level"]) for r in rows(tmp_path / folder / "vertebrae.csv")]
        assert [(row["study"], row["level"]) for row in found] == known
        for row in found:
            if row["called"]:
                assert [row[name] for name in FEATURES] == [
                    own[row["called"]][name] for name in FEATURES
                ]
    stable = rows(tmp_path / "asked" / "stable.csv")
    assert [row["feature"] for row in stable] == list(FEATURES)
    assert float(next(iter(stable))["icc_outline"]) > 0.75
    assert {row["stable"] for row in stable} == {"false"}  # of one study's few vertebrae
