"""Files appear complete or not at all, and what the system refuses gets one helpful sentence."""

import errno
import os
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from vfx_edge import files as atomic
from vfx_edge.errors import OutputError


def test_writes_text_as_utf8_with_plain_line_feeds(tmp_path: Path) -> None:
    path = atomic.write_text(tmp_path / "new" / "a.txt", "Höhe\n")
    assert path.read_bytes() == "Höhe\n".encode()
    assert os.listdir(path.parent) == ["a.txt"]


def _fail_half_way(path: Path, error: BaseException) -> None:
    with atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def _fail_half_way_in(folder: Path) -> None:
    with atomic.replacing_folder(folder) as temporary:
        (temporary / "a.dcm").write_text("half")
        raise RuntimeError


def test_an_older_file_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    path = atomic.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError):
        _fail_half_way(path, RuntimeError())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _fail_half_way(tmp_path / "a.txt", KeyboardInterrupt())
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_named_whatever_library_was_writing(tmp_path: Path) -> None:
    """pydicom raises the system's refusal anew, without its number."""
    image = Dataset()
    image.add_new("PixelData", "OW", bytes(1_000_000))
    with (
        pytest.raises(OutputError, match="disk is full"),
        atomic.as_output_error(tmp_path),
        Path("/dev/full").open("wb", buffering=0) as disk,
    ):
        image.save_as(disk, implicit_vr=False, little_endian=True)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(atomic.OutputDiskFull, match="free some space"):
        _fail_half_way(tmp_path / "a.txt", OSError(errno.ENOSPC, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_a_folder_of_files_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("stays")
    with pytest.raises(RuntimeError):
        _fail_half_way_in(tmp_path)
    assert os.listdir(tmp_path) == ["mine.txt"]
    with atomic.replacing_folder(tmp_path) as folder:
        (folder / "a.dcm").write_text("whole")
        (folder / "b.dcm").write_text("whole")
    assert sorted(os.listdir(tmp_path)) == ["a.dcm", "b.dcm", "mine.txt"]


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OutputError, match="a file is in the way"):
            atomic.write_text(folder / "result.json", "{}")


def test_a_folder_in_the_way_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(atomic.OutputFileIsFolder, match="there is a folder of that name"):
        atomic.write_text(tmp_path / "result.json", "{}")


def test_a_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="refuses the name"):
        atomic.write_text(tmp_path / ("x" * 300), "")


def test_every_refusal_of_the_system_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for code in errno.errorcode:
        error = atomic.output_error(OSError(code, os.strerror(code)), path)
        message = str(error)
        assert isinstance(error, OutputError)
        assert error.exit_code == 6
        assert message.startswith(str(path))
        assert message.endswith(".")
        assert "with --out" in message
        assert "\n" not in message


def test_an_error_without_a_number_is_mapped_too(tmp_path: Path) -> None:
    with pytest.raises(atomic.OutputFailed, match="OSError"), atomic.as_output_error(tmp_path):
        raise OSError


def test_permission_denied_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="permission denied"),
        atomic.as_output_error(tmp_path),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
