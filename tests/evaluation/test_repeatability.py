"""Repeatability against published worked examples and the definitions."""

import numpy as np
import pytest
from scipy import stats

from vfx_edge.evaluation.repeatability import (
    change,
    clustered_limits,
    flips,
    limits_of_agreement,
    within_subject,
)

# Bland and Altman, BMJ 1996;312:1654: peak expiratory flow (l/min) of 20 children, four times each
CHILDREN = """
190 220 200 200  220 200 240 230  260 260 240 280  210 300 280 265  270 265 280 270
280 280 270 275  260 280 280 300  275 275 275 305  280 290 300 290  320 290 300 290
300 300 310 300  270 250 330 370  320 330 330 330  335 320 335 375  350 320 340 365
360 320 350 345  330 340 380 390  335 385 360 370  400 420 425 420  430 460 480 470
"""
FLOW = np.array(CHILDREN.split(), float).reshape(20, 4)
CHILD = np.repeat(np.arange(20), 4)
# Bland and Altman, Lancet 1986;1:307: two meters, two readings each
WRIGHT = """494 490 395 397 516 512 434 401 476 470 557 611 413 415 442 431 650 638 433 429
417 420 656 633 267 275 478 492 178 165 423 372 427 421"""
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
LARGE = np.array(WRIGHT.split(), float).reshape(17, 2)


def test_within_subject_deviation_is_the_published_one() -> None:
    found = within_subject(FLOW.ravel(), CHILD.tolist())
    assert found is not None
    assert (found.subjects, found.measurements) == (20, 80)
    assert found.sd.value**2 == pytest.approx(460.52, abs=0.005)  # residual mean square, 60 d.f.
    assert found.sd.value == pytest.approx(21.5, abs=0.05)
    assert round(found.coefficient.value, -1) == 60  # l/min, as printed


def test_within_subject_deviation_is_that_of_the_analysis_of_variance() -> None:
    uneven = [FLOW[i, : 2 + i % 3] for i in range(20)]
    values = np.concatenate(uneven)
    subjects = [i for i, of in enumerate(uneven) for _ in of]
    within = sum(((of - of.mean()) ** 2).sum() for of in uneven)
    found = within_subject([*values, 999.0], [*subjects, "measured once"])
    assert found is not None
    freedom = len(values) - 20
    assert found.sd.value == pytest.approx((within / freedom) ** 0.5, abs=1e-12)
    assert found.sd.low is not None
    assert found.sd.high is not None
    # the interval's ends are the deviations that the observed one would just be rejected for
    assert stats.chi2.sf(within / found.sd.low**2, freedom) == pytest.approx(0.025, abs=1e-9)
    assert stats.chi2.cdf(within / found.sd.high**2, freedom) == pytest.approx(0.025, abs=1e-9)
    assert found.coefficient.high == pytest.approx(2.7718 * found.sd.high, rel=1e-4)


def test_of_pairs_it_is_the_root_of_half_the_mean_square() -> None:
    found = within_subject(LARGE.ravel(), np.repeat(np.arange(17), 2).tolist())
    assert found is not None
    gaps = LARGE[:, 0] - LARGE[:, 1]
    assert found.sd.value == pytest.approx(float(np.sqrt((gaps**2).mean() / 2)), abs=1e-12)
    assert found.sd.value == pytest.approx(15.3, abs=0.05)  # Bland and Altman 1999, Wright meter


def test_several_vertebrae_of_a_patient_are_no_patients() -> None:
    patients = [child // 4 for child in CHILD]
    alone = within_subject(FLOW.ravel(), CHILD.tolist())
    together = within_subject(FLOW.ravel(), CHILD.tolist(), patients)
    assert alone
    assert together
    assert together.sd.value == pytest.approx(alone.sd.value, abs=1e-12)
    assert "over 5 patients" in together.sd.method
    assert together.sd.low is not None
    assert together.sd.low < together.sd.value


def test_limits_of_agreement_are_the_published_ones() -> None:
    found = limits_of_agreement(MINI, LARGE[:, 0])
    assert found is not None
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    # as printed, with 2 for 1.96 and 3/n for the limits' variance
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.3)
    assert (found.lower.value, found.upper.value) == pytest.approx((-79.7, 75.5), abs=2)
    assert (found.lower.low, found.lower.high) == pytest.approx((-114.3, -45.1), abs=2.5)
    assert (found.upper.low, found.upper.high) == pytest.approx((40.9, 110.1), abs=2.5)
    again = clustered_limits(MINI, LARGE[:, 0], list(range(17)))
    assert again == found


def test_limits_of_clusters_keep_their_values() -> None:
    plain = limits_of_agreement(MINI, LARGE[:, 0])
    clustered = clustered_limits(MINI, LARGE[:, 0], [i // 2 for i in range(17)])
    assert plain
    assert clustered
    for one, other in ((plain.bias, clustered.bias), (plain.upper, clustered.upper)):
        assert one.value == pytest.approx(other.value, abs=1e-9)
    assert "over 9 patients" in clustered.lower.method


def test_change_of_a_probability() -> None:
    found = change([0.2, 0.5, 0.9, 0.4], [0.2, 0.65, 0.6, 0.45], list("abcd"))
    assert found is not None
    assert found.mean.value == pytest.approx((0.15 - 0.3 + 0.05) / 4)
    assert found.sd == pytest.approx(np.std([0, 0.15, -0.3, 0.05], ddof=1))
    assert found.largest == pytest.approx(0.3)
    assert (found.changed.count, found.changed.of) == (2, 4)


def test_flips_of_verdicts() -> None:
    found = flips(["a", "a", "b", "b"], ["a", "b", "b", "b"], list("pqrs"))
    assert found is not None
    assert (found.share.count, found.share.of, found.share.method) == (1, 4, "Wilson")
    assert found.pairs == {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 2}


def test_no_flip_of_clustered_cases_still_has_an_upper_end() -> None:
    found = flips(["a"] * 6, ["a"] * 6, [0, 0, 1, 1, 2, 2])
    assert found is not None
    assert (found.share.value, found.share.count, found.share.of) == (0, 0, 6)
    assert found.share.high == pytest.approx(stats.binomtest(0, 3).proportion_ci(0.95, "wilson")[1])


def test_the_only_patient_counts_once() -> None:
    found = flips(["a", "a", "a"], ["a", "b", "a"], [0, 0, 0])
    assert found is not None
    assert (found.share.count, found.share.of) == (1, 3)
    assert found.share.method == "Wilson, 3 cases of 1 patients as 1.0"


def test_nothing_repeated_is_none_and_one_pair_is_no_limit() -> None:
    assert within_subject([1.0, 2.0], ["a", "b"]) is None
    assert limits_of_agreement([1.0], [2.0]) is None
    assert clustered_limits([], [], []) is None
    assert change([], [], []) is None
    assert flips([], [], []) is None
    same = within_subject([1.0, 1.0], ["a", "a"])
    assert same is not None
    assert (same.sd.value, same.sd.low) == (0, None)
