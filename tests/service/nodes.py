"""A DICOM node of ours in this process, and the programs of others that talk to it."""

import io
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from tests.waiting import HANG_S, eventually
from vfx_edge.service.receive.listener import Listener, connection_limits
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.spool import Spool

AE_TITLE = "VFX-EDGE"


@dataclass
class Node:
    """A running listener and what it has done."""

    spool: Spool
    port: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    completed: list[str] = field(default_factory=list)

    def received(self) -> int:
        """Instances that lie in the spool, of whatever study."""
        return sum(one.instances for one in self.spool.incoming())

    def half_received(self) -> list[Path]:
        """What a broken transfer left behind."""
        return list((self.spool.root / "part").iterdir())


@contextmanager
def listening(
    folder: Path, limits: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Node]:
    """A node on a free port of this machine, patient but for `limits`."""
    patient = {"min_free_mib": 1, "idle_timeout_s": HANG_S}
    config = Settings(spool=folder / "spool", port=0, **{**patient, **settings})
    spool = Spool(config.spool, config.min_free_mib * 2**20)
    node = Node(spool)
    lock = threading.Lock()

    def count(event: str, reason: str) -> None:
        with lock:
            node.counts[event, reason] += 1

    complete = node.completed.append if config.complete_on == "association" else None
    limits = {"handshake_s": HANG_S, "pdu_s": HANG_S, **(limits or {})}
    bounds = replace(connection_limits(config), **limits)
    listener = Listener(config, spool, complete, count, bounds)
    listener.start()
    node.port = listener.port
    try:
        yield node
    finally:
        listener.stop()


def dcmtk(program: str, *args: object) -> subprocess.CompletedProcess[str]:
    """A program of DCMTK; the test skips without it."""
    if shutil.which(program) is None:
        pytest.skip(f"needs DCMTK's {program} on the PATH: make peers installs it")
    return subprocess.run(
        [program, *map(str, args)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=HANG_S,
        check=False,
    )


def echo(port: int, called: str = AE_TITLE, calling: str = "SCANNER", *more: object) -> bool:
    """Whether DCMTK's echoscu is answered."""
    limit = int(HANG_S)
    ask = ("-to", limit, "-ta", limit, "-td", limit, "-aet", calling, "-aec", called)
    return dcmtk("echoscu", *ask, *more, "localhost", port).returncode == 0


def store(
    port: int, folder: Path, *more: object, called: str = AE_TITLE
) -> subprocess.CompletedProcess[str]:
    """DCMTK's storescu sends a folder."""
    ask = ("-v", "-aec", called, "-aet", "SCANNER", *more)
    return dcmtk("storescu", *ask, "+sd", "+r", "localhost", port, folder)


def connected(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A bare connection. `source`: from this address of this machine."""
    return socket.create_connection(("127.0.0.1", port), HANG_S, (source, 0))


def is_ended(connection: socket.socket, seconds: float = HANG_S) -> bool:
    """Whether the other side ends the connection, whatever it says before."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def certificate(folder: Path, name: str, signer: str | None = None) -> tuple[Path, Path]:
    """A key and a certificate for it, by openssl: its own CA, or signed by `signer`."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl on the PATH")
    key, signed = folder / f"{name}.key", folder / f"{name}.pem"
    ask = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    ask += ["-subj", f"/CN={name}", "-keyout", str(key), "-out", str(signed)]
    if signer:
        ask += ["-CA", str(folder / f"{signer}.pem"), "-CAkey", str(folder / f"{signer}.key")]
        ask += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        ask += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(ask, check=True, capture_output=True)
    return key, signed


def store_status(association: Association, body: bytes, instance: str = "1.2.3") -> int:
    """Of a C-STORE of a CT whose data set is these bytes."""
    request = C_STORE()
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, instance
    request.MessageID, request.Priority, request.DataSet = 1, 0, io.BytesIO(body)
    association._reactor_checkpoint.clear()  # as its own `send_c_store`: the answer is for us
    assert eventually(lambda: association._is_paused)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert isinstance(answer, C_STORE)
    assert answer.Status is not None
    return int(answer.Status)
