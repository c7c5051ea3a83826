"""Takes entries of a queue one after another and records the outcome: of analyses and of
transmissions."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vfx_edge.service.reasons import QUEUE_FAILED
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.queue import Entry, OperationalError, Queue

log = logging.getLogger(__name__)
POLL_S = 1.0
"""After how long a change by another process is seen."""
DISK_PAUSE_S = 5.0
MIN_ATTEMPTS = 6


@dataclass(frozen=True)
class Done:
    """It needs no more work. `study`: its pseudonym, where that became known."""

    note: str = ""
    study: str = ""


@dataclass(frozen=True)
class RetryLater:
    """It failed, and is to be tried again in `wait_s`. `died`: it killed the process at work."""

    reason: str
    wait_s: float
    died: bool = False


@dataclass(frozen=True)
class GivenUp:
    """It failed for good."""

    reason: str
    died: bool = False


@dataclass(frozen=True)
class Interrupted:
    """Somebody else ended it: the attempt does not count. `backoff_s`: from the second time on it
    waits, so that others come first: what ends processes for want of memory may do so again."""

    backoff_s: float


Outcome = Done | RetryLater | GivenUp | Interrupted


def retry_until_limit(entry: Entry, reason: str, settings: Settings) -> Outcome:
    """Try it again until it has failed for `give_up_s`, and often enough: where the clock was set
    forward by a day, the first failure only looks old."""
    since = entry.first_failed_at_s or time.time()
    if time.time() - since >= settings.give_up_s and entry.attempts >= MIN_ATTEMPTS:
        return GivenUp(reason)
    return RetryLater(reason, settings.backoff_s(entry.attempts))


class QueueLoop:
    """The loop over one queue, or over one destination's entries in it."""

    def __init__(
        self, queue: Queue, process: Callable[[Entry], Outcome], destination: str = ""
    ) -> None:
        self._queue = queue
        self._process = process
        self._destination = destination
        self._current: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; where the disk is full it waits, and nothing is lost."""
        while not stop.is_set():
            seen = self._queue.changes
            try:
                entry = self._queue.take(self._destination)
            except OperationalError as error:
                log.error(QUEUE_FAILED, error)
                stop.wait(DISK_PAUSE_S)
                continue
            if entry is None:
                self._queue.wait(POLL_S, seen)
                continue
            self._current = entry.key
            outcome = self._process(entry)
            self._record(entry, outcome, stop)
            self._current = None

    def give_back(self) -> None:
        """At the end of the process: what is not finished is taken again, as if never begun."""
        if self._current is not None:
            self._queue.give_back(self._current)

    def _record(self, entry: Entry, outcome: Outcome, stop: threading.Event) -> None:
        while True:
            try:
                return self._write(entry, outcome, ending=stop.is_set())
            except OperationalError as error:
                log.error(QUEUE_FAILED, error)
            except KeyError:  # dropped meanwhile
                return None
            if stop.wait(DISK_PAUSE_S):
                return None  # still "running" on the disk: taken again

    def _write(self, entry: Entry, outcome: Outcome, *, ending: bool) -> None:
        match outcome:
            case Done(note, study):
                self._queue.done(entry.key, note, study)
                log.info("%s done", entry.key)
            case RetryLater(reason, wait_s, died):
                self._queue.retry_later(entry.key, reason, wait_s, died=died)
                log.warning("%s failed, again in %.0f s: %s", entry.key, wait_s, reason)
            case GivenUp(reason, died):
                self._queue.give_up(entry.key, reason, died=died)
                log.error("%s given up: %s", entry.key, reason)
            case Interrupted(backoff_s):
                self._queue.give_back(entry.key, 0.0 if ending else backoff_s)
