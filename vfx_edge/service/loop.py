"""How work is taken from a queue and settled: the same for analyses and for transmissions."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vfx_edge.service.store.queue import Entry, OperationalError, Queue

log = logging.getLogger(__name__)
POLL_S = 1.0
"""How soon is seen what another process changed in the queue."""
DISK_PAUSE_S = 5.0


@dataclass(frozen=True)
class Done:
    """It needs no more work. `study`: its pseudonym, where that became known."""

    note: str = ""
    study: str = ""


@dataclass(frozen=True)
class Later:
    """It failed, and is worth another attempt in `wait_s`."""

    reason: str
    wait_s: float


@dataclass(frozen=True)
class Dead:
    """It failed for good."""

    reason: str


Outcome = Done | Later | Dead


LEAST_ATTEMPTS = 6


def is_hopeless(entry: Entry, give_up_s: float) -> bool:
    """Whether it has failed for so long, and often enough: a clock that is set forward by a day
    makes the first failure look old."""
    since = entry.first_failed_at_s or time.time()
    return time.time() - since >= give_up_s and entry.attempts >= LEAST_ATTEMPTS


class Loop:
    """Takes one piece of work after another and settles it."""

    def __init__(self, queue: Queue, do: Callable[[Entry], Outcome], destination: str = "") -> None:
        self._queue = queue
        self._do = do
        self._destination = destination
        self._busy_with: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; a queue whose disk is full is tried again, nothing is forgotten."""
        while not stop.is_set():
            seen = self._queue.changes
            try:
                entry = self._queue.take(self._destination)
            except OperationalError as error:
                log.error("the queue can't be written, is the disk full? (%s)", error)
                stop.wait(DISK_PAUSE_S)
                continue
            if entry is None:
                self._queue.wait(POLL_S, seen)
                continue
            self._busy_with = entry.key
            outcome = self._do(entry)
            self._settle(entry, outcome, stop)
            self._busy_with = None

    def give_back(self) -> None:
        """At the end of the process: what is not finished is taken again, as if never begun."""
        if self._busy_with is not None:
            self._queue.give_back(self._busy_with)

    def _settle(self, entry: Entry, outcome: Outcome, stop: threading.Event) -> None:
        while True:
            try:
                return self._write(entry, outcome)
            except OperationalError as error:
                log.error("the queue can't be written, is the disk full? (%s)", error)
            except KeyError:  # dropped meanwhile
                return None
            if stop.wait(DISK_PAUSE_S):
                return None  # still "running" on the disk: taken again

    def _write(self, entry: Entry, outcome: Outcome) -> None:
        match outcome:
            case Done(note, study):
                self._queue.done(entry.key, note, study)
                log.info("%s done", entry.key)
            case Later(reason, wait_s):
                self._queue.retry_later(entry.key, reason, wait_s)
                log.warning("%s failed, again in %.0f s: %s", entry.key, wait_s, reason)
            case Dead(reason):
                self._queue.give_up(entry.key, reason)
                log.error("%s given up: %s", entry.key, reason)
