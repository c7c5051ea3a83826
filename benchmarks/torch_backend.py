"""PyTorch as one more backend of the chain: what the same networks cost where they came from."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.results import threads
from vfx_edge.backends import open_models
from vfx_edge.backends.machine import cpu_name
from vfx_edge.backends.network import CheckedNetwork
from vfx_edge.backends.protocol import Array, Availability, Backend, Budget, Network
from vfx_edge.bench.patches import random_patches
from vfx_edge.bench.protocol import serve
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.study import BackendRequest

CHANNELS_LAST = {"fp32": False, "bf16": True}
"""Precision -> memory format: plain eager, or channels-last with bf16 autocast, its fastest."""
TOLERANCE = {"fp32": 1e-3, "bf16": 0.15}
"""Of a network's answer, as a share of the answer's own range, against ONNX Runtime."""

Found = dict[str, float]


class TorchNetwork(CheckedNetwork):
    """One graph in eager mode."""

    def __init__(self, spec: NetworkSpec, graph: Any, precision: str, limit: int) -> None:
        super().__init__("torch", spec, cpu_name(), precision, limit)
        self._graph = graph

    def _infer(self, batch: Array) -> Array:
        import torch

        half = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            given = torch.from_numpy(batch)
            if CHANNELS_LAST[self.precision]:
                given = given.contiguous(memory_format=torch.channels_last_3d)
            answer: Array = self._graph(given).float().contiguous().numpy()
            return answer

    def close(self) -> None:
        self._graph = None


class TorchBackend:
    """Eager mode on the CPU, in the precisions of CHANNELS_LAST."""

    name = "torch"

    def availability(self, device: int = 0) -> Availability:
        return Availability(self.name, True, device=cpu_name())

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> TorchNetwork:
        import torch

        from benchmarks.torch_graph import TorchGraph

        torch.set_num_threads(budget.threads or threads())
        graph = TorchGraph(onnx, channels_last=CHANNELS_LAST[precision])
        network = TorchNetwork(spec, graph, precision, spec.batch.opt)
        network.batch_limit = _faster_limit(network)
        return network


def _faster_limit(network: TorchNetwork) -> int:
    """Patch by patch or the manifest's usual batch: PyTorch gets what is faster for it."""
    most = network.batch_limit
    batch = random_patches(network.spec, most)
    seconds = {}
    for limit in dict.fromkeys((most, 1)):
        network.batch_limit = limit
        network.run(batch)  # primitives are made at the first sight of a shape
        begin = time.perf_counter()
        network.run(batch)
        seconds[limit] = time.perf_counter() - begin
    return min(seconds, key=lambda limit: seconds[limit])


def differences(networks: Mapping[str, Network], reference: Mapping[str, Network]) -> Found:
    """Role -> largest difference of an answer to the same noise, as a share of its range.

    Raises ValueError where TOLERANCE is exceeded: the time of a network that computes something
    else is worth nothing.
    """
    found = {}
    for role, network in networks.items():
        batch = random_patches(network.spec, 1)
        ours, theirs = network.run(batch), reference[role].run(batch)
        found[role] = float(np.abs(ours - theirs).max() / max(np.ptp(theirs), 1.0))
        if found[role] > TOLERANCE[network.precision]:
            raise ValueError(f"PyTorch's {role} answers {found[role]:.3g} of the range otherwise")
    return found


def checked(precisions: Sequence[str]) -> dict[str, Found]:
    """Precision -> `differences` of the default set's networks from ONNX Runtime's answers."""
    manifest = load_model_set("default")
    found = {}
    with open_models(manifest, "cpu") as reference:
        for precision in precisions:
            ours: dict[str, Backend] = {"torch": TorchBackend()}
            asked = BackendRequest("torch", precision)
            with open_models(manifest, asked, backends=ours) as models:
                found[precision] = differences(models.networks, reference.networks)
    return found


if __name__ == "__main__":
    serve(lambda order, parent: parent.report("checked", differences=checked(**order)))
