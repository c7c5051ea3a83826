"""ROC curve, area and DeLong's tests, against scikit-learn and the variance by its definition."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from tests.evaluation.made import EXACT, scored
from tests.examples import examples
from vfx_edge.evaluation.roc import auc, auc_delong, delong_test, roc_curve

Floats = NDArray[np.float64]


def covariance(p: Floats, truth: NDArray[np.bool_], patients: Any) -> Floats:
    """Of the areas of p (k, n): Obuchowski 1997, sum by sum, with every pair compared. One patient
    a case makes it DeLong, DeLong and Clarke-Pearson 1988."""
    pairs = (p[:, truth, None] > p[:, None, ~truth]) + 0.5 * (
        p[:, truth, None] == p[:, None, ~truth]
    )
    area = pairs.mean((1, 2))
    whose, m, n = np.asarray(patients), int(truth.sum()), int((~truth).sum())
    names = np.unique(whose)
    x = np.array([(pairs.mean(2) - area[:, None])[:, whose[truth] == i].sum(1) for i in names])
    y = np.array([(pairs.mean(1) - area[:, None])[:, whose[~truth] == i].sum(1) for i in names])
    with_x, with_y, every = len(set(whose[truth])), len(set(whose[~truth])), len(names)
    s10 = with_x / ((with_x - 1) * m) * x.T @ x
    s01 = with_y / ((with_y - 1) * n) * y.T @ y
    s11 = every / (every - 1) * x.T @ y
    return np.asarray(s10 / m + s01 / n + (s11 + s11.T) / (m * n))


@given(scored())
@examples(40)
def test_curve_and_area_are_scikit_learns(data: tuple[Any, ...]) -> None:
    truth, p = data
    assert auc(p, truth) == pytest.approx(metrics.roc_auc_score(truth, p), abs=EXACT)
    curve = roc_curve(p, truth)
    assert curve is not None
    alarms, hits, thresholds = metrics.roc_curve(truth, p, drop_intermediate=False)
    assert curve.false_positive_rate == pytest.approx(alarms, abs=EXACT)
    assert curve.true_positive_rate == pytest.approx(hits, abs=EXACT)
    assert curve.thresholds == pytest.approx(thresholds)


@given(scored(least=4, scores=2))
@examples(60)
def test_delong_is_what_its_definition_makes_of_each_pair(data: tuple[Any, ...]) -> None:
    truth, one, other = data
    truth[1], truth[2] = True, False  # two of each
    for patients in (None, np.arange(len(truth)) // 2, np.arange(len(truth)) % 3):
        whose = np.arange(len(truth)) if patients is None else patients
        if min(len(set(whose[truth])), len(set(whose[~truth]))) < 2:
            continue
        wanted = covariance(np.array([one, other]), truth, whose)
        found = auc_delong(one, truth, patients)
        assert found is not None
        if found.low is not None and found.high is not None:
            reach = np.log(found.high / (1 - found.high)) - np.log(found.low / (1 - found.low))
            error = reach / 2 / stats.norm.ppf(0.975) * found.value * (1 - found.value)
            assert error == pytest.approx(wanted[0, 0] ** 0.5, abs=EXACT)
        test = delong_test(one, other, truth, patients)
        assert test is not None
        variance = wanted[0, 0] + wanted[1, 1] - 2 * wanted[0, 1]
        if variance > 1e-12:
            z = (test.auc_one - test.auc_other) / variance**0.5
            assert test.z == pytest.approx(z, abs=EXACT)
            assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), abs=EXACT)
            # the ends lie symmetrically, unless a difference of areas cannot be so large
            middle = ((test.difference.low or 0) + (test.difference.high or 0)) / 2
            assert abs(middle - test.difference.value) < EXACT or 1 in (
                abs(test.difference.low or 0),
                abs(test.difference.high or 0),
            )


@given(scored(least=4))
@examples(40)
def test_the_same_scores_do_not_differ(data: tuple[Any, ...]) -> None:
    truth, p = data
    truth[1], truth[2] = True, False
    for other in (p, p / 3 + 0.1):
        found = delong_test(p, other, truth)
        assert found is not None
        assert (found.difference.value, found.z, found.p_value) == (0.0, 0.0, 1.0)


def test_what_is_not_defined_is_none_and_says_so_quietly() -> None:
    p, truth = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one_class in (truth | True, truth & False):
            assert auc(p, one_class) is None
            assert roc_curve(p, one_class) is None
            assert auc_delong(p, one_class) is None
            assert delong_test(p, p, one_class) is None
        perfect = auc_delong(p, truth)
        assert perfect is not None
        assert (perfect.value, perfect.low, perfect.high) == (1.0, None, None)
        assert "no spread" in perfect.method
        opposite = delong_test(p, -p, truth)
        assert opposite is not None
        assert (opposite.difference.value, opposite.p_value) == (1.0, None)
        single = auc_delong(p[1:], np.array([False, True, True]))
        assert single is not None
        assert "one case of a class" in single.method
    with pytest.raises(ValueError, match="finite"):
        auc([0.1, np.nan], [True, False])
