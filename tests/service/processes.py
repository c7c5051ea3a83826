"""Services and archives as processes of their own, and what lies in the archives."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from tests.waiting import HANG_S, eventually
from vfx_edge.service.store.queue import Entry, Queue

ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    "quiet_s": 0.4,
    "min_free_mib": 0,
    "job_attempts": 20,
    "retry_first_s": 0.2,
    "retry_most_s": 1.0,
}


@dataclass
class Killable:
    """The fake service on a spool and a drop folder below `folder`; may be killed and started."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        for place in (self.drop, self.spool):
            place.mkdir(parents=True, exist_ok=True)

    @property
    def drop(self) -> Path:
        """The watched folder."""
        return self.folder / "drop"

    @property
    def spool(self) -> Path:
        """Where it keeps everything."""
        return Path(self.settings.get("spool", self.folder / "spool"))

    @property
    def log(self) -> str:
        """Everything it has logged so far."""
        return (self.folder / "log").read_text()

    def start(self, *, wait: bool = True) -> None:
        """A new process; `wait`: until it is ready."""
        config = {"spool": str(self.spool), **QUICK, **self.settings}
        if self.process is not None:
            self._close()
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.service.fake_service", self.drop, json.dumps(config)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert not wait or self.comes_up(), self.log

    def comes_up(self) -> bool:
        """Wait until it is ready, or has ended: whether it is ready."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """SIGKILL: as the power goes."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; how it ended."""
        assert self.process is not None
        self.process.send_signal(number)
        return self._close()

    def _close(self) -> int:
        assert self.process is not None
        with self.process:
            return self.process.wait(HANG_S)

    def entries(self, name: str = "jobs") -> list[Entry]:
        """What its queue holds, seen from another process."""
        queue = Queue(self.spool / "queue", name)
        try:
            return queue.entries()
        finally:
            queue.close()

    def settled(self, count: int) -> bool:
        """Whether so many jobs are known and nothing is left to do."""
        jobs, sends = self.entries(), self.entries("sends")
        over = ("done", "dead")
        return len(jobs) >= count and all(entry.state in over for entry in (*jobs, *sends))


@contextmanager
def killable(folder: Path, **settings: Any) -> Iterator[Killable]:
    """A service that is not started yet, and is surely ended."""
    service = Killable(folder, settings)
    try:
        yield service
    finally:
        if service.process is not None:
            service.kill()


@dataclass
class Archive:
    """DCMTK's storescp; keeps a file an instance, named by its UID."""

    folder: Path
    port: int

    def destination(self, name: str = "ARCHIVE") -> dict[str, Any]:
        """Its entry in the service's settings."""
        return {"name": name, "ae_title": name, "host": "127.0.0.1", "port": self.port}

    def sets(self) -> dict[str, dict[str, int]]:
        """StudyInstanceUID -> run of the chain (its series) -> number of objects."""
        found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for path in self.folder.iterdir():
            # storescp writes under the last name: a file may be there that is not complete yet
            with suppress(InvalidDicomError, AttributeError, EOFError, OSError):
                header = pydicom.dcmread(path, stop_before_pixels=True)
                found[header.StudyInstanceUID][header.SeriesInstanceUID] += 1
        return found


def _port_block() -> range:
    """For the tests of this process, below those that the system gives to whoever asks for any."""
    number = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0").removeprefix("gw"))
    first = 20000 + 1500 * (number % 8)
    return range(first, first + 1500)


_PORTS = itertools.cycle(_port_block())


def free_port() -> int:
    """A port of this machine that nobody listens at, and no other test is given for a while."""
    for port in _PORTS:
        with socket.socket() as bound, suppress(OSError):
            bound.bind(("127.0.0.1", port))
            return port
    raise AssertionError


@contextmanager
def storescp(folder: Path, port: int | None = None, *options: object) -> Iterator[Archive]:
    """A real archive, as long as the block runs. `options`: more of storescp's own."""
    if shutil.which("storescp") is None:
        pytest.skip("needs DCMTK's storescp on the PATH: make peers installs it")
    folder.mkdir(exist_ok=True)
    archive = Archive(folder, port or free_port())
    command = ["storescp", *map(str, options), "-od", str(folder), str(archive.port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        assert eventually(lambda: _listens(archive.port))
        yield archive
    finally:
        process.terminate()
        process.wait(HANG_S)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
