"""How soon the worklist page is painted: from the request to what a real browser shows."""

import http.client
import resource
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import options
from benchmarks.browser import Browser, browser
from benchmarks.results import Kept
from tests.service.worklists import Desk, serving

TIERS = (
    *(*(["none_suspected"] * 14), *(["osteoporotic"] * 3)),
    *("uncertain", "malignant", "not_assessable"),
)
"""Of twenty studies in turn."""
MEMORY = Path("/dev/shm")
"""Where flushing thousands of files takes no time: it is not what is measured."""
DAY_MIN = 23 * 60
SETTLE_S = 1.5
"""What the page still does of itself is counted, too: the first event's list, if it sends one."""
_PAINTED = """new Promise((done) => {
  const painted = () => requestAnimationFrame(() => setTimeout(() => done(performance.now())));
  if (document.readyState === "complete") painted(); else addEventListener("load", painted);
})"""
_FACTS = """({
  first_s: performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000,
  answered_s: performance.getEntriesByType("navigation")[0].responseEnd / 1000,
  bytes: performance.getEntriesByType("navigation")[0].transferSize,
  rows: document.querySelectorAll("tr[data-key]").length,
})"""
_CHANGED = """new Promise((done) => {
  new MutationObserver(() => requestAnimationFrame(() => setTimeout(done)))
    .observe(document.getElementById("list"), {childList: true, subtree: true});
})"""
_SETTLED = f"new Promise((done) => setTimeout(done, {SETTLE_S * 1000:.0f}))"


def command(
    studies: Annotated[int, typer.Option(help="Studies of the last day.", min=1)] = 2000,
    repeat: options.Repeat = 9,
) -> None:
    """The worklist page in a real browser: from the request to the list on the screen."""
    options.needs("uvicorn", "filelock", "pynetdicom")
    kept = Kept("page", {"studies": studies, "repeat": repeat})
    kept.finish(kept.point("page", measured, studies, repeat))


def measured(studies: int, repeat: int) -> dict[str, Any]:
    """Seconds from the request to the first paint and to the whole list; processor seconds of the
    browser for it, and for one change; bytes of both."""
    with ExitStack() as running:
        spool = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        desk = _desk(studies, Path(running.enter_context(spool)))
        port = running.enter_context(serving(desk))
        shown = running.enter_context(browser())
        loads = [_loaded(shown, port) for _ in range(repeat + 1)][1:]
        changes = [_changed(shown, desk, port, studies + n) for n in range(1, repeat + 1)]
    runs = [*loads, *changes]
    names = {name for run in runs for name in run}
    return {name: [run[name] for run in runs if name in run] for name in sorted(names)}


def _desk(studies: int, folder: Path) -> Desk:
    """A spool full of the last day's studies."""
    desk = Desk(folder / "spool")
    for number in range(1, studies + 1):
        desk.add(number, minutes_ago=number * DAY_MIN / studies)
        tier = TIERS[number % len(TIERS)]
        levels = [] if tier in ("none_suspected", "not_assessable") else ["T10", "L1"]
        desk.judge(desk.take(), tier, levels)
    return desk


def _loaded(shown: Browser, port: int) -> dict[str, float]:
    before = shown.cpu_s()
    own = _own_cpu_s()
    shown.open(f"http://localhost:{port}/")
    painted_ms = shown.evaluate(_PAINTED)
    shown.evaluate(_SETTLED)
    facts: dict[str, float] = shown.evaluate(_FACTS)
    spent = {"browser_cpu_s": shown.cpu_s() - before, "server_cpu_s": _own_cpu_s() - own}
    return {**facts, "painted_s": painted_ms / 1000, **spent}


def _changed(shown: Browser, desk: Desk, port: int, number: int) -> dict[str, float]:
    """One more study comes while the page is open."""
    events = http.client.HTTPConnection("127.0.0.1", port)
    program = shown.evaluate("document.body.dataset.version").partition("-")[0]
    events.request("GET", f"/events?has={program}-", headers={"Host": "localhost"})
    answer = events.getresponse()
    _event_bytes(answer)  # the whole list, for a page of this program that has none
    before = shown.cpu_s()
    shown.evaluate(f"void (window.changed = {_CHANGED})")
    desk.add(number, minutes_ago=0)
    shown.evaluate("window.changed")
    size = _event_bytes(answer)
    events.close()
    return {"change_bytes": size, "change_cpu_s": shown.cpu_s() - before}


def _event_bytes(answer: http.client.HTTPResponse) -> int:
    """Of the next event with rows."""
    while True:
        line = answer.readline()
        if line.startswith(b"data:") and len(line) > len(b"data: 1\r\n"):
            return len(line)


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
