"""Limits of connections to the DICOM node: their number, bytes and time.

pynetdicom trusts the length that a PDU states, waits for its rest without a limit, and does the
TLS handshake in the loop that accepts connections, where one silent client would stop all others.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from pynetdicom import evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

log = logging.getLogger(__name__)

ROOM_CHECK_BYTES = 8 * 2**20
"""After so many bytes of an instance the room on the disk is checked again."""
MOST_WAITING = 4
"""Messages of one association that wait for their answer. Senders send one after another."""
WAIT_S = 0.005
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class ConnectionLimits:
    """`networks`: from where connections are accepted, () for anywhere. `pdu_bytes`: the longest
    PDU; `message_bytes`: of a message that is held in memory. `handshake_s`: from connecting to the
    association request; `pdu_s`: for one whole PDU."""

    networks: tuple[Network, ...]
    connections: int = 256
    connections_per_address: int = 32
    pdu_bytes: int = 256 * 1024
    instance_bytes: int = 2 * 2**30
    message_bytes: int = 64 * 1024
    handshake_s: float = 10.0
    pdu_s: float = 30.0


class LimitExceeded(OSError):
    """A peer exceeds a limit: its connection is closed. pynetdicom handles an OSError while it
    reads."""


class BoundedReader:
    """Replaces AssociationSocket.recv for one connection."""

    def __init__(
        self, connection: socket.socket, limits: ConnectionLimits, has_room: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._has_room = has_room
        self._message_bytes = 0
        self._since_check = 0

    def message_ended(self) -> None:
        """A DIMSE message is complete: its bytes no longer count."""
        self._message_bytes = 0

    def __call__(self, count: int) -> bytearray:
        """`count` bytes, fewer where the peer closed; LimitExceeded, or OSError as of a socket."""
        limits = self._limits
        self._message_bytes += count
        if count > limits.pdu_bytes or self._message_bytes > limits.instance_bytes:
            self._close()
            raise LimitExceeded(f"{count} bytes announced, {self._message_bytes} in this message")
        self._since_check += count
        if self._since_check > ROOM_CHECK_BYTES:
            self._since_check = 0
            if not self._has_room():
                log.warning("a connection was closed: no room on the disk; see min_free_mib")
                self._close()
                raise LimitExceeded("no room on the disk")
        data = bytearray(count)
        view = memoryview(data)
        deadline = time.monotonic() + limits.pdu_s
        got = 0
        while got < count:
            # Each piece may come in time, but never the end: the deadline is the PDU's.
            if time.monotonic() > deadline:
                self._close()
                raise LimitExceeded(f"{got} of {count} bytes in {limits.pdu_s:g} s")
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
            log.debug("the peer had closed already")


class _Handler(RequestHandler):  # type: ignore[misc]
    server: "BoundedServer"

    def _create_association(self) -> Any:
        association = super()._create_association()
        provider = association.dul
        server = self.server
        provider.socket.recv = BoundedReader(self.request, server.limits, server.has_room)
        provider.run = partial(_run_isolated, association, provider.run)
        dimse = association.dimse
        bounded = partial(_receive_bounded, association, server.limits, dimse.receive_primitive)
        dimse.receive_primitive = bounded
        return association


def _receive_bounded(
    association: Any, limits: ConnectionLimits, receive: Callable[[Any], None], primitive: Any
) -> None:
    """Give a part of a message to pynetdicom. It keeps what is no image in memory, and any number
    of messages that came before the first was answered. LimitExceeded."""
    message = association.dimse.message
    if message is not None:
        held = message.encoded_command_set.tell()
        if message._data_set_file is None:
            held += message.data_set.tell()
        if held > limits.message_bytes:
            raise LimitExceeded(f"{held} bytes of a message that is no image")
    while association.dimse.msg_queue.qsize() >= MOST_WAITING:
        if association._kill:
            return  # it is being ended, and nobody will answer
        time.sleep(WAIT_S)  # the sender waits, too: nothing more is read
    receive(primitive)


def _run_isolated(association: Any, run: Callable[[], None]) -> None:
    """Run the thread that reads one connection: an error in it ends this connection alone."""
    try:
        run()
    except Exception as error:  # noqa: BLE001  malformed requests make pynetdicom raise anything
        log.warning("a connection was closed: malformed (%s)", type(error).__name__)
        association._server.refused("malformed")
        association.dul.socket._shutdown_socket()
        association._kill = True  # `kill` would wait for this very thread
        association.dul.to_user_queue.put(None)
        evt.trigger(association, evt.EVT_CONN_CLOSE, {"address": None})


def _end_half(associations: list[Any]) -> bool:
    """Whether there was one to end."""
    for one in associations[:1]:
        one._kill = True  # it no longer counts
        with suppress(OSError, AttributeError):  # it was closed already
            one.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        return True
    return False


class BoundedServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections within the limits; `refused(reason)` counts the others."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        *args: Any,
        limits: ConnectionLimits,
        refused: Callable[[str], None],
        has_room: Callable[[], bool],
        **more: Any,
    ) -> None:
        self.limits = limits
        self.has_room = has_room
        self.refused = refused
        self._silent: dict[socket.socket, tuple[str, socket.socket]] = {}
        """Connections that have sent nothing yet, the oldest first: their address, and what ends
        them, which is another object where TLS is used."""
        self._counting = threading.Lock()
        super().__init__(*args, **more, request_handler=_Handler)
        self.ae._servers.append(self)  # `shutdown` removes it again

    def get_request(self) -> tuple[socket.socket, Any]:
        """The plain connection: the TLS handshake is done in its own thread."""
        connection, address = self.socket.accept()
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this connection is accepted."""
        if not self._allowed(client_address[0]):
            log.warning("connection from %s refused: not an allowed address", client_address[0])
            self.refused("address")
            return False
        if not self._has_place(client_address[0]):
            log.warning("connection from %s refused: too many are open", client_address[0])
            self.refused("connections")
            return False
        with self._counting:
            self._silent[request] = client_address[0], request
        return True

    def _has_place(self, address: str) -> bool:
        """Whether one more may come from there. The oldest connection that has said nothing makes
        place for it, or else one whose request is not whole: whoever only holds connections open
        keeps nobody out."""
        limits = self.limits
        active = [one for one in self.active_associations if not one._kill]
        associated = [one.requestor.address for one in active]
        halves = [one for one in active if one.requestor.primitive is None]
        with self._counting:
            silent = [one for one, (where, _) in self._silent.items() if where == address]
            mine = len(silent) + associated.count(address)
            everyone = len(self._silent) + len(associated)
            if mine >= limits.connections_per_address:
                mine_half = [one for one in halves if one.requestor.address == address]
                return self._end_first(silent) or _end_half(mine_half)
            if everyone < limits.connections:
                return True
            return self._end_first(list(self._silent)) or _end_half(halves)

    def _end_first(self, silent: list[socket.socket]) -> bool:
        if not silent:
            return False
        _, ends = self._silent.pop(silent[0])
        with suppress(OSError):  # it was closed already
            socket.socket.shutdown(ends, socket.SHUT_RDWR)
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._counting:
            self._silent.pop(request, None)
        super().shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: wait for its first bytes, then associate."""
        ready = self._wait_for_first_bytes(request)
        with self._counting:
            self._silent.pop(request, None)
        if ready is None:
            log.info("connection from %s closed: it sent nothing", client_address[0])
            self.refused("silent")
            self.shutdown_request(request)
            return
        ready.settimeout(self.limits.pdu_s)
        super().finish_request(ready, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line in place of a traceback: what a peer sends is no bug of ours."""
        log.warning("connection from %s failed", client_address[0], exc_info=log.isEnabledFor(10))
        self.refused("broken")

    def _allowed(self, address: str) -> bool:
        if not self.limits.networks:
            return True
        peer = ip_address(address.partition("%")[0])
        mapped = getattr(peer, "ipv4_mapped", None)
        return any((mapped or peer) in network for network in self.limits.networks)

    def _wait_for_first_bytes(self, connection: socket.socket) -> socket.socket | None:
        """The connection, TLS included, once the peer has sent something; None where it does not.

        Meanwhile the thread sleeps; an association would poll a thousand times a second.
        """
        connection.settimeout(self.limits.handshake_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.ssl_context is not None:
                return self._shake_hands(self.ssl_context, connection)
            return connection if connection.recv(1, socket.MSG_PEEK) else None
        except ssl.SSLError as error:
            log.warning("TLS refused: %s", error.reason or "handshake failed")
            return None
        except OSError:
            return None

    def _shake_hands(self, context: ssl.SSLContext, connection: socket.socket) -> socket.socket:
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._counting:
            if connection in self._silent:
                self._silent[connection] = self._silent[connection][0], secured
        try:
            secured.do_handshake()
        except OSError:  # ssl.SSLError is one
            secured.close()
            raise
        return secured
