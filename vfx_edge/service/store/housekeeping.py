"""What the spool forgets, and when."""

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


class Housekeeping:
    """Images go a day after their study is done (until then a later association may bring more of
    it), or at once when room is short; results after `keep_days`. What waits or runs stays.

    What was given up stays on the list, but without images and results from `keep_days` on, or
    without its images from a day on when room is short: it would fill the disk in the end."""

    def __init__(self, settings: Settings, spool: Spool, jobs: Queue, sends: Queue) -> None:
        self._settings = settings
        self._spool = spool
        self._jobs = jobs
        self._sends = sends

    def run(self, stop: threading.Event) -> None:
        """The thread: until `stop`."""
        clock, rest_until_s = _clock_ahead_s(), 0.0
        while not stop.is_set():
            if abs(_clock_ahead_s() - clock) > JUMP_S:
                log.warning("this machine's clock was set: nothing is forgotten for a day")
                clock, rest_until_s = _clock_ahead_s(), _uptime_s() + DAY_S
            try:
                if _uptime_s() >= rest_until_s:
                    self.tidy(time.time())
            except (OSError, OperationalError) as error:
                log.warning("the spool can't be tidied: %s", type(error).__name__)
            stop.wait(EVERY_S)

    def tidy(self, now_s: float) -> None:
        """Forget what is due."""
        sends: dict[str, list[Entry]] = defaultdict(list)
        for send in self._sends.entries():
            sends[send.job].append(send)
        short = self._room_is_short()
        for entry in self._jobs.entries():
            if entry.state is State.DONE:
                self._tidy_done(entry, sends[entry.job], now_s, short)
            elif entry.state is State.DEAD:
                keep_s = min(DAY_S, self._keep_s) if short else self._keep_s
                if now_s - entry.changed_at_s > keep_s:
                    self._spool.forget_input(entry.job)

    @property
    def _keep_s(self) -> float:
        return self._settings.keep_days * DAY_S

    def _tidy_done(self, entry: Entry, sends: list[Entry], now_s: float, short: bool) -> None:
        age_s = now_s - max(one.changed_at_s for one in (entry, *sends))
        states = {one.state for one in sends}
        if age_s > self._keep_s and states <= {State.DONE}:
            self._forget(entry.job)
        elif age_s > self._keep_s and states <= {State.DONE, State.DEAD}:
            self._spool.forget(entry.job)
            self._jobs.done(entry.key, UNSENT)  # what the list says of it from now on
        elif short or now_s - entry.changed_at_s > min(DAY_S, self._keep_s):
            self._spool.forget_input(entry.job)

    def _forget(self, job: str) -> None:
        """The folder first: killed between, a row without a folder is forgotten the next time; a
        folder without a row would be analysed anew."""
        self._spool.forget(job)
        for entry in self._sends.entries():
            if entry.job == job:
                self._sends.drop(entry.key)
        self._jobs.drop(job)

    def _room_is_short(self) -> bool:
        free = shutil.disk_usage(self._spool.root).free
        return free < 2 * self._settings.min_free_mib * 2**20


def _uptime_s() -> float:
    """Seconds that no setting of the clock changes, a suspended machine's among them."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere the other counts them, too
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


def _clock_ahead_s() -> float:
    return time.time() - _uptime_s()
