"""Every backend that there is, and the state of each; one whose runtime is missing has one, too."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import cast

from vfx_edge.backends.errors import BackendUnavailable
from vfx_edge.backends.protocol import Availability, Backend, Budget, Network
from vfx_edge.errors import UsageError, first_line
from vfx_edge.manifest import NetworkSpec
from vfx_edge.vocabulary import BACKENDS, SERVED


def default_backends() -> dict[str, Backend]:
    """Every backend by name, in the order in which `auto` tries them."""
    return {name: _made(name, kind) for name, kind in BACKENDS.items()}


def served_backend(name: str, server: str, patience_s: float | None = None) -> Backend:
    """One that runs elsewhere, by its name. server: as `BackendRequest` has it. patience_s: how
    long a server that does not answer is asked again; None: as its settings say. UsageError where
    the server can't be meant."""
    return cast(Backend, resolve_name(SERVED[name])(server, patience_s))


@dataclass(frozen=True)
class _NotInstalled:
    """A backend whose module can't be imported: its runtime is missing."""

    name: str
    reason: str

    def availability(self, device: int = 0) -> Availability:
        return Availability(self.name, False, self.reason, "install what it needs")

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> Network:
        raise BackendUnavailable(f"backend '{self.name}' ({self.reason})", "install what it needs")


def _made(name: str, kind: str) -> Backend:
    try:
        return cast(Backend, resolve_name(kind)())
    except ImportError as error:
        return _NotInstalled(name, first_line(error))


def probe_served(server: str = "") -> tuple[Availability, ...]:
    """The state of what runs elsewhere; a server that does not answer is not asked again. server:
    as `BackendRequest` has it."""
    return tuple(_served_state(name, server) for name in SERVED)


def _served_state(name: str, server: str) -> Availability:
    try:
        return served_backend(name, server, patience_s=0).availability()
    except UsageError as error:
        reason, _, remedy = str(error).rpartition(": ")
        return Availability(name, False, reason, remedy)


def probe_backends(device: int = 0) -> tuple[Availability, ...]:
    """The state of every backend that can be asked for, in `auto`'s order, with this card."""
    return tuple(backend.availability(device) for backend in default_backends().values())
