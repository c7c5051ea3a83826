"""Three neighbouring sagittal slices at a time through a network that sees slices, after Li et al.

The network's first axis runs from side to side; triplets lie about the middle of the patch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.image.grids import FloatArray
from vfx_edge.inference.patches import network_axes, to_network
from vfx_edge.manifest import NEIGHBOURS, NetworkSpec, SlicesSpec


def to_left_mm(spec: NetworkSpec) -> tuple[float, ...]:
    """Where the triplets' middle slices lie, in the order in which the network is asked: mm to
    the patient's left of the patch's middle."""
    to_left = -1.0 if network_axes(spec.input)[1].count(2) else 1.0
    return tuple(to_left * mm for mm in _middles_mm(_of(spec)).tolist())


def weights(spec: NetworkSpec) -> FloatArray:
    """(triplets, 3, patch_zyx[0]): how much each of the patch's slices is in each that the network
    sees. One that lies between two of the patch is their linear mixture."""
    slices, depth = _of(spec), spec.input.patch_zyx[0]
    beside = (np.arange(NEIGHBOURS) - NEIGHBOURS // 2) * slices.distance_mm
    places = (_middles_mm(slices)[:, None] + beside) / spec.input.spacing_mm + (depth - 1) / 2
    away = np.abs(places[..., None] - np.arange(depth))
    return np.asarray(np.clip(1 - away, 0, 1), np.float32)


def triplets(patch: FloatArray, spec: NetworkSpec) -> FloatArray:
    """A patch (z, y, x), ready in numbers, our axes -> (triplets, 3, rows, columns), the network's
    axes."""
    return np.tensordot(weights(spec), to_network(patch, spec.input), 1)


def run_slices(network: Network, patches: Sequence[FloatArray]) -> FloatArray:
    """Patches (z, y, x), ready in numbers, our axes -> probabilities (n, triplets, classes)."""
    batch = np.concatenate([triplets(patch, network.spec) for patch in patches])
    answer = network.probabilities(batch)
    return answer.reshape(len(patches), -1, answer.shape[1])


def averaged(answers: FloatArray, slices: SlicesSpec) -> FloatArray:
    """Probabilities (…, triplets, classes) -> one answer, (…, classes). A median's sum stays that
    of the mean: classes that share one whole go on sharing it."""
    mean = answers.mean(-2)
    if slices.average == "mean":
        return np.asarray(mean, np.float32)
    middle = np.median(answers, -2)
    total = np.maximum(middle.sum(-1, keepdims=True), 1e-6)
    return np.asarray(np.minimum(middle * mean.sum(-1, keepdims=True) / total, 1), np.float32)


def _middles_mm(slices: SlicesSpec) -> NDArray[np.float64]:
    return np.asarray((np.arange(slices.triplets) - (slices.triplets - 1) / 2) * slices.step_mm)


def _of(spec: NetworkSpec) -> SlicesSpec:
    assert spec.slices is not None, "only networks with [network.slices] come here"
    return spec.slices
