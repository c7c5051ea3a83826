"""The scorecard counts what it says it counts, and the documents hold what was measured."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from models.recipes.scorecard import (
    about,
    goals,
    parts,
    phantoms,
    real,
    render,
    specs,
    synthetic,
)
from models.recipes.scorecard.chain import Fold, choose
from tests.evaluation.test_matching import COLUMN, found
from tests.spine.world import FACTS, broken, masks_of
from vfx_edge.evaluation.matching import Counts
from vfx_edge.phantom import Phantom
from vfx_edge.study import (
    Analysis,
    BackendUse,
    Finding,
    Heights,
    Measurement,
    NotClassified,
    RunInfo,
    StudyResult,
    Tier,
    Triage,
)

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "models" / "default"
SCORED = DEFAULT / "scorecard.json"


def test_every_suspicion_in_an_intact_spine_counts_but_not_of_a_known_fracture() -> None:
    known: dict[str, Any] = {
        n: {"lps_mm": list(p.lps_mm), "whole": p.whole} for n, p in COLUMN.items()
    }
    findings = [found("T12", 120, True), found("L1", 90), found("L2", 60, None), found("L3", 30)]
    row = real.row_of(findings, {"vertebrae": known})
    assert (row["intact_suspected"], row["intact_judged"]) == (1, 3)
    assert row["anchored"]
    known["T12"]["fractured"] = True
    row = real.row_of(findings, {"vertebrae": known})
    assert (row["intact_suspected"], row["intact_judged"]) == (0, 2)


def test_a_ct_is_scored_by_the_set_that_left_its_patient_out() -> None:
    thorax, lumbar = "ct_head_to_thorax_4mm_dicom", "ct_thoracolumbar_4mm_dicom"
    default = Path("default")
    half = Fold("half", Path("half"), {"labeller": frozenset({thorax})})
    both = Fold("both", Path("both"), {"labeller": frozenset({thorax, lumbar})})
    assert choose(thorax, (half, both), default).folder == Path("both")
    assert not choose(thorax, (half, both), default).trained_on
    assert choose(thorax, (half,), default).trained_on  # the other scan shows the same bones
    assert choose(lumbar, (half,), default).folder == default
    assert choose(lumbar, (half,), default).note == "trained on"
    assert choose(thorax, (both,), default).note == "left out of labeller"
    assert choose(thorax, (both,), default, role="segmenter").trained_on


def test_phantoms_are_those_of_the_condition_and_of_no_training() -> None:
    every = {c.key: specs.specs(c, 3) for c in specs.CONDITIONS}
    seeds = [s.seed for of in every.values() for s in of]
    assert len(set(seeds)) == len(seeds)
    assert {s.spacing_mm for s in every["5mm"]} == {5.0}
    assert {abs(s.scoliosis_deg) for s in every["scoliosis"]} == {40.0}
    assert all(s.margin_mm[0] < 0 < s.margin_mm[1] for s in every["cut_top"])
    assert all(2 <= len(s.fractures) <= 4 for s in every["fractures"])
    assert not any(s.fractures or s.lesions for s in every["plain"])
    assert specs.specs(specs.CONDITIONS[0], 1) == every["plain"][:1]


def analysis_of(made: Phantom, off_mm: float, suspected: set[str]) -> Analysis:
    """What a chain would say that sees the truth, but reads heights `off_mm` too large."""
    findings = []
    for mask, truth in zip(masks_of(made), made.truth.levels, strict=True):
        front, middle, rear = (h + off_mm for h in truth.heights_mm)
        heights = Heights(front, middle, rear) if truth.whole_in_view else None
        told = None if heights is None else truth.level in suspected
        measured = Measurement(heights, 0.0, 0, told)
        findings.append(Finding(mask.vertebra, measured, NotClassified("none")))
    run = RunInfo("", "", "", "", (), BackendUse("", "", "", ""), {}, 0.0, None, ())
    result = StudyResult(FACTS, Triage(Tier.NONE_SUSPECTED, "", ()), tuple(findings), run)
    return Analysis(result, made.scan, masks_of(made))


def test_a_phantom_is_tallied_against_its_truth() -> None:
    made = broken("L1:wedge:0.4", "L3:crush:0.15")
    scan = synthetic.from_phantom(made)
    whole = [t.level for t in made.truth.levels if t.whole_in_view]
    tally, errors = phantoms.tallied(scan, analysis_of(made, 0.5, {"L1", "T12"}), 2.0)
    assert not errors
    assert tally.counts.near == tally.counts.right == len(whole)
    assert tally.dice / tally.dice_of > 0.99
    assert tally.height_mm / tally.heights == pytest.approx(0.5)
    assert tally.heights == 3 * len(whole)
    assert (tally.broken, tally.broken_suspected) == (1, 1)  # 15 % is no fracture of grade 2
    assert (tally.intact_suspected, tally.intact_judged) == (1, len(whole) - 2)
    blind, errors = phantoms.tallied(scan, None, 2.0)
    assert (blind.counts.near, blind.broken, blind.broken_suspected) == (0, 1, 0)
    assert len(errors) == len(whole)


def row(**trunk: int) -> dict[str, Any]:
    counts = asdict(replace(Counts(), **trunk))
    return {
        "name": "ct", "note": "left out (a)", "trained_on": False, "anchored": True,
        "trunk": counts, "neck": asdict(Counts()), "intact_judged": 40,
        "intact_suspected": 1, "suspected_levels": ["T5"], "errors": [], "seconds": 1.0,
        "coarse": False, "not_judged": {"metal": 1},
    }  # fmt: skip


def card(**trunk: int) -> dict[str, Any]:
    rows = [row(**trunk)]
    return {
        "set": {"name": "x", "version": "1", "megabytes": 41.0, "sha256": {"locator": "ab" * 32}},
        "machine": {"date": "2026-01-01", "cpu": "c", "cores": 2, "backend": "b", "device": "d",
                    "precision": "p", "python": "3", "versions": {}},
        "real": {"rows": rows, "total": real.summed(rows)},
    }  # fmt: skip


def states(made: dict[str, Any]) -> dict[str, str]:
    return {g.figure.split(":")[-1].strip(): g.state for g in goals.goals(made)}


def test_the_text_says_missed_where_a_figure_is_missed() -> None:
    made = card(whole=20, near=18, near_20=19, right=18, judged=19)
    state = states(made)
    assert state["vertebrae wholly in view, C2 to L5, found within 10 mm"] == goals.MISSED
    assert state["vertebrae doubled or invented"] == goals.MET
    assert state["intact vertebrae suspected"] == goals.MET
    assert state["size of the set"] == goals.MISSED
    lines = [line for line in render.full(made).splitlines() if "found within 10 mm |" in line]
    assert len(lines) == 1
    assert "90.0 % (18 of 20)" in lines[0]
    assert "MISSED" in lines[0]
    assert "3 goals were missed" in render.short(made)
    assert "`ct`: not judged: 1 metal" in render.full(made)


def test_a_figure_reached_on_training_data_is_not_called_met() -> None:
    made = card(whole=20, near=20, near_20=20, right=20, judged=20)
    assert states(made)["vertebrae doubled or invented"] == goals.MET
    made["real"]["total"]["trained_on"] = True
    assert goals.MET not in states(made).values()


def test_what_was_not_measured_is_said() -> None:
    made = card(whole=0)
    assert states(made)["phantoms"] == states(made)["classifier"] == goals.UNKNOWN
    found = "vertebrae wholly in view, C2 to L5, found within 10 mm"
    assert states(made)[found] == goals.UNKNOWN
    assert states(made)["names under cuts"] == goals.UNKNOWN
    assert "### Phantoms that no training has seen\n\nNot measured." in render.full(made)


CLASSIFIER = {
    "chosen": {"threshold_malignant": 0.9, "threshold_osteoporotic": 0.8, "temperature": None},
    "crops": 100, "phantoms": 40, "auc": 0.9, "auc_low": 0.8, "auc_high": 0.95,
    "sensitivity": 0.9, "specificity": None, "accuracy_told": 0.9,
    "malignant_not_called_osteoporotic": 0.94, "uncertain": 0.1, "not_assessable": 0.02,
    "calibration_curve": [{"p": 0.04, "malignant": 0.1, "crops": 50}], "calibration_error": 0.03,
    "outliers": [
        {"kind": "air", "trained": True, "plain": 0.5, "flips": 0.4, "flips_distance": 0.0}
    ],
    "attacks": [
        {"attack": "ramp", "plain": 0.3, "flips": 0.2, "flips_distance": 0.1, "told_rightly": 0.8}
    ],
}  # fmt: skip


def test_the_classifier_is_said_to_know_synthetic_fractures_only() -> None:
    made = card(whole=1) | {"classifier": CLASSIFIER}
    text = render.full(made)
    assert "Trained on synthetic fractures only" in text
    assert "| 0.04 | 0.10 | 50 |" in text
    assert "| air | 50.0 % | 40.0 % | 0.0 % |" in text
    assert states(made)["malignant ones not called osteoporotic"] == goals.MISSED
    assert states(made)["uncertain"] == goals.MET


def test_the_classifier_is_held_to_what_its_thresholds_were_chosen_for() -> None:
    pytest.importorskip("torch")
    from models.recipes.classifier import calibration

    assert calibration.SENSITIVITY == goals.SENSITIVITY
    assert calibration.UNCERTAIN == goals.UNCERTAIN


def test_figures_of_other_weights_are_not_kept(tmp_path: Path) -> None:
    parts.keep("real", {"x": 0.123456}, {"model": {"locator": "a"}}, tmp_path)
    assert parts.kept("real", {"model": {"locator": "a"}}, tmp_path) == ({"x": 0.1235}, "")
    figures, why = parts.kept("real", {"model": {"locator": "b"}}, tmp_path)
    assert figures is None
    assert "other weights" in why


def test_text_outside_the_markers_stays() -> None:
    text = "a\n<!-- scorecard:begin -->\nold\n<!-- scorecard:end -->\nb\n"
    once = render.replaced(text, "scorecard", "new\n")
    assert once == "a\n<!-- scorecard:begin -->\nnew\n<!-- scorecard:end -->\nb\n"
    assert render.replaced(once, "scorecard", "new\n") == once
    with pytest.raises(ValueError, match="scorecard-short"):
        render.replaced(text, "scorecard-short", "new\n")


def test_the_documents_hold_the_figures_of_the_weights_that_ship() -> None:
    """After new weights: python -m models.recipes.scorecard … --write."""
    scored = json.loads(SCORED.read_text("utf-8"))
    assert scored["set"]["sha256"] == about.hashes(DEFAULT)
    texts = {
        "models/default/card.md": ("scorecard", render.full(scored)),
        "README.md": ("scorecard-short", render.short(scored)),
    }
    for path, (name, text) in texts.items():
        page = (ROOT / path).read_text("utf-8")
        assert render.replaced(page, name, text) == page, f"{path} holds other figures"
