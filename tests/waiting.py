"""Waiting for what is to come, and for how long that may take: the machine may be slow or busy."""

import time
from collections.abc import Callable

HANG_S = 900.0
"""Nothing here takes so long on any machine: it only ends what hangs."""
_LOOK_S = 0.02


def eventually(holds: Callable[[], object]) -> bool:
    """Whether it comes to hold."""
    return not _lasts(lambda: not holds(), HANG_S)


def lasts(holds: Callable[[], bool], seconds: float = 0.5) -> bool:
    """Whether it holds all the while: for what must not come, and has no sign to wait for. A
    busy machine looks less often in that time; it never finds what is not there."""
    return _lasts(holds, seconds)


def _lasts(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if not holds():
            return False
        if began > end:
            return True
        # half the time at least is left to what is waited for
        time.sleep(max(_LOOK_S, time.monotonic() - began))
