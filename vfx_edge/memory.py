"""What this process has used, peak memory; and what it no longer uses."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from vfx_edge.nvml import held_mib


def peak_rss_mib() -> float:
    """The most memory this process has held so far, MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    if (mark := _high_water_kib()) is not None:
        return mark / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB here


def give_back() -> None:
    """What was freed goes back to the system. glibc alone keeps so much of it that a process which
    lives for months seems to grow by the size of its largest study; elsewhere nothing is done."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _high_water_kib() -> float | None:
    """Linux's mark of this very program; `ru_maxrss` also holds that of its parent."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    marks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return float(marks[0]) if marks else None


def peak_vram_mib() -> float | None:
    """GPU memory that this process holds, MiB; None where the driver does not count it.

    The driver's own figure, so it holds everything: context, weights, engines, buffers of every
    runtime. To be called while the networks are still open: their runtimes give nothing back before
    they are closed, so what is held then is the peak of the study. Building an engine takes more,
    for as long as it lasts.
    """
    return held_mib()
