"""What logs and lists may show of an error: no file name and no content, maybe a patient's."""

import logging
from pathlib import Path
from types import TracebackType

from vfx_edge.errors import VfxError, trace_without_words

log = logging.getLogger(__name__)
QUEUE_FAILED = "the queue can't be written, is the disk full? (%s)"
"""For logs, with SQLite's own words."""


def reason(error: BaseException) -> str:
    """Our own sentence, the system's words without the file, or the error's name."""
    if isinstance(error, VfxError):
        return error.nameless
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def log_bug(what: str, error: BaseException) -> None:
    """Log where in the program an error arose: its lines, without the error's own words."""
    log.error("%s, %s:\n%s", what, type(error).__name__, trace_without_words(error))


def code_location(error: BaseException) -> str:
    """The error's name and the line of the program where it arose."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = Path(trace.tb_frame.f_code.co_filename).name if trace else "?"
    return f"{type(error).__name__}, {name} line {trace.tb_lineno if trace else 0}"
