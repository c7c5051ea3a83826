"""A DICOMweb server in this process that answers as a test says: truly, or not."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vfx_edge.inputs.dicomweb_server import Server

BOUNDARY = "between-the-parts"
MULTIPART = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


@dataclass(frozen=True)
class Reply:
    """What is sent. length: that is stated, where it is a lie."""

    body: bytes
    kind: str = MULTIPART
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None


Says = Callable[[str, dict[str, list[str]]], Reply]


@dataclass
class Archive:
    """says: path below the service and query -> reply. asked: paths; tokens: beside them."""

    says: Says
    url: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def server(self, **more: Any) -> Server:
        """As the client knows it, without a second try."""
        return Server(self.url, **{"tries": 0, **more})


@contextmanager
def archive(says: Says, tls: tuple[Path, Path] | None = None) -> Iterator[Archive]:
    """A running one. tls: its key and certificate."""
    running = Archive(says)

    class Handler(BaseHTTPRequestHandler):
        """Of one request."""

        def do_POST(self) -> None:
            """Takes what is sent, and answers the same."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            running.asked.append(parts.path)
            running.tokens.append(self.headers.get("Authorization", ""))
            reply = running.says(parts.path.removeprefix("/dicom-web"), parse_qs(parts.query))
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            length = len(reply.body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")
            for name, value in reply.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls[1], tls[0])
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        running.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def in_json(*items: Mapping[str, Sequence[Any]], **more: Any) -> Reply:
    """Tag -> values, an item each."""
    body = [{tag: {"vr": "UI", "Value": values} for tag, values in item.items()} for item in items]
    return Reply(json.dumps(body).encode("ascii"), "application/dicom+json", **more)


def parts(*objects: bytes, end: bool = True) -> bytes:
    """A multipart answer; end: whether its last line is there."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
    tail = f"--{BOUNDARY}--\r\n".encode("ascii") if end else b""
    return b"".join(head + one + b"\r\n" for one in objects) + tail
