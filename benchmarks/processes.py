"""The programs that are measured, each started as a process of its own."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.results import UNFINISHED
from benchmarks.worker import Order
from vfx_edge.bench.processes import started
from vfx_edge.errors import VfxError

CACHE = UNFINISHED / "cache"
"""Compiled networks: a user's own are left alone. Filled by the runs that are not counted."""
ERRORS = 2
"""What a process complains of goes where our own words go."""
Run = dict[str, Any]


class Broken(VfxError):
    """A program that was to be measured has failed."""

    def __init__(self, what: str, code: int, said: str = "") -> None:
        words = f" ({said})" if said else ""
        super().__init__(
            f"{what} ended with exit code {code}{words}: see what it says above or by itself"
        )


def _started(
    words: Sequence[str], stdin: int = subprocess.PIPE, stderr: int = ERRORS
) -> AbstractContextManager[Any]:
    CACHE.mkdir(parents=True, exist_ok=True)
    return started(words, CACHE, stdin=stdin, stderr=stderr)


def program(words: Sequence[str]) -> AbstractContextManager[Any]:
    """A program of ours that runs until the block ends; nobody reads what it says."""
    return _started(words, subprocess.DEVNULL, subprocess.DEVNULL)


def whole_command(path: Path, outputs: str = "json,html") -> Run:
    """`vfx-edge run PATH --json` once: seconds from start to end of the process, its stages and
    its own account of its peak memory."""
    with tempfile.TemporaryDirectory() as out:
        words = ["vfx_edge", "run", str(path), "--json", "--quiet", "--out", out]
        words += ["--outputs", outputs]
        wall, told = _timed(words)
    result = json.loads(told)
    return {
        "wall": wall,
        "stages": {name: s for name, s in result["run"]["seconds"].items() if name != "total"},
        "peak_rss_mib": result["run"]["peak_rss_mib"],
        "tier": result["triage"]["tier"],
        "vertebrae": len(result["findings"]),
    }


def help_seconds() -> float:
    """`vfx-edge --help`, from start to end of the process."""
    return _timed(["vfx_edge", "--help"])[0]


def _timed(words: Sequence[str]) -> tuple[float, bytes]:
    begin = time.perf_counter()
    with _started(words, subprocess.DEVNULL, subprocess.PIPE) as process:
        told, said = process.communicate()
    wall = time.perf_counter() - begin
    if process.returncode:
        raise Broken(" ".join(words[:2]), process.returncode, said.decode(errors="replace").strip())
    return wall, told


class Worker:
    """A running `benchmarks.worker`: networks open, one study for each call."""

    def __init__(self, process: Any, order: Order) -> None:
        self._process = process
        self._tell(json.dumps(asdict(order)))

    def study(self) -> Run:
        """One study; Broken where the worker is no more."""
        self._tell("study")
        line = self._process.stdout.readline()
        if not line:
            raise Broken("the worker", self._process.wait())
        found: Run = json.loads(line)
        return found

    def _tell(self, line: str) -> None:
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()


@contextmanager
def worker(order: Order) -> Iterator[Worker]:
    """Networks opened as ordered, in a process that ends with the block."""
    with _started(["benchmarks.worker"]) as process:
        yield Worker(process, order)


def answer_of(module: str, order: Mapping[str, Any]) -> Run:
    """A module of ours that takes one order and says one thing, in a process of its own."""
    with _started([module]) as process:
        told, _ = process.communicate(json.dumps(dict(order)).encode())
    if process.returncode:
        raise Broken(module, process.returncode)
    found: Run = json.loads(told)
    return found


def gathered(runs: Sequence[Run]) -> Run:
    """Several runs of one thing: every sample of what is measured each time."""
    return {
        "wall_s": [run["wall"] for run in runs],
        "stages_s": {name: [run["stages"][name] for run in runs] for name in runs[0]["stages"]},
        "peak_rss_mib": [run["peak_rss_mib"] for run in runs],
    }
