"""Whom the page answers, and for how long; and how a real browser shows it."""

import re
import shutil
import socket
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from benchmarks.browser import PROGRAM, browser
from tests.service.nodes import connected, is_ended
from tests.service.worklists import Desk, get, one_of_each, serving
from tests.waiting import HANG_S, eventually
from vfx_edge.service.web.server import MAX_CONNECTIONS

needs_browser = pytest.mark.skipif(not PROGRAM, reason="needs a Chromium browser on the PATH")
KEYS = "[...document.querySelectorAll('tr[data-key]')].map((row) => row.dataset.key)"


def test_health_is_told_however_many_connections_say_nothing(desk: Desk) -> None:
    """The health check restarts what does not answer it."""
    with serving(desk) as port:
        viewer = connected(port)
        viewer.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in viewer.recv(4096)
        silent = [connected(port) for _ in range(MAX_CONNECTIONS + 50)]
        for _ in range(3):
            assert get(port, "/healthz")[0] == 200
        assert not is_ended(viewer, 0.5), "somebody who looks was put out"
        for one in (viewer, *silent):
            one.close()


def test_one_address_leaves_connections_to_others(desk: Desk) -> None:
    with serving(desk, per_address=4) as port:
        viewers = [connected(port) for _ in range(4)]
        for one in viewers:
            one.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in one.recv(4096)
        fifth, other = connected(port), connected(port, "127.0.0.2")
        assert is_ended(fifth)
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in other.recv(4096)
        assert not any(is_ended(one, 0.1) for one in viewers)
        for one in (*viewers, fifth, other):
            one.close()


@pytest.mark.parametrize("says", ["nothing", "half a request", "half a second request"])
def test_a_connection_without_a_request_is_ended(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.server.SILENT_S", 1.0)
    with serving(Desk(tmp_path / "spool")) as port, connected(port) as one, connected(port) as two:
        two.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if says == "half a second request":
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while b'"ok"' not in one.recv(4096):
                pass
        if says != "nothing":
            one.sendall(b"GET / HTTP/1.1\r\n")
        assert is_ended(one)
        assert not is_ended(two, 1.2), "an answer that goes on is no silence"


def test_a_connection_that_reads_nothing_of_an_answer_is_closed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the slow one, too, is silent from look to look: a busy machine must not stretch that so far
    monkeypatch.setattr("vfx_edge.service.web.server.SILENT_S", 3.0)
    job = desk.add(1)
    report = "x" * 20_000_000  # more than the buffers of both sides hold
    desk.judge(desk.take(), "malignant", [], report)
    asked = f"GET /study/{job}/report.html HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with serving(desk) as port, socket.socket() as slow, socket.socket() as none:
        for one in (slow, none):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            one.settimeout(HANG_S)
            one.connect(("127.0.0.1", port))
            one.sendall(asked)
            assert eventually(partial(_is_held, port, one))
        got = 0
        while _is_held(port, none):
            time.sleep(0.1)
            got += len(slow.recv(65536))
        assert got + _rest(slow) > len(report)
        assert _rest(none) < len(report), "it got all, although it took nothing for seconds"


def _is_held(port: int, one: socket.socket) -> bool:
    """Whether the server, in this process, still holds its end of a connection."""
    ends = psutil.Process().net_connections("tcp4")
    ours = one.getsockname()
    return any(end.laddr.port == port and end.raddr and end.raddr == ours for end in ends)


def _rest(connection: socket.socket) -> int:
    """How many bytes come until the connection ends."""
    got = 0
    with suppress(ConnectionError):
        while part := connection.recv(1 << 20):
            got += len(part)
    return got


@pytest.mark.parametrize("at", ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"])
def test_the_page_answers_to_its_own_names_only(at: str, tmp_path: Path) -> None:
    """Whatever it is bound to: a name of others that leads here is DNS rebinding."""
    there = "::1" if ":" in at else "127.0.0.1"
    own = ["127.0.0.1:80", "localhost", "LOCALHOST.:8080", "[::1]", "[::1]:8080", "10.1.2.3:8080"]
    if at in ("0.0.0.0", "[::]"):
        own += [socket.gethostname(), f"{socket.gethostname().upper()}:8080"]
    others = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[evil.example]", ""]
    try:
        socket.create_server((there, 0), family=socket.AF_INET6 if ":" in at else 2).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(Desk(tmp_path / "spool"), at=at) as port:
        assert [get(port, "/", name, there)[0] for name in own] == [200] * len(own)
        assert [get(port, "/", name, there)[0] for name in others] == [400] * len(others)


@needs_browser
@pytest.mark.parametrize(("language", "title"), [("en", "Worklist"), ("de", "Arbeitsliste")])
def test_a_browser_shows_what_changes_and_says_when_it_is_cut_off(
    language: str, title: str, tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.server.ALIVE_S", 1.0)
    monkeypatch.setattr("vfx_edge.service.web.live_list.STALE_S", 3.0)
    one_of_each(desk)
    log = tmp_path / "browser.log"
    with serving(desk, language) as port, log.open("wb") as stream, browser(stream) as shown:
        shown.open(f"http://localhost:{port}/")
        is_titled = lambda start: shown.evaluate("document.title").startswith(start)  # noqa: E731
        assert eventually(lambda: is_titled(f"(2) {title}"))
        shown.evaluate("window.stayed = true")
        desk.add(99, urgent=True)
        desk.judge(desk.take(), "malignant", ["L3"])
        assert eventually(lambda: is_titled(f"(3) {title}"))
        fresh = re.findall('data-key="(.+?)"', get(port, "/")[2])
        assert shown.evaluate(KEYS) == fresh, "as one who comes now sees it"
        assert shown.evaluate("window.stayed"), "it was loaded anew"
        assert b"CONSOLE" not in log.read_bytes()
        if language == "en":
            shutil.rmtree(desk.root)
            assert eventually(lambda: is_titled("! "))
