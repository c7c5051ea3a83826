"""A bug is told by its place in the program, in every thread, and never by what an error says."""

import logging
import sys
import threading
from contextlib import suppress

import pytest

from tests.waiting import HANG_S
from vfx_edge.cli import bugs
from vfx_edge.cli.serving import _Format, _ToStandardError

SECRET = "1950-01-02"


def _fails() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def test_the_trace_has_the_lines_and_not_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError) as caught:
        _fails()
    assert bugs.say(caught.value) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert SECRET not in shown.err
    for words in ("ValueError", "KeyError", "int(SECRET)", "test_bugs.py", "please report"):
        assert words in shown.err


def test_in_a_thread_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", bugs._in_thread)
    thread = threading.Thread(target=_fails)
    thread.start()
    thread.join(HANG_S)
    shown = capsys.readouterr().err
    assert "KeyError" in shown
    assert SECRET not in shown


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
def test_a_log_that_can_t_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that analyses and the one that receives both log, in between."""
    log = logging.Logger("vfx_edge.service")
    handler = _ToStandardError()
    log.addHandler(handler)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        log.warning("done")
        assert bugs.say(KeyError(SECRET)) == 1
        monkeypatch.undo()
        with suppress(OSError):  # of the lines that wait in it
            full.close()


def test_a_library_s_lines_are_not_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.Logger("root")
    handler = _ToStandardError()
    handler.setFormatter(_Format("%(levelname)s %(message)s"))
    for name in ("vfx_edge.service", "asyncio"):
        log = logging.Logger(name)
        log.parent = root
        log.addHandler(handler)
        log.warning("%s of %s", SECRET if name == "asyncio" else "a line", name)
        try:
            _fails()
        except KeyError:
            log.exception("failed" if name != "asyncio" else SECRET)
    shown = capsys.readouterr().err
    assert SECRET not in shown
    assert "WARNING a line of vfx_edge.service" in shown
    assert "an error in asyncio (test_bugs line" in shown
    assert "KeyError" in shown
