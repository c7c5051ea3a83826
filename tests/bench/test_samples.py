"""Figures of measured times, and verdicts that noise does not fool."""

import math

import numpy as np
import pytest

from tests.bench.records import runs
from vfx_edge.bench.samples import Ratio, Samples, ratio, verdict


def test_the_summary_is_that_of_the_runs() -> None:
    samples = Samples((4.0, 1.0, 2.0, 3.0, 5.0))
    assert (samples.median, samples.min, samples.max) == (3, 1, 5)
    assert samples.spread == pytest.approx(2 / 3)
    assert samples.noisy
    told = samples.to_json_able()
    # what was summed up by somebody else is not believed
    assert Samples.from_json_able({**told, "median": 0.1}).median == 3


def test_a_percentile_is_told_only_of_runs_that_let_one_lie_beyond_it() -> None:
    few, some, many = (Samples(tuple(map(float, range(1, count + 1)))) for count in (19, 20, 100))
    assert (few.p95, few.p99, few.to_json_able()["p95"]) == (None, None, None)
    assert some.p95 == pytest.approx(19.05)
    assert some.p99 is None
    assert [many.p95, many.p99] == pytest.approx([95.05, 99.01])


def test_the_medians_interval_holds_it_and_takes_four_runs() -> None:
    assert Samples((1.0, 2.0, 3.0)).interval is None
    low, high = Samples((1.0, 2.0, 3.0, 4.0, 50.0)).interval or (0.0, 0.0)
    assert 1.0 <= low < 3.0 < high <= 50.0


@pytest.mark.parametrize("seconds", [(), (1.0, math.nan), (-1.0,), (math.inf,)])
def test_what_is_no_time_is_refused(seconds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="run"):
        Samples(seconds)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2])
def test_noise_alone_makes_hardly_ever_a_difference(noise: float) -> None:
    pairs = [(runs(2, 5, noise, at), runs(2, 5, noise, at + 1000)) for at in range(100)]
    said = [verdict(ratio(a, b)) for a, b in pairs]
    assert said.count("no difference seen") >= 95


def test_a_real_difference_is_seen_in_both_directions() -> None:
    for at in range(50):
        slow, fast = runs(2.4, 5, 0.02, at), runs(2, 5, 0.02, at + 1000)
        assert verdict(ratio(fast, slow)) == "faster"
        assert verdict(ratio(slow, fast)) == "slower"
        assert ratio(slow, fast).median == pytest.approx(1.2, rel=0.06)


def test_small_differences_and_few_runs_decide_nothing() -> None:
    exact = [Samples((value,) * 6) for value in (1.0, 1.02)]
    assert verdict(ratio(*exact)) == "no difference seen"
    assert verdict(Ratio(0.5, 0.4, 0.6, runs=3)) == "too few runs"


def test_the_same_runs_give_the_same_interval() -> None:
    a, b = runs(2, seed=1), runs(3, seed=2)
    assert ratio(a, b) == ratio(a, b)
    assert ratio(a, b).low < ratio(a, b).median < ratio(a, b).high
    assert np.isclose(ratio(a, b).median, a.median / b.median)
