"""Where a DICOMweb server is, whether it may be asked, and a session with it."""

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from vfx_edge.errors import InputError, UsageError

if TYPE_CHECKING:
    from requests import PreparedRequest, Session
    from urllib3.util import Retry

AGAIN = (429, 500, 502, 503, 504)
"""Answers after which the same request may fare better."""
_HERE = ("localhost", "127.0.0.1", "::1")


class DicomwebMissing(UsageError):
    """The packages are not installed."""

    def __init__(self) -> None:
        super().__init__(
            "A DICOMweb server needs packages that are not installed: "
            "`pip install 'vfx-edge[dicomweb]'` brings them."
        )


class ServerUnusable(UsageError):
    """An address or a file of the server's that can't be used."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what} can't be used ({why}): {remedy}.")


class ServerFailed(InputError):
    """The server does not give what was asked for."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(
            f"The DICOMweb server {host} {why}: see that it runs and lets you in, "
            "then start again with --retry-failed."
        )
        self.why = why


@dataclass(frozen=True)
class Server:
    """url: of its DICOMweb service, https://pacs/dicom-web. token_file: holds a bearer token. ca:
    PEM, signs the server's certificate. certificate, key: PEM, of this client. tries: how often a
    request is begun again, with growing waits."""

    url: str
    token_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    tries: int = 5

    @property
    def host(self) -> str:
        """For people: without what may be secret."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def checked(server: Server) -> Server:
    """The same, fit for use. ServerUnusable, DicomwebMissing."""
    try:
        parts = urlsplit(server.url)
        port = parts.port  # raises ValueError where it is no number
    except ValueError:
        raise ServerUnusable(server.url, "it is no address", "check it") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ServerUnusable(server.url, "it is no http(s) address", "check it")
    if parts.username or parts.password:
        why = "it holds a name or password, which others see"
        raise ServerUnusable(server.host, why, "write them into ~/.netrc")
    if parts.query or parts.fragment:
        raise ServerUnusable(server.host, "a ? or # stands in it", "give the query by --query")
    if server.token_file and parts.scheme == "http" and parts.hostname not in _HERE:
        why = "a token over http:// can be read on its way"
        raise ServerUnusable(server.host, why, "use https://")
    if find_spec("requests") is None or find_spec("python_multipart") is None:
        raise DicomwebMissing
    for file in filter(None, (server.token_file, server.ca, server.certificate, server.key)):
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ServerUnusable(str(file), why, "check the path") from None
    _check_pem(server)
    return server


def _check_pem(server: Server) -> None:
    """Else the client says of any of them that the server is not trusted. ServerUnusable."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if server.ca is not None:
            context.load_verify_locations(server.ca)
    except OSError:
        raise ServerUnusable(str(server.ca), "it holds no certificate", "give PEM") from None
    try:
        if server.certificate is not None:  # a password would be asked for in every worker
            context.load_cert_chain(server.certificate, server.key, password="")
    except OSError:
        why = "with its key it is no pair that can be read without a password"
        raise ServerUnusable(str(server.certificate), why, "give both as PEM") from None


def session_for(server: Server) -> "Session":
    """With its waits and its token, but for `verify`: a session's own would give way to what
    REQUESTS_CA_BUNDLE names."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=_retry(server.tries)))
    # it quotes the query, in which a patient's name may stand
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    if server.token_file is not None:
        file = server.token_file
        session.auth = lambda request: _with_token(request, file)
    if server.certificate is not None:
        session.cert = (str(server.certificate), str(server.key or server.certificate))
    return session


def _with_token(request: "PreparedRequest", file: Path) -> "PreparedRequest":
    """Read anew each time: tokens are renewed while a batch runs."""
    try:
        token = file.read_text("ascii").strip()
        if not token.isprintable() or len(token.split()) != 1:
            raise ValueError
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ServerUnusable(str(file), why, "check the file of the token") from None
    except ValueError:
        why = "it holds no token: one word of plain letters, digits and signs"
        raise ServerUnusable(str(file), why, "check the file of the token") from None
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _retry(tries: int) -> "Retry":
    """How often, and after which waits: a server's own Retry-After may be a day."""
    from urllib3.exceptions import SSLError
    from urllib3.util import Retry

    class Again(Retry):
        """A certificate that is not trusted will not be in a second either."""

        def increment(
            self,
            method: str | None = None,
            url: str | None = None,
            response: Any = None,
            error: Exception | None = None,
            _pool: Any = None,
            _stacktrace: Any = None,
        ) -> Self:
            if isinstance(error, SSLError):
                raise error
            return super().increment(method, url, response, error, _pool, _stacktrace)

    return Again(
        tries, status_forcelist=AGAIN, backoff_factor=1, raise_on_status=False,
        respect_retry_after_header=False,
    )  # fmt: skip
