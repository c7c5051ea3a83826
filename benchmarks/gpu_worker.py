"""What `benchmarks gpu` does in workers of its own beside whole studies: engines, the command, the
tests that need a GPU."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import ROOT
from vfx_edge.backends import Budget, default_backends
from vfx_edge.backends.budget import divide, settled
from vfx_edge.backends.cache import CACHE_VARIABLE
from vfx_edge.backends.errors import BackendUnavailable
from vfx_edge.bench.command import drop_page_cache, run_command
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.fracture_task import Options, roles
from vfx_edge.manifest import load_model_set

TESTS = ROOT / "tests" / "backends" / "test_gpu.py"


def doctor(order: Order, parent: Parent) -> None:
    """What `vfx-edge doctor` says: why a backend can't be used stands there."""
    words = [sys.executable, "-m", "vfx_edge", "doctor"]
    told = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    parent.report("told", text=(told.stdout + told.stderr).strip())


def engines(order: Order, parent: Parent) -> None:
    """Seconds to open each network of the chain by itself, its engine built if there is none.

    Each has the share of the GPU that it has in the chain: what is built is what the chain needs.
    """
    backend = default_backends()[order["backend"]]
    if not (state := backend.availability()).available:
        what = f"backend '{state.name}' can't be used"
        raise BackendUnavailable(what, f"{state.reason}; {state.remedy}")
    manifest = load_model_set("default")
    asked = (manifest.network(role) for role in roles(manifest, Options()))
    specs = list({spec.name: spec for spec in asked}.values())
    for spec, share in zip(specs, divide(specs, settled(Budget())), strict=True):
        begin = time.perf_counter()
        network = backend.open(spec, spec.read(), "auto", share)
        seconds = time.perf_counter() - begin
        parent.report("engine", role=spec.roles[0], seconds=seconds, precision=network.precision)
        network.close()


def commands(order: Order, parent: Parent) -> None:
    """`vfx-edge run` twice: with the CT out of the page cache, and in it. Engines are built."""
    ct, cache = Path(order["path"]), Path(os.environ[CACHE_VARIABLE])
    drop_page_cache(ct.rglob("*.dcm"))
    for kind in ("cold", "first"):
        with tempfile.TemporaryDirectory() as out:
            wall, result = run_command(ct, Path(out), cache, "--backend", order["backend"])
        run = result["run"]
        about = {"stages": run["seconds"], "precision": run["backend"]["precision"]}
        parent.report("command", kind=kind, wall=wall, **about)


def tests(order: Order, parent: Parent) -> None:
    """The tests that are skipped without a GPU, of one backend: each one's outcome."""
    import pytest

    class Outcomes:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or not report.passed:
                name, reason = report.nodeid.rpartition("::")[2], _reason(report)
                parent.report("test", name=name, outcome=report.outcome, reason=reason)

    os.chdir(ROOT)
    pytest.main(["-q", "-p", "no:cacheprovider", str(TESTS), "-k", order["k"]], [Outcomes()])


def _reason(report: Any) -> str:
    """One line: why it was skipped, or what failed."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", report.longrepr)).splitlines()[0]


WORKS: dict[str, Callable[[Order, Parent], None]] = {
    "doctor": doctor,
    "engines": engines,
    "commands": commands,
    "tests": tests,
}

if __name__ == "__main__":
    serve(lambda order, parent: WORKS[order["work"]](order, parent))
