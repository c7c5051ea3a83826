"""What the stages know of a runtime."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vfx_edge.manifest import NetworkSpec
from vfx_edge.study import ServerUse

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run here; `reason` and `remedy` are empty when it can."""

    name: str
    available: bool
    reason: str = ""
    remedy: str = ""
    device: str = ""
    card: bool = False
    """An NVIDIA card is in the machine: where such a backend can't use it, people want to know."""
    away: bool = False
    """Another machine runs the networks: each is asked once before a study depends on it."""


@dataclass(frozen=True)
class Budget:
    """Memory the whole program may use, and how many cores (None: those it may run on)."""

    gpu_gib: float | None = None
    """Of the card's memory; None: what is free, less a reserve (`budget.settled`)."""
    host_gib: float = 4.0
    threads: int | None = None
    device: int = 0
    """The card's number."""
    note: str = ""
    """What people have to know of it, when a card runs the networks."""


class Network(Protocol):
    """An opened network: what it is, and one function."""

    @property
    def spec(self) -> NetworkSpec: ...

    @property
    def device(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went differently from what was planned, one sentence each."""
        ...

    @property
    def batch_limit(self) -> int:
        """Patches computed at once; `run` takes any number and splits."""
        ...

    def run(self, batch: Array) -> Array:
        """(n, channels, *patch_zyx) float32 -> (n, channels of the answer, ...), raw."""
        ...

    def probabilities(self, batch: Array) -> Array:
        """`run`, then the manifest's activation and names: (n, len(spec.classes), ...), 0..1 (for
        "none" the raw numbers)."""
        ...

    def close(self) -> None:
        """Free what the runtime holds; `run` must not be called again."""
        ...


class Backend(Protocol):
    """A runtime that opens networks, or says exactly why it can't."""

    @property
    def name(self) -> str: ...

    def availability(self, device: int = 0) -> Availability:
        """Cheap, silent, and without opening a network. device: the card's number."""
        ...

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> Network:
        """Open a network from verified bytes. precision: "auto" or a name of the manifest's.

        Raises BackendError leaves, or ModelError when the network itself can't be read.
        """
        ...


@runtime_checkable
class OnServer(Protocol):
    """A network that a server runs, and not this machine."""

    backend: str

    @property
    def server(self) -> ServerUse: ...


@runtime_checkable
class TriesEightBits(Protocol):
    """A backend that opens a network's INT8 file once another process has lived through it."""

    def forget(self, spec: NetworkSpec) -> None:
        """Have the INT8 file tried again when it is opened next."""
        ...
