import numpy as np
import pytest

from vfx_edge.evaluation.conformal import class_limit, least_cases, one_per_patient


@pytest.mark.parametrize(("count", "coverage"), [(19, 0.95), (30, 0.9), (60, 0.95), (137, 0.8)])
def test_sets_hold_the_true_class_as_often_as_stated(count: int, coverage: float) -> None:
    """Over 3,000 calibrations, each tried on one new case; of so many 1.2 points are 3 sigma or
    more. From above the coverage is bounded, too: by 1 / (n + 1)."""
    rng = np.random.default_rng(count)
    old, new = rng.beta(5, 2, (3000, count)), rng.beta(5, 2, 3000)
    limits = np.array([class_limit(row, coverage) for row in old])
    held = (new >= limits).mean()
    spread = 3 * np.sqrt(coverage * (1 - coverage) / 3000)
    assert coverage - spread <= held <= coverage + 1 / (count + 1) + spread


@pytest.mark.parametrize(("coverage", "least"), [(0.95, 19), (0.9, 9), (0.8, 4), (0.99, 99)])
def test_too_few_cases_for_a_coverage_give_no_limit(coverage: float, least: int) -> None:
    values = np.linspace(0.1, 0.9, least)
    assert least_cases(coverage) == least
    assert class_limit(values, coverage) == pytest.approx(0.1, abs=3e-6)
    assert class_limit(values[1:], coverage) is None


def test_an_answer_that_equals_the_limit_is_within_it_in_32_bits() -> None:
    values = np.full(40, np.float32(0.7), np.float64)
    limit = class_limit(values, 0.95)
    assert limit is not None
    assert np.float32(0.7) >= limit > 0.69999


def test_one_row_is_drawn_of_each_patient() -> None:
    patients = ["a", "b", "a", "c", "b", "a"]
    drawn = one_per_patient(patients)
    assert sorted(patients[number] for number in drawn) == ["a", "b", "c"]
    seen = {tuple(one_per_patient(patients, seed)) for seed in range(30)}
    assert len(seen) > 1
