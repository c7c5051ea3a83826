"""What `benchmarks gpu` does in workers of its own beside whole studies: engines, the command, the
tests that need a GPU."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import ROOT
from vfx_edge.backends import open_models
from vfx_edge.bench.command import drop_page_cache, run_command
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.job import needed_roles
from vfx_edge.manifest import load_model_set

TESTS = ROOT / "tests" / "backends" / "test_gpu.py"


def engines(order: Order, parent: Parent) -> None:
    """Seconds to open each network of the chain by itself, its engine built if there is none."""
    manifest = load_model_set("default")
    for role in needed_roles(manifest, segmentation_given=False):
        begin = time.perf_counter()
        with open_models(manifest, order["backend"], roles=(role,)) as models:
            seconds = time.perf_counter() - begin
            about = {"precision": models.backend.precision, "device": models.backend.device}
        parent.report("engine", role=role, seconds=seconds, **about)


def commands(order: Order, parent: Parent) -> None:
    """`vfx-edge run` twice: with the CT out of the page cache, and in it. Engines are built."""
    ct, cache = Path(order["path"]), Path(os.environ["VFX_EDGE_CACHE"])
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
    "engines": engines,
    "commands": commands,
    "tests": tests,
}

if __name__ == "__main__":
    serve(lambda order, parent: WORKS[order["work"]](order, parent))
