"""The drop folder: what is taken, when, as which study, and what stays."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.service.drop_folder import QUIET_S, STEP_S, Watched, watching
from tests.service.processes import ROOT
from tests.service.stores import Store
from tests.service.studies import PATIENT, write_slice, write_study
from tests.waiting import eventually
from vfx_edge.errors import InputError
from vfx_edge.service.receive.watcher import Watcher
from vfx_edge.service.store import durable_files
from vfx_edge.service.store.identifiers import pseudonym


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """That has been running for a while."""
    watched = watching(tmp_path)
    watched.watcher.poll()
    return watched


def test_a_folder_is_taken_when_it_is_quiet_and_not_before(watched: Watched) -> None:
    uid = write_study(watched.folder / PATIENT)
    for number in range(5, 12):  # slices trickle in
        assert watched.look(QUIET_S / 2) == []
        write_slice(watched.folder / PATIENT / f"{number}.dcm", uid, f"{uid}.1", number)
    (job,) = watched.look()
    assert job.study == pseudonym(uid)
    assert len(list(watched.spool.input_of(job.job).rglob("*.dcm"))) == 9
    assert list(watched.folder.iterdir()) == []
    assert [entry.job for entry in watched.jobs.entries()] == [job.job]


def test_a_file_that_grows_is_waited_for(watched: Watched) -> None:
    with (watched.folder / "a.nii.gz").open("wb", 0) as stream:
        for _ in range(6):
            stream.write(bytes(100))
            assert watched.look(QUIET_S / 2) == []
    (job,) = watched.look()
    assert watched.spool.input_of(job.job).name == "study.nii.gz"
    assert watched.spool.input_of(job.job).stat().st_size == 600


def test_half_an_archive_is_waited_for_though_nothing_moves(
    watched: Watched, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("a", bytes(5000))
    whole = (tmp_path / "whole.zip").read_bytes()
    (watched.folder / "a.zip").write_bytes(whole[:2000])
    assert watched.look(4 * QUIET_S) == []
    (watched.folder / "a.zip").write_bytes(whole)
    (job,) = watched.look()
    assert watched.spool.input_of(job.job).read_bytes() == whole


@pytest.mark.parametrize("name", [".hidden", "~lock.zip", "a.zip.part", "a.tmp", "b.crdownload"])
def test_what_others_still_write_is_left_alone(watched: Watched, name: str) -> None:
    (watched.folder / name).write_bytes(b"half")
    assert watched.look() == []
    assert (watched.folder / name).exists()


def test_an_empty_folder_and_a_link_are_nothing(watched: Watched, tmp_path: Path) -> None:
    (watched.folder / "empty").mkdir()
    (watched.folder / "link").symlink_to(tmp_path)
    assert watched.look() == []


def test_loose_slices_become_their_study(watched: Watched) -> None:
    first, second = (write_study(watched.folder / name) for name in "ab")
    for folder in ("a", "b"):
        for file in (watched.folder / folder).iterdir():
            os.rename(file, watched.folder / f"{folder}-{file.name}")
        (watched.folder / folder).rmdir()
    jobs = watched.look(5 * QUIET_S)
    assert {job.study for job in jobs} == {pseudonym(first), pseudonym(second)}
    assert all(len(list(watched.spool.input_of(job.job).iterdir())) == 2 for job in jobs)
    assert list(watched.folder.iterdir()) == []


def test_a_folder_of_several_patients_becomes_several_jobs(watched: Watched) -> None:
    uids = {write_study(watched.folder / "disc" / name) for name in "abc"}
    jobs = watched.look()
    assert {job.study for job in jobs} == {pseudonym(uid) for uid in uids}
    assert list(watched.folder.iterdir()) == []


def test_the_same_study_dropped_twice_is_one_job(watched: Watched, tmp_path: Path) -> None:
    write_study(tmp_path / "ct")
    for name in ("first", "renamed"):
        shutil.copytree(tmp_path / "ct", watched.folder / name)
        assert len(watched.look()) == 1
    assert list(watched.folder.iterdir()) == []


def test_dropped_again_after_it_was_given_up_it_is_tried_again(
    watched: Watched, tmp_path: Path
) -> None:
    write_study(tmp_path / "ct")
    shutil.copytree(tmp_path / "ct", watched.folder / "ct")
    (job,) = watched.look()
    watched.jobs.take()
    watched.jobs.give_up(job.job, "no GPU.")
    shutil.copytree(tmp_path / "ct", watched.folder / "ct")
    watched.look()
    assert [entry.state for entry in watched.jobs.entries()] == ["waiting"]


def test_kept_items_stay_and_are_taken_once_even_after_a_restart(tmp_path: Path) -> None:
    watched = watching(tmp_path, keep=True)
    uid = write_study(watched.folder / "ct")
    (watched.folder / "a.nii.gz").write_bytes(b"nifti")
    write_study(watched.folder / "loose")
    os.rename(watched.folder / "loose" / "0.dcm", watched.folder / "0.dcm")
    shutil.rmtree(watched.folder / "loose")
    first = watched.look(5 * QUIET_S)
    assert len(first) == 3
    assert watching(tmp_path, keep=True).look(5 * QUIET_S) == first
    assert len(watched.jobs.entries()) == 3
    assert sorted(p.name for p in watched.folder.iterdir()) == ["0.dcm", "a.nii.gz", "ct"]
    write_slice(watched.folder / "ct" / "9.dcm", uid, f"{uid}.1", 9)  # changed: a new study
    assert len(watched.look()) == 4


def test_kept_items_are_not_done_again_when_the_spool_has_forgotten_them(tmp_path: Path) -> None:
    watched = watching(tmp_path, keep=True)
    uid = write_study(watched.folder / "ct")
    write_study(watched.folder / PATIENT)
    jobs = watched.look()
    assert len(jobs) == 2
    for job in jobs:
        watched.spool.delete(job.job)
        watched.jobs.drop(job.job)
    again = watching(tmp_path, keep=True)
    assert again.look() == []
    record = b"".join(p.read_bytes() for p in (tmp_path / "spool" / "watched").iterdir())
    assert len(record) < 1000
    assert PATIENT.encode() not in record
    write_slice(watched.folder / "ct" / "9.dcm", uid, f"{uid}.1", 9)  # changed
    assert [job.study for job in again.look()] == [pseudonym(uid)]


def test_kept_items_that_are_taken_away_and_come_again_are_new(tmp_path: Path) -> None:
    watched = watching(tmp_path, keep=True)
    write_study(watched.folder / "stays")
    write_study(watched.folder / "ct")
    first = watched.look()
    os.rename(watched.folder / "ct", tmp_path / "away")
    watched.look(QUIET_S / 2)
    for job in first:
        watched.spool.delete(job.job)
        watched.jobs.drop(job.job)
    os.rename(tmp_path / "away", watched.folder / "ct")
    assert len(watching(tmp_path, keep=True).look()) == 1


def test_a_drive_that_was_away_brings_nothing_new(tmp_path: Path) -> None:
    watched = watching(tmp_path, keep=True)
    write_study(watched.folder / "ct")
    (job,) = watched.look()
    watched.spool.delete(job.job)
    watched.jobs.drop(job.job)
    os.rename(watched.folder / "ct", tmp_path / "away")  # not mounted: the folder is empty
    again = watching(tmp_path, keep=True)
    again.look()
    os.rename(tmp_path / "away", watched.folder / "ct")
    assert again.look() == []


def test_a_record_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    watched = watching(tmp_path, keep=True)
    write_study(watched.folder / "ct")
    watched.look()
    (record,) = (tmp_path / "spool" / "watched").iterdir()
    record.write_bytes(b"[1, 2")
    assert len(watching(tmp_path, keep=True).look()) == 1


def test_half_of_a_study_that_a_kill_left_in_the_spool_is_no_study(tmp_path: Path) -> None:
    killed = watching(tmp_path)
    uid = write_study(killed.folder / "ct", slices=5)
    with (killed.folder / "ct" / "0.dcm").open("rb") as stream:
        killed.spool.store(uid, f"{uid}.1.1", lambda to: shutil.copyfileobj(stream, to))
    watched = watching(tmp_path)
    (job,) = watched.look(5 * QUIET_S)
    assert len(watched.images(job.job)) == 5


def test_dropped_again_when_it_is_done_is_said(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write_study(tmp_path / "ct")
    shutil.copytree(tmp_path / "ct", watched.folder / "ct")
    (job,) = watched.look()
    watched.jobs.take()
    watched.jobs.done(job.job)
    with watched.spool.new_results(job.job):
        pass
    shutil.copytree(tmp_path / "ct", watched.folder / "ct")
    watched.look()
    assert caplog.text.count(f"came again as it was: job {job.job}") == 1


def test_what_cannot_be_moved_or_deleted_is_done_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a drive on which others own what they drop."""

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(durable_files, "remove", refused)
    write_study(watched.folder / "ct")
    assert len(watched.look(5 * QUIET_S)) == 1
    assert [entry.state for entry in watched.jobs.entries()] == ["waiting"]
    assert caplog.text.count("Permission denied") == 1


def test_urgent_by_its_name(watched: Watched) -> None:
    write_study(watched.folder / "Urgent-7")
    write_study(watched.folder / "other")
    jobs = watched.look()
    assert sorted(job.urgent for job in jobs) == [False, True]


def test_no_name_of_what_is_dropped_is_kept_or_told(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with zipfile.ZipFile(watched.folder / f"{PATIENT}.zip", "w") as archive:
        archive.writestr("a", b"x")
    (job,) = watched.look()
    assert watched.spool.input_of(job.job).name == "study.zip"
    assert PATIENT not in caplog.text + repr(job) + repr(watched.jobs.entries())


def test_a_folder_that_is_away_for_a_while_is_no_end(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import threading

    os.rename(watched.folder, tmp_path / "away")
    stop = threading.Event()
    thread = threading.Thread(target=watched.watcher.run, args=(stop,))
    thread.start()
    assert eventually(lambda: "folder can't be read" in caplog.text)
    os.rename(tmp_path / "away", watched.folder)
    write_study(watched.folder / "ct")

    def is_taken() -> bool:
        watched.store.clock.now_s += STEP_S
        return len(watched.spool.jobs()) == 1

    assert eventually(is_taken)
    stop.set()
    thread.join()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_what_may_not_be_read_is_said_once_and_taken_when_it_may(tmp_path: Path) -> None:
    powers = ["--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if powers and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv is not there to change that")
    powers = ["setpriv", *powers, powers[0].replace("bounding-set", "inh-caps")] if powers else []
    for name in ("shut", "partly"):
        write_study(tmp_path / "drop" / PATIENT / name)
    shut = tmp_path / "drop" / PATIENT / "shut"
    slice_ = tmp_path / "drop" / PATIENT / "partly" / "0.dcm"

    def output() -> str:
        command = [*powers, sys.executable, "-m", "tests.service.drop_folder", str(tmp_path), "3"]
        return subprocess.check_output(command, text=True, cwd=ROOT)

    for closed in (shut, slice_):
        mode = closed.stat().st_mode
        closed.chmod(0)
        said = output()
        assert said.count("1 of its files and folders can't be read") == 1
        assert said.endswith("jobs: 0\n")
        assert PATIENT not in said
        closed.chmod(mode)
    assert output().endswith("jobs: 2\n")


def test_what_cannot_be_taken_is_tried_again_later_and_later_and_told_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.spool.min_free_bytes = 2**80
    write_study(watched.folder / PATIENT)
    assert watched.look(2.0) == []
    assert caplog.text.count("can't be taken yet") == 1
    assert "the disk is full" in caplog.text
    assert PATIENT not in caplog.text
    watched.spool.min_free_bytes = 0
    assert len(watched.look(4.5)) == 1


@pytest.mark.parametrize("place", ["spool", "spool/incoming", ".", "absent", "file"])
def test_a_folder_that_cannot_be_watched_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "spool")
    with pytest.raises(InputError, match="can't be watched"):
        Watcher(tmp_path / place, store.spool, store.completion, 1)
