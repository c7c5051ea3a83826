"""A model set's networks, open on one backend, and on the next where `auto` chose and one fails."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

from vfx_edge.backends.closing import close
from vfx_edge.backends.errors import reason_of
from vfx_edge.backends.later import OpenedLater
from vfx_edge.backends.protocol import Network
from vfx_edge.errors import BackendError
from vfx_edge.manifest import ModelManifest
from vfx_edge.study import BackendUse, ModelUse

log = logging.getLogger("vfx_edge.backends")
Answer = TypeVar("Answer")
Reasons = tuple[tuple[str, str], ...]
"""(backend, reason)"""


@dataclass(eq=False)
class OpenModels:
    """The networks of a model set, opened on one backend. Close it, or use it in a `with`."""

    manifest: ModelManifest
    networks: Mapping[str, Network]
    """By role; joined roles share one."""
    backend: BackendUse
    uses: tuple[ModelUse, ...]
    again: "Callable[[], OpenModels] | None" = None
    """Opens the same on what `auto` tries next; None: nothing is left, or a backend was named."""
    on_card: bool = False
    _later: BackendUse | None = None
    """What holds of `backend` from the next answer on; None: the same."""

    def network(self, role: str) -> Network:
        """The opened network of a role; RoleMissing when the set fills none."""
        if role not in self.networks:
            # Either the set has none (raises), or it was left out when opening: our own bug.
            raise KeyError(f"'{self.manifest.network(role).name}' was not opened")
        return self.networks[role]

    @property
    def use(self) -> BackendUse:
        """`backend`, with the precisions of the networks that were asked so far."""
        asked = precisions(self._unique()) or self.backend.precision
        return replace(self.backend, precision=asked)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that went differently from plan so far, in the choice and in any network."""
        told = (passed_over_sentence(self.backend), failed_sentence(self.backend))
        networks = (line for network in self._unique() for line in network.warnings)
        return (*filter(None, told), *networks)

    def answer(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` answers with these networks. Where `auto` chose their backend and it fails in
        the middle, they are opened on the next one, which keeps them, and `ask` is called once
        more; `backend.failed` says so until the next answer. A second failure is raised."""
        self.backend, self._later = self._later or self.backend, None
        try:
            return ask()
        except BackendError as error:
            self._go_on_elsewhere(error)
        return ask()

    def _go_on_elsewhere(self, error: BackendError) -> None:
        """On the next backend that opens; raises `error` where there is none."""
        if self.again is None:
            raise error
        before, lost = self.backend, ((self.backend.used, reason_of(error)),)
        for network in self._unique():
            close(network)
        self.networks = {}  # lest what is closed be closed again, or hold memory
        try:
            now = self.again()
        except BackendError:
            raise error from None
        skipped = before.skipped + now.backend.skipped
        unused = before.passed_over + now.backend.passed_over
        self.backend = replace(now.backend, skipped=skipped, passed_over=unused, failed=lost)
        self._later = replace(
            now.backend,
            skipped=skipped + lost,
            passed_over=unused + lost if self.on_card else unused,
        )
        self.networks, self.uses, self.again = now.networks, now.uses, now.again
        self.on_card = now.on_card
        log.warning("%s", failed_sentence(self.backend))

    def close(self) -> None:
        """Free every network."""
        for network in self._unique():
            close(network)

    def _unique(self) -> Iterable[Network]:
        return {id(network): network for network in self.networks.values()}.values()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def precisions(networks: Iterable[Network]) -> str:
    """As they compute, those that are open: "bf16+fp32"."""
    is_open = (n for n in networks if not isinstance(n, OpenedLater) or n.is_open)
    return "+".join(dict.fromkeys(network.precision for network in is_open))


def passed_over_sentence(use: BackendUse) -> str:
    """What `auto` left unused although a card is there, each with the first of its reasons, which
    has to be mended first; empty where it left nothing."""
    if not use.passed_over:
        return ""
    alike: dict[str, list[str]] = {}
    for name, reason in use.passed_over:
        alike.setdefault(reason.partition("; ")[0], []).append(name)
    left = ", ".join(f"{', '.join(names)} ({reason})" for reason, names in alike.items())
    return (
        f"A graphics card is there, but auto passed over {left} and took {use.used}: "
        "`vfx-edge doctor` says what is missing, `vfx-edge models verify` asks each one again."
    )


def failed_sentence(use: BackendUse) -> str:
    """What failed in the middle of this study; empty where nothing did."""
    if not use.failed:
        return ""
    why = "; ".join(f"{name} failed ({reason})" for name, reason in use.failed)
    return (
        f"In the middle of this study {why}; all of it was done once more, on {use.used}: "
        "if that happens again, see `vfx-edge doctor`, or name another backend."
    )
