"""Decoders die, hang and leave: a slice is damaged, the reading goes on, nothing is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless, RLELossless

from tests.inputs.world import Scan, assert_shows_patient, only, write_scan
from tests.waiting import eventually
from vfx_edge.errors import InputError
from vfx_edge.inputs import decoders, load_scan

SCAN = Scan(step=(0, 0, 2))
POISON = b"poison of slice 13"
DYING = "if b'poison' in payload: os.abort()"
HANGING = "if b'poison' in payload: time.sleep(1000)"
LOOPING = "while b'poison' in payload: pass"
LYING = "if b'poison' in payload: answers.write(b'12345678')"
FULL = "if b'poison' in payload: b'x' * 2**40"


def compressed(poisoned: Callable[[int], bool]) -> Callable[[Dataset, int], None]:
    """RLE; what stands between the segments is read by nobody but the decoders made up here."""

    def edit(one: Dataset, index: int) -> None:
        one.compress(RLELossless)
        code = next(generate_frames(one.PixelData, number_of_frames=1))
        one.PixelData = encapsulate([code + POISON if poisoned(index) else code])
        one["PixelData"].VR = "OB"

    return edit


@pytest.fixture(autouse=True)
def none_around() -> None:
    """No decoders of a reading that a test before left in the middle."""
    if (around := decoders._current.get()) is not None:
        around.close()
        decoders._current.set(None)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a line of code before each slice is decoded."""

    def with_line(line: str) -> None:
        whole = decoders._SCRIPT.read_text("utf-8")
        marked = '        answer = b""\n'
        assert marked in whole
        cleaned = f"payload = payload.replace({POISON!r}, b'')"
        changed = whole.replace(marked, f"        {line}\n        {cleaned}\n{marked}")
        changed = changed.replace("import os\n", "import os, time\n")
        (tmp_path / "script.py").write_text(changed, "utf-8")
        monkeypatch.setattr(decoders, "_SCRIPT", tmp_path / "script.py")

    return with_line


@pytest.mark.parametrize("line", [DYING, HANGING, LOOPING, LYING, FULL])
def test_one_slice_ends_its_decoder(
    tmp_path: Path, script, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    script(line)
    monkeypatch.setattr(decoders, "BUSY_SECONDS", 0.5)
    if line == HANGING:
        monkeypatch.setattr(decoders, "SECONDS", 5.0)
    write_scan(tmp_path / "ct", SCAN, compressed(lambda index: index == 13))
    volume = load_scan(tmp_path / "ct")
    assert only(volume.series.warnings, "1 damaged slice")
    assert_shows_patient(volume.image, tolerance_hu=30)
    assert psutil.Process().children() == []


def test_a_study_of_nothing_else_costs_few_restarts(
    tmp_path: Path, script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(DYING)
    monkeypatch.setattr(decoders, "MOST_DEATHS", 3)
    started: list[object] = []
    popen = subprocess.Popen

    def counted(*args: Any, **named: Any) -> object:
        started.append(args)
        return popen(*args, **named)

    monkeypatch.setattr(subprocess, "Popen", counted)
    write_scan(tmp_path / "ct", SCAN, compressed(lambda index: True))
    with pytest.raises(InputError, match="can't be decoded"):
        load_scan(tmp_path / "ct")
    assert len(started) < 16


def test_uncompressed_slices_start_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it was started"))
    write_scan(tmp_path, SCAN)
    assert_shows_patient(load_scan(tmp_path).image)


def test_where_no_process_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_named: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    write_scan(tmp_path, SCAN, compressed(lambda _: False))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(InputError, match="Cannot allocate memory"):
        load_scan(tmp_path)


def test_a_killed_reader_leaves_no_process(tmp_path: Path, script) -> None:
    """Not even one that hangs: it ends itself."""
    script("open(folder_of_pids + str(os.getpid()), 'w').close(); time.sleep(1000)")
    changed = decoders._SCRIPT.read_text("utf-8")
    pids = tmp_path / "pids"
    pids.mkdir()
    decoders._SCRIPT.write_text(changed.replace("folder_of_pids", repr(f"{pids}/")))
    write_scan(tmp_path / "ct", SCAN, compressed(lambda _: False))
    code = (
        "import sys, pathlib; from vfx_edge.inputs import decoders, load_scan\n"
        "decoders._SCRIPT, decoders.SECONDS = pathlib.Path(sys.argv[1]), 1.0\n"
        "decoders.Decoders.most = 1\n"
        "decoders._Decoder._time_out = lambda self: None\n"
        "load_scan(pathlib.Path(sys.argv[2]))"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(decoders._SCRIPT), str(tmp_path / "ct")]
    )
    assert eventually(lambda: list(pids.iterdir()))
    reader.kill()
    reader.wait()
    number = int(next(pids.iterdir()).name)
    assert eventually(lambda: not psutil.pid_exists(number))


def test_a_decoder_that_ends_at_once_is_said(tmp_path: Path, script) -> None:
    script("pass")
    decoders._SCRIPT.write_text("raise SystemExit(1)")
    write_scan(tmp_path / "ct", SCAN, compressed(lambda _: False))
    with pytest.raises(InputError, match="ended at once"):
        load_scan(tmp_path / "ct")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_ctrl_c_is_not_for_the_decoder() -> None:
    with decoders.decoders() as processes:
        processes.start(1, native=False)
        one = processes._idle[0]
        code = b"\1\0\0\0\x40\0\0\0".ljust(64, b"\0") + b"\xff\x07"
        assert processes.decode(decoders.SEGMENTS, code, 2, 2) == b"\x07\x07"
        os.kill(one._process.pid, signal.SIGINT)
        assert processes.decode(decoders.SEGMENTS, code, 2, 2) == b"\x07\x07"
        assert processes._idle == [one]


def test_native_code_gets_no_terminal_no_neighbours_and_bounded_memory(tmp_path: Path) -> None:
    with decoders.decoders() as processes:
        processes.start(1, native=True)
        with pytest.raises(decoders.Undecoded):
            processes.decode(decoders.NATIVE, b"no DICOM", 4, 8)
        process = psutil.Process(processes._idle[0]._process.pid)
        if hasattr(process, "rlimit"):
            assert process.rlimit(psutil.RLIMIT_AS)[1] == decoders.MEMORY_BYTES
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)


@pytest.mark.parametrize("option", ["-I", "-E"])
def test_it_works_from_a_bare_command_in_any_folder(tmp_path: Path, option: str) -> None:
    """A folder with files that are named as modules of the library are."""
    jpeg_ls = pytest.importorskip("jpeg_ls")

    def coded(one: Dataset, _index: int) -> None:
        pixels = np.frombuffer(one.PixelData, np.int16).astype(np.uint16)
        code = bytes(jpeg_ls.encode_array(pixels.reshape(one.Rows, one.Columns)))
        one.PixelRepresentation, one.file_meta.TransferSyntaxUID = 0, JPEGLSLossless
        one.PixelData = encapsulate([code])
        one["PixelData"].VR = "OB"

    write_scan(tmp_path / "ct", Scan(), coded)
    for name in ("struct.py", "SimpleITK.py"):
        (tmp_path / name).write_text("raise SystemExit(3)")
    code = (
        f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
        "from pathlib import Path; from vfx_edge.inputs import load_scan\n"
        "print(load_scan(Path('ct')).image.values.max())"
    )
    done = subprocess.run(
        [sys.executable, option, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 500
