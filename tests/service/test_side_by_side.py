"""Studies analysed beside each other: an urgent one waits for one long one at most.

Workers, queue and turns are the service's; the analysis ends when the test says so, so that the
order of what begins is all that is looked at.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.service.stores import Store
from tests.waiting import HANG_S, eventually
from vfx_edge.errors import InputError
from vfx_edge.files import write_text
from vfx_edge.job import Job
from vfx_edge.service.analyse.chain import AnalysisLackedMemory
from vfx_edge.service.analyse.turns import Turns
from vfx_edge.service.worker import Worker

LONG = 10


class TooLarge(InputError):
    """Not even by itself."""


@dataclass
class Ward:
    """A service's queue and workers. `begun`, `ended`: studies, in order."""

    store: Store
    workers: int
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    greedy: set[str] = field(default_factory=set)
    """Those for which the memory is not enough beside another."""
    late: set[str] = field(default_factory=set)
    """Those for which this shows at their end, once."""
    turns: Turns = field(init=False)
    _names: dict[Path, str] = field(default_factory=dict)
    _may_end: dict[str, threading.Event] = field(
        default_factory=lambda: defaultdict(threading.Event)
    )
    _running: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.turns = Turns(self.workers)

    def arrives(self, name: str, *, urgent: bool = False) -> None:
        """A study is complete."""
        if urgent:
            self.store.spool.mark_urgent(name)
        job = self.store.complete(name, "1").job
        self._names[self.store.spool.input_of(job)] = name

    def ends(self, name: str) -> None:
        """Its analysis comes to an end."""
        self._may_end[name].set()

    def __call__(self, job: Job) -> None:
        """The chain."""
        name = self._names[job.path]
        self._running.add(name)
        self.begun.append(name)
        try:
            if name in self.greedy and len(self._running) > 1:
                raise AnalysisLackedMemory(TooLarge("too large: give fewer slices."))
            assert self._may_end[name].wait(HANG_S)
            if name in self.late:
                self.late.discard(name)
                raise AnalysisLackedMemory(TooLarge("too large: give fewer slices."))
        finally:
            self._running.discard(name)
        assert job.out is not None
        write_text(job.out / "result.json", '{"series": {"study_uid": "1.2.3"}}')
        self.ended.append(name)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While its workers run."""
        config, store = self.store.settings(), self.store
        stop = threading.Event()
        crew = [
            Worker(config, store.spool, store.jobs, store.sends, self, self.turns)
            for _ in range(self.workers)
        ]
        threads = [threading.Thread(target=one.loop.run, args=(stop,), daemon=True) for one in crew]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for name in self._names.values():
                self.ends(name)
            store.jobs.wake()
            for thread in threads:
                thread.join(HANG_S)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_urgent_study_among_ten_long_ones_waits_for_one(tmp_path: Path, workers: int) -> None:
    ward = Ward(Store(tmp_path), workers)
    for number in range(LONG):
        ward.arrives(f"1.{number}")
    with ward.at_work():
        assert eventually(lambda: len(ward.begun) == workers)
        ward.arrives("9.9", urgent=True)
        first = ward.begun[-1]
        ward.ends(first)
        assert eventually(lambda: len(ward.begun) > workers)
        assert ward.begun[workers:] == ["9.9"]
        assert ward.ended == [first]


def test_it_goes_before_one_that_waits_to_have_all_memory(tmp_path: Path) -> None:
    ward = Ward(Store(tmp_path), 2, greedy={"1.1"})
    ward.arrives("1.0")
    with ward.at_work():
        assert eventually(lambda: ward.begun == ["1.0"])
        ward.arrives("1.1")
        assert eventually(lambda: ward.turns._wait_alone == 1)
        ward.arrives("1.2")
        ward.arrives("9.9", urgent=True)
        ward.ends("1.0")
        assert eventually(lambda: len(ward.begun) > 2)
        assert ward.begun == ["1.0", "1.1", "9.9"]
        ward.ends("9.9")
        assert eventually(lambda: len(ward.begun) > 3)
        assert ward.begun[3:] == ["1.1"]
        ward.ends("1.1")
        assert eventually(lambda: ward.begun[4:] == ["1.2"])


def test_where_no_worker_is_left_to_take_it_one_of_those_goes_first(tmp_path: Path) -> None:
    """Both wait to have all memory: neither may wait for the urgent one, which nobody takes."""
    ward = Ward(Store(tmp_path), 2, greedy={"1.1"}, late={"1.0"})
    ward.arrives("1.0")
    with ward.at_work():
        assert eventually(lambda: ward.begun == ["1.0"])
        ward.arrives("1.1")
        assert eventually(lambda: ward.turns._wait_alone == 1)
        ward.arrives("9.9", urgent=True)
        with ward.turns._changed:  # so that the urgent one is not taken between the two
            ward.ends("1.0")
            assert eventually(lambda: "1.0" not in ward._running)
        assert eventually(lambda: len(ward.begun) > 2)
        first = ward.begun[2]
        assert first in ("1.0", "1.1")
        ward.ends(first)
        assert eventually(lambda: len(ward.begun) > 3)
        assert ward.begun[3:] == ["9.9"]
        ward.ends("9.9")
        ward.ends("1.1")
        assert eventually(lambda: len(ward.ended) == 3)
