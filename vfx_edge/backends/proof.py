"""Whether an opened network answers as its role demands, asked before a study depends on it."""

import numpy as np

from vfx_edge.backends.errors import RunFailed
from vfx_edge.backends.protocol import Network


def ask_once(network: Network) -> None:
    """One batch of the smallest size that the network takes, of noise over its HU window.

    Raises BackendError leaves: it does not compute, or answers infinities or another shape.
    """
    spec = network.spec
    rng = np.random.default_rng(0)
    hu = rng.uniform(*spec.input.hu_clip, size=spec.shape(spec.batch.min))
    answer = network.probabilities(spec.input.normalise(hu))
    wanted = (spec.batch.min, len(spec.classes))
    if answer.shape[:2] != wanted:
        reason = f"an answer of shape {answer.shape}"
        raise RunFailed(network.device, spec.name, reason)
