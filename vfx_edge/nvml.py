"""NVIDIA's management library: the driver, and who holds how much of a card's memory.

Nothing is printed or raised where there is no driver. The library stays open once it was: opening
it may take a second, where nothing else keeps the driver awake.
"""

import functools
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import pynvml

T = TypeVar("T")


def driver_version() -> str | None:
    """The driver's own version, e.g. "580.65.06"; None without one."""
    return _asked(pynvml.nvmlSystemGetDriverVersion)


def cards() -> int:
    """How many cards the driver manages, also those that CUDA may not see."""
    return _asked(pynvml.nvmlDeviceGetCount) or 0


def free_mib(uuid: str) -> float | None:
    """Memory of a card, or of a divided card's part, that nobody holds; None where unknown.

    uuid: as CUDA tells it; the libraries number the cards differently.
    """
    found = _asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(_card(uuid))) if uuid else None
    return None if found is None else found.free / 2**20


def lost(uuid: str) -> bool:
    """Whether a card that CUDA still names has fallen off the bus."""
    try:
        _ready()
        pynvml.nvmlDeviceGetMemoryInfo(_card(uuid))
    except pynvml.NVMLError_GpuIsLost:
        return True
    except pynvml.NVMLError:
        return False
    return False


def held_mib() -> float | None:
    """GPU memory that this process holds on all cards, MiB; None where the driver does not
    know: in a container it may list processes by other numbers, and Windows counts none of them."""
    found = _asked(lambda: sum(map(_held_bytes, range(pynvml.nvmlDeviceGetCount()))))
    return found / 2**20 if found else None


def used_mib() -> float | None:
    """GPU memory taken on the first card by all programs, MiB; None without a card."""
    found = _asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)))
    return None if found is None else found.used / 2**20


class MemoryWatch:
    """The most memory taken on the first card inside the `with` block, by all programs."""

    def __init__(self, every_s: float = 0.005) -> None:
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._first = self._most = used_mib()
        if self._first is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def taken_mib(self) -> float | None:
        """More than at the beginning, MiB; None without a card."""
        if self._most is None or self._first is None:
            return None
        return self._most - self._first

    def _watch(self) -> None:
        while not self._done.wait(self._every_s):
            self._most = max(self._most or 0.0, used_mib() or 0.0)


def _held_bytes(card: int) -> int:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(card)
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:  # a card for the screen alone may not know
        return 0
    return sum(one.usedGpuMemory or 0 for one in processes if one.pid == os.getpid())


def _card(uuid: str) -> object:
    """NVML's handle: a part of a divided card has a name of its own kind."""
    try:
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
        return pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")


@functools.cache
def _ready() -> None:
    """Open the library, once; NVMLError where it is missing."""
    pynvml.nvmlInit()


def _asked(question: Callable[[], T]) -> T | None:
    """The library's answer; None where it is missing or has none."""
    try:
        _ready()
        return question()
    except pynvml.NVMLError:
        return None
