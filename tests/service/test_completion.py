"""When a study is complete, and what becomes of one that comes again."""

from pathlib import Path

import pytest

from tests.service.stores import Store
from vfx_edge.errors import OutputError
from vfx_edge.files import OutputDiskFull
from vfx_edge.service.store.spool import Received

QUIET_S, CUT_OFF_S = 0.1, 0.6


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "spool", QUIET_S, CUT_OFF_S)


def completed_within(store: Store, seconds: float) -> set[str]:
    """Keys of the studies that are complete after so long."""
    end = store.clock.now_s + seconds
    while store.clock.now_s < end:
        store.completion.complete_quiet()
        store.clock.now_s += QUIET_S / 10
    return {one.key for one in store.spool.jobs()}


def test_a_study_whose_sender_was_cut_off_is_waited_for_longer(store: Store) -> None:
    store.receive("1.2", "1")
    store.receive("1.3", "1")
    store.spool.mark_cut_off("1.3", cut_off=True)
    assert completed_within(store, 0.35) == {"1.2"}
    assert completed_within(store, 0.6) == {"1.2", "1.3"}


def test_one_study_that_cannot_be_completed_holds_up_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for study in ("1.1", "1.2", "1.3"):
        store.receive(study, "1")
    real = store.spool.complete

    def complete(key: str) -> Received | None:
        if key == "1.1":
            raise OutputDiskFull(Path("x"))
        return real(key)

    monkeypatch.setattr(store.spool, "complete", complete)
    store.completion.complete_quiet()
    store.clock.now_s += 2 * QUIET_S
    with pytest.raises(OutputError):
        store.completion.complete_quiet()
    assert {one.key for one in store.spool.jobs()} == {"1.2", "1.3"}


def test_sent_again_as_urgent_it_goes_first(store: Store) -> None:
    for study in ("1.2", "1.3"):
        store.complete(study, "1")
    store.receive("1.3", "1")
    store.spool.mark_urgent("1.3")
    again = store.complete("1.3")
    first = store.jobs.take()
    assert first is not None
    assert first.job == again.job
    assert list((store.spool.root / "part").iterdir()) == []
