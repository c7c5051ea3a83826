"""The worker's side of the one protocol for processes that measure.

It takes one order, a line of JSON on standard input, and reports events as lines of JSON on
standard output; the last one is "done" or "failed". A further line on standard input asks for the
next step, where the work waits for that. When standard input is closed, the worker ends at once:
its parent is gone. `processes` is the parent's side.
"""

import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from vfx_edge.errors import VfxError

Order = dict[str, Any]


class Parent:
    """Who ordered the work."""

    def __init__(self) -> None:
        self._events = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        os.dup2(2, 1)  # whatever else is printed goes to the errors
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.order: Order = json.loads(sys.stdin.readline())
        threading.Thread(target=self._listen, daemon=True).start()

    def report(self, event: str, **values: Any) -> None:
        """One event, and what belongs to it: plain JSON values."""
        self._events.write(json.dumps({"event": event, **values}, allow_nan=False) + "\n")
        self._events.flush()

    def wait(self) -> str:
        """Until the next step is asked for; the line that asks."""
        return self._asked.get()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._asked.put(line)
        os._exit(1)


class _Notes(logging.Handler):
    """What the backends log while a worker waits for them, such as an engine being built."""

    def __init__(self, parent: Parent) -> None:
        super().__init__(logging.INFO)
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        self._parent.report("note", level=record.levelno, text=record.getMessage())


def serve(work: Callable[[Order, Parent], None]) -> None:
    """Do what is ordered, and end the process: a worker's whole `main`."""
    parent = Parent()
    log = logging.getLogger("vfx_edge.backends")
    log.setLevel(logging.INFO)
    log.addHandler(_Notes(parent))
    code = 0
    try:
        work(parent.order, parent)
        parent.report("done")
    except VfxError as error:
        about = {"exit_code": error.exit_code, "kind": type(error).__name__}
        parent.report("failed", **about, message=str(error))
    except BaseException:  # noqa: BLE001  # its last line is what the parent reports
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)  # a thread still waits on standard input
