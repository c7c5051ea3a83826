"""Which weights were scored, on what machine, when."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vfx_edge.backends import open_models
from vfx_edge.doctor import diagnose
from vfx_edge.manifest import load_model_set

VERSIONS = ("vfx-edge", "openvino", "onnxruntime-gpu", "onnxruntime", "numpy", "scipy", "SimpleITK")
MEGABYTE = 1_000_000


def hashes(folder: Path) -> dict[str, str]:
    """Role -> sha256 of the file that fills it, as the manifest says."""
    manifest = load_model_set(folder.resolve())
    return {role: manifest.network(role).sha256 for role in manifest.roles}


def about_set(folder: Path) -> dict[str, Any]:
    """Name, size and hashes of a model set."""
    manifest = load_model_set(folder.resolve())
    files = {path for spec in manifest.networks for path in spec.paths.values()}
    return {
        "name": manifest.name,
        "version": manifest.version,
        "megabytes": sum(path.stat().st_size for path in files) / MEGABYTE,
        "sha256": hashes(folder),
    }


def about_machine(folder: Path, backend: str) -> dict[str, Any]:
    """Processor, cores, what ran the networks and in which precision, versions, date."""
    found = diagnose()
    with open_models(load_model_set(folder.resolve()), backend, roles=("labeller",)) as models:
        use = models.backend
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": found.cpu.name,
        "cores": found.cpu.usable_cores,
        "backend": use.used,
        "device": use.device,
        "precision": use.precision,
        "python": platform.python_version(),
        "versions": {name: number for name, number in found.packages if name in VERSIONS},
    }
