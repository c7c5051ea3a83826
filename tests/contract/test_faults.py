"""What the machine does to a run: too little memory, a disk that fills, streams that are closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANG_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and streams of Linux")

LIMITED = (
    "import os, resource, sys; n = int(sys.argv[2]); "
    "resource.setrlimit(getattr(resource, 'RLIMIT_' + sys.argv[1]), (n, n)); "
    "os.execv(sys.executable, [sys.executable, '-m', 'vfx_edge', *sys.argv[3:]])"
)


def under(kind: str, most: int, *words: object) -> "subprocess.CompletedProcess[str]":
    """`vfx-edge WORDS` with a limit of the system."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, kind, str(most), *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "mib"), [("AS", 128), ("AS", 512), ("AS", 1024), ("DATA", 256), ("DATA", 640)]
)
def test_too_little_memory_is_said_before_the_work_begins(
    tmp_path: Path, kind: str, mib: int
) -> None:
    (tmp_path / "ct").mkdir()
    done = under(kind, mib * 2**20, "run", tmp_path / "ct", "--out", tmp_path / "out")
    assert done.returncode == 5, done
    assert done.stderr.startswith("vfx-edge: ")
    assert done.stderr.endswith("raise it.\n")
    assert f"is {mib} MiB" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_needs_little_memory() -> None:
    assert under("AS", 256 * 2**20, "run", "--help").returncode == 0


def test_a_disk_that_fills_under_a_nifti_file(tmp_path: Path, phantom: Path) -> None:
    """A library may write part of it and raise nothing."""
    words = ("run", phantom, "--out", tmp_path, "--outputs", "nifti", "--quiet")
    done = under("FSIZE", 1_000_000, *words)
    assert done.returncode == 6, done
    assert "_ct.nii.gz can't be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [(["run", "nothing.nii"], 3), (["run", "--nothing"], 2), (["-h"], 6), (["models", "list"], 6)],
)
def test_the_exit_code_does_not_depend_on_who_reads(words: list[str], code: int) -> None:
    """What is printed last is an error's sentence, and its disk may be full, too."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "vfx_edge", *words]
        done = subprocess.run(command, stdout=full, stderr=full, timeout=HANG_S, check=False)
    assert done.returncode == code


def test_a_reader_that_has_stopped_is_no_bug() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "vfx_edge", "models", "list"]
    with open(write, "w") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 6, done
    assert done.stderr.startswith(b"vfx-edge: standard output can't be written")


def test_without_standard_streams_the_results_are_whole(tmp_path: Path, phantom: Path) -> None:
    """A file must not get the number of a stream that is closed."""
    words = [sys.executable, "-m", "vfx_edge", "run", str(phantom), "--out", str(tmp_path)]
    script = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, "sh", *words], timeout=HANG_S, check=False)
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "result.json"]
    assert "Traceback" not in (tmp_path / "report.html").read_text("utf-8")
