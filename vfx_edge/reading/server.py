"""The page of a reading, for one browser on this machine.

The address holds a word that opens the page once; whoever opens it gets a cookie, and nobody else
is answered. Nothing is fetched from elsewhere, and no picture is left in the browser's cache.
"""

import secrets
import socket
import threading
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
import uvicorn
from jinja2 import Environment, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from vfx_edge.errors import OutputError, UsageError
from vfx_edge.outputs.report.pictures import MARKS
from vfx_edge.outputs.wording import Wording
from vfx_edge.reading.session import OutOfTurn, Session
from vfx_edge.reading.stack import COUNT, EACH_WAY, PLANES, WINDOWS_HU
from vfx_edge.scoring.readings import AIDED, ANSWERS, CONFIDENCES
from vfx_edge.service.web.guards import HostCheck, SecurityHeaders, host_names, policy_header

HOST = "127.0.0.1"
COOKIE = "vfx_edge_reading_"
"""And some digits: browsers share cookies among the ports of a machine, and two may read."""
MOST_BYTES = 1000
"""Of a request's body."""
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC = {"cases.css": "text/css", "cases.js": "text/javascript"}
_SHUT = "Open the address that `vfx-edge evaluate --reader` has told; it opens once.\n"


class PortTaken(UsageError):
    """The page can't be served there."""

    def __init__(self, port: int, why: str) -> None:
        super().__init__(f"no page can be served on port {port} ({why}): give another --port")


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    """What the page says of the case that it shows."""

    number: int
    passes: Literal["unaided", "aided"] = msgspec.field(name="pass")


class _Said(_Turn, forbid_unknown_fields=True):
    """An answer of the reader."""

    answer: str
    confidence: int | None = None


class PageServer:
    """The page, in a thread of its own. failure: what ended it before all was read."""

    def __init__(self, session: Session, language: str, port: int = 0) -> None:
        """port: 0 is any that is free. PortTaken."""
        self.word = secrets.token_urlsafe(24)
        self.failure: Exception | None = None
        self.ended = session.finished
        try:
            self._socket = socket.create_server((HOST, port))
        except OSError as error:
            raise PortTaken(port, error.strerror or type(error).__name__) from None
        config = uvicorn.Config(
            application(session, self.word, language, self._fail),
            log_config=None,
            log_level="critical",  # what goes wrong ends the command, which tells it
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="reading", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Opens the page once."""
        return f"http://{HOST}:{self._socket.getsockname()[1]}/start/{self.word}"

    def stop(self) -> None:
        """Answers that are under way are given first."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.ended.set()


def application(
    session: Session, word: str, language: str, fail: Callable[[Exception], None]
) -> Starlette:
    """The page as an ASGI application. fail: told of an answer that could not be kept, and of any
    bug."""
    door = _Door(word)
    routes: list[tuple[str, Callable[..., Any], str]] = [
        ("/start/{word}", door.open, "GET"),
        ("/", lambda request: _page(language), "GET"),
        ("/static/{name}", _static, "GET"),
        *_of_session(session, Wording(language), fail),
    ]
    return Starlette(
        routes=[Route(path, endpoint, methods=[method]) for path, endpoint, method in routes],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HostCheck, names=host_names(HOST)),
            Middleware(door.guard),
            Middleware(_ending, fail=fail),
        ],
    )


def _of_session(
    session: Session, words: Wording, fail: Callable[[Exception], None]
) -> list[tuple[str, Callable[..., Any], str]]:
    def case(request: Request) -> Response:
        try:
            return _state(session, words)
        except OutputError as error:
            return _kept_nothing(error, fail)

    def picture(request: Request) -> Response:
        asked = request.path_params
        try:
            number, at = asked["number"], asked["at"]
            png = session.png(number, asked["plane"], at, asked["window"])
        except (OutOfTurn, KeyError, IndexError):
            return PlainTextResponse("There is no such picture.\n", 404)
        return Response(png, media_type="image/png")

    async def said(request: Request) -> Response:
        kind = request.url.path.removeprefix("/")
        turn = await _body(request, _Said if kind == "answer" else _Turn)
        if turn is None:
            return PlainTextResponse("This is no answer.\n", 400)
        try:
            return await run_in_threadpool(_take, session, words, kind, turn)
        except OutputError as error:
            return _kept_nothing(error, fail)

    return [
        ("/case", case, "GET"),
        ("/picture/{number:int}/{plane}/{at:int}/{window}.png", picture, "GET"),
        *((f"/{kind}", said, "POST") for kind in ("shown", "pause", "answer")),
    ]


def _state(session: Session, words: Wording) -> Response:
    """With the program's reason as a sentence. OutputError."""
    told = session.state()
    if "program" in told:
        told["program"]["reason"] = words.reason(told["program"]["reason"])
    return JSONResponse(told)


def _take(session: Session, words: Wording, kind: str, turn: _Turn) -> Response:
    """OutputError."""
    where = turn.number, turn.passes == AIDED
    try:
        if kind == "shown":
            session.shown(*where)
        elif kind == "pause":
            session.pause(*where)
        elif isinstance(turn, _Said):
            session.answer(*where, turn.answer, turn.confidence)
            return _state(session, words)
    except OutOfTurn:
        return PlainTextResponse("This case is not being asked.\n", 409)
    except ValueError as error:
        return PlainTextResponse(f"{error}.\n", 400)
    return Response(status_code=204)


def _kept_nothing(error: OutputError, fail: Callable[[Exception], None]) -> Response:
    """The command ends with the error; the page says that nothing was kept."""
    fail(error)
    return PlainTextResponse("The answer could not be kept.\n", 500)


async def _body(request: Request, kind: type[_Turn]) -> _Turn | None:
    """None where it is none that this page sends. A page of another origin can send no JSON
    without being let to."""
    if request.headers.get("content-type") != "application/json":
        return None
    data = b""
    try:
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                return None
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, ClientDisconnect):
        return None


def _ending(app: Any, fail: Callable[[Exception], None]) -> Any:
    """The application, whose bugs end the command: nobody reads what a page's server prints."""

    async def told(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            fail(error)
            raise

    return told


class _Door:
    """Lets in whoever opens the address first."""

    def __init__(self, word: str) -> None:
        self._word: str | None = word
        self._name = COOKIE + secrets.token_hex(4)
        self._cookie = secrets.token_urlsafe(24)
        self._lock = threading.Lock()

    def open(self, request: Request) -> Response:
        with self._lock:
            right = self._word is not None and _same(request.path_params["word"], self._word)
            if not right:
                return PlainTextResponse(_SHUT, 403)
            self._word = None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._name, self._cookie, httponly=True, samesite="strict")
        return answer

    def guard(self, app: Any) -> Any:
        """The application behind the door."""

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            inner = app
            if scope["type"] == "http" and not scope["path"].startswith("/start/"):
                given = Request(scope).cookies.get(self._name, "")
                if not _same(given, self._cookie):
                    inner = PlainTextResponse(_SHUT, 403)
            await inner(scope, receive, send)

        return guarded


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def _page(language: str) -> Response:
    """The same for every reader and case: what it shows comes later."""
    html = _environment().from_string(_text("page.html.j2"))
    text = html.render(
        t=Wording(language), answers=ANSWERS, confidences=CONFIDENCES, planes=[*PLANES],
        windows=[*WINDOWS_HU], count=COUNT, middle=EACH_WAY, marks=MARKS,
    )  # fmt: skip
    return Response(text, media_type="text/html", headers=policy_header(_POLICY))


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return PlainTextResponse("Not here.\n", 404)
    return Response(_text(name), media_type=_STATIC[name])


@cache
def _text(name: str) -> str:
    return files("vfx_edge.reading").joinpath("page", name).read_text("utf-8")


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined)
