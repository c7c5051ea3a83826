"""When a study is complete, and what becomes of one that comes again."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.drop_folder import Clock
from vfx_edge.errors import OutputError
from vfx_edge.files import OutputDiskFull
from vfx_edge.service.store.completion import Completion
from vfx_edge.service.store.queue import Queue
from vfx_edge.service.store.spool import Received, Spool

QUIET_S, CUT_OFF_S = 0.1, 0.6


@dataclass
class Place:
    spool: Spool
    jobs: Queue
    completion: Completion
    clock: Clock

    def receive(self, study: str, *instances: str) -> None:
        for instance in instances:
            self.spool.store(study, instance, lambda to: to.write(b"image"))

    def done_within(self, seconds: float) -> set[str]:
        """Keys of the studies that are complete after so long."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end:
            self.completion.complete_quiet()
            self.clock.now_s += QUIET_S / 10
        return {one.key for one in self.spool.jobs()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    spool = Spool(tmp_path / "spool")
    jobs, sends = Queue(spool.queue_folder, "jobs"), Queue(spool.queue_folder, "sends")
    clock = Clock()
    return Place(spool, jobs, Completion(spool, jobs, sends, QUIET_S, CUT_OFF_S, clock), clock)


def test_a_study_whose_sender_was_cut_off_is_waited_for_longer(place: Place) -> None:
    place.receive("1.2", "1")
    place.receive("1.3", "1")
    place.spool.mark_cut_off("1.3", cut_off=True)
    assert place.done_within(0.35) == {"1.2"}
    assert place.done_within(0.6) == {"1.2", "1.3"}


def test_one_study_that_cannot_be_completed_holds_up_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for study in ("1.1", "1.2", "1.3"):
        place.receive(study, "1")
    real = place.spool.complete

    def complete(key: str) -> Received | None:
        if key == "1.1":
            raise OutputDiskFull(Path("x"))
        return real(key)

    monkeypatch.setattr(place.spool, "complete", complete)
    place.completion.complete_quiet()
    place.clock.now_s += 2 * QUIET_S
    with pytest.raises(OutputError):
        place.completion.complete_quiet()
    assert {one.key for one in place.spool.jobs()} == {"1.2", "1.3"}


def test_sent_again_as_urgent_it_goes_first(place: Place) -> None:
    for study in ("1.2", "1.3"):
        place.receive(study, "1")
        assert place.completion.complete(study) is not None
    place.receive("1.3", "1")
    place.spool.mark_urgent("1.3")
    again = place.completion.complete("1.3")
    first = place.jobs.take()
    assert again is not None
    assert first is not None
    assert first.job == again.job
    assert list((place.spool.root / "part").iterdir()) == []
