"""The parts together: what happens when one of them dies, or cannot start."""

import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.service.processes import killable
from tests.service.studies import write_study
from tests.waiting import eventually
from vfx_edge.errors import OutputError
from vfx_edge.service.daemon import PartFailed, Service, ThreadPart, serve
from vfx_edge.service.receive.limits import BoundedServer
from vfx_edge.service.receive.listener import Listener
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.queue import Entry
from vfx_edge.service.store.spool import Spool


def settings(tmp_path: Path) -> Settings:
    return Settings(spool=tmp_path / "spool", min_free_mib=0)


def nothing(_: object) -> None:
    """A chain."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failed_part_ends_the_service(tmp_path: Path) -> None:
    def dying(_: threading.Event) -> None:
        raise ValueError

    with pytest.raises(PartFailed):
        serve(settings(tmp_path), lambda _: [ThreadPart("dying", dying)], [nothing])
    with Spool(tmp_path / "spool").locked():
        pass


def test_a_node_that_no_longer_accepts_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path)
    node: list[Listener] = []

    def parts(service: Service) -> list[Listener]:
        node.append(Listener(replace(config, port=0), service.spool))
        return node

    monkeypatch.setattr(BoundedServer, "service_actions", nothing_works)
    with pytest.raises(PartFailed):
        serve(config, parts, [nothing])


def nothing_works(_: BoundedServer) -> None:
    raise ValueError


def test_a_part_that_cannot_start_ends_it_with_its_sentence(tmp_path: Path) -> None:
    class Refused(OutputError):
        """As a port that is taken."""

    stopped = []

    class First:
        def start(self) -> None:
            pass

        def stop(self) -> None:
            stopped.append(self)

    class Second(First):
        def start(self) -> None:
            raise Refused("No.")

    with pytest.raises(Refused):
        serve(settings(tmp_path), lambda _: [First(), Second()], [nothing])
    assert [type(one) for one in stopped] == [First]


def test_what_a_kill_left_unqueued_is_queued_at_the_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.store("1.2", "1", lambda stream: stream.write(b"x"))
    received = spool.complete("1.2")
    assert received is not None
    seen: list[Entry] = []

    def look(service: Service) -> list[ThreadPart]:
        seen.extend(service.jobs.entries())
        service.stop.set()
        return []

    serve(settings(tmp_path), look, [nothing])
    assert [entry.job for entry in seen] == [received.job]


def test_of_two_at_once_one_without_end_holds_up_nobody(tmp_path: Path) -> None:
    def drop(name: str, note: str = "") -> None:
        write_study(tmp_path / "made" / name, note=note)
        os.rename(tmp_path / "made" / name, service.drop / name)

    with killable(tmp_path, workers=2) as service:
        service.start()
        drop("a", "endless")
        assert eventually(lambda: [one.state for one in service.entries()] == ["running"])
        assert service.process is not None
        there = psutil.Process(service.process.pid).children()
        assert len(there) == 2
        for number in range(3):
            drop(f"{number}")
        assert eventually(lambda: [one.state for one in service.entries()].count("done") == 3)
        busy = re.findall(r"worker (\d) begins", service.log)
        assert sorted(busy.count(number) for number in "12") == [1, 3], "who has what is logged"
        assert service.end() == 0
        endless = next(one for one in service.entries() if one.state != "done")
        assert (endless.state, endless.attempts) == ("waiting", 0)
