"""Where the server of `--backend kserve` is, and how it is asked: an address, or a small file."""

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from vfx_edge.errors import UsageError, first_line

VARIABLE = "VFX_EDGE_SERVER"
"""Names the server where the command does not."""
SCHEMES = {"grpc": False, "grpcs": True}
"""Scheme -> whether the connection is encrypted (TLS)."""
MOST_BYTES = 1 << 20
"""Of a settings file, a certificate or a token: more is another file."""
_HOST = re.compile(r"[a-z0-9_.:-]+")
"""A name or an IP address, as gRPC takes them, without a zone."""
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]


class ServerInvalid(UsageError):
    """What names the server can't be meant."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"the server {what} can't be asked ({why}): give --backend kserve=grpcs://HOST:PORT, "
            "or kserve=FILE with settings as docs/scale.md shows them"
        )


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server that speaks the KServe v2 protocol over gRPC."""

    url: str
    """grpcs://HOST:PORT, or grpc:// without encryption."""
    ca: Path | None = None
    """PEM: who signed the server's certificate; None: those that gRPC brings."""
    certificate: Path | None = None
    """PEM: this workstation's own, where the server asks for one; with `key`."""
    key: Path | None = None
    token_file: Path | None = None
    """Holds a bearer token. Read anew for each connection: tokens end."""
    timeout_s: Seconds = 60.0
    """Of one request: a batch of crops, or a tile."""
    patience_s: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    """How long a request is tried again where the server does not answer."""
    in_flight: Annotated[int, Meta(ge=1, le=64)] = 4
    """Requests of one network at once."""

    @property
    def address(self) -> str:
        """HOST:PORT, which results name."""
        return urlsplit(self.url).netloc

    @property
    def tls(self) -> bool:
        return SCHEMES[urlsplit(self.url).scheme]

    @property
    def local(self) -> bool:
        """Whether it is on this very machine: nothing goes over a wire."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def token(self) -> str:
        """The bearer token; "" where none is set. ServerInvalid."""
        if self.token_file is None:
            return ""
        words = read(self.token_file).decode("utf-8", "replace").strip()
        if not words or not words.isascii() or not words.isprintable() or " " in words:
            raise ServerInvalid(self.address, f"{self.token_file} holds no token in one line")
        return words


def server_of(named: str) -> Server:
    """The server of `kserve=…`: an address, or the path of a TOML file with the fields of `Server`,
    whose paths start at the file's folder. "": what the variable names. ServerInvalid."""
    words = named.strip() or os.environ.get(VARIABLE, "").strip()
    if not words:
        raise ServerInvalid("of --backend kserve", f"nothing names it, nor does {VARIABLE}")
    found = Server(words) if "://" in words else _from_file(Path(words))
    if problem := _problem(found):
        raise ServerInvalid(words, problem)
    return found


def _from_file(path: Path) -> Server:
    try:
        values = tomllib.loads(read(path).decode("utf-8-sig"))
        found = msgspec.convert(values, Server, dec_hook=lambda kind, value: kind(value))
    except (ValueError, RecursionError) as error:
        raise ServerInvalid(str(path), first_line(error)) from None
    names = ("ca", "certificate", "key", "token_file")
    given = {name: getattr(found, name) for name in names}
    return replace(found, **{k: path.parent / v for k, v in given.items() if v is not None})


def _problem(server: Server) -> str:
    """What can't be meant; empty where all can."""
    try:
        parts = urlsplit(server.url)
        whole = bool(
            _HOST.fullmatch(parts.hostname or "") and parts.port and "@" not in parts.netloc
        )
    except ValueError:
        return "its port is no number from 1 to 65535"
    if parts.scheme not in SCHEMES or not whole or parts.path.strip("/") or parts.query:
        return "its address is not grpcs://HOST:PORT or grpc://HOST:PORT"
    if (server.certificate is None) != (server.key is None):
        return "certificate and key belong together"
    if not server.tls and (server.ca or server.certificate):
        return "a certificate needs grpcs://, which encrypts"
    if server.token_file and not (server.tls or server.local):
        return "a token needs grpcs://: without it everybody on the way could read it"
    return ""


def read(path: Path) -> bytes:
    """A small file; ServerInvalid."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ServerInvalid(f"of {path}", why) from None
    if len(data) > MOST_BYTES:
        raise ServerInvalid(f"of {path}", "the file is too large")
    return data
