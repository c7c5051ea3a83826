"""What a chain asks its networks, kept so that other runtimes can be asked the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends import Network, OpenModels
from vfx_edge.manifest import NetworkSpec

Floats = NDArray[np.float32]
MAX_NUMBERS = 200_000_000  # of one runtime's answers to the crops of one kind: 0.8 GB


@dataclass(frozen=True, eq=False)
class Recorder:
    """A network that remembers what it was asked."""

    network: Network
    asked: list[Floats] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def probabilities(self, batch: Floats) -> Floats:
        self.asked.append(batch)
        return self.network.probabilities(batch)

    def run(self, batch: Floats) -> Floats:
        self.asked.append(batch)
        return self.network.run(batch)


def recorded(models: OpenModels) -> tuple[OpenModels, dict[str, Recorder]]:
    """The models with a recorder about each network, by role; joined roles share one."""
    each = {id(network): Recorder(network) for network in models.networks.values()}
    recorders = {role: each[id(network)] for role, network in models.networks.items()}
    return replace(models, networks=recorders), recorders


def some_of(batches: Sequence[Floats], count: int) -> Floats:
    """At most `count` patches, evenly from first to last."""
    batch: Floats = np.concatenate(batches)
    chosen: Floats = batch[np.unique(np.linspace(0, len(batch) - 1, count).astype(int))]
    return chosen


def affordable(spec: NetworkSpec, count: int) -> int:
    """`count`, or fewer where so many answers voxel by voxel would not fit into memory."""
    if "classifier" in spec.roles or ("labeller" in spec.roles and "segmenter" not in spec.roles):
        return count
    each = len(spec.output.classes) * int(np.prod(spec.input.patch_zyx))
    return max(2, min(count, MAX_NUMBERS // each))
