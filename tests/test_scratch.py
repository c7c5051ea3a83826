"""Nothing unfinished outlives its process: not by a signal, and after a kill until the next run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANG_S
from vfx_edge.files import replacing, write_text
from vfx_edge.outputs.kinds import FolderBusy, result_set
from vfx_edge.scratch import HIDDEN, SHOWN, private_folder, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of POSIX")

WRITER = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests in the background hand on that they ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)
from vfx_edge.cli.stopping import tidy_end
from vfx_edge.files import replacing, write_text
from vfx_edge.outputs.kinds import result_set

folder = Path(sys.argv[1])
with tidy_end(), result_set(folder):
    write_text(folder / "report.html", "whole, but of a set that is not")
    with replacing(folder / "seg.dcm") as part:
        part.write_text("half")
        print("ready", flush=True)
        time.sleep(600)
"""


def stopped_while_writing(folder: Path, number: signal.Signals) -> int:
    """The exit code of a process that is sent the signal in the middle of its results."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        return process.wait(HANG_S)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_in_the_middle_of_the_results_leaves_none(tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    code = stopped_while_writing(tmp_path / "out", number)
    assert code in (128 + number, -number)
    assert os.listdir(tmp_path / "out") == []


def test_what_a_kill_leaves_is_closed_to_others_and_goes_with_the_next_run(tmp_path: Path) -> None:
    assert stopped_while_writing(tmp_path, signal.SIGKILL) == -signal.SIGKILL
    hidden = list(tmp_path.glob(f"{HIDDEN}*"))
    assert len(hidden) == 2, "the mark of the set, and the file's own"
    assert {path.stat().st_mode & 0o777 for path in hidden} == {0o700}
    write_text(tmp_path / "mine.txt", "a stranger's")
    with result_set(tmp_path):
        write_text(tmp_path / "result.json", "{}")
    assert sorted(os.listdir(tmp_path)) == ["mine.txt", "result.json"], "its report is gone, too"


def test_what_lives_or_is_not_surely_ours_is_never_swept(tmp_path: Path) -> None:
    others = {
        "open to all": tmp_path / "vfx-edge-0123456789abcdef.part",
        "another name": tmp_path / "vfx-edge-study",
        "a file": tmp_path / "vfx-edge-0123456789abcdee.part",
        "a link": tmp_path / "vfx-edge-0123456789abcded.part",
    }
    others["open to all"].mkdir(mode=0o755)
    others["another name"].mkdir(mode=0o700)
    others["a file"].write_text("")
    others["a link"].symlink_to(others["another name"])
    with private_folder(tmp_path, SHOWN) as alive:
        assert not sweep(tmp_path)
        assert alive.is_dir()
    assert sorted(path.name for path in others.values()) == sorted(os.listdir(tmp_path))


def _fail_half_way(folder: Path) -> None:
    with result_set(folder):
        write_text(folder / "report.html", "whole")
        raise RuntimeError


def test_a_failure_takes_the_whole_set_back_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "mine.txt", "stays")
    with pytest.raises(RuntimeError):
        _fail_half_way(tmp_path)
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_one_run_at_a_time_writes_into_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.outputs.kinds.PATIENCE_S", 0.0)
    refused = pytest.raises(FolderBusy, match="choose another folder")
    with result_set(tmp_path), refused, result_set(tmp_path):
        pass
    with result_set(tmp_path), replacing(tmp_path / "a.txt") as part:
        part.write_text("its turn")
    assert os.listdir(tmp_path) == ["a.txt"]
