"""`vfx-edge evaluate --reader`: what is refused before anything runs, how it ends, what is read."""

import json
import signal
import socket
import sys
from pathlib import Path

import pytest
import typer

from tests.contract.conftest import call
from tests.reading.made import HEAD, NAMES, session, write_csv, written
from tests.reading.test_browser import command
from tests.waiting import HANG_S
from vfx_edge.cli import evaluate_reader
from vfx_edge.service.settings import ServiceUnusable

BARE = ["evaluate", "data", "--predictions", "him=data/predictions.csv", "-o", "out", "--quiet"]


@pytest.mark.parametrize(
    "name", ["", "Anna", "a b", "anna_aided", "a_2", "7", "../x", "a__b", "_a", "ä", "x" * 41, "-"]
)
def test_a_name_that_would_be_another_column_or_file_is_refused(name: str) -> None:
    with pytest.raises(typer.BadParameter, match="small letters"):
        evaluate_reader.asked(name, None, None, 0, "en")


def test_names_that_are_none_of_these_are_taken() -> None:
    for name in ("anna", "reader_a", "r2d2", "a1_b"):
        assert evaluate_reader.asked(name, None, None, 0, "de").reader == name
    with pytest.raises(typer.BadParameter, match="language"):
        evaluate_reader.asked(None, None, None, 0, "fr")


def test_without_the_extra_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_reader, "NEEDED", ("starlette", "no_such_package"))
    assert evaluate_reader.asked(None, None, None, 0, "en").reader == ""
    with pytest.raises(ServiceUnusable, match=r"pip install 'vfx-edge\[service\]'"):
        evaluate_reader.asked("anna", None, None, 0, "en")


def test_readings_of_several_readers_come_into_the_tables(tmp_path: Path) -> None:
    data = written(tmp_path / "data")
    for reader, answer in (("anna", "malignant"), ("bert", "osteoporotic")):
        one = session(data, tmp_path / "before", reader)
        while not one.finished.is_set():
            state = one.state()
            one.answer(state["number"], state["pass"] == "aided", answer, 2)
    done = call(*BARE, "--readings", "before/readings", cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert [one["reader"] for one in told["reading"]] == ["anna", "bert"]
    names = {"anna", "anna_aided", "bert", "bert_aided"}
    assert told["classification"]["readers"].keys() == names
    assert not list((tmp_path / "out").glob("readings")), "nobody read here"


@pytest.mark.thorough
def test_what_cant_be_read_is_one_sentence(tmp_path: Path) -> None:
    written(tmp_path / "data", count=2)
    one = session(tmp_path / "data", tmp_path / "out")
    one.answer(1, False, "uncertain", None)
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    other = ["evaluate", "data", "--predictions", "her=data/predictions.csv", "-o", "out"]
    for words, told in (
        ([*other, "--reader", "anna"], "another --out"),
        ([*BARE, "--reader", "bert", "--port", port], "another --port"),
        ([*BARE, "--reader", "Bert"], "small letters"),
    ):
        assert told in call(*words, cwd=tmp_path).assert_refused(2)
    write_csv(tmp_path / "data" / "labels.csv", HEAD, [(NAMES[0], "p", "L1", "intact")])
    assert "nothing to read" in call(*BARE, "--reader", "x", cwd=tmp_path).assert_refused(2)
    taken.close()


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C is sent otherwise")
def test_ctrl_c_ends_it_without_a_trace(tmp_path: Path) -> None:
    written(tmp_path / "data")
    with command(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not (tmp_path / "out" / "evaluation.json").exists()
