"""The folders: whole or not at all, nothing outside, nothing twice, whatever a kill left behind."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest

from tests.service.studies import write_slice
from vfx_edge.errors import OutputError
from vfx_edge.files import OutputDiskFull
from vfx_edge.service.store import durable_files
from vfx_edge.service.store.identifiers import job_id_of_files, pseudonym, uid_to_name
from vfx_edge.service.store.spool import Received, Spool, SpoolBusy


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def store(spool: Spool, study: str, *instances: str) -> None:
    for instance in instances:
        spool.store(study, instance, lambda stream: stream.write(b"image"))


def completed(spool: Spool, study: str, *instances: str) -> Received:
    """The job of a study, when these instances have come, too."""
    store(spool, study, *instances)
    received = spool.complete(study)
    assert received is not None
    return received


@pytest.mark.parametrize(
    "uid",
    ["../../etc/x", "/etc/x", "1.2/../3", "", ".", "..", "1.2\0", "1." * 40 + "1", "1.2\n", "CON",
     "1..2", "1.2.", "\ud800", "x" * 5000],
)  # fmt: skip
def test_no_uid_leads_out_of_the_spool(spool: Spool, uid: str) -> None:
    path = spool.store(uid, uid, lambda stream: stream.write(b"image"))
    assert path.resolve().parent.parent == (spool.root / "incoming").resolve()
    (study,) = spool.incoming()
    assert study.key == uid_to_name(uid)
    assert spool.complete(study.key) is not None


def test_different_uids_stay_different() -> None:
    names = [uid_to_name(uid) for uid in ("1.2", "1.2.", "1.2 ", "../1.2", "1.02")]
    assert len(set(names)) == len(names)


def test_an_instance_that_fails_half_way_leaves_nothing(spool: Spool) -> None:
    def half(stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise ConnectionError

    with pytest.raises(OutputError):
        spool.store("1.2", "1.2.3", half)
    assert spool.incoming() == []
    assert list((spool.root / "part").iterdir()) == []


def test_too_little_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", min_free_bytes=2**60)
    with pytest.raises(OutputDiskFull):
        store(spool, "1.2", "1.2.3")
    assert spool.incoming() == []


def test_the_same_study_again_is_the_same_job(spool: Spool) -> None:
    first = completed(spool, "1.2", "1", "2")
    assert first.study == pseudonym("1.2")
    assert completed(spool, "1.2", "2", "1", "2") == first
    store(spool, "1.2", "2")  # a part of it
    assert spool.complete("1.2") == first
    assert [one.job for one in spool.jobs()] == [first.job]
    assert spool.incoming() == []


def test_more_images_make_a_job_of_all_of_them(spool: Spool) -> None:
    first = completed(spool, "1.2", "1", "2")
    second = completed(spool, "1.2", "3")
    assert second.supersedes == first.job
    names = sorted(path.name for path in spool.input_of(second.job).iterdir())
    assert names == ["1.dcm", "2.dcm", "3.dcm"]
    spool.delete(first.job)
    assert (spool.input_of(second.job) / "1.dcm").read_bytes() == b"image"


@pytest.mark.parametrize("gone", [False, True])
def test_a_part_that_comes_again_is_no_study_of_its_own(spool: Spool, gone: bool) -> None:
    """Late or repeated, and whether the images are still here or not."""
    first = completed(spool, "1.2", "1", "2", "3")
    if gone:
        spool.delete_images(first.job)
    assert completed(spool, "1.2", "2") == first
    assert [one.job for one in spool.jobs()] == [first.job]


def test_new_images_of_a_study_that_is_gone_lack_the_others(spool: Spool) -> None:
    first = completed(spool, "1.2", "1", "2")
    spool.delete_images(first.job)
    late = completed(spool, "1.2", "3")
    assert late.lacking
    assert late.supersedes == ""  # the verdict on two images is better than one on a third alone
    whole = completed(spool, "1.2", "1", "2", "3")
    assert not whole.lacking
    assert whole.supersedes == first.job
    assert len(list(spool.input_of(whole.job).iterdir())) == 3


def test_the_same_names_with_other_content_are_another_study(spool: Spool) -> None:
    """Somebody has corrected the patient at the scanner, and sent it again."""
    first = completed(spool, "1.2", "1", "2")
    spool.store("1.2", "1", lambda stream: stream.write(b"corrected"))
    second = completed(spool, "1.2")
    assert second.supersedes == first.job
    contents = {path.name: path.read_bytes() for path in spool.input_of(second.job).iterdir()}
    assert contents == {"1.dcm": b"corrected", "2.dcm": b"image"}


def test_another_sender_makes_no_other_study(tmp_path: Path) -> None:
    """The file meta group names the sender; the data set behind it is the image."""
    spool = Spool(tmp_path / "spool")
    jobs = []
    for title in ("SCANNER", "ORTHANC"):
        write_slice(tmp_path / "a.dcm", "1.2", "1.2.3", 1)
        image = pydicom.dcmread(tmp_path / "a.dcm")
        image.file_meta.SourceApplicationEntityTitle = title
        image.save_as(tmp_path / "a.dcm")
        spool.store("1.2", "1", lambda to: to.write((tmp_path / "a.dcm").read_bytes()))
        jobs.append(spool.complete("1.2"))
    assert jobs[0] == jobs[1] is not None


def test_what_cannot_be_read_is_set_aside_and_holds_up_nothing(spool: Spool) -> None:
    broken, good = (completed(spool, study, "1") for study in ("1.2", "1.3"))
    (spool.root / "studies" / broken.job / "job.json").write_text("")
    again = Spool(spool.root)
    again.recover()
    assert again.jobs() == [good]
    (aside,) = (spool.root / "damaged").iterdir()
    assert (aside / "in" / "1.dcm").read_bytes() == b"image"


def test_an_instance_is_on_the_disk_before_it_has_its_name(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves an empty file of that name, for which success was answered."""
    steps: list[tuple[str, str]] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        steps.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        steps.append(("replace", target.name))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    store(spool, "1.2", "7")
    place = steps.index(("replace", "7.dcm"))
    assert any(kind == "sync" for kind, _ in steps[:place])
    assert ("sync", "incoming") in steps[:place]  # the study's own folder
    assert steps[-1] == ("sync", "1.2")
    steps.clear()
    job = completed(spool, "1.2")
    moved, published = steps.index(("replace", "in")), steps.index(("replace", job.job))
    assert {("sync", "job.json"), ("sync", "instances.json")} <= set(steps[:moved])
    assert ("sync", job.job) in steps[moved:published]
    assert steps[-1] == ("sync", "studies")
    steps.clear()
    with spool.new_results(job.job) as folder:
        (folder / "result.json").write_text("{}")
    assert ("sync", "result.json") in steps[: steps.index(("replace", "out"))]
    assert steps[-1] == ("sync", job.job)


def test_results_appear_whole_or_not_at_all(spool: Spool) -> None:
    received = completed(spool, "1.2", "1")
    with suppress(KeyboardInterrupt), spool.new_results(received.job) as folder:
        (folder / "result.json").write_text("half")
        raise KeyboardInterrupt
    assert spool.results_of(received.job) is None
    with spool.new_results(received.job) as folder:
        (folder / "result.json").write_text("whole")
        assert spool.results_of(received.job) is None
    out = spool.results_of(received.job)
    assert out is not None
    assert (out / "result.json").read_text() == "whole"
    assert list((spool.root / "part").iterdir()) == []


def test_what_is_dropped_is_taken_whole_and_without_its_name(spool: Spool, tmp_path: Path) -> None:
    item = tmp_path / "Mustermann Erika.ZIP"
    item.write_bytes(b"archive")
    job = job_id_of_files(item)
    received = spool.add_item(item, job, study="abc")
    assert spool.input_of(job).name == "study.zip"
    assert spool.input_of(job).read_bytes() == item.read_bytes() == b"archive"
    assert [received] == spool.jobs()
    assert spool.add_item(item, job, study="abc") == received


def test_content_decides_the_job_not_the_name(tmp_path: Path) -> None:
    for folder, names in (("a", "12"), ("b", "34"), ("c", "12")):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            (tmp_path / folder / name).write_bytes(bytes([number]))
    assert job_id_of_files(tmp_path / "a") == job_id_of_files(tmp_path / "b")
    (tmp_path / "c" / "more").write_bytes(b"more")
    assert job_id_of_files(tmp_path / "a") != job_id_of_files(tmp_path / "c")


class Killed(BaseException):
    """Stands for the process's end at this very point."""


def every_kill(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The process ends before its rename number `at`; nothing may be cleaned up after that."""
    left = iter(range(at))
    real_replace, real_rename = os.replace, os.rename

    def dying(real: object) -> object:
        def step(*args: object) -> None:
            if next(left, None) is None:
                monkeypatch.setattr(durable_files, "remove", lambda *_: None)
                monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
                raise Killed
            real(*args)  # type: ignore[operator]

        return step

    monkeypatch.setattr(os, "replace", dying(real_replace))
    monkeypatch.setattr(os, "rename", dying(real_rename))


@pytest.mark.parametrize("at", range(3))
def test_killed_while_taking_a_drop_the_study_is_in_one_place(tmp_path: Path, at: int) -> None:
    item = tmp_path / "study"
    item.mkdir()
    (item / "1").write_bytes(b"image")
    job = job_id_of_files(item)
    with pytest.MonkeyPatch.context() as patch:
        every_kill(patch, at)
        try:
            Spool(tmp_path / "spool").add_item(item, job, study="abc")
        except Killed:
            pass
        else:
            assert at == 2, "fewer renames than thought: this test sees nothing"
    spool = Spool(tmp_path / "spool")
    spool.recover()
    if item.exists():  # the watcher finds it again
        assert spool.add_item(item, job, study="abc").job == job
    assert [one.job for one in spool.jobs()] == [job]
    assert [p.read_bytes() for p in spool.input_of(job).rglob("1")] == [b"image"]
    assert list((spool.root / "part").iterdir()) == []


@pytest.mark.parametrize("at", range(3))
def test_killed_while_completing_the_study_is_in_one_place(tmp_path: Path, at: int) -> None:
    spool = Spool(tmp_path / "spool")
    store(spool, "1.2", "1", "2")
    with pytest.MonkeyPatch.context() as patch:
        every_kill(patch, at)
        try:
            spool.complete("1.2")
        except Killed:
            pass
        else:
            assert at == 2
    spool = Spool(tmp_path / "spool")
    spool.recover()
    for study in spool.incoming():
        spool.complete(study.key)
    (job,) = spool.jobs()
    assert len(list(spool.input_of(job.job).iterdir())) == 2
    assert list((spool.root / "part").iterdir()) == []


@pytest.mark.parametrize("at", range(2))
def test_killed_while_a_study_that_came_again_is_put_away(tmp_path: Path, at: int) -> None:
    spool = Spool(tmp_path / "spool")
    first = completed(spool, "1.2", "1", "2", "3")
    store(spool, "1.2", "1", "2", "3")
    with pytest.MonkeyPatch.context() as patch:
        every_kill(patch, at)
        with suppress(Killed):
            spool.complete("1.2")
    spool = Spool(tmp_path / "spool")
    spool.recover()
    for study in spool.incoming():
        assert study.instances == 3
        spool.complete(study.key)
    assert spool.jobs() == [first]
    assert list((spool.root / "part").iterdir()) == []


def test_one_service_at_a_time(tmp_path: Path) -> None:
    first, second = Spool(tmp_path / "spool"), Spool(tmp_path / "spool")
    with first.locked(), pytest.raises(SpoolBusy), second.locked():
        pass
    with second.locked():
        pass


def test_only_its_user_may_look_into_it(spool: Spool) -> None:
    if os.name != "nt":
        assert spool.root.stat().st_mode & 0o077 == 0


def test_a_disk_that_is_full_at_the_last_rename_only_delays_the_study(spool: Spool) -> None:
    store(spool, "1.2", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_publish", refusing)
        with pytest.raises(OutputDiskFull):
            spool.complete("1.2")
    assert spool.jobs() == []
    (job,) = spool.finish_interrupted()
    assert [job] == spool.jobs()
    assert spool.finish_interrupted() == []


def refusing(_: object) -> None:
    raise OSError(28, "No space left on device")
