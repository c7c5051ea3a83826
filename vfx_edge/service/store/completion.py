"""When a study is complete, and its job in the queue."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from vfx_edge.errors import OutputError
from vfx_edge.service.reasons import QUEUE_FAILED, reason
from vfx_edge.service.store.queue import OPEN, SUPERSEDED, Entry, OperationalError, Queue, State
from vfx_edge.service.store.spool import Received, Spool

log = logging.getLogger(__name__)
POLL_S = 0.25
PAUSE_S = 5.0

Clock = Callable[[], float]
"""Seconds since any moment; never goes back."""


class Completion:
    """Completes studies and queues them. Methods may be called from any thread.

    quiet_s: a study is complete when nothing has come for so long; cut_off_s: the same where the
    last sender was cut off and will try again.
    """

    def __init__(
        self,
        spool: Spool,
        jobs: Queue,
        sends: Queue,
        quiet_s: float,
        cut_off_s: float = 0.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._spool = spool
        self._jobs = jobs
        self._sends = sends
        self._quiet_s = quiet_s
        self._clock = clock
        self._cut_off_s = max(quiet_s, cut_off_s)
        self._lock = threading.Lock()
        self._last_change: dict[str, tuple[tuple[int, float], float]] = {}
        self._not_queued: deque[Received] = deque()

    def complete(self, key: str) -> Received | None:
        """Make a job of a study that nothing more comes for (`IncomingStudy.key`), and queue it."""
        with self._lock:
            received = self._spool.complete(key)
            self._last_change.pop(key, None)
            if received is not None:
                self.queue(received)
        return received

    def queue(self, received: Received) -> None:
        """Queue a study of the spool, once; one that was given up is tried again.

        Where the queue can't be written now, `run` queues it as soon as it can.
        """
        try:
            self._queue(received)
        except OperationalError as error:
            log.error(QUEUE_FAILED, error)
            self._not_queued.append(received)

    def _queue(self, received: Received) -> None:
        put = self._jobs.put(
            Entry(
                *(received.job, received.job, received.study),
                urgent=received.urgent,
                received_at_s=received.received_at_s,
            )
        )
        if put:
            log.info("study %s is complete: job %s", received.study, received.job)
        else:
            self._queue_again(received)
        if received.supersedes:
            self._supersede(received.supersedes)

    def _queue_again(self, received: Received) -> None:
        known = self._jobs.find(received.job)
        if known is None:
            return
        if known.state is State.GIVEN_UP:
            self._jobs.retry(received.job)
        elif known.state is State.DONE and self._spool.results_of(received.job) is None:
            for send in self._sends.of_job(received.job):  # deleted long ago: from the beginning
                self._sends.drop(send.key)
            self._jobs.retry(received.job)
        elif known.state is State.DONE:
            log.info("study %s came again as it was: job %s", received.study, received.job)
        if received.urgent and not known.urgent:
            self._jobs.make_urgent(received.job)

    def recover(self) -> None:
        """At start-up: queue what a kill has left in the spool but not in the queue."""
        queued = {entry.key for entry in self._jobs.entries()}
        for received in self._spool.jobs():
            if received.job not in queued:
                self.queue(received)

    def complete_quiet(self) -> None:
        """Complete the studies for which nothing has come in long enough. OSError, OutputError of
        one study, after all others were looked at.

        The time counts from when this process saw the last change: after a restart senders can
        send again what was cut off, and a clock that is set changes nothing.
        """
        now = self._clock()
        incoming = {one.key: one for one in self._spool.incoming()}
        failed: OSError | OutputError | None = None
        for key, one in incoming.items():
            state = (one.instances, one.last_at_s)
            before = self._last_change.get(key)
            if before is None or before[0] != state:
                self._last_change[key] = (state, now)
            elif now - before[1] >= (self._cut_off_s if one.cut_off else self._quiet_s):
                try:
                    self.complete(key)
                except (OSError, OutputError) as error:
                    failed = error
        self._last_change = {
            key: seen for key, seen in self._last_change.items() if key in incoming
        }
        if failed is not None:
            raise failed

    def run(self, stop: threading.Event) -> None:
        """Call `complete_quiet` until `stop`."""
        while not stop.wait(min(POLL_S, self._quiet_s / 4)):
            try:
                self.queue_delayed()
                self.complete_quiet()
            except (OSError, OutputError) as error:
                log.warning("a study can't be completed yet: %s", reason(error))
                stop.wait(PAUSE_S)

    def queue_delayed(self) -> None:
        """Queue the studies that a full disk kept from it. OSError, OutputError."""
        for _ in range(len(self._not_queued)):
            self.queue(self._not_queued.popleft())
        for received in self._spool.finish_interrupted():
            self.queue(received)

    def _supersede(self, job: str) -> None:
        """More images came before this job's results were sent: only the later job's are sent."""
        for queue in (self._jobs, self._sends):
            for entry in queue.of_job(job):
                if entry.state in OPEN:
                    queue.done(entry.key, SUPERSEDED)
