"""Native decoders of compressed slices, each in a process of its own (`decoder_process.py`).

A damaged code stream can end such a process, hold it up or fill its memory: then that slice is
damaged, and another process is started.
"""

import functools
import importlib.util
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from vfx_edge.errors import InputError
from vfx_edge.inputs.decoder_process import READY, REQUEST
from vfx_edge.inputs.files import scratch
from vfx_edge.parallel import MOST, cores

BUSY_SECONDS = 10.0
"""Of a process' own time, for one slice: usual ones take 5 to 30 ms, of 4096 x 4096 some 4 s."""
SECONDS = 60.0
"""By the clock: on a machine that is busy with other things, too."""
START_SECONDS = 60.0
"""For SimpleITK to be loaded, once; usually a fifth of a second, from a cold and slow disk many."""
MEMORY_BYTES = 2**30
"""Address space of one process: SimpleITK itself takes a fifth of it."""
LARGE_PIXELS = 2**22
"""Slices beyond that are decoded one at a time: each may take hundreds of MB."""
MOST_HANGS, MOST_DEATHS = 2, 50
"""After so many in one reading no more slices are tried: each costs seconds."""
_FILES_IN_MEMORY = hasattr(os, "memfd_create") and Path("/proc/self/fd").exists()
NATIVE, SEGMENTS = b"D", b"R"
_SCRIPT = Path(__file__).with_name("decoder_process.py")


class NoDecoder(InputError):
    """The process that decodes can't be started."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Compressed slices can't be decoded ({why}): free some memory and run again, "
            "or send the series uncompressed."
        )


class Undecoded(ValueError):
    """This slice can't be decoded."""


class Decoders:
    """As many processes as are needed, up to the number of cores and one more; started when the
    first slice asks, or by `start`."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(self.most)
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []
        self._large = threading.Lock()
        self._hangs = self._deaths = 0
        self._files = ExitStack()
        self._folder: Path | None = None

    @property
    def most(self) -> int:
        """Processes at a time."""
        return min(MOST, cores() + 1)

    def start(self, slices: int, *, native: bool) -> None:
        """Start processes for so many slices that are about to come, without waiting for them.

        native: the slices are not of RLE alone, which takes no SimpleITK.
        """
        with self._lock:
            while len(self._idle) < self.most and slices > 0:
                self._idle.append(self._started(native))
                slices -= 1

    def decode(self, kind: bytes, payload: bytes, plane: int, size: int) -> bytearray:
        """The stored numbers of one slice, `size` bytes; `plane`: bytes of each of its planes.

        kind: NATIVE, a DICOM file; SEGMENTS, of RLE. Raises Undecoded, NoDecoder.
        """
        with self._free, self._large if plane > LARGE_PIXELS else nullcontext():
            if self._hangs > MOST_HANGS or self._deaths > MOST_DEATHS:
                raise Undecoded("too many decoders died")
            with self._lock:
                decoder = self._idle.pop() if self._idle else self._started(kind == NATIVE)
            try:
                answer = decoder.ask(kind, payload, plane, size)
            except BaseException as error:
                decoder.close()
                with self._lock:
                    self._deaths += 1
                    self._hangs += decoder.timed_out
                if isinstance(error, OSError):
                    raise Undecoded("its decoder died") from None
                raise
            with self._lock:
                self._idle.append(decoder)
        if not answer:
            raise Undecoded("damaged")
        return answer

    def close(self) -> None:
        """End all processes."""
        with self._lock, self._files:
            while self._idle:
                self._idle.pop().close()

    def _started(self, native: bool) -> "_Decoder":
        if self._folder is None and not _FILES_IN_MEMORY:
            self._folder = self._files.enter_context(scratch())
        return _Decoder(native, str(self._folder or ""))


_current: ContextVar[Decoders | None] = ContextVar("decoders", default=None)


@contextmanager
def decoders() -> Iterator[Decoders]:
    """The decoders of this reading: those of the block around, where there is one."""
    if (around := _current.get()) is not None:
        yield around
        return
    made = Decoders()
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)
        made.close()


class _Decoder:
    """One process. `timed_out`: it was ended because a slice took too long."""

    def __init__(self, native: bool, folder: str) -> None:
        self.timed_out = self._ready = False
        limits = (f"{BUSY_SECONDS}", f"{2 * SECONDS}", f"{MEMORY_BYTES}", folder, f"{int(native)}")
        try:
            self._process = subprocess.Popen(
                # -I -S: whatever lies in the working directory or the user's own packages stays out
                [sys.executable, "-I", "-S", str(_SCRIPT), _packages(), *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise NoDecoder(error.strerror or type(error).__name__) from None

    def ask(self, kind: bytes, payload: bytes, plane: int, size: int) -> bytearray:
        """`size` bytes, or none where the slice can't be decoded. OSError: the process died."""
        requests = cast(BinaryIO, self._process.stdin)
        answers = cast(BinaryIO, self._process.stdout)
        self._wait_until_ready(answers)
        with self._at_most(SECONDS):
            requests.write(REQUEST.pack(kind, plane, len(payload)))
            requests.write(payload)
            requests.flush()
            (length,) = struct.unpack("<Q", _exactly(answers, 8))
            if length not in (0, size):
                raise OSError("an answer of another length")
            return _exactly(answers, length)

    def _wait_until_ready(self, answers: BinaryIO) -> None:
        if self._ready:
            return
        try:
            with self._at_most(START_SECONDS):
                self._ready = _exactly(answers, len(READY)) == READY
        except OSError:
            raise NoDecoder("the process that decodes ended at once") from None

    @contextmanager
    def _at_most(self, seconds: float) -> Iterator[None]:
        watchdog = threading.Timer(seconds, self._time_out)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _time_out(self) -> None:
        self.timed_out = True
        self._process.kill()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                cast(BinaryIO, pipe).close()
        self.timed_out |= self._process.wait() == -getattr(signal, "SIGPROF", 0)


@functools.cache
def _packages() -> str:
    """The folder that SimpleITK, or else GDCM, lies in; neither is imported here."""
    found = importlib.util.find_spec("SimpleITK")
    if found is not None and found.submodule_search_locations and sys.executable:
        return os.path.dirname(os.path.abspath(found.submodule_search_locations[0]))
    found = importlib.util.find_spec("gdcm")
    if found is None or not found.origin or not sys.executable:
        raise NoDecoder("SimpleITK is missing")
    return os.path.dirname(os.path.abspath(found.origin))


_ONE_THREAD = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


def _exactly(pipe: BinaryIO, length: int) -> bytearray:
    data = bytearray(length)
    if cast(BufferedReader, pipe).readinto(data) != length:
        raise OSError("the process ended")
    return data
