"""What is to be done, as rows on the disk: they outlive a kill at any moment.

The rows, their states and their transactions are persist-queue's (SQLite). Added here: a row has a
name, so that the same work is never queued twice; the urgent come first without starving the rest;
a failed row waits until it is due again; and another process may look and correct (a file lock).

A change of state is two writes, the row's facts and then its state, in an order in which a kill
between them leaves work that is done again, never work that is lost.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from sqlite3 import DatabaseError
from sqlite3 import OperationalError as OperationalError
from typing import Any

import persistqueue.serializers.json
from filelock import FileLock
from persistqueue import SQLiteAckQueue
from persistqueue.sqlackqueue import AckStatus

from vfx_edge.errors import OutputError
from vfx_edge.files import mapped
from vfx_edge.service.store.incoming import OPTION

FILE = "queue.sqlite"
SUPERSEDED = "more images came: a later job has them all"
FAIR_EVERY = 4
"""Every so many takes the one that waits longest goes first, urgent or not."""


class State(StrEnum):
    """Where a piece of work stands."""

    WAITING = "waiting"
    RETRY = "retry"
    """Failed; waits until it is due again."""
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    """Given up, with a reason; `Queue.retry` brings it back."""


_STATES = {
    int(AckStatus.inited): State.WAITING,
    int(AckStatus.ready): State.WAITING,
    int(AckStatus.unack): State.RUNNING,
    int(AckStatus.acked): State.DONE,
    int(AckStatus.ack_failed): State.DEAD,
}


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
    """How often the process died while it was at it."""
    due_at_s: float = 0.0
    first_failed_at_s: float = 0.0
    changed_at_s: float = 0.0
    reason: str = ""
    """Why the last attempt failed, or the study was given up: one sentence."""
    state: State = State.WAITING


class _Table(SQLiteAckQueue):
    """Each commit is on the disk when it returns; rows can be forgotten one by one."""

    _SQL_DELETE = "DELETE FROM {table_name} WHERE {key_column} {op} ?"

    def _new_db_connection(self, path: str, multithreading: bool, timeout: float) -> Any:
        connection = super()._new_db_connection(path, multithreading, timeout)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def version(self) -> int:
        """Changes with whatever is committed over another connection."""
        connection: Any = self._getter
        return int(connection.execute("PRAGMA data_version").fetchone()[0])


class QueueDamaged(OutputError):
    """The queue's file is no database, or a broken one."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} is damaged: stop the service, move the file away and start again; every study "
            "that is still in the spool is then queued anew, and what was sent is sent again."
        )


class Queue:
    """One durable queue; `name` tells several in one file apart. Safe among threads and processes.

    Every method may raise OperationalError where the disk is full or gone; making one QueueDamaged.
    """

    def __init__(self, folder: Path, name: str) -> None:
        with mapped(folder, OPTION):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "queue.lock")
        self._changed = threading.Condition()
        self._changes = 0
        self._takes: Counter[str] = Counter()
        self._known: list[tuple[int, Entry]] = []
        self._version = -1
        with mapped(folder, OPTION), self._lock:
            self._table = _opened(folder, name)

    def put(self, entry: Entry) -> bool:
        """Queue it durably; False if work of that name is there already, in whatever state."""
        with self._lock:
            if self._find(entry.key) is not None:
                return False
            self._table.put(_facts(replace(entry, changed_at_s=time.time())))
        self.wake()
        return True

    def take(self, destination: str = "") -> Entry | None:
        """The next that is due, now running, its attempt counted; None when nothing is due."""
        now = time.time()
        with self._lock:
            due = [
                (row, one)
                for row, one in self._rows()
                if one.destination == destination and _is_due(one, now)
            ]
            if not due:
                return None
            self._takes[destination] += 1
            fair = self._takes[destination] % FAIR_EVERY == 0
            row, entry = min(due, key=lambda it: (not fair and not it[1].urgent, _order(it)))
            entry = replace(entry, attempts=entry.attempts + 1, state=State.RUNNING)
            self._write(row, entry)
            self._table.get(block=False, id=row, raw=True)
            return entry

    def done(self, key: str, note: str = "", study: str = "") -> None:
        """It needs no more work. `study`: the pseudonym, where it is known only now."""
        named = {"study": study} if study else {}
        with self._changing(key, reason=note, due_at_s=0.0, **named) as row:
            self._table.ack(id=row)

    def retry_later(self, key: str, reason: str, wait_s: float) -> None:
        """It failed; it is due again in `wait_s`."""
        entry = self.find(key)
        now = time.time()
        first = (entry.first_failed_at_s if entry else 0.0) or now
        facts = {"reason": reason, "due_at_s": now + wait_s, "first_failed_at_s": first}
        with self._changing(key, **facts) as row:
            self._table.nack(id=row)

    def promote(self, key: str) -> None:
        """It goes first from now on. KeyError."""
        with self._changing(key, urgent=True):
            pass

    def dead(self, key: str, reason: str) -> None:
        """It is given up."""
        with self._changing(key, reason=reason) as row:
            self._table.ack_failed(id=row)

    def give_back(self, key: str) -> None:
        """It was not finished through no fault of its own: the attempt doesn't count."""
        entry = self.find(key)
        if entry is not None and entry.state is State.RUNNING:
            with self._changing(key, attempts=entry.attempts - 1) as row:
                self._table.nack(id=row)

    def retry(self, key: str) -> None:
        """Start over with it, attempts and all. KeyError."""
        counts = {"attempts": 0, "crashes": 0, "due_at_s": 0.0, "first_failed_at_s": 0.0}
        with self._changing(key, reason="", **counts) as row:
            self._table.nack(id=row)

    def resume(self, backoff_s: float = 10.0) -> list[Entry]:
        """At start-up, when nothing runs: what ran when the process died is due again.

        What has died with the process before waits a little: it may be the reason, and the others
        are to get on meanwhile.
        """
        with self._lock:
            stuck = [(row, one) for row, one in self._rows() if one.state is State.RUNNING]
            for row, entry in stuck:
                due = time.time() + backoff_s * entry.crashes if entry.crashes else 0.0
                self._write(row, replace(entry, crashes=entry.crashes + 1, due_at_s=due))
                self._table.nack(id=row)
        return [entry for _, entry in stuck]

    def drop(self, key: str) -> None:
        """Forget it, in whatever state. KeyError."""
        with self._lock:
            self._table._delete(self._row(key)[0])

    def entries(self) -> list[Entry]:
        """All, in the order they came."""
        with self._lock:
            return [entry for _, entry in self._rows()]

    def find(self, key: str) -> Entry | None:
        """The work of that name, if any."""
        with self._lock:
            found = self._find(key)
        return found[1] if found else None

    @property
    def changes(self) -> int:
        """How often something was queued or changed in this process: for `wait`."""
        return self._changes

    def wait(self, seconds: float, seen: int | None = None) -> None:
        """Until something changes in this process (or has, since `changes` was `seen`), at most
        so long: what another process changes is not told."""
        with self._changed:
            seen = self._changes if seen is None else seen
            self._changed.wait_for(lambda: self._changes != seen, seconds)

    def wake(self) -> None:
        """End everybody's `wait`."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def close(self) -> None:
        """No use after this."""
        self._table.close()

    @contextmanager
    def _changing(self, key: str, **facts: Any) -> Iterator[int]:
        """The row, its facts already written; the block sets the state."""
        with self._lock:
            row, entry = self._row(key)
            self._write(row, replace(entry, **facts))
            yield row
        self.wake()

    def _rows(self) -> list[tuple[int, Entry]]:
        # SQLite's own count of what other connections (all writing goes over another one) have
        # committed: thousands of rows need not be read every second by each who waits for work.
        version = self._table.version()
        if version != self._version:
            self._known = [(row["id"], _entry(row)) for row in self._table.queue()]
            self._version = version
        return self._known

    def _find(self, key: str) -> tuple[int, Entry] | None:
        return next((found for found in self._rows() if found[1].key == key), None)

    def _row(self, key: str) -> tuple[int, Entry]:
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        return found

    def _write(self, row: int, entry: Entry) -> None:
        self._table.update(_facts(replace(entry, changed_at_s=time.time())), id=row)


def _opened(folder: Path, name: str) -> _Table:
    try:
        return _Table(
            str(folder),
            name=name,
            auto_resume=False,  # who only looks must not take work from who does it
            multithreading=True,
            serializer=persistqueue.serializers.json,
            db_file_name=FILE,
        )
    except OperationalError:
        raise
    except DatabaseError:
        raise QueueDamaged(folder / FILE) from None


def _facts(entry: Entry) -> dict[str, Any]:
    facts = asdict(entry)
    del facts["state"]  # the library's own column
    return facts


def _entry(row: dict[str, Any]) -> Entry:
    entry = Entry(**row["data"], state=_STATES[int(row["status"])])
    if entry.state is State.WAITING and entry.due_at_s > 0:
        return replace(entry, state=State.RETRY)
    return entry


def _is_due(entry: Entry, now: float) -> bool:
    if entry.state not in (State.WAITING, State.RETRY):
        return False
    set_back = now < entry.changed_at_s - 1.0  # the clock: nobody knows how long it still is
    return set_back or entry.due_at_s <= now


def _order(found: tuple[int, Entry]) -> tuple[float, int]:
    row, entry = found
    return entry.received_at_s, row
