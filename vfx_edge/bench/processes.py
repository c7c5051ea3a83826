"""Other processes, started for measuring: none outlives whoever started it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import vfx_edge
from vfx_edge.backends.cache import CACHE_VARIABLE

if TYPE_CHECKING:
    from vfx_edge.bench.worker import Order

GRACE_S = 5.0

Event = dict[str, Any]


def ordered(order: "Order", cache: Path) -> Iterator[Event]:
    """What a worker says of an order, as it comes; the last is "done", "failed" or "died"."""
    with (
        tempfile.TemporaryFile() as errors,
        started(["vfx_edge.bench.worker"], cache, stdin=subprocess.PIPE, stderr=errors) as worker,
    ):
        assert worker.stdin is not None
        assert worker.stdout is not None
        event: Event = {}
        try:
            worker.stdin.write(json.dumps(asdict(order)).encode("utf-8") + b"\n")
            worker.stdin.flush()  # and left open: the worker ends when it is closed
        except OSError:
            pass  # it died at its start, and the loop below sees no word of it
        for line in worker.stdout:
            event = json.loads(line)
            yield event
        worker.wait()
        if event.get("event") not in ("done", "failed"):
            yield {"event": "died", "message": _last_words(worker.returncode, errors)}


def _last_words(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        why = ", probably for want of memory" if code == -9 else ""
        return f"its process was ended by signal {-code}{why}"
    return f"its process ended with code {code}{': ' + lines[-1] if lines else ''}"


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
        [sys.executable, "-m", *module],
        env=_environment(os.environ, cache),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            _end(process)


def _environment(environment: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Ours, and this very package, from wherever it was started."""
    home = str(Path(vfx_edge.__file__).resolve().parents[1])
    paths = [home, *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, CACHE_VARIABLE: str(cache), "PYTHONPATH": os.pathsep.join(paths)}


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
