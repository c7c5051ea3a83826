"""What this process has used: peak memory."""

import ctypes
import os
import sys
from pathlib import Path

import psutil


def peak_rss_mib() -> float:
    """The most memory this process has held so far, MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    if (mark := _high_water_kib()) is not None:
        return mark / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB here


def _high_water_kib() -> float | None:
    """Linux's mark of this very program; `ru_maxrss` also holds that of whoever started it."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    marks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return float(marks[0]) if marks else None


def peak_vram_mib() -> float | None:
    """GPU memory that this process holds, MiB; None where it uses no NVIDIA GPU.

    To be asked while the networks are still open: their runtimes give nothing back before they
    are closed, so what is held then is the peak. In a container the driver may list processes by
    other numbers than their own; then it is None, too.
    """
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        if nvml.nvmlInit_v2():
            return None
        try:
            held = [_held_bytes(nvml, device) for device in _devices(nvml)]
        finally:
            nvml.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return sum(held) / 2**20 or None


class _Process(ctypes.Structure):
    """nvmlProcessInfo_t of nvmlDeviceGetComputeRunningProcesses_v3."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def _devices(nvml: ctypes.CDLL) -> list[ctypes.c_void_p]:
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    devices = [ctypes.c_void_p() for _ in range(count.value)]
    for index, device in enumerate(devices):
        nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
    return devices


def _held_bytes(nvml: ctypes.CDLL, device: ctypes.c_void_p) -> int:
    count = ctypes.c_uint(256)
    processes = (_Process * count.value)()
    if nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), processes):
        return 0
    unknown = ctypes.c_ulonglong(-1).value  # Windows does not count for each process
    return sum(
        int(process.used_bytes)
        for process in processes[: count.value]
        if process.pid == os.getpid() and process.used_bytes != unknown
    )
