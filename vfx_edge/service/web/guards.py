"""Who is answered, and with which headers: for every page that this program serves."""

import ipaddress
import socket
from collections.abc import Iterable, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Adds the headers of every answer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                for name, value in HEADERS.items():
                    if name.lower().encode() not in there:
                        message["headers"].append((name.lower().encode(), value.encode()))
            await send(message)

        await self._app(scope, receive, with_headers)


class HostCheck:
    """Refuses requests for a host name that is not this machine's: a page in the same browser whose
    name resolves to it (DNS rebinding) could read this one. Every address is accepted."""

    def __init__(self, app: Any, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._app
        if scope["type"] == "http" and not self._is_accepted(
            dict(scope["headers"]).get(b"host", b"")
        ):
            app = PlainTextResponse(
                "This page answers to its machine's address or name: ask for it by one of them.\n",
                400,
            )
        await app(scope, receive, send)

    def _is_accepted(self, header: bytes) -> bool:
        text = header.decode("latin-1").lower()
        host = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
        return _is_address(host) or host.rstrip(".") in self._names


def policy_header(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy}


def host_names(host: str) -> set[str]:
    """The host names of the page, besides any address."""
    names = {host, "localhost"}
    if _is_address(host) and ipaddress.ip_address(host).is_loopback:
        return names  # not reachable from outside; looking up names may take long
    return names | {socket.gethostname(), socket.getfqdn()}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
