"""Reading many files at once."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_threads(function: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """`function` of each item, in order. Reading waits on disks, so a few more than the cores."""
    workers = min(8, 2 + (os.cpu_count() or 1))
    with ThreadPoolExecutor(workers, thread_name_prefix="vfx-edge-read") as pool:
        return list(pool.map(function, items))
