"""Shares, their intervals and the bootstrap, against SciPy, statsmodels and scikit-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from tests.evaluation.made import EXACT, scored
from tests.examples import examples
from vfx_edge.evaluation.intervals import Estimate, bootstrap, proportion, share
from vfx_edge.evaluation.rates import Confusion, confusion
from vfx_edge.evaluation.roc import auc

STUDY = Confusion(true_positive=34, false_positive=4, true_negative=26, false_negative=2)
"""60 of 66 right, sensitivity 94 %, specificity 87 %."""


def ends(found: Estimate | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from((0.8, 0.95, 0.99)))
def test_a_share_has_the_interval_that_others_give_it(count: int, of: int, level: float) -> None:
    count = min(count, of)
    for method, scipys in (("wilson", "wilson"), ("clopper-pearson", "exact")):
        wanted = stats.binomtest(count, of).proportion_ci(level, scipys)
        found = proportion(count, of, method, level)  # type: ignore[arg-type]
        assert ends(found) == pytest.approx((wanted.low, wanted.high), abs=EXACT)


def test_no_case_has_no_share() -> None:
    assert proportion(0, 0) is None
    assert share([], []) is None
    with pytest.raises(ValueError, match="3 of 2"):
        proportion(3, 2)


def test_cases_of_one_patient_count_as_fewer() -> None:
    hits = [True, True, False, True, True, True, True, False]
    alone = share(hits, range(8))
    assert alone == proportion(6, 8)
    alike = share([h for h in hits for _ in range(3)], [n for n in range(8) for _ in range(3)])
    # 24 cases in 8 patients that answer alike vary as 8 do, less the one that the mean takes
    for method, name in (("wilson", "wilson"), ("clopper-pearson", "beta")):
        found = share(np.repeat(hits, 3), np.repeat(np.arange(8), 3), method)  # type: ignore[arg-type]
        assert ends(found) == pytest.approx(proportion_confint(5.25, 7, method=name), abs=EXACT)
    assert alike is not None
    assert (alike.count, alike.of, alike.value) == (18, 24, 0.75)
    assert ends(share([True] * 6, [1, 1, 2, 2, 3, 3])) == ends(proportion(3, 3))


@examples(25)
@given(scored(least=6))
def test_the_bootstrap_is_scipys_where_each_patient_has_one_case(data: tuple[Any, ...]) -> None:
    _, p = data

    def value(drawn: Any) -> float:
        # SciPy's takes equal figures that differ by rounding for different ones
        return round(float(p[drawn].mean() ** 2 + p[drawn].max()), 12)

    found = bootstrap(value, np.arange(len(p)), resamples=200, seed=3)
    assert found is not None
    if found.low is None:
        return
    peer = stats.bootstrap(
        (np.arange(len(p)),), value, vectorized=False, n_resamples=200, method="BCa",
        rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    assert ends(found) == pytest.approx((peer.low, peer.high), abs=EXACT)


def test_patients_are_drawn_with_all_of_their_rows() -> None:
    patients = ["b", "a", "b", "c", "a", "b"]
    seen: list[tuple[int, ...]] = []

    def statistic(drawn: Any) -> float:
        seen.append(tuple(np.bincount(drawn, minlength=6).tolist()))
        return float(len(drawn))

    found = bootstrap(statistic, patients, resamples=50)
    assert found is not None
    assert found.value == 6
    assert found.method == "BCa bootstrap over 3 patients"
    assert all(a == c == f and b == e for a, b, c, _, e, f in seen)
    assert {(1, 1, 1, 0, 1, 1), (0, 1, 0, 1, 1, 0), (1, 0, 1, 1, 0, 1)} <= set(seen[-3:])


@pytest.mark.parametrize(
    ("truth", "patients", "why"),
    [
        ([1, 1, 1, 0], [0, 1, 2, 3], "resamples of 4 patients lack it"),
        ([1, 0, 1, 0], [0, 0, 0, 0], "fewer than two patients"),
        ([1, 0] * 20, range(40), "the same in all resamples"),
    ],
)
def test_no_interval_says_why(truth: list[int], patients: Any, why: str) -> None:
    so = np.array(truth, bool)
    p = so * 1.0
    found = bootstrap(lambda n: auc(p[n], so[n]), patients, resamples=300)
    assert found is not None
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert why in found.method
    assert bootstrap(lambda n: auc(p[n], so[n] | True), patients, resamples=9) is None


@examples(40)
@given(scored(both=False))
def test_rates_are_scikit_learns(data: tuple[Any, ...]) -> None:
    truth, p = data
    called = p >= 0.5
    found = confusion(called, truth)
    peers = {
        "accuracy": metrics.accuracy_score(truth, called),
        "sensitivity": metrics.recall_score(truth, called, zero_division=np.nan),
        "specificity": metrics.recall_score(~truth, ~called, zero_division=np.nan),
        "ppv": metrics.precision_score(truth, called, zero_division=np.nan),
        "npv": metrics.precision_score(~truth, ~called, zero_division=np.nan),
    }
    for name, peer in peers.items():
        rate: Estimate | None = getattr(found, name)
        assert (rate is None) == np.isnan(peer)
        assert rate is None or rate.value == pytest.approx(peer, abs=EXACT)
    balanced = found.balanced_accuracy
    assert (balanced is None) == (truth.all() or not truth.any())
    if balanced is not None:
        peer = metrics.balanced_accuracy_score(truth, called)
        assert balanced == pytest.approx(peer, abs=EXACT)
        assert 0 <= ends(found.balanced_accuracy_interval())[0] <= balanced


def test_the_studys_counts_give_the_studys_figures() -> None:
    assert STUDY.accuracy is not None
    assert (STUDY.accuracy.count, STUDY.accuracy.of) == (60, 66)
    rates = (STUDY.sensitivity, STUDY.specificity)
    assert [round(100 * rate.value) for rate in rates if rate] == [94, 87]
    assert round(STUDY.balanced_accuracy or 0, 2) == 0.91


def test_square_and_add_is_newcombes() -> None:
    """Newcombe 1998, table II, contrast (a): 56/70 less 48/80 is 0.2000 (0.0524 to 0.3339)."""
    found = Confusion(true_positive=56, false_negative=14, true_negative=32, false_positive=48)
    low, high = ends(found.balanced_accuracy_interval())
    # (a + (1 - b)) / 2, so a - b is twice it less one
    assert [2 * low - 1, 2 * high - 1] == pytest.approx([0.0524, 0.3339], abs=5e-5)


def test_resamples_that_equal_the_figure_but_for_rounding_are_equal() -> None:
    """A sum of the same numbers in another order may differ in its last digit."""
    hits = np.array([1.0, 0.0] * 30)
    noise = np.random.default_rng(0)

    def rounded(rows: np.ndarray) -> float:
        return float(hits[rows].mean() + noise.choice([-4e-16, 0, 4e-16]))

    plain = bootstrap(lambda rows: float(hits[rows].mean()), np.arange(60))
    found = bootstrap(rounded, np.arange(60))
    assert ends(found) == pytest.approx(ends(plain), abs=EXACT)
    same = bootstrap(lambda _: float(0.7 + noise.choice([0, 2e-16])), np.arange(60))
    assert same is not None
    assert same.low is None
