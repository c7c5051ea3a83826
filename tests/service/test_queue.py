"""The durable queue: order, once, states, and what a second process sees and corrects."""

import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANG_S
from vfx_edge.errors import OutputError
from vfx_edge.service.store.queue import Entry, Queue, State


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path, "jobs")


def entry(name: str, at_s: float = 0.0, *, urgent: bool = False) -> Entry:
    return Entry(key=name, job=name, received_at_s=at_s, urgent=urgent)


def taken(queue: Queue, count: int) -> list[str]:
    found = [queue.take() for _ in range(count)]
    return [one.key if one else "-" for one in found]


def test_the_same_work_is_queued_once_whatever_became_of_it(queue: Queue) -> None:
    assert queue.put(entry("a"))
    assert not queue.put(entry("a"))
    assert taken(queue, 2) == ["a", "-"]
    queue.done("a")
    assert not queue.put(entry("a"))
    assert taken(queue, 1) == ["-"]


def test_urgent_first_but_every_fourth_is_the_longest_waiting(queue: Queue) -> None:
    for at in range(3):
        queue.put(entry(f"long{at}", at))
    for at in range(6):
        queue.put(entry(f"urgent{at}", 100 + at, urgent=True))
    assert taken(queue, 9) == [
        *("urgent0", "urgent1", "urgent2", "long0"),
        *("urgent3", "urgent4", "urgent5", "long1"),
        "long2",
    ]


def test_an_urgent_one_among_long_ones_is_the_next_whenever_it_comes(queue: Queue) -> None:
    for at in range(10):
        queue.put(entry(f"long{at}", at))
    for at in range(4):
        taken(queue, 1)
        queue.put(entry(f"urgent{at}", 100 + at, urgent=True))
        assert taken(queue, 1) == [f"urgent{at}"]


def test_of_a_study_one_job_runs_at_a_time(queue: Queue) -> None:
    for at, name in enumerate(("first", "more images")):
        queue.put(replace(entry(name, at), study="a"))
    queue.put(replace(entry("another", 2), study="b"))
    assert taken(queue, 3) == ["first", "another", "-"]
    queue.done("first")
    assert taken(queue, 1) == ["more images"]


def test_an_attempt_is_on_the_disk_before_it_begins(queue: Queue, tmp_path: Path) -> None:
    queue.put(entry("a"))
    queue.take()
    assert [(one.state, one.attempts) for one in Queue(tmp_path, "jobs").entries()] == [
        (State.RUNNING, 1)
    ]


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """From now on the clock is so far ahead."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_what_failed_waits_until_it_is_due_and_tells_why(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.put(entry("a"))
    queue.take()
    before = time.time()
    queue.retry_later("a", "no room.", HANG_S)
    (waiting,) = queue.entries()
    assert (waiting.state, waiting.reason, waiting.attempts) == (State.RETRY, "no room.", 1)
    assert before <= waiting.first_failed_at_s <= time.time()
    assert queue.take() is None
    later(monkeypatch, HANG_S)
    again = queue.take()
    assert again is not None
    assert again.attempts == 2


def test_given_up_work_stays_until_it_is_retried_or_dropped(queue: Queue, tmp_path: Path) -> None:
    queue.put(entry("a"))
    queue.put(entry("b"))
    for name in taken(queue, 2):
        queue.give_up(name, "no CT.")
    assert queue.take() is None
    other = Queue(tmp_path, "jobs")
    other.retry("a")
    other.drop("b")
    again = queue.take()
    assert again is not None
    assert (again.key, again.attempts, again.reason) == ("a", 1, "")
    assert [one.key for one in queue.entries()] == ["a"]
    with pytest.raises(KeyError):
        queue.retry("b")


@pytest.mark.parametrize("whole", [True, False], ids=["the service", "its analysing process"])
def test_interrupted_work_is_due_at_once_and_later_after_a_pause(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    queue.put(entry("a"))
    for ends, due in ((1, True), (2, False)):
        queue.take()
        if whole:
            (stuck,) = queue.resume(backoff_s=HANG_S)
            assert stuck.state is State.RUNNING
        else:
            queue.give_back("a", backoff_s=HANG_S)
        (now,) = queue.entries()
        assert (now.interruptions, now.due_at_s <= time.time()) == (ends, due)
        assert (now.attempts, now.crashes) == (0, 0)
    later(monkeypatch, HANG_S)
    assert taken(queue, 1) == ["a"]


def test_work_that_is_handed_back_was_never_begun(queue: Queue) -> None:
    queue.put(entry("a"))
    queue.take()
    queue.give_back("a")
    (one,) = queue.entries()
    assert (one.state, one.attempts, one.crashes) == (State.WAITING, 0, 0)
    queue.take()
    queue.done("a")
    queue.give_back("a")  # too late: it is done
    assert queue.entries()[0].state is State.DONE


def test_transmissions_are_taken_by_their_own_destination(tmp_path: Path) -> None:
    sends = Queue(tmp_path, "sends")
    jobs = Queue(tmp_path, "jobs")
    for name in ("A", "B"):
        sends.put(Entry(key=f"j@{name}", job="j", destination=name))
    assert jobs.entries() == []
    assert sends.take() is None
    found = sends.take("B")
    assert found is not None
    assert found.key == "j@B"


TAKER = """
import sys
from pathlib import Path
from typing import Any
from vfx_edge.service.store.queue import Queue
queue = Queue(Path(sys.argv[1]), "jobs")
while (entry := queue.take()) is not None:
    print(entry.key)
    queue.done(entry.key)
"""


def test_processes_never_take_the_same_work_twice(queue: Queue, tmp_path: Path) -> None:
    for number in range(60):
        queue.put(entry(f"{number}"))
    command = [sys.executable, "-c", TAKER, str(tmp_path)]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    taken_keys = [name for taker in takers for name in taker.communicate()[0].split()]
    assert sorted(taken_keys, key=int) == [str(number) for number in range(60)]


def test_wait_ends_when_something_is_queued_even_just_before(queue: Queue) -> None:
    seen = queue.changes
    queue.put(entry("a"))
    queue.wait(10 * HANG_S, seen)  # else pytest's own limit ends it


def test_each_commit_is_flushed_to_the_disk(queue: Queue) -> None:
    assert queue._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_clock_that_is_set_back_holds_nothing_up(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.put(entry("a"))
    queue.take()
    queue.retry_later("a", "no room.", HANG_S)
    assert taken(queue, 1) == ["-"]
    later(monkeypatch, -5 * 3600)
    assert taken(queue, 1) == ["a"]


def test_the_long_waiting_have_their_turn_at_each_destination(queue: Queue) -> None:
    """Two that are served in step must not take each other's turns."""
    for to in "AB":
        queue.put(Entry(f"long@{to}", "long", destination=to))
        for at in range(6):
            queue.put(Entry(f"{at}@{to}", str(at), destination=to, urgent=True, received_at_s=9))
    served = [queue.take(to) for _ in range(4) for to in "AB"]
    assert {"long@A", "long@B"} <= {one.key for one in served if one}


def test_a_damaged_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(OutputError, match=r"queue\.sqlite is damaged: .* move the file away"):
        Queue(tmp_path, "jobs")


FORMER: dict[str, tuple[int, dict[str, Any], State]] = {
    "waits": (0, {}, State.WAITING),
    "failed": (1, {"due_at_s": 5.0, "attempts": 2, "reason": "no room."}, State.RETRY),
    "ran": (2, {"attempts": 1, "urgent": True}, State.RUNNING),
    "done": (5, {"study": "abc"}, State.DONE),
    "lost": (9, {"reason": "no CT.", "crashes": 3}, State.GIVEN_UP),
}


def test_rows_of_the_former_format_are_kept(tmp_path: Path) -> None:
    """Version 0.1 had them as JSON, in a table for each queue, in a file with a write-ahead log."""
    with sqlite3.connect(tmp_path / "queue.sqlite") as file:
        file.execute("PRAGMA journal_mode=WAL")
        for name in ("jobs", "sends"):
            file.execute(
                f"CREATE TABLE ack_queue_{name} (_id INTEGER PRIMARY KEY AUTOINCREMENT, "
                "data BLOB, timestamp FLOAT, status INTEGER)"
            )
        for key, (status, facts, _) in FORMER.items():
            row = json.dumps({"key": key, "job": key, "changed_at_s": 1.0, **facts}), status
            file.execute("INSERT INTO ack_queue_jobs (data, status) VALUES (?, ?)", row)
    file.close()
    jobs, sends = Queue(tmp_path, "jobs"), Queue(tmp_path, "sends")
    assert jobs.entries() == [
        Entry(key, key, changed_at_s=1.0, state=state, **facts)
        for key, (_, facts, state) in FORMER.items()
    ]
    assert sends.entries() == []
    assert [one.key for one in jobs.resume()] == ["ran"]
    assert taken(jobs, 4) == ["ran", "waits", "failed", "-"]


def test_a_table_without_interruptions_gets_them(tmp_path: Path) -> None:
    """There, `crashes` counted every kill of the service."""
    jobs = Queue(tmp_path, "jobs")
    jobs.put(entry("a"))
    jobs.close()
    with sqlite3.connect(tmp_path / "queue.sqlite") as file:
        file.execute("ALTER TABLE work DROP COLUMN interruptions")
        file.execute("UPDATE work SET crashes = 4")
    file.close()
    (kept,) = Queue(tmp_path, "jobs").entries()
    assert (kept.key, kept.crashes, kept.interruptions) == ("a", 0, 0)


def test_a_change_that_fails_half_way_changes_nothing(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    for name in "ab":
        queue.put(entry(name))
        queue.take()
    before, write = queue.entries(), queue._write

    def failing(one: Entry, **facts: Any) -> Entry:
        if one.key == "b":
            raise sqlite3.OperationalError("database or disk is full")
        return write(one, **facts)

    monkeypatch.setattr(queue, "_write", failing)
    with pytest.raises(sqlite3.OperationalError):
        queue.resume()
    assert queue.entries() == before
