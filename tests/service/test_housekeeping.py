"""What the spool forgets, and what it must not."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from vfx_edge.service.housekeeping import DAY_S, Housekeeping
from vfx_edge.service.intake import Intake
from vfx_edge.service.queue import Entry, Queue
from vfx_edge.service.settings import Settings
from vfx_edge.service.spool import Spool


@dataclass
class Place:
    spool: Spool
    jobs: Queue
    sends: Queue
    job: str

    def tidy(self, days: float, **settings: float) -> None:
        told = Settings(spool=self.spool.root, min_free_mib=0, **settings)  # type: ignore[arg-type]
        Housekeeping(told, self.spool, self.jobs, self.sends).tidy(time.time() + days * DAY_S)

    def has(self) -> tuple[bool, bool]:
        """Images, results."""
        images = self.spool.job(self.job) is not None and self.spool.input_of(self.job).exists()
        return images, self.spool.results_of(self.job) is not None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    spool = Spool(tmp_path / "spool")
    jobs, sends = Queue(spool.queue_folder, "jobs"), Queue(spool.queue_folder, "sends")
    for number in "12":
        spool.store("1.2", number, lambda stream: stream.write(b"x"))
    received = Intake(spool, jobs, sends, 1).complete("1.2")
    assert received is not None
    jobs.take()
    with spool.results(received.job) as folder:
        (folder / "result.json").write_text("{}")
    sends.put(Entry(key=f"{received.job}@A", job=received.job, destination="A"))
    return Place(spool, jobs, sends, received.job)


def test_nothing_goes_that_is_not_done_and_sent(place: Place) -> None:
    place.tidy(days=100)
    assert place.has() == (True, True)
    place.jobs.done(place.job)
    place.tidy(days=100)
    assert place.has() == (True, True)
    place.sends.take("A")
    place.sends.dead(f"{place.job}@A", "gone.")  # somebody may retry it
    place.tidy(days=100)
    assert place.has() == (True, True)


def test_images_go_first_then_everything(place: Place) -> None:
    place.jobs.done(place.job)
    place.sends.take("A")
    place.sends.done(f"{place.job}@A")
    place.tidy(days=0.5)
    assert place.has() == (True, True)
    place.tidy(days=2)
    assert place.has() == (False, True)
    place.tidy(days=20)
    assert place.has() == (False, False)
    assert place.jobs.entries() == place.sends.entries() == []
    assert list((place.spool.root / "studies").iterdir()) == []


def test_where_room_is_short_images_go_at_once(place: Place) -> None:
    place.jobs.done(place.job)
    place.sends.done(f"{place.job}@A")
    told = Settings(spool=place.spool.root, min_free_mib=2**40)
    Housekeeping(told, place.spool, place.jobs, place.sends).tidy(time.time())
    assert place.has() == (False, True)
