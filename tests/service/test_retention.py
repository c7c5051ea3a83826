"""What the spool forgets, and what it must not."""

import threading
import time
from pathlib import Path

import pytest

from tests.service.stores import Store
from tests.waiting import HANG_S, eventually, lasts
from vfx_edge.service.store import retention
from vfx_edge.service.store.queue import Entry
from vfx_edge.service.store.retention import DAY_S, Retention


class Place(Store):
    """With one study, analysed and to be sent to A."""

    job = ""

    def retention(self, **settings: int) -> Retention:
        return Retention(self.settings(**settings), self.spool, self.jobs, self.sends)

    def tidy(self, days: float, **settings: int) -> None:
        self.retention(**settings).apply(time.time() + days * DAY_S)

    def sent(self) -> None:
        """Analysed, and sent."""
        self.jobs.done(self.job)
        self.sends.take("A")
        self.sends.done(f"{self.job}@A")

    def has(self) -> tuple[bool, bool]:
        """Images, results."""
        images = self.spool.job(self.job) is not None and self.spool.input_of(self.job).exists()
        return images, self.spool.results_of(self.job) is not None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "spool")
    place.job = place.complete("1.2", "1", "2").job
    place.jobs.take()
    with place.spool.new_results(place.job) as folder:
        (folder / "result.json").write_text("{}")
    place.sends.put(Entry(key=f"{place.job}@A", job=place.job, destination="A"))
    return place


def test_nothing_goes_that_is_not_done_and_sent(place: Place) -> None:
    place.tidy(days=100)
    assert place.has() == (True, True)
    place.jobs.done(place.job)
    place.tidy(days=100)
    assert place.has() == (False, True)  # sending needs no images


def test_what_was_given_up_stays_listed_but_does_not_fill_the_disk(place: Place) -> None:
    place.jobs.done(place.job)
    place.sends.take("A")
    place.sends.give_up(f"{place.job}@A", "It takes no segmentations.")
    place.tidy(days=10)
    assert place.has() == (False, True)  # somebody may retry it
    place.tidy(days=20)
    assert place.has() == (False, False)
    assert [entry.reason for entry in place.sends.entries()] == ["It takes no segmentations."]
    assert [entry.reason for entry in place.jobs.entries()] == [retention.UNSENT]
    place.complete("1.2", "1", "2")  # sent again: from the beginning
    assert [entry.state for entry in place.jobs.entries()] == ["waiting"]
    assert place.sends.entries() == []


@pytest.mark.parametrize("short", [True, False])
def test_images_of_what_could_not_be_analysed_go_in_the_end(place: Place, short: bool) -> None:
    place.jobs.give_up(place.job, "There is no CT.")
    for days, left in ((0.5, True), (2, not short), (20, False)):
        place.tidy(days=days, **({"min_free_mib": 2**40} if short else {}))
        assert place.has()[0] is left
    assert [entry.reason for entry in place.jobs.entries()] == ["There is no CT."]


def test_a_clock_that_jumps_ahead_forgets_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place.sent()
    applied = threading.Event()
    house = place.retention()
    apply = house.apply

    def noted(now_s: float) -> None:
        apply(now_s)
        applied.set()

    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    monkeypatch.setattr(house, "apply", noted)
    stop = threading.Event()
    running = threading.Thread(target=house.run, args=(stop,))
    running.start()
    real = time.time
    assert applied.wait(HANG_S)
    monkeypatch.setattr(time, "time", lambda: real() + 15 * DAY_S)
    assert eventually(lambda: "clock was set" in caplog.text)
    assert lasts(lambda: place.has() == (True, True))
    stop.set()
    running.join()


def test_images_go_first_then_everything(place: Place) -> None:
    place.sent()
    place.tidy(days=0.5)
    assert place.has() == (True, True)
    place.tidy(days=2)
    assert place.has() == (False, True)
    place.tidy(days=20)
    assert place.has() == (False, False)
    assert place.jobs.entries() == place.sends.entries() == []
    assert list((place.spool.root / "studies").iterdir()) == []


def test_where_room_is_short_images_go_at_once(place: Place) -> None:
    place.sent()
    place.tidy(days=0, min_free_mib=2**40)
    assert place.has() == (False, True)
