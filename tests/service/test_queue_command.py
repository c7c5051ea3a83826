"""`vfx-edge queue`, from outside, on a spool that a service may be working in."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.conftest import WITHOUT_ROOT_POWERS, Answer, call
from tests.service.stores import Store
from vfx_edge.service.store.queue import Entry, Queue
from vfx_edge.service.store.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A job that was given up, one that runs, and a transmission that waits."""
    store = Store(tmp_path / "spool")
    dead, running = (store.complete(study, "1").job for study in ("1.2", "1.3"))
    for _ in range(2):
        store.jobs.take()
    store.jobs.give_up(dead, "no CT.")
    store.sends.put(Entry(key=f"{running}@PACS", job=running, destination="PACS"))
    return store.spool


def vfx(spool: Spool, *words: str) -> Answer:
    return call("queue", *words, "--spool", spool.root, cwd=spool.root.parent)


def keys(spool: Spool) -> list[str]:
    listed = json.loads(vfx(spool, "list", "--all", "--json").stdout)
    return [entry["key"] for entry in listed]


def test_list_and_show_tell_the_reason(spool: Spool) -> None:
    dead, running, _ = keys(spool)
    first, second, third = vfx(spool, "list").stdout.splitlines()
    assert first.startswith(dead)
    assert first.endswith("given up  no CT.")
    assert second.startswith(running)
    assert second.endswith("running")
    assert f"{running} -> PACS" in third
    assert "reason       no CT." in vfx(spool, "show", dead[:8]).stdout


def test_retry_brings_back_what_was_given_up(spool: Spool) -> None:
    dead, running, _ = keys(spool)
    assert vfx(spool, "retry", dead).stdout == f"{dead} waits\n"
    assert "given up" not in vfx(spool, "list").stdout
    assert "Nothing" in vfx(spool, "retry", running).stdout


def test_what_was_sent_is_sent_again_when_an_archive_has_lost_it(spool: Spool) -> None:
    _, _, sent = keys(spool)
    assert "Nothing of it has been sent." in vfx(spool, "send", sent).stdout
    Queue(spool.queue_folder, "sends").done(sent)
    assert vfx(spool, "send", sent).stdout == f"{sent} waits\n"
    assert "waiting" in vfx(spool, "list").stdout


def test_drop_forgets_a_job_with_its_images_but_none_that_runs(spool: Spool) -> None:
    dead, running, sent = keys(spool)
    assert vfx(spool, "drop", dead[:6]).stdout == f"{dead} dropped\n"
    assert [one.job for one in spool.jobs()] == [running]
    with spool.locked():
        assert "is running" in vfx(spool, "drop", running).assert_refused(3)
    assert vfx(spool, "drop", sent).stdout == f"{sent} dropped\n"
    assert keys(spool) == [running]
    assert vfx(spool, "drop", running).stdout == f"{running} dropped\n"  # its service was killed
    assert keys(spool) == []


@pytest.mark.parametrize("words", [("show", "ffff"), ("drop", "ff"), ("retry", ""), ("show", "@")])
def test_what_names_no_job_is_refused(spool: Spool, words: tuple[str, str]) -> None:
    assert "No single job" in vfx(spool, *words).assert_refused(3)


def test_a_queue_that_may_not_be_changed_can_be_listed(spool: Spool) -> None:
    if os.name == "nt" or shutil.which("setpriv") is None:
        pytest.skip("needs POSIX permissions, and setpriv for root")
    dead, _, _ = keys(spool)
    for path in (spool.queue_folder / "queue.sqlite", spool.queue_folder):
        path.chmod(0o555)
    ask = ("--spool", spool.root)
    powers = WITHOUT_ROOT_POWERS if os.geteuid() == 0 else None
    listed = call("queue", "list", *ask, cwd=spool.root.parent, prefix=powers)
    assert dead in listed.stdout
    refused = call("queue", "retry", dead, *ask, cwd=spool.root.parent, prefix=powers)
    assert "run this as the service's user" in refused.assert_refused(6)
    spool.queue_folder.chmod(0o755)


def test_where_no_service_was_there_is_no_queue(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    message = call("queue", "list", "--spool", absent, cwd=tmp_path).assert_refused(3)
    assert "--spool" in message
    assert not absent.exists()


def test_a_file_of_the_former_version_is_left_to_the_service(spool: Spool) -> None:
    """It may still be running, and reads its own table."""
    for file in spool.queue_folder.iterdir():
        file.unlink()
    with closing(sqlite3.connect(spool.queue_folder / "queue.sqlite")) as table:
        table.execute("CREATE TABLE ack_queue_jobs (_id INTEGER PRIMARY KEY, data, status)")
    answer = vfx(spool, "list")
    assert answer.code == 6
    assert "start the service once with this one" in answer.stderr
    with closing(sqlite3.connect(spool.queue_folder / "queue.sqlite")) as table:
        assert table.execute("SELECT count(*) FROM ack_queue_jobs").fetchone() == (0,)
