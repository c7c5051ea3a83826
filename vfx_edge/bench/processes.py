"""The parent's side of `protocol`, and other processes to measure: none outlives this one."""

import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil

from vfx_edge.backends.cache import CACHE_VARIABLE
from vfx_edge.errors import BackendError, InputError, ModelError, OutputError, VfxError
from vfx_edge.parallel import own_environment

log = logging.getLogger("vfx_edge.backends")
GRACE_S = 5.0

Event = dict[str, Any]


class ProcessFailed(VfxError):
    """A program that was measured ended without a result, and without a sentence of its own."""

    def __init__(self, program: str, why: str) -> None:
        super().__init__(f"`{program}` gave no result ({why}): run it by itself and see")


def same_error(exit_code: int, sentence: str) -> VfxError:
    """The failure of another process of ours, to be raised in this one."""
    kinds = (InputError, ModelError, BackendError, OutputError)
    kind = next((kind for kind in kinds if kind.exit_code == exit_code), VfxError)
    return kind(sentence)


class Worker:
    """A running worker, with its order given."""

    def __init__(self, module: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._module = module
        self._process = process
        self._errors = errors
        self._stopped = ""
        self.events: Iterator[Event] = self._read()
        """Its events as they come; the last is "done", "failed" or "crashed"."""

    def ask(self) -> Event:
        """Ask for the next step, and give its `answer`."""
        self.send(b"\n")
        return self.answer()

    def answer(self) -> Event:
        """The next event; notes before it go to this process's log. VfxError where the work
        failed."""
        while (event := next(self.events))["event"] == "note":
            log.log(event["level"], "%s", event["text"])
        if event["event"] == "failed":
            raise same_error(event["exit_code"], event["message"])
        if event["event"] == "crashed":
            raise ProcessFailed(self._module, event["message"])
        return event

    def send(self, line: bytes) -> None:
        """A line on its standard input, which is left open: the worker ends when it is closed."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, as its last event will show
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def close(self) -> None:
        """Close its standard input, which ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self, why: str) -> None:
        """End it and what it started; `why` stands in its last event."""
        self._stopped = why
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
        self._process.kill()

    def _read(self) -> Iterator[Event]:
        assert self._process.stdout is not None
        event: Event = {}
        for line in self._process.stdout:
            if line.endswith(b"\n"):  # else it was killed as it wrote
                event = json.loads(line)
                yield event
        self._process.wait()
        if event.get("event") not in ("done", "failed"):
            yield {"event": "crashed", "message": self._stopped or self._last_words()}

    def _last_words(self) -> str:
        code = self._process.returncode
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        if code < 0:
            why = ", probably for want of memory" if code == -9 else ""
            return f"its process was ended by signal {-code}{why}"
        return f"its process ended with code {code}{': ' + lines[-1] if lines else ''}"


@contextmanager
def worker(
    module: str, order: Mapping[str, Any], cache: Path, limit_s: float | None = None
) -> Iterator[Worker]:
    """A worker that carries out the order; ended with the block, or after `limit_s`.

    cache: its folder of compiled networks.
    """
    with (
        tempfile.TemporaryFile() as errors,
        started([module], cache, stdin=subprocess.PIPE, stderr=errors) as process,
    ):
        running = Worker(module, process, errors)
        running.send(json.dumps(dict(order)).encode("utf-8") + b"\n")
        why = f"stopped after {limit_s or 0:.0f} s"
        timer = threading.Timer(limit_s or 0.0, running.kill, [why])
        timer.daemon = True
        if limit_s is not None:
            timer.start()
        try:
            yield running
        finally:
            timer.cancel()


def timed(words: Sequence[str], cache: Path) -> tuple[float, bytes]:
    """`python -m WORDS`: seconds from its start to its end, and its standard output.

    Raises the error that it ended with.
    """
    begin = time.perf_counter()
    with started(words, cache, stderr=subprocess.PIPE) as process:
        printed, complaint = process.communicate()
    wall = time.perf_counter() - begin
    if process.returncode:
        raise _failure(words, process.returncode, complaint.decode("utf-8", "replace").strip())
    return wall, printed


def _failure(words: Sequence[str], code: int, complaint: str) -> VfxError:
    last = complaint.splitlines()[-1] if complaint else ""
    if last.startswith("vfx-edge: ") and code in (3, 4, 5, 6):
        return same_error(code, last.removeprefix("vfx-edge: "))
    program = " ".join(words[:2]).replace("vfx_edge", "vfx-edge")
    return ProcessFailed(program, f"exit code {code}: {last or 'no message'}")


@contextmanager
def started(
    module: Sequence[str],
    cache: Path,
    *,
    stdin: int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m MODULE …` with its own folder of compiled networks; ended at the latest here."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", *module],  # -P: nothing of the folder we stand in
        env={**own_environment(), CACHE_VARIABLE: str(cache)},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
