"""Thresholds on fresh phantoms: how they are counted, on answers that are made up."""

import numpy as np

from benchmarks import results, thresholds
from models.recipes.scorecard.render import BEGIN


def answers(shift: float = 0.0, phantoms: int = 400) -> thresholds.Answers:
    """Three vertebrae a phantom, half of them malignant. shift: of the log odds of the malignant
    ones of every second phantom, which are harder."""
    rng = np.random.default_rng(4)
    owner = np.repeat(np.arange(phantoms), 3)
    malignant = owner < phantoms // 2
    odds = rng.normal(np.where(malignant, 2.0, -2.0), 1.5) - shift * (owner % 2) * malignant
    p = 1 / (1 + np.exp(-odds))
    return thresholds.Answers(np.stack([1 - p, p], -1), malignant, owner, strange=3)


def test_what_is_chosen_on_is_never_fresh_and_phantoms_stay_whole() -> None:
    found = thresholds.kept_on_fresh(answers(), splits=40, chosen=200)
    assert found["chosen"] == 201
    assert found["fresh"] == 600 - 201
    assert abs(found["sensitivity"] - 0.95) < 0.01
    assert found["within"] > 0.8


def test_answers_that_differ_from_phantom_to_phantom_spread_more() -> None:
    plain, harder = (
        thresholds.kept_on_fresh(answers(shift), splits=40, chosen=60) for shift in (0.0, 3.0)
    )
    assert harder["deviation"] > plain["deviation"]
    assert harder["specificity"] < plain["specificity"]


def test_the_page_is_what_was_measured() -> None:
    text = thresholds.PAGE.read_text("utf-8")
    found = results.read(thresholds.NAME)
    assert BEGIN.format(thresholds.NAME) in text
    if found is not None:
        assert thresholds.page(text, results.flat(found)) == text, "python -m benchmarks thresholds"
