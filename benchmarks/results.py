"""Where figures are kept: point by point while they are measured, as one JSON file at the end."""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import isa
from models.recipes.scorecard.parts import rounded
from vfx_edge.bench.machine import BUSY, machine, model_set
from vfx_edge.files import write_text
from vfx_edge.manifest import load_model_set
from vfx_edge.parallel import cores

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
UNFINISHED = ROOT / "build" / "benchmarks"
SCHEMA = "vfx-edge/benchmarks/1"
DIGITS = 5
BY_CLASS = (
    *("speed", "peers", "growth", "limits", "floor", "precisions", "batches", "service"),
    "explain",
)
"""Scripts whose figures depend on the class of the processor: each class's are kept beside the
others', as long as nobody measures that class anew."""
PEERS = ("torch", "monai", "nnunetv2", "dynamic_network_architectures")
_BEGAN = time.perf_counter()


def log(line: str) -> None:
    """A line of progress on standard error."""
    sys.stderr.write(f"{time.perf_counter() - _BEGAN:5.0f} s  {line}\n")
    sys.stderr.flush()


def threads() -> int:
    """What every runtime that is measured here may use."""
    return cores()


def place(name: str, cpu: str) -> Path:
    """Where a script's figures are kept for a class of processors."""
    return RESULTS / cpu / f"{name}.json" if name in BY_CLASS else RESULTS / f"{name}.json"


def read(name: str, cpu: str = "") -> dict[str, Any] | None:
    """A finished script's figures, None where it has not been run. cpu: the class, for BY_CLASS."""
    path = place(name, cpu)
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


class Kept:
    """One script's points. What a stopped run has measured already is not measured again, as long
    as the program, its networks and what is asked are the same."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self._settings = dict(settings)
        self._cpu = isa.cpu_class()
        self._path = UNFINISHED / f"{name}-{self._cpu}.json"
        self._about = {
            "schema": SCHEMA,
            "name": name,
            "settings": self._settings,
            "program": fingerprint(),
        }
        self._points: dict[str, Any] = {}
        self._machine = machine()
        self._resume()
        if self._machine["busy"] > BUSY:
            log(f"others use {self._machine['busy']:.0%} of the processors: figures will be off")

    def point(self, key: str, measure: Callable[..., Any], *given: Any) -> Any:
        """What `measure` makes of what is given, as JSON has it; known from before, at once."""
        if key not in self._points:
            log(f"{self.name}: {key}")
            self._points[key] = json.loads(json.dumps(measure(*given)))
            write(self._path, {**self._about, "machine": self._machine, "points": self._points})
        return self._points[key]

    def missing(self, key: str) -> bool:
        """Whether `point` would have to measure."""
        return key not in self._points

    def finish(self, figures: Mapping[str, Any]) -> Path:
        """Write the script's file in benchmarks/results."""
        known = about(self.name, self._settings, self._machine)
        path = place(self.name, self._cpu)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, {**known, "figures": dict(figures)})
        self._path.unlink(missing_ok=True)
        log(f"{self.name}: written to {path.relative_to(ROOT)}")
        return path

    def _resume(self) -> None:
        if not self._path.is_file():
            return
        before = json.loads(self._path.read_text("utf-8"))
        if all(before.get(name) == value for name, value in self._about.items()):
            self._points, self._machine = before["points"], before["machine"]
            log(f"{self.name}: {len(self._points)} points are there from an earlier run")


def about(name: str, settings: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a record beside its figures."""
    packages = {**machine["packages"], **_peers()}
    return {
        "schema": SCHEMA,
        "name": name,
        "settings": dict(settings),
        "measured_on": datetime.now(UTC).date().isoformat(),
        "cpu_class": isa.cpu_class(),
        "held": isa.held(),
        "machine": {**machine, "packages": packages},
        "threads": threads(),
        "models": model_set(load_model_set("default")),
    }


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's figures with what stands beside them."""
    return {**record["figures"], **{k: v for k, v in record.items() if k != "figures"}}


def write(path: Path, value: Mapping[str, Any]) -> None:
    """A record as JSON; the file is replaced as a whole."""
    write_text(path, json.dumps(rounded(value, DIGITS), indent=1) + "\n")


def _peers() -> dict[str, str]:
    """Versions of what only the figures need."""
    found = {}
    for name in PEERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def fingerprint() -> str:
    """Of everything that decides a figure: other code, other figures."""
    digest = hashlib.sha256()
    for folder in ("vfx_edge", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    for spec in load_model_set("default").networks:
        digest.update(spec.sha256.encode())
    return digest.hexdigest()
