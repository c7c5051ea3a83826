"""A person reads three cases in a real browser; the server is killed half way; the tables have it
all."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from benchmarks.browser import PROGRAM, Browser, browser
from tests.contract.conftest import call
from tests.reading.made import HEAD, LEVELS, NAMES, lines, session, write_csv, written
from tests.waiting import HANG_S, eventually
from vfx_edge.reading.server import PageServer
from vfx_edge.scoring.figures import load_schema
from vfx_edge.scoring.readings import CALLS

pytestmark = pytest.mark.skipif(not PROGRAM, reason="needs a Chromium browser on the PATH")
READY = "document.body.dataset.ready || ''"
BRIGHTEST = """(() => {
  const image = document.querySelector("#view-axial img");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const paper = canvas.getContext("2d");
  paper.drawImage(image, 0, 0);
  const dots = paper.getImageData(0, 0, canvas.width, canvas.height).data;
  return Math.max(...dots.filter((_, i) => i % 4 === 0));
})()"""


@contextmanager
def command(home: Path, *more: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`vfx-edge evaluate --reader anna`, and the address that it tells."""
    words = ["evaluate", "data", "--predictions", "him=data/predictions.csv", "-o", "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vfx_edge", *words, "--reader", "anna", *more],
        cwd=home, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "/start/" in line, line + process.stderr.read()
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def press(page: Browser, *keys: str) -> None:
    """Real keys, as a keyboard sends them."""
    for key in keys:
        code = {"Enter": 13, "ArrowDown": 40}.get(key, ord(key[0].upper()))
        text = {"text": "\r" if key == "Enter" else key} if key != "ArrowDown" else {}
        of = {"key": key, "windowsVirtualKeyCode": code}
        page._call("Input.dispatchKeyEvent", type="keyDown", **of, **text)
        page._call("Input.dispatchKeyEvent", type="keyUp", **of)


def comes(page: Browser, state: str) -> bool:
    return eventually(lambda: page.evaluate(READY) == state)


def read_case(page: Browser, number: int, *answers: str) -> None:
    for which, answer in zip(("unaided", "aided"), answers, strict=False):
        assert comes(page, f"{number} {which}"), page.evaluate("document.body.innerText")
        assert page.evaluate("document.getElementById('program').hidden") == (which == "unaided")
        press(page, answer, *("+++" if answer in "12" and which == "unaided" else ""), "Enter")


def test_a_case_is_read_in_a_browser(tmp_path: Path) -> None:
    one = session(written(tmp_path / "data", count=1), tmp_path)
    server, log = PageServer(one, "en"), tmp_path / "browser.log"
    with log.open("wb") as stream, browser(stream) as page:
        page.open(server.address)
        assert comes(page, "1 unaided")
        text = page.evaluate("document.documentElement.outerHTML")
        assert not any(name in text for name in (NAMES[0], LEVELS[0]))
        _looks(page)
        read_case(page, 1, "2", "1")
        assert comes(page, "done")
        assert one.finished.is_set()
    server.stop()
    assert b"CONSOLE" not in log.read_bytes()
    kept = [line["answer"] for line in lines(tmp_path / "readings" / "anna.csv")]
    assert kept == ["shown", "malignant", "shown", "osteoporotic"]


def test_a_pause_while_the_next_pictures_come_is_no_fault_and_no_time(tmp_path: Path) -> None:
    one = session(written(tmp_path / "data", count=1), tmp_path)
    server, log = PageServer(one, "en"), tmp_path / "browser.log"
    with log.open("wb") as stream, browser(stream) as page:
        page.open(server.address)
        assert comes(page, "1 unaided")
        page.evaluate("pick('answer', 'uncertain'), send(), pause(), 0")
        assert comes(page, "1 aided")
        assert page.evaluate("document.getElementById('case').hidden")
        assert page.evaluate("document.getElementById('alert').hidden")
        assert not one._clock.began
        page.evaluate("document.getElementById('resume').click()")
        assert eventually(lambda: one._clock.began)
        page.evaluate("send(), 0")
        assert comes(page, "done")
    server.stop()
    assert b"CONSOLE" not in log.read_bytes()


@pytest.mark.thorough
def test_three_cases_are_read_over_a_kill_and_the_tables_have_them(tmp_path: Path) -> None:
    _three_phantoms(tmp_path)
    log = tmp_path / "browser.log"
    with log.open("wb") as stream, browser(stream) as page:
        with command(tmp_path, "--reader-seed", "3") as (process, address):
            page.open(address)
            read_case(page, 1, "2", "1")
            assert comes(page, "2 unaided")
            press(page, "4", "Enter")
            assert comes(page, "2 aided")
            process.send_signal(signal.SIGKILL)
            process.wait(HANG_S)
            press(page, "2", "+", "Enter")
            assert eventually(lambda: not page.evaluate("document.getElementById('alert').hidden"))
        with command(tmp_path, "--language", "de") as (process, address):
            page.open(address)
            read_case_aided(page)
            read_case(page, 3, "1", "1")
            assert comes(page, "done")
            assert "Danke" in page.evaluate("document.body.innerText")
            assert process.wait(HANG_S) == 0
    console = [line for line in log.read_bytes().split(b"\n") if b"CONSOLE" in line]
    assert all(b"ERR_CONNECTION" in line or b"ERR_EMPTY" in line for line in console), console
    _check_tables(tmp_path / "out")


def _three_phantoms(home: Path) -> None:
    """The first three fractures of a cohort, and a program that is sure of all of them."""
    made = call("phantom", "data", "--studies", 3, "--seed", 3, cwd=home)
    assert made.code == 0, made
    table = [row for row in lines(home / "data" / "labels.csv") if row["label"] in CALLS][:3]
    write_csv(home / "data" / "labels.csv", HEAD, [[row[name] for name in HEAD] for row in table])
    said = [(row["study"], row["level"], 0.9, "malignant") for row in table]
    write_csv(home / "data" / "predictions.csv", ("study", "level", "p_malignant", "tier"), said)


def read_case_aided(page: Browser) -> None:
    """The pass in which the server was killed, anew."""
    assert comes(page, "2 aided")
    assert page.evaluate("document.querySelector('[name=answer]:checked').value") == "cannot_tell"
    press(page, "2", "+", "+", "Enter")


def _looks(page: Browser) -> None:
    """Other slices and windows, by keys and by wheel; other pictures come, without any request to
    elsewhere."""
    assert page.evaluate(BRIGHTEST) > 150
    at = "document.querySelector('#view-axial output').textContent"
    page.evaluate("document.getElementById('view-axial').focus()")
    press(page, "ArrowDown", "ArrowDown")
    assert page.evaluate(at) == "2 mm"
    page.evaluate(
        "document.getElementById('view-axial').dispatchEvent("
        "new WheelEvent('wheel', {deltaY: -1, cancelable: true}))"
    )
    assert page.evaluate(at) == "1 mm"
    press(page, "w")
    pressed = "document.querySelector('[data-window=soft]').getAttribute('aria-pressed')"
    assert page.evaluate(pressed) == "true"
    # no answer without a choice, and none of the two causes without a confidence
    press(page, "Enter")
    assert page.evaluate("document.getElementById('missing').textContent") != ""
    press(page, "1", "Enter")
    assert page.evaluate("document.getElementById('missing').textContent") != ""
    assert page.evaluate(READY) == "1 unaided"
    page.evaluate("document.getElementById('pause').click()")
    assert page.evaluate("document.getElementById('case').hidden")
    page.evaluate("document.getElementById('resume').click()")
    assert not page.evaluate("document.getElementById('case').hidden")
    nodes = page._call("Accessibility.getFullAXTree")["nodes"]
    seen = [(node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes if not node["ignored"]]  # fmt: skip
    assert sum(role == "radio" for role, _ in seen) == 9
    asked = ("radio", "button", "radiogroup", "group", "image")
    assert all(name for role, name in seen if role in asked), "a control without a name"
    names = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert all(name.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:")) for name in names)


def _check_tables(out: Path) -> None:
    kept = [one for one in lines(out / "readings" / "anna.csv") if one["answer"] != "shown"]
    said = [(one["pass"], one["answer"], one["confidence"]) for one in kept]
    assert said == [
        ("unaided", "malignant", "3"), ("aided", "osteoporotic", "3"),
        ("unaided", "cannot_tell", ""), ("aided", "malignant", "2"),
        ("unaided", "osteoporotic", "3"), ("aided", "osteoporotic", "3"),
    ]  # fmt: skip
    assert [bool(one["seconds"]) for one in kept] == [True, True, True, False, True, True]
    told: dict[str, Any] = json.loads((out / "evaluation.json").read_text("utf-8"))
    Draft202012Validator(dict(load_schema())).validate(told)
    readers = told["classification"]["readers"]
    assert {name: one["n"] for name, one in readers.items()} == {"anna": 2, "anna_aided": 3}
    one = told["reading"][0]
    assert (one["reader"], one["cases"], one["both"]) == ("anna", 3, 2)
    assert (one["unaided"]["read"], one["unaided"]["cannot_tell"]) == (3, 1)
    assert (one["unaided"]["seconds"]["n"], one["aided"]["seconds"]["n"]) == (3, 2)
    assert sum(one["changed"].values()) == 3
    compared = {(c["one"], c["other"]) for c in told["comparisons"]}
    assert compared == {("him", "reader anna"), ("him", "reader anna_aided")}
    page = (out / "evaluation.html").read_text("utf-8")
    assert "Readers without and with" in page
    table = lines(out / "vertebrae.csv")
    assert {"reader_anna", "reader_anna_aided"} <= table[0].keys()
