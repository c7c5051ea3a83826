"""One peer in a process of its own, asked for one study after another; it follows the protocol of
`vfx_edge.bench`."""

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfx_edge.backends import OpenModels, open_models
from vfx_edge.bench.parity import facts_of, unique
from vfx_edge.bench.protocol import Parent, serve
from vfx_edge.job import Job, run_job
from vfx_edge.manifest import load_model_set
from vfx_edge.study import BackendRequest


@dataclass(frozen=True)
class Order:
    """The CT, and who runs the networks. backend: one of ours, "kserve=SERVER", or "torch"."""

    path: str
    backend: str
    precision: str


class Watch:
    """Counts and times what one network is asked."""

    def __init__(self, network: Any) -> None:
        self.seconds, self.calls, self.patches = 0.0, 0, 0
        self._run, self._lock = network.run, threading.Lock()
        self._precision = network.precision
        # On the network itself: its other methods call `run` by name.
        network.run = self._timed

    def _timed(self, batch: Any) -> Any:
        begin = time.perf_counter()
        answer = self._run(batch)
        with self._lock:
            self.seconds += time.perf_counter() - begin
            self.calls += 1
            self.patches += len(batch)
        return answer

    def taken(self) -> dict[str, Any]:
        """What was counted since the last time."""
        counted = {
            "seconds": self.seconds,
            "calls": self.calls,
            "patches": self.patches,
            "precision": self._precision,
        }
        self.seconds, self.calls, self.patches = 0.0, 0, 0
        return counted


def study(order: Order, models: OpenModels, watches: dict[str, Watch]) -> dict[str, Any]:
    """One study from path to files: seconds, what the networks took of them, and what was found."""
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        result = run_job(Job(Path(order.path), Path(out)), models).result
        wall = time.perf_counter() - begin
    return {
        "wall": wall,
        "stages": {name: s for name, s in result.run.seconds.items() if name != "total"},
        "networks": {role: watch.taken() for role, watch in watches.items()},
        "facts": facts_of(result),
        "precision": result.run.backend.precision,
        "peak_rss_mib": result.run.peak_rss_mib,
    }


def opened(order: Order) -> OpenModels:
    """The networks of the default set, as ordered."""
    manifest = load_model_set("default")
    asked = BackendRequest.of(order.backend, order.precision)
    if order.backend != "torch":
        return open_models(manifest, asked)
    from benchmarks.torch_backend import TorchBackend

    ours = {"torch": TorchBackend()}
    return open_models(manifest, asked, backends=ours)


def work(order: Order, parent: Parent) -> None:
    """A study whenever the parent asks for one."""
    with opened(order) as models:
        watches = {str(network.spec.roles[0]): Watch(network) for network in unique(models)}
        while True:
            parent.wait()
            parent.report("study", **study(order, models, watches))


if __name__ == "__main__":
    serve(lambda order, parent: work(Order(**order), parent))
