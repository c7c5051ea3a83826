"""A shared server's networks: any that speaks the KServe v2 protocol (Triton, OpenVINO Model
Server, MLServer). This machine opens none.

Never part of `auto`: nothing leaves this machine unless somebody named the server. What leaves it
is the numbers of crops and tiles, which the networks are shown; never a header.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from vfx_edge.backends import kserve_client
from vfx_edge.backends.closing import close, closed_if_it_fails
from vfx_edge.backends.errors import BackendUnavailable, RunFailed, ServerFailed
from vfx_edge.backends.kserve_client import Answer, CallFailed, Connection
from vfx_edge.backends.kserve_model import Served, find_served, not_served
from vfx_edge.backends.kserve_names import PRECISIONS
from vfx_edge.backends.kserve_settings import Server, ServerInvalid, server_of
from vfx_edge.backends.network import CheckedNetwork, pick_precision
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.manifest import NetworkSpec
from vfx_edge.study import ServedModel, ServerUse

log = logging.getLogger("vfx_edge.backends")
T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
REQUEST_MIB = 3.9
"""Of one request or its answer: larger ones gain nothing, while one is computed the next is on its
way, and gRPC's own limit, which MLServer and others leave, is 4 MiB with all that is around it."""
INSTALL = 'pip install "vfx-edge[kserve]"'


class KServeBackend:
    """One server."""

    name = "kserve"

    def __init__(self, named: str = "", patience_s: float | None = None) -> None:
        """named: as `server_of` takes it. patience_s: instead of the settings'. ServerInvalid."""
        self._server = server_of(named)
        self._patience_s = self._server.patience_s if patience_s is None else patience_s

    def availability(self, device: int = 0) -> Availability:
        """Whether it answers, asked for as long as its settings' patience."""
        if missing := kserve_client.installed():
            reason = f"the client can't be imported ({missing})"
            return Availability(self.name, False, reason, INSTALL)
        try:
            who = self._connected(lambda to: to.who())
        except (ServerFailed, ServerInvalid) as error:
            reason, _, remedy = str(error).rpartition(": ")
            return Availability(self.name, False, getattr(error, "reason", reason), remedy)
        return Availability(self.name, True, device=self._device(who), away=True)

    def open(
        self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget
    ) -> "KServeNetwork":
        """onnx: is the server's own. BackendError leaves: the server does not answer, or serves
        another network under this set's name."""
        pick_precision(self.name, spec, precision, PRECISIONS)
        asked = PRECISIONS if precision == "auto" else (precision,)
        wanted = tuple(one for one in asked if one in spec.precision.allowed)
        if missing := kserve_client.installed():
            raise BackendUnavailable(f"backend '{self.name}' can't be used ({missing})", INSTALL)
        link = _Link(self._server, self._patience_s, answer_bytes(spec))
        with closed_if_it_fails(link):
            served = link.ask(lambda to: find_served(to, spec, wanted))
            if served is None:
                raise not_served(self._server.address, spec, wanted, link.ask(lambda t: t.names()))
            who = link.ask(lambda to: to.who())
            return KServeNetwork(link, spec, served, self._device(who), who)

    def _connected(self, ask: Callable[[Connection], T]) -> T:
        link = _Link(self._server, self._patience_s)
        try:
            return link.ask(ask)
        finally:
            link.close()

    def _device(self, who: str) -> str:
        return f"{who} at {self._server.address}"


class _Link:
    """A connection that is made anew where it was lost, for as long as patience lasts."""

    def __init__(
        self, server: Server, patience_s: float, most_bytes: int = kserve_client.MOST_TOLD
    ) -> None:
        """most_bytes: of an answer."""
        self.server = server
        self._patience_s, self._most_bytes = patience_s, most_bytes
        self._to: Connection | None = None
        self._token = ""

    def ask(
        self,
        ask: Callable[[Connection], T],
        passing: Callable[[CallFailed], bool] = lambda error: error.passing,
    ) -> T:
        """What it answers, asked again with growing pauses while it does not. ServerFailed."""
        failing_since: float | None = None
        pause = FIRST_PAUSE_S
        while True:
            try:
                return ask(self._connection())
            except CallFailed as error:
                # From its first failure on: what it had computed before is no time without answer.
                now = time.monotonic()
                failing_since = now if failing_since is None else failing_since
                left = self._patience_s - (now - failing_since)
                self.close()
                if self._token_is_old(error):
                    continue
                if not passing(error) or left <= 0:
                    words = _sentence(error, self.server)
                    raise ServerFailed(self.server.address, *words) from None
                if pause == FIRST_PAUSE_S:
                    log.warning(
                        "The server %s does not answer (%s): asked again for %.0f s.",
                        *(self.server.address, error, left),
                    )
            time.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def close(self) -> None:
        if self._to is not None:
            close(self._to)
            self._to = None

    def _connection(self) -> Connection:
        if self._to is None:
            self._token = self.server.token()
            self._to = Connection(self.server, self._most_bytes)
        return self._to

    def _token_is_old(self, error: CallFailed) -> bool:
        """Whether the file holds another one by now."""
        return error.status == "UNAUTHENTICATED" and self.server.token() != self._token


def _sentence(error: CallFailed, server: Server) -> tuple[str, str]:
    """(what was wrong, what to do about it)"""
    if error.keys:
        remedy = "see that ca, certificate and key in its settings are PEM and belong together"
        return f"the settings' own certificates can't be used: {error}", remedy
    if error.too_large:
        remedy = "have its gRPC take messages of any size (MLServer: grpc_max_message_length = -1)"
        return f"a message is too large: {error}", remedy
    if error.trust and server.tls:
        remedy = "name who signed its certificate by ca in the server's settings"
        return f"its certificate is not one to trust: {error}", remedy
    if error.status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        given = "the token is refused" if server.token_file else "it wants a token"
        return f"{given}: {error}", "name a file with a valid one by token_file in its settings"
    if error.status == "DEADLINE_EXCEEDED":
        remedy = "see what keeps it, or allow more by timeout_s in its settings"
        return str(error), remedy
    if error.status == "UNAVAILABLE":
        return f"it can't be reached: {error}", "see whether it runs, and under this address"
    return str(error), "see the server's own log"


class KServeNetwork(CheckedNetwork):
    """One model of the server."""

    def __init__(
        self, link: _Link, spec: NetworkSpec, served: Served, device: str, who: str
    ) -> None:
        self._size = request_size(spec)
        in_flight = link.server.in_flight
        super().__init__("kserve", spec, device, served.precision, self._size * in_flight)
        self._link, self._served = link, served
        self._lost = False
        self.server = ServerUse(
            link.server.address,
            link.server.tls,
            who,
            (ServedModel(spec.name, served.name, served.version),),
        )

    def close(self) -> None:
        self._link.close()

    def _infer(self, batch: Array) -> Array:
        parts = [self._filled(batch[i : i + self._size]) for i in range(0, len(batch), self._size)]
        answers: list[Array | None] = [None] * len(parts)
        # One that comes back may still be loading its models.
        loading = lambda error: error.passing or error.status == "NOT_FOUND"  # noqa: E731
        self._link.ask(lambda to: self._fill(to, parts, answers), loading)
        whole = [answer for answer in answers if answer is not None]
        return np.concatenate(whole)[: len(batch)] if len(whole) > 1 else whole[0]

    def _fill(self, to: Connection, parts: list[Array], answers: list[Array | None]) -> None:
        """Send, all at once, what has no answer yet. CallFailed of the first that failed."""
        if self._lost:  # it may be another server by now
            self._served_still(to)
        served, spec = self._served, self.spec
        coming = [
            (i, to.infer(served.name, served.version,
                         (spec.input.name, parts[i].astype(served.takes, copy=False)),
                         spec.output.name))
            for i, answer in enumerate(answers) if answer is None
        ]  # fmt: skip
        failures = []
        for i, future in coming:
            try:
                answers[i] = self._taken(future.result(), len(parts[i]))
            except CallFailed as error:
                failures.append(error)
        self._lost = bool(failures)
        if failures:
            raise min(failures, key=lambda error: error.passing)

    def _served_still(self, to: Connection) -> None:
        """CallFailed while it is loading, ServedOtherwise where it serves another network now."""
        now = find_served(to, self.spec, (self._served.precision,))
        if now is None:
            raise CallFailed("NOT_FOUND", f"it has no '{self._served.name}' any more")
        self._served = now

    def _taken(self, answer: Answer, count: int) -> Array:
        """RunFailed where it is of another model, or no answer to so many patches."""
        if answer.version and self._served.version not in ("", answer.version):
            what = f"version {answer.version} answers, and {self._served.version} was opened"
            raise RunFailed(self.backend, self.spec.name, f"{self.device}: {what}")
        if answer.values.dtype != self._served.gives:
            what = f"it answers in {answer.values.dtype}, and told of {self._served.gives}"
            raise RunFailed(self.backend, self.spec.name, f"{self.device}: {what}")
        if answer.values.shape != (wanted := self.spec.answer_shape(count)):
            got, want = ("x".join(map(str, s)) for s in (answer.values.shape, wanted))
            what = f"it answers {got}, by the manifest {want} is right"
            raise RunFailed(self.backend, self.spec.name, f"{self.device}: {what}")
        return answer.values.astype(np.float32, copy=False)


def request_size(spec: NetworkSpec) -> int:
    """Patches in one request."""
    numbers = max(np.prod(spec.shape(1)), np.prod(spec.answer_shape(1)))
    fitting = int(REQUEST_MIB * 2**20 // (4 * float(numbers)))
    return max(spec.batch.min, min(spec.batch.opt, fitting))


def answer_bytes(spec: NetworkSpec) -> int:
    """That an answer to one request may have: more is none, and would fill this machine's
    memory."""
    numbers = float(np.prod(spec.answer_shape(request_size(spec))))
    return kserve_client.MOST_TOLD + int(4 * numbers)
