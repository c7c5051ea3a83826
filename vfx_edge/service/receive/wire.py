"""What a stranger may cost before we know who it is: connections, bytes and time, all bounded.

pynetdicom believes the length that a PDU states, waits for ever for the rest of it, and shakes
hands for TLS in the loop that accepts connections, where one silent client would stop all others.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from pynetdicom import evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

log = logging.getLogger(__name__)

LOOK_EACH_BYTES = 8 * 2**20
"""How often the room on the disk is looked at while an instance comes."""
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class WireLimits:
    """`networks`: who may connect, () for anyone. `pdu_bytes`: the longest PDU that is read.
    `handshake_s`: from connecting to the association request; `pdu_s`: for one whole PDU."""

    networks: tuple[Network, ...]
    connections: int = 256
    pdu_bytes: int = 256 * 1024
    instance_bytes: int = 2 * 2**30
    handshake_s: float = 10.0
    pdu_s: float = 30.0


class TooMuch(OSError):
    """A peer goes beyond a limit: its connection is closed. pynetdicom knows what to do with an
    OSError while it reads."""


class BoundedReader:
    """Takes the place of AssociationSocket.recv for one connection."""

    def __init__(
        self, connection: socket.socket, limits: WireLimits, has_room: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._has_room = has_room
        self._of_message = 0
        self._since_look = 0

    def message_ended(self) -> None:
        """A DIMSE message was received whole: its bytes no longer count."""
        self._of_message = 0

    def __call__(self, count: int) -> bytearray:
        """`count` bytes, fewer where the peer closed; TooMuch, or OSError as of a socket."""
        limits = self._limits
        self._of_message += count
        if count > limits.pdu_bytes or self._of_message > limits.instance_bytes:
            self._close()
            raise TooMuch(f"{count} bytes announced, {self._of_message} in this message")
        self._since_look += count
        if self._since_look > LOOK_EACH_BYTES:
            self._since_look = 0
            if not self._has_room():
                log.warning("a connection was closed: no room on the disk; see min_free_mib")
                self._close()
                raise TooMuch("no room on the disk")
        data = bytearray(count)
        view = memoryview(data)
        deadline = time.monotonic() + limits.pdu_s
        got = 0
        while got < count:
            # Each piece may come in time and the whole never: the deadline is the PDU's.
            if time.monotonic() > deadline:
                self._close()
                raise TooMuch(f"{got} of {count} bytes in {limits.pdu_s:g} s")
            if not (more := self._connection.recv_into(view[got:])):
                break
            got += more
        del view
        del data[got:]
        return data

    def _close(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the peer was gone already")


class _Handler(RequestHandler):  # type: ignore[misc]
    server: "BoundedServer"

    def _create_association(self) -> Any:
        association = super()._create_association()
        provider = association.dul
        server = self.server
        provider.socket.recv = BoundedReader(self.request, server.limits, server.has_room)
        provider.run = partial(_contained, association, provider.run)
        return association


def _contained(association: Any, run: Callable[[], None]) -> None:
    """The thread that reads one connection: whatever it raises ends this connection alone."""
    try:
        run()
    except Exception as error:  # noqa: BLE001  malformed requests make pynetdicom raise anything
        log.warning("a connection was closed: malformed (%s)", type(error).__name__)
        association._server.refused("malformed")
        association.dul.socket._shutdown_socket()
        association._kill = True  # `kill` would wait for this very thread
        association.dul.to_user_queue.put(None)
        evt.trigger(association, evt.EVT_CONN_CLOSE, {"address": None})


class BoundedServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections within the limits; `refused(why)` counts the others."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        *args: Any,
        limits: WireLimits,
        refused: Callable[[str], None],
        has_room: Callable[[], bool],
        **more: Any,
    ) -> None:
        self.limits = limits
        self.has_room = has_room
        self.refused = refused
        self._waiting = 0
        self._counting = threading.Lock()
        super().__init__(*args, **more, request_handler=_Handler)
        self.ae._servers.append(self)  # `shutdown` takes it out again

    def get_request(self) -> tuple[socket.socket, Any]:
        """The bare connection: TLS waits for its own thread."""
        connection, address = self.socket.accept()
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this connection is looked at at all."""
        if not self._allowed(client_address[0]):
            log.warning("connection from %s refused: not an allowed address", client_address[0])
            self.refused("address")
            return False
        if self._waiting + len(self.active_associations) >= self.limits.connections:
            log.warning("connection from %s refused: too many are open", client_address[0])
            self.refused("connections")
            return False
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: wait for it to say something, then associate."""
        with self._counting:
            self._waiting += 1
        try:
            ready = self._greeted(request)
        finally:
            with self._counting:
                self._waiting -= 1
        if ready is None:
            log.info("connection from %s closed: it said nothing", client_address[0])
            self.refused("silent")
            self.shutdown_request(request)
            return
        ready.settimeout(self.limits.pdu_s)
        super().finish_request(ready, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line in place of a traceback: whatever a stranger sends is no bug of ours."""
        log.warning("connection from %s failed", client_address[0], exc_info=log.isEnabledFor(10))
        self.refused("broken")

    def _allowed(self, address: str) -> bool:
        if not self.limits.networks:
            return True
        peer = ip_address(address.partition("%")[0])
        mapped = getattr(peer, "ipv4_mapped", None)
        return any((mapped or peer) in network for network in self.limits.networks)

    def _greeted(self, connection: socket.socket) -> socket.socket | None:
        """The connection once the peer has spoken; None where it closed or stayed silent.

        A silent one costs a sleeping thread; an association would poll a thousand times a second.
        """
        connection.settimeout(self.limits.handshake_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.ssl_context is not None:
                context: ssl.SSLContext = self.ssl_context
                return context.wrap_socket(connection, server_side=True)
            return connection if connection.recv(1, socket.MSG_PEEK) else None
        except ssl.SSLError as error:
            log.warning("TLS refused: %s", error.reason or "handshake failed")
            return None
        except OSError:
            return None
