"""Studies beside each other, and one by itself where the memory was not enough for several."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """Who analyses now. Shared by the threads of all workers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = 0
        self._running = 0
        self._alone = 0
        """Those that run by themselves, or wait for it: nobody else begins then."""

    @contextmanager
    def beside_others(self) -> Iterator[Callable[[], bool]]:
        """One among others; says whether any ran beside it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            had_company = self._running > 0
            self._running += 1
            self._begun += 1
            begun = self._begun
        try:
            yield lambda: had_company or self._begun != begun
        finally:
            self._end()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By itself, when the others have come to an end."""
        with self._changed:
            self._alone += 1
            self._changed.wait_for(lambda: not self._running)
            self._running += 1
            self._begun += 1
        try:
            yield
        finally:
            with self._changed:
                self._alone -= 1
            self._end()

    def _end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()
