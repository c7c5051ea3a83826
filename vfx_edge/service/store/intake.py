"""From a study in the spool to work in the queue; the quiet after which a study is complete."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from vfx_edge.errors import OutputError
from vfx_edge.service.store.queue import OPEN, SUPERSEDED, Entry, OperationalError, Queue, State
from vfx_edge.service.store.spool import Received, Spool

log = logging.getLogger(__name__)
POLL_S = 0.25
PAUSE_S = 5.0

Clock = Callable[[], float]
"""Seconds since whenever; it never goes back."""


class Intake:
    """Completes studies and queues them. Methods may be called from any thread.

    quiet_s: how long nothing has come for a study that is complete; cut_off_s: for one whose last
    sender was cut off and will try again.
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
        self._seen: dict[str, tuple[tuple[int, float], float]] = {}
        self._owed: deque[Received] = deque()

    def complete(self, key: str) -> Received | None:
        """Nothing more comes for this study (its key in `Spool.receiving`): queue it."""
        with self._lock:
            received = self._spool.complete(key)
            self._seen.pop(key, None)
            if received is not None:
                self.queue(received)
        return received

    def queue(self, received: Received) -> None:
        """Queue a study that is in the spool, once; one that was given up is tried anew.

        Where the queue can't be written now, `run` does it as soon as it can.
        """
        try:
            self._queue(received)
        except OperationalError as error:
            log.error("the queue can't be written, is the disk full? (%s)", error)
            self._owed.append(received)

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
            self._again(received)
        if received.supersedes:
            self._supersede(received.supersedes)

    def _again(self, received: Received) -> None:
        known = self._jobs.find(received.job)
        if known is None:
            return
        if known.state is State.DEAD:
            self._jobs.retry(received.job)
        elif known.state is State.DONE and self._spool.results_of(received.job) is None:
            for send in self._sends.entries():  # long forgotten: from the beginning
                if send.job == received.job:
                    self._sends.drop(send.key)
            self._jobs.retry(received.job)
        elif known.state is State.DONE:
            log.info("study %s came again as it was: job %s", received.study, received.job)
        if received.urgent and not known.urgent:
            self._jobs.promote(received.job)

    def recover(self) -> None:
        """At start-up: what a kill left in the spool but not in the queue."""
        queued = {entry.key for entry in self._jobs.entries()}
        for received in self._spool.jobs():
            if received.job not in queued:
                self.queue(received)

    def complete_the_quiet(self) -> None:
        """Complete the studies that nothing has come for in long enough. OSError, OutputError
        leaves, of one study when all others have had their turn.

        The time counts from when this process saw the last change: after a restart senders have
        their chance to send again what was cut off, and a clock that jumps harms nobody.
        """
        now = self._clock()
        coming = {one.key: one for one in self._spool.receiving()}
        failed: OSError | OutputError | None = None
        for key, one in coming.items():
            state = (one.instances, one.last_at_s)
            before = self._seen.get(key)
            if before is None or before[0] != state:
                self._seen[key] = (state, now)
            elif now - before[1] >= (self._cut_off_s if one.cut_off else self._quiet_s):
                try:
                    self.complete(key)
                except (OSError, OutputError) as error:
                    failed = error
        self._seen = {key: seen for key, seen in self._seen.items() if key in coming}
        if failed is not None:
            raise failed

    def run(self, stop: threading.Event) -> None:
        """The thread of the above."""
        while not stop.wait(min(POLL_S, self._quiet_s / 4)):
            try:
                self.catch_up()
                self.complete_the_quiet()
            except (OSError, OutputError) as error:
                # the system's own words may name a file, which goes by a UID
                why = error.strerror if isinstance(error, OSError) else error
                log.warning("a study can't be completed yet: %s", why)
                stop.wait(PAUSE_S)

    def catch_up(self) -> None:
        """Studies that a full disk kept from being queued. OSError, OutputError leaves."""
        for _ in range(len(self._owed)):
            self.queue(self._owed.popleft())
        for received in self._spool.finish():
            self.queue(received)

    def _supersede(self, job: str) -> None:
        """More images came before this job's result went out: only the later one's shall go."""
        for queue in (self._jobs, self._sends):
            for entry in queue.entries():
                if entry.job == job and entry.state in OPEN:
                    queue.done(entry.key, SUPERSEDED)
