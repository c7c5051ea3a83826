"""A network that means ill, or is broken: everything is refused or bounded, the node lives on."""

import io
import random
import socket
import struct
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
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
from tests.waiting import HANG_S, eventually

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


def associated(port: int) -> socket.socket:
    """A bare connection with an accepted association."""
    connection = connected(port)
    connection.sendall(association_request())
    kind, _, length = struct.unpack(">BBL", connection.recv(6, socket.MSG_WAITALL))
    connection.recv(length, socket.MSG_WAITALL)
    assert kind == 2, "not accepted"
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
    """The command set of a C-STORE-RQ; its data set is to follow."""

    command = Dataset()
    command.AffectedSOPClassUID, command.AffectedSOPInstanceUID = CTImageStorage, instance
    command.CommandField, command.MessageID = 1, 1
    command.Priority, command.CommandDataSetType = 0, 0
    body = b"\x01\x03" + encode(command, True, True)
    connection.sendall(struct.pack(">BBLL", 4, 0, len(body) + 4, len(body)) + body)


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
    with listening(tmp_path, {"handshake_s": HANG_S}) as node:
        idle = [connected(node.port) for _ in range(200)]
        assert eventually(lambda: threading.active_count() > 200)
        assert echo(node.port)
        assert eventually(lambda: not any(map(_polls, threading.enumerate())))
        for one in idle:
            one.close()
        assert eventually(lambda: threading.active_count() < 40)
        assert eventually(lambda: node.counts["refused", "silent"] >= 190)
        assert echo(node.port)


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


def test_slow_and_idle_senders_are_disconnected(tmp_path: Path) -> None:
    with listening(tmp_path, {"pdu_s": 1.5}, idle_timeout_s=2) as node:
        with associated(node.port) as idle:
            assert is_ended(idle), "an association on which nothing is said"
        with connected(node.port) as slow:
            bytes_in_time = (bytes([byte]) for byte in association_request() * 4)
            assert _cut_off(slow, bytes_in_time, pause_s=0.05), "each in time, the whole never"
        assert eventually(lambda: echo(node.port))
