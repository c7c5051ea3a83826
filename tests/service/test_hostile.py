"""A network that means ill, or is broken: everything is refused or bounded, the node lives on."""

import io
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from tests.contract.dicom_files import write_series
from tests.service.nodes import AE_TITLE, connected, echo, is_ended, listening
from tests.waiting import HANG_S, eventually, lasts
from vfx_edge.service.receive.limits import MOST_WAITING

# pynetdicom collects garbage by itself here: a socket that an earlier test's library dropped would
# be told as a fault of these.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)

MiB = 2**20


def association_request() -> bytes:
    """The bytes of a good A-ASSOCIATE-RQ for CT."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "SCANNER", AE_TITLE
    length = MaximumLengthNotification()
    length.maximum_length_received = 16384
    named = ImplementationClassUIDNotification()
    named.implementation_class_uid = pydicom.uid.PYDICOM_IMPLEMENTATION_UID
    asked.user_information = [length, named]
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


ACCEPTED = 2
REJECTED_FOR_NOW = (3, 2, 3, 2)
"""An A-ASSOCIATE-RJ: rejected transient, by the provider's presentation part, local limit."""


def asked(connection: socket.socket) -> tuple[int, ...]:
    """Ask for an association; the kind of the answer, and of a rejection result, source, reason."""
    connection.sendall(association_request())
    kind, _, length = struct.unpack(">BBL", connection.recv(6, socket.MSG_WAITALL))
    said = connection.recv(length, socket.MSG_WAITALL)
    return (kind,) if kind == ACCEPTED else (kind, *said[1:])


def associated(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A bare connection with an accepted association."""
    connection = connected(port, source)
    assert asked(connection) == (ACCEPTED,)
    return connection


GARBAGE = {
    "noise": random.Random(1).randbytes(4096),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "unknown type": b"\x42\x00\x00\x00\x00\x04abcd",
    "4 GiB announced": b"\x01\x00\xff\xff\xff\xff" + bytes(64),
    "empty request": b"\x01\x00\x00\x00\x00\x00",
    "cut items": association_request()[:80] + bytes(400),
    "data before association": b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
    "accept nobody asked for": b"\x02\x00" + association_request()[2:],
    "release": b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_the_connection_and_nothing_else(what: str, tmp_path: Path) -> None:
    with listening(tmp_path, {"handshake_s": 1.0, "pdu_s": 1.0}) as node:
        with connected(node.port) as connection:
            connection.sendall(GARBAGE[what])
            assert is_ended(connection)
        assert eventually(lambda: echo(node.port))


def test_damaged_requests_never_stop_the_node(tmp_path: Path) -> None:
    """One good request, broken in 150 places by a fixed seed."""
    seed, good = random.Random(20), association_request()
    with listening(tmp_path, {"handshake_s": 2.0}) as node:
        for _ in range(150):
            bad = bytearray(good)
            for _ in range(seed.randint(1, 8)):
                bad[seed.randrange(len(bad))] = seed.randrange(256)
            if seed.random() < 0.3:
                del bad[seed.randrange(len(bad)) :]
            with connected(node.port) as connection:
                connection.sendall(bad)
        assert eventually(lambda: echo(node.port))
        assert eventually(lambda: threading.active_count() < 40)


def test_an_oversized_pdu_costs_no_memory(tmp_path: Path) -> None:
    with listening(tmp_path, max_pdu_bytes=65536) as node, associated(node.port) as connection:
        before = psutil.Process().memory_info().rss
        connection.sendall(struct.pack(">BBL", 4, 0, 3 * 2**30))
        assert _cut_off(connection, [bytes(MiB)] * 200)
        assert psutil.Process().memory_info().rss - before < 40 * MiB
        assert echo(node.port)


def test_an_instance_without_end_is_cut_off_and_leaves_nothing(tmp_path: Path) -> None:
    with listening(tmp_path, max_instance_mib=2) as node:
        with associated(node.port) as connection:
            _send_store_command(connection)
            fragment = b"\x01\x00" + bytes(32768)
            pdu = struct.pack(">BBLL", 4, 0, len(fragment) + 4, len(fragment)) + fragment
            assert _cut_off(connection, [pdu] * 2000)
        assert echo(node.port)
        assert eventually(lambda: node.half_received() == [])
        assert node.received() == 0


def test_a_sender_that_dies_in_mid_instance_leaves_nothing(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        with associated(node.port) as connection:
            _send_store_command(connection)
            connection.sendall(struct.pack(">BBLL", 4, 0, 1000, 996) + b"\x01\x00" + bytes(500))
            assert eventually(node.half_received)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert eventually(lambda: node.half_received() == [])
        assert node.received() == 0
        assert echo(node.port)


def _cut_off(connection: socket.socket, sent: Iterable[bytes], pause_s: float = 0) -> bool:
    """Whether the other side closed while `sent` was being sent."""
    try:
        for piece in sent:
            connection.sendall(piece)
            time.sleep(pause_s)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def _send_store_command(connection: socket.socket, instance: str = "1.2.3") -> None:
    connection.sendall(_store_command(instance))


def _store_command(instance: str = "1.2.3", command: int = 1, data_set: int = 0) -> bytes:
    """The command set of a C-STORE-RQ, or of another kind; its data set is to follow."""
    made = Dataset()
    made.AffectedSOPClassUID, made.AffectedSOPInstanceUID = CTImageStorage, instance
    made.CommandField, made.MessageID = command, 1
    made.Priority, made.CommandDataSetType = 0, data_set
    encoded = encode(made, True, True)
    assert encoded is not None
    body: bytes = b"\x01\x03" + encoded
    return struct.pack(">BBLL", 4, 0, len(body) + 4, len(body)) + body


PATHS = ["../../../../tmp/evil", "/etc/passwd", "1.2.3/../../4", "1.2..3", ".."]


@pytest.mark.parametrize("where", ["StudyInstanceUID", "SOPInstanceUID"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_path_in_a_uid_is_refused_and_writes_nowhere(where: str, tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", slices=1)
    outside = set(tmp_path.iterdir()) | {tmp_path / "spool"}
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    with listening(tmp_path) as node:
        for uid in PATHS:
            association = entity.associate("127.0.0.1", node.port, ae_title=AE_TITLE)
            ds = pydicom.dcmread(path)
            ds[where].value = uid
            answer = association.send_c_store(ds)
            assert answer.get("Status") != 0x0000
            if association.is_established:
                association.release()
        assert node.received() == 0
        assert set(tmp_path.iterdir()) == outside
        assert eventually(lambda: node.half_received() == [])
        assert echo(node.port)


def test_what_was_announced_must_come(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", slices=1)
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    with listening(tmp_path) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title=AE_TITLE)
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID = ""
        assert association.send_c_store(ds).Status == 0xC000
        association.release()
        with associated(node.port) as connection:
            _send_store_command(connection, generate_uid())
            body = b"\x01\x02" + random.Random(2).randbytes(3000)
            connection.sendall(struct.pack(">BBLL", 4, 0, len(body) + 4, len(body)) + body)
            kind, _, length = struct.unpack(">BBL", connection.recv(6, socket.MSG_WAITALL))
            assert kind == 4
            answer = decode(io.BytesIO(connection.recv(length, socket.MSG_WAITALL)[6:]), True, True)
            assert answer.Status == 0xC000
        assert node.received() == 0


def test_200_idle_connections_cost_little_and_keep_nobody_out(tmp_path: Path) -> None:
    with listening(tmp_path, {"handshake_s": HANG_S, "connections_per_address": 250}) as node:
        idle = [connected(node.port) for _ in range(200)]
        assert eventually(lambda: threading.active_count() > 200)
        assert echo(node.port)
        assert eventually(lambda: not any(map(_polls, threading.enumerate())))
        for one in idle:
            one.close()
        assert eventually(lambda: threading.active_count() < 40)
        assert eventually(lambda: node.counts["refused", "silent"] >= 190)
        assert echo(node.port)


def test_the_oldest_idle_connection_of_an_address_makes_place(tmp_path: Path) -> None:
    """Not those of others, and none on which something was said."""
    limits = {"handshake_s": HANG_S, "connections_per_address": 5, "connections": 8}
    with listening(tmp_path, limits) as node:
        said = associated(node.port)
        elsewhere = connected(node.port, "127.0.0.2")
        idle = [connected(node.port) for _ in range(4)]
        assert echo(node.port)
        assert is_ended(idle[0])
        assert not any(is_ended(one, 0.1) for one in (said, elsewhere, *idle[1:]))
        more = [associated(node.port) for _ in range(4)]
        assert all(map(is_ended, idle))
        assert not echo(node.port), "none of its five is idle"
        more.append(associated(node.port, "127.0.0.2"))
        for one in (said, elsewhere, *idle, *more):
            one.close()


def test_a_connection_with_half_a_request_makes_place(tmp_path: Path) -> None:
    with listening(tmp_path, {"pdu_s": HANG_S, "connections_per_address": 5}) as node:
        halves = [connected(node.port) for _ in range(5)]
        for one in halves:
            one.sendall(b"\x01\x00\x00\x00\x10\x00\x00\x01")
        assert eventually(lambda: sum(map(_polls, threading.enumerate())) >= 5)
        assert echo(node.port)
        for one in halves:
            one.close()


def _polls(thread: threading.Thread) -> bool:
    """Whether it asks a connection for news a thousand times a second, as associations do."""
    return isinstance(thread, Association)


def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    with listening(tmp_path, {"handshake_s": 1.0}) as node, connected(node.port) as silent:
        assert is_ended(silent)
        assert eventually(lambda: node.counts["refused", "silent"] == 1)


def test_more_associations_than_allowed_are_refused(tmp_path: Path) -> None:
    with listening(tmp_path, max_associations=4) as node:
        open_ones = [associated(node.port) for _ in range(4)]
        assert not echo(node.port)
        assert node.counts["refused", "associations"] == 1
        open_ones.pop().close()
        assert eventually(lambda: echo(node.port))
        for one in open_ones:
            one.close()


def test_one_address_leaves_associations_to_others(tmp_path: Path) -> None:
    """Even where it asks for many at the same moment."""
    with (
        listening(tmp_path, max_associations=6, max_associations_per_address=3) as node,
        ThreadPoolExecutor(12) as pool,
    ):
        many = [connected(node.port) for _ in range(12)]
        answers = Counter(pool.map(asked, many))
        assert answers == {(ACCEPTED,): 3, REJECTED_FOR_NOW: 9}
        assert node.counts["refused", "associations_of_address"] == 9
        others = [associated(node.port, "127.0.0.2") for _ in range(3)]
        third = connected(node.port, "127.0.0.3")
        assert asked(third) == REJECTED_FOR_NOW
        assert node.counts["refused", "associations"] == 1
        for one in (*many, *others, third):
            one.close()
        assert eventually(lambda: echo(node.port))


def _parts(control: int, length: int = 32768) -> bytes:
    """A P-DATA-TF with one fragment: of a command (1) or a data set (0), not the last."""
    return struct.pack(">BBLLBB", 4, 0, length + 6, length + 2, 1, control) + bytes(length)


@pytest.mark.parametrize("kind", ["command", "data set of an echo"])
def test_what_is_kept_in_memory_is_bounded(kind: str, tmp_path: Path) -> None:
    """pynetdicom keeps on the disk only the data sets of images."""
    with listening(tmp_path) as node, associated(node.port) as connection:
        before = psutil.Process().memory_info().rss
        if kind != "command":
            connection.sendall(_store_command(command=0x30))
        assert _cut_off(connection, [_parts(int(kind == "command"))] * 4000)
        assert psutil.Process().memory_info().rss - before < 40 * MiB
        assert echo(node.port)


def test_requests_are_read_as_fast_as_they_are_answered(tmp_path: Path) -> None:
    """Those of a sender that waits for no answer pile up at the sender."""
    with listening(tmp_path) as node, associated(node.port) as connection:
        mine = connection.getsockname()[1]  # earlier tests' may not have ended yet
        (ours,) = (
            one
            for one in threading.enumerate()
            if isinstance(one, Association) and one.requestor.port == mine
        )
        connection.settimeout(1)
        with suppress(OSError):  # it no longer reads
            connection.sendall(_store_command(command=0x30, data_set=0x0101) * 20_000)
        assert lasts(lambda: ours.dimse.msg_queue.qsize() <= MOST_WAITING)
        assert echo(node.port)


def test_slow_and_idle_senders_are_disconnected(tmp_path: Path) -> None:
    with listening(tmp_path, {"pdu_s": 1.5}, idle_timeout_s=2) as node:
        with associated(node.port) as idle:
            assert is_ended(idle), "an association on which nothing is said"
        with connected(node.port) as slow:
            bytes_in_time = (bytes([byte]) for byte in association_request() * 4)
            assert _cut_off(slow, bytes_in_time, pause_s=0.05), "each in time, the whole never"
        assert eventually(lambda: echo(node.port))
