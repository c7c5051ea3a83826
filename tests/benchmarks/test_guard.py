"""The guard against a chain that becomes slower, by a clock that the work itself moves on."""

from collections.abc import Callable

import pytest

from benchmarks import guard
from benchmarks.guard import Pairs, in_turn, on_record, regressed
from vfx_edge import job
from vfx_edge.phantom import PhantomSpec


class Clock:
    """Each piece of work moves it on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def work(self, seconds: float) -> Callable[[], None]:
        def done() -> None:
            self.now_s += seconds

        return done


def taken(chain_s: float, fixed_s: float, times: int = 1) -> Pairs:
    """What is measured of a chain that does its work so many times."""
    clock = Clock()
    chain = clock.work(chain_s)
    return in_turn(lambda: [chain() for _ in range(times)], clock.work(fixed_s), 4, clock)


def test_a_chain_that_does_its_work_twice_is_caught() -> None:
    before = on_record()
    chain_s, fixed_s = before.ratio.median, 1.0
    assert not regressed(taken(chain_s, fixed_s), before)
    assert regressed(taken(chain_s, fixed_s, times=2), before)


def test_a_slow_machine_is_no_regression() -> None:
    before = on_record()
    assert not regressed(_slowed(before, chain=3.0, fixed=3.0), before)
    assert regressed(_slowed(before, chain=1.5, fixed=1.0), before)


def _slowed(pairs: Pairs, chain: float, fixed: float) -> Pairs:
    value = pairs.to_json_able()
    for name, factor in (("chain", chain), ("fixed", fixed)):
        value[name]["seconds"] = [second * factor for second in value[name]["seconds"]]
    return Pairs.from_json_able(value)


def test_what_is_measured_is_the_chain_once_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    real = job.run_job
    small = PhantomSpec(levels=("L1", "L3"), spacing_mm=4.0, pixel_mm=3.0, matrix=(96, 96))
    monkeypatch.setattr(guard, "SPEC", small)
    monkeypatch.setattr(guard, "run_job", lambda *asked: done.append(real(*asked)))
    found = guard.measured(pairs=1)
    assert len(done) == 2, "once for caches, once measured"
    assert all(analysis.result.findings for analysis in done)
    assert (len(found.chain.seconds), len(found.fixed.seconds)) == (1, 2)
