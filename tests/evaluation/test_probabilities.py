"""Calibration, decision curve and numbers of cases, against scikit-learn and statsmodels."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from scipy import stats
from scipy.special import logit
from sklearn import calibration as peers
from sklearn import metrics

from tests.evaluation.made import EXACT, scored
from tests.examples import examples
from vfx_edge.evaluation.calibration import (
    brier,
    brier_parts,
    expected_error,
    log_loss,
    recalibration,
    reliability,
)
from vfx_edge.evaluation.decision import net_benefit
from vfx_edge.evaluation.sample_size import cases_for, cases_for_auc, hanley_mcneil


@given(scored(both=False))
@examples(60)
def test_brier_and_log_loss_are_scikit_learns(data: tuple[Any, ...]) -> None:
    truth, p = data
    assert brier(p, truth) == pytest.approx(metrics.brier_score_loss(truth, p), abs=EXACT)
    wanted = metrics.log_loss(truth, p, labels=[False, True])
    assert log_loss(p, truth) == pytest.approx(wanted, abs=EXACT)
    parts = brier_parts(p, truth)
    assert parts is not None
    whole = parts.reliability - parts.resolution + parts.uncertainty
    assert whole == pytest.approx(brier(p, truth), abs=EXACT)


def test_none_of_none() -> None:
    assert [of([], []) for of in (brier, log_loss, brier_parts)] == [None] * 3
    assert (reliability([], [], equal="mass"), net_benefit([], [], [0.5])) == ([], ())


@given(scored(least=20))
@examples(40)
def test_bins_are_scikit_learns(data: tuple[Any, ...]) -> None:
    truth, p = data
    p = np.clip(p, 0.001, 0.999) + 1e-4  # not on an edge, which scikit-learn gives to the lower bin
    bins = reliability(p, truth, 5)
    right, said = peers.calibration_curve(truth, p, n_bins=5)
    assert [one.right for one in bins] == pytest.approx(right, abs=EXACT)
    assert [one.said for one in bins] == pytest.approx(said, abs=EXACT)


def test_bins_of_equal_mass_hold_about_as_many_each_and_keep_equal_ones_together() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(101) ** 4
    truth = rng.random(101) < p
    bins = reliability(p, truth, 10, "mass")
    assert {one.count for one in bins} <= {10, 11}
    right, said = peers.calibration_curve(truth[:100], p[:100], n_bins=10, strategy="quantile")
    bins = reliability(p[:100], truth[:100], 10, "mass")
    assert [one.right for one in bins] == pytest.approx(right, abs=EXACT)
    assert [one.said for one in bins] == pytest.approx(said, abs=EXACT)
    assert expected_error(bins) == pytest.approx(np.abs(right - said).mean(), abs=EXACT)
    tied = reliability([0.2] * 7 + [0.9] * 3, [False] * 10, 5, "mass")
    assert [one.count for one in tied] == [7, 3]


@given(scored(least=10))
@examples(25)
def test_slope_and_intercept_are_statsmodels(data: tuple[Any, ...]) -> None:
    truth, p = data
    p = np.clip(p, 0.02, 0.98)
    found = recalibration(p, truth)
    apart = p[truth].min() >= p[~truth].max() or p[truth].max() <= p[~truth].min()
    assert (found is None) == bool(apart or np.ptp(p) == 0)
    if found is None:
        return
    family = sm.families.Binomial()
    x = logit(p)
    until = {"tol": 1e-13, "tol_criterion": "params"}
    so = truth.astype(float)
    both = sm.GLM(so, sm.add_constant(x), family=family).fit(**until)
    large = sm.GLM(so, np.ones_like(x), family=family, offset=x).fit(**until)
    assert (found.intercept, found.slope) == pytest.approx(both.params, rel=EXACT, abs=EXACT)
    assert found.in_the_large == pytest.approx(large.params[0], rel=EXACT, abs=EXACT)


def test_net_benefit_by_hand() -> None:
    p, truth = [0.9, 0.6, 0.6, 0.2, 0.1], [True, True, False, False, True]
    none, third, high = net_benefit(p, truth, [0.0, 0.25, 0.8])
    assert (none.model, none.treat_all) == (0.6, 0.6)  # at no cost, acting finds each of them
    assert third.model == pytest.approx(2 / 5 - 1 / 5 / 3)
    assert third.treat_all == pytest.approx(3 / 5 - 2 / 5 / 3)
    assert high.model == pytest.approx(1 / 5)
    assert high.treat_none == 0
    with pytest.raises(ValueError, match="below 1"):
        net_benefit(p, truth, [1.0])


@pytest.mark.parametrize(("share", "half"), [(0.9, 0.05), (0.5, 0.1), (0.95, 0.03), (1.0, 0.02)])
def test_the_least_number_of_cases_is_the_least(share: float, half: float) -> None:
    def width(of: int) -> float:
        z = stats.norm.ppf(0.975)
        spread = share * (1 - share) / of + z**2 / 4 / of**2
        return float(z * spread**0.5 / (1 + z**2 / of))

    enough = cases_for(share, half)
    assert width(enough) <= half < width(enough - 1)
    ends = stats.binomtest(20 * enough, 20 * enough).proportion_ci(method="wilson")
    if share == 1:  # all of them: Wilson's lower end alone, z² / (n + z²)
        assert (1 - ends.low) / 2 == pytest.approx(width(20 * enough), abs=EXACT)


def test_hanley_and_mcneils_error_is_theirs() -> None:
    """Hanley and McNeil 1982: 51 abnormal, 58 normal, area 0.893, printed as 0.032."""
    assert hanley_mcneil(0.893, 51, 58) == pytest.approx(0.032, abs=6e-4)
    positive, negative = cases_for_auc(0.85, 0.06, negatives_per_positive=2)
    assert negative == 2 * positive
    z = stats.norm.ppf(0.975)
    fewer = hanley_mcneil(0.85, positive - 1, 2 * positive - 2)
    assert z * hanley_mcneil(0.85, positive, negative) <= 0.06 < z * fewer
