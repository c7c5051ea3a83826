"""The worklist as it is now: read by one thread, whatever the number of viewers."""

import logging
import threading
import time

from vfx_edge.service.store.queue import OperationalError
from vfx_edge.service.web.metrics import Metrics
from vfx_edge.service.web.rendering import PageRenderer, Shown
from vfx_edge.service.web.worklist import Row, Worklist

log = logging.getLogger(__name__)
POLL_S = 0.5
STALE_S = 30.0
STUCK_S = 3600.0
"""No study takes so long: what does hangs."""
RENDER_S = 10.0
"""After how long the passing of time shows: a study that is no longer of today."""


class LiveList:
    """The rendered list; `viewers` are counted by the server."""

    def __init__(self, worklist: Worklist, metrics: Metrics, renderer: PageRenderer) -> None:
        self.worklist = worklist
        self.renderer = renderer
        self.shown = Shown()
        self.viewers = 0
        self.refreshed_at_s = 0.0
        self._metrics = metrics
        self._rows: list[Row] | None = None
        self._rendered_at_s = 0.0
        self._counted: dict[str, float | None] = {}
        self._stopped = threading.Event()
        metrics.add_worklist(worklist)

    def start(self) -> None:
        """Read it, then again and again in a thread."""
        self.refresh()
        threading.Thread(target=self._run, name="live", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()

    def refresh(self) -> None:
        """Read the rows, render them where they have changed, count new verdicts."""
        rows = self.worklist.rows()
        now = time.monotonic()
        if rows is not self._rows or now - self._rendered_at_s >= RENDER_S:
            self._count(rows)
            self.shown = self.renderer.rows(rows)
            self._rows, self._rendered_at_s = rows, now
        self.refreshed_at_s = now

    def is_fresh(self) -> bool:
        """Whether the list was read lately."""
        return time.monotonic() - self.refreshed_at_s < STALE_S

    def health(self) -> str:
        """ok; stale, the list can't be read; stuck, an analysis or a transmission does not end."""
        if not self.is_fresh():
            return "stale"
        return "stuck" if self.worklist.running_for_s() >= STUCK_S else "ok"

    def _count(self, rows: list[Row]) -> None:
        """Count the verdicts that were not in the last list; none in the first one, as a counter
        must not begin with what an earlier process has counted."""
        verdicts = {row.job: row.verdict_at_s for row in rows if row.tier}
        for row in rows if self._rows is not None else ():
            if row.tier and self._counted.get(row.job, -1.0) != row.verdict_at_s:
                self._metrics.count_verdict(row)
        here = {row.job for row in rows}  # one that is analysed again has none for a while
        self._counted = {job: at for job, at in self._counted.items() if job in here} | verdicts

    def _run(self) -> None:
        while not self._stopped.wait(POLL_S):
            try:
                self.refresh()
            except (OSError, OperationalError) as error:
                log.warning("the worklist can't be read: %s", type(error).__name__)
