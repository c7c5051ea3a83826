"""The service's side of the analysing process: it starts it, gives it jobs and sees how it ends.

A study may kill native code, or take more memory than there is. That must not end the associations
of other studies, and it must not be mistaken for a kill by somebody else: this process lives on and
sees how the other one died. Where both are killed, nobody counts it.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

from vfx_edge.bench.processes import same_error
from vfx_edge.errors import BackendError
from vfx_edge.job import Job
from vfx_edge.parallel import own_environment
from vfx_edge.service.analyse.chain import (
    AnalysisBug,
    AnalysisDied,
    AnalysisInterrupted,
    AnalysisLackedMemory,
    KindsRefused,
)
from vfx_edge.service.analyse.child import line_of

log = logging.getLogger(__name__)
CHILD = "vfx_edge.service.analyse.child"
_OWN_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGSYS", "SIGTRAP", "SIGXCPU")
"""Signals by which a process dies of what it does itself."""
_STACK_LINE = re.compile(rb'File ".*?([^/\\"]+)", line (\d+) in')
_LINES_SHOWN = 6


class NetworksNotOpened(BackendError):
    """The analysing process died as it opened the networks: no study's fault."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"The process that analyses ended while it opened the networks ({how}): look into the "
            "service's log, or choose another --backend."
        )


class ChildChain:
    """A chain in a process of its own, which is started again where it has died.

    `order`: what it opens, for its first line; `limit_s`: how long one study may take; `module`:
    the process's program.
    """

    def __init__(self, order: Mapping[str, Any], limit_s: float, module: str = CHILD) -> None:
        self._order = dict(order)
        self._limit_s = limit_s
        self._module = module
        self._lock = threading.Lock()
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._stopped = False
        self._is_late = False

    def open(self) -> None:
        """Start the process, where none runs, and wait until its networks are open. ModelError,
        BackendError."""
        try:
            with self._busy:
                self._open()
        except AnalysisInterrupted:
            raise NetworksNotOpened("somebody ended it") from None

    def _open(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._close()
        kills = _memory_kills()
        self._start()
        self._send(json.dumps(self._order))
        try:
            self._await("ready", kills)
        except (AnalysisDied, AnalysisLackedMemory, AnalysisBug) as error:
            self._close()
            raise NetworksNotOpened(str(error)) from None
        except BaseException:
            self._close()
            raise

    def _start(self) -> None:
        with self._lock:  # `stop` ends what was started before it
            if self._stopped:
                raise AnalysisInterrupted
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
            self._is_late = False
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module],  # -P: nothing of the folder we stand in
                env=own_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )

    def __call__(self, job: Job) -> None:
        """Analyse one study. Raises what `Chain` may."""
        with self._busy:
            self._open()
            try:
                self._analyse(job)
            except (BackendError, AnalysisLackedMemory):  # a lost GPU stays lost to that process
                self._close()
                raise

    def _analyse(self, job: Job) -> None:
        assert self._errors is not None
        self._errors.seek(0)  # the process writes at the same place
        self._errors.truncate()
        timer = threading.Timer(self._limit_s, self._end_late)
        timer.daemon = True
        timer.start()
        try:
            kills = _memory_kills()
            self._send(line_of(job))
            done = self._await("done", kills)
        finally:
            timer.cancel()
        if done["begin_anew"]:
            self._close()

    def stop(self) -> None:
        """End the process for good, whatever it is doing."""
        with self._lock:
            self._stopped = True
        self._kill()
        with self._busy:  # whoever waited for an answer has seen its end
            self._close()

    def _end_late(self) -> None:
        self._is_late = True
        self._kill()

    def _kill(self) -> None:
        """The process, and what it has started."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with suppress(psutil.Error):
            for below in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    below.kill()
        process.kill()

    def _close(self) -> None:
        self._kill()
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            for stream in (process.stdin, process.stdout, self._errors):
                with suppress(OSError):
                    assert stream is not None
                    stream.close()

    def _send(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it has died, as its silence will show
            self._process.stdin.write(line.encode("ascii") + b"\n")
            self._process.stdin.flush()

    def _await(self, wanted: str, kills: int | None) -> dict[str, Any]:
        """The event, when it comes; the error that comes instead is raised."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # it died as it wrote
            event: dict[str, Any] = json.loads(line)
            if event["event"] == wanted:
                return event
            if event["event"] == "failed":
                raise _error_of(event)
            log.log(event["level"], "%s", event["text"])
        raise self._death(self._process.wait(), kills)

    def _death(self, code: int, kills: int | None) -> Exception:
        if self._stopped:
            return AnalysisInterrupted()
        if self._is_late:
            return AnalysisDied(f"it had not come to an end after {self._limit_s:g} s")
        name = _signal_name(code)
        for_memory = name == "SIGKILL" and (kills is None or _memory_kills() != kills)
        if name and name not in _OWN_FAULTS and not for_memory:
            log.warning("the analysing process was ended by %s from outside: it starts again", name)
            return AnalysisInterrupted()
        how = "the memory ran out" if for_memory else name or f"exit code {code}"
        log.error("the analysing process died (%s) at: %s", how, self._where())
        return AnalysisLackedMemory(AnalysisDied(how)) if for_memory else AnalysisDied(how)

    def _where(self) -> str:
        """The lines of the program where it died, the innermost first."""
        if self._errors is None:
            return "?"
        self._errors.seek(0)
        found = _STACK_LINE.findall(self._errors.read(2**20))[:_LINES_SHOWN]
        lines = [f"{name.decode('utf-8', 'replace')} line {int(line)}" for name, line in found]
        return ", ".join(lines) or "an unknown place"


def _error_of(event: dict[str, Any]) -> Exception:
    """An error of the same kind as that of the other process."""
    if "bug" in event:
        log.error("a bug, %s:\n%s", event["bug"], event["lines"])
        return AnalysisBug(event["bug"])
    if "errno" in event:
        return OSError(event["errno"], os.strerror(event["errno"]))
    if event["kinds"]:
        return KindsRefused(tuple(event["kinds"]), event["message"])
    error = same_error(event["exit_code"], event["message"])
    return AnalysisLackedMemory(error) if event["memory"] else error


def _signal_name(code: int) -> str:
    """Of the signal that ended a process; empty where it ended by itself."""
    if code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _memory_kills() -> int | None:
    """How many processes this machine's kernel has ended for want of memory; None where it does not
    say: then a SIGKILL counts as one."""
    try:
        text = Path("/proc/vmstat").read_text("ascii")
    except OSError:
        return None
    found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None
