"""The worklist page: what it says, what it does not, and how a real browser shows it."""

import http.client
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pydicom
import pytest

from tests.service.studies import write_slice
from tests.service.worklists import Desk, get, one_of_each, serving
from tests.waiting import HANG_S, eventually, lasts
from vfx_edge.service.settings import ServiceUnusable
from vfx_edge.service.web.live_list import LiveList
from vfx_edge.service.web.metrics import Metrics
from vfx_edge.service.web.rendering import PageRenderer
from vfx_edge.service.web.server import _LOAD_ANEW, HttpServer


def test_the_list_is_sorted_by_urgency_and_says_every_state(desk: Desk) -> None:
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


def test_what_comes_from_a_file_is_only_ever_text(desk: Desk) -> None:
    desk.add(1)
    desk.judge(desk.take(), "malignant", ["<script>alert(1)</script>"])
    with serving(desk) as port:
        _, headers, page = get(port, "/")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_report_and_only_the_report_is_served(desk: Desk) -> None:
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


def test_health_and_metrics_tell_numbers_and_no_study(desk: Desk) -> None:
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


def test_what_an_earlier_process_has_judged_is_not_counted_again(desk: Desk) -> None:
    """Prometheus takes a counter that does not begin at 0 for so many studies at once."""
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
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.live_list.STUCK_S", 1.0)
    monkeypatch.setattr("vfx_edge.service.web.live_list.STALE_S", HANG_S)
    with serving(desk) as port:
        desk.add(1)
        is_well = lambda: get(port, "/healthz")[::2] == (200, '{"status":"ok"}')  # noqa: E731
        assert lasts(is_well, 1.2), "what waits is not stuck"
        job = desk.take()
        assert eventually(lambda: get(port, "/healthz")[::2] == (503, '{"status":"stuck"}'))
        desk.judge(job, "malignant", [])
        assert eventually(lambda: get(port, "/healthz")[0] == 200)


def test_the_address_is_logged_so_that_it_can_be_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vfx_edge")
    try:
        with serving(Desk(tmp_path / "spool"), at="[::1]") as port:
            assert f"http://[::1]:{port}/" in caplog.text
    except ServiceUnusable:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_says_why_results_were_not_sent(language: str, desk: Desk) -> None:
    """In English, whatever the page's language, and it says so."""
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
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.live_list.STALE_S", 1.0)
    with serving(desk) as port:
        shutil.rmtree(desk.root)
        assert eventually(lambda: get(port, "/healthz")[0] == 503)


def test_an_address_that_cannot_be_used_is_said(desk: Desk) -> None:
    with serving(desk) as port:
        for address in (f"127.0.0.1:{port}", "nonsense", "127.0.0.1:99999"):
            with pytest.raises(ServiceUnusable, match=re.escape(address)):
                HttpServer(address, "en", desk.worklist, Metrics()).start()


@pytest.mark.parametrize("has", ["", "?has=0123456789abcdef", "?has=0123-4567"])
def test_a_page_of_another_version_is_to_load_itself_anew(has: str, desk: Desk) -> None:
    """One that is still open after an upgrade can't show the rows of this one. That of before
    versions takes what comes for its list."""
    with serving(desk) as port, _events(port, has) as answer:
        assert _next_rows(answer) == f"data: {json.dumps(_LOAD_ANEW)}"


def test_changes_come_without_asking_again(desk: Desk) -> None:
    with serving(desk) as port:
        program = re.search('data-version="(.+?)-', get(port, "/")[2])
        assert program is not None
        with _events(port, f"?has={program[1]}-") as answer:
            assert _next_rows(answer).count("<tr class=") == 0
            desk.add(1)
            assert "Waiting" in _next_rows(answer)
            job = desk.take()
            assert "Being analysed" in _next_rows(answer)
            desk.judge(job, "malignant", ["T12"])
            assert "Malignant fracture suspected" in _next_rows(answer)


@contextmanager
def _events(port: int, has: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)) as connection:
        connection.request("GET", f"/events{has}", headers={"Host": "localhost"})
        with connection.getresponse() as answer:
            yield answer


def _next_rows(answer: http.client.HTTPResponse) -> str:
    event = ""
    while line := answer.readline().decode():
        line = line.strip()
        if line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:") and event == "rows":
            return line
    raise AssertionError("the events have ended")
