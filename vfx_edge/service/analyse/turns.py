"""Studies beside each other, and one by itself where the memory was not enough for several."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL_S = 0.2
"""After how long one that waits to be by itself sees what the queue has."""


def _nobody() -> bool:
    return False


class Turns:
    """Who analyses now. Shared by the threads of all workers, of which there are `workers`."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._changed = threading.Condition()
        self._begun = 0
        self._running = 0
        self._is_alone = False
        self._wait_alone = 0
        """Those that wait to run by themselves: only urgent ones begin before them."""
        self._wait_beside = 0

    @contextmanager
    def beside_others(self, *, urgent: bool = False) -> Iterator[Callable[[], bool]]:
        """One among others; says whether any ran beside it."""
        with self._changed:
            self._wait_beside += 1
            self._changed.wait_for(lambda: not self._is_alone and (urgent or not self._wait_alone))
            self._wait_beside -= 1
            had_company = self._running > 0
            begun = self._begin()
        try:
            yield lambda: had_company or self._begun != begun
        finally:
            self._end()

    @contextmanager
    def alone(self, urgent_waits: Callable[[], bool] = _nobody) -> Iterator[None]:
        """By itself, when the others have come to an end. `urgent_waits`: whether an urgent one is
        queued, which goes first as long as there is a worker to take it."""
        with self._changed:
            self._wait_alone += 1
            while self._running or (self._has_idle_worker() and urgent_waits()):
                self._changed.wait(POLL_S)
            self._wait_alone -= 1
            self._is_alone = True
            self._begin()
        try:
            yield
        finally:
            self._is_alone = False
            self._end()

    def _has_idle_worker(self) -> bool:
        return self._workers > self._running + self._wait_alone + self._wait_beside

    def _begin(self) -> int:
        self._running += 1
        self._begun += 1
        return self._begun

    def _end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()
