"""The DICOM node: verification and storage of CT, for accepted senders and within limits.

A C-STORE is answered with success only when its instance is on the disk, in the spool.
"""

import logging
import shutil
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import Any, BinaryIO

import pynetdicom
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)
from pynetdicom import AE, dimse_messages, evt
from pynetdicom.sop_class import Verification

from vfx_edge import __version__
from vfx_edge.errors import OutputError
from vfx_edge.inputs.facts import printable
from vfx_edge.inputs.headers import DECODABLE, UNCOMPRESSED
from vfx_edge.service.reasons import log_bug, reason
from vfx_edge.service.receive.instance_head import Unreadable, read_head
from vfx_edge.service.receive.limits import BoundedReader, BoundedServer, ConnectionLimits
from vfx_edge.service.settings import ServiceUnusable, Settings, SettingsInvalid, Tls
from vfx_edge.service.store.identifiers import is_uid, uid_to_name
from vfx_edge.service.store.queue import OperationalError
from vfx_edge.service.store.spool import Spool

log = logging.getLogger(__name__)

STORED = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
SYNTAXES = sorted(UNCOMPRESSED | DECODABLE)

# Status of a C-STORE response: DICOM PS3.4 table B.2-1.
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

# Priority of a C-STORE request: DICOM PS3.7 table 9.1-1.
HIGH = 1

CONNECTIONS_EACH = 4
"""Connections that one address may have open for each association that it may have."""

# Result, source and reason of an A-ASSOCIATE-RJ: DICOM PS3.8 table 9-21.
LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)


class Listener:
    """The running node. `complete(key)` is called when the associations of a study were released;
    None: the quiet time completes it. `count(event, reason)`: what came, what was refused."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        complete: Callable[[str], object] | None = None,
        count: Callable[[str, str], None] = lambda event, reason: None,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._settings = settings
        self._limits = limits or connection_limits(settings)
        self._spool = spool
        self._complete = complete
        self._count = count
        self._server: Any = None
        self.on_failure: Callable[[BaseException], None] | None = None
        """Called where a bug ends the acceptance of connections."""
        self._lock = threading.Lock()
        self._open: list[Any] = []
        """The associations that were admitted, at least those that still run."""
        self._brought: dict[int, dict[str, bool]] = {}
        """Open association -> study -> whether all its instances were stored."""

    @property
    def port(self) -> int:
        """The port that was opened, where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Open the node, in threads of its own. ServiceUnusable."""
        settings = self._settings
        _configure_pynetdicom(self._spool.root / "part")
        context = tls_context(settings.tls) if settings.tls else None
        where = f"{settings.host}:{settings.port}"
        make = partial(
            BoundedServer,
            limits=self._limits,
            refused=partial(self._count, "refused"),
            has_room=self._spool.has_room,
        )
        try:
            self._server = self._entity().make_server(
                (settings.host, settings.port),
                ssl_context=context,
                evt_handlers=self._handlers(),
                server_class=make,
            )
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ServiceUnusable(
                f"No DICOM node can be opened at {where}: {why}; choose another --host or --port, "
                "or end the program that holds it."
            ) from None
        threading.Thread(target=self._serve, name="listener", daemon=True).start()
        log.info("DICOM node %s listens at %s:%d", settings.ae_title, settings.host, self.port)

    def _serve(self) -> None:
        try:
            self._server.serve_forever()
        except BaseException as error:  # noqa: BLE001  half a service must end
            log_bug("a bug ended the DICOM node", error)
            if self.on_failure is not None:
                self.on_failure(error)

    def stop(self) -> None:
        """Accept no new connections; abort open associations, so that their senders try again."""
        if self._server is None:
            return
        self._server.shutdown()
        for association in self._server.active_associations:
            association.abort(block=False)

    def _entity(self) -> AE:
        settings = self._settings
        try:
            entity = AE(settings.ae_title)
            entity.require_calling_aet = list(settings.callers)
        except ValueError as error:
            raise SettingsInvalid("the settings", f"ae_title, callers: {error}") from None
        entity.implementation_version_name = f"VFX_EDGE_{__version__}"[:16]
        entity.require_called_aet = True
        entity.maximum_pdu_size = settings.max_pdu_bytes
        # pynetdicom counts connections without an association, too; `_on_requested` limits those.
        entity.maximum_associations = self._limits.connections
        entity.acse_timeout = self._limits.handshake_s
        entity.network_timeout = settings.idle_timeout_s
        entity.dimse_timeout = settings.idle_timeout_s
        entity.add_supported_context(Verification)
        for stored in STORED:
            entity.add_supported_context(stored, SYNTAXES)
        return entity

    def _handlers(self) -> list[Any]:
        return [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_cut_off),
            (evt.EVT_CONN_CLOSE, self._on_cut_off),
        ]

    def _on_requested(self, event: Any) -> None:
        asked = event.assoc.requestor.primitive.presentation_context_definition_list
        only_echo = all(context.abstract_syntax == Verification for context in asked)
        if not only_echo and not self._spool.has_room():
            log.warning("association refused: no room on the disk; see min_free_mib")
            self._reject(event, "disk")
            return
        if reason := self._admit(event.assoc):
            log.warning("association refused: too many are open (%s)", reason)
            self._reject(event, reason)

    def _admit(self, association: Any) -> str:
        """Count it among those that are open; where that would be too many, in all or from its
        address, why not."""
        settings, address = self._settings, association.requestor.address
        with self._lock:
            self._open = [one for one in self._open if one.is_alive()]
            from_there = sum(one.requestor.address == address for one in self._open)
            if len(self._open) >= settings.max_associations:
                return "associations"
            if from_there >= settings.max_associations_per_address:
                return "associations_of_address"
            self._open.append(association)
        return ""

    def _reject(self, event: Any, reason: str) -> None:
        """Reject an association for now: the sender is to try again."""
        self._count("refused", reason)
        event.assoc.acse.send_reject(*LOCAL_LIMIT_EXCEEDED)
        event.assoc.is_rejected = True
        event.assoc.kill()

    def _on_rejected(self, event: Any) -> None:
        asked = event.assoc.requestor.primitive
        log.warning(
            "association refused: caller %r asked for %r; see --caller and --ae-title",
            printable(asked.calling_ae_title),
            printable(asked.called_ae_title),
        )
        self._count("refused", "ae_title")

    def _on_echo(self, event: Any) -> int:
        _reader(event.assoc).message_ended()
        self._count("echo", "")
        return SUCCESS

    def _on_store(self, event: Any) -> int:
        _reader(event.assoc).message_ended()
        file = event.dataset_path
        try:
            status = self._store(event, file)
        finally:
            file.unlink(missing_ok=True)
        return status

    def _store(self, event: Any, file: Path) -> int:
        """Store one instance in the spool; the status for its sender."""
        try:
            head = read_head(file)
        except Unreadable:
            return self._refuse("damaged", CANNOT_UNDERSTAND, "its data set can't be read")
        study, instance = head.study, head.instance
        if not (is_uid(study) and is_uid(instance)):
            return self._refuse("uid", CANNOT_UNDERSTAND, "one of its UIDs is invalid")
        asked = event.request
        if (instance, head.sop_class) != (asked.AffectedSOPInstanceUID, asked.AffectedSOPClassUID):
            return self._refuse("mismatch", DATA_SET_DOES_NOT_MATCH, "it is not what was announced")
        self._mark_unfinished(event, study)
        try:
            with file.open("rb") as received:
                self._spool.store(study, instance, partial(_copy_without, head.stray, received))
        except (OutputError, OSError) as error:
            self._note(event, study, stored=False)
            return self._refuse("disk", OUT_OF_RESOURCES, reason(error))
        if self._is_urgent(event):
            self._spool.mark_urgent(study)
        self._note(event, study, stored=True)
        self._count("instance", "")
        return SUCCESS

    def _mark_unfinished(self, event: Any, study: str) -> None:
        """Before its first image: after a kill, more of the study is to come."""
        with self._lock:
            begun = uid_to_name(study) in self._brought.get(id(event.assoc), {})
        if not begun:
            self._spool.mark_cut_off(uid_to_name(study), cut_off=True)

    def _note(self, event: Any, study: str, *, stored: bool) -> None:
        with self._lock:
            mine = self._brought.setdefault(id(event.assoc), {})
            mine[uid_to_name(study)] = stored and mine.get(uid_to_name(study), True)

    def _is_urgent(self, event: Any) -> bool:
        caller = event.assoc.requestor.ae_title.strip()
        return event.request.Priority == HIGH or caller in self._settings.urgent_callers

    def _refuse(self, reason: str, status: int, why: str) -> int:
        log.warning("an instance was refused (status %04X): %s", status, why)
        self._count("refused", reason)
        return status

    def _on_released(self, event: Any) -> None:
        """A study is complete when none of the associations that bring it is open."""
        with self._lock:
            mine = self._brought.pop(id(event.assoc), {})
            whole = {study for study, stored in mine.items() if stored}
            whole -= set().union(*self._brought.values())
        for study in mine:
            self._spool.mark_cut_off(study, cut_off=study not in whole)
        if self._complete is None:
            return
        for study in whole:
            try:
                self._complete(study)
            except (OutputError, OSError, OperationalError) as error:
                why = reason(error)
                log.warning("a study waits for the quiet time, its completion failed: %s", why)

    def _on_cut_off(self, event: Any) -> None:
        """The sender will try again: what came so far waits for that."""
        with self._lock:
            mine = self._brought.pop(id(event.assoc), {})
        if mine:  # their marks stay
            log.warning("an association was cut off: %d studies wait for their rest", len(mine))
        half = getattr(event.assoc.dimse.message, "_data_set_file", None)
        if half is not None:
            half.close()
            Path(half.name).unlink(missing_ok=True)


def connection_limits(settings: Settings) -> ConnectionLimits:
    """The limits of one connection. SettingsInvalid."""
    try:
        networks = tuple(ip_network(address, strict=False) for address in settings.addresses)
    except ValueError as error:
        raise SettingsInvalid("the settings", f"addresses: {error}") from None
    return ConnectionLimits(
        networks,
        # Senders that count the header into the size are common, twice the size is none of them.
        pdu_bytes=max(2 * settings.max_pdu_bytes, ConnectionLimits(()).pdu_bytes),
        instance_bytes=settings.max_instance_mib * 2**20,
        connections_per_address=CONNECTIONS_EACH * settings.max_associations_per_address,
    )


def tls_context(tls: Tls) -> ssl.SSLContext:
    """For the server: at least TLS 1.2, and only peers with a certificate signed by `ca` (DICOM
    PS3.15 B.12, BCP 195). ServiceUnusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        # Without a password here, OpenSSL would ask for one and wait.
        context.load_cert_chain(tls.certificate, tls.key, password="")
        context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ServiceUnusable(
            f"TLS can't be used with {tls.certificate.name}, {tls.key.name} and {tls.ca.name}: "
            f"{why}; give PEM files that this user may read, the key without a password."
        ) from None
    return context


def _configure_pynetdicom(receiving: Path) -> None:
    """Write instances to the disk piece by piece, and nothing of them to logs.

    To the spool's file system: the system's temporary folder may be in memory or on another disk.
    Its timers go by a clock that nobody sets: one set forward would end every association.
    """
    pynetdicom.timer.time = SimpleNamespace(time=time.monotonic)
    pynetdicom._config.STORE_RECV_CHUNKED_DATASET = True
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    dimse_messages.NamedTemporaryFile = partial(NamedTemporaryFile, dir=receiving)


def _reader(association: Any) -> BoundedReader:
    reader: BoundedReader = association.dul.socket.recv
    return reader


def _copy_without(stray: range, file: BinaryIO, target: BinaryIO) -> None:
    """The instance as it came, but for the stray elements."""
    target.write(file.read(stray.start))
    file.seek(stray.stop)
    shutil.copyfileobj(file, target)
