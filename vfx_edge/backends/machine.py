"""What the host is: its processor, and how much of it may be used."""

import functools
import os
import platform
import sys
from pathlib import Path

from vfx_edge.parallel import cores


@functools.cache
def cpu_name() -> str:
    """The processor's name as its maker gives it, or the best the system tells."""
    if sys.platform == "win32":
        import winreg

        path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
        except OSError:
            return platform.processor() or "CPU"
    return _cpuinfo().get("model name") or platform.processor() or platform.machine() or "CPU"


def cpu_flags() -> frozenset[str]:
    """Instruction sets as Linux lists them; empty elsewhere."""
    return frozenset(_cpuinfo().get("flags", "").split())


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo; empty where there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def usable_cores() -> int | None:
    """Logical cores this process is held to, or None when it may use the whole machine.

    Runtimes count the machine's cores by themselves, but not a container's share of them.
    """
    allowed = cores()
    return allowed if allowed < (os.cpu_count() or 1) else None
