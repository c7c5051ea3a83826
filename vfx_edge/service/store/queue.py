"""What is to be done, as rows of one SQLite table, which a kill at any moment leaves intact.

The same work is never queued twice; urgent work comes first, but not always; failed work waits
until it is due again. Each change of state is one transaction, on the disk when it returns, so
threads and processes (`vfx-edge queue retry` beside a running service) may share a queue.
"""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from sqlite3 import OperationalError as OperationalError
from typing import Any

from vfx_edge.errors import OutputError
from vfx_edge.files import as_output_error
from vfx_edge.service.store.incoming_studies import OPTION

FILE = "queue.sqlite"
SUPERSEDED = "more images came: a later job has them all"
FAIR_AFTER = 3
"""After so many urgent ones in a row the one that waits longest goes first, urgent or not."""
LOCK_S = 600.0
"""How long one transaction waits for those of others, which take milliseconds."""
MOST_PAUSES = 6
SET_BACK_S = 1.0
"""A row that was changed later than now by so much: the clock was set back."""


class State(StrEnum):
    """Where a piece of work stands."""

    WAITING = "waiting"
    RETRY = "retry"
    """Failed; waits until it is due again."""
    RUNNING = "running"
    DONE = "done"
    GIVEN_UP = "dead"
    """Given up, with a reason; `Queue.retry` brings it back."""


OPEN = (State.WAITING, State.RETRY)
"""Not begun, or to be begun again."""


@dataclass(frozen=True)
class Entry:
    """A piece of work. Holds nothing that identifies a patient; times are seconds since 1970."""

    key: str
    """Names the work: the job, for a transmission `job@destination`."""
    job: str
    study: str = ""
    """The study's pseudonym."""
    destination: str = ""
    urgent: bool = False
    received_at_s: float = 0.0
    """When the last image came."""
    attempts: int = 0
    crashes: int = 0
    """How often the analysing process died of it."""
    due_at_s: float = 0.0
    first_failed_at_s: float = 0.0
    changed_at_s: float = 0.0
    reason: str = ""
    """Why the last attempt failed, or the study was given up: one sentence."""
    state: State = State.WAITING
    interruptions: int = 0
    """How often the service or its analysing process was ended during it: no fault of the work."""


_COLUMNS = [field.name for field in fields(Entry)]
_CREATE = f"""
CREATE TABLE work (id INTEGER PRIMARY KEY, queue TEXT NOT NULL,
                   {", ".join(f"{name} NOT NULL" for name in _COLUMNS)}, UNIQUE (queue, key))
"""
_INSERT = f"""
INSERT OR IGNORE INTO work (queue, {", ".join(_COLUMNS)})
VALUES (:queue, {", ".join(f":{name}" for name in _COLUMNS)})
"""
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM work WHERE queue = :queue"
_NEXT = f"""
{_SELECT} AND destination = :destination AND state IN ('{State.WAITING}', '{State.RETRY}')
    AND (due_at_s <= :now OR changed_at_s > :now + {SET_BACK_S})
    AND (study = '' OR study NOT IN (SELECT study FROM work WHERE queue = :queue
         AND destination = :destination AND state = '{State.RUNNING}'))
ORDER BY NOT (urgent OR :fair), received_at_s, id LIMIT 1
"""


_FORMER = {"jobs": "ack_queue_jobs", "sends": "ack_queue_sends"}
"""Queue -> its table in the former version's file."""


class QueueDamaged(OutputError):
    """The queue's file is no database, or a broken one."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} is damaged: stop the service, move the file away and start again; every study "
            "that is still in the spool is then queued anew, and what was sent is sent again."
        )


class QueueOfFormerVersion(OutputError):
    """The queue's file is of a version before this one."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} was written by a former version: start the service once with this one, which "
            "takes its rows over."
        )


class Queue:
    """One durable queue; `name` tells several in one file apart. Safe among threads and processes.

    Every method may raise OperationalError where the disk is full, and QueueDamaged.
    """

    def __init__(self, folder: Path, name: str, *, takes_over: bool = True) -> None:
        """takes_over: rows of the former version are migrated; only the service may, which no
        other one runs beside. Else QueueOfFormerVersion."""
        self._name = name
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._changes = 0
        self._urgent_in_a_row: Counter[str] = Counter()
        self._known: list[Entry] = []
        self._version = (-1, -1)
        with as_output_error(folder, OPTION):
            folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE
        self._open(takes_over)

    def put(self, entry: Entry) -> bool:
        """Queue it durably; False if work of that name is there already, in whatever state."""
        with self._transaction():
            entry = replace(entry, changed_at_s=time.time())
            if not self._run(_INSERT, **vars(entry)).rowcount:
                return False
        self.wake()
        return True

    def take(self, destination: str = "") -> Entry | None:
        """The next that is due, now running, its attempt counted; None when nothing is due. Not
        one of a study of which another runs: with more images, or dropped once more."""
        with self._transaction():
            fair = self._urgent_in_a_row[destination] >= FAIR_AFTER
            due = self._run(_NEXT, destination=destination, now=time.time(), fair=fair).fetchone()
            if due is None:
                return None
            entry = _entry(due)
            in_a_row = self._urgent_in_a_row[destination] + 1
            self._urgent_in_a_row[destination] = in_a_row if entry.urgent and not fair else 0
            return self._write(entry, attempts=entry.attempts + 1, state=State.RUNNING)

    def done(self, key: str, note: str = "", study: str = "") -> None:
        """It needs no more work. `study`: the pseudonym, where it is known only now. KeyError."""
        named = {"study": study} if study else {}
        with self._changing(key) as entry:
            self._write(entry, state=State.DONE, reason=note, due_at_s=0.0, **named)

    def retry_later(self, key: str, reason: str, wait_s: float, *, died: bool = False) -> None:
        """It failed; it is due again in `wait_s`. `died`: the process with it. KeyError."""
        now = time.time()
        with self._changing(key) as entry:
            first = entry.first_failed_at_s or now
            facts = {"reason": reason, "due_at_s": now + wait_s, "first_failed_at_s": first}
            self._write(entry, state=State.RETRY, crashes=entry.crashes + died, **facts)

    def make_urgent(self, key: str) -> None:
        """It goes first from now on. KeyError."""
        with self._changing(key) as entry:
            self._write(entry, urgent=True)

    def give_up(self, key: str, reason: str, *, died: bool = False) -> None:
        """It is not tried again. KeyError."""
        with self._changing(key) as entry:
            crashes = entry.crashes + died
            self._write(entry, state=State.GIVEN_UP, reason=reason, crashes=crashes)

    def give_back(self, key: str, backoff_s: float = 0.0) -> None:
        """It was interrupted by somebody else: the attempt does not count. backoff_s: as in
        `resume`, should it be killed at this one whenever it begins; 0: it is due at once."""
        with self._transaction():
            entry = self.find(key)
            if entry is None or entry.state is not State.RUNNING:
                pass
            elif backoff_s:
                self._interrupted(entry, backoff_s)
            else:
                state = _waiting(entry.due_at_s)
                self._write(entry, state=state, attempts=entry.attempts - 1)
        self.wake()

    def retry(self, key: str) -> None:
        """Start over with it, attempts and all. KeyError."""
        new = Entry(key, key)
        counts = ("attempts", "crashes", "interruptions")
        names = ("state", "reason", *counts, "due_at_s", "first_failed_at_s")
        with self._changing(key) as entry:
            self._write(entry, **{name: getattr(new, name) for name in names})

    def resume(self, backoff_s: float = 10.0) -> list[Entry]:
        """At start-up: what was running when the service ended is due again, and that attempt does
        not count: whoever ended the service meant no study. From the second time on it waits, so
        that others come first, should the machine itself go down at this one. Returns it as it was.
        """
        with self._transaction():
            stuck = [one for one in self.entries() if one.state is State.RUNNING]
            for one in stuck:
                self._interrupted(one, backoff_s)
        return stuck

    def _interrupted(self, entry: Entry, backoff_s: float) -> None:
        pause_s = backoff_s * min(entry.interruptions, MOST_PAUSES)
        due_s = time.time() + pause_s if pause_s else 0.0
        counts = {"attempts": entry.attempts - 1, "interruptions": entry.interruptions + 1}
        self._write(entry, state=_waiting(due_s), due_at_s=due_s, **counts)

    def drop(self, key: str) -> None:
        """Forget it, in whatever state. KeyError."""
        with self._transaction():
            if not self._run(
                "DELETE FROM work WHERE queue = :queue AND key = :key", key=key
            ).rowcount:
                raise KeyError(key)

    def entries(self) -> list[Entry]:
        """All, in the order they came."""
        with self._lock:
            # There may be thousands of rows: read again only after a change, over this connection
            # (`total_changes`) or another (`data_version`).
            (others,) = self._run("PRAGMA data_version").fetchone()
            version = others, self._connection.total_changes
            if version != self._version:
                self._known = [_entry(row) for row in self._run(f"{_SELECT} ORDER BY id")]
                self._version = version
            return list(self._known)

    def of_job(self, job: str) -> list[Entry]:
        """Those of one job, in the order they came."""
        return [entry for entry in self.entries() if entry.job == job]

    def find(self, key: str) -> Entry | None:
        """The work of that name, if any."""
        with self._lock:
            row = self._run(f"{_SELECT} AND key = :key", key=key).fetchone()
        return _entry(row) if row else None

    @property
    def changes(self) -> int:
        """How often something was queued or changed in this process: for `wait`."""
        return self._changes

    def wait(self, seconds: float, seen: int | None = None) -> None:
        """Until something changes in this process (or has, since `changes` was `seen`), at most
        so long: what another process changes does not end it."""
        with self._changed:
            seen = self._changes if seen is None else seen
            self._changed.wait_for(lambda: self._changes != seen, seconds)

    def wake(self) -> None:
        """End every `wait`."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Close the file; the last call."""
        with self._lock:
            self._connection.close()

    def _open(self, takes_over: bool) -> None:
        self._connection = sqlite3.connect(
            self._file, timeout=LOCK_S, isolation_level=None, check_same_thread=False
        )
        self._run("PRAGMA journal_mode=WAL")  # with FULL, a commit is on the disk
        self._run("PRAGMA synchronous=FULL")
        if not takes_over and any(map(self._has_table, _FORMER.values())):
            raise QueueOfFormerVersion(self._file)
        if not self._has_table("work"):
            with self._transaction():
                if not self._has_table("work"):  # another process may have come first
                    self._run(_CREATE)
                    self._migrate()
        self._add_interruptions()

    def _add_interruptions(self) -> None:
        """To a table of before that column, where `crashes` counted every end of the service."""
        if self._counts_interruptions():
            return
        with self._transaction():
            if not self._counts_interruptions():  # another process may have come first
                self._run("ALTER TABLE work ADD COLUMN interruptions NOT NULL DEFAULT 0")
                self._run("UPDATE work SET crashes = 0")

    def _counts_interruptions(self) -> bool:
        columns = self._run("PRAGMA table_info(work)").fetchall()
        return "interruptions" in (name for _, name, *_ in columns)

    def _migrate(self) -> None:
        """The rows of the former format: a table a queue, with facts in JSON and a status."""
        states = {0: State.WAITING, 1: State.WAITING, 2: State.RUNNING, 5: State.DONE}
        for name, table in _FORMER.items():
            if not self._has_table(table):
                continue
            for text, status in self._run(f"SELECT data, status FROM {table} ORDER BY _id"):
                entry = Entry(**json.loads(text))
                state = states.get(int(status), State.GIVEN_UP)
                if state is State.WAITING:
                    state = _waiting(entry.due_at_s)
                self._run(_INSERT, **{**vars(entry), "queue": name, "state": state})
            self._run(f"DROP TABLE {table}")

    def _has_table(self, name: str) -> bool:
        found = self._run("SELECT 1 FROM sqlite_master WHERE name = :name", name=name)
        return found.fetchone() is not None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the block is on the disk at its end, or, where it raises, nothing."""
        with self._lock:
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    self._run("ROLLBACK")
                self._version = (-1, -1)
                raise

    @contextmanager
    def _changing(self, key: str) -> Iterator[Entry]:
        """The entry, for `_write`, in a transaction. KeyError."""
        with self._transaction():
            entry = self.find(key)
            if entry is None:
                raise KeyError(key)
            yield entry
        self.wake()

    def _write(self, entry: Entry, **facts: Any) -> Entry:
        facts["changed_at_s"] = time.time()
        columns = ", ".join(f"{name} = :{name}" for name in facts)
        self._run(f"UPDATE work SET {columns} WHERE queue = :queue AND key = :key",
                  key=entry.key, **facts)  # fmt: skip
        return replace(entry, **facts)

    def _run(self, statement: str, **values: Any) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, {"queue": self._name, **values})
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            raise QueueDamaged(self._file) from None


def _waiting(due_at_s: float) -> State:
    return State.RETRY if due_at_s > 0 else State.WAITING


def _entry(row: tuple[Any, ...]) -> Entry:
    entry = Entry(*row)
    return replace(entry, urgent=bool(entry.urgent), state=State(entry.state))
