"""One function over many things at once, in threads: NumPy, SciPy, decoders and disks let each
other run."""

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")
MOST = 8
"""Beyond so many threads they would wait for Python itself."""


def map_reading(function: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """`function` of each item, in order. Reading waits on disks, so a few more than the cores."""
    return _in_threads(function, items, min(MOST, 2 + cores()))


def map_computing(function: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """`function` of each item, in order, a thread a core."""
    return _in_threads(function, items, min(MOST, cores()))


@functools.cache
def cores() -> int:
    """Logical cores that this process may use: a container may grant fewer than there are."""
    import psutil

    try:
        allowed = len(psutil.Process().cpu_affinity())
    except (AttributeError, psutil.Error):  # no affinity on macOS
        allowed = os.cpu_count() or 1
    return min(allowed, _container_share() or allowed)


def _container_share() -> int | None:
    """Cores of a Linux control group's quota, rounded up; None without one."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return None


def share_of_cores(number: int, of: int) -> list[int] | None:
    """The cores of one of several processes beside each other, at least one; None where it may use
    all, or where cores can't be shared out."""
    import psutil

    try:
        allowed: list[int] = psutil.Process().cpu_affinity()
    except (AttributeError, psutil.Error):  # no affinity on macOS
        return None
    return (allowed[number::of] or allowed) if of > 1 else None


def keep_to(its_cores: list[int] | None) -> None:
    """Let this process use these cores only: before anything asks how many there are."""
    if its_cores and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, its_cores)


def own_environment() -> dict[str, str]:
    """For a Python process of ours: this one's, and this very package, from wherever it was
    started."""
    home = str(Path(__file__).resolve().parents[1])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@contextmanager
def environment(told: Mapping[str, str]) -> Iterator[None]:
    """These variables within the block, for a library that reads its settings there and for what it
    starts."""
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def delayed_interrupt() -> Iterator[None]:
    """Ctrl-C strikes only after the block. Within an import it can leave Python's import lock taken
    for good, and then whoever imports in another thread never ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    struck: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: struck.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if struck:
        raise KeyboardInterrupt


def _in_threads(function: Callable[[_In], _Out], items: Iterable[_In], workers: int) -> list[_Out]:
    with ThreadPoolExecutor(workers, thread_name_prefix="vfx-edge") as pool:
        return list(pool.map(function, items))
