"""`vfx-edge bench` from outside: what it prints, writes and leaves behind, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import psutil
import pytest

from tests.bench.records import record, row
from tests.waiting import HANG_S, eventually
from vfx_edge.bench.parity import Parity
from vfx_edge.bench.record import Row, load_schema, write_record
from vfx_edge.cli import bench_show, main, parse
from vfx_edge.vocabulary import PRECISIONS

SMALL = ("--levels", "T12-L2", "--spacing", "3", "--matrix", "128")
ONCE = ("--repeat", "1", "--cold", "1", "--studies", "1")


@dataclass(frozen=True)
class Done:
    """A benchmark that was run once for all tests, and where."""

    stdout: str
    folder: Path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "vfx_edge", "bench", *map(str, words)]


def scratch(folder: Path) -> dict[str, str]:
    """An environment whose temporary files lie in `folder`."""
    folder.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("bench")
    files = ("--json", folder / "a.json", "--plot", folder / "a.svg")
    answer = subprocess.run(
        command(*SMALL, *ONCE, *files),
        env=scratch(folder / "tmp"),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=HANG_S,
    )
    assert answer.returncode == 0, answer
    assert answer.stderr == ""  # no terminal, no progress
    return Done(answer.stdout, folder)


def test_every_backend_here_stands_in_the_record(done: Done) -> None:
    value = json.loads((done.folder / "a.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(load_schema()).validate(value)
    measured = {each["backend"] for each in value["rows"]}
    missing = {each["name"] for each in value["unavailable"]}
    assert measured | missing == set(parse.local_backends()) - {"auto"}
    assert value["input"]["shape_zyx"][1:] == [128, 128]
    assert value["input"]["phantom"]["levels"] == ["T12", "L2"]
    (exact,) = (each for each in value["rows"] if each["backend"] == "cpu")
    assert exact["parity"]["verdict"] == "reference"
    for each in value["rows"]:
        seconds = [stage["median"] for stage in each["stages"].values()]
        study_s = each["warm"]["median"]
        assert sum(seconds) >= study_s - 1e-3, "what no stage accounts for is a stage, too"
        assert max(seconds) <= study_s + 1e-3
        assert each["stages"]["segment"]["median"] > 0
        if each is not exact:
            asked = {network["network"] for network in each["parity"]["networks"]}
            assert len(asked) == 5, "the phantom's fracture is classified, too"
    assert value["command"]["used"] == value["throughput"]["backend"] == value["rows"][0]["backend"]
    assert len(value["command"]["cold"]["seconds"]) == 1


def test_the_tables_tell_it_and_nothing_is_left_behind(done: Done) -> None:
    value = json.loads((done.folder / "a.json").read_text("utf-8"))
    for each in value["rows"]:
        (line, *_) = (
            words
            for words in map(str.split, done.stdout.splitlines())
            if words[:2] == [each["backend"], each["precision"]]
        )
        assert line[2].lstrip("~") == f"{each['warm']['median']:.2f}"
    assert "No advice: 1 warm run of a backend" in done.stdout
    assert str(done.folder) not in json.dumps(value)
    assert {path.name for path in done.folder.iterdir()} == {"a.json", "a.svg", "tmp"}
    assert list((done.folder / "tmp").iterdir()) == []


def workers_of(pid: int) -> list[psutil.Process]:
    """Those of its processes that measure: it asks the system's own programs, too, for a moment."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # it is gone already
            found += [child] if "vfx_edge.bench.worker" in child.cmdline() else []
    return found


@pytest.mark.usefixtures("receives_ctrl_c")
def test_stopped_with_ctrl_c_it_leaves_nothing(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGINT to send to another process")
    files = ("--json", tmp_path / "a.json", "--plot", tmp_path / "a.svg")
    with subprocess.Popen(
        command(*SMALL, *files),
        env=scratch(tmp_path / "tmp"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        workers: set[psutil.Process] = set()

        def measures() -> bool:
            workers.update(workers_of(process.pid))
            written = (tmp_path / "tmp").glob("vfx-edge-bench-*/out/*")
            return process.poll() is not None or (bool(workers) and any(written))

        assert eventually(measures)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=HANG_S)
    assert (process.returncode, stdout, stderr) == (130, "", "vfx-edge: stopped.\n")
    psutil.wait_procs(list(workers), timeout=HANG_S)
    assert not any(worker.is_running() for worker in workers)
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


def answer(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """`vfx-edge bench WORDS` in this process: its exit code."""
    monkeypatch.setattr(sys, "argv", ["vfx-edge", "bench", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--backend", "abacus"), 2),
        (("--backend", ","), 2),
        (("--precision", "fp7"), 2),
        (("--repeat", "0"), 2),
        (("--spacing", "0"), 2),
        (("--levels", "L5-T1"), 2),
        (("--plot", "a.pdf"), 2),
        (("--input", "x", "--slices", "9"), 2),
        (("compare", "a.json"), 2),
        (("compare", "absent.json", "absent.json"), 3),
        (("--model", "absent"), 4),
        (("--backend", "cpu", "--precision", "bf16"), 5),
        (("--json", "."), 6),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_what_cannot_be_measured_is_said_at_once(
    words: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer(monkeypatch, *words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vfx-edge: ")
    assert err.count("\n") == 1
    assert "--out" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_input_without_ct_ends_as_in_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert answer(monkeypatch, "--input", tmp_path / "absent") == 3
    assert (
        capsys.readouterr().err
        == f"vfx-edge: {tmp_path / 'absent'} does not exist: check the path.\n"
    )


def test_two_files_are_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    a = write_record(record(), tmp_path / "a.json")
    b = write_record(record(speed=1.5, seed=9), tmp_path / "b.json")
    assert answer(monkeypatch, "compare", a, b) == 0
    table = capsys.readouterr().out
    (line,) = (line for line in table.splitlines() if "warm study" in line)
    assert line.split()[-1] == "faster"
    assert answer(monkeypatch, "compare", a, b, "--json") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["lines"][0]["verdict"] == "faster"
    assert value["differences"] == []


def test_a_fast_wrong_one_is_not_recommended(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = row(speed=4.0, parity=Parity("DIFFERS", "L1 is not found"))
    bench_show.show_record(record(wrong, row("openvino", "fp32"), row("cpu", "fp32", 0.3)))
    shown = capsys.readouterr().out
    assert "openvino bf16: DIFFERS: L1 is not found" in shown
    assert "Fastest with the right answers on this CT: openvino fp32" in shown
    assert "openvino bf16, does not give them here" in shown
    bench_show.show_record(record(wrong))
    assert "none can be recommended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(), row("cpu", "fp32", 0.3)], "Fastest with the right answers on this CT: openvino"),
        ([row(), row("cpu", "fp32", 0.99)], "Not clearly slower: cpu fp32"),
        ([row()], "nothing to compare it with"),
        ([row(count=2), row("cpu", "fp32", 0.3)], "No advice: 2 warm runs"),
        ([row(busy=0.5), row("cpu", "fp32", 0.3)], "No advice: other programs"),
    ],
    ids=["clear", "close", "alone", "few", "busy"],
)
def test_advice_is_given_only_of_what_was_measured_often_enough(
    rows: list[Row], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench_show.show_record(record(*rows))
    shown = capsys.readouterr().out
    assert said in shown
    assert ("Fastest with the right answers" in shown) == said.startswith(("Fastest", "Not"))


def test_too_few_runs_show_a_dash_for_the_percentile(capsys: pytest.CaptureFixture[str]) -> None:
    bench_show.show_record(record(row(count=20), row("cpu", "fp32", 0.3, count=4)))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    many, few = (next(w for w in lines if w[:1] == [name]) for name in ("openvino", "cpu"))
    assert [word == "-" for word in many[-7:-5]] == [False, True]  # p95, p99
    assert [word == "-" for word in few[-7:-5]] == [True, True]


def test_the_precisions_that_can_be_asked_for_are_the_manifests() -> None:
    assert set(parse.PRECISIONS) == {"auto", *PRECISIONS}
