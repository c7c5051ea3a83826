"""What this process has used: peak memory."""

import sys

import psutil


def peak_rss_mib() -> float:
    """The most memory this process has held so far, MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB here


def peak_vram_mib() -> float | None:
    """The most GPU memory this process has held, MiB; None where no GPU was used."""
    return None
