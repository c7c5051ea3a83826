"""Which features repeat well enough to go on, and their table."""

from pathlib import Path

import numpy as np
import pytest

from vfx_edge.evaluation.agreement import icc
from vfx_edge.scoring.answers import Answer, Seen
from vfx_edge.scoring.perturb import OUTLINE, PERTURBATIONS
from vfx_edge.scoring.repeat import chosen
from vfx_edge.scoring.repeat_features import LEAST_VERTEBRAE, FeaturePairs, write_stable
from vfx_edge.scoring.repeated import RepeatedStudy, pairs_of
from vfx_edge.tuning.errors import EvaluationUnreadable, ModelNotNamed
from vfx_edge.tuning.stable import stable_features

VERTEBRAE = 40
ERRORS = {"steady": 0.1, "shaky": 1.5, "half": 0.1}
"""Of a second look, in deviations between vertebrae; "half" shakes in one way to repeat alone."""


def collected(vertebrae: int = VERTEBRAE, model: str = "m") -> FeaturePairs:
    """Two ways to repeat, a patient a vertebra."""
    rng = np.random.default_rng(5)
    found = FeaturePairs()
    for comparison in ("noise", "outline"):
        for patient in range(vertebrae):
            first = {name: float(rng.normal()) for name in ERRORS} | {"constant": 1.0}
            shaky = ERRORS | ({"half": 1.5} if comparison == "outline" else {})
            second = {n: first[n] + float(rng.normal()) * shaky[n] for n in ERRORS}
            answers = [
                Answer((Seen("L1", (0.0, 0.0, 0.0), features=features),), (), "")
                for features in (first, second | {"constant": 1.0})
            ]
            study = RepeatedStudy(model, comparison, f"s{patient}", comparison, f"p{patient}")
            found.add(study, pairs_of(study, answers[0], answers[1]))
    return found


def test_a_feature_is_stable_where_it_repeats_in_every_way() -> None:
    rows = {row.feature: row for row in collected().repeats()}
    assert [name for name, row in rows.items() if row.stable] == ["steady"]
    assert rows["half"].worst is not None
    assert rows["half"].worst[0] == "outline"
    assert rows["constant"].worst is None
    assert rows["steady"].by["noise"][1] == VERTEBRAE


def test_the_figure_is_the_agreement_of_the_evaluation() -> None:
    pairs = collected()
    (steady,) = (row for row in pairs.repeats() if row.feature == "steady")
    both = [[a.features["steady"], b.features["steady"]] for _, a, b in pairs.of("m", "noise")]
    wanted = icc(both, "ICC(2,1)")
    found = steady.by["noise"][0]
    assert wanted is not None
    assert found is not None
    assert found.value == pytest.approx(wanted.value)


def test_of_few_vertebrae_nothing_is_stable() -> None:
    assert not any(row.stable for row in collected(LEAST_VERTEBRAE - 1).repeats())


def test_the_recipe_reads_what_is_stable(tmp_path: Path) -> None:
    write_stable(tmp_path, collected().repeats())
    assert stable_features(tmp_path) == stable_features(tmp_path, "m") == ("steady",)
    with pytest.raises(ModelNotNamed):
        stable_features(tmp_path, "other")
    write_stable(tmp_path, (*collected().repeats(), *collected(model="n").repeats()))
    with pytest.raises(ModelNotNamed, match="several model sets"):
        stable_features(tmp_path)
    (tmp_path / "stable.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(EvaluationUnreadable, match="other columns"):
        stable_features(tmp_path)
    (tmp_path / "stable.csv").unlink()
    with pytest.raises(EvaluationUnreadable, match="--repeat --radiomics"):
        stable_features(tmp_path)


def test_an_outline_is_moved_only_for_radiomics() -> None:
    assert chosen("all") == PERTURBATIONS
    assert chosen("all", radiomics=True) == (*PERTURBATIONS, OUTLINE)
    assert chosen("outline", radiomics=True) == (OUTLINE,)
