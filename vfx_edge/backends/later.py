"""A network that is opened when it is asked for the first time: most studies never ask it."""

from collections.abc import Callable
from threading import Lock

from vfx_edge.backends.protocol import Array, Network
from vfx_edge.manifest import NetworkSpec


class OpenedLater:
    """Knows its spec; all else is the network's, which `open_network` opens: BackendError leaves
    come from the first answer."""

    def __init__(self, spec: NetworkSpec, open_network: Callable[[], Network]) -> None:
        self.spec = spec
        self._open_network = open_network
        self._opened: Network | None = None
        self._one_opens = Lock()

    @property
    def is_open(self) -> bool:
        """Whether it was asked."""
        return self._opened is not None

    @property
    def device(self) -> str:
        return self._network().device

    @property
    def precision(self) -> str:
        return self._network().precision

    @property
    def warnings(self) -> tuple[str, ...]:
        return () if self._opened is None else self._opened.warnings

    @property
    def batch_limit(self) -> int:
        return self._network().batch_limit

    def run(self, batch: Array) -> Array:
        return self._network().run(batch)

    def probabilities(self, batch: Array) -> Array:
        return self._network().probabilities(batch)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _network(self) -> Network:
        with self._one_opens:
            if self._opened is None:
                self._opened = self._open_network()
            return self._opened
