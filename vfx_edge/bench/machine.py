"""What was measured on: the machine, the versions, the networks. Nothing that names its owner."""

import os
import platform
import time
from typing import Any

import psutil

from vfx_edge import __version__
from vfx_edge.doctor import cpu_state, gpu_state, package_versions
from vfx_edge.manifest import ModelManifest

BUSY = 0.2
"""Share of all processor time that others take, from which figures are not to be trusted."""
LOOK_S = 0.5


def machine() -> dict[str, Any]:
    """Processor, memory, GPU, system, versions and how busy it is now; plain JSON values.

    Takes half a second, and loads no runtime.
    """
    cpu, gpu = cpu_state(), gpu_state()
    return {
        "cpu": {
            "name": cpu.name,
            "physical_cores": cpu.physical_cores,
            "logical_cores": cpu.logical_cores,
            "usable_cores": cpu.usable_cores,
            "features": list(cpu.features),
        },
        "memory_gib": round(cpu.memory_gib, 1),
        "gpu": str(gpu.first) if gpu.first else None,
        "driver": gpu.driver,
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": {**dict(package_versions()), "vfx-edge": __version__},
        "load_average": load_average(),
        "busy": busy_share(),
    }


def load_average() -> list[float] | None:
    """Of the last 1, 5 and 15 minutes; None where the system keeps none."""
    if not hasattr(os, "getloadavg"):
        return None
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except OSError:
        return None


def busy_share() -> float:
    """0..1: of all processor time, what others use while this process waits half a second.

    The load average would still hold the benchmark before this one.
    """
    others = OtherWork()
    time.sleep(LOOK_S)
    return others.share()


class OtherWork:
    """What other programs take of the processors, from the making of this on."""

    def __init__(self, children: bool = False) -> None:
        """children: those that have ended count as this program, too. Not known on Windows."""
        self._children = children
        self._before = self._seconds()

    def share(self) -> float:
        """0..1, of all processor time since."""
        taken, passed = (
            now - then for now, then in zip(self._seconds(), self._before, strict=True)
        )
        return round(min(max(taken / passed, 0.0), 1.0), 3) if passed > 0 else 0.0

    def _seconds(self) -> tuple[float, float]:
        """Processor seconds that others have taken, and all that there were."""
        times = psutil.cpu_times()._asdict()
        for twice in ("guest", "guest_nice"):  # in "user" already
            times.pop(twice, None)
        passed = sum(times.values())
        own = sum(psutil.Process().cpu_times()[: 4 if self._children else 2])
        return passed - times["idle"] - times.get("iowait", 0.0) - own, passed


def model_set(manifest: ModelManifest) -> dict[str, Any]:
    """The set's name and version, and each network with the hash of its file; by role."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "networks": {
            role: {"name": spec.name, "sha256": spec.sha256}
            for role in manifest.roles
            for spec in [manifest.network(role)]
        },
    }
