"""Whom the page answers, and for how long; and how a real browser shows it."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.service.nodes import connected, is_ended
from tests.service.worklists import Desk, get, one_of_each, serving
from tests.waiting import HANG_S, eventually
from vfx_edge.service.web.server import MAX_CONNECTIONS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
browser = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium browser on the PATH")


@contextmanager
def browsing(port: int, folder: Path) -> Iterator[Callable[[], str]]:
    """A browser that stays open at the page; gives what asks it for the page's title."""
    assert BROWSER is not None
    profile = folder / "profile"
    with (folder / "browser.log").open("w") as log:
        running = subprocess.Popen(
            [
                *(
                    BROWSER,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--remote-debugging-port=0",
                ),
                *("--enable-logging=stderr", f"--user-data-dir={profile}"),
                f"http://localhost:{port}/",
            ],
            stderr=log,
            stdout=log,
            env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": ""},
        )
        try:
            assert eventually((profile / "DevToolsActivePort").is_file)
            tools = int((profile / "DevToolsActivePort").read_text().split()[0])
            yield lambda: next(
                (page["title"] for page in json.loads(get(tools, "/json/list")[2])
                 if page["type"] == "page"), "",
            )  # fmt: skip
        finally:
            running.terminate()
            running.wait(HANG_S)


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


@browser
@pytest.mark.parametrize(("language", "title"), [("en", "Worklist"), ("de", "Arbeitsliste")])
def test_a_browser_shows_what_changes_and_says_when_it_is_cut_off(
    language: str, title: str, tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.server.ALIVE_S", 1.0)
    monkeypatch.setattr("vfx_edge.service.web.live_list.STALE_S", 3.0)
    one_of_each(desk)
    with serving(desk, language) as port, browsing(port, tmp_path) as shown:
        assert eventually(lambda: shown().startswith(f"(2) {title}")), shown()
        desk.add(99, urgent=True)
        desk.judge(desk.take(), "malignant", ["L3"])
        assert eventually(lambda: shown().startswith(f"(3) {title}")), shown()
        assert not re.findall("CONSOLE.*", (tmp_path / "browser.log").read_text())
        if language == "en":
            shutil.rmtree(desk.root)
            assert eventually(lambda: shown().startswith("! ")), shown()
