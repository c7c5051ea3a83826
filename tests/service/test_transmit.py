"""Transmissions, to DCMTK's storescp and to a DICOMweb server; and why one failed."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from tests.batch.lying_archive import Reply, archive
from tests.service.nodes import certificate
from tests.service.processes import free_port, storescp
from tests.service.studies import write_study
from vfx_edge.service.send.transmit import NotAccepted, NotSent, transmit
from vfx_edge.service.settings import Destination, Tls

# pynetdicom leaves a socket that found nobody to the garbage collector, which comes in any test.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <s(ocket|sl)")


@pytest.fixture(autouse=True)
def _no_sockets_left() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    write_study(tmp_path / "made", slices=3)
    return sorted((tmp_path / "made").iterdir())


def test_all_objects_arrive_and_twice_is_once(tmp_path: Path, files: list[Path]) -> None:
    with storescp(tmp_path / "archive") as archive:
        to = Destination(**archive.destination())
        for _ in range(2):
            transmit(to, files, "VFX-EDGE")
        assert [sum(runs.values()) for runs in archive.sets().values()] == [3]


def test_an_archive_that_knows_only_the_default_encoding_gets_all(
    tmp_path: Path, files: list[Path]
) -> None:
    """DICOM PS3.5, 10.1: it is the one that every node must know."""
    picture = pydicom.dcmread(files[0])
    picture.SOPClassUID = picture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    picture.add_new("PixelData", "OB", bytes(range(256)) * 10)
    picture.save_as(files[0])
    with storescp(tmp_path / "archive", None, "+xi") as archive:
        transmit(Destination(**archive.destination()), files, "VFX-EDGE")
        taken = [pydicom.dcmread(path) for path in archive.folder.iterdir()]
    assert {one.file_meta.TransferSyntaxUID for one in taken} == {ImplicitVRLittleEndian}
    sent = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, files)}
    for one in taken:
        assert one.get("PixelData") == sent[one.SOPInstanceUID].get("PixelData")
        for each in (one, sent[one.SOPInstanceUID]):
            each.pop("PixelData", None)  # its VR is OW in this encoding
        assert one.to_json_dict() == sent[one.SOPInstanceUID].to_json_dict()


def test_an_archive_that_takes_none_of_them_is_not_asked_for_a_day(files: list[Path]) -> None:
    """pynetdicom calls that aborted, as it does a host that can't be reached."""
    with (
        choosy_archive(takes=SegmentationStorage) as (to, _),
        pytest.raises(NotAccepted, match=r"not take objects like .*nothing was sent"),
    ):
        transmit(to, files, "VFX-EDGE")


def test_a_destination_that_cannot_be_reached_is_named(files: list[Path]) -> None:
    to = Destination(name="A", ae_title="A", host="127.0.0.1", port=free_port())
    with pytest.raises(NotSent, match=r"A at 127\.0\.0\.1:[0-9]+ can't be reached"):
        transmit(to, files, "VFX-EDGE")


def test_tls_both_sides_know_each_other(tmp_path: Path, files: list[Path]) -> None:
    _, authority = certificate(tmp_path, "authority")
    archives_key, archives = certificate(tmp_path, "archive", "authority")
    key, ours = certificate(tmp_path, "node", "authority")
    strangers_key, strangers = certificate(tmp_path, "stranger")
    options = ("+tls", archives_key, archives, "+cf", authority)
    with storescp(tmp_path / "archive-files", None, *options) as archive:
        plain = Destination(**archive.destination())
        known = replace(plain, tls=Tls(certificate=ours, key=key, ca=authority))
        transmit(known, files, "VFX-EDGE")
        for wrong in (
            plain,
            replace(plain, tls=Tls(certificate=strangers, key=strangers_key, ca=authority)),
            replace(plain, tls=Tls(certificate=ours, key=key, ca=strangers)),
        ):
            with pytest.raises(NotSent, match="can't be reached, or broke off"):
                transmit(wrong, files, "VFX-EDGE")
        assert [sum(runs.values()) for runs in archive.sets().values()] == [3]


def test_stow_trusts_the_named_authority_and_no_other(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, authority = certificate(tmp_path, "authority")
    theirs = certificate(tmp_path, "archive", "authority")
    key, ours = certificate(tmp_path, "node", "authority")
    _, stranger = certificate(tmp_path, "stranger")
    stored = Reply(b"{}", "application/dicom+json")
    with archive(lambda *_: stored, theirs) as running:
        known = Destination(name="A", url=running.url, tls=Tls(ours, key, authority))
        other = replace(known, tls=Tls(ours, key, stranger))
        for bundle in (stranger, authority):  # says nothing to whom an authority is named
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            transmit(known, files, "VFX-EDGE")
            with pytest.raises(NotSent, match="can't be reached"):
                transmit(other, files, "VFX-EDGE")


@contextmanager
def choosy_archive(
    refuses: str = "", takes: str = CTImageStorage
) -> Iterator[tuple[Destination, list[str]]]:
    """A node that takes one SOP class only, and fails at the instance `refuses`; what it got."""
    taken: list[str] = []

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if refuses in (uid, "all of them"):
            return 0xA700
        taken.append(uid)
        return 0

    node = AE("ARCHIVE")
    node.add_supported_context(takes)
    server = node.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    port = server.socket.getsockname()[1]
    try:
        yield Destination(name="A", ae_title="ARCHIVE", host="127.0.0.1", port=port), taken
    finally:
        server.shutdown()


def test_what_an_archive_never_takes_keeps_back_nothing_else(files: list[Path]) -> None:
    """Many take no segmentations: the report must not wait behind one."""
    first = pydicom.dcmread(files[0])
    first.SOPClassUID = first.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    first.save_as(files[0])
    with choosy_archive() as (to, taken):
        with pytest.raises(NotAccepted, match=f"like {files[0].name}; all others were sent"):
            transmit(to, files, "VFX-EDGE")
        assert taken == [pydicom.dcmread(file).SOPInstanceUID for file in files[1:]]


def test_one_refused_object_keeps_back_no_other(files: list[Path]) -> None:
    uids = [str(pydicom.dcmread(file).SOPInstanceUID) for file in files]
    with choosy_archive(refuses=uids[1]) as (to, taken):
        with pytest.raises(NotSent, match=f"refused {files[1].name} with status 0xa700"):
            transmit(to, files, "VFX-EDGE")
        assert taken == [uids[0], uids[2]]


def test_a_reason_names_a_few_of_many(files: list[Path]) -> None:
    with choosy_archive(refuses="all of them") as (to, _):
        with pytest.raises(NotSent) as caught:
            transmit(to, files * 4, "VFX-EDGE")
        named = ", ".join(file.name for file in files)
        assert str(caught.value) == f"it refused {named} and 9 more with status 0xa700"


@contextmanager
def answering(
    status: int, body: bytes = b"{}", kind: str = "application/dicom+json"
) -> Iterator[tuple[Destination, list[bytes]]]:
    """A server that answers every STOW-RS request so; and the requests' bodies."""
    bodies: list[bytes] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                given = b""
                while size := int(self.rfile.readline(), 16):
                    given += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                given = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(bytes(str(self.headers), "ascii") + given)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # where a POST that is redirected ends
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield Destination(name="web", url=url), bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_stow_sends_each_object_with_the_token(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    with answering(200) as (to, bodies):
        to = Destination(name=to.name, url=to.url, token_file=tmp_path / "token")
        transmit(to, files, "VFX-EDGE")
    assert len(bodies) == 3
    assert all(b"Bearer s3cret" in body for body in bodies)
    assert all(file.read_bytes()[200:] in body for file, body in zip(files, bodies, strict=True))


def test_stow_that_is_refused_is_not_done(files: list[Path]) -> None:
    with answering(403) as (to, _), pytest.raises(NotSent, match="HTTP status 403"):
        transmit(to, files, "VFX-EDGE")
    gone = Destination(name="web", url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotSent, match="can't be reached"):
        transmit(gone, files, "VFX-EDGE")


def _failed(*reasons: int) -> bytes:
    """What an archive answers that has not stored (PS3.18, annex I)."""
    items = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
    return json.dumps({"00081198": {"vr": "SQ", "Value": items}}).encode()


_DUPLICATE_IN_XML = (
    b'<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
    b'<DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence"><Item number="1">'
    b'<DicomAttribute tag="00081197" vr="US" keyword="FailureReason"><Value number="1">273</Value>'
    b"</DicomAttribute></Item></DicomAttribute></NativeDicomModel>"
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (409, _failed(45070), "application/dicom+json; charset=utf-8"),  # as Microsoft's answers
        (409, _failed(0x0111), "application/json"),
        (202, _failed(0x0111), "application/dicom+json"),
        (409, _DUPLICATE_IN_XML, "application/dicom+xml"),
        (200, b"", "application/dicom+json"),
        (200, b'{"00081198": {"vr": "SQ"}}', "application/dicom+json"),  # as Orthanc answers
        (200, b"<NativeDicomModel/>", "application/dicom+xml"),
    ],
)
def test_stow_what_is_there_already_is_stored(
    files: list[Path], status: int, body: bytes, kind: str
) -> None:
    with answering(status, body, kind) as (to, bodies):
        transmit(to, files, "VFX-EDGE")
    assert len(bodies) == len(files)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (202, _failed(272), "application/dicom+json; charset=utf-8", "failure reason 0x0110"),
        (200, _failed(0xA700), "application/dicom+json", "failure reason 0xa700"),
        (409, _failed(273, 272), "application/dicom+json", "failure reason 0x0110"),
        (409, b'{"00081198": {"vr": "SQ", "Value": [{}]}}', "application/json", "reason 0x0000"),
        (409, b"not JSON", "application/dicom+json", "HTTP status 409"),
        (301, b"", "text/html", "HTTP status 301"),
        (200, b"<html>Who are you?</html>", "text/html; charset=utf-8", "a web page"),
    ],
)
def test_stow_what_is_not_stored_is_not_done(
    files: list[Path], status: int, body: bytes, kind: str, said: str
) -> None:
    with answering(status, body, kind) as (to, _), pytest.raises(NotSent, match=said) as caught:
        transmit(to, files, "VFX-EDGE")
    assert not isinstance(caught.value, NotAccepted)


def test_stow_a_class_that_is_not_taken_is_not_asked_for_a_day(files: list[Path]) -> None:
    with answering(409, _failed(0x0122)) as (to, _), pytest.raises(NotAccepted):
        transmit(to, files, "VFX-EDGE")


def test_stow_says_where_without_the_password(files: list[Path]) -> None:
    port = free_port()
    to = Destination(name="web", url=f"http://me:secret@127.0.0.1:{port}/dicom-web")
    with pytest.raises(NotSent, match=rf"^127\.0\.0\.1:{port} can't be reached"):
        transmit(to, files, "VFX-EDGE")
