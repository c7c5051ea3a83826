"""Workers that measure: asked step by step, failing in every way, and never left behind."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from vfx_edge.bench.processes import ProcessFailed, Worker, timed, worker
from vfx_edge.errors import BackendError, InputError

PLAYED = "tests.bench.played_worker"


@contextmanager
def played(do: str, folder: Path, limit_s: float | None = None) -> Iterator[Worker]:
    with worker(PLAYED, {"do": do}, folder, limit_s) as running:
        yield running


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_each_step_is_asked_for(tmp_path: Path) -> None:
    with played("count", tmp_path) as running:
        assert [running.ask()["number"] for _ in range(2)] == [0, 1]
        running.send(b"\n")
        note, counted, done = running.events
    assert note == {"event": "note", "level": logging.INFO, "text": "building 2"}
    assert (counted["number"], done["event"]) == (2, "done")


def test_its_own_failure_is_raised_as_what_it_is(tmp_path: Path) -> None:
    with played("refuse", tmp_path) as running, pytest.raises(BackendError, match="no card"):
        running.answer()


@pytest.mark.parametrize(
    ("do", "words"),
    [("break", "ended with code 1: RuntimeError: no such thing"), ("crash", "signal|code")],
)
def test_a_worker_that_died_is_named(do: str, words: str, tmp_path: Path) -> None:
    with played(do, tmp_path) as running:
        *before, last = running.events
    assert [event["event"] for event in before] == ["engine"] * (do == "crash")
    assert last["event"] == "crashed"
    assert re.search(words, last["message"])
    with played("break", tmp_path) as running, pytest.raises(ProcessFailed, match="played_worker"):
        running.answer()


def test_what_hangs_is_ended_at_its_limit(tmp_path: Path) -> None:
    with played("hang", tmp_path, limit_s=1) as running:
        *_, last = running.events
    assert last == {"event": "crashed", "message": "stopped after 1 s"}


def test_a_worker_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with played("hang", tmp_path) as running:
        assert running.answer()["role"] == "locator"
        (process,) = set(psutil.Process().children()) - before
        running.close()
        assert eventually(lambda: ended(process))


def test_a_programs_own_sentence_is_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: check the path"):
        timed(["vfx_edge", "run", str(tmp_path / "absent")], tmp_path)
    with pytest.raises(ProcessFailed, match=r"`absent_module` gave no result \(exit code 1"):
        timed(["absent_module"], tmp_path)
