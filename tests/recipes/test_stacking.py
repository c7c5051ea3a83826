"""Weights of two readers: what tells something counts, what tells nothing is left out."""

import numpy as np
import pytest

from models.recipes.tabular.fusion import fuse
from models.recipes.tabular.stacking import Weights, stacked
from models.recipes.tabular.table import Answered
from vfx_edge.spine.second_readers import log_odds

CASES = 240


def readers(tells: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Log odds of a network with a hunch and of numbers that tell so much; truth; three cases a
    patient."""
    rng = np.random.default_rng(seed)
    malignant = np.repeat(np.arange(CASES // 3) % 2 == 0, 3)
    sign = np.where(malignant, 1.0, -1.0)
    both = np.stack([sign + rng.normal(0, 1.5, CASES), tells * sign + rng.normal(0, 1, CASES)], 1)
    return both, malignant, tuple(map(str, np.repeat(np.arange(CASES // 3), 3)))


def test_what_tells_something_counts_and_its_answers_are_calibrated() -> None:
    both, malignant, patients = readers(1.0)
    weights = stacked(both, malignant, patients)
    assert weights.network > 0.2
    assert weights.tabular > 0.5
    p = 1 / (1 + np.exp(-weights.log_odds(both)))
    assert p.mean() == pytest.approx(malignant.mean(), abs=1e-3)


def test_who_speaks_for_the_contrary_or_says_the_same_of_all_is_not_asked() -> None:
    both, malignant, patients = readers(-1.0)
    assert stacked(both, malignant, patients).tabular == 0
    constant = np.stack([both[:, 0], np.full(CASES, 0.3)], 1)
    assert stacked(constant, malignant, patients).tabular == 0


def test_without_a_word_of_the_numbers_the_order_is_the_networks_to_the_bit() -> None:
    both, malignant, patients = readers(-1.0)
    network, tabular = (1 / (1 + np.exp(-both.T))).tolist()
    cases = Answered(patients, malignant, np.array(network), np.array(tabular))
    fused = fuse(cases)
    assert fused.weights.tabular == 0
    assert np.array_equal(fused.ranks, cases.log_odds[:, 0])
    gain = fused.against_network
    assert gain is not None
    assert (gain.difference.value, gain.p_value) == (0.0, 1.0)


def test_ranks_are_in_the_order_of_the_answers() -> None:
    both, *_ = readers(1.0)
    for weights in (Weights(1.0, 0.5, -2.0), Weights(0.0, 0.7, 1.0), Weights(0.3, 0.0, 0.0)):
        order = np.argsort(weights.ranks(both))
        assert (np.diff(weights.log_odds(both)[order]) >= -1e-12).all()


def test_as_scikit_learns_they_answer_the_same() -> None:
    weights = Weights(0.8, 0.4, -0.3)
    both, *_ = readers(1.0)
    found = weights.pipeline().predict_proba(both)[:, 1]
    assert np.allclose(found, [1 / (1 + np.exp(-odds)) for odds in weights.log_odds(both)])
    assert log_odds(1 - found[0], found[0]) == pytest.approx(weights.log_odds(both[:1])[0])
