"""The DICOM node, by the bytes of a connection: it must answer the next caller, whatever came."""

import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pynetdicom import AE, build_context
from pynetdicom.pdu import A_RELEASE_RQ, P_DATA_TF
from pynetdicom.sop_class import CTImageStorage, Verification

from tests.fuzz.dicom_targets import bytes_of, slices
from tests.fuzz.target import Finding, Target, Try, Work
from vfx_edge.service.receive.limits import ConnectionLimits
from vfx_edge.service.receive.listener import Listener
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.spool import Spool

CHECKED_EVERY = 50
ANSWER_S = 30.0


def _open(work: Work) -> Try:
    root = work.root / "in"
    root.mkdir(exist_ok=True)
    settings = Settings(spool=root / "spool", min_free_mib=0, port=0, idle_timeout_s=1)
    limits = ConnectionLimits((), instance_bytes=1 << 20, handshake_s=0.2, pdu_s=0.2)
    listener = Listener(settings, Spool(root / "spool"), limits=limits)
    raised: list[str] = []
    threading.excepthook = lambda given: raised.append(f"{given.exc_type}: {given.exc_value}")
    listener.on_failure = lambda error: raised.append(f"the node ended: {error}")
    listener.start()
    tries = 0

    def read(data: bytes) -> None:
        nonlocal tries
        tries += 1
        _send(listener.port, data)
        if tries % CHECKED_EVERY == 0 and not _answers(listener.port):
            raise Finding("the node answers nobody any more")
        if raised:
            raise Finding(raised.pop())

    return read


def _send(port: int, data: bytes) -> None:
    """The bytes, then the end; answers are read until the node closes, or is still."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), ANSWER_S) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(0.05)
        while peer.recv(4096):
            pass


def _answers(port: int) -> bool:
    entity = AE("FUZZ")
    entity.acse_timeout = entity.dimse_timeout = ANSWER_S
    association = entity.associate(
        "127.0.0.1", port, [build_context(Verification)], ae_title="VFX-EDGE"
    )
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status) and status.Status == 0


def _request() -> bytes:
    """An association request for verification and CT, as a sender's library makes it."""
    user = b"\x51\0\0\x04" + struct.pack(">I", 16384) + b"\x52\0\0\x051.2.3"
    syntax = b"\x40\0\0\x111.2.840.10008.1.2"
    contexts = b""
    for number, uid in ((1, str(Verification)), (3, str(CTImageStorage))):
        abstract = b"\x30\0" + struct.pack(">H", len(uid)) + uid.encode()
        inside = bytes([number, 0, 0, 0]) + abstract + syntax
        contexts += b"\x20\0" + struct.pack(">H", len(inside)) + inside
    name = b"1.2.840.10008.3.1.1.1"
    body = (
        b"\0\1\0\0" + b"VFX-EDGE".ljust(16) + b"FUZZ".ljust(16) + bytes(32)
        + b"\x10\0" + struct.pack(">H", len(name)) + name + contexts
        + b"\x50\0" + struct.pack(">H", len(user)) + user
    )  # fmt: skip
    return b"\1\0" + struct.pack(">I", len(body)) + body


def _data(context: int, control: int, content: bytes) -> bytes:
    pdu = P_DATA_TF()
    pdu.presentation_data_value_items = []
    body = struct.pack(">IBB", len(content) + 2, context, control) + content
    return b"\4\0" + struct.pack(">I", len(body)) + body


def _command(**values: Any) -> bytes:
    """A command set in implicit little endian."""
    tags = {
        "AffectedSOPClassUID": 0x0002,
        "CommandField": 0x0100,
        "MessageID": 0x0110,
        "Priority": 0x0700,
        "CommandDataSetType": 0x0800,
        "AffectedSOPInstanceUID": 0x1000,
    }
    body = b""
    for name, value in sorted(values.items(), key=lambda pair: tags[pair[0]]):
        raw = struct.pack("<H", value) if isinstance(value, int) else value.encode()
        raw += b"\0" * (len(raw) % 2)
        body += struct.pack("<HHI", 0, tags[name], len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _seeds() -> Sequence[bytes]:
    echo = _command(AffectedSOPClassUID=str(Verification), CommandField=0x30, MessageID=1,
                    CommandDataSetType=0x0101)  # fmt: skip
    one = slices()[0]
    store = _command(
        AffectedSOPClassUID=str(CTImageStorage),
        CommandField=1,
        MessageID=2,
        Priority=0,
        CommandDataSetType=1,
        AffectedSOPInstanceUID=one.SOPInstanceUID,
    )
    content = bytes_of(one)
    content = content[144 + int.from_bytes(content[140:144], "little") :]
    release = A_RELEASE_RQ().encode()
    return [
        _request() + _data(1, 3, echo) + release,
        _request() + _data(3, 3, store) + _data(3, 2, content) + release,
        _request(),
    ]


TARGETS = (Target("association", _open, _seeds, longest=4000),)
