"""Keeps what libraries print and warn of away from the user's terminal.

Warning filters, loggers, `sys.stdout` and file descriptor 2 belong to the whole process, and
headers are read while a runtime is imported. So the first user changes each of them, and the last
one sets it back, in any order.
"""

import io
import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout, suppress
from typing import BinaryIO, TextIO

_NOISE = re.compile(rb"\[[VIWEF]:onnxruntime:")


class _Shared:
    """A context for overlapping users: entered with the first, left with the last."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._users = 0
        self._open = ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._open.enter_context(self._make())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._open.close()


@contextmanager
def _no_warnings() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _no_prints() -> Iterator[None]:
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def _caught_stderr() -> Iterator[None]:
    """What is written to descriptor 2 is caught, and passed on at the end but for noise. Python's
    own standard error writes past that."""
    with ExitStack() as stack:
        try:
            kept = os.dup(2)
        except OSError:  # no standard error at all, as under pythonw.exe
            yield
            return
        stack.callback(os.close, kept)
        caught = stack.enter_context(_catcher())
        stack.enter_context(_python_stderr_past(kept))
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            _pass_on(caught)


def _catcher() -> BinaryIO:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no usable temporary folder: then all of it is dropped
        return open(os.devnull, "r+b")


class _Past:
    """The stream that `sys.stderr` is meanwhile. Its descriptor is never closed: whoever took the
    stream for its own, a log handler for one, would write into a stranger's file."""

    stream: TextIO | None = None


@contextmanager
def _python_stderr_past(kept: int) -> Iterator[None]:
    """`sys.stderr` on its own descriptor, a copy of `kept`, where it is on 2 now."""
    former = sys.stderr
    ours = None
    with suppress(OSError, ValueError, AttributeError):
        if former.fileno() == 2:
            former.flush()
            ours = _stream_like(getattr(former, "rich_proxied_file", former), kept)
            sys.stderr = ours
    try:
        yield
    finally:
        if ours is not None:
            ours.flush()
            if sys.stderr is ours:
                sys.stderr = former


def _stream_like(real: TextIO, kept: int) -> TextIO:
    """In the terminal's own encoding, which may not be the locale's."""
    if _Past.stream is None:
        _Past.stream = open(os.dup(kept), "w", buffering=1, closefd=False)  # noqa: SIM115
    else:
        os.dup2(kept, _Past.stream.fileno())
    assert isinstance(_Past.stream, io.TextIOWrapper)
    _Past.stream.reconfigure(encoding=real.encoding, errors=real.errors)
    return _Past.stream


def _pass_on(caught: BinaryIO) -> None:
    caught.seek(0)
    noise = False
    for line in caught:
        if line.strip(b"\r\n") not in (b"", b"\x1b[m", b"\x1b[0m"):  # colours alone
            noise = bool(_NOISE.search(line))
        if not noise:
            os.write(2, line)


_stderr = _Shared(_caught_stderr)
_prints = _Shared(_no_prints)
quiet = _Shared(_no_warnings)
"""No warning of pydicom, highdicom or NumPy escapes while the block runs."""


def mute_libraries() -> None:
    """For a process that is ours alone, for good: libraries quote in warnings and log lines what
    they find in a file, maybe a patient's data. Handlers that are added later are not concerned."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())  # else they print where nobody listens


@contextmanager
def runtime_quiet() -> Iterator[None]:
    """A runtime's log lines, prints and warnings are dropped; other lines are passed on.

    ONNX Runtime's logger writes below Python, at import, at a level that nothing can set
    beforehand (onnxruntime issue 27092).
    """
    with quiet(), _prints(), _stderr():
        yield
