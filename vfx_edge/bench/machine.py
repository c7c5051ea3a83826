"""What was measured on: the machine, the versions, the networks. Nothing that names its owner."""

import os
import platform
from typing import Any

import psutil

from vfx_edge import __version__
from vfx_edge.doctor import Diagnosis, diagnose
from vfx_edge.manifest import ModelManifest

BUSY = 0.2
"""Share of all processor time that others take, from which figures are not to be trusted."""
LOOK_S = 0.5


def machine(found: Diagnosis | None = None) -> dict[str, Any]:
    """Processor, memory, GPU, system, versions and how busy it is now; plain JSON values.

    found: what `diagnose` saw, where that is at hand. Takes half a second, and two without it.
    """
    found = found or diagnose()
    cpu, gpu = found.cpu, found.gpu.gpu
    return {
        "cpu": {
            "name": cpu.name,
            "physical_cores": cpu.physical_cores,
            "logical_cores": cpu.logical_cores,
            "usable_cores": cpu.usable_cores,
            "features": list(cpu.features),
        },
        "memory_gib": round(cpu.memory_gib, 1),
        "gpu": str(gpu) if gpu else None,
        "driver": found.gpu.driver,
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": {**dict(found.packages), "vfx-edge": __version__},
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

    The load average would still tell of the benchmark before this one.
    """
    own = psutil.Process()
    before = sum(own.cpu_times()[:2])
    everyone = psutil.cpu_percent(interval=LOOK_S) / 100
    ours = (sum(own.cpu_times()[:2]) - before) / (LOOK_S * (os.cpu_count() or 1))
    return float(round(max(everyone - ours, 0.0), 3))


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
