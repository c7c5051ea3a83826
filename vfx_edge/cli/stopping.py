"""What SIGTERM and SIGHUP do to a command that writes: unfinished files go, then it ends at once.

Python runs its own handlers only in the main thread, which may be inside a network for seconds. So
a thread of its own waits for the signal, removes what is not finished, and ends the process.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vfx_edge.scratch import remove_all

_BY_SIGNAL = 128
"""A shell's exit code for a program that a signal has ended: 128 and the signal's number."""
_SHOW_CURSOR = b"\x1b[?25h"
_QUIT = b"\0"


@contextmanager
def tidy_end() -> Iterator[None]:
    """In the block SIGTERM and SIGHUP leave no unfinished file. Of a main thread only, and where
    there are such signals."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, said = os.pipe()
    os.set_blocking(said, False)
    waiting = threading.Thread(target=_wait, args=(heard,), name="vfx-edge-stop", daemon=True)
    waiting.start()
    signals = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]
    former = signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    for number in signals:  # nohup's SIGHUP stays ignored
        signal.signal(number, _left_to_the_thread)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(former)
        os.write(said, _QUIT)
        waiting.join()
        os.close(heard)
        os.close(said)


def _left_to_the_thread(_number: int, _frame: object) -> None:
    """Without a handler of Python's there is nothing to hear."""


def _wait(heard: int) -> None:
    while (said := os.read(heard, 1)) != _QUIT:
        if said[0] in (signal.SIGTERM, signal.SIGHUP):
            remove_all()
            with suppress(OSError):
                _say_so()
            os._exit(_BY_SIGNAL + said[0])


def _say_so() -> None:
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os.write(2, b"vfx-edge: stopped.\n")
