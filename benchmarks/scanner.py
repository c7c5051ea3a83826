"""A scanner, the service and an archive: what is between the two ends of the way that is timed."""

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import program
from vfx_edge.bench.processes import ProcessFailed

OUTPUTS = "json,html,sr,seg,sc"
PATIENCE_S = 900.0
_POLL_S = 0.02
SCANNER, NODE, ARCHIVE = "SCANNER", "VFX-EDGE", "ARCHIVE"


@dataclass
class Archive:
    """When a study's structured report came, by study: it is sent after all other results."""

    port: int = 0
    came_at_s: dict[str, float] = field(default_factory=dict)


@contextmanager
def archiving() -> Iterator[Archive]:
    from pynetdicom import AE, StoragePresentationContexts, evt

    archive = Archive()

    def store(event: Any) -> int:
        found = event.dataset
        if found.Modality == "SR":
            archive.came_at_s[str(found.StudyInstanceUID)] = time.perf_counter()
        return 0

    node = AE(ARCHIVE)
    node.supported_contexts = StoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, store)]
    server: Any = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()


@dataclass(frozen=True)
class Running:
    """A service: where it listens, and its process."""

    port: int
    pid: int


@contextmanager
def serving(archive: Archive, *options_given: str) -> Iterator[Running]:
    """A running `vfx-edge listen`, with more options where they are given."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as spool:
        words = ["vfx_edge", "listen", "--port", str(port), "--spool", spool]
        words += ["--complete-on", "association", "--outputs", OUTPUTS]
        words += ["--send", f"{ARCHIVE}@127.0.0.1:{archive.port}"]
        with program([*words, *options_given]) as process:
            yield Running(port, process.pid)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def sent_and_stored(path: Path, port: int, archive: Archive) -> float:
    """Seconds from the release of the association that brought a new study until its results were
    stored."""
    study = _send(path, port)
    released_s = time.perf_counter()
    while study not in archive.came_at_s:
        if time.perf_counter() - released_s > PATIENCE_S:
            raise ProcessFailed("vfx-edge listen", "no result came")
        time.sleep(_POLL_S)
    return archive.came_at_s[study] - released_s


def _send(path: Path, port: int) -> str:
    """Send the series as a study that was never seen before; its StudyInstanceUID."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    study, series = generate_uid(), generate_uid()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    headers = (dcmread(file, stop_before_pixels=True) for file in files)
    syntaxes = sorted({str(header.file_meta.TransferSyntaxUID) for header in headers})
    association = _associated(port, syntaxes)
    for file in files:
        image = dcmread(file)
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        association.send_c_store(image)
    association.release()
    return str(study)


def _associated(port: int, syntaxes: list[str]) -> Any:
    """An association with the service, which may still be opening its networks."""
    from pydicom.uid import CTImageStorage
    from pynetdicom import AE

    scanner = AE(SCANNER)
    scanner.dimse_timeout = scanner.network_timeout = PATIENCE_S  # a service that has much to do
    for syntax in syntaxes:
        scanner.add_requested_context(CTImageStorage, syntax)
    until_s = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < until_s:
        association = scanner.associate("127.0.0.1", port, ae_title=NODE)
        if association.is_established:
            return association
        time.sleep(0.2)
    raise ProcessFailed("vfx-edge listen", "it takes no association")
