"""A Python function as a network."""

from collections.abc import Callable

import numpy as np

from vfx_edge.backends import OpenModels
from vfx_edge.backends.network import CheckedNetwork, pick_precision
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.study import BackendUse

Function = Callable[[NetworkSpec, Array], Array]
"""(spec, (n, channels, *patch_zyx)) -> (n, classes, ...)"""


def zeros(spec: NetworkSpec, batch: Array) -> Array:
    """As many zeros as the network would answer: every class equally likely."""
    return np.zeros(spec.answer_shape(len(batch)), np.float32)


def no_networks() -> OpenModels:
    """For a chain that asks none."""
    use = BackendUse("fake", "fake", "python", "fp32")
    return OpenModels(load_model_set(), {}, use, ())


class FakeNetwork(CheckedNetwork):
    """Calls the function."""

    def __init__(self, spec: NetworkSpec, precision: str, limit: int, function: Function) -> None:
        super().__init__("fake", spec, "python", precision, limit)
        self._function = function

    def _infer(self, batch: Array) -> Array:
        return np.asarray(self._function(self.spec, batch), np.float32)


class FakeBackend:
    """Opens every network as the given function; always available."""

    name = "fake"

    def __init__(self, function: Function = zeros) -> None:
        self._function = function

    def availability(self, device: int = 0) -> Availability:
        return Availability(self.name, True, device="python")

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> FakeNetwork:
        chosen = pick_precision(self.name, spec, precision, ("fp32",))
        return FakeNetwork(spec, chosen, spec.batch.opt, self._function)
