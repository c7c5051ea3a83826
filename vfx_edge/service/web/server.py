"""The worklist page, reports, health and metrics: read only, and without a patient's name.

What changes in the list is sent by server-sent events.
"""

import asyncio
import json
import logging
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib.resources import files
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from vfx_edge.service.settings import ServiceUnusable
from vfx_edge.service.web.guards import (
    HEADERS,
    HostCheck,
    SecurityHeaders,
    host_names,
    policy_header,
)
from vfx_edge.service.web.live_list import POLL_S, LiveList
from vfx_edge.service.web.metrics import Metrics
from vfx_edge.service.web.rendering import PageRenderer
from vfx_edge.service.web.worklist import Worklist

log = logging.getLogger(__name__)

ALIVE_S = 5.0
"""A page that has received nothing for three times as long says so."""
MAX_VIEWERS = 64
MAX_CONNECTIONS = 4 * MAX_VIEWERS
SILENT_S = 10.0
"""A connection without a request is closed after so long."""
MOST_STALLS = 6
"""And one that reads nothing of its answer at so many checks, `SILENT_S` apart."""
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-popups"
)
_LOAD_ANEW = '<meta http-equiv="refresh" content="1">'
"""What a page of another version is told. One of before versions shows it as its list, and thereby
does it, too; after a second, lest it does nothing else where two versions share one address."""
_STATIC = {"worklist.css": "text/css", "worklist.js": "text/javascript"}


class HttpServer:
    """The page, in threads of its own."""

    def __init__(
        self,
        address: str,
        language: str,
        worklist: Worklist,
        metrics: Metrics,
        per_address: int = MAX_CONNECTIONS,
    ) -> None:
        """per_address: connections that one address may have open."""
        self._address = address
        self._per_address = per_address
        self._host, self._port = _parsed(address)
        self._live = LiveList(worklist, metrics, PageRenderer(language, worklist.show_accession))
        self._metrics = metrics
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that was opened, where 0 was asked for."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Open it. ServiceUnusable."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise _unusable(self._address, error.strerror or str(error)) from None
        config = uvicorn.Config(
            application(self._live, self._metrics, self._host),
            http=partial(_TimedConnection, per_address=self._per_address),  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._live.start()
        threading.Thread(
            target=self._server.run, args=([self._socket],), name="page", daemon=True
        ).start()
        host = f"[{self._host}]" if ":" in self._host else self._host
        log.info("worklist at http://%s:%d/", host, self.port)

    def stop(self) -> None:
        """End it."""
        self._live.stop()
        if self._server is not None:
            self._server.should_exit = True


def application(live: LiveList, metrics: Metrics, host: str = "127.0.0.1") -> Starlette:
    """The page as an ASGI application."""

    def page(request: Request) -> Response:
        text = live.renderer.page(live.shown, 3 * ALIVE_S)
        return Response(text, media_type="text/html", headers=policy_header(_PAGE_POLICY))

    def report(request: Request) -> Response:
        path = live.worklist.report(request.path_params["job"])
        if path is None:
            return PlainTextResponse("There is no such report.\n", 404)
        return FileResponse(path, media_type="text/html", headers=policy_header(_REPORT_POLICY))

    async def events(request: Request) -> Response:
        if live.viewers >= MAX_VIEWERS:
            return PlainTextResponse("Too many viewers.\n", 503)
        # a browser that comes again says so itself; a page that was just loaded, in its question
        has = request.headers.get("last-event-id") or request.query_params.get("has", "")
        return EventSourceResponse(_changes(live, has), ping=3600, headers=HEADERS)

    def health(request: Request) -> Response:
        status = live.health()
        return JSONResponse({"status": status}, 200 if status == "ok" else 503)

    def metrics_text(request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return PlainTextResponse("Not here.\n", 404)
        content = files("vfx_edge.service.web").joinpath("page", name).read_bytes()
        return Response(content, media_type=_STATIC[name])

    routes: list[tuple[str, Callable[..., Any]]] = [
        ("/", page),
        ("/events", events),
        ("/study/{job}/report.html", report),
        ("/healthz", health),
        ("/metrics", metrics_text),
        ("/static/{name}", static),
    ]
    return Starlette(
        routes=[Route(path, endpoint) for path, endpoint in routes],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HostCheck, names=host_names(host)),
            Middleware(GZipMiddleware, compresslevel=1),  # the list shrinks by nine tenths
        ],
    )


async def _changes(live: LiveList, has: str) -> AsyncIterator[dict[str, str]]:
    """What changes in the list, of which the viewer has the version `has`, and a short event in
    between. A page of another program has to load itself anew; if it can't, silence tells it that
    it is cut off."""
    live.viewers += 1
    sent, sent_at_s = (live.shown if live.shown.version == has else None), -math.inf
    try:
        if not live.shown.fits(has):
            yield {"event": "rows", "data": json.dumps(_LOAD_ANEW)}
        while not live.shown.fits(has):
            await asyncio.sleep(ALIVE_S)
        while True:
            shown = live.shown
            if sent is None or shown.version != sent.version:
                data = json.dumps(shown.change(sent))
                sent, sent_at_s = shown, time.monotonic()
                yield {"event": "rows", "id": shown.version, "data": data}
            elif time.monotonic() - sent_at_s > ALIVE_S and live.is_fresh():
                sent_at_s = time.monotonic()
                yield {"event": "alive", "data": "1"}
            await asyncio.sleep(POLL_S / 2)
    finally:
        live.viewers -= 1


class _TimedConnection(H11Protocol):
    """Closes connections that send or read nothing: uvicorn keeps them, and too many would keep out
    all others, the health check among them. Where too many are open, from one address or in all,
    the one that has been silent for longest is closed."""

    _timer: asyncio.TimerHandle | None = None
    _since_s = 0.0
    _left = 0
    """Bytes of an answer that the other side has not read."""
    _stalls = 0

    def __init__(self, *args: Any, per_address: int, **more: Any) -> None:
        super().__init__(*args, **more)
        self._per_address = per_address

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        everyone = [one for one in self.connections if isinstance(one, _TimedConnection)]
        neighbours = [one for one in everyone if one._address == self._address]
        for some, most in ((neighbours, self._per_address), (everyone, MAX_CONNECTIONS)):
            if len(some) > most:
                silent = [one for one in some if not one._answers()]
                min(silent or [self], key=lambda one: one._since_s).transport.abort()
                return

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()  # may begin the next request

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._since_s = self.loop.time()
        self._timer = self.loop.call_later(SILENT_S, self._check)

    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _check(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stalls = self._stalls + 1 if left and left == self._left else 0
        self._left = left
        if self._answers() and self._stalls < MOST_STALLS:
            self._timer = self.loop.call_later(SILENT_S, self._check)
        else:
            self.transport.abort()


def _unusable(address: str, why: str) -> ServiceUnusable:
    return ServiceUnusable(f"No page can be served at {address}: {why}; choose another --http.")


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise _unusable(address, "it is no HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
