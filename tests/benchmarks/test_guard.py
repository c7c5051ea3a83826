"""The guard against a chain that becomes slower: it passes now, and it would not pass later."""

import pytest

from benchmarks.guard import Pairs, measured, on_record, regressed

pytestmark = pytest.mark.alone


def test_the_chain_is_as_fast_as_on_record() -> None:
    now, before = measured(pairs=5), on_record()
    assert not regressed(now, before), (now.ratio, before.ratio)


def test_a_chain_that_does_its_work_twice_is_caught() -> None:
    twice = measured(pairs=4, times=2)
    assert regressed(twice, on_record()), twice.ratio


def test_a_slow_machine_is_no_regression() -> None:
    before = on_record()
    assert not regressed(_slowed(before, chain=3.0, fixed=3.0), before)
    assert regressed(_slowed(before, chain=1.5, fixed=1.0), before)


def _slowed(pairs: Pairs, chain: float, fixed: float) -> Pairs:
    value = pairs.to_json_able()
    for name, factor in (("chain", chain), ("fixed", fixed)):
        value[name]["seconds"] = [second * factor for second in value[name]["seconds"]]
    return Pairs.from_json_able(value)
