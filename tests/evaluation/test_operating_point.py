"""Cuts on p(malignant): what is wanted truly holds by the manifest's own rule, and no other pair of
cuts would have been better."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from vfx_edge.evaluation.operating_point import (
    OperatingPoint,
    Told,
    Wanted,
    calls,
    choose,
    curve,
    cuts,
    held_out,
    told,
)
from vfx_edge.evaluation.rates import Confusion

SHARE = st.sampled_from([None, 0.5, 0.8, 0.9, 0.95, 1.0])
P = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1, width=32, allow_subnormal=False)
)
CASES = st.lists(st.tuples(P, st.booleans()), min_size=2, max_size=14).filter(
    lambda cases: len({malignant for _, malignant in cases}) == 2
)


def by_manifest(p: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """What `spine.classify.decide` calls each, in the network's 32 bits."""
    malignant = p.astype(np.float32)
    osteoporotic = np.float32(1) - malignant
    other = np.where(osteoporotic >= point.threshold_osteoporotic, 0, -1)
    return np.where(malignant >= point.threshold_malignant, 1, other)


def shares(counts: Told) -> tuple[float, float, float]:
    """Sensitivity, specificity, -1 where nobody was told; share uncertain."""
    a, b = counts.answered.sensitivity, counts.answered.specificity
    return a.value if a else -1, b.value if b else -1, counts.uncertain / counts.cases


@given(CASES, SHARE, SHARE, st.sampled_from([None, 0.0, 0.2, 0.5]))
@examples(150)
def test_what_is_said_of_the_cuts_is_what_the_manifest_does_with_them(
    cases: list[tuple[float, bool]],
    sensitivity: float | None,
    specificity: float | None,
    uncertain: float | None,
) -> None:
    p, truth = np.array([one for one, _ in cases]), np.array([so for _, so in cases])
    point = choose(p, truth, Wanted(sensitivity, specificity, uncertain))
    assert told(by_manifest(p, point), truth) == point.told
    found = shares(point.told)
    if uncertain is not None:
        assert found[2] <= uncertain + 1e-9
    if point.met:
        assert found[0] >= (sensitivity or 0) - 1e-9
        assert found[1] >= (specificity or 0) - 1e-9
    best = max(
        _all_pairs(p, truth), key=lambda one: _worth(one, sensitivity, specificity, uncertain)
    )
    wanted = (sensitivity, specificity, uncertain)
    if wanted.count(None) < 2 or uncertain is not None:
        mine, theirs = (_worth(shares(point.told), *wanted), _worth(best, *wanted))
        assert mine == pytest.approx(theirs, abs=1e-9)


def _all_pairs(p: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, float]]:
    pairs = combinations_with_replacement(cuts(p).tolist(), 2)
    return [shares(told(calls(p, low, high), truth)) for low, high in pairs]


def _worth(
    found: tuple[float, float, float],
    sensitivity: float | None,
    specificity: float | None,
    uncertain: float | None,
) -> tuple[float, ...]:
    """The larger the better, written down anew from what the command promises."""
    short = max((sensitivity or -1) - found[0], 0) + max((specificity or -1) - found[1], 0)
    balanced = (found[0] + found[1]) / 2
    keys = [-short, -found[2], balanced]
    if uncertain is not None:
        keys = [float(found[2] <= uncertain + 1e-9), -short, balanced, -found[2]]
    return tuple(round(key, 9) for key in keys)


def test_of_one_share_the_single_cut_that_gives_most_of_the_other() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.35, 0.5, 0.7, 0.8, 0.9])
    truth = np.arange(10) >= 5
    keeps_all, spares_all = choose(p, truth, Wanted(1.0)), choose(p, truth, Wanted(None, 1.0))
    assert 0.3 < keeps_all.low == keeps_all.high < 0.35
    assert keeps_all.told == Told(Confusion(5, 2, 3, 0), 0, 0)
    assert 0.6 < spares_all.low == spares_all.high < 0.7
    assert spares_all.told == Told(Confusion(3, 0, 5, 2), 0, 0)
    both = choose(p, truth, Wanted(1.0, 1.0))
    assert (both.low, both.high) == (keeps_all.low, spares_all.high)
    assert both.told == Told(Confusion(3, 0, 3, 0), 2, 2)


def test_of_answers_that_say_nothing_the_nearest_is_given_and_called_that() -> None:
    point = choose(np.full(6, 0.5), np.arange(6) < 3, Wanted(0.9, 0.9))
    assert not point.met
    assert point.told.uncertain == 0
    assert point.told.answered.balanced_accuracy == 0.5


def test_the_more_may_stay_uncertain_the_better_the_others() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(900) < 0.5
    p = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1, -1), 1.5)))
    points = curve(p, truth)
    assert len(cuts(p)) > 800, "more than all of whose pairs are tried"
    balanced = [point.told.answered.balanced_accuracy or 0 for point in points]
    assert balanced == sorted(balanced)
    assert points[0].low == points[0].high
    assert balanced[0] + 0.08 < balanced[8] < balanced[12]


def test_held_out_patients_get_what_was_wanted_on_average_and_no_more() -> None:
    """500 fresh cases each time: 95 % sensitivity comes out at 95 % within two points."""
    rng = np.random.default_rng(5)
    found, fresh = [], []
    for _ in range(30):
        truth, new_truth = rng.random((2, 500)) < 0.5
        p, new = (1 / (1 + np.exp(-rng.normal(np.where(t, 1, -1), 1))) for t in (truth, new_truth))
        called = held_out(p, truth, np.arange(500).tolist(), [Wanted(0.95)])
        assert called is not None
        point = choose(p, truth, Wanted(0.95))
        found.append(shares(told(called[0], truth))[0])
        fresh.append(shares(told(calls(new, point.low, point.high), new_truth))[0])
    assert abs(np.mean(found) - 0.95) < 0.01
    assert abs(np.mean(fresh) - 0.95) < 0.01
    assert abs(np.mean(found) - np.mean(fresh)) < 0.01


def test_held_out_leaves_whole_patients_out() -> None:
    """Each patient's own cases are alike, so that seeing one of them would give it away."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 5)
    truth = (patients % 2).astype(bool)
    p = np.repeat(rng.random(40), 5)
    called = held_out(p, truth, patients.tolist(), [Wanted(uncertain=0.0)])
    assert called is not None
    assert all(len(set(called[0, patients == one])) == 1 for one in range(40))
    assert held_out([0.2, 0.8, 0.7], [False, True, True], ["a", "b", "b"], [Wanted(0.9)]) is None
