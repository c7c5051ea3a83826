"""The worklist page: what it says, what it does not, and how a real browser shows it."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pydicom
import pytest

from tests.service.nodes import connected, is_ended
from tests.service.studies import write_slice
from tests.service.worklists import Desk, one_of_each
from tests.waiting import HANG_S, eventually, lasts
from vfx_edge.service.web.live_list import LiveList
from vfx_edge.service.web.metrics import Metrics
from vfx_edge.service.web.rendering import PageRenderer
from vfx_edge.service.web.server import MAX_CONNECTIONS, CannotServe, HttpServer

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
browser = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium browser on the PATH")


@contextmanager
def serving(desk: Desk, language: str = "en", at: str = "127.0.0.1") -> Iterator[int]:
    """The page on a free port, which is given."""
    server = HttpServer(f"{at}:0", language, desk.worklist, Metrics())
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def get(
    port: int, path: str, host: str = "localhost", at: str = "127.0.0.1"
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body."""
    connection = http.client.HTTPConnection(at, port, timeout=HANG_S)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    body = answer.read().decode()
    connection.close()
    return answer.status, headers, body


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


def test_the_list_is_sorted_by_urgency_and_says_every_state(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "spool")
    one_of_each(desk)
    with serving(desk) as port:
        status, _, page = get(port, "/")
    assert status == 200
    states = re.findall(r'data-key="[0-9a-f]+-(\w+)"', page)
    assert states == [
        *("malignant", "uncertain", "failed", "osteoporotic", "not_assessable"),
        *("running", "retry", "waiting", "receiving", "none_suspected"),
    ]
    for said in (
        "T10 (or T11), L2",
        '<td class="levels">T2–T4</td>',
        "NOT sent to ARCHIVE",
        "No CT series can be read",
        "not for diagnosis",
    ):
        assert said in page


@pytest.mark.parametrize("asked_for", [False, True])
def test_accession_numbers_only_where_they_are_asked_for(tmp_path: Path, asked_for: bool) -> None:
    """Also of a study that could not be analysed, which somebody has to find."""
    desk = Desk(tmp_path, show_accession=asked_for)
    for number, place in ((1, "out/sc"), (2, "in")):
        job = desk.add(number)
        folder = tmp_path / "studies" / job / place
        folder.mkdir(parents=True)
        write_slice(folder / "a.dcm", "1.2", "1.2.3", 1)
        header = pydicom.dcmread(folder / "a.dcm")
        header.AccessionNumber = f"<A-{number}>"
        header.save_as(folder / "a.dcm")
    desk.add(3)
    with serving(desk) as port:
        _, _, page = get(port, "/")
    assert [f"&lt;A-{number}&gt;" in page for number in (1, 2)] == [asked_for] * 2
    assert f"{3:010x}" in page
    assert ("no patient's data is shown here" in page.replace("&#39;", "'")) != asked_for


def test_what_comes_from_a_file_is_only_ever_text(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "spool")
    desk.add(1)
    desk.judge(desk.take(), "malignant", ["<script>alert(1)</script>"])
    with serving(desk) as port:
        _, headers, page = get(port, "/")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_report_and_only_the_report_is_served(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "spool")
    job = desk.add(1)
    desk.judge(desk.take(), "osteoporotic", ["L1"], report="<h1>the report</h1>")
    with serving(desk) as port:
        status, headers, body = get(port, f"/study/{job}/report.html")
        assert (status, body) == (200, "<h1>the report</h1>")
        assert "sandbox" in headers["content-security-policy"]
        for path in (
            f"/study/{2:024x}/report.html",
            "/study/..%2f..%2fjob/report.html",
            f"/study/{job}/job.json",
            "/static/..%2f..%2fhttp.py",
            "/static/page.html.j2",
            "/docs",
        ):
            assert get(port, path)[0] == 404, path
        assert get(port, "/", host="evil.example")[0] == 400, "another's name for this machine"


def test_health_and_metrics_tell_numbers_and_no_study(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "spool")
    with serving(desk) as port:
        one_of_each(desk)
        assert get(port, "/healthz")[0] == 200
        counted = 'vfx_edge_studies_total{tier="not_assessable"} 1.0'
        assert eventually(lambda: counted in get(port, "/metrics")[2])
        status, _, text = get(port, "/metrics")
    assert status == 200
    for line in (
        'vfx_edge_studies_total{tier="malignant"} 1.0',
        'vfx_edge_queue{queue="jobs",state="dead"} 1.0',
        'vfx_edge_queue{queue="jobs",state="done"} 5.0',
        'vfx_edge_queue{queue="sends",state="dead"} 1.0',
        'vfx_edge_stage_seconds_sum{stage="segment"} 37.5',
        "vfx_edge_receiving_studies 1.0",
    ):
        assert line in text.splitlines()
    assert "0000000002" not in text


def test_what_an_earlier_process_has_judged_is_not_counted_again(tmp_path: Path) -> None:
    """Prometheus takes a counter that does not begin at 0 for so many studies at once."""
    desk = Desk(tmp_path / "spool")
    one_of_each(desk)
    metrics = Metrics()
    live = LiveList(desk.worklist, metrics, PageRenderer("en"))

    def judged() -> str:
        live.refresh()
        (line,) = (s for s in metrics.text().decode().splitlines() if 'r="malignant"}' in s)
        return line.split()[-1]

    assert judged() == "0.0"
    again = f"{2:024x}"
    desk.jobs.retry(again)
    assert judged() == "0.0"
    desk.take()
    assert judged() == "0.0"
    desk.judge(again, "malignant", ["T10"])
    assert judged() == "1.0"
    desk.sending(again, "LATE")
    assert judged() == "1.0"


def test_health_tells_of_work_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.live_list.STUCK_S", 1.0)
    desk = Desk(tmp_path / "spool")
    with serving(desk) as port:
        desk.add(1)
        is_well = lambda: get(port, "/healthz")[::2] == (200, '{"status":"ok"}')  # noqa: E731
        assert lasts(is_well, 1.2), "what waits is not stuck"
        job = desk.take()
        assert eventually(lambda: get(port, "/healthz")[::2] == (503, '{"status":"stuck"}'))
        desk.judge(job, "malignant", [])
        assert eventually(lambda: get(port, "/healthz")[0] == 200)


def test_health_is_told_however_many_connections_say_nothing(tmp_path: Path) -> None:
    """The health check restarts what does not answer it."""
    desk = Desk(tmp_path / "spool")
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


def test_who_takes_nothing_of_an_answer_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.server.SILENT_S", 0.5)
    desk = Desk(tmp_path / "spool")
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
            assert eventually(lambda one=one: _is_held(port, one))
        got = 0
        while _is_held(port, none):
            time.sleep(0.02)
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


def test_the_address_is_logged_so_that_it_can_be_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vfx_edge")
    try:
        with serving(Desk(tmp_path / "spool"), at="[::1]") as port:
            assert f"http://[::1]:{port}/" in caplog.text
    except CannotServe:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_says_why_results_were_not_sent(language: str, tmp_path: Path) -> None:
    """In English, whatever the page's language, and it says so."""
    desk = Desk(tmp_path / "spool")
    one_of_each(desk)
    desk.sending(f"{4:024x}", "LATE")
    desk.sends.take("LATE")
    desk.sends.retry_later(f"{4:024x}@LATE", "LATE: it is <down>.", 60)
    with serving(desk, language) as port:
        _, _, page = get(port, "/")
    mark = ' lang="en"' if language == "de" else ""
    for why in ("ARCHIVE can&#39;t be reached: is it running?", "LATE: it is &lt;down&gt;."):
        assert f'<p class="why"{mark}>{why}</p>' in page
    assert f'<p class="note"{mark}>No CT series can be read: send the study again.</p>' in page
    assert page.count('<p class="note">') >= 5, "what is in the page's language needs no mark"


def test_health_tells_when_the_spool_can_no_longer_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.live_list.STALE_S", 1.0)
    desk = Desk(tmp_path / "spool")
    with serving(desk) as port:
        shutil.rmtree(tmp_path / "spool")
        assert eventually(lambda: get(port, "/healthz")[0] == 503)


def test_an_address_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "spool")
    with serving(desk) as port:
        for address in (f"127.0.0.1:{port}", "nonsense", "127.0.0.1:99999"):
            with pytest.raises(CannotServe, match=re.escape(address)):
                HttpServer(address, "en", desk.worklist, Metrics()).start()


def test_changes_come_without_asking_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "spool")
    with serving(desk) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
        connection.request("GET", "/events", headers={"Host": "localhost"})
        answer = connection.getresponse()
        assert _next_rows(answer).count("<tr class=") == 0
        desk.add(1)
        assert "Waiting" in _next_rows(answer)
        job = desk.take()
        assert "Being analysed" in _next_rows(answer)
        desk.judge(job, "malignant", ["T12"])
        assert "Malignant fracture suspected" in _next_rows(answer)
        connection.close()


def _next_rows(answer: http.client.HTTPResponse) -> str:
    event = ""
    while True:
        line = answer.readline().decode().strip()
        if line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:") and event == "rows":
            return line


@browser
@pytest.mark.parametrize(("language", "title"), [("en", "Worklist"), ("de", "Arbeitsliste")])
def test_a_browser_shows_what_changes_and_says_when_it_is_cut_off(
    language: str, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.server.ALIVE_S", 1.0)
    monkeypatch.setattr("vfx_edge.service.web.live_list.STALE_S", 3.0)
    desk = Desk(tmp_path / "spool")
    one_of_each(desk)
    with serving(desk, language) as port, browsing(port, tmp_path) as shown:
        assert eventually(lambda: shown().startswith(f"(2) {title}")), shown()
        desk.add(99, urgent=True)
        desk.judge(desk.take(), "malignant", ["L3"])
        assert eventually(lambda: shown().startswith(f"(3) {title}")), shown()
        assert not re.findall("CONSOLE.*", (tmp_path / "browser.log").read_text())
        if language == "en":
            shutil.rmtree(tmp_path / "spool")
            assert eventually(lambda: shown().startswith("! ")), shown()
