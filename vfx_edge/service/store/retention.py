"""What is deleted from the spool, and when."""

import logging
import shutil
import threading
import time
from collections import defaultdict

from vfx_edge.service.settings import Settings
from vfx_edge.service.store.queue import Entry, OperationalError, Queue, State
from vfx_edge.service.store.spool import Spool

log = logging.getLogger(__name__)
EVERY_S = 60.0
DAY_S = 86400.0
UNSENT = "Its results could not be sent and were deleted in the end: send the study again."
JUMP_S = 3600.0
"""A clock that is set by more than this may have been wrong before, or may be wrong now."""


class Retention:
    """Images are deleted a day after their study is done (a later association may bring more of
    it), or at once when the disk is short; results after `keep_days`. What waits or runs stays.

    What was given up stays on the list, but its images and results are deleted after `keep_days`,
    its images after a day when the disk is short."""

    def __init__(self, settings: Settings, spool: Spool, jobs: Queue, sends: Queue) -> None:
        self._settings = settings
        self._spool = spool
        self._jobs = jobs
        self._sends = sends

    def run(self, stop: threading.Event) -> None:
        """Apply it every minute until `stop`."""
        ahead_s, paused_until_s = time.time() - _uptime_s(), 0.0
        while not stop.is_set():
            now_s, uptime_s = time.time(), _uptime_s()
            if abs(now_s - uptime_s - ahead_s) > JUMP_S:
                log.warning("this machine's clock was set: nothing is deleted for a day")
                ahead_s, paused_until_s = now_s - uptime_s, uptime_s + DAY_S
            try:
                if uptime_s >= paused_until_s:
                    self.apply(now_s)
            except (OSError, OperationalError) as error:
                log.warning("nothing can be deleted from the spool: %s", type(error).__name__)
            stop.wait(EVERY_S)

    def apply(self, now_s: float) -> None:
        """Delete what is due at `now_s`, in seconds since 1970. OSError, OperationalError."""
        sends: dict[str, list[Entry]] = defaultdict(list)
        for send in self._sends.entries():
            sends[send.job].append(send)
        short = self._is_disk_short()
        for entry in self._jobs.entries():
            if entry.state is State.DONE:
                self._apply_to_done(entry, sends[entry.job], now_s, short)
            elif entry.state is State.GIVEN_UP:
                keep_s = min(DAY_S, self._keep_s) if short else self._keep_s
                if now_s - entry.changed_at_s > keep_s:
                    self._spool.delete_images(entry.job)

    @property
    def _keep_s(self) -> float:
        return self._settings.keep_days * DAY_S

    def _apply_to_done(self, entry: Entry, sends: list[Entry], now_s: float, short: bool) -> None:
        age_s = now_s - max(one.changed_at_s for one in (entry, *sends))
        states = {one.state for one in sends}
        if age_s > self._keep_s and states <= {State.DONE}:
            self._delete(entry.job)
        elif age_s > self._keep_s and states <= {State.DONE, State.GIVEN_UP}:
            self._spool.delete(entry.job)
            self._jobs.done(entry.key, UNSENT)  # what the list says from now on
        elif short or now_s - entry.changed_at_s > min(DAY_S, self._keep_s):
            self._spool.delete_images(entry.job)

    def _delete(self, job: str) -> None:
        """The folder first: after a kill in between, the row is deleted the next time; a folder
        without a row would be analysed again."""
        self._spool.delete(job)
        for entry in self._sends.of_job(job):
            self._sends.drop(entry.key)
        self._jobs.drop(job)

    def _is_disk_short(self) -> bool:
        free = shutil.disk_usage(self._spool.root).free
        return free < 2 * self._settings.min_free_mib * 2**20


def _uptime_s() -> float:
    """Seconds since start-up, suspended time included; no setting of the clock changes them."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere `monotonic` includes it
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
