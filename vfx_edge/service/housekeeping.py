"""What the spool forgets, and when."""

import logging
import shutil
import threading
import time

from vfx_edge.service.queue import OperationalError, Queue, State
from vfx_edge.service.settings import Settings
from vfx_edge.service.spool import Spool

log = logging.getLogger(__name__)
EVERY_S = 60.0
DAY_S = 86400.0


class Housekeeping:
    """Images go a day after their study is done and sent (until then a later association may
    bring more of it), or at once when room is short; results after `keep_days`. What waits, runs
    or was given up stays."""

    def __init__(self, settings: Settings, spool: Spool, jobs: Queue, sends: Queue) -> None:
        self._settings = settings
        self._spool = spool
        self._jobs = jobs
        self._sends = sends

    def run(self, stop: threading.Event) -> None:
        """The thread: until `stop`."""
        while not stop.is_set():
            try:
                self.tidy(time.time())
            except (OSError, OperationalError) as error:
                log.warning("the spool can't be tidied: %s", type(error).__name__)
            stop.wait(EVERY_S)

    def tidy(self, now_s: float) -> None:
        """Forget what is due."""
        unsent = {entry.job for entry in self._sends.entries() if entry.state is not State.DONE}
        short = self._room_is_short()
        keep_images_s = min(1.0, self._settings.keep_days) * DAY_S
        for entry in self._jobs.entries():
            if entry.state is not State.DONE or entry.job in unsent:
                continue
            age_s = now_s - entry.changed_at_s
            if age_s > self._settings.keep_days * DAY_S:
                self._forget(entry.job)
            elif age_s > keep_images_s or short:
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
