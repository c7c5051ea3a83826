"""The worklist page, a study's report, health and metrics: read only, and without a patient's name.

The page is made here and sent anew over server-sent events whenever it changes.
"""

import asyncio
import hashlib
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from importlib.resources import files
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vfx_edge.errors import VfxError
from vfx_edge.service.metrics import Metrics
from vfx_edge.service.queue import OperationalError
from vfx_edge.service.show import Show
from vfx_edge.service.worklist import Worklist

log = logging.getLogger(__name__)

LOOK_S = 0.5
ALIVE_S = 5.0
"""A page that has not heard from us for three times as long says so."""
MAX_VIEWERS = 64
STALE_S = 30.0

_OF_THE_PAGE = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OF_A_REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-popups"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC = {"worklist.css": "text/css", "worklist.js": "text/javascript"}


class CannotServe(VfxError):
    """The address of the page can't be used."""

    exit_code = 2

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"No page can be served at {where}: {why}; choose another --http.")


class HttpServer:
    """The page, in threads of its own."""

    def __init__(self, address: str, language: str, worklist: Worklist, metrics: Metrics) -> None:
        self._address = address
        self._host, self._port = _parsed(address)
        self._board = Board(worklist, metrics, Show(language, worklist.show_accession))
        self._metrics = metrics
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that was opened; of use where 0 was asked for."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Open it. CannotServe."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise CannotServe(self._address, error.strerror or str(error)) from None
        config = uvicorn.Config(
            application(self._board, self._metrics, self._host),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            limit_concurrency=4 * MAX_VIEWERS,
        )
        self._server = uvicorn.Server(config)
        self._board.start()
        threading.Thread(
            target=self._server.run, args=([self._socket],), name="page", daemon=True
        ).start()
        log.info("worklist at http://%s:%d/", self._host, self.port)

    def stop(self) -> None:
        """End it."""
        self._board.stop()
        if self._server is not None:
            self._server.should_exit = True


class Board:
    """The list as it is now, looked after by one thread, however many look at it."""

    def __init__(self, worklist: Worklist, metrics: Metrics, show: Show) -> None:
        self.worklist = worklist
        self.show = show
        self.fragment = ""
        self.version = ""
        self.viewers = 0
        self.looked_at_s = 0.0
        self._metrics = metrics
        self._counted: set[str] = set()
        self._stopped = threading.Event()
        metrics.watch(worklist)

    def start(self) -> None:
        """Begin to look."""
        self.look()
        threading.Thread(target=self._run, name="board", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()

    def look(self) -> None:
        """See what has changed."""
        rows = self.worklist.rows()
        for row in rows:
            if row.tier and row.job not in self._counted:
                self._counted.add(row.job)
                self._metrics.analysed(row)
        self.fragment = self.show.rows(rows)
        self.version = hashlib.sha256(self.fragment.encode()).hexdigest()[:16]
        self.looked_at_s = time.monotonic()

    def is_fresh(self) -> bool:
        """Whether the list is what the spool says."""
        return time.monotonic() - self.looked_at_s < STALE_S

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            try:
                self.look()
            except (OSError, OperationalError) as error:
                log.warning("the worklist can't be read: %s", type(error).__name__)


def application(board: Board, metrics: Metrics, host: str = "127.0.0.1") -> Starlette:
    """The page as an ASGI application."""

    def page(request: Request) -> Response:
        text = board.show.page(board.fragment, 3 * ALIVE_S)
        return Response(text, media_type="text/html", headers=_policy(_OF_THE_PAGE))

    def report(request: Request) -> Response:
        path = board.worklist.report(request.path_params["job"])
        if path is None:
            return PlainTextResponse("There is no such report.\n", 404)
        return FileResponse(path, media_type="text/html", headers=_policy(_OF_A_REPORT))

    async def events(request: Request) -> Response:
        if board.viewers >= MAX_VIEWERS:
            return PlainTextResponse("Too many look at this list.\n", 503)
        return EventSourceResponse(_changes(board), ping=3600, headers=_HEADERS)

    def health(request: Request) -> Response:
        fresh = board.is_fresh()
        return JSONResponse({"status": "ok" if fresh else "stale"}, 200 if fresh else 503)

    def metrics_text(request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return PlainTextResponse("Not here.\n", 404)
        content = files("vfx_edge.service").joinpath("page", name).read_bytes()
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
            Middleware(TrustedHostMiddleware, allowed_hosts=_own_names(host)),
            Middleware(_Careful),
        ],
    )


async def _changes(board: Board) -> AsyncIterator[dict[str, str]]:
    """The list whenever it changes, and a sign of life in between."""
    board.viewers += 1
    seen, said = "", 0.0
    try:
        while True:
            if board.version != seen:
                seen, said = board.version, time.monotonic()
                yield {"event": "rows", "data": json.dumps(board.fragment)}
            elif time.monotonic() - said > ALIVE_S and board.is_fresh():
                said = time.monotonic()
                yield {"event": "alive", "data": "1"}
            await asyncio.sleep(LOOK_S / 2)
    finally:
        board.viewers -= 1


class _Careful:
    """Adds the headers that every answer has."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                for name, value in _HEADERS.items():
                    if name.lower().encode() not in there:
                        message["headers"].append((name.lower().encode(), value.encode()))
            await send(message)

        await self._app(scope, receive, with_headers)


def _policy(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy}


def _own_names(host: str) -> list[str]:
    """What the page may be called: a stranger's name that leads to this machine is refused, so
    that a page in the same browser can't read this one (DNS rebinding)."""
    if host in ("0.0.0.0", "::"):
        return ["*"]
    return [host, "localhost", "127.0.0.1"]


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise CannotServe(address, "it is no HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
