"""The worklist page, a study's report, health and metrics: read only, and without a patient's name.

The page is made here and sent anew over server-sent events whenever it changes.
"""

import asyncio
import hashlib
import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping
from importlib.resources import files
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from vfx_edge.errors import VfxError
from vfx_edge.service.store.queue import OperationalError
from vfx_edge.service.web.metrics import Metrics
from vfx_edge.service.web.show import Show
from vfx_edge.service.web.worklist import Row, Worklist

log = logging.getLogger(__name__)

LOOK_S = 0.5
ALIVE_S = 5.0
"""A page that has not heard from us for three times as long says so."""
MAX_VIEWERS = 64
MAX_CONNECTIONS = 4 * MAX_VIEWERS
SILENT_S = 10.0
"""A connection on which no request comes for so long is ended."""
MOST_STALLS = 6
"""The same for one that takes nothing of its answer at so many looks, `SILENT_S` apart."""
STALE_S = 30.0
STUCK_S = 3600.0
"""No study takes so long: what does hangs."""
RENDER_S = 10.0
"""How soon the passing of time shows: a study that is no longer of today."""

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
            http=_Connection,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._board.start()
        threading.Thread(
            target=self._server.run, args=([self._socket],), name="page", daemon=True
        ).start()
        host = f"[{self._host}]" if ":" in self._host else self._host
        log.info("worklist at http://%s:%d/", host, self.port)

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
        self._rows: list[Row] | None = None
        self._rendered_at_s = 0.0
        self._counted: dict[str, float | None] = {}
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
        now = time.monotonic()
        if rows is not self._rows or now - self._rendered_at_s >= RENDER_S:
            self._count(rows)
            self.fragment = self.show.rows(rows)
            self.version = hashlib.sha256(self.fragment.encode()).hexdigest()[:16]
            self._rows, self._rendered_at_s = rows, now
        self.looked_at_s = now

    def is_fresh(self) -> bool:
        """Whether the list is what the spool says."""
        return time.monotonic() - self.looked_at_s < STALE_S

    def health(self) -> str:
        """ok, or what is wrong: stale, the list is not what the spool says; stuck, an analysis or a
        transmission does not end."""
        if not self.is_fresh():
            return "stale"
        return "stuck" if self.worklist.running_for_s() >= STUCK_S else "ok"

    def _count(self, rows: list[Row]) -> None:
        """Verdicts that were not there at the last look; none at the first, for a counter must not
        begin with what an earlier process has counted."""
        judged = {row.job: row.verdict_at_s for row in rows if row.tier}
        for row in rows if self._rows is not None else ():
            if row.tier and self._counted.get(row.job, -1.0) != row.verdict_at_s:
                self._metrics.analysed(row)
        here = {row.job for row in rows}  # one that is analysed anew has no verdict for a while
        self._counted = {job: at for job, at in self._counted.items() if job in here} | judged

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
        status = board.health()
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
            Middleware(_Careful),
            Middleware(_OwnNames, names=_own_names(host)),
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


class _OwnNames:
    """Refuses who asks for this machine by a name that is not its own: a page in the same browser
    whose name leads here (DNS rebinding) could read this one. An address is nobody's name."""

    def __init__(self, app: Any, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._app
        if scope["type"] == "http" and not self._is_ours(dict(scope["headers"]).get(b"host", b"")):
            app = PlainTextResponse(
                "This page answers to its machine's address or name: ask for it by one of them.\n",
                400,
            )
        await app(scope, receive, send)

    def _is_ours(self, header: bytes) -> bool:
        text = header.decode("latin-1").lower()
        host = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
        return _is_address(host) or host.rstrip(".") in self._names


class _Connection(H11Protocol):
    """Ends connections that say nothing, or take nothing: uvicorn lets them be, and they would keep
    out all others, and with them who asks whether the service is well."""

    _timer: asyncio.TimerHandle | None = None
    _since_s = 0.0
    _left = 0
    """Bytes of an answer that the other side has not taken."""
    _stalls = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MAX_CONNECTIONS:
            ours = [one for one in self.connections if isinstance(one, _Connection)]
            silent = [one for one in ours if not one._answers()]
            min(silent or [self], key=lambda one: one._since_s).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()  # may take up the next request

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


def _policy(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy}


def _own_names(host: str) -> set[str]:
    """What the page may be called, besides any address."""
    names = {host, "localhost"}
    if _is_address(host) and ipaddress.ip_address(host).is_loopback:
        return names  # nobody comes from outside, and looking up names may take its time
    return names | {socket.gethostname(), socket.getfqdn()}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise CannotServe(address, "it is no HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
