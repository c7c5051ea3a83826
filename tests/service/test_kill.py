"""Killed at any moment, nothing is lost and nothing is doubled: real processes, real SIGKILL."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from tests.service.fake_chain import BEGUN, OBJECTS
from tests.service.fake_chain import KILLS as BY_OTHERS
from tests.service.processes import Archive, Killable, free_port, killable, storescp
from tests.service.studies import PATIENT, write_study
from tests.waiting import HANG_S, eventually

SCANNERS = 4
STUDIES, KILLS = 16, 4
DROPPED, DROPPED_EACH = 8, 4
"""`python -m tests.service.kill_campaign` does it for hours."""


def drop(service: Killable, folder: Path, name: str, note: str = "") -> str:
    """A study as people drop one: written elsewhere, moved in. Its UID."""
    uid = write_study(folder / "made" / name, note=note)
    os.rename(folder / "made" / name, service.drop / name)
    return uid


def assert_one_set_each(archive: Archive, studies: set[str]) -> None:
    sets = archive.sets()
    assert set(sets) == studies, "lost, or never sent"
    for study, runs in sets.items():
        assert list(runs.values()) == [OBJECTS], f"{study}: not one whole set"


def kill_soon(service: Killable, chance: random.Random) -> None:
    """At a moment that no other run has, and up again; sometimes killed once more before it has put
    right what the kill before has left."""
    for wait in (False, True) if chance.random() < 0.3 else (True,):
        time.sleep(chance.uniform(0, 1.2))
        service.kill()
        service.start(wait=wait)


def test_a_drop_folder_and_a_kill_after_every_fourth_study(tmp_path: Path) -> None:
    chance = random.Random(time.time_ns())
    with (
        storescp(tmp_path / "archive") as archive,
        killable(tmp_path, destinations=[archive.destination()], workers=2) as service,
    ):
        service.start()
        studies = set()
        for number in range(DROPPED):
            studies.add(drop(service, tmp_path, f"{number:02d}"))
            if number % DROPPED_EACH == DROPPED_EACH - 1:
                kill_soon(service, chance)
        assert eventually(lambda: service.settled(DROPPED)), service.entries()
        assert_one_set_each(archive, studies)
        assert {entry.state for entry in service.entries()} == {"done"}
        assert len(service.entries()) == DROPPED
        assert not list((service.spool / "part").iterdir())
        assert not list(service.drop.iterdir())
        assert service.end() == 0
        assert PATIENT not in service.log


def test_many_studies_over_four_associations_and_a_kill_every_few(tmp_path: Path) -> None:
    """As scanners do: what was not taken is sent again, the whole study."""
    if shutil.which("storescu") is None:
        pytest.skip("needs DCMTK's storescu on the PATH: make peers installs it")
    made = {write_study(tmp_path / f"{n}", slices=8): tmp_path / f"{n}" for n in range(STUDIES)}
    chance = random.Random(time.time_ns())
    port = free_port()

    def send(folder: Path) -> int:
        """How often it took."""
        time.sleep(chance.uniform(0, 1))
        command = ["storescu", "-aec", "VFX-EDGE", "+sd", "127.0.0.1", str(port), str(folder)]
        tries: list[int] = []

        def is_taken() -> bool:
            time.sleep(0.2 if tries else 0)
            tries.append(subprocess.run(command, capture_output=True, check=False).returncode)
            return tries[-1] == 0

        assert eventually(is_taken)
        return len(tries)

    with (
        storescp(tmp_path / "archive") as archive,
        killable(
            tmp_path, workers=2, port=port, quiet_s=6, destinations=[archive.destination()]
        ) as service,
        ThreadPoolExecutor(SCANNERS) as scanners,
    ):
        service.start()
        sent = [scanners.submit(send, folder) for folder in made.values()]

        def at_least(few: int) -> bool:
            return sum(one.done() for one in sent) >= few

        for number in range(KILLS):
            few = number * (STUDIES - SCANNERS) // KILLS
            assert eventually(partial(at_least, few))
            kill_soon(service, chance)
        assert sum(one.result() for one in sent) > STUDIES, "no kill has hit an association"
        assert eventually(lambda: service.settled(STUDIES)), service.entries()
        assert_one_set_each(archive, set(made))
        assert len(service.entries()) == STUDIES
        slices = [len(list(path.iterdir())) for path in service.spool.glob("studies/*/in")]
        assert slices == [8] * STUDIES


def test_a_destination_that_is_down_at_first_gets_everything_later(tmp_path: Path) -> None:
    port = free_port()
    there: dict[str, Any] = {"name": "THERE", "ae_title": "THERE", "host": "127.0.0.1"}
    late = {"name": "LATE", "ae_title": "LATE", "host": "127.0.0.1", "port": port}
    with storescp(tmp_path / "there") as archive:
        there["port"] = archive.port
        with killable(tmp_path, destinations=[there, late]) as service:
            service.start()
            studies = {drop(service, tmp_path, f"{number}") for number in range(5)}
            assert eventually(lambda: len(archive.sets()) == 5), "held up by the other one"
            waiting = [one for one in service.entries("sends") if one.destination == "LATE"]
            assert all("LATE at 127.0.0.1" in one.reason for one in waiting if one.reason)
            service.kill()
            service.start()
            with storescp(tmp_path / "late", port) as second:
                assert eventually(lambda: service.settled(5)), service.entries("sends")
                assert_one_set_each(second, studies)
            assert_one_set_each(archive, studies)


def test_a_destination_is_given_up_after_the_limit_and_can_be_retried(tmp_path: Path) -> None:
    port = free_port()
    gone = {"name": "GONE", "ae_title": "GONE", "host": "127.0.0.1", "port": port}
    with killable(tmp_path, destinations=[gone], give_up_s=0.5) as service:
        service.start()
        study = drop(service, tmp_path, "one")
        assert eventually(lambda: service.settled(1))
        (sent,) = service.entries("sends")
        assert sent.state == "dead"
        assert "can't be reached" in sent.reason
        with storescp(tmp_path / "archive", port) as archive:
            printed = queue_command(service, "retry", sent.key)
            assert printed == f"{sent.key} waits\n"
            assert eventually(lambda: service.settled(1))
            assert_one_set_each(archive, {study})


def queue_command(service: Killable, *words: str) -> str:
    """`vfx-edge queue …` while the service runs; what it prints."""
    command = [sys.executable, "-m", "vfx_edge", "queue", *words, "--spool", str(service.spool)]
    return subprocess.check_output(command, text=True)


def test_poisoned_studies_among_good_ones_are_given_up_with_the_reason(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "archive") as archive,
        killable(tmp_path, destinations=[archive.destination()], job_attempts=2) as service,
    ):
        service.start()
        good = {drop(service, tmp_path, "a")}
        (tmp_path / "made" / "bad").mkdir()
        (tmp_path / "made" / "bad" / f"{PATIENT}.dcm").write_bytes(b"no DICOM")
        os.rename(tmp_path / "made" / "bad", service.drop / PATIENT)
        drop(service, tmp_path, "b", note="bug")
        drop(service, tmp_path, "c", note="backend fails")
        good |= {drop(service, tmp_path, "d")}
        assert eventually(lambda: service.settled(5)), service.entries()
        assert_one_set_each(archive, good)
        listed = queue_command(service, "list")
        assert listed.count("given up") == 3
        assert "the study holds no CT" in listed
        assert "A bug in vfx-edge (ValueError" in listed
        assert "The backend failed" in listed
        assert PATIENT not in listed + service.log + queue_command(service, "list", "--all")


def test_a_study_that_kills_the_analysis_is_given_up_and_nobody_else_notices(
    tmp_path: Path,
) -> None:
    """Neither the other studies, nor an association that is open all the while."""
    port = free_port()
    with (
        storescp(tmp_path / "archive") as archive,
        killable(
            tmp_path,
            destinations=[archive.destination()],
            port=port,
            job_attempts=3,
            workers=2,
            idle_timeout_s=3600,  # of a machine that has much else to do
        ) as service,
    ):
        drop(service, tmp_path, "a", note="deadly")
        good = {drop(service, tmp_path, name) for name in "bcd"}
        service.start()
        entity = AE("SCANNER")
        entity.network_timeout = None
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", port, ae_title="VFX-EDGE")
        assert eventually(lambda: service.settled(4)), service.entries()
        assert association.send_c_echo().Status == 0
        association.release()
        assert_one_set_each(archive, good)
        (dead,) = [entry for entry in service.entries() if entry.state == "dead"]
        assert "died 3 times of this study (SIGFPE)" in dead.reason
        assert (dead.crashes, dead.interruptions) == (3, 0)
        assert "fake_chain.py line" in service.log


def test_an_analysis_without_end_is_ended(tmp_path: Path) -> None:
    with killable(tmp_path, job_attempts=1, analysis_limit_s=2.0) as service:
        service.start()
        drop(service, tmp_path, "a", note="endless")
        assert eventually(lambda: service.settled(1)), service.entries()
        (dead,) = service.entries()
        assert "it had not come to an end after 2 s" in dead.reason


def test_kills_by_others_are_never_held_against_the_study(tmp_path: Path) -> None:
    """Of the service, and of its analysing process alone; more than a study may die by itself."""
    with (
        storescp(tmp_path / "archive") as archive,
        killable(tmp_path, destinations=[archive.destination()], job_attempts=2) as service,
    ):
        service.start()
        study = drop(service, tmp_path, "a", note="to be killed")
        begun = service.spool / BEGUN
        for number in range(1, BY_OTHERS + 1):
            assert eventually(partial(_has_size, begun, number)), service.log
            assert service.process is not None
            if number % 2:
                service.kill()
                service.start()
            else:
                (analysing,) = psutil.Process(service.process.pid).children()
                analysing.kill()
        assert eventually(lambda: service.settled(1)), service.entries()
        assert_one_set_each(archive, {study})
        (done,) = service.entries()
        assert (done.state, done.crashes, done.attempts) == ("done", 0, 1)


def _has_size(file: Path, size: int) -> bool:
    return file.exists() and file.stat().st_size == size


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(ballast: Path) -> None:
    """Until not a byte more fits on its disk."""
    with suppress(OSError), ballast.open("wb", 0) as stream:
        while stream.write(bytes(4096)):
            pass


def is_over(service: Killable) -> bool:
    """Whether its process has ended."""
    return service.process is not None and service.process.poll() is not None


def test_a_full_disk_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    """Neither what is on it already nor what is dropped meanwhile; not even the queue can be
    written. With room again everything is done once."""
    with (
        storescp(tmp_path / "archive") as archive,
        killable(
            tmp_path, spool=str(small_disk / "spool"), destinations=[archive.destination()]
        ) as service,
    ):
        service.start()
        studies = {drop(service, tmp_path, "before", note="50")}
        assert eventually(lambda: len(archive.sets()) == 1)
        ballast = small_disk / "ballast"
        fill(ballast)
        studies |= {drop(service, tmp_path, f"{number}", note="50") for number in range(4)}
        assert eventually(lambda: re.search("disk (is )?full", service.log))
        assert len(archive.sets()) == 1
        assert not is_over(service), "the service has died"
        service.kill()
        service.start(wait=False)  # it may not even come up on a full disk
        came_up = service.comes_up()
        ballast.unlink()
        if not came_up:
            service.start()
        assert eventually(lambda: service.settled(5)), service.log
        assert_one_set_each(archive, studies)


def test_room_for_input_but_not_for_results(tmp_path: Path, small_disk: Path) -> None:
    """The analysis waits for room, and says why."""
    with (
        storescp(tmp_path / "archive") as archive,
        killable(
            tmp_path, spool=str(small_disk / "spool"), destinations=[archive.destination()]
        ) as service,
    ):
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(2 * 2**20))
        service.start()
        large = drop(service, tmp_path, "large", note="1000")
        small = drop(service, tmp_path, "small", note="1")
        assert eventually(lambda: len(archive.sets()) == 1), service.log
        assert list(archive.sets()) == [small]
        assert eventually(lambda: "the disk is full" in queue_command(service, "list"))
        ballast.unlink()
        assert eventually(lambda: service.settled(2)), service.log
        assert_one_set_each(archive, {small, large})


def test_a_clean_stop_hands_back_what_runs(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "archive") as archive,
        killable(tmp_path, destinations=[archive.destination()]) as service,
    ):
        service.start()
        studies = {drop(service, tmp_path, f"{number}") for number in range(12)}
        assert eventually(lambda: len(archive.sets()) > 0)
        assert service.end() == 0
        assert all(entry.state != "running" for entry in service.entries())
        assert all(entry.crashes == 0 for entry in service.entries())
        service.start()
        assert eventually(lambda: service.settled(12))
        assert_one_set_each(archive, studies)


def test_a_signal_while_it_is_suspended_is_not_lost(tmp_path: Path) -> None:
    """As `systemctl restart` of a process that something had stopped."""
    with killable(tmp_path) as service:
        service.start()
        assert service.process is not None
        service.process.send_signal(signal.SIGSTOP)
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGCONT)
        assert service.process.wait(HANG_S) == 0


def test_a_second_service_on_the_same_spool_is_refused(tmp_path: Path) -> None:
    with killable(tmp_path) as first, killable(tmp_path) as second:
        first.start()
        second.start(wait=False)
        assert second.process is not None
        with second.process:
            assert second.process.wait(HANG_S) == 6
        assert "is in use by another vfx-edge service" in second.log


def test_a_spool_that_is_removed_ends_the_service_and_a_new_start_works(tmp_path: Path) -> None:
    """Nothing may be taken into a folder that nobody sees any more."""
    with (
        storescp(tmp_path / "archive") as archive,
        killable(tmp_path, destinations=[archive.destination()]) as service,
    ):
        service.start()
        os.rename(service.spool, tmp_path / "elsewhere")
        assert service.process is not None
        assert service.process.wait(HANG_S) == 6
        assert "was removed or replaced while the service ran: put it back" in service.log
        assert "Traceback" not in service.log
        os.rename(tmp_path / "elsewhere", service.spool)
        service.start()
        study = drop(service, tmp_path, "a")
        assert eventually(lambda: service.settled(1)), service.log
        assert_one_set_each(archive, {study})
